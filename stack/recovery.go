package stack

import "time"

// recovery finds out what was lost and decides when it is sent again: by
// duplicate ACKs (RFC 5681 and 6582) where the peer has no SACK, by the order
// of arrival (RFC 8985) where it has, and by the timeout (RFC 6298) always.
type recovery struct {
	recovering  bool       // fast recovery, until recover is acknowledged
	recover     Seq        // SND.NXT when the last loss was noticed (RFC 6582, section 3.2)
	timedOut    bool       // the timeout said so: slow start, until recover is acknowledged
	head        Seq        // SND.UNA at that timeout
	again       ReasonKind // why the next run that is lost goes out again
	timer       Timing     // the one that ran out last
	dupAcks     int
	probing     bool // a tail loss probe is unanswered
	probeEnd    Seq  // SND.NXT when it went out
	probeAgain  bool // it was sent before: its ACK may hide a loss
	sampled     bool // a round trip was measured since
	retransmits int  // segments sent again, in all
	seenRecover bool // recover is set
	reduced     int  // transmissions before ssthresh was last set
	prr         prr
	frto        frto

	rack struct { // RFC 8985, section 5
		order      int           // of the latest segment that arrived, in the order of sending
		rtt        time.Duration // and its round trip
		fack       Seq           // the highest octet that has arrived
		started    bool
		reordering bool // segments have arrived out of order
	}
}

const (
	dupThresh   = 3
	maxAckDelay = 200 * time.Millisecond // of the peer, RFC 8985, section 7.2
)

// onDelivered takes the news of an ACK: RACK's steps 1 to 3 (RFC 8985, 6.2).
func (c *Conn) onDelivered(now time.Time, d *delivered) {
	if !d.any {
		return
	}
	r := &c.loss.rack
	rtt := now.Sub(d.latest.at)
	// An ACK that comes faster than any before answers the original, not the
	// retransmission, and says nothing of when it was sent.
	if d.latest.times == 1 || c.rtt.least == 0 || rtt >= c.rtt.least {
		r.rtt = rtt
		r.order = max(r.order, d.latest.order)
	}
	if r.started && !d.once.IsZero() && d.lowest.Less(r.fack) {
		r.reordering = true
	}
	if !r.started || r.fack.Less(d.highest) {
		r.fack = d.highest
	}
	r.started = true
}

// detectLoss marks what was sent so long before the latest arrival that it must
// have been lost, and sets the timer for what may be (RFC 8985, 6.2, step 5).
func (c *Conn) detectLoss(now time.Time) {
	r := &c.loss.rack
	c.timers.stop(timerReorder)
	if !c.sack || !r.started {
		return
	}
	c.board.apart()
	window := min(c.rtt.least/4, c.rtt.srtt)
	if !r.reordering && (c.loss.recovering || c.loss.timedOut || c.board.sackedBytes >= dupThresh*c.snd.mss) {
		window = 0
	}
	var wait time.Duration
	found, again := false, false
	for i := range c.board.runs {
		s := &c.board.runs[i]
		if s.sacked || s.lost || r.order <= s.order {
			continue
		}
		if left := s.at.Add(r.rtt + window).Sub(now); left > 0 {
			wait = max(wait, left)
		} else {
			found, again = true, again || s.order > c.loss.reduced
			c.board.markLost(s)
		}
	}
	if wait > 0 {
		c.timers.set(timerReorder, now.Add(wait))
	}
	switch {
	case !found:
	case !c.loss.recovering && !c.loss.timedOut:
		c.enterRecovery()
	case again: // what went out after the window was reduced: a second loss (RFC 5681, section 4.3)
		c.reduce()
	}
}

// enterRecovery reduces the window once per loss event.
func (c *Conn) enterRecovery() {
	if c.probeLost(c.heard) {
		return
	}
	c.reduce()
	c.loss.recovering = true
	c.loss.again = ReasonFastRetransmit
}

// reduce is the response to a loss, or to what stands for one. What limited
// transmit sent beyond cwnd does not count as in use (RFC 5681, section 3.2, step 2), nor
// in recovery what is in flight beyond ssthresh.
func (c *Conn) reduce() {
	switch {
	case c.loss.recovering:
		c.cc.cwnd = c.cc.ssthresh
		c.cc.reduce(min(c.flight(), c.cc.cwnd))
	case !c.ecn.reacted || c.loss.timedOut: // once for a window of data (RFC 3168, section 6.1.2)
		c.cc.reduce(min(c.flight(), c.cc.cwnd))
	}
	c.cc.cwnd = min(c.cc.cwnd, c.cc.ssthresh)
	c.ecn.cwr = true
	c.loss.prr = prr{}
	c.loss.recover, c.loss.seenRecover = c.snd.nxt, true
	c.loss.reduced = c.board.order
}

// onDuplicateACK counts one (RFC 5681, section 3.2; RFC 6582, section 3.2) and
// returns the octets that it says have arrived, where there is no SACK to say so.
func (c *Conn) onDuplicateACK() (arrived int) {
	c.loss.dupAcks++
	if c.sack || c.loss.timedOut {
		return 0
	}
	switch {
	case c.loss.recovering:
	case c.loss.dupAcks > dupThresh: // of what a recovery sent twice: limited transmit has an end
		return 0
	case c.loss.dupAcks == dupThresh:
		if c.loss.seenRecover && c.snd.una.LessEq(c.loss.recover) {
			return 0
		}
		c.enterRecovery()
		c.markHeadLost()
		if !c.loss.recovering {
			return 0
		}
	}
	return c.board.duplicate(c.cc.mss, c.flight())
}

func (c *Conn) markHeadLost() {
	if s := c.board.head(); s != nil {
		c.board.markLost(s)
	}
}

