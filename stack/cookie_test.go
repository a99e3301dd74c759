package stack_test

import (
	"net/netip"
	"testing"
	"time"

	"rawnc/stack"
)

// SYN cookies (RFC 4987, section 3.6).

var cookie = &stack.Cookie{
	Secret: [32]byte{1, 2, 3},
	Local:  netip.MustParseAddrPort("192.0.2.1:1000"), Remote: netip.MustParseAddrPort("192.0.2.2:2000"),
}

// forgetful is a listener that keeps nothing of a SYN. It returns the cookie's
// number, counted from iss, and forgets everything before the ACK comes.
func forgetful(t *testing.T, cfg stack.Config, syn ...detail) (d *dialogue, isn int) {
	t.Helper()
	cfg.Cookie = cookie
	d = listen(t, cfg)
	d.send("SYN", syn...)
	d.state(stack.StateListen)
	isn = d.out[0].seg.Seq.Sub(iss)
	return d, isn
}

// again is the same listener, which has forgotten everything.
func (d *dialogue) again(cfg stack.Config) {
	d.t.Helper()
	d.expectNothing()
	now := d.now
	cfg.Cookie = cookie
	*d = *listen(d.t, cfg)
	d.now = now
}

// RFC4987-3.6-a, RFC4987-3.6-c.
func TestCookie(t *testing.T) {
	cfg := stack.Config{MSS: 1400, ReceiveBuffer: 1 << 20}
	d, isn := forgetful(t, cfg, seq(0), mss(1300), ws(7), sackOK(), ts(500, 0))
	tsval := d.out[0].seg.Options.TSVal
	d.expect("SYN,ACK", seq(isn), ack(1), why(stack.ReasonSYNCookie), mss(1400), ws(5), sackOK(), ts(tsval, 500), exactly())
	if lag := d.tsval() - tsval; lag > 63 {
		t.Errorf("the timestamp lags by %d ms", lag)
	}
	if _, armed := d.c.Deadline(); armed {
		t.Error("a timer is armed")
	}

	d.wait(rtt)
	d.again(cfg)
	d.send("ACK", seq(1), ack(isn+1), win(1000), ts(600, tsval))
	d.expectNothing()
	d.state(stack.StateEstablished)
	s := d.c.Snapshot()
	d.same("MSS", s.SendMSS, 1300-12)
	d.same("send window", s.SndWnd, 1000<<7)
	d.same("window scales", [2]uint8{s.SndShift, s.RcvShift}, [2]uint8{7, 5})
	d.same("timestamps and SACK", s.Timestamps && s.SACK, true)
	d.same("samples of the round-trip time", s.SRTT, time.Duration(0))

	// The connection is like any other.
	d.send("PSH,ACK", seq(1), ack(isn+1), ts(601, tsval), text("hello"))
	d.read(10, "hello")
	d.expectAfter(delayedACK, "ACK", seq(isn+1), ack(6), ts(d.tsval()+40, 601))
	d.write("world")
	d.expect("PSH,ACK", seq(isn+1), ack(6), text("world"))
	d.expectAfter(time.Second, "PSH,ACK", seq(isn+1), text("world"), why(stack.ReasonRetransmitTimeout, 1))
}

