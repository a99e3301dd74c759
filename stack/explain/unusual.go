package explain

import (
	"rawnc/stack"
)

// compare holds the segment against what its sender and the other end did
// before, and tells what a smooth conversation would not have. Wireshark's names
// say where to look; what the narrator knows says what it was, and what our own
// stack meant by it goes before both.
func (t *telling) compare() {
	from, to, seg := t.from, t.to, t.seg
	n := t.Len
	t.fresh = n
	if t.Checksum == stack.ChecksumPartial {
		t.add(Detail, "the checksum is only begun: the network card finishes it, or nobody needs to, where nothing goes over a wire. That is no error")
	}
	if to.mss > 0 && n > to.mss {
		t.add(Detail, "%s are more than the MSS of %v: several segments in one, joined on receipt (GRO) or not yet cut up (TSO)", octets(n), plain(to.mss))
	}
	t.probes()
	if t.probe != probeNone {
		return
	}
	switch {
	case t.is(stack.RST) || from.nextFrame == 0:
	case from.next.Less(seg.Seq):
		missing := octets(seg.Seq.Sub(from.next))
		t.mark("%s missing before it", missing)
		t.note("%s before this segment are missing: lost, late, or not captured", missing)
	case t.found.has(foundLostSegment):
		t.add(Meaning, "what goes before this segment was not captured, but it did arrive: %v acknowledges it", frame(from.nextFrame))
	}
	t.windows()
	t.idle()
	numbered := n > 0 || seg.Flags&(stack.SYN|stack.FIN) != 0
	if numbered && from.nextFrame != 0 && seg.Seq.Less(from.next) {
		t.repeated()
	}
}

// fate tells what a network does to the segment, where that is known.
func (t *telling) fate() {
	f := t.Fate
	switch {
	case f == nil:
		return
	case f.Lost:
		t.from.tally.Lost++
		t.mark("✗ lost on the way")
		t.note("lost on the way: it does not reach %s", t.receiver())
	case f.Corrupt && t.Checksum != stack.ChecksumWrong:
		t.from.tally.Corrupted++
		t.mark("✗ corrupted on the way")
		t.note("a bit is flipped on the way: the checksum will be wrong, and %s will throw it away", t.receiver())
	case f.Copies > 0:
		t.from.tally.Copied++
		t.mark("arrives twice")
		t.note("the network makes a copy of it on the way: it arrives twice")
	}
	if f.Copy {
		t.from.tally.Copied++
		t.mark("copy made by the network")
		t.note("a copy that the network made: it was sent once")
	}
}

// sentFor reports whether our own stack sent the segment for one of the reasons.
// Of a segment that it did not send, ok is false.
func (t *telling) sentFor(kinds ...stack.ReasonKind) (yes, ok bool) {
	if t.Live == nil || !t.Live.Sent || t.Live.Reason.Kind == stack.ReasonNone {
		return false, false
	}
	for _, kind := range kinds {
		if t.Live.Reason.Kind == kind {
			return true, true
		}
	}
	return false, true
}

// probes tells whether the segment only asks the other end for an answer. What
// looks like a keep-alive while something is unacknowledged is a byte sent again,
// or an ACK that was overtaken.
func (t *telling) probes() {
	closed := t.to.winFrame != 0 && t.to.window == 0
	probe := probeNone
	switch {
	case t.seg.Flags&(stack.SYN|stack.FIN|stack.RST) != 0:
	case t.found.has(foundZeroWindowProbe) && closed:
		probe = probeWindow
	case t.found.has(foundKeepAlive) && t.from.outstanding() == 0:
		probe = probeKeepAlive
	}
	if yes, ok := t.sentFor(stack.ReasonWindowProbe, stack.ReasonKeepAlive); ok && !yes {
		probe = probeNone
	}
	t.probe = probe
	switch {
	case probe == probeWindow:
		t.mark("window probe")
		t.note("a window probe: the window of %s is closed, and one byte asks whether it still is", t.receiver())
	case probe == probeKeepAlive && closed:
		t.mark("window probe")
		t.note("asks whether the window of %s is still closed", t.receiver())
	case probe == probeKeepAlive:
		t.mark("keep-alive")
		t.note("keep-alive: asks whether %s is still there", t.receiver())
	}
}

