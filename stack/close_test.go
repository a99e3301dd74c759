package stack_test

import (
	"io"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.6: closing a connection.

// Figure 12, with four segments.
// MUST-13.
func TestActiveClose(t *testing.T) {
	d := established(t, stack.Config{})
	d.close()
	d.expect("FIN,ACK", seq(1), ack(1), why(stack.ReasonFIN))
	d.state(stack.StateFinWait1)
	d.send("ACK", seq(1), ack(2))
	d.expectNothing()
	d.state(stack.StateFinWait2)
	d.send("FIN,ACK", seq(1), ack(2))
	d.expect("ACK", seq(2), ack(2), why(stack.ReasonFINACK))
	d.state(stack.StateTimeWait)
	d.readEnd(io.EOF)
	d.wait(time.Minute - 1)
	d.state(stack.StateTimeWait)
	d.wait(1)
	d.ended(nil)
	d.readEnd(io.EOF)
}

// The peer closes in the same breath: three segments.
func TestActiveCloseWithThreeSegments(t *testing.T) {
	d := established(t, stack.Config{})
	d.close()
	d.expect("FIN,ACK", seq(1))
	d.send("FIN,ACK", seq(1), ack(2))
	d.expect("ACK", seq(2), ack(2))
	d.state(stack.StateTimeWait)
}

// MUST-12.
func TestPassiveClose(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(1), ack(1))
	d.expect("ACK", seq(1), ack(2), why(stack.ReasonFINACK))
	d.state(stack.StateCloseWait)
	d.readEnd(io.EOF)
	d.write("one may still send")
	d.expect("PSH,ACK", seq(1), ack(2), text("one may still send"))
	d.acks(19, seq(2))
	d.close()
	d.expect("FIN,ACK", seq(19), ack(2))
	d.state(stack.StateLastAck)
	d.send("ACK", seq(2), ack(20))
	d.ended(nil)
}

// Figure 13: both FINs cross.
func TestSimultaneousClose(t *testing.T) {
	d := established(t, stack.Config{})
	d.close()
	d.expect("FIN,ACK", seq(1), ack(1))
	d.send("FIN,ACK", seq(1), ack(1))
	d.expect("ACK", seq(2), ack(2))
	d.state(stack.StateClosing)
	d.send("FIN,ACK", seq(1), ack(1)) // again: our ACK was lost
	d.expect("ACK", seq(2), ack(2))
	d.send("ACK", seq(2), ack(2))
	d.expectNothing()
	d.state(stack.StateTimeWait)
}

// In CLOSING, the retransmitted FIN may bring the ACK of ours.
func TestClosingEndsByTheRepeatedFIN(t *testing.T) {
	d := established(t, stack.Config{})
	d.close()
	d.expect("FIN,ACK")
	d.send("FIN,ACK", seq(1), ack(1))
	d.expect("ACK")
	d.send("FIN,ACK", seq(1), ack(2))
	d.state(stack.StateTimeWait)
}

func TestHalfClose(t *testing.T) {
	d := established(t, stack.Config{})
	d.closeWrite()
	d.expect("FIN,ACK", seq(1))
	d.acks(2)
	d.state(stack.StateFinWait2)
	d.wait(time.Hour) // half-closed, one may wait for ever
	d.state(stack.StateFinWait2)
	d.send("PSH,ACK", seq(1), ack(2), text("late"))
	d.expectAfter(delayedACK, "ACK", seq(2), ack(5))
	d.read(10, "late")
	d.send("FIN,ACK", seq(5), ack(2))
	d.expect("ACK", ack(6))
	d.state(stack.StateTimeWait)
}

func TestFINFollowsTheData(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("hello")
	d.expect("PSH,ACK", seq(1), text("hello"))
	d.write("world") // Nagle holds it
	d.closeWrite()
	d.expect("FIN,PSH,ACK", seq(6), text("world"), why(stack.ReasonFIN))
	_, err := d.c.Write(d.now, []byte("x"))
	d.fails(err, stack.ErrClosing)
}

func TestLostFIN(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("hello")
	d.expect("PSH,ACK", seq(1), text("hello"))
	d.closeWrite()
	d.expect("FIN,ACK", seq(6))
	d.acks(6) // the data arrived, the FIN did not
	d.state(stack.StateFinWait1)
	rto := d.c.Snapshot().RTO
	d.expectAfter(rto, "FIN,ACK", seq(6), why(stack.ReasonRetransmitTimeout, 1))
	d.expectAfter(2*rto, "FIN,ACK", seq(6), why(stack.ReasonRetransmitTimeout, 2))
	d.acks(7)
	d.state(stack.StateFinWait2)
}

