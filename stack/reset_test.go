package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// Resets, and what RFC 5961 says about forged ones.

// in brings a Conn to each synchronized state but TIME-WAIT.
var in = map[stack.State]func(t *testing.T) *dialogue{
	stack.StateEstablished: func(t *testing.T) *dialogue { return established(t, stack.Config{}) },
	stack.StateFinWait1: func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.closeWrite()
		d.expect("FIN,ACK")
		return d
	},
	stack.StateFinWait2: func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.closeWrite()
		d.expect("FIN,ACK")
		d.acks(2)
		return d
	},
	stack.StateCloseWait: func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.send("FIN,ACK", seq(1), ack(1))
		d.expect("ACK")
		return d
	},
	stack.StateClosing: func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.closeWrite()
		d.expect("FIN,ACK")
		d.send("FIN,ACK", seq(1), ack(1))
		d.expect("ACK")
		return d
	},
	stack.StateLastAck: func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.send("FIN,ACK", seq(1), ack(1))
		d.expect("ACK")
		d.closeWrite()
		d.expect("FIN,ACK")
		return d
	},
}

func eachState(t *testing.T, f func(t *testing.T, s stack.State, d *dialogue)) {
	for s, make := range in {
		t.Run(s.String(), func(t *testing.T) {
			d := make(t)
			d.state(s)
			f(t, s, d)
		})
	}
}

func rcvNxt(d *dialogue) int { return d.c.Snapshot().RcvNxt.Sub(irs) }
func sndNxt(d *dialogue) int { return d.c.Snapshot().SndNxt.Sub(iss) }

// RFC5961-3.2-a.
func TestReset(t *testing.T) {
	want := map[stack.State]error{
		stack.StateEstablished: stack.ErrReset, stack.StateFinWait1: stack.ErrReset,
		stack.StateFinWait2: stack.ErrReset, stack.StateCloseWait: stack.ErrReset,
	}
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		d.send("RST", seq(rcvNxt(d)))
		d.ended(want[s])
	})
}

// RFC 5961, section 3.2.
// RFC5961-3.2-b, RFC5961-3.2-e.
func TestResetInTheWindowIsChallenged(t *testing.T) {
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		for _, off := range []int{1, 1000, d.c.Snapshot().RcvWnd - 1} {
			d.send("RST", seq(rcvNxt(d)+off))
			d.expect("ACK", seq(sndNxt(d)), ack(rcvNxt(d)), why(stack.ReasonChallengeACK))
			d.state(s)
		}
	})
}

// RFC5961-3.2-c, RFC5961-3.2-e.
func TestResetOutsideTheWindowIsDropped(t *testing.T) {
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		for _, off := range []int{-1, -1000, d.c.Snapshot().RcvWnd, d.c.Snapshot().RcvWnd + 1000} {
			d.send("RST", seq(rcvNxt(d)+off))
			d.expectNothing()
			d.state(s)
		}
		d.send("RST", seq(rcvNxt(d)-1), text("its data reach into the window"))
		d.expectNothing()
		d.state(s)
	})
}

// RFC 5961, section 4.2.
// RFC5961-4.2-a.
func TestSYNIsChallenged(t *testing.T) {
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		for _, off := range []int{0, 1, -2000, 1 << 30} {
			d.send("SYN", seq(rcvNxt(d)+off))
			d.expect("ACK", seq(sndNxt(d)), ack(rcvNxt(d)))
			d.expectNothing()
			d.state(s)
		}
	})
}

// RFC 5961, section 5.2.
// RFC5961-5.2-a, MAY-12.
func TestForgedACKIsChallenged(t *testing.T) {
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		for _, a := range []int{sndNxt(d) + 1, sndNxt(d) + 1<<30, -60001} {
			d.send("ACK", seq(rcvNxt(d)), ack(a), text("forged"))
			d.expect("ACK", seq(sndNxt(d)), ack(rcvNxt(d)), why(stack.ReasonChallengeACK))
			d.expectNothing()
			d.state(s)
		}
	})
}

