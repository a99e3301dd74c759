package explain

import (
	"rawnc/stack"
)

// reasons are the words for why our own stack sends a segment.
var reasons = map[stack.ReasonKind]string{
	stack.ReasonSYN:             "sent to open the connection",
	stack.ReasonSYNACK:          "sent to answer the SYN",
	stack.ReasonHandshakeACK:    "sent to complete the three-way handshake",
	stack.ReasonData:            "sent because the application wrote",
	stack.ReasonFIN:             "sent because the application closed",
	stack.ReasonFastRetransmit:  "sent because three duplicate ACKs show that it was lost: fast retransmit, sooner than the timer (RFC 5681)",
	stack.ReasonRecovery:        "sent because it is a further gap of the same loss",
	stack.ReasonForwardRTO:      "new data in place of old: does the answer show that the timeout was spurious (RFC 5682)?",
	stack.ReasonTooBig:          "sent again because a router reports that it was too big: the path carries packets of %d bytes at most",
	stack.ReasonBlackHole:       "sent again, smaller, because larger packets vanish on the way without a word: %d bytes at most from now on",
	stack.ReasonPathProbe:       "sent in a packet of %d bytes, larger than the others, to find out whether the path carries it",
	stack.ReasonProbeLost:       "sent again because a packet that tried a larger size was lost, which is no sign of congestion: %d bytes at most",
	stack.ReasonWindowProbe:     "sent to ask whether the window is still closed (probe %d)",
	stack.ReasonKeepAlive:       "sent because the connection was idle: is the other side there? (probe %d)",
	stack.ReasonACK:             "sent to acknowledge at once: two full segments have arrived, a gap was filled, or it was asked for",
	stack.ReasonDelayedACK:      "sent because the acknowledgment has waited long enough, and nothing else was there to carry it",
	stack.ReasonFINACK:          "sent to acknowledge the FIN",
	stack.ReasonDuplicateACK:    "sent because something arrived out of order: it says what is missing",
	stack.ReasonOldDataACK:      "sent because something arrived that was here before: the other side may have missed the ACK",
	stack.ReasonWindowUpdate:    "sent because the application has read, and there is room again",
	stack.ReasonChallengeACK:    "sent as a challenge ACK, because a doubtful segment arrived: it tells the numbers that count, and only the true peer can answer with them (RFC 5961)",
	stack.ReasonUnacceptableACK: "sent because a segment arrived that lies outside the window",
	stack.ReasonUrgent:          "sent to tell of urgent data that wait for room in the window",
	stack.ReasonAbort:           "sent because the application aborted",
	stack.ReasonUnreadData:      "sent because the application closed without reading everything",
	stack.ReasonDataAfterClose:  "sent because data arrived for an application that has gone",
	stack.ReasonNoConnection:    "sent because there is no such connection",
	stack.ReasonBadHandshakeACK: "sent because the ACK is for a SYN that was never sent",
	stack.ReasonTimeoutAbort:    "sent because the other side has not answered for too long",
	stack.ReasonSYNCookie:       "sent to answer the SYN with a cookie: too many connections are half open, so nothing of the SYN is kept, and Seq holds what the ACK will bring back (RFC 4987)",
}

// reasonMarks are those that belong on the segment's line.
var reasonMarks = map[stack.ReasonKind]string{
	stack.ReasonChallengeACK: "challenge ACK",
	stack.ReasonSYNCookie:    "SYN cookie",
	stack.ReasonTailProbe:    "probes for lost segments",
	stack.ReasonPathProbe:    "probes the path for larger packets",
}

// reason is why our own stack sent the segment, if it did.
func (a *Account) reason() (s Sentence, ok bool) {
	if a.Live == nil || !a.Live.Sent {
		return Sentence{}, false
	}
	s.Kind = Meaning
	s.Format, ok = reasons[a.Live.Reason.Kind]
	switch kind := a.Live.Reason.Kind; {
	case kind == stack.ReasonRetransmitTimeout || kind == stack.ReasonTailProbe:
		var args []any
		s.Format, args = timed(&a.Live.Reason)
		s.Args, ok = appendArgs(nil, args), true
	case kind == stack.ReasonFastRetransmit && a.sack:
		s.Format = "sent because the SACK blocks show that what was sent later has arrived, so this was lost (RACK, RFC 8985)"
	case kind == stack.ReasonWindowProbe, kind == stack.ReasonKeepAlive,
		kind == stack.ReasonTooBig, kind == stack.ReasonBlackHole, kind == stack.ReasonPathProbe, kind == stack.ReasonProbeLost:
		s.Args = appendArgs(nil, []any{a.Live.Reason.N})
	}
	return s, ok
}

// timed tells which timer ran out, and where its time comes from (RFC 6298,
// section 2; RFC 8985, section 7.2).
func timed(r *stack.Reason) (format string, args []any) {
	t := r.Timer
	waited, srtt, rttvar := elapsed(t.Waited), elapsed(t.SRTT), elapsed(t.RTTVar)
	switch {
	case r.Kind == stack.ReasonTailProbe && t.InPlace:
		return "sent to ask whether the last segments arrived, after %v without an ACK: the retransmission timer would have run out now, but a probe comes first and leaves the congestion window as it is", []any{waited}
	case r.Kind == stack.ReasonTailProbe:
		return "sent to ask whether the last segments arrived, after %v without an ACK: twice the round trip of %v (SRTT), and %v for the clock and an ACK that is delayed",
			[]any{waited, srtt, elapsed(t.Waited - 2*t.SRTT)}
	case r.N > 1:
		return "sent because no ACK came in time: the retransmission timer has run out %d times in a row, and waits twice as long each time, now %v", []any{r.N, waited}
	case t.SRTT == 0:
		return "sent because no ACK came in time: the retransmission timer ran out after %v, its time until a round trip has been measured", []any{waited}
	case t.SRTT+4*t.RTTVar < t.Waited:
		return "sent because no ACK came in time: the retransmission timer ran out after %v, the least that it waits: a round trip takes %v (SRTT) and varies by %v (RTTVAR)", []any{waited, srtt, rttvar}
	}
	return "sent because no ACK came in time: the retransmission timer ran out after %v = the round trip of %v (SRTT) + 4 × its variation of %v (RTTVAR)", []any{waited, srtt, rttvar}
}

