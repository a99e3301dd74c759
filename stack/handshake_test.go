package stack_test

import (
	"net/netip"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.5: establishing a connection.

// SHLD-5, MUST-65, RFC6298-2.2-a.
func TestActiveOpen(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0), win(65535), why(stack.ReasonSYN), exactly(), mss(1460), sackOK(), ws(5), ts(d.tsval(), 0))
	d.state(stack.StateSynSent)
	d.wait(rtt)
	d.send("SYN,ACK", seq(0), ack(1), mss(1460))
	d.expect("ACK", seq(1), ack(1), why(stack.ReasonHandshakeACK), exactly())
	d.state(stack.StateEstablished)
	d.same("SRTT", d.c.Snapshot().SRTT, rtt)
	d.same("RTO", d.c.Snapshot().RTO, firstRTO)
}

// SHLD-5.
func TestPassiveOpen(t *testing.T) {
	d := listen(t, stack.Config{})
	d.state(stack.StateListen)
	d.send("SYN", seq(0), mss(1460))
	d.expect("SYN,ACK", seq(0), ack(1), win(65535), why(stack.ReasonSYNACK), exactly(), mss(1460))
	d.state(stack.StateSynReceived)
	d.wait(rtt)
	d.send("ACK", seq(1), ack(1))
	d.expectNothing()
	d.state(stack.StateEstablished)
	d.same("SRTT", d.c.Snapshot().SRTT, rtt)
}

// Figure 8: both ends send a SYN.
// MUST-10, RFC7323-2.2-b.
func TestSimultaneousOpen(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	d.send("SYN", seq(0), ws(7), mss(1000))
	d.expect("SYN,ACK", seq(0), ack(1), ws(5), why(stack.ReasonSYNACK))
	d.state(stack.StateSynReceived)
	d.send("SYN,ACK", seq(0), ack(1), win(100), ws(7), mss(1000))
	d.expectNothing()
	d.state(stack.StateEstablished)
	d.same("SND.WND of the SYN,ACK", d.c.Snapshot().SndWnd, 100)
	d.send("ACK", seq(1), ack(1), win(500))
	d.same("SND.WND", d.c.Snapshot().SndWnd, 500<<7)
	d.write("hello")
	d.expect("PSH,ACK", seq(1), ack(1), text("hello"))
}

// The peer heard our SYN but not our SYN,ACK: its ACK completes the handshake too.
func TestSimultaneousOpenCompletedByACK(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	d.send("SYN", seq(0))
	d.expect("SYN,ACK", seq(0), ack(1))
	d.send("ACK", seq(1), ack(1))
	d.state(stack.StateEstablished)
}

// RFC6298-2.1-a, RFC1122-4.2.3.1-a.
func TestSYNIsSentAgain(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	for i, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 60} {
		d.expectAfter(wait*time.Second, "SYN", seq(0), why(stack.ReasonRetransmitTimeout, i+1))
	}
}

func TestSYNIsGivenUp(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.advance(start.Add(3 * time.Minute)) // MUST-23: not before
	d.state(stack.StateSynSent)
	d.out = nil
	d.advance(start.Add(5*time.Minute - 1))
	d.out = nil
	d.wait(1)
	d.ended(stack.ErrTimeout)
}

// RFC5681-3.1-d, RFC6928-2-a, and RFC 6298, 5.7: after a lost SYN, begin slowly.
// RFC6298-5-d.
func TestLostSYNShrinksTheInitialWindow(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	d.expectAfter(time.Second, "SYN", seq(0))
	d.send("SYN,ACK", seq(0), ack(1), mss(1000))
	d.expect("ACK", seq(1))
	d.same("cwnd", d.c.Snapshot().Cwnd, 1000)
	d.same("RTO", d.c.Snapshot().RTO, 3*time.Second) // Karn: no sample
}

// RFC5681-3.1-d, RFC6298-5-d.
func TestLostSYNACKShrinksTheInitialWindow(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0), mss(1000))
	d.expect("SYN,ACK", seq(0))
	d.expectAfter(time.Second, "SYN,ACK", seq(0), ack(1), why(stack.ReasonRetransmitTimeout, 1))
	d.send("ACK", seq(1), ack(1))
	d.state(stack.StateEstablished)
	d.same("cwnd", d.c.Snapshot().Cwnd, 1000)
	d.same("RTO", d.c.Snapshot().RTO, 3*time.Second)
}

