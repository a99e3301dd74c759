package stack_test

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.10.1 to 3.10.6: the calls, in every state.

// inEach are dialogues that have come to a state, with nothing to be read.
var inEach = map[string]func(*testing.T) *dialogue{
	"CLOSED": func(t *testing.T) *dialogue { return newDialogue(t, stack.Config{}) },
	"LISTEN": func(t *testing.T) *dialogue { return listen(t, stack.Config{}) },
	"SYN-SENT": func(t *testing.T) *dialogue {
		d := dial(t, stack.Config{})
		d.expect("SYN")
		return d
	},
	"SYN-RECEIVED": func(t *testing.T) *dialogue {
		d := listen(t, stack.Config{})
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
		return d
	},
	"ESTABLISHED": func(t *testing.T) *dialogue { return established(t, stack.Config{}) },
	"FIN-WAIT-1": func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.closeWrite()
		d.expect("FIN,ACK")
		return d
	},
	"FIN-WAIT-2": func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.closeWrite()
		d.expect("FIN,ACK")
		d.acks(2)
		return d
	},
	"CLOSE-WAIT": func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.send("FIN,ACK", seq(1), ack(1))
		d.expect("ACK")
		return d
	},
	"CLOSING": func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.closeWrite()
		d.expect("FIN,ACK")
		d.send("FIN,ACK", seq(1), ack(1))
		d.expect("ACK")
		return d
	},
	"LAST-ACK": func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.send("FIN,ACK", seq(1), ack(1))
		d.expect("ACK")
		d.closeWrite()
		d.expect("FIN,ACK")
		return d
	},
	"TIME-WAIT": func(t *testing.T) *dialogue { return inTimeWait(t) },
	"reset": func(t *testing.T) *dialogue {
		d := established(t, stack.Config{})
		d.send("RST", seq(1))
		return d
	},
	"closed": func(t *testing.T) *dialogue {
		d := inTimeWait(t)
		d.wait(time.Minute)
		return d
	},
}

func TestCalls(t *testing.T) {
	const (
		open = iota
		passive
		write
		read
		closeWrite
		closeBoth
		abort
		numCalls
	)
	names := [numCalls]string{"Open", "Listen", "Write", "Read", "CloseWrite", "Close", "Abort"}
	// What a call returns; where it leads to, if anywhere; and what it sends.
	type result struct {
		err   error
		state string
		sent  string
	}
	ok := result{}
	exists, none, closing := result{err: stack.ErrExists}, result{err: stack.ErrNoConnection}, result{err: stack.ErrClosing}
	end, unspecified := result{err: io.EOF}, result{err: stack.ErrUnspecified}
	to := func(state, sent string) result { return result{nil, state, sent} }
	gone := to("CLOSED", "")
	reset := to("CLOSED", "RST,ACK")
	table := map[string][numCalls]result{
		//              OPEN                  LISTEN            SEND           RECEIVE CLOSE     both ways          ABORT
		"CLOSED":       {to("SYN-SENT", "SYN"), to("LISTEN", ""), none, none, none, none, none},
		"LISTEN":       {to("SYN-SENT", "SYN"), exists, unspecified, ok, gone, gone, gone},
		"SYN-SENT":     {exists, exists, ok, ok, gone, gone, gone},
		"SYN-RECEIVED": {exists, exists, ok, ok, ok, ok, reset},
		"ESTABLISHED":  {exists, exists, to("", "PSH,ACK"), ok, to("FIN-WAIT-1", "FIN,ACK"), to("FIN-WAIT-1", "FIN,ACK"), reset},
		"FIN-WAIT-1":   {exists, exists, closing, ok, ok, ok, reset},
		"FIN-WAIT-2":   {exists, exists, closing, ok, ok, ok, reset},
		"CLOSE-WAIT":   {exists, exists, to("", "PSH,ACK"), end, to("LAST-ACK", "FIN,ACK"), to("LAST-ACK", "FIN,ACK"), reset},
		"CLOSING":      {exists, exists, closing, end, closing, ok, gone},
		"LAST-ACK":     {exists, exists, closing, end, closing, ok, gone},
		"TIME-WAIT":    {exists, exists, closing, end, closing, ok, gone},
		// A Conn is one connection. How it ended is told to whoever reads or writes.
		"reset":  {exists, exists, result{err: stack.ErrReset}, result{err: stack.ErrReset}, none, none, none},
		"closed": {exists, exists, none, end, none, ok, none},
	}
	for state, row := range table {
		for call, want := range row {
			t.Run(state+" "+names[call], func(t *testing.T) {
				d := inEach[state](t)
				before := d.c.State().String()
				var err error
				switch call {
				case open:
					err = d.c.Open(d.now, ourPort, peerPort)
				case passive:
					err = d.c.Listen(ourPort)
				case write:
					_, err = d.c.Write(d.now, []byte("x"))
				case read:
					_, err = d.c.Read(d.now, make([]byte, 10))
				case closeWrite:
					err = d.c.CloseWrite(d.now)
				case closeBoth:
					err = d.c.Close(d.now)
				case abort:
					err = d.c.Abort(d.now)
				}
				d.fails(err, want.err)
				d.flush()
				if want.state == "" {
					want.state = before
				}
				d.same("state", d.c.Snapshot().State.String(), want.state) // STATUS
				if want.sent != "" {
					text := ""
					if call == write {
						text = "x"
					}
					d.expect(want.sent, func(l *line) { l.text = text })
				}
				d.expectNothing()
			})
		}
	}
}

