package stack

import "time"

// Next fills in the next segment to send at this time and says why it is sent.
// It returns false when there is nothing to send; call it until then after
// every other call. The payload is the send buffer's own: it stays valid until the next
// call of Write or Receive.
func (c *Conn) Next(now time.Time, seg *Segment) (Reason, bool) {
	r, ok := c.next(now, seg)
	if c.state > StateListen && c.state != StateTimeWait {
		c.armTimers(now)
	}
	return r, ok
}

func (c *Conn) next(now time.Time, seg *Segment) (Reason, bool) {
	if reply := c.owed.reply; reply != nil {
		*seg = *reply
		c.owed.reply = nil
		return Reason{Kind: c.owed.replyReason}, true
	}
	switch c.state {
	case StateClosed, StateListen:
		return Reason{}, false
	case StateSynSent, StateSynReceived:
		if c.snd.nxt == c.snd.iss {
			c.push(now, c.snd.iss.Add(1), 1)
			return c.sendNew(now, seg, c.snd.iss), true
		}
	}
	if f := &c.loss.frto; f.step == frtoSend || f.step == frtoSent {
		r, ok := c.nextData(now, seg)
		if f.tried(ok); ok {
			r.Kind = ReasonForwardRTO
			return r, true
		}
	}
	if r, ok := c.nextRetransmission(now, seg); ok {
		return r, true
	}
	if r, ok := c.nextData(now, seg); ok {
		return r, true
	}
	c.owed.override = false // something else holds the data back: the timer runs anew
	if r, ok := c.nextProbe(now, seg); ok {
		return r, true
	}
	return c.nextACK(now, seg)
}

// room is the payload that a segment can carry now: SACK blocks take some.
func (c *Conn) room() int {
	switch n := c.sackBlocks(); {
	case n > 0:
		return c.snd.mss - (4 + 8*n)
	case c.owed.userTimeout:
		return c.snd.mss - 4
	}
	return c.snd.mss
}

// unsent is what of the queue has never been sent: data, and the FIN.
func (c *Conn) unsent() int {
	if !c.state.Synchronized() || c.state == StateTimeWait {
		return 0
	}
	n := c.sendEnd().Sub(c.snd.nxt)
	if c.snd.closed {
		n++
	}
	return n
}

// nextRetransmission sends the first lost run again, as the congestion window
// allows; the octets at SND.UNA always may go.
func (c *Conn) nextRetransmission(now time.Time, seg *Segment) (Reason, bool) {
	i, s := c.board.firstLost()
	if s == nil || c.loss.frto.suspend(s, c.loss.head) {
		return Reason{}, false
	}
	if c.state.Synchronized() {
		c.believeTooBig(now, s)
		c.board.join(i, c.room())
		s = &c.board.runs[i]
		edge := c.snd.una.Add(c.snd.wnd)
		if !s.seq.Less(edge) { // the window has shrunk: SHLD-16
			return Reason{}, false
		}
		if s.seq != c.snd.una && c.board.pipe(c.flight())+min(s.len(), c.snd.mss) > c.cc.cwnd {
			return Reason{}, false
		}
		if most := minSeq(s.seq.Add(c.room()), edge); most.Less(s.end) && (most.Less(c.sendEnd()) || most == edge) {
			c.board.split(i, most)
			s = &c.board.runs[i]
		}
	}
	why := Reason{Kind: c.loss.again, N: int(s.times)}
	switch why.Kind {
	case ReasonRetransmitTimeout:
		if s.seq != c.loss.head { // the timer ran out for what is acknowledged now
			why.Kind = ReasonRecovery
			break
		}
		why.N, why.Timer = max(c.rtt.backoff, 1), c.loss.timer
	case ReasonTooBig, ReasonBlackHole, ReasonProbeLost:
		why.N = c.path.mtu
	}
	if c.loss.again != ReasonRetransmitTimeout && c.loss.recovering {
		c.loss.again = ReasonRecovery
	}
	c.resend(now, seg, s)
	return why, true
}