func TestDuplicateSYNBringsTheSYNACKAgain(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK", seq(0), ack(1))
	d.wait(100 * ms)
	d.send("SYN", seq(0))
	d.expect("SYN,ACK", seq(0), ack(1), why(stack.ReasonSYNACK))
	d.send("ACK", seq(1), ack(1))
	d.state(stack.StateEstablished)
}

// A SYN,ACK that comes again: our ACK was lost.
func TestDuplicateSYNACKIsAcknowledged(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("SYN,ACK", seq(0), ack(1))
	d.expect("ACK", seq(1), ack(1))
	d.state(stack.StateEstablished)
}

// Data and FIN may stand in the SYN,ACK; its first octet has the number after
// the SYN's.
func TestSYNACKWithDataAndFIN(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	d.send("SYN,ACK,FIN", seq(0), ack(1), text("hello"))
	d.expect("ACK", seq(1), ack(7), why(stack.ReasonFINACK))
	d.state(stack.StateCloseWait)
	d.read(100, "hello")
	d.closeWrite()
	d.expect("FIN,ACK", seq(1), ack(7))
}

// Data in a SYN to LISTEN is not taken: the peer sends it again.
func TestSYNWithData(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0), text("hello"))
	d.expect("SYN,ACK", seq(0), ack(1))
	d.send("ACK", seq(1), ack(1), text("hello"))
	d.expectAfter(delayedACK, "ACK", ack(6))
	d.read(100, "hello")
}

func TestDataCompletesTheHandshake(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.send("FIN,ACK", seq(1), ack(1), text("hello"))
	d.expect("ACK", seq(1), ack(7))
	d.state(stack.StateCloseWait)
	d.read(100, "hello")
}

func TestWriteBeforeTheHandshakeIsDone(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	d.write("hello")
	d.expectNothing()
	d.send("SYN,ACK", seq(0), ack(1))
	d.expect("PSH,ACK", seq(1), ack(1), text("hello"))
	d.expectNothing() // the data acknowledged the SYN
}

// Section 3.10.7.3, first check.
// RFC5961-3.2-d.
func TestSynSentBadACK(t *testing.T) {
	for _, a := range []int{-1, 0, 2} {
		d := dial(t, stack.Config{})
		d.expect("SYN")
		d.send("SYN,ACK", seq(0), ack(a))
		d.expect("RST", seq(a), why(stack.ReasonBadHandshakeACK))
		d.state(stack.StateSynSent)
		d.send("ACK,RST", seq(0), ack(a)) // no answer to a RST
		d.expectNothing()
		d.state(stack.StateSynSent)
	}
}

// RFC5961-3.2-d.
func TestSynSentIgnores(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.send("RST", seq(0))
	d.send("ACK", seq(0), ack(1))
	d.send("FIN", seq(0))
	d.send("", seq(0), text("x"))
	d.expectNothing()
	d.state(stack.StateSynSent)
}

// RFC5961-3.2-d.
func TestRefused(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.send("RST,ACK", seq(0), ack(1))
	d.ended(stack.ErrRefused)
	_, err := d.c.Write(d.now, []byte("x"))
	d.fails(err, stack.ErrRefused)
	d.readEnd(stack.ErrRefused)
}

// MUST-11.
func TestRefusedInSimultaneousOpen(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.send("RST", seq(1))
	d.ended(stack.ErrRefused)
}

// Section 3.10.7.2.
func TestListenIgnoresAndRefuses(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("RST", seq(0))
	d.send("FIN", seq(0))
	d.send("", seq(0))
	d.expectNothing()
	d.send("ACK", seq(0), ack(77))
	d.expect("RST", seq(77), why(stack.ReasonBadHandshakeACK))
	d.send("SYN,ACK", seq(0), ack(78))
	d.expect("RST", seq(78))
	d.state(stack.StateListen)
}

// MUST-11: a passive connection forgets the peer that resets it.
func TestPassiveOpenReset(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0), ts(1, 0), sackOK(), ws(3))
	d.expect("SYN,ACK")
	d.write("for the first peer")
	d.send("RST", seq(1))
	d.state(stack.StateListen)
	d.send("SYN", seq(100))
	d.expect("SYN,ACK", seq(0), ack(101), exactly(), mss(1460))
	d.send("ACK", seq(101), ack(1))
	d.expectNothing() // what was written was not for this peer
	d.state(stack.StateEstablished)
}

