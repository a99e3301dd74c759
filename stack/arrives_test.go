package stack_test

import (
	"testing"

	"rawnc/stack"
	"rawnc/stack/conformance"
)

// RFC 9293, section 3.10.7: every kind of segment in every state.
// RFC5961-3.2-a, RFC5961-3.2-b, RFC5961-3.2-c, RFC5961-3.2-d, RFC5961-4.2-a, RFC5961-5.2-a, RFC1337-3-a.
func TestSegmentArrives(t *testing.T) {
	for _, a := range conformance.Arrivals() {
		t.Run(a.String(), func(t *testing.T) {
			d := begin(t, a.In)
			d.state(conformance.States[a.In])
			before := d.c.Snapshot()
			seg := a.Segment(&before)
			arrived := seg
			d.c.Receive(d.now, &arrived)
			d.flush()
			if a.Answer == "d" {
				d.wait(delayedACK)
			}
			var sent []stack.Segment
			for _, o := range d.out {
				sent = append(sent, o.seg)
			}
			if err := a.Check(&before, &seg, sent); err != nil {
				t.Fatal(err)
			}
			d.state(conformance.States[a.Next])
			if after := d.c.Snapshot(); a.Answer == "A" || a.Answer == "-" && a.Next == a.In {
				d.same("RCV.NXT", after.RcvNxt, before.RcvNxt)
				d.same("what is to be read", after.ReceiveQueue, before.ReceiveQueue)
			}
		})
	}
}

// begin brings a Conn to a state of the table.
func begin(t *testing.T, state string) *dialogue {
	switch state {
	case "C":
		return newDialogue(t, stack.Config{})
	case "L":
		return listen(t, stack.Config{})
	case "SR":
		d := listen(t, stack.Config{})
		d.send("SYN", seq(0))
		d.expect("SYN,ACK")
		return d
	case "SS", "SA":
		d := dial(t, stack.Config{})
		d.expect("SYN")
		if state == "SA" {
			d.send("SYN", seq(0))
			d.expect("SYN,ACK")
		}
		return d
	case "TW":
		d := in[stack.StateFinWait2](t)
		d.send("FIN,ACK", seq(1), ack(2))
		d.expect("ACK")
		return d
	}
	return in[conformance.States[state]](t)
}
