package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 5682: F-RTO.

// timedOut is a Conn that has sent the first of ten segments again, for want of an
// ACK, and has more to send.
func timedOut(t *testing.T, opts ...detail) *dialogue {
	t.Helper()
	d := window(t, opts...)
	if len(opts) > 0 { // SACK, so a tail loss probe comes first
		d.wait(rtt + ms)
		d.expect("ACK", seq(10001), length(1000), why(stack.ReasonTailProbe))
		d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
		return d
	}
	d.expectAfter(firstRTO-rtt, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	return d
}

// forward expects two segments of new data in answer to the first ACK.
func (d *dialogue) forward(at int) {
	d.t.Helper()
	d.expect("ACK", seq(at), length(1000), why(stack.ReasonForwardRTO))
	d.expect("ACK", seq(at+1000), length(1000), why(stack.ReasonForwardRTO))
	d.expectNothing()
}

// RFC5682-2.1-a: the ACKs of what went out before the timeout come late: nothing
// else goes out again, and the window is what it was.
func TestSpuriousTimeout(t *testing.T) {
	var verdict stack.Verdict
	d := established(t, stack.Config{Watch: func(e stack.Event) {
		if e.Verdict != nil {
			verdict = e.Verdict.Verdict
		}
	}})
	d.writeN(100000)
	d.segments(1, 10)
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(1001)
	d.forward(10001)
	d.acks(2001)
	d.same("verdict", verdict, stack.VerdictSpuriousTimeout)
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 0)
	d.same("cwnd", cwnd(d), 10000)
	d.acks(3001)
	d.segments(12001, 2) // slow start, as if nothing had been
	d.acks(12001)
	d.same("retransmits", d.c.Snapshot().Retransmits, 1)
}

// RFC5682-2.1-a: what follows the first ACK is a duplicate of it: all was lost.
func TestTimeoutThatWasReal(t *testing.T) {
	d := timedOut(t)
	d.acks(1001)
	d.forward(10001)
	d.acks(1001)
	d.same("cwnd", cwnd(d), 3000)
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.expectNothing()
	d.acks(2001)
	d.expect("ACK", seq(2001), length(1000), why(stack.ReasonRecovery))
}

// RFC 5682, section 2.1, step 2a: a duplicate at once, or an ACK of everything.
func TestTimeoutDecidedByTheFirstACK(t *testing.T) {
	d := timedOut(t)
	d.acks(1)
	d.expectNothing()
	d.acks(1001)
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.expect("ACK", seq(2001), length(1000), why(stack.ReasonRecovery))

	d = timedOut(t)
	d.acks(10001)
	d.segments(10001, 2)
	d.same("cwnd", cwnd(d), 2000)
	d.acks(11001)
	d.same("cwnd", cwnd(d), 3000)
}

// Section 2.1, step 1: a further timeout of the same segment begins anew, with
// the window that there was before the first.
func TestSpuriousTimeoutTwice(t *testing.T) {
	d := timedOut(t)
	d.expectAfter(2*firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 2))
	d.acks(1001)
	d.forward(10001)
	d.acks(2001)
	d.same("cwnd", cwnd(d), 10000)
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 0)
}

// Section 2.1, step 1: not in the middle of a recovery, where what arrives may
// have been sent again.
func TestTimeoutInRecoveryIsReal(t *testing.T) {
	d := window(t)
	for range 3 {
		d.acks(1)
	}
	d.out = nil
	d.expectAfter(firstRTO-rtt, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(1001)
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.expect("ACK", seq(2001), length(1000), why(stack.ReasonRecovery))
}

// What is small goes out again as one, and is judged by what lies behind it.
func TestSpuriousTimeoutOfSmallSegments(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true})
	for i := range 5 {
		d.write("abcde"[i : i+1])
		d.expect("PSH,ACK", seq(1+i), length(1))
	}
	d.expectAfter(firstRTO, "PSH,ACK", seq(1), text("abcde"), why(stack.ReasonRetransmitTimeout, 1))
	d.write("f")
	d.out = nil
	d.acks(2)
	d.acks(3)
	d.acks(6)
	d.acks(7)
	d.wait(time.Hour)
	d.expectNothing()
}

// The window that a spurious timeout leaves holds a segment, however small those
// were that showed it.
func TestSpuriousTimeoutLeavesRoomForASegment(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true})
	for _, n := range []int{1000, 10, 10} {
		d.writeN(n)
		d.expect("PSH,ACK", length(n))
	}
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.writeN(10)
	d.expectNothing()
	d.acks(1001)
	d.expect("PSH,ACK", seq(1021), length(10), why(stack.ReasonForwardRTO))
	d.acks(1011)
	d.acks(1031)
	d.writeN(1000)
	d.expect("PSH,ACK", seq(1031), length(1000))
}

// Section 3.1: with SACK, what arrives of old shows it, in whatever order.
func TestSpuriousTimeoutBySACK(t *testing.T) {
	d := timedOut(t, sackOK())
	d.acks(1, sack(2001, 3001)) // stays in step 2
	d.expectNothing()
	d.acks(1001, sack(2001, 3001))
	d.forward(11001)
	d.acks(1001, sack(2001, 4001))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 0)
	if got := cwnd(d); got < 10000 {
		t.Errorf("cwnd is %d", got)
	}
	d.acks(4001)
	d.out = nil
	d.same("retransmits", d.c.Snapshot().Retransmits, 1)
}

// Section 3.1, step 3a: the new segments arrived, the old have not.
func TestTimeoutThatWasRealBySACK(t *testing.T) {
	d := timedOut(t, sackOK())
	d.acks(1001)
	d.forward(11001)
	d.acks(1001, sack(11001, 12001))
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.expect("ACK", seq(2001), length(1000), why(stack.ReasonRecovery))
	d.expectNothing()
}
