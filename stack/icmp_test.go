package stack_test

import (
	"net/netip"
	"strings"
	"testing"

	"rawnc/stack"
)

// RFC 9293, section 3.9.2.2; RFC 5927.

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

func TestHardErrorEndsAnAttempt(t *testing.T) {
	for _, kind := range hardErrors {
		d := dial(t, stack.Config{})
		d.expect("SYN")
		d.same("heeded", d.icmp(kind, 0, 0), true)
		d.state(stack.StateClosed)
		if err := d.c.Err(); err == nil || !strings.Contains(err.Error(), kind.String()) || !strings.Contains(err.Error(), "192.0.2.254") {
			t.Errorf("%v: the error is %v", kind, err)
		}
	}
}

// MUST-56.
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
	}
}

// RFC 5927, section 5.2.
func TestNoErrorEndsAConnection(t *testing.T) {
	for _, kind := range append(softErrors, hardErrors...) {
		d := established(t, stack.Config{})
		d.write("hello")
		d.expect("PSH,ACK", text("hello"))
		d.same("heeded", d.icmp(kind, 1, 0), true)
		d.expectNothing()
		d.state(stack.StateEstablished)
	}
}

// RFC 5927, section 4.1: SND.UNA ≤ SEQ < SND.NXT.
func TestForgedErrors(t *testing.T) {
	d := established(t, stack.Config{})
	d.same("heeded with nothing in flight", d.icmp(stack.ICMPHostUnreachable, 1, 0), false)
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	for n, heeded := range map[int]bool{-1: false, 0: false, 1: true, 5: true, 6: false, 1 << 30: false} {
		d.same("heeded", d.icmp(stack.ICMPHostUnreachable, n, 0), heeded)
	}
	d = dial(t, stack.Config{})
	d.expect("SYN")
	d.same("heeded", d.icmp(stack.ICMPPortUnreachable, 1, 0), false)
	d.state(stack.StateSynSent)
	if d = listen(t, stack.Config{}); d.icmp(stack.ICMPPortUnreachable, 0, 0) {
		t.Error("LISTEN has sent nothing")
	}
}
