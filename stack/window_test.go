package stack_test

import (
	"io"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.8.6: the windows.

// SHLD-29 and SHLD-30: the first probe after one RTO, then ever more seldom,
// whether the peer answers or not; MUST-37: while it does, for ever.
// MUST-36, RFC1122-4.2.2.17-a.
func TestZeroWindowProbes(t *testing.T) {
	d := established(t, stack.Config{})
	d.acks(1, win(0))
	d.write("hello")
	wait := firstRTO
	for n := 1; n <= 200; n++ {
		d.expectAfter(min(wait, time.Minute), "ACK", seq(1), text("h"), why(stack.ReasonWindowProbe, n))
		d.acks(1, win(0))
		wait = min(2*wait, time.Minute)
	}
	d.acks(1, win(1000))
	d.expect("PSH,ACK", seq(1), text("hello"), why(stack.ReasonData))
	d.acks(6)
	d.wait(time.Hour)
	d.expectNothing()
}

// MUST-35: the same for a window that closes over what is in flight; and an
// answer so late is no sample of the round trip.
func TestTheWindowClosesOverWhatIsInFlight(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.acks(1, win(0))
	d.expectAfter(firstRTO, "ACK", seq(1), text("h"), why(stack.ReasonWindowProbe, 1))
	d.acks(1, win(0))
	d.expectAfter(2*firstRTO, "ACK", seq(1), text("h"), why(stack.ReasonWindowProbe, 2))
	d.acks(2, win(0)) // it has taken the octet
	d.same("SRTT", d.c.Snapshot().SRTT, rtt)
	d.expectAfter(firstRTO, "ACK", seq(2), text("e"), why(stack.ReasonWindowProbe, 1))
	d.acks(2, win(1000))
	d.expect("PSH,ACK", seq(2), text("ello"), why(stack.ReasonRecovery))
	d.acks(6)
	d.same("cwnd", cwnd(d), 10000) // a closed window is no congestion
	d.wait(time.Hour)
	d.expectNothing()
}

func TestTheProbedOctetIsTaken(t *testing.T) {
	d := established(t, stack.Config{})
	d.acks(1, win(0))
	d.write("hello")
	d.expectAfter(firstRTO, "ACK", seq(1), text("h"))
	d.acks(2, win(0))
	d.same("SND.NXT", sndNxt(d), 2)
	d.expectAfter(firstRTO, "ACK", seq(2), text("e"), why(stack.ReasonWindowProbe, 1))
	d.acks(3, win(100))
	d.expect("PSH,ACK", seq(3), text("llo"))
}

func TestAClosedWindowAndADeadPeer(t *testing.T) {
	d := established(t, stack.Config{UserTimeout: 2 * time.Second})
	d.acks(1, win(0))
	d.wait(time.Hour) // nothing to send: nothing due
	d.write("hello")
	d.expectAfter(300*ms, "ACK", text("h"))
	d.expectAfter(600*ms, "ACK", text("h"))
	d.expectAfter(1100*ms, "RST,ACK", seq(1), why(stack.ReasonTimeoutAbort))
	d.ended(stack.ErrTimeout)
}

func TestFINAsWindowProbe(t *testing.T) {
	d := established(t, stack.Config{})
	d.acks(1, win(0))
	d.closeWrite()
	d.expectAfter(firstRTO, "FIN,ACK", seq(1), why(stack.ReasonWindowProbe, 1))
	d.acks(1, win(0))
	d.expectAfter(2*firstRTO, "FIN,ACK", seq(1), why(stack.ReasonWindowProbe, 2))
	d.acks(2, win(0))
	d.state(stack.StateFinWait2)
	d.wait(time.Hour)
}

// MUST-34, SHLD-15, SHLD-16, SHLD-17.
func TestAShrinkingWindow(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeN(20000)
	d.segments(1, 10)
	d.acks(1, win(1500))
	d.expectNothing()
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(1001, win(500))
	d.expect("ACK", seq(1001), length(500))
	d.acks(1501, win(0))
	d.expectNothing()
	d.wait(rto(d))
	d.expect("ACK", seq(1501), length(1), why(stack.ReasonWindowProbe))
	d.acks(1501, win(60000))
	d.out = nil
	for range 20 {
		d.acks(sndNxt(d))
		d.out = nil
	}
	d.same("queue", d.c.Snapshot().SendQueue, 0)
}

func TestAFINThatTheWindowShrinksAwayFrom(t *testing.T) {
	d := established(t, stack.Config{})
	d.c.Write(d.now, []byte("hello"))
	d.closeWrite()
	d.expect("FIN,PSH,ACK", text("hello"))
	d.acks(1, win(3))
	d.expectAfter(firstRTO, "ACK", seq(1), text("hel"))
	d.acks(4, win(2))
	d.expect("PSH,ACK", seq(4), text("lo"))
	d.acks(6, win(1))
	d.expect("FIN,ACK", seq(6))
	d.acks(7)
	d.state(stack.StateFinWait2)
}

// An older segment brings an older window (SND.WL1, SND.WL2).
func TestAnOldWindowIsIgnored(t *testing.T) {
	d := established(t, stack.Config{})
	d.data(11, 10, 1, win(500))
	d.expect("ACK", sack())
	d.data(1, 10, 1, win(40000))
	d.expect("ACK", ack(21))
	d.same("SND.WND", d.c.Snapshot().SndWnd, 500)
}

// A retransmission is behind SND.WL1, but its higher ACK shows that it is newer:
// its window counts, or SND.UNA alone would move the right edge.
func TestTheWindowOfARetransmission(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true})
	d.acks(1, win(10))
	d.write("helloworld")
	d.expect("PSH,ACK", text("helloworld"))
	d.write("more")
	d.data(11, 10, 1, win(10))
	d.expect("ACK", ack(1))
	d.data(1, 10, 6, win(5)) // the right edge stays where it was
	d.expect("ACK", ack(21))
	d.same("SND.WND", d.c.Snapshot().SndWnd, 5)
	d.expectNothing()
}

