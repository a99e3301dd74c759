package explain

import (
	"rawnc/stack"
)

// reasons are the words for why our own stack sends a segment.
var reasons = map[stack.ReasonKind]string{
	stack.ReasonSYN:               "sent to open the connection",
	stack.ReasonSYNACK:            "sent to answer the SYN",
	stack.ReasonHandshakeACK:      "sent to complete the three-way handshake",
	stack.ReasonData:              "sent because the application wrote",
	stack.ReasonFIN:               "sent because the application closed",
	stack.ReasonRetransmitTimeout: "sent because the retransmission timer ran out (%d in a row)",
	stack.ReasonFastRetransmit:    "sent because duplicate ACKs or SACK blocks show that it was lost",
	stack.ReasonRecovery:          "sent because it is a further hole of the same loss",
	stack.ReasonForwardRTO:        "new data in place of old: does the answer show that the timeout was spurious (RFC 5682)?",
	stack.ReasonTailProbe:         "sent to ask whether the last segments arrived",
	stack.ReasonTooBig:            "sent again because a router reports that it was too big: the path carries packets of %d octets at most",
	stack.ReasonBlackHole:         "sent again, smaller, because larger packets vanish on the way without a word: %d octets at most from now on",
	stack.ReasonPathProbe:         "sent in a packet of %d octets, larger than the others, to find out whether the path carries it",
	stack.ReasonProbeLost:         "sent again because a packet that tried a larger size was lost, which is no sign of congestion: %d octets at most",
	stack.ReasonWindowProbe:       "sent to ask whether the window is still closed (probe %d)",
	stack.ReasonKeepAlive:         "sent because the connection was idle: is the other side there? (probe %d)",
	stack.ReasonACK:               "sent to acknowledge at once: enough has arrived, or it was asked for",
	stack.ReasonDelayedACK:        "sent because the acknowledgment has waited long enough, and nothing else was there to carry it",
	stack.ReasonFINACK:            "sent to acknowledge the FIN",
	stack.ReasonDuplicateACK:      "sent because something arrived out of order: it says what is missing",
	stack.ReasonOldDataACK:        "sent because something arrived that was here before: the other side may have missed the ACK",
	stack.ReasonWindowUpdate:      "sent because the application has read, and there is room again",
	stack.ReasonChallengeACK:      "sent because a doubtful segment arrived: the true peer will know what to answer (RFC 5961)",
	stack.ReasonUnacceptableACK:   "sent because a segment arrived that lies outside the window",
	stack.ReasonUrgent:            "sent to tell of urgent data that wait for room in the window",
	stack.ReasonAbort:             "sent because the application aborted",
	stack.ReasonUnreadData:        "sent because the application closed without reading everything",
	stack.ReasonDataAfterClose:    "sent because data arrived for an application that has gone",
	stack.ReasonNoConnection:      "sent because there is no such connection",
	stack.ReasonBadHandshakeACK:   "sent because the ACK is for a SYN that was never sent",
	stack.ReasonTimeoutAbort:      "sent because the other side has not answered for too long",
	stack.ReasonSYNCookie:         "sent to answer the SYN with a cookie: too many connections are half open, so nothing of the SYN is kept, and Seq holds what the ACK will bring back (RFC 4987)",
}

// reason is why our own stack sent the segment, if it did.
func (a *Account) reason() (s Sentence, ok bool) {
	if a.Live == nil || !a.Live.Sent {
		return Sentence{}, false
	}
	s.Kind = Meaning
	s.Format, ok = reasons[a.Live.Reason.Kind]
	switch a.Live.Reason.Kind {
	case stack.ReasonRetransmitTimeout, stack.ReasonWindowProbe, stack.ReasonKeepAlive,
		stack.ReasonTooBig, stack.ReasonBlackHole, stack.ReasonPathProbe, stack.ReasonProbeLost:
		s.Args = appendArgs(nil, []any{a.Live.Reason.N})
	}
	return s, ok
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
		t.note("our stack holds it back until what lies before it arrives: it expects %v", expected)
	case stack.VerdictOldData:
		t.note("our stack discards it and acknowledges again: everything before %v was received", expected)
	case stack.VerdictOutsideWindow:
		t.note("our stack discards it: it lies outside the window, which is %v to %v",
			expected, t.from.number(j.RcvNxt.Add(j.RcvWnd)).shown())
	case stack.VerdictPAWS:
		t.note("our stack discards it: its timestamp is older than the last one, so it is an old duplicate (RFC 7323, PAWS)")
	case stack.VerdictNoTimestamp:
		t.note("our stack discards it: timestamps were agreed on, and it has none (RFC 7323)")
	case stack.VerdictBadAck:
		t.note("our stack does not take its Ack: what was sent lies between %v and %v",
			t.to.number(j.SndUna).shown(), t.to.number(j.SndNxt).shown())
	case stack.VerdictBlindRST:
		t.note("our stack does not believe this RST: it is in the window, but is not %v, the number expected (RFC 5961)", expected)
	case stack.VerdictBlindSYN:
		t.note("our stack does not believe this SYN: the connection exists already (RFC 5961)")
	case stack.VerdictNoACK:
		t.note("our stack discards it: every segment after the SYN must have the ACK flag")
	case stack.VerdictAfterClose:
		t.note("our stack cannot deliver it: the application has gone")
	case stack.VerdictWindowClosed:
		t.note("our stack discards it: its window is closed, and %v is still what it expects", expected)
	case stack.VerdictIgnored:
		t.note("our stack ignores it: it means nothing in this state")
	case stack.VerdictSpuriousTimeout:
		t.note("our stack takes the timeout back: this acknowledges what was sent before it and not again, so nothing was lost, only late (RFC 5682)")
	case stack.VerdictNoConnection:
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
		t.note("dropped by hand, as if the network had lost it: nothing crossed")
		return
	}
	t.note("the system refused to send it, and nothing crossed: %s", err.Error())
}
