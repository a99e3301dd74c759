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

// A connection follows another between the same ports while that is in TIME-WAIT:
// it starts behind it, and what may be left of it is not taken for the peer's answer
// (RFC 7323, appendix B.2).
func TestFollows(t *testing.T) {
	if inTimeWait(t).c.GivesWay() {
		t.Error("a connection without timestamps gives way")
	}
	if established(t, stack.Config{}, ts(1, 0)).c.GivesWay() {
		t.Error("a connection gives way before TIME-WAIT")
	}
	old := inTimeWait(t, ts(1, 0))
	if !old.c.GivesWay() {
		t.Fatal("a connection with timestamps does not give way in TIME-WAIT")
	}
	d := newDialogue(t, stack.Config{Follows: old.c})
	d.now = old.now
	d.ok(d.c.Open(d.now, ourPort, peerPort))
	d.flush()
	next := rcvNxt(old)
	d.expect("SYN", seq(3)) // the old one's FIN stood at 1
	d.send("SYN,ACK", seq(next+5), ack(4), ts(1, d.tsval()))
	d.expectNothing()
	d.send("SYN,ACK", seq(next-1), ack(4), ts(2, d.tsval()))
	d.expectNothing()
	d.state(stack.StateSynSent)
	d.send("SYN,ACK", seq(next-1), ack(4), ts(3, d.tsval())) // later
	d.expect("ACK", seq(4), ack(next))
	d.state(stack.StateEstablished)

	d = newDialogue(t, stack.Config{Follows: old.c})
	d.now = old.now
	d.ok(d.c.Open(d.now, ourPort, peerPort))
	d.flush()
	d.expect("SYN", seq(3))
	d.send("SYN,ACK", seq(next+5), ack(4), ts(2, d.tsval())) // in the same tick, but behind
	d.expect("ACK", seq(4), ack(next+6))
	d.state(stack.StateEstablished)
}