// resend sends run s of the scoreboard again.
func (c *Conn) resend(now time.Time, seg *Segment, s *sent) {
	c.loss.retransmits++
	c.loss.prr.out += s.len()
	c.board.resent(s, now)
	s.size = c.packetLen(s)
	c.fill(now, seg, s.seq, s.end)
}

// nextData sends new data, and the FIN behind it. Where the link cuts (see
// Config.Offload), it sends in one what would be one segment after the other.
func (c *Conn) nextData(now time.Time, seg *Segment) (Reason, bool) {
	if size := c.pathProbe(now); size > 0 {
		return c.sendPathProbe(now, seg, size)
	}
	probe, from, most := c.owed.tailProbe, c.snd.nxt, c.cfg.Offload
	// A D-SACK block is reported once (RFC 2883, section 4), and the urgent pointer
	// counts from each segment: the link would repeat both as they are.
	if probe || c.rcv.twice != (SACKBlock{}) || from.Less(c.snd.up) || c.owed.userTimeout || c.ecn.on && c.ecn.cwr {
		most = 0
	}
	end, n := c.nextRun(most)
	if n == 0 {
		return Reason{}, false
	}
	c.owed.override, c.owed.tailProbe = false, false
	for n > 0 {
		c.push(now, end, n)
		left := most - c.snd.nxt.Sub(from)
		if left < c.room() {
			break
		}
		end, n = c.nextRun(left)
	}
	why := c.sendNew(now, seg, from)
	if probe {
		why.Kind, why.Timer = ReasonTailProbe, c.loss.timer
	}
	return why, true
}

// nextRun is where the next segment of new data ends, as far as the two
// windows, Nagle and silly-window avoidance allow one (RFC 9293, section
// 3.8.6.2.1). Of full ones it takes as many at once as most octets hold.
func (c *Conn) nextRun(most int) (end Seq, segments int) {
	if c.unsent() == 0 || c.timers.armed(timerMarked) || c.board.segments() >= c.mostSegments() {
		return 0, 0
	}
	queued := c.sendEnd().Sub(c.snd.nxt)
	usable := c.snd.una.Add(c.snd.wnd).Sub(c.snd.nxt)
	size := min(queued, c.room(), usable)
	fin := c.snd.closed && size == queued && size < usable
	space := c.cc.cwnd - c.board.pipe(c.flight())
	if size <= 0 && !fin || size > space && !c.owed.tailProbe {
		return 0, 0
	}
	// Nagle: wait while something is outstanding.
	idle := !c.cfg.Cork && (c.cfg.NoDelay || c.flight() == 0) || c.unsentUrgent()
	switch {
	case size == c.room(), fin, c.owed.override, c.owed.tailProbe:
	case idle && size == queued:
	case idle && 2*size >= c.snd.maxWnd:
	default:
		return 0, 0
	}
	// After an idle time the first sets cwnd back. A FIN goes with the last.
	segments = 1
	if n := min(most, queued-1, usable, space); n > size && size == c.room() && c.flight() > 0 {
		segments = min(n/size, c.mostSegments()-c.board.segments())
	}
	end = c.snd.nxt.Add(segments * size)
	if fin {
		end = end.Add(1)
	}
	return end, segments
}

// mostSegments bounds the segments in flight, and with them the work and the memory
// that they take: to as many as it would be with the MSS that every peer takes. A
// peer that announces a tiny one gets no more, nor who writes single octets.
func (c *Conn) mostSegments() int { return max(c.cfg.SendBuffer/defaultMSSIPv4, 64) }

