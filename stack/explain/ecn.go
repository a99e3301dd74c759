package explain

import "rawnc/stack"

// Explicit congestion notification (RFC 3168).

// consent is what is known of whether both ends agreed on it.
type consent uint8

const (
	consentUnknown consent = iota // the SYNs were not captured
	consentOffered
	consentGiven
	consentNone
)

// ecn tells what ECE, CWR and the field of the IP header mean.
func (t *telling) ecn() {
	echo := t.seg.Flags & (stack.ECE | stack.CWR)
	switch {
	case t.is(stack.RST):
		return
	case t.is(stack.SYN | stack.ACK):
		if t.c.ecn == consentOffered && echo == stack.ECE {
			t.c.ecn = consentGiven
			t.add(Detail, "ECE without CWR: %s agrees to explicit congestion notification", t.sender())
		} else {
			t.c.ecn = consentNone
		}
		return
	case t.is(stack.SYN):
		t.c.ecn = consentNone
		if echo == stack.ECE|stack.CWR {
			t.c.ecn = consentOffered
			t.add(Detail, "ECE and CWR in a SYN: %s offers explicit congestion notification, so that routers can mark a packet where they would drop it (RFC 3168)", t.sender())
		}
		return
	case t.c.ecn == consentNone || t.c.ecn == consentOffered:
		return
	}
	if t.seg.ECN == stack.CE {
		t.mark("CE")
		t.note("a router has marked the packet: it is congested (CE), and %s will tell %s to slow down", t.receiver(), t.sender())
	}
	if t.is(stack.CWR) {
		t.add(Meaning, "CWR: %s has reduced its congestion window, so ECE has done its duty", t.sender())
	}
	if t.is(stack.ECE) && !t.from.echoes {
		t.note("ECE: a packet came to %s with a router's mark of congestion; its ACKs say so until CWR comes", t.sender())
	}
	t.from.echoes = t.is(stack.ECE)
}
