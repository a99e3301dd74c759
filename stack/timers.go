package stack

import "time"

type timer uint8

// The timers are independent deadlines; the earliest wakes the connection.
const (
	timerRetransmit timer = iota
	timerPersist          // zero-window probes, and the SWS override
	timerReorder          // RFC 8985, section 6.2
	timerTailProbe        // RFC 8985, section 7
	timerMarked           // RFC 3168, section 6.1.2: new data wait
	timerDelayedACK
	timerKeepAlive
	timerUser     // R2: the peer answers nothing
	timerFinWait2 // the peer sends no FIN
	timerTimeWait
	numTimers
)

type timers [numTimers]time.Time

func (t *timers) set(id timer, at time.Time) { t[id] = at }
func (t *timers) stop(id timer)              { t[id] = time.Time{} }
func (t *timers) armed(id timer) bool        { return !t[id].IsZero() }

// expired stops the timer and reports true if its time has come.
func (t *timers) expired(id timer, now time.Time) bool {
	if !t.armed(id) || now.Before(t[id]) {
		return false
	}
	t.stop(id)
	return true
}

// Deadline is when Advance wants to be called next, and false if never. It is known
// once Next has nothing more to send.
func (c *Conn) Deadline() (time.Time, bool) {
	var first time.Time
	for _, at := range c.timers {
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first, !first.IsZero()
}

// Advance tells the connection the time. Timers that have run out do their
// work; call Next afterwards.
func (c *Conn) Advance(now time.Time) {
	if c.timers.expired(timerTimeWait, now) {
		c.end(CauseTimeWaitOver, nil)
		return
	}
	if c.timers.expired(timerFinWait2, now) {
		c.end(CauseTimeout, ErrIdle)
		return
	}
	if c.timers.expired(timerUser, now) {
		c.abort(now, CauseTimeout, ErrTimeout, ReasonTimeoutAbort)
		return
	}
	if c.timers.expired(timerReorder, now) {
		arrived := 0
		if !c.loss.recovering { // a segment at least has, which set the timer
			arrived = c.cc.mss
		}
		c.detectLoss(now)
		c.pace(arrived)
	}
	if c.timers.expired(timerTailProbe, now) {
		c.onTailProbe(now)
	}
	if c.timers.expired(timerRetransmit, now) {
		c.onRetransmitTimeout(now)
		c.checkR1()
	}
	c.timers.expired(timerMarked, now)
	if c.timers.expired(timerPersist, now) {
		c.onPersist()
	}
	if c.timers.expired(timerDelayedACK, now) {
		c.owe(ReasonDelayedACK)
	}
	if c.timers.expired(timerKeepAlive, now) {
		c.onKeepAlive(now)
	}
}

// checkR1 tells once of a segment that goes out again and again (RFC 9293,
// section 3.8.3).
func (c *Conn) checkR1() {
	if c.advised || c.cfg.R1 < 0 || c.flight() == 0 {
		return
	}
	head := &c.board.runs[0]
	n := int(head.times) // with the retransmission that is due now
	if head.early {      // one that does not wait for the RTO does not count (SHLD-10)
		n--
	}
	if n >= c.cfg.R1 {
		c.advised = true
		c.report(Report{Kind: ReportUnanswered, Retransmissions: n})
	}
}

// onPersist: the window is still closed, or too small for a whole segment.
func (c *Conn) onPersist() {
	if c.snd.wnd == 0 {
		c.probes++
		c.owed.probe = true
		return
	}
	c.owed.override = true
}

// onKeepAlive asks an idle peer whether it is there, or gives up (RFC 9293,
// section 3.8.4).
func (c *Conn) onKeepAlive(now time.Time) {
	if c.probes >= c.cfg.KeepAliveCount {
		c.abort(now, CauseTimeout, ErrTimeout, ReasonTimeoutAbort)
		return
	}
	c.probes++
	c.owed.keepAlive = true
	c.timers.set(timerKeepAlive, now.Add(c.cfg.KeepAliveInterval))
}

// corkTime is how long Config.Cork holds data back, as with Linux.
const corkTime = 200 * time.Millisecond

// armTimers sets the timers that follow from the state of the send side,
// after anything that may have changed it.
func (c *Conn) armTimers(now time.Time) {
	outstanding := c.flight() > 0
	closedWindow := c.snd.wnd == 0 && c.state.Synchronized()
	waiting := c.unsent() > 0
	c.armRetransmit(now, outstanding && !closedWindow)
	switch {
	case closedWindow && (outstanding || waiting),
		!outstanding && waiting && c.state.Synchronized():
		if !c.timers.armed(timerPersist) && !c.owed.probe {
			wait := c.rtt.backedOff(c.probes)
			if c.cfg.Cork && !closedWindow {
				wait = min(wait, corkTime)
			}
			c.timers.set(timerPersist, now.Add(wait))
		}
	default:
		c.timers.stop(timerPersist)
	}

	// R2 runs while the peer owes us an answer (RFC 9293, section 3.8.3).
	switch {
	case !outstanding && !c.timers.armed(timerPersist) && !c.owed.probe:
		c.waiting = time.Time{}
	case c.waiting.IsZero():
		c.waiting = now
	}
	r2 := c.cfg.SYNTimeout
	if c.state.Synchronized() {
		r2 = c.userTimeout()
	}
	if c.waiting.IsZero() || r2 < 0 {
		c.timers.stop(timerUser)
	} else {
		c.timers.set(timerUser, c.waiting.Add(r2))
	}

	switch {
	case !c.cfg.KeepAlive || !c.idle():
		c.timers.stop(timerKeepAlive)
	case !c.timers.armed(timerKeepAlive):
		idle := c.cfg.KeepAliveIdle
		if c.cfg.UserTimeoutOption { // the peer counts on the user timeout: RFC 5482, section 4.2
			idle = max(idle, c.userTimeout()+time.Second)
		}
		c.timers.set(timerKeepAlive, maxTime(now, c.heard.Add(idle)))
	}
}

// idle reports whether all is said, and it is the peer's turn or nobody's: when
// keep-alives may go out (MUST-26).
func (c *Conn) idle() bool {
	switch c.state {
	case StateEstablished, StateFinWait2, StateCloseWait:
		return c.flight() == 0 && c.unsent() == 0
	}
	return false
}

func maxTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
