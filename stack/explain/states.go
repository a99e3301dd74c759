package explain

import (
	"time"

	"rawnc/stack"
)

// causes are the words for why an end changed its state.
var causes = [...]string{
	stack.CauseActiveOpen:   "it opens the connection",
	stack.CausePassiveOpen:  "it waits for a peer",
	stack.CauseSYN:          "a SYN arrived, and it answers with its own",
	stack.CauseSYNACK:       "the SYN,ACK acknowledges its SYN",
	stack.CauseAckOfSYN:     "its SYN is acknowledged",
	stack.CauseClose:        "it closes, and will send no more",
	stack.CauseFIN:          "the FIN says that the other side will send no more",
	stack.CauseAckOfFIN:     "its FIN is acknowledged",
	stack.CauseFINAndAck:    "its FIN is acknowledged, and the other side closes too",
	stack.CauseRST:          "the RST ends it",
	stack.CauseAbort:        "it aborts the connection",
	stack.CauseTimeout:      "the other side did not answer for too long",
	stack.CauseTimeWaitOver: "twice the maximum segment lifetime has passed",
	stack.CauseICMP:         "the network reports that the other side cannot be reached",
	stack.CauseCookie:       "the Ack gives back the cookie, which tells of its SYN (RFC 4987)",
}

// enter changes the state of an end, and says so.
func (t *telling) enter(h *half, to stack.State, cause stack.Cause) {
	t.enterBecause(h, to, word(causes[cause]))
}

func (t *telling) enterBecause(h *half, to stack.State, why any) {
	switch {
	case !h.state.Known:
		t.add(Change, "%v is in %v: %v", t.c.role(h), to, why)
	case h.state.State == to:
		return
	case h == t.to && !t.sure():
		t.add(Change, "%v %v → %v, if this arrives: %v", t.c.role(h), h.state.State, to, why)
	default:
		t.add(Change, "%v %v → %v: %v", t.c.role(h), h.state.State, to, why)
	}
	h.state = State{to, true}
}

// in reports whether an end is known to be in a state.
func (h *half) in(s stack.State) bool { return h.state == State{s, true} }

// change follows both ends through the states of RFC 9293, figure 5. An end
// that a segment goes to is taken to receive it, which is nearly always true
// and is corrected where what it sends later shows otherwise. Only the answer
// to a SYN tells whether anybody was listening.
func (t *telling) change() {
	switch {
	case t.is(stack.RST):
		t.reset()
		return
	case t.is(stack.SYN):
		t.open()
	case t.is(stack.ACK):
		t.established()
	}
	if t.arrives() {
		t.ackOfFIN()
	}
	if t.is(stack.FIN) {
		t.finish()
	}
}

// sure reports whether it is known that the segment arrives.
func (t *telling) sure() bool {
	return t.from == t.to || t.Fate != nil && !t.Fate.Ours || t.Dir == DirIn || t.Live != nil && !t.Live.Sent
}

// disbelieved reports whether our stack takes the segment for none of the peer's,
// and it does not look like one either.
func (t *telling) disbelieved() bool {
	if t.Live == nil || t.Live.Verdict == nil {
		return false
	}
	switch t.Live.Verdict.Verdict {
	case stack.VerdictOutsideWindow, stack.VerdictNoACK:
		return t.from.nextFrame != 0 && t.from.next.Less(t.seg.Seq)
	case stack.VerdictBadAck:
		return t.to.nextFrame != 0 && t.to.next.Less(t.seg.Ack)
	}
	return false
}

// arrives reports whether the receiver takes the segment. Of our own end we
// know, and of a simulated network; of the other we suppose it.
func (t *telling) arrives() bool {
	if t.Fate != nil && (t.Fate.Lost || t.Fate.Corrupt) {
		return false
	}
	if t.Live == nil || t.Live.Verdict == nil {
		return true
	}
	switch t.Live.Verdict.Verdict {
	case stack.VerdictAccepted, stack.VerdictOutOfOrder, stack.VerdictTooManyGaps, stack.VerdictReset, stack.VerdictAfterClose, stack.VerdictSpuriousTimeout:
		return true
	}
	return false
}

// acksSYN reports whether the segment acknowledges the receiver's SYN.
func (t *telling) acksSYN() bool {
	return t.is(stack.ACK) && t.to.isnKnown && t.to.isn.Less(t.seg.Ack)
}

const bothOpen = word("a SYN arrived without an ACK: both sides open at once")

