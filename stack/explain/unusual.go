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
		t.note("%s before this segment are missing: lost, late, or not captured", octets(seg.Seq.Sub(from.next)))
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
// looks like a keep-alive while something is outstanding is an octet sent again,
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
		t.note("a window probe: the window of %s is closed, and one octet asks whether it still is", t.receiver())
	case probe == probeKeepAlive && closed:
		t.note("asks whether the window of %s is still closed", t.receiver())
	case probe == probeKeepAlive:
		t.note("keep-alive: asks whether %s is still there", t.receiver())
	}
}

// windows tells of windows that close, open and are filled.
func (t *telling) windows() {
	same := t.from.winFrame != 0 && t.Window == t.from.window
	switch {
	case !t.found.has(foundZeroWindow):
	case same:
		t.note("the window of %s is still closed", t.sender())
	default:
		t.note("the window is closed: %s has no room, and %s must stop", t.sender(), t.receiver())
	}
	if t.found.has(foundWindowUpdate) {
		t.add(Meaning, "window update: %s has room for %s now", t.sender(), octets(t.Window))
	}
	if t.found.has(foundWindowFull) {
		t.note("this fills the window of %s: %s must wait now", t.receiver(), t.sender())
	}
}

// idle tells of an ACK that acknowledges nothing new: the answer to a probe, or
// a duplicate.
func (t *telling) idle() {
	from, to := t.from, t.to
	switch {
	case t.Len > 0 || t.seg.Flags != stack.ACK || from.ackFrame == 0 || t.seg.Ack != from.ack || t.seg.Seq != from.next,
		t.found.has(foundWindowUpdate):
		return
	case to.probe != probeNone && t.Window == 0:
		t.add(Meaning, "this answers the probe")
		return
	case to.probe == probeKeepAlive:
		t.add(Meaning, "this answers the keep-alive: %s is still there", t.sender())
		return
	case !t.found.has(foundDuplicateAck | foundKeepAliveAck):
		return
	}
	number := max(t.DupAckNum, 1)
	switch yes, ok := t.sentFor(stack.ReasonDuplicateACK); {
	case ok && !yes: // it says itself what for
	case to.outstanding() == 0:
		t.note("the same ACK again; nothing is outstanding, so it reports no loss")
	default:
		t.note("duplicate ACK number %d of %v: something arrived, but not what %s waits for, which begins with %v",
			number, frame(from.ackFrame), t.sender(), t.Ack.shown())
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
		t.note("a retransmission of %v, %v after %v", frame(old.frame), elapsed(t.Time.Sub(at)), frame(last))
	case unseen:
		t.note("this was acknowledged before it came by here: the capture has the two in the wrong order, or lacks a first copy of it")
		return
	case acknowledged && n > 0:
		t.note("a spurious retransmission: %s acknowledged these octets already, but the ACK was lost or is late", t.receiver())
	case acknowledged:
		t.note("a retransmission: %s acknowledged it already, but the ACK was lost or is late", t.receiver())
	case t.found.has(foundFastRetransmission):
		t.note("fast retransmission: the duplicate ACKs say that this is missing")
	case old == nil && t.found.has(foundOutOfOrder):
		t.note("out of order: this belongs before %v, which overtook it", frame(from.nextFrame))
		return
	case old == nil:
		t.note("a retransmission: what it carries was lost before it got here")
	case t.found.has(foundOutOfOrder):
		t.note("the same as %v again, only %v later: sent twice, or doubled on the way", frame(old.frame), elapsed(t.Time.Sub(old.at)))
	case seg.Flags&(stack.SYN|stack.FIN) != 0:
		last, at := old.latest()
		t.note("a retransmission of %v, %v after %v: no acknowledgment has come, so %v may never have arrived",
			frame(old.frame), elapsed(t.Time.Sub(at)), frame(last), frame(last))
	default:
		last, at := old.latest()
		t.note("a retransmission of %v, %v after %v: no acknowledgment has come", frame(old.frame), elapsed(t.Time.Sub(at)), frame(last))
	}
	from.tally.Retransmitted++
}
