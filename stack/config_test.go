package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// What a Config can say that no requirement asks for.

func TestSendMSS(t *testing.T) {
	d := dial(t, stack.Config{MSS: 1200, SendMSS: 700})
	d.expect("SYN", mss(1200))
	d.send("SYN,ACK", seq(0), ack(1), mss(1000))
	d.expect("ACK")
	d.writeN(1400)
	d.expect("ACK", length(700))
	d.expect("PSH,ACK", length(700))

	d = dial(t, stack.Config{MSS: 500, SendMSS: 1400}) // the peer takes more than we do
	d.expect("SYN", mss(500))
	d.send("SYN,ACK", seq(0), ack(1), mss(1300))
	d.expect("ACK")
	d.writeN(1300)
	d.expect("PSH,ACK", length(1300))
}

// As Linux does when a connection is young: the peer's window grows sooner.
func TestQuickACKs(t *testing.T) {
	d := established(t, stack.Config{QuickACKs: 2})
	d.data(1, 10, 1)
	d.expect("ACK", ack(11), why(stack.ReasonACK))
	d.data(11, 10, 1)
	d.expect("ACK", ack(21), why(stack.ReasonACK))
	d.data(21, 10, 1)
	d.expectAfter(delayedACK, "ACK", ack(31), why(stack.ReasonDelayedACK))
}

func TestDelayedACKTime(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{ms: ms, 200 * ms: 200 * ms, time.Hour: 500 * ms} {
		d := established(t, stack.Config{DelayedACK: given})
		d.data(1, 10, 1)
		d.expectAfter(want, "ACK", ack(11), why(stack.ReasonDelayedACK))
	}
}

// MUST-60: what is corked is sent after 200 ms, though nobody pulls the cork.
func TestCork(t *testing.T) {
	d := established(t, stack.Config{Cork: true, NoDelay: true})
	d.write("a")
	d.write("b")
	d.expectNothing()
	d.expectAfter(200*ms, "PSH,ACK", seq(1), text("ab"))
	d.acks(3)
	d.writeN(1001)
	d.expect("ACK", seq(3), length(1000)) // a full segment does not wait
	d.acks(1003)
	d.write("c")
	d.expectNothing()
	d.c.Adjust(func(cfg *stack.Config) { cfg.Cork = false })
	d.flush()
	d.expect("PSH,ACK", seq(1003), text("xc"))
	d.acks(1005)
	d.c.Adjust(func(cfg *stack.Config) { cfg.Cork = true })
	d.write("d")
	d.expectNothing()
	d.writeUrgent("!")
	d.expect("PSH,ACK,URG", seq(1005), text("d!"))
	d.write("e")
	d.closeWrite()
	d.expect("FIN,PSH,ACK", seq(1007), text("e"))
}

func TestWindowScale(t *testing.T) {
	for _, tc := range []struct{ buffer, given, offered, window int }{
		{1 << 20, 0, 5, 1 << 15},
		{1 << 20, 7, 7, 1 << 13},
		{1 << 20, 2, 2, 65535}, // and no more is offered
		{1 << 20, -1, 0, 65535},
		{1 << 20, 99, 14, 64},
		{4000, 0, 0, 4000},
		{4000, 3, 3, 500},
	} {
		d := dial(t, stack.Config{ReceiveBuffer: tc.buffer, WindowScale: tc.given, DelayedACK: -1})
		d.expect("SYN", ws(tc.offered), win(min(tc.buffer, 65535)))
		d.send("SYN,ACK", seq(0), ack(1), ws(0))
		d.expect("ACK", win(tc.window))
	}
	d := listen(t, stack.Config{WindowScale: -1}) // and not the derived one when it listens again
	for range 2 {
		d.send("SYN", seq(0), ws(1))
		d.expect("SYN,ACK", ws(0))
		d.send("RST", seq(1))
		d.state(stack.StateListen)
	}
}

func TestOptionOrder(t *testing.T) {
	for _, order := range []stack.OptionOrder{stack.OrderLinux, stack.OrderBSD} {
		d := dial(t, stack.Config{OptionOrder: order})
		d.same("order", d.out[0].seg.Options.Order, order)
		d = listen(t, stack.Config{OptionOrder: order})
		d.send("SYN", seq(0), ts(1, 0))
		d.same("order", d.out[0].seg.Options.Order, order)
	}
}

// RFC 9293, figure 8: each SYN,ACK has an initial sequence number of its own, or an old ACK
// would fit.
func TestNewISS(t *testing.T) {
	next := iss
	cfg := stack.Config{ISS: iss, NewISS: func() stack.Seq { next = next.Add(64000); return next }}
	d := &dialogue{t: t, now: start, c: stack.New(cfg)}
	d.ok(d.c.Listen(ourPort))
	for n := range 3 {
		d.send("SYN", seq(0))
		d.expect("SYN,ACK", seq(64000*n), ack(1))
		d.send("RST", seq(1))
		d.state(stack.StateListen)
	}
}

