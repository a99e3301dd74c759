package stack

import "time"

// The fifth step of RFC 9293, section 3.10.7.4: the ACK, and what comes with it.

// checkACK is the fifth step. The window is SEG.WND, in octets.
func (c *Conn) checkACK(now time.Time, seg *Segment, window int) bool {
	if !seg.Flags.Has(ACK) {
		c.verdict = VerdictNoACK
		return false
	}
	if c.state == StateSynReceived {
		if !c.snd.una.Less(seg.Ack) || !seg.Ack.LessEq(c.snd.nxt) {
			c.refuse(seg)
			return false
		}
		c.establish()
		c.setState(StateEstablished, CauseAckOfSYN)
		if c.snd.closed { // CLOSE was called meanwhile
			c.setState(StateFinWait1, CauseClose)
		}
	} else if !c.acceptableACK(seg.Ack) {
		c.verdict = VerdictBadAck
		c.provoked(now, ReasonChallengeACK)
		return false
	}
	// Only now is it the peer's: what is forged may not set TS.Recent, and with it
	// make PAWS drop all that the peer sends.
	c.heard = now
	c.ts.update(seg, now)
	c.acknowledged(now, seg)
	c.windowArrived(seg, window)

	switch {
	case !c.finAcked():
	case c.state == StateFinWait1:
		c.setState(StateFinWait2, CauseAckOfFIN)
		if c.rcv.closed {
			c.timers.set(timerFinWait2, now.Add(c.cfg.FinWait2))
		}
	case c.state == StateClosing:
		c.timeWait(now, CauseAckOfFIN)
	case c.state == StateLastAck:
		c.end(CauseAckOfFIN, nil)
	}
	return true
}

// acceptableACK reports whether the peer may have sent this SEG.ACK. What comes with
// one out of all proportion is forged (RFC 5961, section 5.2).
func (c *Conn) acceptableACK(ack Seq) bool {
	return c.snd.una.Add(-max(c.snd.maxWnd, 1)).LessEq(ack) && ack.LessEq(c.ackLimit())
}

// ackLimit is the highest acceptable SEG.ACK: SND.NXT, or the octet of a window
// probe.
func (c *Conn) ackLimit() Seq {
	if c.snd.probed {
		return c.snd.nxt.Add(1)
	}
	return c.snd.nxt
}

// acknowledged takes SEG.ACK and the SACK blocks.
func (c *Conn) acknowledged(now time.Time, seg *Segment) {
	flight, missing := c.flight(), c.flight()-c.board.sackedBytes
	var d delivered
	n := seg.Ack.Sub(c.snd.una)
	if n > 0 {
		if c.snd.nxt.Less(seg.Ack) { // the octet of the window probe was taken
			c.snd.nxt, c.snd.probed = seg.Ack, false
		}
		c.snd.una, c.snd.up = seg.Ack, maxSeq(c.snd.up, seg.Ack)
		c.board.ack(c.snd.una, &d)
		c.out.ack(c.snd.una)
		c.waiting, c.probes, c.advised = now, 0, false
		c.timers.stop(timerRetransmit) // RFC 6298, 5.3: started again for what is left
		c.timers.stop(timerPersist)
	} else if c.idle() { // the answer to a keep-alive, or as good
		c.probes = 0
		c.timers.stop(timerKeepAlive)
	}
	if c.sack {
		for _, b := range seg.Options.Blocks() {
			// A block below SND.UNA is a D-SACK (RFC 2883); one beyond SND.NXT is a lie.
			if b.Left.Less(b.Right) && c.snd.una.LessEq(b.Left) && b.Right.LessEq(c.snd.nxt) {
				c.board.sack(b.Left, b.Right, &d)
			}
		}
	}
	c.pathDelivered(now, &d)
	c.tailProbeAnswered(seg, n, flight)
	rtt := c.measure(now, seg, &d, n)
	c.onDelivered(now, &d)
	duplicate := n == 0 && flight > 0 && len(seg.Payload) == 0 && !seg.Flags.Has(FIN) &&
		int(seg.Window)<<c.snd.shift == c.snd.wnd
	c.ecnEchoed(now, seg, flight)
	arrived := missing - (c.flight() - c.board.sackedBytes)
	if n > 0 {
		if !c.sack {
			arrived = c.board.deduct(n, c.cc.mss, c.loss.recovering && c.snd.una.Less(c.loss.recover))
		}
		c.onAdvance(now, n, flight, rtt)
	} else if duplicate {
		arrived += c.onDuplicateACK()
	}
	c.judgeTimeout(n, &d, duplicate)
	if d.any && (c.board.sackedBytes > 0 || d.latest.times > 1 || c.loss.recovering) {
		c.detectLoss(now)
	}
	c.pace(arrived)
}

// measure takes a round-trip sample and returns it, or 0: from what went out only
// once (Karn's rule), or from the echoed timestamp (RFC 7323, section 4.1). An echo
// from before the retransmission tells of an ACK that was lost, which may be long ago.
func (c *Conn) measure(now time.Time, seg *Segment, d *delivered, n int) (rtt time.Duration) {
	switch {
	case !d.once.IsZero() && d.latest.times == 1:
		rtt = now.Sub(d.once)
	case n > 0 && c.ts.on && seg.Options.HasTimestamps && seg.Options.TSEcr != 0 &&
		int32(seg.Options.TSEcr-c.ts.val(d.latest.at)) >= 0:
		ms := int32(c.ts.val(now) - seg.Options.TSEcr)
		if ms < 0 {
			return 0
		}
		rtt = time.Duration(ms) * time.Millisecond
	default:
		return 0
	}
	rtt = max(rtt, time.Microsecond)
	backedOff := c.rtt.backoff > 0
	c.rtt.sample(rtt)
	c.loss.sampled = true
	// The timer that runs was doubled too, and SACK alone does not start it again.
	if at := now.Add(c.rtt.rto()); backedOff && at.Before(c.timers[timerRetransmit]) {
		c.timers.set(timerRetransmit, at)
	}
	return rtt
}

// windowArrived takes SEG.WND, unless an older segment brings it (RFC 9293,
// section 3.10.7.4). A higher SEG.ACK shows a newer one too: a retransmission
// tells of the window of now, though its SEG.SEQ is behind SND.WL1. Without it,
// SND.UNA alone would move, and the right edge to where the peer never put it.
func (c *Conn) windowArrived(seg *Segment, window int) {
	if seg.Ack.Less(c.snd.una) ||
		!(c.snd.wl1.Less(seg.Seq) || c.snd.wl2.Less(seg.Ack) || c.snd.wl1 == seg.Seq && c.snd.wl2 == seg.Ack) {
		return
	}
	wasClosed := c.snd.wnd == 0
	c.snd.wnd = window
	c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	c.snd.wl1, c.snd.wl2 = maxSeq(c.snd.wl1, seg.Seq), seg.Ack
	switch {
	case c.snd.wnd == 0:
		c.waiting = c.heard // it lives: a window may stay closed for ever (MUST-37)
	case wasClosed:
		c.waiting = c.heard
		c.probes, c.owed.probe = 0, false
		c.timers.stop(timerPersist)
		if c.flight() > 0 { // what a closed window swallowed goes out at once
			c.loss.again = ReasonRecovery
			c.board.markAllLost()
			c.loss.frto.step = frtoOff
		}
	}
}
