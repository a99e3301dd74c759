package stack_test

import (
	"slices"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 5681, section 3.2, RFC 3042 and RFC 6582: without SACK.

// window is a Conn with a window of ten segments in flight and more to send.
func window(t *testing.T, opts ...detail) *dialogue {
	t.Helper()
	d := established(t, stack.Config{Congestion: stack.NewReno}, opts...)
	d.writeN(100000)
	d.segments(1, 10)
	d.wait(rtt)
	return d
}

// RFC5681-3.2-b, RFC5681-3.2-c, RFC5681-3.2-d, RFC3042-2-a, RFC6582-3.2-c: two
// duplicate ACKs let new data go, as much beyond cwnd; the third shows a loss. In
// between, the window is that of RFC 6937, for which the same segments have left
// the network.
func TestFastRetransmit(t *testing.T) {
	d := window(t)
	d.acks(1)
	d.segments(10001, 1) // limited transmit
	d.acks(1)
	d.segments(11001, 1)
	d.same("cwnd", cwnd(d), 10000)
	d.acks(1)
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.expectNothing()
	// What limited transmit sent does not count (RFC 5681, section 3.2, step 2).
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
	for i := range 2 { // RFC 6937: of what arrives, half goes out
		d.acks(1)
		d.expectNothing()
		d.acks(1)
		d.segments(12001+1000*i, 1)
	}
	d.acks(1)
	d.acks(1)
	d.expectNothing() // and now as much as arrives
	d.acks(1)
	d.segments(14001, 1)
	d.acks(1)
	d.segments(15001, 1)
	d.acks(12001) // all that was sent when the loss was noticed
	s := d.c.Snapshot()
	d.same("recovering", s.Recovering, false)
	d.same("cwnd", s.Cwnd, 5000)
	d.segments(16001, 1)
}

// RFC6582-3.2-b: each partial ACK shows the next hole, and starts the timer anew.
func TestNewReno(t *testing.T) {
	d := window(t)
	for range 3 {
		d.acks(1)
	}
	d.expect("ACK", seq(10001), length(1000))
	d.expect("ACK", seq(11001), length(1000))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.wait(rtt)
	d.acks(3001)
	d.expect("ACK", seq(3001), length(1000), why(stack.ReasonRecovery))
	d.expectNothing()
	d.acks(5001)
	d.expect("ACK", seq(5001), length(1000), why(stack.ReasonRecovery))
	d.acks(12001)
	d.same("recovering", d.c.Snapshot().Recovering, false)

	d = window(t)
	for range 3 {
		d.acks(1)
	}
	d.out = nil
	d.wait(rtt)
	d.acks(3001)
	d.expect("ACK", seq(3001), length(1000), why(stack.ReasonRecovery))
	d.expectAfter(rto(d), "ACK", seq(3001), length(1000), why(stack.ReasonRetransmitTimeout, 1))
}

// A duplicate ACK has no data and the same window.
func TestWhatIsNoDuplicateACK(t *testing.T) {
	d := window(t)
	d.data(1, 10, 1)
	d.data(11, 10, 1)
	d.send("ACK", seq(21), ack(1), win(59000))
	d.send("ACK", seq(21), ack(1), win(58000))
	d.send("ACK", seq(21), ack(0))
	for _, o := range d.out {
		if len(o.seg.Payload) > 0 {
			t.Errorf("sent %s", d.show(o))
		}
	}
}

// RFC6582-3.2-a, RFC6582-4-a: duplicate ACKs of what a timeout sent again mean nothing.
func TestNoFastRetransmitBelowRecover(t *testing.T) {
	d := window(t)
	d.expectAfter(firstRTO-rtt, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout))
	d.acks(1001)
	d.forward(10001)
	d.acks(1001)
	d.expect("ACK", seq(1001), length(1000))
	for range 5 {
		d.acks(1001)
	}
	for _, o := range d.out {
		if o.seg.Seq == iss.Add(1001) {
			t.Errorf("sent again: %s", d.show(o))
		}
	}
}

// RFC 2018, 6675 and 8985: with SACK.

// RFC6675-5-a: until the recovery point is acknowledged, and not beyond cwnd.
func TestFastRetransmitBySACK(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 4001))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	s := d.c.Snapshot()
	d.same("ssthresh", s.Ssthresh, 5000)
	d.segments(10001, 1) // three have arrived, so two go out
	d.acks(1, sack(1001, 7001))
	d.expectNothing() // pipe is 5000
	d.acks(11001)
	d.same("recovering", d.c.Snapshot().Recovering, false)
}