// windows tells of windows that close, open and are filled.
func (t *telling) windows() {
	same := t.from.winFrame != 0 && t.Window == t.from.window
	switch {
	case !t.found.has(foundZeroWindow):
	case same:
		t.mark("window still closed")
		t.note("the window of %s is still closed", t.sender())
	default:
		t.mark("window closed")
		t.note("the window is closed: %s has no room, and %s must stop", t.sender(), t.receiver())
	}
	switch {
	case !t.found.has(foundWindowUpdate):
	case t.Unscaled:
		t.mark("window update")
		t.add(Meaning, "window update: the room that %s has is another now", t.sender())
	case t.from.winFrame != 0 && t.Window < t.from.window:
		t.mark("window shrunk")
		t.note("the window has shrunk: %s takes back some of what it offered in %v, and has room for %s now",
			t.sender(), frame(t.from.winFrame), octets(t.Window))
	default:
		t.mark("window update")
		t.add(Meaning, "window update: %s has room for %s now", t.sender(), octets(t.Window))
	}
	if t.found.has(foundWindowFull) {
		t.mark("window full")
		if to := t.to; to.ack.Add(to.window) == t.Next.Raw {
			t.note("this fills the window of %s: Next %v = its Ack %v + its Win %d in %v; %s must wait now",
				t.receiver(), t.Next.shown(), t.from.number(to.ack).shown(), to.window, frame(to.winFrame), t.sender())
		} else {
			t.note("this fills the window of %s: %s must wait now", t.receiver(), t.sender())
		}
	}
}

// idle tells of an ACK that acknowledges nothing new: the answer to a probe, or
// a duplicate.
func (t *telling) idle() {
	from, to := t.from, t.to
	switch {
	case t.Len > 0 || t.seg.Flags&^(stack.ECE|stack.CWR) != stack.ACK || from.ackFrame == 0 || t.seg.Ack != from.ack || t.seg.Seq != from.next,
		t.Fate != nil && t.Fate.Copy:
		return
	case to.probe != probeNone && t.Window == 0:
		t.mark("answers the probe")
		t.add(Meaning, "this answers the probe")
		return
	case to.probe == probeKeepAlive && from.window != 0: // if it was closed, its update is the news
		t.mark("answers the keep-alive")
		t.add(Meaning, "this answers the keep-alive: %s is still there", t.sender())
		return
	case t.found.has(foundWindowUpdate):
		return
	case to.doubt != 0 && (t.Live == nil || !t.Live.Sent):
		t.mark("challenge ACK")
		t.note("a challenge ACK (RFC 5961): it answers %v, which had not the number expected; the true sender of a RST would now send it again with %v",
			frame(to.doubt), t.Ack.shown())
		return
	case !t.found.has(foundDuplicateAck | foundKeepAliveAck):
		return
	}
	switch yes, ok := t.sentFor(stack.ReasonDuplicateACK); {
	case ok && !yes: // it says itself what for
	case to.outstanding() == 0:
		t.mark("the same ACK again")
		t.note("the same ACK again; nothing is left unacknowledged, so it reports no loss")
	default:
		from.dups++
		t.mark("duplicate ACK %d of %v", from.dups, frame(from.ackFrame))
		t.note("duplicate ACK number %d of %v: something arrived, but not what %s waits for, which begins with %v",
			from.dups, frame(from.ackFrame), t.sender(), t.Ack.shown())
	}
}

