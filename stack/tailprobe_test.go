package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 8985, section 7: tail loss probes.

func tail3(t *testing.T) *dialogue {
	d := established(t, stack.Config{}, sackOK())
	d.writeN(3000)
	d.expect("ACK", seq(1), length(1000))
	d.expect("ACK", seq(1001), length(1000))
	d.expect("PSH,ACK", seq(2001), length(1000))
	return d
}

const pto = 2*rtt + ms

func TestTailLossProbe(t *testing.T) {
	d := tail3(t)
	d.expectAfter(pto, "PSH,ACK", seq(2001), length(1000), why(stack.ReasonTailProbe))
	d.wait(rtt)
	d.acks(1, sack(2001, 3001)) // so the others are lost
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.acks(3001)
	d.wait(time.Hour)
	d.expectNothing()
}

func TestTailLossProbeOfNewData(t *testing.T) {
	d := tail3(t)
	d.write("more") // Nagle holds it
	d.expectAfter(pto, "PSH,ACK", seq(3001), text("more"), why(stack.ReasonTailProbe))
}

// RFC8985-7.3-b: after a probe the retransmission timer runs from it on, and no
// second probe comes.
func TestOneTailLossProbeThenTheTimeout(t *testing.T) {
	d := tail3(t)
	d.expectAfter(pto, "PSH,ACK", seq(2001), length(1000), why(stack.ReasonTailProbe))
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
}

// A probe may not leave the window that the peer has shrunk.
func TestTailLossProbeInAShrunkenWindow(t *testing.T) {
	d := tail3(t)
	d.acks(1, win(500))
	d.wait(pto)
	for _, o := range d.out {
		if edge := iss.Add(501); edge.Less(o.seg.Next()) {
			t.Errorf("beyond the window: %s", d.show(o))
		}
	}
}

// RFC8985-7.4.2-a: the probe itself may have repaired a loss, which counts as one.
func TestTailLossProbeRepairsALoss(t *testing.T) {
	d := tail3(t)
	d.expectAfter(pto, "PSH,ACK", seq(2001), length(1000), why(stack.ReasonTailProbe))
	d.wait(rtt)
	d.acks(3001) // of the probe, or of the original: not known yet
	was := cwnd(d)
	d.writeN(1000)
	d.expect("PSH,ACK", length(1000))
	d.wait(rtt)
	d.acks(4001) // nothing in between: it was of the probe
	if got := cwnd(d); got >= was {
		t.Errorf("cwnd: expected less than %d, actual %d", was, got)
	}
}

func TestTailLossProbeThatWasNotNeeded(t *testing.T) {
	for name, second := range map[string][]detail{"duplicate ACK": nil, "D-SACK": {sack(2001, 3001)}} {
		t.Run(name, func(t *testing.T) {
			d := tail3(t)
			d.expectAfter(pto, "PSH,ACK", seq(2001), length(1000), why(stack.ReasonTailProbe))
			d.acks(3001) // of the original
			d.wait(rtt)
			d.acks(3001, second...) // of the probe
			was := cwnd(d)
			d.writeN(1000)
			d.expect("PSH,ACK", length(1000))
			d.wait(rtt)
			d.acks(4001)
			d.same("cwnd", cwnd(d), was)
		})
	}
}

// RFC8985-7.2-a: after two round trips, and the time that the peer may delay its
// ACK where one segment is in flight; but never later than the timeout, in whose
// place it comes. Without a round trip there is none (section 7.3).
func TestWhenTheTailLossProbeComes(t *testing.T) {
	for name, tc := range map[string]struct {
		least  time.Duration // timeout
		octets int
		after  time.Duration
	}{
		"three segments":     {0, 3000, pto},
		"one, timeout later": {time.Second, 1000, pto + 200*ms},
		"one, timeout first": {0, 1000, firstRTO},
	} {
		t.Run(name, func(t *testing.T) {
			d := established(t, stack.Config{MinRTO: tc.least}, sackOK())
			d.writeN(tc.octets)
			d.out = nil
			d.expectAfter(tc.after, "PSH,ACK", length(1000), why(stack.ReasonTailProbe))
		})
	}
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.expectAfter(time.Second, "SYN")
	d.send("SYN,ACK", seq(0), ack(1), mss(1000), sackOK())
	d.expect("ACK")
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.expectAfter(3*time.Second, "PSH,ACK", text("hello"), why(stack.ReasonRetransmitTimeout))
}

// RFC8985-7.3-a: no probe before a round trip has been measured since the last
// one, or the timeout would never follow the path.
func TestNoTailLossProbeWithoutASample(t *testing.T) {
	d := tail3(t)
	d.expectAfter(pto, "PSH,ACK", seq(2001), length(1000), why(stack.ReasonTailProbe))
	d.acks(3001, sack(2001, 3001)) // both copies have come: the probe is answered, but no sample
	d.writeN(2000)
	d.out = nil
	d.expectAfter(rto(d), "ACK", seq(3001), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(5001)
	d.writeN(2000) // once never sent again, so there is one
	d.out = nil
	d.acks(7001)
	d.writeN(2000)
	d.out = nil
	d.wait(2*d.c.Snapshot().SRTT + ms)
	d.expect("PSH,ACK", seq(8001), length(1000), why(stack.ReasonTailProbe))
}