func TestOpenToNobody(t *testing.T) {
	d := newDialogue(t, stack.Config{})
	d.fails(d.c.Open(d.now, ourPort, 0), stack.ErrUnspecified)
	d.state(stack.StateClosed)
}

// RECEIVE in the closing states: first what waits, then the end.
func TestReadBehindTheFIN(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,ACK", seq(1), ack(1), text("last"))
	d.closeWrite()
	d.state(stack.StateLastAck)
	d.read(10, "last")
	d.readEnd(io.EOF)
}

// A passive connection that becomes an active one (section 3.10.1) is refused like
// any other.
func TestListenBecomesActive(t *testing.T) {
	d := listen(t, stack.Config{})
	d.ok(d.c.Open(d.now, ourPort, peerPort))
	d.flush()
	d.expect("SYN", seq(0))
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.send("RST", seq(1))
	d.ended(stack.ErrRefused)
}

// MUST-20, SHLD-9, SHLD-10: the third retransmission of the same segment is told,
// once; the connection goes on until R2. What gets through starts the count anew.
func TestR1(t *testing.T) {
	d := established(t, stack.Config{})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	again := func(n int) {
		t.Helper()
		for range n {
			d.wait(rto(d))
			d.expect("PSH,ACK", text("a"))
		}
	}
	third := stack.Report{Kind: stack.ReportUnanswered, Retransmissions: 3}
	again(2)
	d.told()
	again(1)
	d.told(third)
	again(2)
	d.told()
	d.state(stack.StateEstablished)
	d.acks(2)
	d.c.Write(d.now, []byte("a"))
	d.flush()
	d.expect("PSH,ACK", text("a"))
	again(2)
	d.told()
	again(1)
	d.told(third)
}

// SHLD-10: a tail loss probe that comes before the timeout is none of the three.
func TestR1AndTheTailLossProbe(t *testing.T) {
	for _, tc := range []struct {
		least time.Duration // timeout
		times int           // that the segment is sent again before the report
	}{
		{time.Second, 4},
		{0, 3}, // the probe comes in the place of a timeout
	} {
		d := established(t, stack.Config{MinRTO: tc.least}, sackOK())
		d.write("a")
		d.expect("PSH,ACK", text("a"))
		d.silence()
		d.expect("PSH,ACK", text("a"), why(stack.ReasonTailProbe))
		for range tc.times - 1 {
			d.told()
			d.silence()
			d.expect("PSH,ACK", text("a"), why(stack.ReasonRetransmitTimeout))
		}
		d.told(stack.Report{Kind: stack.ReportUnanswered, Retransmissions: 3})
	}
}

