package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 3168, section 6.1: explicit congestion notification.

const notECT, ect0, ce = stack.NotECT, stack.ECT0, stack.CE

// marking is a Conn that has agreed on ECN, ready to send.
func marking(t *testing.T, cfg stack.Config, opts ...detail) *dialogue {
	t.Helper()
	cfg.ECN = true
	d := dial(t, cfg)
	d.expect("SYN,ECE,CWR", seq(0), ecn(notECT))
	d.wait(rtt)
	d.send("SYN,ACK,ECE", append([]detail{seq(0), ack(1), mss(1000)}, opts...)...)
	d.expect("ACK", seq(1), ack(1), ecn(notECT))
	d.same("ECN", d.c.Snapshot().ECN, true)
	return d
}

// SHLD-8, RFC3168-6.1.1-a: only ECE without CWR in the SYN,ACK agrees.
func TestECNSetup(t *testing.T) {
	for flags, want := range map[string]stack.ECN{
		"SYN,ACK,ECE": ect0, "SYN,ACK": notECT, "SYN,ACK,CWR": notECT,
		"SYN,ACK,ECE,CWR": notECT, // some mirror what they do not know
	} {
		d := dial(t, stack.Config{ECN: true})
		d.expect("SYN,ECE,CWR", ecn(notECT))
		d.send(flags, seq(0), ack(1), mss(1000))
		d.expect("ACK")
		d.writeN(1000)
		d.expect("PSH,ACK", length(1000), ecn(want))
		d.same(flags, d.c.Snapshot().ECN, want == ect0)
	}
}

// RFC3168-6.1.1-a: only ECE and CWR in the SYN ask for it.
func TestECNSetupPassive(t *testing.T) {
	for flags, want := range map[string]string{
		"SYN,ECE,CWR": "SYN,ACK,ECE", "SYN": "SYN,ACK", "SYN,ECE": "SYN,ACK", "SYN,CWR": "SYN,ACK",
	} {
		d := listen(t, stack.Config{ECN: true})
		d.send(flags, seq(0), mss(1000))
		d.expect(want, ecn(notECT))
		d.send("ACK", seq(1), ack(1))
		d.writeN(1000)
		d.expect("PSH,ACK", length(1000), ecn(map[bool]stack.ECN{true: ect0}[want == "SYN,ACK,ECE"]))
	}
	d := listen(t, stack.Config{})
	d.send("SYN,ECE,CWR", seq(0))
	d.expect("SYN,ACK")
}

// Section 6.1.1.1: a SYN that is not answered goes out again without. Whoever has
// sent it may not set ECT, even if the first one was answered; yet it answers
// marks.
func TestECNSetupIsNotInsistedOn(t *testing.T) {
	d := dial(t, stack.Config{ECN: true})
	d.expect("SYN,ECE,CWR")
	d.expectAfter(time.Second, "SYN", seq(0), ecn(notECT))
	d.send("SYN,ACK,ECE", seq(0), ack(1), mss(1000))
	d.expect("ACK")
	d.writeN(1000)
	d.expect("PSH,ACK", length(1000), ecn(notECT))
	d.data(1, 1000, 1, ecn(ce))
	d.wait(delayedACK)
	d.expect("ACK,ECE")

	// The peer does so.
	d = listen(t, stack.Config{ECN: true})
	d.send("SYN,ECE,CWR", seq(0), mss(1000))
	d.expect("SYN,ACK,ECE")
	d.send("SYN", seq(0), mss(1000))
	d.expect("SYN,ACK")
	d.send("ACK", seq(1), ack(1))
	d.writeN(1000)
	d.expect("PSH,ACK", length(1000), ecn(notECT))
}

// Section 6.1.1: a simultaneous open.
func TestECNSetupSimultaneous(t *testing.T) {
	d := dial(t, stack.Config{ECN: true})
	d.expect("SYN,ECE,CWR")
	d.send("SYN,ECE,CWR", seq(0), mss(1000))
	d.expect("SYN,ACK,ECE", seq(0), ack(1))
	d.send("SYN,ACK,ECE", seq(0), ack(1))
	d.out = nil
	d.writeN(1000)
	d.expect("PSH,ACK", length(1000), ecn(ect0)) // no CWR: ECE of a SYN,ACK is no echo
}

