package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.6.1: TIME-WAIT.

func inTimeWait(t *testing.T, opts ...detail) *dialogue {
	t.Helper()
	d := established(t, stack.Config{MSL: 10 * time.Second}, opts...)
	d.close()
	d.expect("FIN,ACK", seq(1))
	o := []detail{seq(1), ack(2)}
	if len(opts) > 0 {
		o = append(o, ts(2, d.tsval()))
	}
	d.send("FIN,ACK", o...)
	d.expect("ACK", seq(2), ack(2))
	d.state(stack.StateTimeWait)
	return d
}

// The peer's FIN again: our ACK was lost. The wait begins anew.
// MUST-13.
func TestTimeWaitAcknowledgesTheFINAgain(t *testing.T) {
	d := inTimeWait(t)
	d.wait(15 * time.Second)
	d.send("FIN,ACK", seq(1), ack(2))
	d.expect("ACK", seq(2), ack(2), why(stack.ReasonFINACK))
	d.wait(20*time.Second - 1)
	d.state(stack.StateTimeWait)
	d.wait(1)
	d.ended(nil)
}

func TestTimeWaitIsNotProlongedByOthers(t *testing.T) {
	d := inTimeWait(t)
	d.wait(15 * time.Second)
	d.send("ACK", seq(2), ack(2))
	d.send("ACK", seq(1), ack(2), text("x"))
	d.out = nil
	d.wait(5 * time.Second)
	d.ended(nil)
}

// RFC1337-3-a: no RST ends TIME-WAIT. An old duplicate makes us send an ACK, and
// the RST that the peer answers with is exactly right.
func TestTimeWaitReset(t *testing.T) {
	d := inTimeWait(t)
	d.send("RST", seq(1))
	d.expectNothing()
	d.send("RST", seq(3))
	d.expect("ACK", seq(2), ack(2), why(stack.ReasonChallengeACK))
	d.send("RST", seq(2))
	d.expectNothing()
	d.wait(20*time.Second - 1)
	d.state(stack.StateTimeWait)
	d.wait(1)
	d.ended(nil)
}

func TestTimeWaitSYN(t *testing.T) {
	d := inTimeWait(t)
	d.send("SYN", seq(100000))
	d.expect("ACK", seq(2), ack(2))
	d.state(stack.StateTimeWait)
}

func TestTimeWaitAbortAndClose(t *testing.T) {
	d := inTimeWait(t)
	d.ok(d.c.Close(d.now))
	d.state(stack.StateTimeWait)
	d.abort() // nobody is left to be told
	d.expectNothing()
	d.state(stack.StateClosed)
}

func TestTimeWaitWithTimestamps(t *testing.T) {
	d := inTimeWait(t, ts(1, 1))
	d.send("FIN,ACK", seq(1), ack(2), ts(2, d.tsval()))
	d.expect("ACK", seq(2), ack(2))
	d.state(stack.StateTimeWait)
}

// RFC 9293, MAY-2, and RFC 6191: which SYN is a new connection's, and which an
// old duplicate.
// SHLD-4, RFC6191-2-a.
func TestSupersedes(t *testing.T) {
	plain, stamped := inTimeWait(t), inTimeWait(t, ts(1, 0))
	for _, tc := range []struct {
		d     *dialogue
		seq   int
		tsval uint32 // 0: no timestamp
		want  bool
	}{
		{plain, rcvNxt(plain), 0, false},
		{plain, rcvNxt(plain) + 1, 0, true},
		{plain, rcvNxt(plain) - 1, 0, false},
		{plain, rcvNxt(plain) - 1, 1, true},     // the old one's segments will have none
		{stamped, rcvNxt(stamped) + 1, 0, true}, // the number decides
		{stamped, rcvNxt(stamped) - 1, 0, false},
		{stamped, rcvNxt(stamped) - 1, 3, true}, // the timestamp counts more
		{stamped, rcvNxt(stamped) + 1, 1, false},
		{stamped, rcvNxt(stamped) + 1, 2, true}, // the very tick of the last segment
		{stamped, rcvNxt(stamped) - 1, 2, false},
	} {
		syn := stack.Segment{Flags: stack.SYN, Seq: irs.Add(tc.seq)}
		syn.Options.HasTimestamps, syn.Options.TSVal = tc.tsval != 0, tc.tsval
		if got := tc.d.c.Supersedes(&syn); got != tc.want {
			t.Errorf("SYN %d with timestamp %d: %v, want %v", tc.seq, tc.tsval, got, tc.want)
		}
	}
}
