package stack

import "time"

// SEGMENT ARRIVES: RFC 9293, section 3.10.7, a function a step.

// Receive takes a segment that arrived for this connection, checked for its
// checksum and its addresses. The payload is not kept.
func (c *Conn) Receive(now time.Time, seg *Segment) {
	before := Judgment{RcvNxt: c.rcv.nxt, RcvWnd: c.rcvWnd(), SndUna: c.snd.una, SndNxt: c.snd.nxt}
	c.verdict = VerdictAccepted
	switch c.state {
	case StateClosed:
		c.verdict = VerdictNoConnection
	case StateListen:
		c.arrivesListen(now, seg)
	case StateSynSent:
		c.arrivesSynSent(now, seg)
	default:
		c.arrivesOtherwise(now, seg)
	}
	if c.cfg.Watch != nil {
		seen := before // a copy, so that nothing is allocated when nobody watches
		seen.Verdict = c.verdict
		c.cfg.Watch(Event{Verdict: &seen})
	}
}

// Reject is the answer to a segment for which there is no connection (RFC
// 9293, section 3.10.7.1). It is false for a RST, which gets none.
func Reject(seg *Segment) (Segment, bool) {
	if seg.Flags.Has(RST) {
		return Segment{}, false
	}
	rst := Segment{SrcPort: seg.DstPort, DstPort: seg.SrcPort, Flags: RST}
	if seg.Flags.Has(ACK) {
		rst.Seq = seg.Ack
	} else {
		rst.Flags |= ACK
		rst.Ack = seg.Next()
	}
	return rst, true
}

// refuse answers a bad ACK of our SYN with <SEQ=SEG.ACK><CTL=RST>.
func (c *Conn) refuse(seg *Segment) {
	c.verdict = VerdictBadAck
	if rst, ok := Reject(seg); ok {
		c.owed.rst, c.owed.rstReason = &rst, ReasonBadHandshakeACK
	}
}

// arrivesListen is section 3.10.7.2.
func (c *Conn) arrivesListen(now time.Time, seg *Segment) {
	switch {
	case seg.Flags.Has(RST):
		c.verdict = VerdictIgnored
	case seg.Flags.Has(ACK):
		c.remotePort = seg.SrcPort
		c.refuse(seg)
	case seg.Flags.Has(SYN):
		c.remotePort = seg.SrcPort
		c.start(now)
		c.synArrived(now, seg)
		c.setState(StateSynReceived, CauseSYN)
	default:
		c.verdict = VerdictIgnored
	}
}

// arrivesSynSent is section 3.10.7.3.
func (c *Conn) arrivesSynSent(now time.Time, seg *Segment) {
	acked := false
	if seg.Flags.Has(ACK) {
		if acked = c.snd.una.Less(seg.Ack) && seg.Ack.LessEq(c.snd.nxt); !acked {
			c.refuse(seg)
			return
		}
	}
	if seg.Flags.Has(RST) {
		if !acked { // a RST without an ACK of our SYN may be anyone's (RFC 5961, section 3.2)
			c.verdict = VerdictIgnored
			return
		}
		c.verdict = VerdictReset
		c.end(CauseRST, ErrRefused)
		return
	}
	if !seg.Flags.Has(SYN) {
		c.verdict = VerdictIgnored
		return
	}
	c.synArrived(now, seg)
	if !acked { // simultaneous open (RFC 9293, figure 8): our SYN goes out again, with the ACK
		c.setState(StateSynReceived, CauseSYN)
		c.loss.again = ReasonSYNACK
		c.markHeadLost()
		return
	}
	c.establish()
	c.acknowledged(now, seg)
	c.setState(StateEstablished, CauseSYNACK)
	c.owe(ReasonHandshakeACK)
	stripSYN(seg)
	c.textArrived(now, seg)
	c.finArrived(now, seg)
}

// stripSYN leaves what stands behind a SYN that has been taken.
func stripSYN(seg *Segment) {
	seg.Flags &^= SYN
	seg.Seq = seg.Seq.Add(1)
}