// SWS avoidance of the sender (section 3.8.6.2.1), and Nagle's.

// SHLD-7, SHLD-27, SHLD-28, MUST-60, MUST-61, MAY-16.
func TestNagle(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("a")
	d.expect("PSH,ACK", seq(1), text("a"))
	d.write("b")
	d.write("c")
	d.expectNothing()
	d.acks(2)
	d.expect("PSH,ACK", seq(2), text("bc"))
	d.writeN(1001)
	d.expect("ACK", seq(4), length(1000)) // a full segment does not wait
	d.expectNothing()
	d.acks(1004)
	d.expect("PSH,ACK", length(1))
}

// MUST-17.
func TestNoNagle(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.write("b")
	d.expect("PSH,ACK", text("b"))
}

// What is written while much is under way to a near peer may wait for more, and who
// waits for room is woken when half of the buffer is free, not a third. What is under
// way to a far peer takes longer than that is worth.
func TestTogether(t *testing.T) {
	for rtt, near := range map[time.Duration]bool{time.Millisecond: true, 2 * time.Millisecond: false} {
		d := dial(t, stack.Config{SendBuffer: 300_000, InitialWindow: 300})
		d.expect("SYN")
		d.wait(rtt)
		d.send("SYN,ACK", seq(0), ack(1), mss(1000), ws(7))
		d.acks(1, win(60000))
		d.writeN(66_000)
		d.same("together, with 66,000 octets under way", d.c.Together(), near)
		d.c.Write(d.now, make([]byte, 149_999))
		d.same("together, with half a buffer unsent, but for an octet", d.c.Together(), near)
		d.c.Write(d.now, make([]byte, 1))
		d.same("together, with half a buffer unsent", d.c.Together(), false)
		d.flush()
		d.same("writable, with 216,000 octets of 300,000 in use", d.c.Writable(), false)
		d.out = nil
		d.wait(rtt)
		d.acks(16_001)
		d.same("writable, with two thirds in use", d.c.Writable(), !near)
		d.acks(66_001)
		d.same("writable, with half in use", d.c.Writable(), true)
		d.same("together, with 150,000 octets under way", d.c.Together(), near)
		d.c.CloseWrite(d.now)
		d.same("together, when nothing more will come", d.c.Together(), false)
		d.acks(151_001)
		d.same("together, with 65,000 octets under way", d.c.Together(), false)
	}
}

