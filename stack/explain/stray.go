package explain

import "rawnc/stack"

// stray tells of a segment that has nothing to do with the SYN that began the
// conversation, but with a connection that was there before: what a challenge ACK
// shows, and what settles it. Its numbers stay out of the books. It reports
// whether the segment is such a one.
func (t *telling) stray() bool {
	c, from, to := t.c, t.from, t.to
	if c.opening != OpenAsked && c.opening != OpenChallenged && c.opening != OpenNothing || t.is(stack.SYN) || from == to {
		return false
	}
	same := c.before.alive && t.seg.Seq == c.before.next[c.side(from.addr)]
	switch {
	case t.is(stack.RST) && !t.is(stack.ACK) && from.in(stack.StateSynSent) && from.doubt == 0 && to.doubt != 0:
		t.mark("ends the old connection")
		t.note("%s has no connection with the numbers of %v, and so ends it at %s with the number asked for; the SYN still stands",
			t.sender(), frame(to.doubt), t.receiver())
	case t.is(stack.RST) || !t.is(stack.ACK):
		return false
	case to.in(stack.StateSynSent) && t.seg.Ack != to.isn.Add(1):
		from.doubt = t.Frame
		c.opening = OpenChallenged
		t.mark("challenge ACK")
		t.note("a challenge ACK (RFC 5961): the SYN found a connection that %s already has, and this tells the numbers of it. If the SYN was meant, a RST follows", t.sender())
	case same:
		c.opening = OpenNothing
		t.mark("of the connection before")
		t.note("this goes on the connection before the SYN of %v, whoever sent that: the SYN began nothing", frame(c.synFrame()))
	default:
		return false
	}
	if t.is(stack.ACK) {
		t.add(Arithmetic, "on the wire: Seq %v, Ack %v", plain(t.seg.Seq), plain(t.seg.Ack))
	} else {
		t.add(Arithmetic, "on the wire: Seq %v = the Ack of %v", plain(t.seg.Seq), frame(to.doubt))
	}
	if same && c.before.alive {
		c.before.next[c.side(from.addr)] = t.Next.Raw
	}
	return true
}

// synFrame is the segment with the SYN that began the conversation.
func (c *conversation) synFrame() int { return c.ends[0].synFrame }
