package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.8.4.

var keepAlive = stack.Config{KeepAlive: true, KeepAliveInterval: time.Minute, KeepAliveCount: 3}

// MUST-25, MUST-28.
func TestKeepAliveIsOff(t *testing.T) {
	d := established(t, stack.Config{})
	d.wait(1000 * time.Hour)
	d.expectNothing()
	d.state(stack.StateEstablished)
}

// MAY-5, SHLD-12.
func TestKeepAliveAnswered(t *testing.T) {
	d := established(t, keepAlive)
	for range 10 {
		d.expectAfter(2*time.Hour, "ACK", seq(0), ack(1), why(stack.ReasonKeepAlive, 1))
		d.acks(1)
	}
}

// MUST-29: one lost probe is not the end.
func TestKeepAliveUnanswered(t *testing.T) {
	d := established(t, keepAlive)
	d.expectAfter(2*time.Hour, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
	d.expectAfter(time.Minute, "ACK", seq(0), why(stack.ReasonKeepAlive, 2))
	d.acks(1)
	d.expectAfter(2*time.Hour, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
	d.expectAfter(time.Minute, "ACK", seq(0), why(stack.ReasonKeepAlive, 2))
	d.expectAfter(time.Minute, "ACK", seq(0), why(stack.ReasonKeepAlive, 3))
	d.expectAfter(time.Minute, "RST,ACK", seq(1), ack(1), why(stack.ReasonTimeoutAbort))
	d.ended(stack.ErrTimeout)
}

// MUST-26: only an idle connection, and data are a sign of life.
func TestKeepAliveOfABusyConnection(t *testing.T) {
	d := established(t, keepAlive)
	d.wait(time.Hour)
	d.data(1, 10, 1)
	d.expectAfter(delayedACK, "ACK", ack(11))
	d.expectAfter(2*time.Hour-delayedACK, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
	d.send("ACK", seq(11), ack(1))

	d.acks(1, seq(11), win(0))
	d.write("hello")
	d.wait(10 * time.Second)
	for _, o := range d.out {
		if o.why.Kind == stack.ReasonKeepAlive {
			t.Errorf("%s", d.show(o))
		}
	}
}

// The probes go on with a closed window, as long as they are answered.
func TestKeepAliveWithAClosedWindow(t *testing.T) {
	d := established(t, keepAlive)
	d.acks(1, win(0))
	for range 10 {
		d.expectAfter(2*time.Hour, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
		d.acks(1, win(0))
	}
}

// Each state in which one waits for the peer alone.
func TestKeepAliveInEachState(t *testing.T) {
	d := established(t, keepAlive)
	d.closeWrite()
	d.expect("FIN,ACK")
	d.acks(2)
	d.state(stack.StateFinWait2)
	d.expectAfter(2*time.Hour, "ACK", seq(1), why(stack.ReasonKeepAlive, 1))

	d = established(t, keepAlive)
	d.send("FIN,ACK", seq(1), ack(1))
	d.expect("ACK", ack(2))
	d.expectAfter(2*time.Hour, "ACK", seq(0), ack(2), why(stack.ReasonKeepAlive, 1))

	d = inTimeWait(t)
	d.wait(20 * time.Second)
	d.ended(nil)
}
