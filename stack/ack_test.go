package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.8.6.3, and RFC 5681, section 4.2: when to acknowledge.

// SHLD-18.
func TestDelayedACK(t *testing.T) {
	d := established(t, stack.Config{})
	d.data(1, 10, 1)
	d.expectAfter(delayedACK, "ACK", ack(11), why(stack.ReasonDelayedACK))
	d.data(11, 10, 1)
	d.wait(delayedACK / 2)
	d.data(21, 10, 1) // does not put it off
	d.expectAfter(delayedACK/2, "ACK", ack(31))
	d.wait(time.Hour)
	d.expectNothing()
}

// MUST-40: never more than half a second.
// RFC5681-4.2-a.
func TestTheLongestDelay(t *testing.T) {
	d := established(t, stack.Config{DelayedACK: time.Hour})
	d.data(1, 10, 1)
	d.expectAfter(500*ms, "ACK", ack(11))
}

func TestNoDelay(t *testing.T) {
	d := established(t, stack.Config{DelayedACK: -1})
	d.data(1, 10, 1)
	d.expect("ACK", ack(11), why(stack.ReasonACK))
}

// SHLD-19, RFC1122-4.2.3.2-a, RFC5681-4.2-a.
func TestEverySecondFullSegment(t *testing.T) {
	d := established(t, stack.Config{})
	for at := 1; at < 10000; at += 2000 {
		d.data(at, 1000, 1)
		d.expectNothing()
		d.data(at+1000, 1000, 1)
		d.expect("ACK", ack(at+2000), why(stack.ReasonACK))
	}
}

// MUST-58, MUST-59: one ACK for all that has arrived before it goes out.
func TestACKsAreAggregated(t *testing.T) {
	d := established(t, stack.Config{})
	for at := 1; at < 10000; at += 1000 {
		d.arrive("ACK", seq(at), ack(1), length(1000))
	}
	d.flush()
	d.expect("ACK", ack(10001))
	d.expectNothing()
}

func TestDataCarriesTheACK(t *testing.T) {
	d := established(t, stack.Config{})
	d.data(1, 10, 1)
	d.write("hello")
	d.expect("PSH,ACK", ack(11), text("hello"))
	d.wait(delayedACK)
	d.expectNothing()
}

// RFC 5681, section 4.2: at once, one for each; and at once when a hole is filled.
// SHLD-31, MAY-13, RFC5681-3.2-a.
func TestOutOfOrder(t *testing.T) {
	d := established(t, stack.Config{})
	for range 2 {
		d.arrive("ACK", seq(11), ack(1), text("c"))
	}
	d.arrive("ACK", seq(12), ack(1), text("d"))
	d.flush()
	for range 3 {
		d.expect("ACK", ack(1), why(stack.ReasonDuplicateACK))
	}
	d.same("held", d.c.Snapshot().Held, 2)
	d.send("ACK", seq(1), ack(1), text("a"))
	d.expect("ACK", ack(2))
	d.send("ACK", seq(2), ack(1), text("bbbbbbbbb"))
	d.expect("ACK", ack(13), why(stack.ReasonACK))
	d.read(100, "abbbbbbbbbcd")
}

func TestOldData(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.expect("ACK", ack(6), why(stack.ReasonOldDataACK))
	d.send("ACK", seq(3), ack(1), text("llo world"))
	d.expectAfter(delayedACK, "ACK", ack(12))
	d.read(100, "hello world")
}

// The ACK in an old segment that is sent again may be news.
func TestTheACKInOldData(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.write("hi")
	d.expect("PSH,ACK", text("hi"))
	d.send("ACK", seq(1), ack(3), text("hello"), win(700))
	d.expect("ACK", seq(3), ack(6))
	d.same("flight", d.c.Snapshot().Flight, 0)
	d.same("SND.WND", d.c.Snapshot().SndWnd, 700)
}

func TestOutsideTheWindow(t *testing.T) {
	d := established(t, stack.Config{})
	d.data(1+1<<20, 10, 1)
	d.expect("ACK", ack(1), why(stack.ReasonUnacceptableACK))
	d.send("ACK", seq(1<<30), ack(1))
	d.expect("ACK", ack(1))
	d.same("held", d.c.Snapshot().Held, 0)
}