// RFC4987-3.6-c: without timestamps there is no place for the window scale and SACK, so they are
// not agreed on, and the sizes are the table's.
func TestCookieWithoutTimestamps(t *testing.T) {
	for _, tc := range []struct {
		v6        bool
		mss, want int
	}{
		{false, 0, 536}, {true, 0, 1220}, {false, 20, 48}, {false, 535, 48}, {false, 536, 536}, {false, 1299, 1220},
		{false, 1460, 1460}, {true, 1440, 1440}, {false, 9000, 8940}, {false, 65535, 8940},
	} {
		cfg := stack.Config{MTU: 65535, IPv6: tc.v6}
		d, isn := forgetful(t, cfg, seq(0), mss(tc.mss), ws(7), sackOK())
		size := 65535 - 40
		if tc.v6 {
			size = 65535 - 60
		}
		d.expect("SYN,ACK", seq(isn), ack(1), mss(size), exactly())
		d.again(cfg)
		d.send("ACK", seq(1), ack(isn+1), win(1000))
		d.state(stack.StateEstablished)
		s := d.c.Snapshot()
		d.same("MSS", s.SendMSS, tc.want)
		d.same("send window", s.SndWnd, 1000)
		d.same("window scales", [2]uint8{s.SndShift, s.RcvShift}, [2]uint8{})
		d.same("timestamps or SACK", s.Timestamps || s.SACK, false)
	}
}

// RFC4987-3.6-c: ECN too has its place in the timestamp, and only there.
func TestCookieWithECN(t *testing.T) {
	for _, with := range []bool{true, false} {
		cfg := stack.Config{ECN: true, Cookie: cookie}
		d := listen(t, cfg)
		d.send("SYN,ECE,CWR", seq(0), mss(1460), ts(500, 0))
		if !with {
			d = listen(t, cfg)
			d.send("SYN,ECE,CWR", seq(0), mss(1460))
		}
		answer := d.out[0].seg
		d.same("ECE in the SYN,ACK", answer.Flags.Has(stack.ECE), with)
		d.out = nil
		d.again(cfg)
		isn := answer.Seq.Sub(iss)
		if with {
			d.send("ACK", seq(1), ack(isn+1), ts(501, answer.Options.TSVal))
		} else {
			d.send("ACK", seq(1), ack(isn+1))
		}
		d.same("ECN", d.c.Snapshot().ECN, with)
	}
}

// The ACK was lost: the data behind it completes the handshake, and a FIN.
func TestCookieWithData(t *testing.T) {
	d, isn := forgetful(t, stack.Config{}, seq(0))
	d.expect("SYN,ACK")
	d.again(stack.Config{})
	d.send("FIN,ACK", seq(1), ack(isn+1), text("hello"))
	d.expect("ACK", ack(7))
	d.state(stack.StateCloseWait)
	d.read(10, "hello")
}

// RFC4987-3.6-b: a cookie is good for the peer that it was made for, and for two
// minutes at most.
func TestCookieIsRefused(t *testing.T) {
	refused := func(what string, d *dialogue, seqNo, ackNo int) {
		t.Helper()
		d.send("ACK", seq(seqNo), ack(ackNo))
		d.expect("RST", seq(ackNo), why(stack.ReasonBadHandshakeACK))
		d.state(stack.StateListen)
	}
	d, isn := forgetful(t, stack.Config{}, seq(0))
	d.expect("SYN,ACK")
	refused("a lower Ack", d, 1, isn+1-2) // 1 less is that of the next smaller MSS
	refused("a higher Ack", d, 1, isn+1+7)
	refused("another Seq", d, 10, isn+1)
	d.send("RST", seq(1))
	d.send("PSH", seq(1), text("x"))
	d.expectNothing()

	d.now = d.now.Add(stack.CookieLife)
	refused("too late", d, 1, isn+1)
	d.now = d.now.Add(-stack.CookieLife)

	other := *cookie
	other.Remote = netip.MustParseAddrPort("192.0.2.3:2000")
	e := listen(t, stack.Config{Cookie: &other})
	refused("another peer", e, 1, isn+1)

	d.now = d.now.Add(stack.CookieLife / 2)
	d.send("ACK", seq(1), ack(isn+1))
	d.state(stack.StateEstablished)
}

// One guess in 2^28 passes: of a million that are spread over all numbers, none.
func TestCookieIsNotGuessed(t *testing.T) {
	d := listen(t, stack.Config{Cookie: cookie})
	for i := range 100_000 {
		d.arrive("ACK", seq(1), ack(i*42949+7))
		d.same("state", d.c.State(), stack.StateListen)
	}
}