// synArrived takes the peer's initial sequence number and its options.
func (c *Conn) synArrived(now time.Time, seg *Segment) {
	c.rcv.irs = seg.Seq
	c.rcv.nxt = seg.Seq.Add(1)
	c.rcv.adv = c.rcv.nxt.Add(int(c.synWindow()))
	c.heard = now

	o := &seg.Options
	mss := int(o.MSS)
	if mss == 0 { // MUST-15
		if mss = defaultMSSIPv4; c.cfg.IPv6 {
			mss = defaultMSSIPv6
		}
	}
	c.snd.mss = min(c.snd.mss, max(mss, leastMSS))
	c.rcv.mss = min(c.cfg.MSS, defaultMSSIPv4)
	c.sack = o.SACKPermitted && !c.cfg.NoSACK
	if c.ts.on = o.HasTimestamps && !c.cfg.NoTimestamps; c.ts.on {
		c.ts.recent, c.ts.recentAt, c.ts.lastAckSent = o.TSVal, now, c.rcv.nxt
		c.snd.mss -= timestampsLen
	}
	if c.peerScales = o.HasWindowScale; c.peerScales && !c.cfg.NoWindowScale {
		c.snd.shift = min(o.WindowScale, 14) // RFC 7323, section 2.3
	} else {
		c.snd.shift, c.rcv.shift = 0, 0
	}
	c.snd.wnd = int(seg.Window) // of a SYN: not scaled
	c.snd.maxWnd = c.snd.wnd
	c.snd.wl1, c.snd.wl2 = seg.Seq, seg.Ack
}

// establish starts the data transfer: our SYN is acknowledged.
func (c *Conn) establish() {
	c.cc.open(c.snd.mss, c.cfg.InitialWindow, c.loss.timedOut)
	if c.loss.retransmits > 0 && c.rtt.srtt == 0 {
		c.rtt.initial = max(c.rtt.initial, 3*time.Second) // RFC 6298, 5.7
		c.rtt.backoff = 0
	}
	c.loss = recovery{retransmits: c.loss.retransmits}
}

// arrivesOtherwise is section 3.10.7.4: every state from SYN-RECEIVED on.
func (c *Conn) arrivesOtherwise(now time.Time, seg *Segment) {
	if c.duplicateSYN(seg) {
		return
	}
	if !c.checkTimestamp(now, seg) || !c.checkSequence(now, seg) || !c.checkRST(now, seg) || !c.checkSYN(now, seg) {
		return
	}
	c.heard = now
	c.ts.update(seg, now)
	if !c.checkACK(now, seg) {
		return
	}
	if c.state == StateClosed || c.state == StateListen {
		return
	}
	c.textArrived(now, seg)
	c.finArrived(now, seg)
}

// duplicateSYN handles the peer's SYN when it comes again in SYN-RECEIVED. A
// bare one means that our SYN,ACK was lost. A SYN,ACK is the peer's half of a
// simultaneous open; without its SYN, which we have, it is an ACK.
func (c *Conn) duplicateSYN(seg *Segment) bool {
	if c.state != StateSynReceived || !seg.Flags.Has(SYN) || seg.Flags.Has(RST) || seg.Seq != c.rcv.irs {
		return false
	}
	if seg.Flags.Has(ACK) {
		stripSYN(seg)
		seg.Window >>= c.snd.shift // of a SYN: not scaled
		return false
	}
	c.verdict = VerdictOldData
	c.loss.again = ReasonSYNACK
	c.markHeadLost()
	return true
}

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
	case n == 0: // an ACK from a peer that has filled the window stands at its right edge
		ok = c.rcv.nxt.LessEq(seg.Seq) && seg.Seq.LessEq(right)
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
	if n > 0 && seg.Next().LessEq(c.rcv.nxt) {
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
		// The ACK in it is as good as any (RFC 9293, section 3.10.7.4, fifth step).
		if seg.Flags.Has(ACK) && c.snd.una.Less(seg.Ack) && seg.Ack.LessEq(c.ackLimit()) {
			c.stripText(seg)
			return true
		}
		return false
	}
	c.provoked(now, ReasonUnacceptableACK)
	return false
}

// stripText leaves a bare ACK that stands at RCV.NXT.
func (c *Conn) stripText(seg *Segment) {
	seg.Seq, seg.Payload = c.rcv.nxt, nil
	seg.Flags &^= FIN
}

// trim leaves what of the payload is new and inside the window, and the FIN only
// if nothing is cut before it.
func (c *Conn) trim(seg *Segment) {
	n := len(seg.Payload)
	from := min(max(c.rcv.nxt.Sub(seg.Seq), 0), n)
	to := c.rcv.nxt.Add(c.rcvWnd()).Sub(seg.Seq)
	if c.rcv.hasFIN {
		to = min(to, c.rcv.fin.Sub(seg.Seq))
	}
	if to = min(max(to, from), n); to < n {
		seg.Flags &^= FIN
	}
	seg.Payload = seg.Payload[from:to]
	seg.Seq = seg.Seq.Add(from)
}