// A keep-alive of the peer.
func TestKeepAliveIsAnswered(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(0), ack(1))
	d.expect("ACK", seq(1), ack(1))
	d.send("ACK", seq(0), ack(1), text("?")) // a garbage octet
	d.expect("ACK", seq(1), ack(1))
}

// No ACK is answered with an ACK, or two ends would never stop.
func TestNoACKOfAnACK(t *testing.T) {
	d := established(t, stack.Config{})
	for _, a := range []int{1, 0, -1000} {
		d.acks(a)
		d.expectNothing()
	}
}

func TestTwoEndsThatDisagreeFallSilent(t *testing.T) {
	d := established(t, stack.Config{})
	answers := 0
	for range 1000 {
		d.send("ACK", seq(-5), ack(1))
		answers += len(d.out)
		d.out = nil
	}
	d.same("answers", answers, 10)
}

// A super-segment that the kernel has put together (GRO).
func TestLargerThanTheMSS(t *testing.T) {
	d := established(t, stack.Config{})
	d.data(1, 60000, 1)
	d.expect("ACK", ack(60001))
	d.expectNothing()
	d.readN(60000)
}

// Single octets with holes between them: what is held is bounded, and it is said of
// which is held and which is not.
func TestManyHoles(t *testing.T) {
	became := map[stack.Verdict]int{}
	d := established(t, stack.Config{Watch: func(e stack.Event) {
		if e.Verdict != nil {
			became[e.Verdict.Verdict]++
		}
	}}, sackOK())
	for i := range 1000 {
		d.arrive("ACK", seq(3+2*i), ack(1), text("x"))
	}
	d.flush()
	d.out = nil
	d.same("octets held", d.c.Snapshot().Held, 256)
	d.same("held", became[stack.VerdictOutOfOrder], 256)
	d.same("discarded", became[stack.VerdictTooManyGaps], 744)
}

// Nobody watching costs nothing.
func TestNoAllocationPerSegment(t *testing.T) {
	d := established(t, stack.Config{})
	seg := &stack.Segment{SrcPort: peerPort, DstPort: ourPort, Flags: stack.ACK, Seq: irs.Add(1), Ack: iss.Add(1), Window: 60000}
	var out stack.Segment
	if n := testing.AllocsPerRun(100, func() {
		d.c.Receive(d.now, seg)
		d.c.Next(d.now, &out)
	}); n > 0 {
		t.Errorf("%v allocations for an ACK", n)
	}
}

// RFC5681-4.2-b: a segment brings one ACK at most, whatever it is.
func TestOneACKForASegment(t *testing.T) {
	d := established(t, stack.Config{}, sackOK())
	for i, at := range []int{1, 5001, 3001, 1001, 1, 9001, 2001, 100_000, 4001} {
		d.data(at, 1000, 1)
		if len(d.out) > 1 {
			t.Errorf("segment %d was answered with %d", i, len(d.out))
		}
		d.out = nil
		d.expectNothing()
	}
	d.wait(delayedACK)
	if len(d.out) > 1 {
		t.Errorf("and %d after a while", len(d.out))
	}
}

// After a segment that came out of order, each is acknowledged at once for a while,
// unless the window takes but a pair of them (RFC 5681, section 4.2, allows it).
func TestQuickACKsAfterLoss(t *testing.T) {
	for _, tc := range []struct{ buffer, quick int }{{0, 16}, {5000, 0}} {
		d := established(t, stack.Config{ReceiveBuffer: tc.buffer})
		d.data(1, 1000, 1)
		d.data(1001, 1000, 1)
		d.expect("ACK", ack(2001))
		at := 2001
		d.data(at+1000, 1000, 1)
		d.expect("ACK", ack(at), why(stack.ReasonDuplicateACK))
		d.data(at, 1000, 1)
		at += 2000
		d.expect("ACK", ack(at), why(stack.ReasonACK))
		d.readN(at - 1)
		d.out = nil
		got := 0
		for range 20 {
			d.data(at, 1000, 1)
			at += 1000
			d.readN(1000)
			if len(d.out) == 0 {
				break
			}
			d.out = nil
			got++
		}
		d.same("acknowledged at once", got, max(tc.quick-1, 0)) // the first filled the hole
	}
}