// pace sets cwnd in recovery, when more octets have arrived.
func (c *Conn) pace(arrived int) {
	if c.loss.recovering {
		pipe := c.board.pipe(c.flight())
		if c.loss.prr.flight == 0 {
			c.loss.prr.flight = max(pipe+c.board.lostBytes+arrived, 1)
		}
		c.cc.cwnd = pipe + c.loss.prr.room(arrived, pipe, c.cc.ssthresh, c.cc.mss)
	}
}

// onAdvance: SND.UNA has moved by n octets; flight was FlightSize before, rtt is
// the sample of this ACK, or 0.
func (c *Conn) onAdvance(now time.Time, n, flight int, rtt time.Duration) {
	c.loss.dupAcks = 0
	full := c.loss.seenRecover && c.loss.recover.LessEq(c.snd.una)
	switch {
	case c.loss.recovering && full:
		c.loss.recovering = false
		c.cc.cwnd = c.cc.ssthresh
	case c.loss.recovering:
		c.loss.again = ReasonRecovery
		if !c.sack { // a partial ACK: the next hole was lost too
			c.markHeadLost()
		}
	default:
		c.loss.timedOut = c.loss.timedOut && !full
		if !c.ecn.echoed {
			c.cc.grow(advance{now, n, flight, c.snd.una, c.snd.nxt, rtt, c.rtt.srtt})
		}
	}
	if c.loss.recover.Less(c.snd.una) { // soon too far behind to compare with
		c.loss.seenRecover = false
	}
}

// onRetransmitTimeout: everything outstanding is taken for lost (RFC 6298,
// section 5; RFC 5681, equation 4).
func (c *Conn) onRetransmitTimeout(now time.Time) {
	if c.flight() == 0 {
		return
	}
	again := ReasonRetransmitTimeout
	if c.pathTimeout(now) {
		again = ReasonBlackHole
	}
	c.doubtTimeout()
	if again == ReasonBlackHole {
		c.loss.frto.step = frtoOff
	}
	if !c.loss.timedOut || c.loss.head != c.snd.una { // for the same segment, only once
		c.reduce()
	}
	c.cc.timeout()
	c.loss.timer = c.rtt.timing(c.rtt.rto())
	c.rtt.backoff++
	c.loss.recovering = false
	c.loss.timedOut, c.loss.head = true, c.snd.una
	c.loss.recover, c.loss.seenRecover = c.snd.nxt, true
	c.loss.again = again
	c.loss.probing = false
	c.loss.dupAcks = 0
	c.board.markAllLost()
}

// armRetransmit sets the retransmission timer or, in its place, the tail loss
// probe's (RFC 8985, section 7.2).
func (c *Conn) armRetransmit(now time.Time, outstanding bool) {
	if !outstanding {
		c.timers.stop(timerRetransmit)
		c.timers.stop(timerTailProbe)
		c.timers.stop(timerReorder)
		return
	}
	if !c.timers.armed(timerRetransmit) {
		c.timers.set(timerRetransmit, now.Add(c.rtt.rto()))
	}
	c.timers.stop(timerTailProbe)
	if !c.sack || c.loss.probing || !c.loss.sampled || c.loss.recovering || c.loss.timedOut || c.board.sackedBytes > 0 ||
		!c.state.Synchronized() {
		return
	}
	// Since the last new segment, or the last ACK that brought something new.
	at := maxTime(c.board.runs[len(c.board.runs)-1].at, c.waiting).Add(c.probeTimeout())
	if c.timers[timerRetransmit].Before(at) {
		at = c.timers[timerRetransmit]
	}
	c.timers.set(timerTailProbe, at)
}

// probeTimeout is the PTO of RFC 8985, section 7.2.
func (c *Conn) probeTimeout() time.Duration {
	pto := 2*c.rtt.srtt + granularity
	if c.flight() <= c.snd.mss {
		pto += maxAckDelay
	}
	return pto
}

// onTailProbe: no ACK came for two round trips. Something sent now makes the
// peer say what it has, and saves the timeout (RFC 8985, section 7.3).
func (c *Conn) onTailProbe(now time.Time) {
	if c.flight() == 0 || c.loss.probing {
		return
	}
	c.owed.tailProbe = true
	c.loss.timer = c.rtt.timing(c.probeTimeout())
	if !now.Before(c.timers[timerRetransmit]) {
		c.loss.timer = c.rtt.timing(c.rtt.rto())
		c.loss.timer.InPlace = true
	}
	c.loss.probing, c.loss.probeEnd, c.loss.probeAgain = true, c.snd.nxt, false
	c.loss.sampled = false
	c.timers.set(timerRetransmit, now.Add(c.rtt.rto()))
}

// tailProbeAnswered looks whether the probe has repaired a loss that nothing else
// would tell of (RFC 8985, section 7.4.2). When n more octets are acknowledged
// and only one of the segment's two copies was, it has.
func (c *Conn) tailProbeAnswered(seg *Segment, n, flight int) {
	if !c.loss.probing || c.snd.una.Less(c.loss.probeEnd) {
		return
	}
	blocks := seg.Options.Blocks()
	duplicate := len(blocks) > 0 && blocks[0].Right.LessEq(c.snd.una) || // D-SACK (RFC 2883)
		len(blocks) == 0 && n == 0 && len(seg.Payload) == 0
	switch {
	case !c.loss.probeAgain, duplicate:
		c.loss.probing = false
	case c.loss.probeEnd.Less(c.snd.una):
		c.loss.probing = false
		c.cc.reduce(min(flight, c.cc.cwnd))
		c.cc.cwnd = min(c.cc.cwnd, c.cc.ssthresh)
		c.ecn.cwr = true
	}
}