// MUST-22: of a SYN too.
func TestR1OfASYN(t *testing.T) {
	d := dial(t, stack.Config{R1: 2})
	d.expect("SYN")
	d.expectAfter(time.Second, "SYN")
	d.told()
	d.expectAfter(2*time.Second, "SYN")
	d.told(stack.Report{Kind: stack.ReportUnanswered, Retransmissions: 2})
}

// SHLD-11: R2 is 100 seconds at least, unless the application wants it otherwise:
// then "infinity", too (MUST-20, MUST-21).
func TestR2(t *testing.T) {
	established(t, stack.Config{}).givenUp(5 * time.Minute)
	established(t, stack.Config{UserTimeout: 20 * time.Second}).givenUp(20 * time.Second)
	d := established(t, stack.Config{UserTimeout: 20 * time.Second, R1: -1})
	d.c.Adjust(func(cfg *stack.Config) { cfg.UserTimeout = -1 })
	d.write("x")
	for range 1000 {
		d.out = nil
		d.wait(time.Minute)
	}
	d.told()
	d.state(stack.StateEstablished)
}

// MUST-47, SHLD-25: a soft error is told at once, and can be asked for. SHLD-20: who
// wants no reports sets no Report.
func TestSoftErrorIsReported(t *testing.T) {
	for _, kind := range softErrors {
		d := established(t, stack.Config{})
		d.write("x")
		d.icmp(kind, 1, 0)
		d.told(stack.Report{Kind: stack.ReportICMP, Err: d.c.SoftError()})
		d.same("soft error", d.c.Snapshot().SoftError, d.c.SoftError())
		d.icmp(kind, 77, 0) // forged
		d.told()
	}

	c := stack.New(stack.Config{ISS: iss})
	c.Open(start, ourPort, peerPort)
	c.Next(start, new(stack.Segment))
	if !c.ICMP(start, &stack.ICMPError{Seq: iss, From: netip.MustParseAddr("192.0.2.254")}) || c.SoftError() == nil {
		t.Error("a soft error cannot be asked for")
	}
}

// MUST-24, MUST-27: keep-alives are switched on and off, and their time set, while
// the connection lives. MUST-28: without a figure they wait for two hours.
func TestKeepAliveIsSwitched(t *testing.T) {
	d := established(t, stack.Config{})
	d.c.Adjust(func(cfg *stack.Config) { cfg.KeepAlive = true })
	d.flush()
	d.expectAfter(2*time.Hour, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
	d.acks(1)
	d.c.Adjust(func(cfg *stack.Config) { cfg.KeepAliveIdle = time.Minute })
	d.flush()
	d.expectAfter(time.Minute, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
	d.acks(1)
	d.c.Adjust(func(cfg *stack.Config) { cfg.KeepAlive = false })
	d.flush()
	d.wait(24 * time.Hour)
	d.expectNothing()
}

// What can be changed on the way, and what cannot.
func TestAdjust(t *testing.T) {
	d := established(t, stack.Config{UserTimeoutOption: true})
	d.write("a")
	d.expect("PSH,ACK", text("a"))
	d.write("b") // Nagle
	d.expectNothing()
	before := d.c.Snapshot()
	d.c.Adjust(func(cfg *stack.Config) {
		*cfg = stack.Config{NoDelay: true, UserTimeout: time.Minute, DelayedACK: -1, ReceiveBuffer: 1, MSS: 100, ISS: 5}
	})
	d.flush()
	d.expect("PSH,ACK", text("b"), uto(60)) // RFC 5482, section 3: the peer is told
	d.same("MSS", d.c.Snapshot().SendMSS, before.SendMSS)
	d.same("RCV.WND", d.c.Snapshot().RcvWnd, before.RcvWnd)
	d.data(1, 1, 3)
	d.expect("ACK", ack(2))
	d.givenUp(time.Minute)
}