func TestASendBufferOfOneOctet(t *testing.T) {
	d := established(t, stack.Config{SendBuffer: 1})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.same("writable while it is under way", d.c.Writable(), false)
	d.acks(2)
	d.same("writable when it has arrived", d.c.Writable(), true)
}

// MUST-38, MUST-60, SHLD-28.
func TestSillyWindowOfThePeer(t *testing.T) {
	for _, noDelay := range []bool{false, true} {
		d := established(t, stack.Config{NoDelay: noDelay})
		d.acks(1, win(100))
		d.writeN(2000)
		d.expectNothing()
		d.expectAfter(firstRTO, "ACK", seq(1), length(100)) // the override timer
		d.acks(101, win(100))
		d.expectNothing()
		d.acks(101, win(1000))
		d.expect("ACK", seq(101), length(1000))
	}
}

// Half the largest window is worth a segment: the peer has no more.
func TestASmallWindowIsUsed(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.send("SYN,ACK", seq(0), ack(1), mss(1000), win(300))
	d.expect("ACK")
	d.writeN(1000)
	d.expect("ACK", seq(1), length(300))
	d.acks(301, win(150))
	d.expect("ACK", seq(301), length(150))
	d.acks(451, win(149))
	d.expectNothing()
	d.wait(rto(d))
	d.expect("ACK", seq(451), length(149))
}

// RFC7323-2.2-b.
func TestWindowsAreScaled(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1 << 20}, ws(7), win(100))
	d.same("SND.WND of the SYN,ACK", d.c.Snapshot().SndWnd, 100)
	d.acks(1, win(100))
	d.same("SND.WND", d.c.Snapshot().SndWnd, 12800)
	d.data(1, 1000, 1)
	d.data(1001, 1000, 1)
	d.expect("ACK", ack(2001), win((1<<20-2000)>>5))
}

// MUST-1, REC-1: a window is never negative, and may take 30 bits (RFC 7323).
func TestTheLargestWindows(t *testing.T) {
	const largest = 65535 << 14
	d := established(t, stack.Config{ReceiveBuffer: 1 << 30}, ws(14), win(65535))
	d.same("SND.WND of the SYN,ACK", d.c.Snapshot().SndWnd, 65535)
	d.acks(1, win(65535))
	d.same("SND.WND", d.c.Snapshot().SndWnd, largest)
	d.same("RCV.WND", d.c.Snapshot().RcvWnd, largest)
	d.send("ACK", seq(1+largest), ack(1)) // the right edge
	d.expectNothing()
	d.send("ACK", seq(2+largest), ack(1))
	d.expect("ACK", seq(1), ack(1), win(65535), why(stack.ReasonUnacceptableACK))
}

// Our own window: its right edge does not move left, and not beyond the buffer.

// MUST-39.
func TestReceiverSWSAvoidance(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 4000, MSS: 1000})
	for at := 1; at < 4000; at += 1000 {
		d.data(at, 1000, 1)
	}
	d.expect("ACK", ack(2001), win(2000))
	d.expect("ACK", ack(4001), win(0))
	d.readN(999)
	d.expectNothing()
	d.readN(1)
	d.expect("ACK", ack(4001), win(1000), why(stack.ReasonWindowUpdate))
	d.readN(500)
	d.expectNothing()
	d.data(4001, 1000, 1)
	d.expectAfter(delayedACK, "ACK", ack(5001), win(0)) // 500 are not worth telling
	d.readN(2500)
	d.expect("ACK", win(3000), why(stack.ReasonWindowUpdate))
}