// The peer takes the data of a segment and not its FIN.
func TestPartiallyAcknowledgedFIN(t *testing.T) {
	d := established(t, stack.Config{})
	d.c.Write(d.now, []byte("hello"))
	d.closeWrite()
	d.expect("FIN,PSH,ACK", seq(1), text("hello"))
	d.acks(4)
	d.expectAfter(d.c.Snapshot().RTO, "FIN,PSH,ACK", seq(4), text("lo"))
	d.acks(6)
	d.wait(d.c.Snapshot().RTO)
	d.expect("FIN,ACK", seq(6))
	d.acks(7)
	d.state(stack.StateFinWait2)
}

// SHLD-31: a FIN ahead of missing data waits for it.
func TestFINOutOfOrder(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(6), ack(1))
	d.expect("ACK", ack(1), why(stack.ReasonDuplicateACK))
	d.state(stack.StateEstablished)
	d.send("PSH,ACK", seq(1), ack(1), text("hello"))
	d.expect("ACK", ack(7), why(stack.ReasonFINACK))
	d.state(stack.StateCloseWait)
	d.read(100, "hello")
	d.readEnd(io.EOF)
}

func TestFINWithDataOutOfOrder(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(4), ack(1), text("lo"))
	d.expect("ACK", ack(1))
	d.send("ACK", seq(1), ack(1), text("hel"))
	d.expect("ACK", ack(7))
	d.state(stack.StateCloseWait)
	d.read(100, "hello")
}

// Old data with a new FIN behind it.
func TestFINBehindOldData(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.send("FIN,ACK", seq(1), ack(1), text("hello"))
	d.expect("ACK", ack(7))
	d.state(stack.StateCloseWait)
	d.read(100, "hello")
}

// Nor when the FIN was known before the data.
func TestDataBeyondAFINOutOfOrder(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(6), ack(1))
	d.expect("ACK", ack(1), why(stack.ReasonDuplicateACK))
	d.send("ACK", seq(1), ack(1), text("hello world"))
	d.expect("ACK", ack(7), why(stack.ReasonFINACK))
	d.state(stack.StateCloseWait)
	d.read(100, "hello")
	d.readEnd(io.EOF)
}

func TestNothingBehindTheFIN(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(1), ack(1))
	d.expect("ACK", ack(2))
	d.send("ACK", seq(2), ack(1), text("more"))
	d.expectNothing()
	d.readEnd(io.EOF)
	d.state(stack.StateCloseWait)
}

// A FIN in the midst of data that is held already is a lie.
func TestFINBeforeDataThatArrived(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(6), ack(1), text("world"))
	d.expect("ACK", ack(1))
	d.send("FIN,ACK", seq(4), ack(1))
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.out = nil
	d.read(100, "helloworld")
	d.state(stack.StateEstablished)
	d.send("FIN,ACK", seq(11), ack(1))
	d.state(stack.StateCloseWait)
}

func TestFinWait2IsGivenUpOnceClosed(t *testing.T) {
	d := established(t, stack.Config{})
	d.close()
	d.expect("FIN,ACK")
	d.acks(2)
	d.wait(time.Minute - 1)
	d.state(stack.StateFinWait2)
	d.wait(1)
	d.ended(stack.ErrIdle)
}

func TestFinWait2IsGivenUpOnceHalfCloseBecomesClose(t *testing.T) {
	d := established(t, stack.Config{FinWait2: 5 * time.Second})
	d.closeWrite()
	d.expect("FIN,ACK")
	d.acks(2)
	d.wait(time.Minute)
	d.close()
	d.wait(5 * time.Second)
	d.ended(stack.ErrIdle)
}

// SHLD-3, RFC 2525, section 2.17: unread data is lost data.
func TestCloseWithUnreadData(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.close()
	d.expect("RST,ACK", seq(1), ack(6), why(stack.ReasonUnreadData))
	d.ended(stack.ErrAborted)
	d.ok(d.c.Close(d.now))
}

// SHLD-3, MAY-1.
func TestDataAfterClose(t *testing.T) {
	d := established(t, stack.Config{})
	d.close()
	d.expect("FIN,ACK", seq(1))
	d.acks(2)
	d.send("ACK", seq(1), ack(2), text("hello"))
	d.expect("RST,ACK", seq(2), why(stack.ReasonDataAfterClose))
	d.ended(stack.ErrAborted)
}

func TestCloseBeforeTheConnectionStands(t *testing.T) {
	d := listen(t, stack.Config{})
	d.close()
	d.ended(nil)
	d = dial(t, stack.Config{})
	d.expect("SYN")
	d.close()
	d.ended(nil)
}

// The last ACK acknowledges the FIN and nothing before it was lost.
func TestLastAckWaitsForAllData(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(1), ack(1))
	d.expect("ACK", ack(2))
	d.c.Write(d.now, []byte("hello"))
	d.close()
	d.expect("FIN,PSH,ACK", seq(1), ack(2), text("hello"))
	d.acks(6, seq(2))
	d.state(stack.StateLastAck)
	d.acks(7, seq(2))
	d.ended(nil)
}
