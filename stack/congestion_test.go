package stack_test

import (
	"fmt"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 5681, section 3.1; RFC 6928.

// segments expects n full segments of new data from seq on, and no more.
func (d *dialogue) segments(from, n int) {
	d.t.Helper()
	for i := range n {
		d.expect("ACK", seq(from+1000*i), length(1000))
	}
	d.expectNothing()
}

func cwnd(d *dialogue) int { return d.c.Snapshot().Cwnd }

// RFC5681-3.1-b, RFC6928-2-a: ten segments, less where they are large. RFC5681-3.1-c:
// the handshake does not add to it.
func TestInitialWindow(t *testing.T) {
	for _, tc := range []struct{ mss, segments, window int }{
		{536, 0, 5360}, {1000, 0, 10000}, {1460, 0, 14600}, {4000, 0, 14600}, {8000, 0, 16000},
		{1000, 2, 2000},
	} {
		d := established(t, stack.Config{MTU: 9000, InitialWindow: tc.segments, NoDelay: true}, mss(tc.mss))
		d.same("cwnd", cwnd(d), tc.window)
		d.writeN(100000)
		sent := 0
		for _, o := range d.out {
			sent += len(o.seg.Payload)
		}
		if sent > tc.window || sent <= tc.window-tc.mss {
			t.Errorf("MSS %d: %d octets were sent", tc.mss, sent)
		}
	}
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0), mss(1000))
	d.expect("SYN,ACK")
	d.send("ACK", seq(1), ack(1))
	d.same("cwnd", cwnd(d), 10000)
}

// RFC5681-2-a: neither beyond the congestion window nor beyond the peer's.
func TestBothWindowsLimit(t *testing.T) {
	d := established(t, stack.Config{}, win(5000))
	d.writeN(100000)
	d.segments(1, 5)
	d.acks(1, win(8000))
	d.segments(5001, 3)
	d.acks(1)
	d.segments(8001, 2)
}

// MUST-19, RFC5681-3.1-a, RFC5681-3.1-e.
func TestSlowStart(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(100000)
	d.segments(1, 10)
	d.acks(1001)
	d.segments(10001, 2)
	d.acks(3001)
	d.segments(12001, 4)
	d.same("cwnd", cwnd(d), 13000)
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 0) // arbitrarily high
}

// RFC 3465, section 2.3: slow start after a timeout counts one segment for an
// ACK, for it may cover what arrived long ago.
func TestSlowStartAfterATimeout(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(10000)
	d.out = nil
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000))
	d.acks(4001)
	d.same("cwnd", cwnd(d), 2000)
	d.acks(7001)
	d.same("cwnd", cwnd(d), 3000)
}

// RFC 5681, section 3.1: slow start ends at ssthresh.
func TestSlowStartEndsAtSsthresh(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(100000)
	d.segments(1, 10)
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000))
	d.acks(1001)
	d.out = nil
	for want := 3000; want <= 7000; want += 1000 {
		d.acks(sndNxt(d))
		d.out = nil
		d.same("cwnd", cwnd(d), want)
	}
	d.acks(sndNxt(d))
	if got := cwnd(d); got >= 8000 {
		t.Errorf("cwnd is %d above ssthresh", got)
	}
}

// RFC5681-3.1-e: nothing but a loss, or round trips that grow, ends the first slow start.
func TestTheFirstSlowStartHasNoBound(t *testing.T) {
	d := established(t, stack.Config{SendBuffer: 1 << 23}, ws(14))
	d.acks(1)
	d.writeN(1 << 23)
	for una := 1; cwnd(d) < 1<<20; una += 1000 {
		was := cwnd(d)
		d.acks(una + 1000)
		d.same("cwnd", cwnd(d), was+1000)
	}
	d.out = nil
}

// RFC5681-3.1-f: as RFC 5681 has it, an ACK adds a segment at most, whatever it
// covers. CUBIC's slow start is that of RFC 9406, which counts octets.
func TestSlowStartOfNewReno(t *testing.T) {
	d := established(t, stack.Config{Congestion: stack.NewReno})
	d.writeN(100000)
	d.segments(1, 10)
	d.acks(2001)
	d.same("cwnd", cwnd(d), 11000)
	d.acks(2501)
	d.same("cwnd", cwnd(d), 11500)
}

// An ACK of everything opens the window by at most itself.
func TestSlowStartAtMostDoubles(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(100000)
	d.segments(1, 10)
	d.acks(10001)
	d.segments(10001, 20)
}

// MUST-19, RFC5681-3.1-a: a segment more for every window acknowledged.
func TestCongestionAvoidance(t *testing.T) {
	d := established(t, stack.Config{Congestion: stack.NewReno})
	d.writeN(500000)
	d.segments(1, 10)
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
	d.acks(10001) // slow start
	d.segments(10001, 2)
	d.acks(12001)
	d.segments(12001, 3)
	for d.acks(sndNxt(d)); cwnd(d) < 8000; d.acks(sndNxt(d)) {
		d.out = nil
	}
	d.out = nil
	// One window acknowledged: one segment more.
	first, was := d.c.Snapshot().SndUna.Sub(iss), cwnd(d)
	for n := 1000; n <= was; n += 1000 {
		if got := cwnd(d); got > was+1000 {
			t.Fatalf("after %d octets cwnd is %d, it was %d", n, got, was)
		}
		d.acks(first + n)
		d.out = nil
	}
	if got := cwnd(d); got != was+1000 {
		t.Fatalf("after a window cwnd is %d, it was %d", got, was)
	}
}

