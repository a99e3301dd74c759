package stack

import "time"

// The seventh and the eighth step of RFC 9293, section 3.10.7.4: the text and
// the FIN. (The sixth is in urgent.go.)

// quickACKs is how many segments are acknowledged at once after one that came out of
// order: where a segment is lost the peer's congestion window is small, it waits for
// each ACK, and an ACK may be lost as well. RFC 5681, section 4.2, leaves us the choice.
// Where our window takes a pair of segments only, one ACK for both is better: the
// peer's probe for the tail of a pair comes sooner than for a single one (RFC 8985,
// section 7.2).
const quickACKs = 16

// textArrived is the seventh step.
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
	full, first := len(seg.Payload), seg.Seq
	c.trim(seg)
	if first.Less(c.rcv.nxt) {
		c.arrivedTwice(first, minSeq(first.Add(full), c.rcv.nxt))
	} else {
		s := c.in.overlap(seg.Seq.Sub(c.rcv.nxt), len(seg.Payload))
		c.arrivedTwice(c.rcv.nxt.Add(s.from), c.rcv.nxt.Add(s.to))
	}
	if len(seg.Payload) == 0 {
		c.owe(ReasonOldDataACK)
		return
	}
	if c.rcv.closed { // nobody will ever read it (RFC 9293, SHLD-3)
		c.verdict = VerdictAfterClose
		c.abort(now, CauseAbort, ErrAborted, ReasonDataAfterClose)
		return
	}
	c.ecnArrived(seg)
	hole := len(c.in.spans) > 0
	n, ok := c.in.put(seg.Seq.Sub(c.rcv.nxt), seg.Payload)
	switch {
	case !ok || n == 0:
		if c.rcvWnd() >= 4*c.cfg.MSS {
			c.rcv.quick = max(c.rcv.quick, quickACKs)
		}
		c.verdict = VerdictOutOfOrder
		if !ok {
			c.verdict = VerdictTooManyGaps
		}
		c.owed.dups++
		return
	case hole: // part of a hole is filled: say so at once (RFC 5681, section 4.2)
		c.owe(ReasonACK)
	}
	c.rcv.nxt = c.rcv.nxt.Add(n)
	c.rcv.mss = min(max(c.rcv.mss, full), c.cfg.MSS)
	if c.owed.pending += n; c.owed.pending > c.rcv.mss || c.cfg.DelayedACK < 0 || c.rcv.quick > 0 {
		c.rcv.quick--
		c.owe(ReasonACK)
	} else if !c.timers.armed(timerDelayedACK) {
		c.timers.set(timerDelayedACK, now.Add(c.cfg.DelayedACK))
	}
}

// arrivedTwice notes octets for the D-SACK block of the next segment (RFC 2883,
// section 4).
func (c *Conn) arrivedTwice(left, right Seq) {
	if c.sack && left.Less(right) {
		c.rcv.twice = SACKBlock{left, right}
	}
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

// stripText leaves a bare ACK that stands at RCV.NXT.
func (c *Conn) stripText(seg *Segment) {
	seg.Seq, seg.Payload = c.rcv.nxt, nil
	seg.Flags &^= FIN
}

// finArrived is the eighth step. A FIN ahead of missing data is remembered; one
// before data that have arrived is a lie.
func (c *Conn) finArrived(now time.Time, seg *Segment) {
	if c.state == StateClosed {
		return
	}
	if end := seg.Seq.Add(len(seg.Payload)); seg.Flags.Has(FIN) && !c.rcv.hasFIN && c.rcv.nxt.Add(c.in.reach()).LessEq(end) {
		c.rcv.fin, c.rcv.hasFIN = end, true
		c.rcv.up = minSeq(c.rcv.up, end) // nothing follows
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
