package stack

import "time"

// The first four steps of RFC 9293, section 3.10.7.4: may the segment be what
// it seems? Each reports whether the next step is to follow.

// checkTimestamp is PAWS, which comes before the sequence number (RFC 7323,
// section 5.3, R1). A RST is not subject to it, nor is a SYN: it is challenged,
// whatever its timestamp (RFC 5961, section 4.2).
func (c *Conn) checkTimestamp(now time.Time, seg *Segment) bool {
	if !c.ts.on || seg.Flags&(RST|SYN) != 0 {
		return true
	}
	if !seg.Options.HasTimestamps { // RFC 7323, section 3.2: dropped, never a reason to abort
		c.verdict = VerdictNoTimestamp
		return false
	}
	if c.ts.old(seg.Options.TSVal, now) {
		c.verdict = VerdictPAWS
		c.provoked(now, ReasonUnacceptableACK)
		return false
	}
	return true
}

// checkSequence is the first step: the acceptability test, after which the
// segment is cut to the part that is new and inside the window.
func (c *Conn) checkSequence(now time.Time, seg *Segment) bool {
	wnd, n := c.rcvWnd(), seg.Len()
	right := c.rcv.nxt.Add(wnd)
	var ok bool
	switch {
	case seg.Flags.Has(RST): // RFC 5961, section 3.2, looks at SEG.SEQ alone
		ok = seg.Seq == c.rcv.nxt || seg.Seq.In(c.rcv.nxt, right)
	case seg.Seq == c.rcv.nxt && len(seg.Payload) == 0: // a FIN takes no room: it may come while the window is closed
		ok = true
	case n == 0: // an ACK from a peer that has filled the window stands at its right edge
		ok = seg.Seq.In(c.rcv.nxt, right) || seg.Seq == right && c.state < StateCloseWait
	case wnd == 0:
		// Nothing of it is taken, yet its ACK counts (MUST-66).
		if ok = seg.Seq == c.rcv.nxt; ok {
			c.verdict = VerdictWindowClosed
			c.owe(ReasonUnacceptableACK)
			c.stripText(seg)
		}
	default:
		ok = seg.Seq.In(c.rcv.nxt, right) || seg.Seq.Add(n-1).In(c.rcv.nxt, right)
	}
	if ok {
		return true
	}
	c.verdict = VerdictOutsideWindow
	// A peer sends again at most what it had in flight: a window. What lies further
	// back it did not send now.
	if n > 0 && seg.Next().LessEq(c.rcv.nxt) && c.rcv.nxt.Sub(seg.Seq) <= c.cfg.ReceiveBuffer {
		c.verdict = VerdictOldData
	}
	if seg.Flags.Has(RST) {
		return false
	}
	if c.state == StateTimeWait && seg.Flags.Has(FIN) && seg.Next() == c.rcv.nxt { // our last ACK was lost
		c.timers.set(timerTimeWait, now.Add(2*c.cfg.MSL))
		c.owe(ReasonFINACK)
		return false
	}
	// Wholly duplicate data is how a peer says that our ACK was lost.
	if c.verdict == VerdictOldData && !seg.Flags.Has(SYN) {
		c.owe(ReasonOldDataACK)
		c.arrivedTwice(seg.Seq, seg.Seq.Add(len(seg.Payload)))
		if !seg.Flags.Has(ACK) || !c.acceptableACK(seg.Ack) {
			return false
		}
		c.ts.update(seg, now) // echoed, its timestamp lets the peer measure that much
		// The ACK in it is as good as any (RFC 9293, section 3.10.7.4, fifth step).
		if c.snd.una.Less(seg.Ack) {
			c.stripText(seg)
			return true
		}
		return false
	}
	c.provoked(now, ReasonUnacceptableACK)
	return false
}

// checkRST is the second step, as RFC 5961, section 3.2, tightened it.
func (c *Conn) checkRST(now time.Time, seg *Segment) bool {
	if !seg.Flags.Has(RST) {
		return true
	}
	if seg.Seq != c.rcv.nxt {
		c.verdict = VerdictBlindRST
		c.provoked(now, ReasonChallengeACK)
		return false
	}
	if c.state == StateTimeWait { // answers an old duplicate, perhaps (RFC 1337, section 3)
		c.verdict = VerdictIgnored
		return false
	}
	c.verdict = VerdictReset
	switch {
	case c.state == StateSynReceived && !c.active: // MUST-11
		c.relisten(CauseRST)
	case c.state == StateSynReceived:
		c.end(CauseRST, ErrRefused)
	case c.state >= StateClosing && c.out.len() == 0: // all was said and heard
		c.end(CauseRST, nil)
	default:
		c.end(CauseRST, ErrReset)
	}
	return false
}

// checkSYN is the fourth step (the third, security, is nobody's): a SYN on a
// connection that has one is answered with a challenge (RFC 5961, section 4.2).
func (c *Conn) checkSYN(now time.Time, seg *Segment) bool {
	if !seg.Flags.Has(SYN) {
		return true
	}
	c.verdict = VerdictBlindSYN
	if c.state == StateSynReceived && !c.active {
		c.relisten(CauseSYN)
		return false
	}
	c.provoked(now, ReasonChallengeACK)
	return false
}

// provoked owes an ACK to a segment that is not as it should be, unless there
// were too many.
func (c *Conn) provoked(now time.Time, why ReasonKind) {
	if c.limiter.allow(now) {
		c.owe(why)
	}
}