// repeated tells of a segment that begins before what was sent already.
func (t *telling) repeated() {
	from, seg := t.from, t.seg
	n := t.Len
	old := from.holding(seg.Seq)
	acknowledged := from.unaKnown && t.Next.Raw.LessEq(from.una)
	unseen := old == nil && seg.Seq.In(from.unseen.from, from.unseen.to)
	if old != nil || acknowledged && !unseen {
		t.fresh = min(max(seg.Seq.Add(n).Sub(from.next), 0), n)
	}
	switch again, _ := t.sentFor(stack.ReasonRetransmitTimeout, stack.ReasonFastRetransmit, stack.ReasonRecovery, stack.ReasonTailProbe,
		stack.ReasonTooBig, stack.ReasonBlackHole, stack.ReasonProbeLost); {
	case again && old != nil:
		last, at := old.latest()
		switch t.Live.Reason.Kind {
		case stack.ReasonRetransmitTimeout:
			t.mark("retransmission of %v, timer ran out", frame(old.frame))
		case stack.ReasonFastRetransmit:
			t.mark("fast retransmission of %v", frame(old.frame))
		default:
			t.mark("retransmission of %v", frame(old.frame))
		}
		t.note("a retransmission of %v, %v after %v", frame(old.frame), elapsed(t.Time.Sub(at)), frame(last))
	case t.Fate != nil && t.Fate.Copy:
		return // that has been said
	case t.is(stack.SYN|stack.ACK) && old != nil && !old.flags.Has(stack.ACK):
		t.add(Meaning, "the SYN of %v again, now with the ACK for the other one: both sides open at once", frame(old.frame))
		return
	case unseen:
		t.mark("acknowledged already")
		t.note("this was acknowledged before it came by here: the capture has the two in the wrong order, or lacks a first copy of it")
		return
	case acknowledged && n > 0:
		t.mark("needless retransmission")
		t.note("a needless (spurious) retransmission: %s acknowledged these bytes already, but the ACK was lost or is late", t.receiver())
	case acknowledged:
		t.mark("retransmission")
		t.note("a retransmission: %s acknowledged it already, but the ACK was lost or is late", t.receiver())
	case old == nil:
		if t.late() {
			return
		}
	case t.found.has(foundFastRetransmission):
		last, at := old.latest()
		t.mark("fast retransmission of %v", frame(old.frame))
		t.note("fast retransmission of %v, %v after %v: %d duplicate ACKs say that it is missing",
			frame(old.frame), elapsed(t.Time.Sub(at)), frame(last), max(t.reverse.dups, 2))
	case t.found.has(foundOutOfOrder):
		t.mark("%v again", frame(old.frame))
		t.note("the same as %v again, only %v later: sent twice, or doubled on the way", frame(old.frame), elapsed(t.Time.Sub(old.at)))
	case seg.Flags&(stack.SYN|stack.FIN) != 0:
		last, at := old.latest()
		t.mark("retransmission of %v", frame(old.frame))
		t.note("a retransmission of %v, %v after %v: no acknowledgment has come, so %v may never have arrived",
			frame(old.frame), elapsed(t.Time.Sub(at)), frame(last), frame(last))
	default:
		last, at := old.latest()
		t.mark("retransmission of %v", frame(old.frame))
		t.note("a retransmission of %v, %v after %v: no acknowledgment has come", frame(old.frame), elapsed(t.Time.Sub(at)), frame(last))
	}
	from.tally.Retransmitted++
}

// late tells of a segment that comes by for the first time, though others from
// behind it came before: they overtook it, or what passes here is sent again. It
// reports whether it was overtaken. The timestamps know which; without them, a
// segment that comes within a round trip comes too soon to be sent again.
func (t *telling) late() (overtaken bool) {
	from, ts := t.from, &t.seg.Options
	ahead := frame(from.nextFrame)
	after := t.Time.Sub(from.nextTime)
	known := ts.HasTimestamps && from.nextTS != 0 && ts.TSVal != from.nextTS
	older := int32(ts.TSVal-from.nextTS) < 0
	switch {
	case known && older:
		t.mark("overtaken by %v", ahead)
		t.note("out of order: its timestamp is older than that of %v, so it was sent earlier and overtaken on its way", ahead)
		return true
	case known:
		t.mark("retransmission")
		t.note("a retransmission: its timestamp is newer than that of %v, so it was sent later; a first copy was lost before it got here", ahead)
	case t.found.has(foundFastRetransmission):
		t.mark("retransmission")
		t.note("a fast retransmission: %d duplicate ACKs say that this is missing; a first copy was lost before it got here", max(t.reverse.dups, 2))
	case t.found.has(foundOutOfOrder):
		t.mark("overtaken by %v", ahead)
		t.note("out of order: it comes only %v after %v, too soon to be sent again, so %v overtook it on its way", elapsed(after), ahead, ahead)
		return true
	default:
		t.mark("retransmission")
		t.note("a retransmission, %v after %v: a first copy was lost before it got here", elapsed(after), ahead)
	}
	return false
}