// RFC6675-4-a, with RACK's IsLost. Several holes: the lost first, then new data, as cwnd allows.
func TestHolesAreFilledInOrder(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(9001, 10001, 5001, 8001))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.expect("ACK", seq(2001), length(1000), why(stack.ReasonRecovery))
	d.expect("ACK", seq(3001), length(1000), why(stack.ReasonRecovery))
	d.expect("ACK", seq(4001), length(1000), why(stack.ReasonRecovery))
	d.expectNothing()
	d.wait(rtt)
	d.acks(5001, sack(9001, 10001, 5001, 8001)) // 8001 is lost as well
	d.expect("ACK", seq(8001), length(1000), why(stack.ReasonRecovery))
	d.segments(10001, 4)
	d.acks(10001)
	d.same("recovering", d.c.Snapshot().Recovering, false)
}

// RACK gives what is only late a quarter of a round trip.
func TestReorderingIsNotLoss(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 2001))
	d.out = nil
	d.wait(rtt/4 - 1)
	d.expectNothing()
	d.acks(2001)
	d.same("retransmits", d.c.Snapshot().Retransmits, 0)
	d.same("recovering", d.c.Snapshot().Recovering, false)
}

// RFC8985-6.2-a, RFC8985-3.3.2-a: a quarter of a round trip is all they get.
func TestTheReorderTimer(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 2001))
	d.out = nil
	d.wait(rtt / 4)
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
}

// Two losses of four segments: nothing else will come that lets the second go.
func TestTheReorderTimerAtTheTail(t *testing.T) {
	d := established(t, stack.Config{}, sackOK())
	d.writeN(4000)
	d.out = nil
	d.wait(rtt)
	d.acks(1, sack(2001, 4001))
	d.expectAfter(d.c.Snapshot().MinRTT/4, "ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.expectNothing()
}

// RFC5681-4.3-a, RFC8985-4-a: a retransmission that is lost too is found out by what was sent
// after it, and is a second sign of congestion.
func TestLostRetransmission(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 10001))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
	d.segments(10001, 4)
	d.wait(rtt)
	d.acks(1, sack(10001, 12001, 1001, 10001))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonRecovery))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 2500)
	d.out = nil
	d.acks(1, sack(10001, 14001, 1001, 10001)) // no news of it
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 2500)
}

// What was sent at the same time was sent in some order all the same: new data
// that went out before the retransmission does not show that it was lost.
func TestSentAtTheSameTime(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 2001))
	d.acks(1, sack(1001, 3001))
	d.segments(10001, 2)
	d.acks(1, sack(1001, 4001))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.out = nil
	d.wait(rtt)
	d.acks(1, sack(10001, 12001, 1001, 4001))
	d.expect("ACK", seq(4001), length(1000)) // but what was sent before, was
	d.out = nil
	d.acks(4001, sack(10001, 12001))
	for _, o := range d.out {
		if o.seg.Seq == iss.Add(1) {
			t.Errorf("sent again: %s", d.show(o))
		}
	}
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
}

func TestOneLossOneReduction(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(3001, 6001))
	d.out = nil
	d.acks(1, sack(3001, 10001))
	d.out = nil
	d.acks(1001, sack(3001, 10001))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
}

// RFC6675-5.1-a: what a timeout took for lost is no loss once more.
func TestNoRecoveryBelowRecoverWithSACK(t *testing.T) {
	d := window(t, sackOK())
	d.wait(time.Second)
	d.out = nil
	was := d.c.Snapshot().Ssthresh
	d.acks(1001)
	d.acks(1001) // of new data, and nothing of the old: the timeout was real (RFC 5682)
	d.acks(1001, sack(5001, 9001))
	s := d.c.Snapshot()
	d.same("recovering", s.Recovering, false)
	d.same("ssthresh", s.Ssthresh, was)
	d.out = nil
}

// What the peer holds is not sent again after a timeout.
func TestTimeoutWithSACK(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(9001, 10001)) // too little to tell
	d.segments(10001, 1)
	d.acks(1, sack(9001, 11001))
	d.out = nil
	d.wait(time.Second)
	d.out = nil
	d.advance(d.now.Add(rto(d)))
	d.out = nil
	d.acks(9001) // nothing of what was held
	d.expect("ACK", seq(11001), length(1000))
}

