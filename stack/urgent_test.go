package stack_test

import (
	"testing"

	"rawnc/stack"
)

// RFC 9293, section 3.8.5: urgent data.

// writeUrgent is write with the URGENT flag.
func (d *dialogue) writeUrgent(s string) {
	d.t.Helper()
	if n, err := d.c.WriteUrgent(d.now, []byte(s)); n != len(s) || err != nil {
		d.t.Fatalf("WriteUrgent took %d of %d octets: %v", n, len(s), err)
	}
	d.flush()
}

func urgentLeft(n int) stack.Report { return stack.Report{Kind: stack.ReportUrgent, Urgent: n} }

// MUST-30 and MUST-62: the pointer is the octet behind the urgent data, counted from
// the segment, in all that are sent before it is reached; and Nagle waits for
// nobody who is in a hurry.
func TestUrgentDataAreSent(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeUrgent("stop")
	d.expect("PSH,ACK,URG", seq(1), text("stop"), urgent(4))
	d.same("SND.UP", d.c.Snapshot().SndUp.Sub(iss), 5)
	d.writeUrgent("!")
	d.expect("PSH,ACK,URG", seq(5), text("!"), urgent(1))
	d.write("and on") // not urgent: Nagle holds it
	d.expectNothing()
	d.acks(6)
	d.expect("PSH,ACK", seq(6), text("and on"), urgent(0))
	d.acks(12)
	d.same("SND.UP", d.c.Snapshot().SndUp.Sub(iss), 12) // drawn along with SND.UNA
}

// What was written before is on the way to the urgent data, and urgent with them.
func TestUrgentDataBehindOthers(t *testing.T) {
	d := established(t, stack.Config{})
	d.acks(1, win(0))
	d.write("before")
	d.writeUrgent("!")
	d.expect("ACK,URG", seq(1), urgent(7), why(stack.ReasonUrgent))
	d.expectNothing() // once is enough
	d.expectAfter(firstRTO, "ACK,URG", seq(1), text("b"), urgent(7), why(stack.ReasonWindowProbe, 1))
	d.acks(2, win(3))
	d.wait(rto(d))
	d.expect("ACK,URG", seq(2), text("efo"), urgent(6))
	d.acks(5, win(1000))
	d.expect("PSH,ACK,URG", seq(5), text("re!"), urgent(3))
}

// Sent again, in whatever pieces, the octets are as urgent as they were. A later
// pointer replaces an earlier one.
func TestUrgentDataAreSentAgain(t *testing.T) {
	d := established(t, stack.Config{})
	d.writeUrgent("stop")
	d.expect("PSH,ACK,URG", seq(1), text("stop"), urgent(4))
	d.expectAfter(firstRTO, "PSH,ACK,URG", seq(1), text("stop"), urgent(4), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(1, win(2))
	d.expectAfter(2*firstRTO, "ACK,URG", seq(1), text("st"), urgent(4))
	d.writeUrgent("!")
	d.expect("ACK,URG", seq(5), urgent(1), why(stack.ReasonUrgent))
	d.acks(3, win(2))
	d.expect("ACK,URG", seq(3), text("op"), urgent(3))
	d.acks(5, win(1000))
	d.expect("PSH,ACK,URG", seq(5), text("!"), urgent(1))
}

// MUST-31: more than the pointer can say. It is told of as far as it goes, and
// farther with each segment; but not within what was sent before.
func TestMuchUrgentData(t *testing.T) {
	muchUrgentData(t, stack.Config{InitialWindow: 1000})
}

// A link that cuts segments would repeat the pointer as it is in each: it gets none
// to cut.
func TestMuchUrgentDataOffloaded(t *testing.T) {
	muchUrgentData(t, stack.Config{InitialWindow: 1000, Offload: 60000})
}

func muchUrgentData(t *testing.T, cfg stack.Config) {
	t.Helper()
	const n = 100000
	d := established(t, cfg, ws(2))
	d.acks(1, win(60000))
	d.writeUrgent(string(make([]byte, n)))
	for at := 0; at < n; at += 1000 {
		flags := "ACK,URG"
		if at == n-1000 {
			flags = "PSH,ACK,URG"
		}
		d.expect(flags, seq(1+at), length(1000), urgent(min(n-at, 65535)))
	}
	d.expectNothing()
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(n - 999)
	d.expect("PSH,ACK,URG", seq(n-999), length(1000), urgent(1000))
}

// It takes an octet to be urgent, and a connection.
func TestNothingUrgent(t *testing.T) {
	d := established(t, stack.Config{SendBuffer: 3})
	d.writeUrgent("")
	d.expectNothing()
	d.acks(1, win(0))
	d.writeUrgent("abc")
	d.expect("ACK,URG", urgent(3))
	if n, err := d.c.WriteUrgent(d.now, []byte("d")); n != 0 || err != nil {
		t.Errorf("a full buffer took %d octets: %v", n, err)
	}
	d.closeWrite()
	_, err := d.c.WriteUrgent(d.now, []byte("x"))
	d.fails(err, stack.ErrClosing)
	d.acks(1)
	d.expect("FIN,PSH,ACK,URG", seq(1), text("abc"), urgent(3))
	d.acks(4)
	d.expectAfter(rto(d), "FIN,ACK", seq(4), urgent(0)) // behind them
}

// Written before the connection stands, they follow the SYN.
func TestUrgentDataBeforeTheHandshake(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", seq(0))
	d.writeUrgent("now")
	d.expectNothing()
	d.wait(rtt)
	d.send("SYN,ACK", seq(0), ack(1))
	d.expect("PSH,ACK,URG", seq(1), ack(1), text("now"), urgent(3))
}

// The application is told at once (MUST-32), and how much there is to read
// (MUST-33); a Read ends where the urgent data do.
func TestUrgentDataArrive(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("PSH,ACK", seq(1), ack(1), text("a"))
	d.told()
	d.send("PSH,ACK,URG", seq(2), ack(1), text("bcde"), urgent(3))
	d.told(urgentLeft(4))
	d.same("urgent", d.c.Urgent(), 4)
	d.same("RCV.UP", d.c.Snapshot().RcvUp.Sub(irs), 5)
	d.send("PSH,ACK,URG", seq(2), ack(1), text("bcde"), urgent(3)) // again: no news
	d.told()
	d.read(1, "a")
	d.same("urgent", d.c.Urgent(), 3)
	d.read(100, "bcd")
	d.same("urgent", d.c.Urgent(), 0)
	d.read(100, "e")
	d.told()
}

// The pointer runs ahead of the data, and even of the window (MUST-66).
func TestUrgentPointerRunsAhead(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 10})
	d.send("PSH,ACK", seq(1), ack(1), text("0123456789"))
	d.expectAfter(delayedACK, "ACK", ack(11), win(0))
	d.send("ACK,URG", seq(11), ack(1), urgent(65535))
	d.told(urgentLeft(65545))
	d.send("PSH,ACK,URG", seq(11), ack(1), text("x"), urgent(65535)) // the window probe says no more
	d.expect("ACK", ack(11), win(0))
	d.told()
	d.send("PSH,ACK,URG", seq(11), ack(1), text("y"), urgent(10)) // nor may it say less
	d.expect("ACK", ack(11), win(0))
	d.told()
	d.read(100, "0123456789")
	d.expect("ACK", win(10))
	d.same("urgent", d.c.Urgent(), 65535)
	d.data(11, 10, 1)
	d.send("ACK,URG", seq(21), ack(1), urgent(65526))
	d.told(urgentLeft(65536)) // one more than was known
}

