package stack

import "time"

// The user timeout, R2 (RFC 9293, section 3.8.3), and the option by which two
// ends let each other know theirs (RFC 5482).

const (
	defaultUserTimeout = 5 * time.Minute   // RFC 9293, section 3.9.1.1
	leastUserTimeout   = 100 * time.Second // SHLD-11, and L_LIMIT of RFC 5482, section 3.1
	mostUserTimeout    = time.Hour         // U_LIMIT: so long a peer can make us keep a connection that is dead
)

// userTimeout is R2 of the data: what the application has set, or else what both
// ends together think right (RFC 5482, section 3.1). Negative: never.
func (c *Conn) userTimeout() time.Duration {
	switch {
	case c.cfg.UserTimeout != 0:
		return c.cfg.UserTimeout
	case c.peerTimeout == 0:
		return defaultUserTimeout
	}
	least := max(leastUserTimeout, c.cfg.MaxRTO+time.Second)
	return min(mostUserTimeout, max(defaultUserTimeout, c.peerTimeout, least))
}

// userTimeoutArrived takes the option. It is a word of advice: what the application
// has set itself remains, and it is told (RFC 5482, section 3.1).
func (c *Conn) userTimeoutArrived(o *Options) {
	if !c.cfg.UserTimeoutOption || o.UserTimeout&0x7fff == 0 { // reserved: RFC 5482, section 3.4
		return
	}
	unit := time.Second
	if o.UserTimeout&0x8000 != 0 {
		unit = time.Minute
	}
	timeout := time.Duration(o.UserTimeout&0x7fff) * unit
	if timeout == c.peerTimeout {
		return
	}
	was := c.userTimeout()
	c.peerTimeout = timeout
	if c.cfg.UserTimeout != 0 {
		c.report(Report{Kind: ReportUserTimeout, UserTimeout: timeout})
	} else if c.userTimeout() != was {
		c.owed.userTimeout = true // a new one in use: section 3
	}
}

// userTimeoutFits reports whether the next segment is to carry the option, and has
// room for it beside the SACK blocks.
func (c *Conn) userTimeoutFits() bool { return c.owed.userTimeout && c.sackBlocks() == 0 }

// fillUserTimeout sets the option, rounded up: seconds if they fit into its 15
// bits, or else minutes.
func (c *Conn) fillUserTimeout(o *Options) {
	timeout := c.userTimeout()
	seconds := (timeout + time.Second - 1) / time.Second
	minutes := (timeout + time.Minute - 1) / time.Minute
	switch {
	case timeout < 0:
		o.UserTimeout = 0xffff
	case seconds <= 0x7fff:
		o.UserTimeout = uint16(seconds)
	default:
		o.UserTimeout = 0x8000 | uint16(min(minutes, 0x7fff))
	}
	c.owed.userTimeout = false
}
