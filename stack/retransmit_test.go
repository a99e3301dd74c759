package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 6298, and RFC 9293, section 3.8.3.

func rto(d *dialogue) time.Duration { return d.c.Snapshot().RTO }

// MUST-19, RFC6298-2.5-a, RFC6298-5-a, RFC6298-5-c.
func TestRetransmissionBacksOff(t *testing.T) {
	d := established(t, stack.Config{UserTimeout: -1})
	d.write("hello")
	d.expect("PSH,ACK", seq(1), text("hello"), why(stack.ReasonData))
	wait := firstRTO
	for n := 1; n <= 12; n++ {
		d.expectAfter(min(wait, time.Minute), "PSH,ACK", seq(1), text("hello"), why(stack.ReasonRetransmitTimeout, n))
		wait *= 2
	}
	d.same("retransmits", d.c.Snapshot().Retransmits, 12)
}

// RFC 6298, 2.2 and 2.3.
// MUST-18, RFC6298-2.3-a.
func TestRTOFollowsTheSamples(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.wait(200 * ms)
	d.acks(2)
	s := d.c.Snapshot()
	d.same("SRTT", s.SRTT, 112500*time.Microsecond)
	d.same("RTTVAR", s.RTTVar, 62500*time.Microsecond)
	d.same("RTO", s.RTO, 362500*time.Microsecond)
}

// RFC6298-4-a: without any variance there is the clock's granularity yet.
func TestRTOOfASteadyPath(t *testing.T) {
	d := established(t, stack.Config{MinRTO: 1})
	for n := 1; n <= 100; n++ {
		d.write("a")
		d.expect("PSH,ACK", text("a"))
		d.wait(rtt)
		d.acks(1 + n)
	}
	d.same("RTO", rto(d), rtt+ms)
}

// RFC6298-3-b: each round trip brings a sample.
func TestEachRoundTripIsMeasured(t *testing.T) {
	d := established(t, stack.Config{})
	for n := range 5 {
		was := d.c.Snapshot().SRTT
		d.writeN(3000)
		d.out = nil
		d.wait(rtt + time.Duration(n+1)*20*ms)
		d.acks(3000*n + 1001)
		d.acks(3000*n + 3001)
		if got := d.c.Snapshot().SRTT; got <= was {
			t.Errorf("round trip %d: SRTT was %v and is %v", n, was, got)
		}
	}
}

// RFC6298-2.4-a, with the least that the configuration gives.
func TestRTOHasALeast(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.wait(ms)
	d.send("SYN,ACK", seq(0), ack(1))
	d.expect("ACK")
	d.same("RTO", rto(d), 200*ms)

	d = established(t, stack.Config{MinRTO: time.Second})
	d.same("RTO of at least a second", rto(d), time.Second)
}

// Karn: an ACK of what went out twice says nothing of the time, and the backed
// off timeout stays until a sample comes.
// MUST-18, RFC6298-3-a.
func TestKarn(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.expectAfter(firstRTO, "PSH,ACK", text("a"))
	d.wait(50 * ms)
	d.acks(2)
	d.same("SRTT", d.c.Snapshot().SRTT, rtt)
	d.same("RTO", rto(d), 2*firstRTO)
	d.write("b")
	d.expect("PSH,ACK", seq(2), text("b"))
	d.wait(rtt)
	d.acks(3)
	d.same("RTO", rto(d), rtt+150*ms) // RTTVAR is 3/4 of what it was
}

// With timestamps the echo tells which of the two was answered (RFC 7323,
// section 4).
func TestTimestampsSampleARetransmission(t *testing.T) {
	d := established(t, stack.Config{}, ts(1, 0))
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.expectAfter(firstRTO, "PSH,ACK", text("a"))
	sent := d.tsval()
	d.wait(rtt)
	d.acks(2, ts(2, sent))
	d.same("SRTT", d.c.Snapshot().SRTT, rtt)
	d.same("RTO", rto(d), rtt+150*ms)
}

// An echo from before the retransmission tells of an ACK that was lost. As a
// sample it would make the timeout grow with every loss.
// RFC6298-3-a.
func TestAnOldEchoIsNoSample(t *testing.T) {
	d := established(t, stack.Config{}, ts(1, 0))
	first := d.tsval()
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.expectAfter(firstRTO, "PSH,ACK", text("a"))
	d.wait(rtt)
	d.acks(2, ts(2, first))
	d.same("SRTT", d.c.Snapshot().SRTT, rtt)
	d.same("RTO", rto(d), 2*firstRTO)
}