// A timestamp that our clock never showed is no echo of ours: the peer did not
// agree on any.
func TestCookieWithStrangeTimestamp(t *testing.T) {
	d, isn := forgetful(t, stack.Config{}, seq(0), mss(1460))
	d.expect("SYN,ACK")
	d.again(stack.Config{})
	d.send("ACK", seq(1), ack(isn+1), ts(600, 0))
	s := d.c.Snapshot()
	d.same("state", s.State, stack.StateEstablished)
	d.same("timestamps or SACK", s.Timestamps || s.SACK, false)
}

// Whatever SYN it was, and whatever comes back: what the cookie tells was offered,
// and only who saw it gets in.
func FuzzCookie(f *testing.F) {
	f.Add(uint16(1460), uint8(7), uint8(15), int32(0), uint32(0), uint32(100))
	f.Add(uint16(0), uint8(14), uint8(0), int32(0), uint32(1), uint32(129_000))
	f.Add(uint16(9000), uint8(3), uint8(7), int32(-1), uint32(1<<31), uint32(0))
	f.Fuzz(func(t *testing.T, announced uint16, scale, offers uint8, off int32, echo, after uint32) {
		cfg := stack.Config{Cookie: cookie, ECN: true, MTU: 65535}
		c := stack.New(cfg)
		c.Listen(ourPort)
		syn := stack.Segment{SrcPort: peerPort, DstPort: ourPort, Seq: irs, Flags: stack.SYN}
		o := &syn.Options
		o.MSS, o.SACKPermitted = announced, offers&1 != 0
		o.HasWindowScale, o.WindowScale = offers&2 != 0, scale
		if o.HasTimestamps = offers&4 != 0; o.HasTimestamps {
			o.TSVal = 1000
		}
		if offers&8 != 0 {
			syn.Flags |= stack.ECE | stack.CWR
		}
		var answer stack.Segment
		c.Receive(start, &syn)
		if why, ok := c.Next(start, &answer); !ok || why.Kind != stack.ReasonSYNCookie || c.State() != stack.StateListen {
			t.Fatalf("%v: answered by %v, %v", c.State(), answer.Flags, why)
		}

		now := start.Add(time.Duration(after) * time.Millisecond)
		c = stack.New(cfg)
		c.Listen(ourPort)
		ack := stack.Segment{SrcPort: peerPort, DstPort: ourPort, Seq: irs + 1, Ack: answer.Seq.Add(1 + int(off)), Flags: stack.ACK, Window: 1000}
		if answer.Options.HasTimestamps {
			ack.Options.HasTimestamps, ack.Options.TSVal, ack.Options.TSEcr = true, 1001, answer.Options.TSVal+echo
		}
		c.Receive(now, &ack)
		s := c.Snapshot()
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		if s.State != stack.StateEstablished {
			if off == 0 && after < uint32(stack.CookieLife/2/time.Millisecond) {
				t.Errorf("%v: the cookie was good", s.State)
			}
			return
		}
		most := max(int(announced), 48)
		if announced == 0 {
			most = 536
		}
		switch {
		case off < -7 || off > 7 || after >= uint32(stack.CookieLife/time.Millisecond):
			t.Errorf("off by %d after %d ms, and taken", off, after)
		case off == 0 && s.SendMSS > most:
			t.Errorf("MSS %d, announced were %d", s.SendMSS, announced)
		case !o.HasTimestamps && (s.Timestamps || s.SACK || s.ECN || s.SndShift != 0):
			t.Errorf("not agreed on: %+v", s)
		case echo == 0 && o.HasTimestamps && (s.SACK != o.SACKPermitted || s.ECN != (offers&8 != 0) ||
			int(s.SndShift) != map[bool]int{true: min(int(scale), 14)}[o.HasWindowScale]):
			t.Errorf("offered %+v, found %+v", *o, s)
		}
	})
}
