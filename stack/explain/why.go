package explain

import (
	"rawnc/stack"
)

// A telling is the account of one segment while it is made, with both ends as
// they were before it.
type telling struct {
	*Account
	brief    bool // nobody wants a Detail
	c        *conversation
	seg      *stack.Segment
	from, to *half
	// The directions as Wireshark sees them, there and back.
	flow, reverse *flow

	found findings  // Wireshark's names for it
	probe probeKind // the segment asks for an answer
	fresh int       // octets of payload that were not seen before
	acked []sent    // the segments that it acknowledges for the first time
	part  sent      // of which it does so in part; without a frame: there is none
}

func (t *telling) add(kind Kind, format string, args ...any) {
	if kind == Detail && t.brief {
		return
	}
	t.Why = append(t.Why, t.phrase(kind, format, args...))
}

// phrase makes a sentence whose arguments stand with all others of the account.
func (t *telling) phrase(kind Kind, format string, args ...any) Sentence {
	start := len(t.args)
	t.args = appendArgs(t.args, args)
	return Sentence{kind, format, t.args[start:len(t.args):len(t.args)]}
}

// note adds something unusual.
func (t *telling) note(format string, args ...any) { t.add(Unusual, format, args...) }

// mark says the same in a few words.
func (t *telling) mark(format string, args ...any) {
	t.Marks = append(t.Marks, t.phrase(Unusual, format, args...))
}

func (t *telling) sender() any           { return t.c.name(t.from) }
func (t *telling) receiver() any         { return t.c.name(t.to) }
func (t *telling) is(f stack.Flags) bool { return t.seg.Flags.Has(f) }

// numbers sets Seq, Ack, Next and the window, as both ends count.
func (t *telling) numbers() {
	if t.is(stack.SYN) && !t.forgedSYN() {
		if t.from.isnKnown && t.from.isn != t.seg.Seq {
			t.mark("another first number")
			t.note("another initial sequence number than before: what %s said first came from an earlier connection, or it has forgotten it", t.sender())
		}
		t.from.begin(t.seg.Seq)
		if t.is(stack.ACK) && !t.to.isnKnown {
			t.to.begin(t.seg.Ack - 1)
		}
	}
	t.Seq = t.from.number(t.seg.Seq)
	next := t.seg.Seq.Add(t.Len)
	if t.is(stack.SYN) {
		next++
	}
	if t.is(stack.FIN) {
		next++
	}
	t.Next = t.from.number(next)
	if t.is(stack.ACK) {
		t.Ack = t.to.number(t.seg.Ack)
	}
	t.Window = int(t.seg.Window)
	if !t.is(stack.SYN) {
		t.Window <<= max(t.flow.scale, 0)
		t.Unscaled = t.flow.scale == scaleUnknown
	}
	for _, b := range t.seg.Options.Blocks() {
		t.SACK = append(t.SACK, Range{t.to.number(b.Left), t.to.number(b.Right)})
	}
}

// tell says where each number comes from and what it means, and then takes the
// segment into the books.
func (t *telling) tell() {
	t.c.frames++
	t.c.last = t.Time
	if t.Fate == nil || !t.Fate.Copy {
		t.from.tally.Segments++
		if t.Len > 0 {
			t.from.tally.WithData++
		}
	}
	if t.forgedSYN() {
		t.whySeq()
		t.stackSays()
		return
	}
	t.analyse()
	if t.Checksum == stack.ChecksumWrong {
		t.mark("✗ wrong checksum")
		t.note("the checksum is wrong: %s throws the segment away, as if it had been lost on the way", t.receiver())
		return
	}
	if t.stray() {
		return
	}
	t.compare()
	t.fate()
	t.whySeq()
	t.whyAck()
	t.whyNext()
	t.absolute()
	t.acknowledges()
	t.stackSays()
	t.change()
	t.whyWindow()
	t.ecn()
	t.whyOptions()
	t.book()
}

// gap reports whether the segment says that something before what has arrived is
// missing.
func (t *telling) gap() bool {
	for _, b := range t.seg.Options.Blocks() {
		if t.seg.Ack.Less(b.Left) {
			return true
		}
	}
	return t.found.has(foundDuplicateAck) && t.to.outstanding() > 0
}

// forgedSYN reports whether our stack knows better than to take a SYN for the
// beginning of a connection, so that none of its numbers counts.
func (t *telling) forgedSYN() bool {
	return t.Live != nil && t.Live.Verdict != nil && t.Live.Verdict.Verdict == stack.VerdictBlindSYN
}

// book takes the segment into the books of both ends, if its receiver does.
func (t *telling) book() {
	from, seg := t.from, t.seg
	from.probe = t.probe
	if t.is(stack.RST) || t.disbelieved() {
		return
	}
	if t.is(stack.ACK) {
		switch {
		case from.ackFrame == 0 || from.ack.Less(seg.Ack):
			from.ack, from.ackFrame, from.gap, from.dups = seg.Ack, t.Frame, false, 0
		}
		from.gap = from.gap || t.gap()
	}
	from.window, from.winFrame, from.doubt = t.Window, t.Frame, 0
	if t.is(stack.SYN) {
		from.synFrame, from.mss, from.sack = t.Frame, int(seg.Options.MSS), seg.Options.SACKPermitted
	}
	if from.nextFrame == 0 || from.next.Less(t.Next.Raw) {
		from.nextTime, from.nextTS = t.Time, 0
		if seg.Options.HasTimestamps {
			from.nextTS = seg.Options.TSVal
		}
	}
	if t.probe == probeNone {
		from.tally.Octets += t.fresh
		from.send(sent{frame: t.Frame, seq: seg.Seq, next: t.Next.Raw, flags: seg.Flags, at: t.Time})
	}
	if t.Len > 0 {
		if room := t.to.ack.Add(t.to.window).Sub(from.next); t.to.winFrame != 0 && t.to.ackFrame != 0 && room >= 0 {
			t.add(Detail, "%d of the bytes sent are not acknowledged yet; the window of %s has room for %d more = %d (Win of %v) - %d",
				from.outstanding(), t.receiver(), room, t.to.window, frame(t.to.winFrame), t.to.window-room)
		}
	}
}

