package explain

import (
	"rawnc/stack"
)

// whyAck tells of the acknowledgment number, and takes it into the books of
// the other end.
func (t *telling) whyAck() {
	if !t.is(stack.ACK) {
		return
	}
	from, to, ack := t.from, t.to, t.Ack.shown()
	switch {
	case from.ackFrame != 0 && t.seg.Ack == from.ack:
		t.ackAgain()
	case from.ackFrame != 0 && t.seg.Ack.Less(from.ack):
		t.mark("older Ack")
		t.note("Ack %v is older than the %v of %v: this segment was overtaken on its way, or is no part of the conversation",
			ack, to.number(from.ack).shown(), frame(from.ackFrame))
	case to.nextFrame == 0:
		t.add(Arithmetic, "Ack %v: the next number that %s expects; what it acknowledges was not captured", ack, t.sender())
		t.seenInAck()
	case to.next.Less(t.seg.Ack) && t.disbelieved():
		t.add(Arithmetic, "Ack %v: %s has sent nothing that goes so far, only up to %v", ack, t.receiver(), to.number(to.next).shown())
	case to.next.Less(t.seg.Ack) && !t.answersProbe():
		t.mark("acknowledges what was not captured")
		t.note("Ack %v acknowledges more than was seen of %s, which was up to %v: the capture lacks what lies between",
			ack, t.receiver(), to.number(to.next).shown())
		to.unseen = span{to.next, t.seg.Ack}
		t.seenInAck()
	default:
		t.ackAdvances()
	}
}

// answersProbe reports whether the Ack takes in the octet of a window probe.
func (t *telling) answersProbe() bool {
	return t.to.probe == probeWindow && t.seg.Ack == t.to.next.Add(1)
}

// seenInAck learns from the Ack how far the other end has sent.
func (t *telling) seenInAck() {
	t.acked = t.to.acknowledge(t.seg.Ack)
	t.to.next, t.to.nextFrame, t.to.nextEnd = t.seg.Ack, t.Frame, endUnseen
}

func (t *telling) ackAgain() {
	from, to, ack := t.from, t.to, t.Ack.shown()
	switch {
	case to.nextFrame == 0 || to.next.Less(from.ack):
		t.add(Arithmetic, "Ack %v as in %v", ack, frame(from.ackFrame))
	case to.next == from.ack:
		t.add(Arithmetic, "Ack %v as in %v: nothing more has come from %s", ack, frame(from.ackFrame), t.receiver())
	default:
		t.add(Arithmetic, "Ack %v as in %v: %v is still the next number that %s waits for", ack, frame(from.ackFrame), ack, t.sender())
	}
}

func (t *telling) ackAdvances() {
	to, ack := t.to, t.Ack.shown()
	if t.answersProbe() {
		t.seenInAck()
		to.tally.Octets++
		t.add(Arithmetic, "Ack %v takes in the byte of the window probe", ack)
		return
	}
	inside := to.holding(t.seg.Ack - 1)
	if inside == nil {
		t.acked = to.acknowledge(t.seg.Ack)
		t.add(Arithmetic, "Ack %v: the next number that %s expects; everything before it has arrived", ack, t.sender())
		return
	}
	last := *inside
	t.acked = to.acknowledge(t.seg.Ack)
	seq, n, which := to.number(last.seq).shown(), last.octets(), frame(last.frame)
	if last.next == t.seg.Ack {
		t.AckOf = last.frame
	} else {
		t.part = last
	}
	switch syn, fin := last.flags.Has(stack.SYN), last.flags.Has(stack.FIN); {
	case last.next != t.seg.Ack:
		t.add(Arithmetic, "Ack %v = Seq %v of %v + %d of the %s in it", ack, seq, which, t.seg.Ack.Sub(last.seq), octets(n))
	case syn && n == 0:
		t.add(Arithmetic, "Ack %v = Seq %v of %v + 1 for the SYN", ack, seq, which)
	case syn:
		t.add(Arithmetic, "Ack %v = Seq %v of %v + 1 for the SYN + its %s", ack, seq, which, octets(n))
	case fin && n == 0:
		t.add(Arithmetic, "Ack %v = Seq %v of %v + 1 for the FIN", ack, seq, which)
	case fin:
		t.add(Arithmetic, "Ack %v = Seq %v of %v + its %s + 1 for the FIN", ack, seq, which, octets(n))
	case !t.c.taught:
		t.c.taught = true
		t.add(Arithmetic, "Ack %v = Seq %v of %v + its %s, and no 1 on top: only SYN and FIN take a number of their own", ack, seq, which, octets(n))
	default:
		t.add(Arithmetic, "Ack %v = Seq %v of %v + its %s", ack, seq, which, octets(n))
	}
}

// acknowledges tells which segments are acknowledged for the first time, after
// how long, and what is left.
func (t *telling) acknowledges() {
	if len(t.acked) == 0 {
		t.acknowledgesPart()
		return
	}
	last := &t.acked[len(t.acked)-1]
	rest := t.rest()
	rtt := t.Time.Sub(last.at)
	after := elapsed(rtt)
	first, repair := t.repair()
	switch {
	case repair != 0:
		t.add(Meaning, "acknowledges all up to %v at once: %v filled the gap at %v, and what had arrived behind it was kept; %s",
			frame(last.frame), frame(repair), t.to.number(first.seq).shown(), rest)
		return
	case last.again != 0:
		t.add(Meaning, "acknowledges %v or its repetition %v, one cannot tell which; %s", frame(last.frame), frame(last.again), rest)
		return
	case len(t.acked) == 1:
		t.add(Meaning, "acknowledges %v after %v; %s", frame(last.frame), after, rest)
	default:
		t.add(Meaning, "acknowledges %v to %v, the last of them after %v; %s", frame(first.frame), frame(last.frame), after, rest)
	}
	if !t.is(stack.RST) {
		t.to.tally.RTT.add(rtt)
	}
}

// acknowledgesPart tells of an Ack that ends no segment.
func (t *telling) acknowledgesPart() {
	switch part := &t.part; {
	case part.frame == 0:
	case part.again != 0:
		t.add(Meaning, "acknowledges a part of %v or of its repetition %v, one cannot tell which; %s", frame(part.frame), frame(part.again), t.rest())
	default:
		t.add(Meaning, "acknowledges a part of %v after %v; %s", frame(part.frame), elapsed(t.Time.Sub(part.at)), t.rest())
	}
}

// repair is the segment that came later than those behind it and let the Ack
// jump over all of them, and what it repeated, if there was one.
func (t *telling) repair() (first *sent, frame int) {
	last := &t.acked[len(t.acked)-1]
	first = &t.acked[0]
	if again, _ := first.latest(); t.from.gap && len(t.acked) > 1 && again > last.frame {
		return first, again
	}
	return first, 0
}

// rest is what the other end has sent and is not acknowledged.
func (t *telling) rest() Sentence {
	n := t.to.outstanding()
	fin := t.to.finFrame != 0 && t.seg.Ack.LessEq(t.to.finSeq)
	switch {
	case n == 0:
		return Sentence{Format: "nothing is left unacknowledged"}
	case fin && n == 1:
		return Sentence{Format: "the FIN is still unacknowledged"}
	case fin:
		return t.phrase(Meaning, "%s and the FIN are still unacknowledged", octets(n-1))
	case n == 1:
		return Sentence{Format: "1 byte is still unacknowledged"}
	}
	return t.phrase(Meaning, "%d bytes are still unacknowledged", n)
}