// RFC3168-6.1.1-a (sections 6.1.4 to 6.1.6): new data alone are ECT.
func TestWhatIsECT(t *testing.T) {
	d := marking(t, stack.Config{KeepAlive: true})
	d.data(1, 1000, 1)
	d.wait(delayedACK)
	d.expect("ACK", ack(1001), ecn(notECT))
	d.write("hello")
	d.expect("PSH,ACK", text("hello"), ecn(ect0))
	d.expectAfter(rto(d), "PSH,ACK", seq(1), text("hello"), ecn(notECT))
	d.send("ACK", seq(1001), ack(6))
	d.write("world")
	d.expect("PSH,ACK,CWR", text("world"), ecn(ect0)) // the window was reduced
}

func TestProbesAreNotECT(t *testing.T) {
	d := marking(t, stack.Config{KeepAlive: true})
	d.wait(2 * time.Hour)
	d.expect("ACK", seq(0), ecn(notECT), why(stack.ReasonKeepAlive))
	d.send("ACK", seq(1), ack(1), win(0))
	d.write("hello")
	d.wait(rto(d))
	d.expect("ACK", text("h"), ecn(notECT), why(stack.ReasonWindowProbe))
	d.send("ACK", seq(1), ack(1))
	d.out = nil
	d.acks(6)
	d.closeWrite()
	d.expect("FIN,ACK", ecn(notECT))
}

// RFC3168-6.1.3-a: every ACK tells of a mark until CWR comes.
func TestECEUntilCWR(t *testing.T) {
	d := marking(t, stack.Config{DelayedACK: -1})
	d.data(1, 1000, 1, ecn(ect0))
	d.expect("ACK", ack(1001))
	d.data(1001, 1000, 1, ecn(ce))
	d.expect("ACK,ECE", ack(2001))
	d.data(2001, 1000, 1, ecn(ect0))
	d.expect("ACK,ECE", ack(3001))
	d.write("hello")
	d.expect("PSH,ACK,ECE", text("hello"))
	d.send("ACK,CWR", seq(3001), ack(6), length(1000), ecn(ect0))
	d.expect("ACK", ack(4001))
	d.send("ACK,CWR", seq(4001), ack(6), length(1000), ecn(ce)) // a new one, with the answer to the old
	d.expect("ACK,ECE", ack(5001))
}

// Who has reduced the window may have left one segment in it, and wait for its ACK.
func TestCWRIsAcknowledgedAtOnce(t *testing.T) {
	d := marking(t, stack.Config{})
	d.data(1, 1000, 1, ecn(ce))
	d.expectAfter(delayedACK, "ACK,ECE", ack(1001))
	d.send("ACK,CWR", seq(1001), ack(1), length(1000), ecn(ect0))
	d.expect("ACK", ack(2001))
	d.data(2001, 1000, 1, ecn(ect0))
	d.expectAfter(delayedACK, "ACK", ack(3001))
}

// Section 6.1.5: not for what was received before, which a forger may have sent,
// nor where it was not agreed on.
func TestMarksThatDoNotCount(t *testing.T) {
	d := marking(t, stack.Config{DelayedACK: -1})
	d.data(1, 1000, 1, ecn(ect0))
	d.expect("ACK", ack(1001))
	d.data(1, 1000, 1, ecn(ce))
	d.expect("ACK", ack(1001))
	d.data(2000000, 1000, 1, ecn(ce))
	d.expect("ACK", ack(1001))
	d.acks(1, ecn(ce))
	d.out = nil
	d.data(1001, 1000, 1, ecn(ect0))
	d.expect("ACK", ack(2001))

	d = established(t, stack.Config{DelayedACK: -1})
	d.data(1, 1000, 1, ecn(ce))
	d.expect("ACK", ack(1001))
	d.writeN(100_000)
	d.segments(1, 10)
	d.send("ACK,ECE", seq(1001), ack(1001))
	if got := cwnd(d); got < 10000 {
		t.Errorf("cwnd is %d", got)
	}
}

