package stack_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rawnc/stack"
	"rawnc/stack/netsim"
)

// RFC 9293, section 3.9.2.2; RFC 5461; RFC 5927. What packets too big do stands in
// pathmtu_test.go.

func (d *dialogue) icmp(kind stack.ICMPKind, seq, mtu int) bool {
	d.t.Helper()
	e := &stack.ICMPError{Kind: kind, Seq: iss.Add(seq), MTU: mtu, From: netip.MustParseAddr("192.0.2.254")}
	heeded := d.c.ICMP(d.now, e)
	d.flush()
	return heeded
}

var (
	softErrors = []stack.ICMPKind{
		stack.ICMPNetUnreachable, stack.ICMPHostUnreachable, stack.ICMPSourceRouteFailed,
		stack.ICMPTimeExceeded, stack.ICMPParameterProblem,
	}
	hardErrors = []stack.ICMPKind{stack.ICMPProtocolUnreachable, stack.ICMPPortUnreachable, stack.ICMPAdminProhibited}
)

// MUST-54, SHLD-26: it is of no use to go on.
// RFC1122-3.2.2.1-a.
func TestHardErrorEndsAnAttempt(t *testing.T) {
	for _, kind := range hardErrors {
		d := dial(t, stack.Config{})
		d.expect("SYN")
		d.same("heeded", d.icmp(kind, 0, 0), true)
		d.state(stack.StateClosed)
		if err := d.c.Err(); err == nil || !strings.Contains(err.Error(), kind.String()) || !strings.Contains(err.Error(), "192.0.2.254") {
			t.Errorf("%v: the error is %v", kind, err)
		}

		d = dial(t, stack.Config{}) // simultaneous open
		d.expect("SYN")
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
		d.icmp(kind, 0, 0)
		d.state(stack.StateClosed)

		d = listen(t, stack.Config{}) // as after a RST
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
		d.icmp(kind, 0, 0)
		d.state(stack.StateListen)
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
	}
}

// MUST-56: it is told, and no more.
func TestSoftErrorIsToldOnly(t *testing.T) {
	for _, kind := range softErrors {
		d := dial(t, stack.Config{})
		d.expect("SYN")
		d.same("heeded", d.icmp(kind, 0, 0), true)
		d.state(stack.StateSynSent)
		if d.c.SoftError() == nil {
			t.Errorf("%v is not told", kind)
		}
		d.send("SYN,ACK", seq(0), ack(1))
		d.state(stack.StateEstablished)

		d = listen(t, stack.Config{})
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
		d.icmp(kind, 0, 0)
		d.state(stack.StateSynReceived)
	}
}

// RFC5927-5.2-a: whatever it is, no error ends a connection that stands, in any
// state.
func TestNoErrorEndsAConnection(t *testing.T) {
	states := []struct {
		state stack.State
		reach func(d *dialogue)
	}{
		{stack.StateEstablished, func(d *dialogue) {}},
		{stack.StateFinWait1, func(d *dialogue) { d.closeWrite() }},
		{stack.StateFinWait2, func(d *dialogue) { d.closeWrite(); d.acks(7) }},
		{stack.StateCloseWait, func(d *dialogue) { d.send("FIN,ACK", seq(1), ack(1)) }},
		{stack.StateClosing, func(d *dialogue) { d.closeWrite(); d.send("FIN,ACK", seq(1), ack(6)) }},
		{stack.StateLastAck, func(d *dialogue) { d.send("FIN,ACK", seq(1), ack(1)); d.closeWrite() }},
		{stack.StateTimeWait, func(d *dialogue) { d.closeWrite(); d.send("FIN,ACK", seq(1), ack(7)) }},
	}
	for _, tc := range states {
		for _, kind := range append(softErrors, hardErrors...) {
			d := established(t, stack.Config{})
			d.write("hello")
			tc.reach(d)
			d.state(tc.state)
			d.out = nil
			s := d.c.Snapshot()
			outstanding := s.Flight > 0
			d.same("heeded", d.icmp(kind, s.SndUna.Sub(iss), 0), outstanding)
			d.expectNothing()
			d.state(tc.state)
			d.same("told", d.c.SoftError() != nil, outstanding)
		}
	}
}

// RFC5927-4.1-a: SND.UNA ≤ SEQ < SND.NXT.
func TestForgedErrors(t *testing.T) {
	for _, kind := range append(softErrors, append(hardErrors, stack.ICMPPacketTooBig)...) {
		d := established(t, stack.Config{})
		d.same("heeded with nothing in flight", d.icmp(kind, 1, 100), false)
		d.writeN(1000)
		d.expect("PSH,ACK", length(1000))
		for _, n := range []int{-1, 0, 1001, 1 << 30} {
			d.same("heeded", d.icmp(kind, n, 100), false)
		}
		d.same("told", d.c.SoftError(), error(nil))
		d.same("heeded", d.icmp(kind, 1, 100), true)
	}
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.same("heeded", d.icmp(stack.ICMPPortUnreachable, 1, 0), false)
	d.state(stack.StateSynSent)
	if d = listen(t, stack.Config{}); d.icmp(stack.ICMPPortUnreachable, 0, 0) {
		t.Error("LISTEN has sent nothing")
	}
}

// FuzzICMP is a transfer under forged errors of every kind: it is delivered
// whole, whatever they say, and no packet is larger than both ends allow, nor so
// small that nothing fits in.
func FuzzICMP(f *testing.F) {
	f.Add(false, []byte{4, 0, 0, 0, 0, 4, 2, 200, 1, 1})
	f.Add(true, []byte{4, 1, 5, 0, 0, 4, 0, 0, 2, 0})
	for seed := range uint64(20) {
		f.Add(seed%2 == 0, random(seed, 300))
	}
	f.Fuzz(func(t *testing.T, ipv6 bool, data []byte) {
		p := tape(data)
		cfg := stack.Config{IPv6: ipv6, NoSACK: p.next()%2 == 0, NoTimestamps: p.next()%2 == 0}
		n := netsim.New(uint64(p.next()), cfg, cfg, netsim.Path{Delay: 10 * ms, Loss: 0.02}, netsim.Path{Delay: 10 * ms})
		sent := random(1, 1<<16)
		attach(n.A, sent)
		b := attach(n.B, nil)
		n.Connect()
		n.RunUntil(time.Minute, func() bool { return n.A.State() == stack.StateEstablished })
		for len(p) > 0 && n.A.State() != stack.StateClosed {
			s := n.A.Snapshot()
			n.A.ICMP(n.Now, &stack.ICMPError{
				Kind: stack.ICMPKind(p.next() % 9), MTU: p.next()<<8 | p.next(), Size: pick(&p, 0, 40, 1500, 65535),
				Seq: s.SndUna.Add(pick(&p, 0, 0, 1, s.SendMSS, 2*s.SendMSS, s.Flight, -1) + pick(&p, 0, 0, 0, 1, -1)),
			})
			if err := n.A.Check(); err != nil {
				t.Fatal(err)
			}
			n.Run(time.Duration(p.next()) * ms / 4)
			if got := n.A.Snapshot(); got.PathMTU > 1500 || got.PathMTU < map[bool]int{true: 1280, false: 128}[ipv6] {
				t.Fatalf("the path MTU is %d", got.PathMTU)
			}
		}
		if !n.RunUntil(20*time.Minute, func() bool { return len(b.got) == len(sent) }) || !bytes.Equal(b.got, sent) {
			t.Fatalf("%d octets of %d, or others", len(b.got), len(sent))
		}
	})
}