// push notes that the sequence numbers from SND.NXT to end go out, in so many
// segments on the wire.
func (c *Conn) push(now time.Time, end Seq, segments int) {
	if c.flight() == 0 {
		if now.Sub(c.sentAt) > c.rtt.rto() {
			c.cc.restart()
		}
		c.cc.cubic.resume(now)
	}
	c.sentAt = now
	c.loss.prr.out += end.Sub(c.snd.nxt)
	s := c.board.push(c.snd.nxt, end, segments, now)
	s.size = c.packetLen(s)
	c.snd.nxt = end
	c.snd.probed = false
}

// sendNew sends for the first time what lies from a sequence number to SND.NXT.
func (c *Conn) sendNew(now time.Time, seg *Segment, from Seq) Reason {
	c.fill(now, seg, from, c.snd.nxt)
	c.ecnSent(seg)
	switch {
	case seg.Flags.Has(SYN | ACK):
		return Reason{Kind: ReasonSYNACK}
	case seg.Flags.Has(SYN):
		return Reason{Kind: ReasonSYN}
	case seg.Flags.Has(FIN):
		return Reason{Kind: ReasonFIN}
	}
	return Reason{Kind: ReasonData}
}

// nextProbe sends what asks the peer for a sign of life.
func (c *Conn) nextProbe(now time.Time, seg *Segment) (Reason, bool) {
	switch {
	case c.owed.tailProbe: // no new data to probe with: the last segment again
		c.owed.tailProbe = false
		c.board.apart()
		if n := len(c.board.runs); n > 0 && !c.board.runs[n-1].lost && c.board.runs[n-1].end.LessEq(c.snd.una.Add(c.snd.wnd)) {
			c.loss.probeAgain = true
			s := &c.board.runs[n-1]
			if most := s.end.Add(-c.room()); s.seq.Less(most) {
				c.board.split(n-1, most)
				s = &c.board.runs[n]
			}
			c.resend(now, seg, s)
			s.early = !c.loss.timer.InPlace
			return Reason{Kind: ReasonTailProbe, Timer: c.loss.timer}, true
		}
	case c.owed.probe:
		// One octet beyond the closed window (RFC 9293, section 3.8.6.1): the
		// first that is unacknowledged, or the first that was never sent.
		c.owed.probe = false
		switch {
		case c.flight() > 0:
			c.board.resent(c.board.head(), now) // so its ACK is no sample: Karn
			c.fill(now, seg, c.snd.una, c.snd.una.Add(1))
		case c.unsent() > 0:
			c.fill(now, seg, c.snd.nxt, c.snd.nxt.Add(1))
			c.snd.probed = true
		default:
			return Reason{}, false
		}
		return Reason{Kind: ReasonWindowProbe, N: c.probes}, true
	case c.owed.keepAlive && c.idle():
		// An octet that the peer has already: it must answer (RFC 9293, 3.8.4).
		c.owed.keepAlive = false
		c.fill(now, seg, c.snd.nxt, c.snd.nxt)
		seg.Seq = c.snd.nxt.Add(-1)
		return Reason{Kind: ReasonKeepAlive, N: c.probes}, true
	}
	return Reason{}, false
}

// nextACK sends a bare ACK, if one is owed.
func (c *Conn) nextACK(now time.Time, seg *Segment) (Reason, bool) {
	why := Reason{Kind: c.owed.ack}
	switch {
	case c.state < StateSynReceived:
		return Reason{}, false
	case c.owed.dups > 0:
		why.Kind = ReasonDuplicateACK
		c.owed.dups--
	case why.Kind == ReasonNone && c.owed.urgent && c.unsentUrgent() && c.state.Synchronized():
		why.Kind = ReasonUrgent // what the window keeps back, the peer learns of already
	case why.Kind == ReasonNone:
		return Reason{}, false
	}
	c.fill(now, seg, c.snd.nxt, c.snd.nxt)
	return why, true
}

// owe notes that an ACK is to go out at once.
func (c *Conn) owe(why ReasonKind) { c.owed.ack = why }