// RFC 2018, section 8: a peer may forget what it said it held.
// RFC2018-8-a, RFC2018-5-a.
func TestReneging(t *testing.T) {
	d := established(t, stack.Config{}, sackOK())
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.acks(1, sack(1, 6))
	d.expectAfter(firstRTO, "PSH,ACK", seq(1), text("hello"), why(stack.ReasonRetransmitTimeout, 1))
}

func TestLyingSACK(t *testing.T) {
	d := window(t, sackOK())
	for _, b := range [][]int{{10001, 11001}, {2001, 1001}, {-1000, 500}, {9001, 20001}, {1001, 1001}, {-1 << 30, 1 << 30}} {
		d.acks(1, sack(b...))
		d.expectNothing()
		d.same("recovering", d.c.Snapshot().Recovering, false)
	}
	// Single octets here and there do not take a segment apart.
	for i := 1; i < 10000; i += 2 {
		d.acks(1, sack(i, i+1))
		d.expectNothing()
	}
	d.same("runs", d.c.Runs(), 10)
}

// RFC8985-9.2-a: once segments were seen to overtake each other, what is late gets its time,
// however much has arrived.
func TestReorderingIsRemembered(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 2001))
	d.acks(2001)
	d.out = nil
	d.acks(2001, sack(3001, 10001))
	d.out = slices.DeleteFunc(d.out, func(o output) bool { return o.seg.Seq.Sub(iss) > 10000 })
	d.expectNothing()
	d.wait(rtt / 4)
	d.expect("ACK", seq(2001), length(1000), why(stack.ReasonFastRetransmit))
}

// RFC6582-3.2-a: duplicate ACKs of the very end of a recovery
// may come from what it sent twice.
func TestNoFastRetransmitAtRecover(t *testing.T) {
	d := window(t)
	d.expectAfter(firstRTO-rtt, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout))
	d.acks(10001)
	d.segments(10001, 2)
	for range 5 {
		d.acks(10001)
	}
	for _, o := range d.out {
		if o.seg.Seq == iss.Add(10001) {
			t.Errorf("sent again: %s", d.show(o))
		}
	}
}

// Karn, where one ACK answers both what went out twice and what went out once.
// RFC6298-3-a.
func TestNoSampleFromARecovery(t *testing.T) {
	d := window(t)
	for range 3 {
		d.acks(1)
	}
	d.out = nil
	d.wait(rtt)
	was := d.c.Snapshot().SRTT
	d.acks(3001)
	d.same("SRTT", d.c.Snapshot().SRTT, was)
}

// An ACK that follows a retransmission too fast answers the original: it does
// not make everything sent in between lost (RFC 8985, section 6.2, step 2).
// RFC8985-4-a.
func TestASpuriousRetransmissionProvesNothing(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 2001))
	d.out = nil
	d.wait(rtt / 4)
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonFastRetransmit))
	d.out = nil
	d.wait(ms)
	d.acks(2001)
	d.acks(3001)
	d.same("retransmits", d.c.Snapshot().Retransmits, 1)
}

// RFC6675-5.1-a: after a timeout in a recovery no other begins before all that
// was in flight is acknowledged.
func TestNoRecoveryAfterATimeoutInRecovery(t *testing.T) {
	d := window(t, sackOK())
	d.acks(1, sack(1001, 5001))
	d.out = nil
	end := sndNxt(d)
	d.advance(d.now.Add(rto(d)))
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.same("recovering", d.c.Snapshot().Recovering, false)
	for i := 6001; i < end; i += 1000 {
		d.acks(1, sack(1001, 5001, 6001, i))
		d.same("recovering", d.c.Snapshot().Recovering, false)
	}
	d.out = nil
	d.acks(end)
	d.out = nil
	d.wait(rtt)
	d.writeN(100_000)
	for range 20 { // now one may
		d.out = nil
		d.wait(rtt)
		if una := d.c.Snapshot().SndUna.Sub(iss); una+5000 <= sndNxt(d) {
			d.acks(una, sack(una+1000, una+5000))
			d.out = nil
			d.wait(rtt / 4)
			d.same("recovering", d.c.Snapshot().Recovering, true)
			return
		}
		d.acks(sndNxt(d))
	}
	t.Error("the window never opened")
}