// RFC 5961, section 7: and not without end.
// RFC5961-7-a.
func TestChallengesAreLimited(t *testing.T) {
	d := established(t, stack.Config{})
	count := func() int {
		for range 100 {
			d.send("SYN", seq(1))
		}
		n := len(d.out)
		d.out = nil
		return n
	}
	d.same("challenges", count(), 10)
	d.wait(time.Second)
	d.same("challenges a second later", count(), 10)

	other := established(t, stack.Config{}) // has a limit of its own
	other.send("SYN", seq(1))
	other.expect("ACK", why(stack.ReasonChallengeACK))
}

func TestNoACKFlag(t *testing.T) {
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		d.send("PSH", seq(rcvNxt(d)), text("x"))
		d.send("FIN", seq(rcvNxt(d)))
		d.expectNothing()
		d.state(s)
	})
}

// Section 3.10.5: who is told of an abort.
func TestAbort(t *testing.T) {
	told := map[stack.State]bool{
		stack.StateEstablished: true, stack.StateFinWait1: true, stack.StateFinWait2: true, stack.StateCloseWait: true,
	}
	eachState(t, func(t *testing.T, s stack.State, d *dialogue) {
		next, last := rcvNxt(d), sndNxt(d)
		d.abort()
		if told[s] {
			d.expect("RST,ACK", seq(last), ack(next), why(stack.ReasonAbort))
		}
		d.ended(stack.ErrAborted)
		d.send("ACK", seq(next), ack(last))
		d.expect("RST", seq(last), why(stack.ReasonNoConnection)) // section 3.10.7.1
		d.send("RST,ACK", seq(next), ack(last))
		d.ended(stack.ErrAborted)
	})
}

func TestAbortEarly(t *testing.T) {
	d := listen(t, stack.Config{})
	d.abort()
	d.ended(stack.ErrAborted)

	d = dial(t, stack.Config{})
	d.expect("SYN")
	d.abort()
	d.ended(stack.ErrAborted)

	d = listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.abort()
	d.expect("RST,ACK", seq(1), ack(1))
	d.ended(stack.ErrAborted)
}

// RFC 9293's LAST-ACK begins when the FIN goes out. Here the data before it
// still wait: the peer must be told, and so must the application.
func TestLastAckWithDataUnsent(t *testing.T) {
	closing := func() *dialogue {
		d := established(t, stack.Config{})
		d.send("FIN,ACK", seq(1), ack(1), win(3))
		d.expect("ACK")
		d.c.Write(d.now, []byte("hello world"))
		d.close()
		d.state(stack.StateLastAck)
		return d
	}
	d := closing()
	d.abort()
	d.expect("RST,ACK", ack(2))
	d.ended(stack.ErrAborted)

	d = closing()
	d.send("RST", seq(2))
	d.ended(stack.ErrReset)
}

// MUST-12.
func TestResetKeepsWhatArrived(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.send("RST", seq(6))
	d.read(3, "hel")
	d.read(3, "lo")
	d.readEnd(stack.ErrReset)
}

// Section 3.10.7.1.
func TestReject(t *testing.T) {
	for _, tc := range []struct {
		name      string
		got, want stack.Segment
		none      bool
	}{
		{name: "a RST", got: stack.Segment{Flags: stack.RST}, none: true},
		{name: "an ACK", got: stack.Segment{SrcPort: 1, DstPort: 2, Flags: stack.ACK, Seq: 5, Ack: 77},
			want: stack.Segment{SrcPort: 2, DstPort: 1, Flags: stack.RST, Seq: 77}},
		{name: "a SYN with data", got: stack.Segment{SrcPort: 1, DstPort: 2, Flags: stack.SYN, Seq: 1<<32 - 2, Payload: []byte("abc")},
			want: stack.Segment{SrcPort: 2, DstPort: 1, Flags: stack.RST | stack.ACK, Ack: 2}},
	} {
		got, ok := stack.Reject(&tc.got)
		if ok == tc.none || got.Flags != tc.want.Flags || got.Seq != tc.want.Seq || got.Ack != tc.want.Ack ||
			got.SrcPort != tc.want.SrcPort || got.DstPort != tc.want.DstPort {
			t.Errorf("%s: expected %+v, actual %+v", tc.name, tc.want, got)
		}
	}
}
