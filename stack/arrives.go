package stack

import "time"

// SEGMENT ARRIVES, RFC 9293, section 3.10.7: the states. From SYN-RECEIVED on a
// segment takes the steps of section 3.10.7.4: check.go, ack.go, text.go.

// Receive takes a segment that arrived for this connection, checked for its
// checksum and its addresses. It cuts seg to what is new of it; the payload is not
// kept.
func (c *Conn) Receive(now time.Time, seg *Segment) {
	before := Judgment{RcvNxt: c.rcv.nxt, RcvWnd: c.rcvWnd(), SndUna: c.snd.una, SndNxt: c.snd.nxt}
	c.verdict = VerdictAccepted
	switch c.state {
	case StateClosed:
		c.verdict = VerdictNoConnection
		if rst, ok := Reject(seg); ok {
			c.owed.reply, c.owed.replyReason = &rst, ReasonNoConnection
		}
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
	// RFC 7323, section 5.2: it echoes a timestamp, and has none of its own.
	rst.Options.HasTimestamps, rst.Options.TSEcr = seg.Options.HasTimestamps, seg.Options.TSVal
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
		c.owed.reply, c.owed.replyReason = &rst, ReasonBadHandshakeACK
	}
}

// arrivesListen is section 3.10.7.2.
func (c *Conn) arrivesListen(now time.Time, seg *Segment) {
	switch {
	case seg.Flags.Has(RST):
		c.verdict = VerdictIgnored
	case seg.Flags.Has(ACK):
		c.remotePort = seg.SrcPort
		if c.cfg.Cookie != nil && c.cookieReturned(now, seg) {
			c.arrivesOtherwise(now, seg)
			return
		}
		c.refuse(seg)
	case seg.Flags.Has(SYN):
		c.remotePort = seg.SrcPort
		if c.cfg.Cookie != nil {
			c.answerWithCookie(now, seg)
			return
		}
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
	if old := c.cfg.Follows; old != nil && !old.Supersedes(seg) { // it comes again, with a later timestamp
		c.verdict = VerdictPAWS
		return
	}
	c.cfg.Follows = nil
	c.synArrived(now, seg)
	if !acked { // simultaneous open (RFC 9293, figure 7): our SYN goes out again, with the ACK
		c.setState(StateSynReceived, CauseSYN)
		c.loss.again = ReasonSYNACK
		c.markHeadLost()
		return
	}
	c.establish()
	c.acknowledged(now, seg)
	c.setState(StateEstablished, CauseSYNACK)
	c.owe(ReasonHandshakeACK)
	if seg.Flags.Has(URG) {
		c.urgentArrived(seg.Seq.Add(int(seg.Urgent)))
	}
	stripSYN(seg)
	c.textArrived(now, seg)
	c.finArrived(now, seg)
}

// stripSYN leaves what stands behind a SYN that has been taken.
func stripSYN(seg *Segment) {
	seg.Flags &^= SYN | ECE | CWR
	seg.Seq = seg.Seq.Add(1)
}

// synArrived takes the peer's initial sequence number and its options.
func (c *Conn) synArrived(now time.Time, seg *Segment) {
	c.rcv.irs = seg.Seq
	c.rcv.nxt, c.rcv.up = seg.Seq.Add(1), seg.Seq.Add(1)
	c.rcv.adv = c.rcv.nxt.Add(int(c.synWindow()))
	c.heard = now

	o := &seg.Options
	c.snd.mss = min(c.snd.mss, c.peerMSS(o))
	c.rcv.mss = min(c.cfg.MSS, defaultMSSIPv4)
	c.sack = o.SACKPermitted && !c.cfg.NoSACK
	c.ecnSYNArrived(seg.Flags)
	if c.ts.on = o.HasTimestamps && !c.cfg.NoTimestamps; c.ts.on {
		c.ts.recent, c.ts.recentAt, c.ts.lastAckSent = o.TSVal, now, c.rcv.nxt
		c.snd.mss -= timestampsLen
	}
	if c.peerScales = o.HasWindowScale; c.peerScales && !c.cfg.NoWindowScale {
		c.snd.shift = min(o.WindowScale, 14) // RFC 7323, section 2.3
	} else {
		c.snd.shift, c.rcv.shift = 0, 0
	}
	c.userTimeoutArrived(o)
	c.snd.wnd = int(seg.Window) // of a SYN: not scaled
	c.snd.maxWnd = c.snd.wnd
	c.snd.wl1, c.snd.wl2 = seg.Seq, seg.Ack
}

// peerMSS is the MSS that a SYN announces, or leaves to the default (MUST-15).
func (c *Conn) peerMSS(o *Options) int {
	switch {
	case o.MSS != 0:
		return max(int(o.MSS), leastMSS)
	case c.cfg.IPv6:
		return defaultMSSIPv6
	}
	return defaultMSSIPv4
}

// establish starts the data transfer: our SYN is acknowledged.
func (c *Conn) establish() {
	c.cc.open(c.snd.mss, c.cfg.InitialWindow, c.loss.timedOut)
	if c.loss.retransmits > 0 && c.rtt.srtt == 0 {
		c.rtt.initial = max(c.rtt.initial, 3*time.Second) // RFC 6298, 5.7
		c.rtt.backoff = 0
	}
	c.loss = recovery{retransmits: c.loss.retransmits}
	c.openPath()
	c.owed.userTimeout = c.cfg.UserTimeoutOption // once more: a SYN cookie forgets it (RFC 5482, section 3)
}

// arrivesOtherwise is section 3.10.7.4: every state from SYN-RECEIVED on.
func (c *Conn) arrivesOtherwise(now time.Time, seg *Segment) {
	up := seg.Seq.Add(int(seg.Urgent)) // before anything is cut off
	window := int(seg.Window)
	if !seg.Flags.Has(SYN) { // RFC 7323, section 2.2
		window <<= c.snd.shift
	}
	if c.duplicateSYN(seg) {
		return
	}
	if !c.checkTimestamp(now, seg) || !c.checkSequence(now, seg) || !c.checkRST(now, seg) || !c.checkSYN(now, seg) {
		return
	}
	if !c.checkACK(now, seg, window) {
		return
	}
	if c.state == StateClosed || c.state == StateListen {
		return
	}
	c.userTimeoutArrived(&seg.Options)
	if seg.Flags.Has(URG) {
		c.urgentArrived(up)
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
		return false
	}
	c.verdict = VerdictOldData
	c.ecn.on = c.ecn.on && seg.Flags.Has(ECE|CWR)
	c.loss.again = ReasonSYNACK
	c.markHeadLost()
	return true
}

// relisten returns a passive connection to LISTEN, as if no SYN had come, unless
// the application has gone meanwhile.
func (c *Conn) relisten(cause Cause) {
	if c.snd.closed {
		c.end(cause, nil)
		return
	}
	c.out.ack(c.sendEnd()) // gives its memory back
	cfg := c.cfg
	if cfg.NewISS != nil {
		cfg.ISS = cfg.NewISS()
	}
	fresh := New(cfg)
	fresh.localPort, fresh.state, fresh.verdict = c.localPort, c.state, c.verdict
	*c = *fresh
	c.setState(StateListen, cause)
}