// SHLD-2, MAY-8.
func TestDataForAClosedWindow(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1000, MSS: 1000})
	d.data(1, 1000, 1)
	d.expectAfter(delayedACK, "ACK", ack(1001), win(0))
	d.data(1001, 1, 1)
	d.expect("ACK", ack(1001), win(0), why(stack.ReasonUnacceptableACK))
	d.write("hello") // the ACK in it counts (MUST-66)
	d.expect("PSH,ACK", text("hello"))
	d.send("FIN,ACK", seq(1001), ack(6), text("x"))
	d.expect("ACK", ack(1001), win(0))
	d.same("flight", d.c.Snapshot().Flight, 0)
	d.state(stack.StateEstablished)
	d.send("RST", seq(1001), text("and the RST"))
	d.ended(stack.ErrReset)
}

// It takes no room. Who sends it until it is acknowledged would do so in vain.
func TestFINForAClosedWindow(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1000, MSS: 1000})
	d.data(1, 1000, 1)
	d.expectAfter(delayedACK, "ACK", ack(1001), win(0))
	d.send("FIN,ACK", seq(1002), ack(1))
	d.expect("ACK", ack(1001), win(0))
	d.send("FIN,ACK", seq(1001), ack(1))
	d.expect("ACK", ack(1002), win(0), why(stack.ReasonFINACK))
	d.state(stack.StateCloseWait)
	d.readN(1000)
	d.expectNothing()
	d.readEnd(io.EOF)
}

func TestDataBeyondTheWindowAreCut(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1000, MSS: 1000})
	d.send("FIN,ACK", seq(1), ack(1), length(1500))
	d.expectAfter(delayedACK, "ACK", ack(1001), win(0))
	d.state(stack.StateEstablished)
	d.readN(1000)
}

// A scaled window that does not divide is rounded, which must not let the edge
// creep beyond the buffer when the application does not read.
// SHLD-14.
func TestTheEdgeDoesNotCreep(t *testing.T) {
	const buffer = 70000 // shift 1
	d := established(t, stack.Config{ReceiveBuffer: buffer, DelayedACK: -1}, ws(0))
	at := 1
	for at < buffer-1000 {
		d.data(at, 999, 1)
		at += 999
	}
	for range 3000 {
		d.data(at, 1, 1)
		at = rcvNxt(d)
	}
	d.same("octets received", d.c.Snapshot().ReceiveQueue, buffer)
	edge := 0
	for i, o := range d.out {
		e := o.seg.Ack.Add(int(o.seg.Window) << 1).Sub(irs)
		if e > buffer+1 {
			t.Fatalf("the edge is %d, the buffer ends at %d", e, buffer+1)
		}
		if e < edge-1 {
			t.Fatalf("ACK %d moves the edge from %d to %d", i, edge, e)
		}
		edge = max(e, edge)
	}
}

// RFC7323-2.4-a: where the scaled window has to be rounded down, what was offered
// before stays acceptable.
func TestARoundedWindowTakesNothingBack(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 70000, DelayedACK: -1}, ws(0)) // shift 1
	d.data(1, 999, 1)
	d.expect("ACK", ack(1000), win(69000>>1)) // 69001 were offered
	d.data(1000, 69001, 1)
	d.expect("ACK", ack(70001), win(0))
	d.readN(70000)
}

// A peer that has filled the window acknowledges from its right edge.
func TestACKAtTheRightEdge(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 2000, MSS: 1000})
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	d.send("ACK", seq(2001), ack(6)) // 1 to 2000 were lost
	d.expectNothing()
	d.same("flight", d.c.Snapshot().Flight, 0)
}

// The window reopens although much room is offered already elsewhere: nothing
// may stall.
func TestOneOctetBuffer(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1})
	for at := 1; at < 10; at++ {
		d.data(at, 1, 1)
		d.out = nil
		d.readN(1)
		d.expect("ACK", ack(at+1), win(1))
	}
}

// An update that the peer has no need of yet is not worth a segment.
func TestNoNeedlessWindowUpdate(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 60000})
	for at := 1; at < 20000; at += 2000 {
		d.data(at, 1000, 1)
		d.data(at+1000, 1000, 1)
		d.expect("ACK", ack(at+2000))
		d.readN(2000)
		d.expectNothing()
	}
}