// All that a Config can say of the time, and of the network, comes to pass.
func TestTimes(t *testing.T) {
	d := dial(t, stack.Config{InitialRTO: 3 * time.Second, MaxRTO: 5 * time.Second, SYNTimeout: 20 * time.Second})
	d.expect("SYN")
	d.expectAfter(3*time.Second, "SYN")
	d.expectAfter(5*time.Second, "SYN")
	d.expectAfter(5*time.Second, "SYN")
	d.expectAfter(5*time.Second, "SYN")
	d.wait(2 * time.Second)
	d.ended(stack.ErrTimeout)

	d = established(t, stack.Config{MinRTO: time.Second})
	d.same("RTO", rto(d), time.Second)
}

// The Snapshot tells every variable of RFC 9293, section 3.3.1, and its companions.
func TestSnapshot(t *testing.T) {
	d := dial(t, stack.Config{ReceiveBuffer: 4000, TSOffset: 5, UserTimeoutOption: true})
	d.expect("SYN")
	d.wait(rtt)
	d.send("SYN,ACK", seq(0), ack(1), win(60000), mss(1000), ts(77, 0), sackOK(), ws(3), uto(600))
	d.expect("ACK")
	d.writeUrgent("hello")
	d.expect("PSH,ACK,URG", text("hello"))
	d.send("ACK", seq(1), ack(1), win(3000), ts(78, 0), text("abc"))
	d.send("ACK", seq(11), ack(3), win(2000), ts(79, 0), text("k"))
	d.out = nil
	d.wait(rto(d))
	d.out = nil
	d.read(1, "a")
	d.closeWrite()
	d.send("ACK,URG", seq(4), ack(3), win(2000), ts(80, 0), text("d"), urgent(7))

	s := d.c.Snapshot()
	sent := d.out[len(d.out)-1].at
	want := stack.Snapshot{
		State: stack.StateFinWait1, LocalPort: ourPort, RemotePort: peerPort, Active: true,
		ISS: iss, SndUna: iss.Add(3), SndNxt: iss.Add(7), SndUp: iss.Add(6),
		SndWnd: 2000 << 3, MaxSndWnd: 60000, SndWL1: irs.Add(11), SndWL2: iss.Add(3),
		SndShift: 3, SendMSS: 988, PathMTU: 1040, SendQueue: 3, Flight: 4, Segments: 2, WriteClosed: true,
		IRS: irs, RcvNxt: irs.Add(5), RcvUp: irs.Add(11), Urgent: 9,
		RcvWnd: 3996, RcvAdv: irs.Add(4001), RcvShift: 0, ReceiveQueue: 3, Held: 1, LastAckSent: irs.Add(5), RcvMSS: 536,
		SACK: true, Timestamps: true, TSRecent: 80, TSRecentAt: d.now, TSOffset: 5,
		Cwnd: s.Cwnd, Ssthresh: s.Ssthresh, Recover: s.Recover, Retransmits: s.Retransmits, TailProbing: true,
		SRTT: s.SRTT, RTTVar: s.RTTVar, RTO: s.RTO, MinRTT: s.MinRTT, Backoff: s.Backoff,
		UserTimeout: 10 * time.Minute, PeerUserTimeout: 10 * time.Minute, Timers: s.Timers,
	}
	if s != want {
		t.Errorf("expected %+v\nactual   %+v", want, s)
	}
	d.same("retransmission timer", s.Timers.Retransmit.After(sent), true)
	d.same("user timer", s.Timers.User.IsZero(), false)
	d.same("TIME-WAIT", s.Timers.TimeWait.IsZero(), true)
	if s.Cwnd == 0 || s.SRTT == 0 || s.RTO < s.SRTT {
		t.Errorf("%+v", s)
	}
}

// What changes under way.
func TestSnapshotUnderWay(t *testing.T) {
	d := marking(t, stack.Config{QuickACKs: 1})
	d.same("QuickACKs", d.c.Snapshot().QuickACKs, 1)
	d.data(1, 700, 1, ecn(ce))
	d.expect("ACK,ECE", ack(701))
	d.data(701, 600, 1, ecn(ect0))
	s := d.c.Snapshot()
	d.same("QuickACKs", s.QuickACKs, 0)
	d.same("AckPending", s.AckPending, 600)
	d.same("RcvMSS", s.RcvMSS, 700)
	d.same("ECEcho", s.ECEcho, true)
	d.writeN(3000)
	s = d.c.Snapshot()
	d.same("Segments", s.Segments, 3)
	d.same("AckPending", s.AckPending, 0)
	d.same("MinRTT", s.MinRTT, rtt)
	d.advance(d.now.Add(s.RTO))
	s = d.c.Snapshot()
	d.same("TimedOut", s.TimedOut, true)
	d.same("CWRPending", s.CWRPending, true)
	d.acks(3001, seq(1301))
	s = d.c.Snapshot()
	d.same("TimedOut", s.TimedOut, false)
	d.same("Segments", s.Segments, 0)
}