// A window was in use where a round trip began with it full, or half full in slow start,
// though the application has nothing to add.
func TestAWindowThatWasInUseGrows(t *testing.T) {
	for segments, want := range map[int]int{10: 20_000, 9: 18_000, 6: 12_000, 5: 10_000} {
		d := established(t, stack.Config{})
		d.writeN(1000 * segments)
		d.out = nil
		d.wait(rtt)
		for n := range segments {
			d.acks(1001 + 1000*n)
		}
		d.same(fmt.Sprint("cwnd after ", segments, " segments"), cwnd(d), want)
	}

	// In the round trips that follow it is not: one ACK of ten segments was worth one.
	d := established(t, stack.Config{Congestion: stack.NewReno})
	d.writeN(10_000)
	d.acks(10_001)
	for range 3 {
		d.writeN(1000)
		d.acks(sndNxt(d))
	}
	d.same("cwnd after single segments", cwnd(d), 11_000)
}

func TestAnUnusedWindowDoesNotGrow(t *testing.T) {
	d := established(t, stack.Config{})
	for i := range 20 {
		d.writeN(1000)
		d.expect("PSH,ACK", length(1000))
		d.wait(10 * ms)
		d.acks(1001 + 1000*i)
	}
	d.same("cwnd", cwnd(d), 10000)
}

// RFC5681-3.1-g: one segment, and ssthresh by equation 4, once.
func TestTimeoutShrinksTheWindow(t *testing.T) {
	d := established(t, stack.Config{Congestion: stack.NewReno})
	d.writeN(10000)
	d.out = nil
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000))
	d.same("cwnd", cwnd(d), 1000)
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
	d.expectAfter(2*firstRTO, "ACK", seq(1), length(1000))
	d.same("ssthresh of the same loss", d.c.Snapshot().Ssthresh, 5000)
	d.acks(1001)
	d.expect("ACK", seq(1001), length(1000))
	d.expect("ACK", seq(2001), length(1000))
	d.expectAfter(4*firstRTO, "ACK", seq(1001), length(1000))
	d.same("ssthresh of the next", d.c.Snapshot().Ssthresh, 2000)
}

// RFC5681-3.1-g.
func TestSsthreshHasALeast(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(1000)
	d.expect("PSH,ACK", length(1000))
	d.expectAfter(firstRTO, "PSH,ACK", seq(1), length(1000))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 2000)
}

// RFC5681-4.1-a: after an idle time the window that was open says nothing.
func TestIdleRestart(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(30000)
	d.segments(1, 10)
	d.acks(10001)
	d.out = nil
	d.acks(30001)
	was := cwnd(d)
	if was < 20000 {
		t.Fatalf("cwnd is %d", was)
	}
	d.wait(rto(d) / 2)
	d.writeN(1000)
	d.expect("PSH,ACK", length(1000))
	d.same("cwnd after a short rest", cwnd(d), was)
	d.acks(31001)
	d.wait(time.Minute)
	d.writeN(30000)
	d.segments(31001, 10)
}

// 4 GiB later the numbers are those of the SYN again; it is not sent again.
func TestNoSYNAfterAWholeTurn(t *testing.T) {
	d := established(t, stack.Config{})
	d.c.SkipTo(iss.Add(-5))
	d.write("hello")
	d.expect("PSH,ACK", seq(-5), text("hello"))
	d.acks(0)
	d.write("world")
	d.expect("PSH,ACK", seq(0), text("world"))
	d.acks(5)
	d.expectNothing()
}

// So does what was remembered of a loss 2 GiB ago.
func TestFastRetransmitLongAfterALoss(t *testing.T) {
	d := window(t)
	d.wait(time.Second)
	d.out = nil
	d.acks(10001)
	d.out = nil
	for d.acks(sndNxt(d)); len(d.out) > 0; d.acks(sndNxt(d)) {
		d.out = nil
	}
	d.c.SkipTo(d.c.Snapshot().SndNxt + 1<<31 + 5000)
	first := sndNxt(d)
	d.writeN(10000)
	d.out = nil
	d.acks(first)
	d.acks(first)
	d.acks(first)
	d.expect("ACK", seq(first), length(1000), why(stack.ReasonFastRetransmit))
}

// The same where congestion avoidance rules.
func TestAnUnusedWindowDoesNotGrowInCongestionAvoidance(t *testing.T) {
	d := window(t)
	d.wait(time.Second)
	d.out = nil
	d.acks(10001)
	d.out = nil
	for d.acks(sndNxt(d)); len(d.out) > 0; d.acks(sndNxt(d)) {
		d.out = nil
	}
	was := cwnd(d)
	if was <= d.c.Snapshot().Ssthresh {
		t.Fatalf("cwnd is %d", was)
	}
	for range 50 {
		d.writeN(1000)
		d.out = nil
		d.acks(sndNxt(d))
	}
	d.same("cwnd", cwnd(d), was)
}