func (t *telling) whySeq() {
	from, seq := t.from, t.Seq.shown()
	switch {
	case t.is(stack.SYN) && from.synFrame == 0:
		t.add(Arithmetic, "Seq %v stands for %v, the initial sequence number of %s: its other numbers count from there",
			seq, plain(t.Seq.Raw), t.sender())
	case t.is(stack.RST) && !t.is(stack.ACK) && t.to.ackFrame != 0 && t.seg.Seq == t.to.ack:
		t.add(Arithmetic, "Seq %v = the Ack of %v: a RST counts only if it has the very number that the other side expects",
			seq, frame(t.to.ackFrame))
	case from.nextFrame == 0 && t.is(stack.RST) && t.seg.Seq == 0:
		t.add(Arithmetic, "Seq 0: there is no connection, and so no number to count from")
	case from.nextFrame == 0 && t.to.ackFrame != 0 && t.seg.Seq == t.to.ack:
		t.add(Arithmetic, "Seq %v = the Ack of %v", seq, frame(t.to.ackFrame))
	case from.nextFrame == 0:
		t.add(Arithmetic, "Seq %v: what went before was not captured", seq)
	case t.seg.Seq == from.next:
		t.seqFollows()
	case t.is(stack.RST):
		t.add(Arithmetic, "Seq %v, where the Next of %v was %v", seq, frame(from.nextFrame), from.number(from.next).shown())
	case t.probe == probeKeepAlive:
		t.add(Arithmetic, "Seq %v = %v - 1: a number that was used before, so that %s must answer",
			seq, from.number(from.next).shown(), t.receiver())
	case t.seg.Seq.Less(from.next):
		if old := from.holding(t.seg.Seq); old != nil && old.seq == t.seg.Seq {
			t.add(Arithmetic, "Seq %v is the Seq of %v again", seq, frame(old.frame))
		} else {
			t.add(Arithmetic, "Seq %v lies before %v, the Next of %v", seq, from.number(from.next).shown(), frame(from.nextFrame))
		}
	default:
		t.add(Arithmetic, "Seq %v = %v, the Next of %v, + %s that did not come by here", seq,
			from.number(from.next).shown(), frame(from.nextFrame), octets(t.seg.Seq.Sub(from.next)))
	}
}

// seqFollows is the usual case: a segment begins where the one before ended.
func (t *telling) seqFollows() {
	seq, before := t.Seq.shown(), frame(t.from.nextFrame)
	switch t.from.nextEnd {
	case endSYN:
		t.add(Arithmetic, "Seq %v = the Next of %v: the SYN took one number", seq, before)
	case endFIN:
		t.add(Arithmetic, "Seq %v = the Next of %v: the FIN took one number", seq, before)
	case endUnseen:
		t.add(Arithmetic, "Seq %v = the Ack of %v", seq, before)
	default:
		t.add(Arithmetic, "Seq %v = the Next of %v", seq, before)
	}
}

func (t *telling) whyNext() {
	if t.is(stack.RST) {
		return
	}
	seq, next, n := t.Seq.shown(), t.Next.shown(), t.Len
	switch {
	case t.is(stack.SYN) && n == 0:
		t.add(Arithmetic, "Next %v = Seq %v + 1: the SYN takes one number", next, seq)
	case t.is(stack.SYN):
		t.add(Arithmetic, "Next %v = Seq %v + 1 for the SYN + %s", next, seq, octets(n))
	case t.is(stack.FIN) && n == 0:
		t.add(Arithmetic, "Next %v = Seq %v + 1: the FIN takes one number", next, seq)
	case t.is(stack.FIN):
		t.add(Arithmetic, "Next %v = Seq %v + %s + 1 for the FIN", next, seq, octets(n))
	case n == 0:
		kind := Detail
		if !t.c.taughtACK {
			kind, t.c.taughtACK = Arithmetic, true
		}
		t.add(kind, "Next %v = Seq %v: an ACK alone takes no number", next, seq)
	default:
		t.add(Arithmetic, "Next %v = Seq %v + %s", next, seq, octets(n))
	}
	if t.Next.Raw < t.seg.Seq {
		t.add(Arithmetic, "on the wire the numbers reach 2^32 in this segment, and begin again at 0")
	}
}

// absolute gives the numbers as they are on the wire, which are the initial
// sequence number and the relative one together.
func (t *telling) absolute() {
	var parts [3]any
	n := 0
	part := func(format, wrapped string, isn stack.Seq, number Number) {
		if !number.Known || number.Rel == 0 {
			return
		}
		if number.Raw < isn {
			format = wrapped
		}
		parts[n] = t.phrase(Arithmetic, format, plain(isn), plain(number.Rel), plain(number.Raw))
		n++
	}
	part("Seq %v + %v = %v", "Seq %v + %v - 2^32 = %v", t.from.isn, t.Seq)
	part("Ack %v + %v = %v", "Ack %v + %v - 2^32 = %v", t.to.isn, t.Ack)
	if t.Next.Raw != t.seg.Seq {
		part("Next %v + %v = %v", "Next %v + %v - 2^32 = %v", t.from.isn, t.Next)
	}
	formats := [...]string{"", "absolute: %s", "absolute: %s, %s", "absolute: %s, %s, %s"}
	if n > 0 {
		t.add(Arithmetic, formats[n], parts[:n]...)
	}
}