func (t *telling) open() {
	from, to := t.from, t.to
	if !t.is(stack.ACK) {
		if from.synFrame != 0 {
			return // again
		}
		from.state = State{stack.StateClosed, true}
		t.c.opening = OpenAsked
		t.enter(from, stack.StateSynSent, stack.CauseActiveOpen)
		if to.in(stack.StateSynSent) && t.arrives() {
			t.c.opening = OpenSimultaneous
			t.enterBecause(to, stack.StateSynReceived, bothOpen)
		}
		return
	}
	switch {
	case t.Live != nil && t.Live.Reason.Kind == stack.ReasonSYNCookie:
		from.state = State{stack.StateListen, true}
	case !from.state.Known:
		from.state = State{stack.StateListen, true}
		t.enter(from, stack.StateSynReceived, stack.CauseSYN)
	case from.in(stack.StateSynSent):
		t.enter(from, stack.StateSynReceived, stack.CauseSYN)
	}
	if !t.arrives() || !t.acksSYN() {
		return
	}
	switch {
	case to.in(stack.StateSynReceived):
		t.enter(to, stack.StateEstablished, stack.CauseAckOfSYN)
	case t.c.opening == OpenSimultaneous && to.in(stack.StateSynSent):
		t.enterBecause(to, stack.StateSynReceived, bothOpen) // by the SYN that went ahead
		t.enter(to, stack.StateEstablished, stack.CauseAckOfSYN)
	case !to.state.Known, to.in(stack.StateSynSent):
		t.c.opening = OpenAnswered
		t.enter(to, stack.StateEstablished, stack.CauseSYNACK)
	}
}

// established follows the third segment of the handshake.
func (t *telling) established() {
	if t.from.in(stack.StateSynSent) && t.to.isnKnown {
		t.enterBecause(t.from, stack.StateEstablished, word("it acknowledges a SYN,ACK that was not captured"))
	}
	if t.to.in(stack.StateSynReceived) && t.acksSYN() && t.arrives() {
		if t.c.opening == OpenAnswered {
			t.c.opening = OpenThree
		}
		t.enter(t.to, stack.StateEstablished, stack.CauseAckOfSYN)
	}
}

// ackOfFIN follows the acknowledgment of a FIN.
func (t *telling) ackOfFIN() {
	from, to := t.from, t.to
	if !t.is(stack.ACK) || to.finFrame == 0 || to.finAcked != 0 || !to.finSeq.Less(t.seg.Ack) {
		return
	}
	to.finAcked = t.Frame
	if from.in(stack.StateEstablished) {
		t.enter(from, stack.StateCloseWait, stack.CauseFIN)
	}
	alone := !t.is(stack.FIN)
	if to.in(stack.StateFinWait1) && from.finFrame != 0 {
		t.enter(to, stack.StateClosing, stack.CauseFIN) // the FIN went ahead of this segment
	}
	switch {
	case to.in(stack.StateFinWait1) && alone:
		t.enter(to, stack.StateFinWait2, stack.CauseAckOfFIN)
	case to.in(stack.StateClosing):
		t.enter(to, stack.StateTimeWait, stack.CauseAckOfFIN)
	case to.in(stack.StateLastAck):
		t.enter(to, stack.StateClosed, stack.CauseAckOfFIN)
	}
	switch {
	case from.finFrame != 0 && from.finAcked != 0:
		t.closed()
	case from.finFrame == 0 && alone:
		t.add(Meaning, "this acknowledges the FIN and no more: %s has not closed its own direction, and may still send", t.sender())
	}
}

// finish follows a FIN. Its sender changes its state with the first copy, its
// receiver with the first that arrives.
func (t *telling) finish() {
	from, to := t.from, t.to
	if from.finAcked == 0 {
		from.finLast, from.finTime = t.Frame, t.Time
	}
	if from.finFrame == 0 {
		from.finFrame, from.finSeq = t.Frame, t.Next.Raw-1
		t.closes()
		switch {
		case from.in(stack.StateCloseWait) && to.finAcked == 0:
			from.state.State = stack.StateEstablished
			t.enterBecause(from, stack.StateFinWait1, word("it closes, and had not yet received the other side's FIN"))
		case from.in(stack.StateCloseWait):
			t.enter(from, stack.StateLastAck, stack.CauseClose)
		case from.in(stack.StateEstablished), from.in(stack.StateSynReceived):
			t.enter(from, stack.StateFinWait1, stack.CauseClose)
		}
	} else if seq := t.Next.Raw - 1; from.finAcked == 0 && seq.Less(from.finSeq) {
		from.finSeq = seq // the direction ends here: the FIN before lay behind a gap, and was none of this close
	}
	hole := from.nextFrame != 0 && from.next.Less(t.seg.Seq)
	if hole || !t.arrives() {
		return // the FIN counts only once everything before it has arrived
	}
	switch {
	case to.in(stack.StateEstablished), to.in(stack.StateSynReceived):
		t.enter(to, stack.StateCloseWait, stack.CauseFIN)
	case to.in(stack.StateFinWait1) && to.finAcked == t.Frame:
		t.enter(to, stack.StateTimeWait, stack.CauseFINAndAck)
	case to.in(stack.StateFinWait1):
		t.enter(to, stack.StateClosing, stack.CauseFIN)
	case to.in(stack.StateFinWait2):
		t.enter(to, stack.StateTimeWait, stack.CauseFIN)
	}
}

