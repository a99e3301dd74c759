package stack_test

import (
	"math"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9438: CUBIC, the default.

// wide is a Conn whose peer's window never limits, with n segments in flight and more
// to send.
func wide(t *testing.T, n int) *dialogue {
	t.Helper()
	d := established(t, stack.Config{InitialWindow: n, SendBuffer: 1 << 26}, sackOK(), ws(10))
	d.acks(1) // the window of a SYN is not scaled
	d.writeN(n * 2000)
	d.segments(1, n)
	return d
}

// lose makes the first segment in flight be lost and all others arrive, and
// ends the recovery.
func (d *dialogue) lose() {
	d.t.Helper()
	d.writeN(2 * cwnd(d))
	d.out = nil
	d.now = d.now.Add(rtt)
	s := d.c.Snapshot()
	una, nxt := s.SndUna.Sub(iss), s.SndNxt.Sub(iss)
	d.acks(una, sack(una+1000, nxt))
	d.expect("ACK", seq(una), length(1000), why(stack.ReasonFastRetransmit))
	d.out = nil
	d.now = d.now.Add(rtt)
	d.acks(sndNxt(d))
	d.out = nil
}

// rounds keeps the window full for n round trips. Each segment has its own ACK.
func (d *dialogue) rounds(n int, rtt time.Duration) {
	d.t.Helper()
	for range n {
		d.writeN(2 * cwnd(d))
		d.out = nil
		d.wait(rtt)
		s := d.c.Snapshot()
		for at := s.SndUna.Sub(iss) + 1000; at <= s.SndNxt.Sub(iss); at += 1000 {
			d.acks(at)
		}
	}
	d.out = nil
}

// near compares the window, in segments, with what a formula says.
func (d *dialogue) near(what string, want float64) {
	d.t.Helper()
	if got := float64(cwnd(d)) / 1000; math.Abs(got-want) > want/50 {
		d.t.Fatalf("cwnd %s: expected about %.1f segments, actual %.1f", what, want, got)
	}
}

// cubed is W_cubic of section 4.2: t in seconds, windows in segments.
func cubed(t, k, wmax float64) float64 { return 0.4*math.Pow(t-k, 3) + wmax }

// MAY-18.
// RFC9438-4.6-a: a loss leaves seven tenths.
func TestCubicMultiplicativeDecrease(t *testing.T) {
	d := wide(t, 100)
	d.lose()
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 70_000)
	d.same("cwnd", cwnd(d), 70_000)
}

// RFC9438-4.4-a, RFC9438-5.1-a: fast at first, flat where the loss was, then fast
// again (section 4.5).
// MAY-18.
func TestCubicWindow(t *testing.T) {
	d := wide(t, 500)
	d.lose()
	d.near("after the loss", 350)
	k := math.Cbrt(150 / 0.4)
	for i := 1; i <= 130; i++ {
		d.rounds(1, rtt)
		elapsed := 0.1 * float64(i-1)
		if i >= 3 { // what a round comes closer to is where the next one will be
			d.near(time.Duration(elapsed*1e9).String()+" later", cubed(elapsed+0.05, k, 500))
		}
	}
	if cwnd(d) < 550_000 {
		t.Errorf("cwnd is %d", cwnd(d))
	}
}

// RFC9438-4.3-a: never slower than Reno, which gains 9/17 of a segment for a
// window until it is where it was, to make up for the smaller reduction, then
// one.
func TestCubicRenoFriendlyRegion(t *testing.T) {
	d := wide(t, 100)
	d.lose()
	const round = ms // so short that the cube does not move
	was := cwnd(d)
	d.rounds(34, round)
	d.near("below the old window", float64(was)/1000+18)
	for cwnd(d) < 100_000 {
		d.rounds(1, round)
	}
	was = cwnd(d)
	d.rounds(10, round)
	d.near("above the old window", float64(was)/1000+10)
}

// RFC9438-4.7-a: a loss before the old window was reached makes room for
// others: the flat place is at 17/20 of it.
func TestCubicFastConvergence(t *testing.T) {
	d := wide(t, 500)
	d.lose()
	d.rounds(10, rtt)
	at := float64(cwnd(d)) / 1000
	if at > 480 {
		t.Fatalf("cwnd is %v", at)
	}
	d.lose()
	flat := at * 0.85
	k := math.Cbrt((flat - at*0.7) / 0.4)
	d.rounds(int(k/0.1), rtt)
	d.near("at the flat place", flat)
}

// RFC9438-4.2-a, and section 5.8: time in which the application had little to say
// does not count, be it slow or silent.
func TestCubicApplicationLimited(t *testing.T) {
	for name, pause := range map[string]func(d *dialogue){
		"slow": func(d *dialogue) {
			for range 3000 {
				d.writeN(1000)
				d.out = nil
				d.wait(rtt)
				d.acks(sndNxt(d))
			}
		},
		"silent": func(d *dialogue) { d.wait(5 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			d := wide(t, 500)
			d.lose()
			d.rounds(20, rtt)
			for d.c.Snapshot().SendQueue > 0 { // all that is queued
				d.wait(rtt)
				d.acks(sndNxt(d))
				d.out = nil
			}
			was := cwnd(d)
			pause(d)
			d.same("cwnd", cwnd(d), was)
			d.writeN(5_000_000)
			d.rounds(1, rtt)
			if got := cwnd(d); got > was*102/100 {
				t.Errorf("cwnd jumped from %d to %d", was, got)
			}
		})
	}
}

// RFC 9438, section 4.8: after a timeout the function starts anew, at its flat place.
func TestCubicTimeout(t *testing.T) {
	d := wide(t, 500)
	d.lose()
	d.rounds(1, rtt)
	was := cwnd(d)
	for d.c.Snapshot().Retransmits < 3 { // all is lost, the probe too
		d.advance(d.now.Add(rto(d)))
	}
	d.same("cwnd", cwnd(d), 1000)
	d.same("ssthresh", d.c.Snapshot().Ssthresh, was*7/10)
	una, nxt := d.c.Snapshot().SndUna.Sub(iss), sndNxt(d)
	d.acks(una + 1000)
	d.acks(una+1000, sack(nxt, sndNxt(d))) // indeed: new data have arrived, the old have not
	for cwnd(d) < d.c.Snapshot().Ssthresh {
		d.rounds(1, rtt)
	}
	flat := float64(cwnd(d)) / 1000
	d.rounds(20, rtt)
	d.near("2 s into congestion avoidance", flat+20*9./17)
}