// provoked owes an ACK to a segment that is not as it should be, unless there
// were too many.
func (c *Conn) provoked(now time.Time, why ReasonKind) {
	if c.limiter.allow(now) {
		c.owe(why)
	}
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

// relisten returns a passive connection to LISTEN, as if no SYN had come, unless
// the application has gone meanwhile.
func (c *Conn) relisten(cause Cause) {
	if c.snd.closed {
		c.end(cause, nil)
		return
	}
	c.out.ack(c.sendEnd()) // gives its memory back
	fresh := New(c.cfg)
	fresh.localPort, fresh.state, fresh.verdict = c.localPort, c.state, c.verdict
	*c = *fresh
	c.setState(StateListen, cause)
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

// ackLimit is the highest acceptable SEG.ACK: SND.NXT, or the octet of a window
// probe.
func (c *Conn) ackLimit() Seq {
	if c.snd.probed {
		return c.snd.nxt.Add(1)
	}
	return c.snd.nxt
}

// checkACK is the fifth step.
func (c *Conn) checkACK(now time.Time, seg *Segment) bool {
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
	} else if c.ackLimit().Less(seg.Ack) || seg.Ack.Less(c.snd.una.Add(-max(c.snd.maxWnd, 1))) {
		// RFC 5961, section 5.2: data with an ACK out of all proportion is forged.
		c.verdict = VerdictBadAck
		c.provoked(now, ReasonChallengeACK)
		return false
	}
	c.acknowledged(now, seg)
	c.windowArrived(seg)

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

// acknowledged takes SEG.ACK and the SACK blocks.
func (c *Conn) acknowledged(now time.Time, seg *Segment) {
	flight := c.flight()
	var d delivered
	n := seg.Ack.Sub(c.snd.una)
	if n > 0 {
		if c.snd.nxt.Less(seg.Ack) { // the octet of the window probe was taken
			c.snd.nxt, c.snd.probed = seg.Ack, false
		}
		c.snd.una = seg.Ack
		c.board.ack(c.snd.una, &d)
		c.out.ack(c.snd.una)
		c.waiting, c.probes = now, 0
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
	c.tailProbeAnswered(seg, n, flight)
	c.measure(now, seg, &d, n)
	c.onDelivered(now, &d)
	if n > 0 {
		c.onAdvance(n, flight)
	} else if n == 0 && flight > 0 && len(seg.Payload) == 0 && !seg.Flags.Has(FIN) &&
		int(seg.Window)<<c.snd.shift == c.snd.wnd {
		c.onDuplicateACK()
	}
	if d.any && (c.board.sackedBytes > 0 || d.latest.times > 1 || c.loss.recovering) {
		c.detectLoss(now)
	}
}

// measure takes a round-trip sample: from what went out only once (Karn's
// rule), or from the echoed timestamp (RFC 7323, section 4.1).
func (c *Conn) measure(now time.Time, seg *Segment, d *delivered, n int) {
	switch {
	case !d.once.IsZero() && d.latest.times == 1:
		c.rtt.sample(now.Sub(d.once))
	case n > 0 && c.ts.on && seg.Options.HasTimestamps && seg.Options.TSEcr != 0:
		if ms := int32(c.ts.val(now) - seg.Options.TSEcr); ms >= 0 {
			c.rtt.sample(time.Duration(ms) * time.Millisecond)
		}
	}
}

// windowArrived takes SEG.WND, unless an older segment brings it (RFC 9293,
// section 3.10.7.4).
func (c *Conn) windowArrived(seg *Segment) {
	if seg.Ack.Less(c.snd.una) ||
		!(c.snd.wl1.Less(seg.Seq) || c.snd.wl1 == seg.Seq && c.snd.wl2.LessEq(seg.Ack)) {
		return
	}
	wasClosed := c.snd.wnd == 0
	c.snd.wnd = int(seg.Window) << c.snd.shift
	c.snd.maxWnd = max(c.snd.maxWnd, c.snd.wnd)
	c.snd.wl1, c.snd.wl2 = seg.Seq, seg.Ack
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
		}
	}
}

// textArrived is the seventh step (the sixth is URG).
func (c *Conn) textArrived(now time.Time, seg *Segment) {
	if len(seg.Payload) == 0 {
		return
	}
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default: // the peer has sent its FIN: there can be nothing behind it
		c.verdict = VerdictIgnored
		return
	}
	full := len(seg.Payload)
	c.trim(seg)
	if len(seg.Payload) == 0 {
		c.owe(ReasonOldDataACK)
		return
	}
	if c.rcv.closed { // nobody will ever read it (RFC 9293, SHLD-3)
		c.verdict = VerdictAfterClose
		c.abort(CauseAbort, ErrAborted, ReasonDataAfterClose)
		return
	}
	hole := len(c.in.spans) > 0
	n, ok := c.in.put(seg.Seq.Sub(c.rcv.nxt), seg.Payload)
	switch {
	case !ok || n == 0:
		c.verdict = VerdictOutOfOrder
		c.owed.dups++
		return
	case hole: // part of a hole is filled: say so at once (RFC 5681, section 4.2)
		c.owe(ReasonACK)
	}
	c.rcv.nxt = c.rcv.nxt.Add(n)
	c.rcv.mss = min(max(c.rcv.mss, full), c.cfg.MSS)
	if c.owed.pending += n; c.owed.pending > c.rcv.mss || c.cfg.DelayedACK < 0 {
		c.owe(ReasonACK)
	} else if !c.timers.armed(timerDelayedACK) {
		c.timers.set(timerDelayedACK, now.Add(c.cfg.DelayedACK))
	}
}