// delayedACK is how long Linux lets an acknowledgment wait, at least.
const delayedACK = 40 * time.Millisecond

// closes explains where a FIN stands in the close.
func (t *telling) closes() {
	from, to := t.from, t.to
	if to.finFrame == 0 || from == to {
		t.c.closer = from
		t.c.closing = CloseHalf
		return
	}
	after := t.Time.Sub(to.finTime)
	t.c.closeGap = after
	switch {
	case to.finAcked == 0:
		t.c.closing = CloseSimultaneous
		t.add(Meaning, "both sides close at once: this FIN does not acknowledge the one in %v, so it left before that arrived", frame(to.finFrame))
	case to.finAcked != t.Frame:
		t.c.closing = CloseFour
		t.add(Meaning, "the close takes four segments: %v acknowledged the FIN of %v, and the FIN of %s comes only now, %v after %v",
			frame(to.finAcked), frame(to.finLast), t.sender(), elapsed(after), frame(to.finLast))
	case after < delayedACK:
		t.c.closing = CloseThree
		t.add(Meaning, "%s's ACK of %v and its own FIN go in one segment, %v after %v: its application closed before the ACK was due (it may wait, in Linux about %s)",
			t.sender(), frame(to.finLast), elapsed(after), frame(to.finLast), "40 ms")
	default:
		t.c.closing = CloseThree
		t.add(Meaning, "%s's ACK of %v and its own FIN go in one segment, %v after %v",
			t.sender(), frame(to.finLast), elapsed(after), frame(to.finLast))
	}
}

// closed says that both directions are closed.
func (t *telling) closed() {
	t.c.complete = true
	t.add(Meaning, "both directions are closed and acknowledged: this is the end of the connection")
	for i := range t.c.ends {
		if end := &t.c.ends[i]; end.in(stack.StateTimeWait) {
			t.add(Meaning, "%s stays in TIME-WAIT for a while: if the last ACK was lost, the FIN comes again and must be answered", t.c.name(end))
		}
	}
}

// reset follows a RST.
func (t *telling) reset() {
	from, to := t.from, t.to
	switch {
	case to.in(stack.StateSynSent) && t.acksSYN():
		t.c.opening = OpenRefused
		t.mark("refused")
		t.note("the connection is refused: nobody listens at port %v, or a firewall answers so", plain(from.addr.Port()))
		from.state = State{stack.StateClosed, true}
	case !t.arrives():
		if t.Fate != nil && t.Fate.Lost { // its sender has gone, and the receiver does not know
			t.enter(from, stack.StateClosed, stack.CauseAbort)
			t.c.resetter, t.c.resetAt = from, t.Frame
		}
		return
	case to.ackFrame != 0 && t.seg.Seq != to.ack && t.seg.Seq != from.next:
		from.doubt = t.Frame
		t.mark("not the number expected")
		t.note("this RST has not the number that %s expects, which is %v: whoever follows RFC 5961 does not believe it, and asks back with a challenge ACK",
			t.receiver(), from.number(to.ack).shown())
		return
	case to.in(stack.StateSynReceived) && !t.is(stack.ACK) && t.seg.Seq == to.ack:
		t.mark("refused")
		t.note("the SYN,ACK is refused: %s knows of no such SYN, so that was an old one", t.sender())
		t.enterBecause(from, stack.StateClosed, word("it has no such connection"))
	default:
		t.mark("reset")
		t.note("the connection is reset: %s gives it up at once, and what was on its way is lost", t.sender())
		t.enter(from, stack.StateClosed, stack.CauseAbort)
	}
	t.enter(to, stack.StateClosed, stack.CauseRST)
	if t.c.resetAt == 0 {
		t.c.resetter, t.c.resetAt = from, t.Frame
	}
}
