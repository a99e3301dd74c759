package stack

import "time"

// ECN is the field of the IP header that routers mark congestion in (RFC 3168,
// section 5).
type ECN uint8

// The codepoints, with the values they have on the wire.
const (
	NotECT ECN = iota // a router may only drop the packet
	ECT1
	ECT0
	CE // congestion experienced: a router has marked the packet
)

// String is the codepoint's name, as Wireshark shows it.
func (e ECN) String() string { return [...]string{"Not-ECT", "ECT(1)", "ECT(0)", "CE"}[e&3] }

// ecn is explicit congestion notification (RFC 3168, section 6.1).
type ecn struct {
	offered bool // our SYN said that we do it
	mute    bool // but a later one did not: we answer marks, but ask for none
	on      bool // agreed on
	echo    bool // a mark has arrived: every ACK says so, until CWR comes
	echoed  bool // the segment being received says so
	cwr     bool // the window was reduced: the next new data say so
	reacted bool // to a mark, in the window that ends at end
	end     Seq
}

// ecnSYN is what our SYN or SYN,ACK says. A SYN that was not answered goes out
// again without it: some middlebox may drop what it does not know (section
// 6.1.1.1).
func (c *Conn) ecnSYN() Flags {
	e := &c.ecn
	switch {
	case c.state != StateSynSent && e.on:
		return ECE
	case c.state != StateSynSent || !c.cfg.ECN:
		return 0
	case c.loss.retransmits > 0:
		e.mute = true
		return 0
	}
	e.offered = true
	return ECE | CWR
}

// ecnSYNArrived takes what the peer's SYN or SYN,ACK says (section 6.1.1).
func (c *Conn) ecnSYNArrived(flags Flags) {
	said := flags & (ECE | CWR)
	if flags.Has(ACK) {
		c.ecn.on = c.ecn.offered && said == ECE
	} else {
		c.ecn.on = c.cfg.ECN && said == ECE|CWR
	}
}

// ecnSent marks new data, which alone a router may mark instead of dropping
// (section 6.1.4 to 6.1.6): the loss of anything else would go unnoticed.
func (c *Conn) ecnSent(seg *Segment) {
	e := &c.ecn
	if !e.on || e.mute || len(seg.Payload) == 0 {
		return
	}
	seg.ECN = ECT0
	if e.cwr {
		seg.Flags |= CWR
		e.cwr = false
	}
}

// ecnArrived takes the mark of data that were accepted (section 6.1.3).
func (c *Conn) ecnArrived(seg *Segment) {
	if !c.ecn.on {
		return
	}
	if seg.Flags.Has(CWR) {
		c.ecn.echo = false
		c.owe(ReasonACK) // at once, as Linux and FreeBSD do: the peer's window may be one segment
	}
	if seg.ECN == CE {
		c.ecn.echo = true
	}
}

// ecnEchoed takes the flag of an ACK. flight was FlightSize before it. The window is
// reduced as after a loss, but once for a window of data (section 6.1.2), and down
// to one segment; then the next waits for a timeout.
func (c *Conn) ecnEchoed(now time.Time, seg *Segment, flight int) {
	e := &c.ecn
	e.echoed = e.on && seg.Flags&(ECE|SYN) == ECE
	if e.reacted && e.end.Less(c.snd.una) {
		e.reacted = false
	}
	if !e.echoed || e.reacted || c.loss.recovering || c.loss.timedOut || c.state == StateTimeWait { // which has nothing to send
		return
	}
	if c.cc.cwnd <= c.cc.mss {
		c.timers.set(timerMarked, now.Add(c.rtt.rto()))
	}
	c.cc.marked(min(flight, c.cc.cwnd))
	e.reacted, e.end, e.cwr = true, c.snd.nxt, true
}