// A pointer to what was read already says nothing, nor does one that is zero, or without
// its flag.
func TestUrgentPointersThatSayNothing(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("PSH,ACK", seq(1), ack(1), text("0123456789"))
	d.read(10, "0123456789")
	d.send("ACK,URG", seq(11), ack(1), urgent(0))
	d.send("ACK", seq(11), ack(1), urgent(100))
	d.send("PSH,ACK,URG", seq(1), ack(1), text("0123456789"), urgent(10))
	d.send("ACK,URG", seq(500000), ack(1), urgent(10)) // outside the window
	d.told()
	d.same("urgent", d.c.Urgent(), 0)
}

// What was read before it became urgent is not; what waits becomes so.
func TestUrgentAfterwards(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("PSH,ACK", seq(1), ack(1), text("0123456789"))
	d.read(4, "0123")
	d.send("ACK,URG", seq(11), ack(1), urgent(1))
	d.told(urgentLeft(7))
	d.send("PSH,ACK,URG", seq(11), ack(1), text("!"), urgent(1))
	d.told()
	d.read(100, "456789!")
}

// The stream ends before the pointer does: it ends there.
func TestUrgentPointerBeyondTheFIN(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("FIN,PSH,ACK,URG", seq(1), ack(1), text("abc"), urgent(100))
	d.expect("ACK", ack(5))
	d.same("urgent", d.c.Urgent(), 3)
	d.reports = nil
	for _, state := range []stack.State{stack.StateCloseWait, stack.StateLastAck} {
		d.state(state)
		d.send("ACK,URG", seq(5), ack(1), urgent(100)) // "this should not occur": ignored
		d.told()
		d.same("urgent", d.c.Urgent(), 3)
		d.c.CloseWrite(d.now)
	}
	d.read(100, "abc")
	d.same("urgent", d.c.Urgent(), 0)
}

// In FIN-WAIT-1 and FIN-WAIT-2 the peer still sends.
func TestUrgentDataAfterClose(t *testing.T) {
	d := established(t, stack.Config{})
	d.closeWrite()
	d.expect("FIN,ACK")
	d.state(stack.StateFinWait1)
	d.send("PSH,ACK,URG", seq(1), ack(1), text("a"), urgent(1))
	d.told(urgentLeft(1))
	d.send("ACK,URG", seq(2), ack(2), urgent(1))
	d.state(stack.StateFinWait2)
	d.told(urgentLeft(2))
}

// With the SYN,ACK that completes the handshake (section 3.10.7.3), and with its
// ACK.
func TestUrgentDataInTheHandshake(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.send("SYN,ACK,URG", seq(0), ack(1), urgent(5))
	d.told(urgentLeft(4))

	d = listen(t, stack.Config{})
	d.send("SYN,URG", seq(0), urgent(5)) // of a SYN alone: not before ESTABLISHED
	d.expect("SYN,ACK")
	d.told()
	d.send("PSH,ACK,URG", seq(1), ack(1), text("x"), urgent(1))
	d.told(urgentLeft(1))
}