// RFC3168-6.1.3-a (section 6.1.2): the window is reduced once for a window of data,
// and the next new data say so.
func TestECEReducesTheWindow(t *testing.T) {
	d := marking(t, stack.Config{Congestion: stack.NewReno})
	d.writeN(100_000)
	d.segments(1, 10)
	d.wait(rtt)
	d.send("ACK,ECE", seq(1), ack(2001))
	d.same("cwnd", cwnd(d), 5000)
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)
	d.expectNothing()
	d.send("ACK,ECE", seq(1), ack(4001))
	d.expectNothing()
	d.send("ACK,ECE", seq(1), ack(6001)) // 4000 are in flight
	d.expect("ACK,CWR", seq(10001), length(1000), ecn(ect0))
	d.send("ACK,ECE", seq(1), ack(8001)) // it has not come there yet
	d.expect("ACK", seq(11001), length(1000), ecn(ect0))
	d.expect("ACK", seq(12001), length(1000), ecn(ect0))
	d.same("cwnd", cwnd(d), 5000)
	d.send("ACK,ECE", seq(1), ack(11001)) // marked again, since
	d.same("cwnd", cwnd(d), 2500)
	d.out = nil
	d.acks(13001)
	d.expect("ACK,CWR", seq(13001), length(1000))
}

// A loss in the window of a mark is no second sign (section 6.1.2), but one of its
// own is, and the peer is told as well.
func TestLossAndECE(t *testing.T) {
	d := marking(t, stack.Config{Congestion: stack.NewReno}, sackOK())
	d.writeN(100_000)
	d.segments(1, 10)
	d.wait(rtt)
	d.send("ACK,ECE", seq(1), ack(2001))
	d.send("ACK,ECE", seq(1), ack(2001), sack(3001, 6001))
	d.expect("ACK", seq(2001), length(1000), ecn(notECT), why(stack.ReasonFastRetransmit))
	d.same("ssthresh", d.c.Snapshot().Ssthresh, 5000)

	d = marking(t, stack.Config{Congestion: stack.NewReno}, sackOK())
	d.writeN(100_000)
	d.segments(1, 10)
	d.wait(rtt)
	d.acks(1, sack(1001, 4001))
	d.expect("ACK", seq(1), length(1000), ecn(notECT), why(stack.ReasonFastRetransmit))
	d.expect("ACK,CWR", seq(10001), length(1000), ecn(ect0))
}

// RFC9438-4.6-b, RFC 3168, section 6.1.2: down to one segment; and then the next
// waits for a timeout.
func TestECEDownToOneSegment(t *testing.T) {
	for name, algorithm := range map[string]stack.Congestion{"CUBIC": stack.CUBIC, "NewReno": stack.NewReno} {
		t.Run(name, func(t *testing.T) {
			d := marking(t, stack.Config{Congestion: algorithm})
			d.writeN(100_000)
			for range 20 {
				d.out = nil
				d.wait(rtt)
				d.send("ACK,ECE", seq(1), ack(sndNxt(d)))
				if cwnd(d) == 1000 {
					break
				}
			}
			d.same("cwnd", cwnd(d), 1000)
			d.out = nil
			d.wait(rtt)
			next := sndNxt(d)
			d.send("ACK,ECE", seq(1), ack(next))
			d.same("the timer", d.c.Snapshot().Timers.Marked, d.now.Add(rto(d)))
			d.expectAfter(rto(d), "ACK,CWR", seq(next), length(1000), ecn(ect0))
			d.acks(next + 1000)
			d.expect("ACK", length(1000))
		})
	}
}

// Nothing waits for it in TIME-WAIT.
func TestECEInTimeWait(t *testing.T) {
	d := marking(t, stack.Config{})
	d.writeN(1000)
	d.expect("PSH,ACK", seq(1), length(1000))
	d.wait(rtt)
	d.send("ACK,ECE", seq(1), ack(1001))
	d.same("cwnd", cwnd(d), 1000)
	d.closeWrite()
	d.expect("FIN,ACK", seq(1001))
	d.send("FIN,ACK", seq(1), ack(1002))
	d.expect("ACK", seq(1002), ack(2))
	d.send("ACK,ECE", seq(2), ack(1002))
	d.state(stack.StateTimeWait)
	d.ok(d.c.Check())
}

// One segment alone says CWR, where the link cuts.
func TestCWRIsNotCut(t *testing.T) {
	d := marking(t, stack.Config{Congestion: stack.NewReno, Offload: 60000})
	d.writeN(100_000)
	d.out = nil
	d.wait(rtt)
	d.send("ACK,ECE", seq(1), ack(10001))
	d.expect("ACK,CWR", seq(10001), length(1000))
	d.expect("ACK", seq(11001), length(4000), ecn(ect0))
}
