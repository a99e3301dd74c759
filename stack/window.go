package stack

// The window that we offer (RFC 9293, section 3.8.6; RFC 7323, section 2).

// windowShift is the window scale that lets a buffer of n octets be offered
// whole (RFC 7323, section 2.3: at most 14).
func windowShift(n int) int {
	shift := 0
	for n>>shift > 65535 && shift < 14 {
		shift++
	}
	return shift
}

// rcvWnd is RCV.WND: what the peer may still send of what it was offered.
func (c *Conn) rcvWnd() int { return max(c.rcv.adv.Sub(c.rcv.nxt), 0) }

// gain is how far the right edge could move, if that is worth telling: by a
// full segment or half of the buffer (MUST-39, RFC 9293, section 3.8.6.2.2),
// and enough to show in the scaled window.
func (c *Conn) gain() int {
	edge := c.rcv.nxt.Add(min(c.in.room(), 65535<<c.rcv.shift))
	gain := edge.Sub(c.rcv.adv)
	if gain < min(c.cfg.ReceiveBuffer/2, max(c.cfg.MSS, 1<<c.rcv.shift)) {
		return 0
	}
	return gain
}

// window moves the right edge where that is worth it and returns the header's
// window field. The edge never moves left (SHLD-14), so a window that does not
// divide by the scale is rounded up; but where the buffer is too full for that,
// down, and what was offered before stays acceptable (RFC 7323, section 2.4).
func (c *Conn) window() uint16 {
	c.rcv.adv = c.rcv.adv.Add(c.gain())
	unit := 1 << c.rcv.shift
	w := min((c.rcvWnd()+unit-1)/unit, c.in.room()/unit, 65535)
	c.rcv.adv = maxSeq(c.rcv.adv, c.rcv.nxt.Add(w*unit))
	return uint16(w)
}

// synWindow is the window field of a SYN, which is never scaled (RFC 7323,
// section 2.2).
func (c *Conn) synWindow() uint16 { return uint16(min(c.in.room(), 65535)) }

// updateWindow tells the peer of new room after a Read, when what is left of
// its window at least doubles by it. A smaller gain rides on the next ACK, and
// so does any while an ACK is due soon and the peer need not wait for it.
func (c *Conn) updateWindow() {
	if !c.state.Synchronized() || c.rcv.hasFIN ||
		c.timers.armed(timerDelayedACK) && c.rcvWnd() >= 2*c.cfg.MSS {
		return
	}
	if gain := c.gain(); gain > 0 && gain >= c.rcvWnd() {
		c.owe(ReasonWindowUpdate)
	}
}