// stackSays passes on what our own stack says of the segment, and of what the
// wire does not show.
func (t *telling) stackSays() {
	if t.Live == nil {
		return
	}
	if reason, ok := t.reason(); ok {
		t.Why = append(t.Why, reason)
	}
	if m := reasonMarks[t.Live.Reason.Kind]; m != "" && t.Live.Sent {
		t.mark(m)
	}
	t.edited()
	if !t.Live.Sent && t.Live.Verdict != nil {
		t.verdict(t.Live.Verdict)
	}
	ours := t.to
	if t.Live.Sent {
		ours = t.from
	}
	for _, tr := range t.Live.Transitions {
		switch tr.Cause {
		case stack.CauseTimeout, stack.CauseICMP, stack.CauseTimeWaitOver, stack.CauseCookie:
			t.enter(ours, tr.To, tr.Cause)
		}
	}
}

// edited tells of the fields that someone changed before the segment was sent.
func (t *telling) edited() {
	made := t.Live.Edited
	if made == nil {
		return
	}
	t.mark("edited by hand")
	if t.seg.Seq != made.Seq {
		t.note("Seq was edited by hand: our stack had put %v there", t.from.number(made.Seq).shown())
	}
	if t.seg.Ack != made.Ack {
		t.note("Ack was edited by hand: our stack had put %v there", t.to.number(made.Ack).shown())
	}
	if t.seg.Flags != made.Flags {
		t.note("the flags were edited by hand: our stack had set %s", made.Flags.String())
	}
	if t.seg.Window != made.Window {
		t.note("the window was edited by hand: our stack had put %v there, not scaled", plain(made.Window))
	}
}

// verdict says what became of a segment that our stack received, with the
// numbers that decided it.
func (t *telling) verdict(j *stack.Judgment) {
	expected := t.from.number(j.RcvNxt).shown()
	switch j.Verdict {
	case stack.VerdictAccepted, stack.VerdictReset:
	case stack.VerdictOutOfOrder:
		t.mark("kept for later")
		t.note("our stack keeps it until what lies before it arrives: it expects %v", expected)
	case stack.VerdictTooManyGaps:
		t.mark("discarded: too many gaps")
		t.note("our stack discards it: it keeps no more pieces with gaps between them, and expects %v", expected)
	case stack.VerdictOldData:
		t.mark("discarded: old data")
		t.note("our stack discards it and acknowledges again: everything before %v was received", expected)
	case stack.VerdictOutsideWindow:
		t.mark("discarded: outside the window")
		t.note("our stack discards it: it lies outside the window, which is %v to %v",
			expected, t.from.number(j.RcvNxt.Add(j.RcvWnd)).shown())
	case stack.VerdictPAWS:
		t.mark("discarded: old timestamp")
		t.note("our stack discards it: its timestamp is older than the last one, so it is an old duplicate (RFC 7323, PAWS)")
	case stack.VerdictNoTimestamp:
		t.mark("discarded: no timestamp")
		t.note("our stack discards it: timestamps were agreed on, and it has none (RFC 7323)")
	case stack.VerdictBadAck:
		t.mark("Ack not accepted")
		t.note("our stack does not take its Ack: what was sent lies between %v and %v",
			t.to.number(j.SndUna).shown(), t.to.number(j.SndNxt).shown())
	case stack.VerdictBlindRST:
		t.mark("not believed")
		t.note("our stack does not believe this RST: it is in the window, but is not %v, the number expected; it answers with a challenge ACK (RFC 5961)", expected)
	case stack.VerdictBlindSYN:
		t.mark("not believed")
		t.note("our stack does not believe this SYN: the connection exists already; it answers with a challenge ACK (RFC 5961)")
	case stack.VerdictNoACK:
		t.mark("discarded: no ACK")
		t.note("our stack discards it: every segment after the SYN must have the ACK flag")
	case stack.VerdictAfterClose:
		t.mark("cannot be delivered")
		t.note("our stack cannot deliver it: the application has gone")
	case stack.VerdictWindowClosed:
		t.mark("discarded: window closed")
		t.note("our stack discards it: its window is closed, and %v is still what it expects", expected)
	case stack.VerdictIgnored:
		t.mark("ignored")
		t.note("our stack ignores it: it means nothing in this state")
	case stack.VerdictSpuriousTimeout:
		t.mark("takes the timeout back")
		t.note("our stack takes the timeout back: this acknowledges what was sent before it and not again, so nothing was lost, only late (RFC 5682)")
	case stack.VerdictNoConnection:
		t.mark("no such connection")
		t.note("our stack knows no such connection")
	}
}

// refused tells of a segment that the system would not send.
func (t *telling) refused(err error) {
	if reason, ok := t.reason(); ok {
		t.Why = append(t.Why, reason)
	}
	t.edited()
	if err == nil {
		t.mark("✗ dropped by hand")
		t.note("dropped by hand, as if the network had lost it: nothing crossed")
		return
	}
	t.mark("✗ not sent")
	t.note("the system refused to send it, and nothing crossed: %s", err.Error())
}
