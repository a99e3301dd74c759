package stack_test

import (
	"testing"

	"rawnc/stack"
)

// RFC9438-4.10-a, RFC 9406, section 4.2: a round trip that grows by an eighth slows the growth to a
// quarter; five such rounds end slow start, before anything is lost.
func TestHystart(t *testing.T) {
	d := wide(t, 10)
	d.rounds(2, rtt)
	d.same("cwnd", cwnd(d), 40_000)
	d.rounds(1, rtt+13*ms)
	was := cwnd(d)
	if was >= 80_000 { // the growth slowed down within the round
		t.Fatalf("cwnd is %d", was)
	}
	for round := 2; round <= 5; round++ {
		d.rounds(1, rtt+13*ms)
		d.near("in conservative slow start", float64(was)/1000*1.25)
		d.same("ssthresh", d.c.Snapshot().Ssthresh, 0)
		was = cwnd(d)
	}
	d.rounds(1, rtt+13*ms)
	d.near("when slow start is over", float64(was)/1000)
	d.near("and ssthresh is where it was", float64(d.c.Snapshot().Ssthresh)/1000)
}

// Section 4.2: if the round trip is short again, it was jitter, and slow start
// goes on.
func TestHystartJitter(t *testing.T) {
	d := wide(t, 10)
	d.rounds(2, rtt)
	d.rounds(1, rtt+13*ms)
	was := cwnd(d)
	d.rounds(1, rtt)
	if got := cwnd(d); got < was*16/10 {
		t.Errorf("cwnd was %d and is %d", was, got)
	}
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 0)
}

// Section 4.3: not on less than 4 ms, nor for what was said once or twice.
func TestHystartThresholds(t *testing.T) {
	d := wide(t, 10)
	d.rounds(1, 10*ms)
	d.rounds(1, 10*ms)
	d.rounds(1, 13*ms) // more than an eighth, less than 4 ms
	d.same("cwnd", cwnd(d), 80_000)

	d = established(t, stack.Config{InitialWindow: 5}, sackOK())
	d.writeN(100_000)
	d.rounds(1, rtt)
	d.same("cwnd", cwnd(d), 10_000)
	d.wait(rtt + 50*ms)
	d.out = nil
	s := d.c.Snapshot()
	d.acks(s.SndUna.Sub(iss) + 5000) // two late ACKs for ten segments
	d.acks(s.SndUna.Sub(iss) + 10000)
	d.same("cwnd", cwnd(d), 20_000)
}
