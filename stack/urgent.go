package stack

import "time"

// Urgent data (RFC 9293, section 3.8.5): a place in the stream that the reader
// should hurry to reach. The octets before it stay in the stream, where they were
// written. New applications should do without (SHLD-13, RFC 6093): middleboxes
// wipe it out, and most systems take the last octet out of the stream.

// WriteUrgent is SEND with the URGENT flag: Write, and what it takes, with
// all that waits before it, is urgent. Without an octet there is no urgency.
func (c *Conn) WriteUrgent(now time.Time, b []byte) (int, error) {
	n, err := c.Write(now, b)
	if n > 0 {
		c.snd.up = c.sendEnd()
		c.owed.urgent = true
	}
	return n, err
}

// Urgent is how many octets are to be read, and perhaps to arrive yet, before
// the urgent data end: 0 if nothing is urgent (MUST-33). Read stops there once,
// so that the place can be told (RFC 9293, section 3.9.1.3).
func (c *Conn) Urgent() int { return max(c.rcv.up.Sub(c.consumed()), 0) }

// consumed is the number of the first octet that was not read.
func (c *Conn) consumed() Seq {
	at := c.rcv.nxt.Add(-c.in.ready())
	if c.rcv.hasFIN && c.rcv.fin.Less(c.rcv.nxt) {
		at--
	}
	return at
}

// unsentUrgent reports whether urgent data wait to be sent.
func (c *Conn) unsentUrgent() bool { return c.snd.nxt.Less(c.snd.up) }

// fillUrgent sets the urgent pointer of a segment: the octet that follows the
// urgent data (MUST-62). One that lies too far ahead for the header is told of as
// far as the field reaches; but only where that is beyond all that was sent, or a
// peer that takes the last octet out of the stream would take one too early.
func (c *Conn) fillUrgent(seg *Segment) {
	n := c.snd.up.Sub(seg.Seq)
	if n > 65535 && c.snd.nxt.Less(seg.Seq.Add(65535)) {
		n = 65535
	}
	if 0 < n && n <= 65535 {
		seg.Flags |= URG
		seg.Urgent = uint16(n)
		c.owed.urgent = false
	}
}

// urgentArrived is the sixth step of RFC 9293, section 3.10.7.4. The pointer
// moves forward only, and not beyond the end of the stream.
func (c *Conn) urgentArrived(up Seq) {
	switch c.state {
	case StateEstablished, StateFinWait1, StateFinWait2:
	default: // the peer has sent its FIN
		return
	}
	if c.rcv.hasFIN {
		up = minSeq(up, c.rcv.fin)
	}
	if !c.rcv.up.Less(up) || !c.consumed().Less(up) {
		return
	}
	c.rcv.up = up
	c.report(Report{Kind: ReportUrgent, Urgent: c.Urgent()}) // MUST-32
}
