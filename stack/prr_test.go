package stack_test

import (
	"strings"
	"testing"

	"rawnc/stack"
)

// RFC6937-3-a, RFC8985-9.3-a: the examples of section 3.1, with 20 segments in
// flight. What each ACK lets go: N new data, R a retransmission.
func TestProportionalRateReduction(t *testing.T) {
	for _, tc := range []struct {
		name string
		lost int // of the first segments
		want string
	}{
		{"one loss", 1, "N N R - N - N - N - N - N - N - N - -"},
		{"15 losses", 15, "N N RR RR RR"}, // slow start, up to ssthresh
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := established(t, stack.Config{Congestion: stack.NewReno, InitialWindow: 20}, sackOK())
			d.writeN(100_000)
			d.segments(1, 20)
			d.wait(rtt)
			var got []string
			first := 1 + 1000*tc.lost
			for right := first + 1000; right <= 20_001; right += 1000 {
				d.acks(1, sack(first, right))
				var sent strings.Builder
				for _, o := range d.out {
					sent.WriteByte(map[bool]byte{true: 'R', false: 'N'}[o.seg.Seq.Sub(iss) <= 20_000])
				}
				if sent.Len() == 0 {
					sent.WriteByte('-')
				}
				got = append(got, sent.String())
				d.out = nil
			}
			d.same("sent", strings.Join(got, " "), tc.want)
			d.same("ssthresh", d.c.Snapshot().Ssthresh, 10_000)
			d.wait(rtt)
			d.acks(sndNxt(d))
			d.same("recovering", d.c.Snapshot().Recovering, false)
			d.same("cwnd", cwnd(d), 10_000)
		})
	}
}

// Without SACK a duplicate ACK stands for a segment that has arrived (RFC 6937,
// section 3), so that recovery goes as with it.
func TestProportionalRateReductionWithoutSACK(t *testing.T) {
	d := established(t, stack.Config{Congestion: stack.NewReno, InitialWindow: 20})
	d.writeN(100_000)
	d.segments(1, 20)
	d.wait(rtt)
	sent := 0
	for range 19 {
		d.acks(1)
		sent += len(d.out)
		d.out = nil
	}
	if sent < 10 || sent > 12 { // ten for half a window, and a retransmission
		t.Errorf("%d segments were sent", sent)
	}
	d.acks(sndNxt(d))
	d.same("cwnd", cwnd(d), 10_000)
}