// A SYN in the window of a passive SYN-RECEIVED (section 3.10.7.4, fourth check).
func TestPassiveOpenNewSYN(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.send("SYN", seq(50))
	d.expectNothing()
	d.state(stack.StateListen)
}

func TestClosedInSynReceived(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.write("bye")
	d.closeWrite()
	d.expectNothing()
	d.send("ACK", seq(1), ack(1))
	d.expect("FIN,PSH,ACK", seq(1), text("bye"))
	d.state(stack.StateFinWait1)
}

// The application has gone: there is nobody to listen for another peer.
func TestClosedInSynReceivedThenReset(t *testing.T) {
	for _, flags := range []string{"RST", "SYN"} {
		d := listen(t, stack.Config{})
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
		d.closeWrite()
		d.send(flags, seq(1))
		d.expectNothing()
		d.state(stack.StateClosed)
	}
}

func TestSynReceivedBadACK(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	for _, a := range []int{0, 2, -5} {
		d.send("ACK", seq(1), ack(a))
		d.expect("RST", seq(a))
		d.state(stack.StateSynReceived)
	}
	d.send("ACK", seq(1), ack(1))
	d.state(stack.StateEstablished)
}

// Section 3.10.7.4, first check: in SYN-RECEIVED too, what lies outside the
// window is answered with an ACK.
func TestSynReceivedUnacceptable(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.send("ACK", seq(100000), ack(1))
	d.expect("ACK", seq(1), ack(1), why(stack.ReasonUnacceptableACK))
	d.state(stack.StateSynReceived)
}

func TestSynReceivedNoACK(t *testing.T) {
	d := listen(t, stack.Config{})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.send("", seq(1), text("x"))
	d.expectNothing()
	d.state(stack.StateSynReceived)
}

func TestSynReceivedIsGivenUp(t *testing.T) {
	d := listen(t, stack.Config{SYNTimeout: 3 * time.Second})
	d.send("SYN", seq(0))
	d.expect("SYN,ACK")
	d.expectAfter(time.Second, "SYN,ACK")
	d.expectAfter(2*time.Second, "RST,ACK", seq(1), ack(1), why(stack.ReasonTimeoutAbort))
	d.ended(stack.ErrTimeout)
}

// Section 3.5.1: the peer has forgotten us and opens anew.
func TestHalfOpenConnectionIsFoundOut(t *testing.T) {
	for _, opts := range [][]detail{nil, {ts(1, 1)}} {
		d := established(t, stack.Config{}, opts...)
		d.send("SYN", seq(5000), mss(1000))
		d.expect("ACK", seq(1), ack(1), why(stack.ReasonChallengeACK))
		d.send("RST", seq(1))
		d.ended(stack.ErrReset)
	}
}

// MUST-8, MUST-9, SHLD-1: a clock, and a hash that depends on all four and on
// the secret.
// RFC6528-3-a, RFC7323-7.1-a.
func TestISN(t *testing.T) {
	a, b := netip.MustParseAddrPort("192.0.2.1:1000"), netip.MustParseAddrPort("192.0.2.2:80")
	secret := [32]byte{1}
	first := stack.ISN(secret, a, b, start)
	if got := stack.ISN(secret, a, b, start.Add(4*time.Millisecond)).Sub(first); got != 1000 {
		t.Errorf("4 ms later: expected 1000 more, actual %d", got)
	}
	later := netip.AddrPortFrom(a.Addr(), 1001)
	for name, other := range map[string]stack.Seq{
		"another secret": stack.ISN([32]byte{2}, a, b, start),
		"other ends":     stack.ISN(secret, b, a, start),
		"another port":   stack.ISN(secret, later, b, start),
		"timestamps":     stack.Seq(stack.TimestampOffset(secret, a, b)),
		"their offset":   first.Add(int(stack.TimestampOffset(secret, a, b)) - int(stack.TimestampOffset(secret, later, b))),
	} {
		if other == first {
			t.Errorf("%s: the same number, %d", name, first)
		}
	}
}