// finArrived is the eighth step. A FIN ahead of missing data is remembered; one
// before data that have arrived is a lie.
func (c *Conn) finArrived(now time.Time, seg *Segment) {
	if c.state == StateClosed {
		return
	}
	if end := seg.Seq.Add(len(seg.Payload)); seg.Flags.Has(FIN) && !c.rcv.hasFIN && c.rcv.nxt.Add(c.in.reach()).LessEq(end) {
		c.rcv.fin, c.rcv.hasFIN = end, true
		if c.rcv.fin != c.rcv.nxt && len(seg.Payload) == 0 {
			c.verdict = VerdictOutOfOrder
			c.owed.dups++
		}
	}
	if !c.rcv.hasFIN || c.rcv.nxt != c.rcv.fin {
		return
	}
	c.rcv.nxt = c.rcv.nxt.Add(1)
	c.rcv.adv = maxSeq(c.rcv.adv, c.rcv.nxt)
	c.owe(ReasonFINACK)
	switch c.state {
	case StateEstablished:
		c.setState(StateCloseWait, CauseFIN)
	case StateFinWait1: // our FIN is not acknowledged: that would be FIN-WAIT-2
		c.setState(StateClosing, CauseFIN)
	case StateFinWait2:
		c.timeWait(now, CauseFIN)
	}
}

func (c *Conn) timeWait(now time.Time, cause Cause) {
	c.setState(StateTimeWait, cause)
	c.timers = timers{}
	c.timers.set(timerTimeWait, now.Add(2*c.cfg.MSL))
}

// ICMP takes an error that quotes a segment of this connection. One whose
// sequence number was not in flight is forged or late (RFC 5927, section 4.1):
// it is not heeded, and ICMP reports false.
//
// A hard error ends an attempt to connect. A soft one never does (MUST-56), and
// no error ends a connection that stands (RFC 5927, section 5.2): SoftError
// tells of it.
func (c *Conn) ICMP(_ time.Time, e *ICMPError) bool {
	if c.state < StateSynSent || !e.Seq.In(c.snd.una, c.snd.nxt) {
		return false
	}
	if e.Kind == ICMPPacketTooBig {
		return c.packetTooBig(e.MTU)
	}
	err := *e
	c.soft = &err
	if c.state == StateSynSent && e.Kind.hard() {
		c.end(CauseICMP, c.soft)
	}
	return true
}

// packetTooBig lowers the segment size to what the path carries (RFC 1191, RFC
// 8201) and sends again what was too large.
func (c *Conn) packetTooBig(mtu int) bool {
	least := 576 - headerLenIPv4 // an older router does not say: RFC 1191, section 5
	if c.cfg.IPv6 {
		least = 1280
	}
	if mtu == 0 {
		mtu = 576
	}
	mss := max(mtu, least) - c.cfg.ipHeaderLen() - headerLen
	if c.ts.on {
		mss -= timestampsLen
	}
	if mss >= c.snd.mss {
		return false
	}
	c.snd.mss = mss
	c.cc.setMSS(mss)
	c.loss.again = ReasonRecovery
	for i := range c.board.runs {
		if s := &c.board.runs[i]; s.len() > mss {
			c.board.markLost(s)
		}
	}
	return true
}