// fill makes seg carry the sequence numbers [from, end), whatever they stand
// for, and the acknowledgment of all that has arrived.
func (c *Conn) fill(now time.Time, seg *Segment, from, end Seq) {
	*seg = Segment{SrcPort: c.localPort, DstPort: c.remotePort, Seq: from}
	if !c.state.Synchronized() && from != end {
		seg.Flags = SYN
		c.synOptions(now, &seg.Options)
		seg.Window = c.synWindow()
		if c.state != StateSynSent {
			seg.Flags |= ACK
			seg.Ack = c.rcv.nxt
			c.ts.lastAckSent = c.rcv.nxt
		}
		seg.Flags |= c.ecnSYN()
		return
	}
	seg.Flags = ACK
	if c.ecn.echo {
		seg.Flags |= ECE
	}
	seg.Ack = c.rcv.nxt
	if last := minSeq(end, c.sendEnd()); from.Less(last) {
		seg.Payload = c.out.slice(from, last)
		if c.cfg.Offload > 0 {
			seg.GSOSize = c.room()
		}
		if last == c.sendEnd() { // the queue is empty behind it (MUST-61)
			seg.Flags |= PSH
		}
	}
	if c.snd.closed && from.LessEq(c.sendEnd()) && c.sendEnd().Less(end) {
		seg.Flags |= FIN
	}
	c.fillUrgent(seg)
	seg.Window = c.window()
	c.stamp(now, &seg.Options)
	if c.userTimeoutFits() {
		c.fillUserTimeout(&seg.Options)
	}
	c.fillSACK(&seg.Options)

	c.ts.lastAckSent = c.rcv.nxt
	c.owed.ack = ReasonNone
	c.owed.pending = 0
	c.timers.stop(timerDelayedACK)
}

// timestampsLen is what the timestamps option takes, with its padding.
const timestampsLen = 12

// synOptions offers what is configured or, in a SYN,ACK, agrees to what was
// offered.
func (c *Conn) synOptions(now time.Time, o *Options) {
	answer := c.state != StateSynSent
	o.Order = c.cfg.OptionOrder
	o.MSS = uint16(c.cfg.MSS)
	o.SACKPermitted = !c.cfg.NoSACK && (!answer || c.sack)
	if c.cfg.UserTimeoutOption {
		c.fillUserTimeout(o)
	}
	if !c.cfg.NoWindowScale && (!answer || c.peerScales) {
		o.HasWindowScale, o.WindowScale = true, c.rcv.shift
	}
	if !c.cfg.NoTimestamps && (!answer || c.ts.on) {
		o.HasTimestamps, o.TSVal = true, c.ts.val(now)
		if answer {
			o.TSEcr = c.ts.recent
		}
	}
}

// sackBlocks is how many SACK blocks the next segment will carry: as many as
// fit beside the timestamps (RFC 2018, section 3).
func (c *Conn) sackBlocks() int {
	if !c.sack {
		return 0
	}
	most := 4
	if c.ts.on {
		most = 3
	}
	n := len(c.in.spans)
	if c.rcv.twice != (SACKBlock{}) {
		n++
	}
	return min(n, most)
}

// fillSACK reports what arrived twice (RFC 2883, section 4), then what is held
// out of order: the run that grew last, the one that did so before, and so on (RFC
// 2018, section 4).
func (c *Conn) fillSACK(o *Options) {
	n := c.sackBlocks()
	if n == 0 {
		return
	}
	if c.rcv.twice != (SACKBlock{}) {
		o.SACK[0], o.SACKCount = c.rcv.twice, 1
		c.rcv.twice = SACKBlock{}
	}
	for before := c.in.grown + 1; o.SACKCount < n; o.SACKCount++ {
		var latest span
		for _, s := range c.in.spans {
			if latest.grew < s.grew && s.grew < before {
				latest = s
			}
		}
		before = latest.grew
		o.SACK[o.SACKCount] = SACKBlock{Left: c.rcv.nxt.Add(latest.from), Right: c.rcv.nxt.Add(latest.to)}
	}
}