// RFC 6298, 5.3: an ACK of new data starts the timer anew; 5.2: the last stops it.
// RFC6298-5-b.
func TestTheTimerRestartsWithEachACK(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.write("b")
	d.expect("PSH,ACK", text("b"))
	d.wait(rtt)
	d.acks(2)
	d.expectAfter(rto(d), "PSH,ACK", seq(2), text("b"))
	d.acks(3)
	d.wait(time.Hour)
	d.expectNothing()
}

// RFC6298-5-b.
func TestADuplicateACKDoesNotRestartTheTimer(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.wait(rtt)
	d.acks(1)
	d.expectAfter(firstRTO-rtt, "PSH,ACK", seq(1), text("a"))
}

func TestPartOfASegmentIsAcknowledged(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.acks(3)
	d.expectAfter(rto(d), "PSH,ACK", seq(3), text("llo"))
}

// R2: the peer is told, for it may be there yet.
func TestUserTimeout(t *testing.T) {
	d := established(t, stack.Config{UserTimeout: time.Second})
	d.wait(time.Hour) // nothing is due
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.expectAfter(firstRTO, "PSH,ACK", text("hello"))
	d.expectAfter(2*firstRTO, "PSH,ACK", text("hello"))
	d.expectAfter(time.Second-3*firstRTO, "RST,ACK", seq(6), ack(1), why(stack.ReasonTimeoutAbort))
	d.ended(stack.ErrTimeout)
	d.readEnd(stack.ErrTimeout)
}

func TestUserTimeoutBeginsWithProgress(t *testing.T) {
	d := established(t, stack.Config{UserTimeout: 500 * ms})
	d.writeN(2000)
	d.expect("ACK", length(1000))
	d.expect("PSH,ACK", length(1000))
	d.wait(250 * ms)
	d.acks(1001)
	d.wait(500*ms - 1)
	d.out = nil
	d.state(stack.StateEstablished)
	d.wait(1)
	d.expect("RST,ACK")
	d.ended(stack.ErrTimeout)
}

func TestNoUserTimeout(t *testing.T) {
	d := established(t, stack.Config{UserTimeout: -1})
	d.write("hello")
	for range 1000 {
		d.out = nil
		d.wait(time.Minute)
	}
	d.state(stack.StateEstablished)
}

// The queue behind a segment does not change what is sent again, but for what
// was cut from it.
func TestRetransmissionIsTheSameSegment(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.write("world")
	d.expectAfter(firstRTO, "ACK", seq(1), text("hello"))
	d.acks(6)
	d.expect("PSH,ACK", seq(6), text("world"))
}

// After a timeout all that was in flight goes out again, as slow start allows,
// and nothing twice.
func TestTimeoutOfAWindow(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(4000)
	for i := range 4 {
		flags := "ACK"
		if i == 3 {
			flags = "PSH,ACK"
		}
		d.expect(flags, seq(1+1000*i), length(1000))
	}
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(1001)
	d.expect("ACK", seq(1001), length(1000))
	d.expect("ACK", seq(2001), length(1000))
	d.acks(4001) // the rest had arrived
	d.wait(time.Hour)
	d.expectNothing()
}

// Small segments that are lost together go out again as one, for each may be
// lost again.
func TestSmallSegmentsAreJoined(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true})
	for i := range 10 {
		d.write("0123456789"[i : i+1])
		d.expect("PSH,ACK", seq(1+i), length(1))
	}
	d.closeWrite()
	d.expect("FIN,ACK", seq(11))
	d.acks(4)
	d.expectAfter(rto(d), "FIN,PSH,ACK", seq(4), text("3456789"), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(6, win(2))
	d.out = nil
	d.wait(time.Minute)
	d.expect("ACK", seq(6), text("56"), why(stack.ReasonRetransmitTimeout))
}

// RFC 6298, section 5: a round trip ends the doubling, of the timer that runs as well,
// though SACK alone does not start it again. No segment goes out again sooner than a
// timeout after the last time.
func TestSampleEndsTheDoubling(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true}, sackOK())
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.expectAfter(firstRTO, "PSH,ACK", text("a"), why(stack.ReasonTailProbe))
	d.expectAfter(firstRTO, "PSH,ACK", text("a"), why(stack.ReasonRetransmitTimeout, 1))
	d.expectAfter(2*firstRTO, "PSH,ACK", text("a"), why(stack.ReasonRetransmitTimeout, 2))
	d.write("b")
	d.expect("PSH,ACK", seq(2), text("b"))
	d.wait(rtt)
	d.acks(1, sack(2, 3))
	d.expect("ACK", seq(1), text("a"))
	d.same("timeouts", d.c.Snapshot().Backoff, 0)
	d.expectAfter(rto(d), "ACK", seq(1), text("a"), why(stack.ReasonRetransmitTimeout, 1))
}
