package stack

import "fmt"

// Check reports the first thing in a Conn that can never be so.
func (c *Conn) Check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%v: "+format, append([]any{c.state}, args...)...)
	}
	for id := range numTimers {
		if c.timers.armed(id) && !timerLives(id, c.state) {
			return wrong("timer %d is armed", id)
		}
	}
	if c.state == StateClosed {
		return nil
	}
	if c.snd.nxt.Less(c.snd.una) {
		return wrong("SND.NXT %d lies before SND.UNA %d", c.snd.nxt, c.snd.una)
	}

	// The runs cover [SND.UNA, SND.NXT) without a gap.
	at, sacked, lost, more := c.snd.una, 0, 0, 0
	for _, s := range c.board.runs {
		if s.seq != at || !s.seq.Less(s.end) {
			return wrong("a run [%d, %d) where one from %d should be", s.seq, s.end, at)
		}
		if s.sacked {
			sacked += s.len()
		}
		if s.lost {
			lost += s.len()
		}
		if s.sacked && s.lost {
			return wrong("a run is both held by the peer and lost")
		}
		if s.more > 0 && (s.len()%int(s.more+1) != 0 || s.times != 1 || s.sacked || s.lost || s.probe) {
			return wrong("a run of %d segments is none: %+v", s.more+1, s)
		}
		at, more = s.end, more+int(s.more)
	}
	if more != c.board.more {
		return wrong("%d segments more than runs; the runs say %d", c.board.more, more)
	}
	if at != c.snd.nxt {
		return wrong("the runs end at %d, SND.NXT is %d", at, c.snd.nxt)
	}
	if sacked != c.board.sackedBytes || lost != c.board.lostBytes {
		return wrong("sacked %d, lost %d; the runs say %d and %d", c.board.sackedBytes, c.board.lostBytes, sacked, lost)
	}

	if c.snd.up.Less(c.snd.una) || c.snd.up != c.snd.una && c.sendEnd().Less(c.snd.up) {
		return wrong("SND.UP %d, where SND.UNA is %d and the data end at %d", c.snd.up, c.snd.una, c.sendEnd())
	}
	if c.state >= StateSynReceived && c.rcv.up.Less(c.consumed()) {
		return wrong("RCV.UP %d, where all before %d was read", c.rcv.up, c.consumed())
	}

	// The buffers keep their bounds.
	if n := c.out.len(); n > c.cfg.SendBuffer {
		return wrong("%d octets to send, the buffer is %d", n, c.cfg.SendBuffer)
	}
	if n := c.in.ready(); n < 0 || n > c.cfg.ReceiveBuffer {
		return wrong("%d octets to read, the buffer is %d", n, c.cfg.ReceiveBuffer)
	}
	if n := cap(c.out.data.buf); n > max(4*c.cfg.SendBuffer, 1<<smallestPool) || c.out.len() == 0 && n > 0 {
		return wrong("%d octets of memory for %d in a buffer of %d", n, c.out.len(), c.cfg.SendBuffer)
	}
	if n := len(c.board.runs); n > c.cfg.SendBuffer+2 { // SYN and FIN
		return wrong("%d runs in flight, the buffer is %d", n, c.cfg.SendBuffer)
	}
	if n := len(c.in.spans); n > maxHeld {
		return wrong("%d runs held", n)
	}
	if n := c.in.placed; n > c.in.ready() || n > len(c.in.await) {
		return wrong("%d octets stand where %d were awaited, %d are ready", n, len(c.in.await), c.in.ready())
	}
	end := 0
	for _, s := range c.in.spans {
		if s.from <= end || s.to <= s.from {
			return wrong("held runs %v", c.in.spans)
		}
		end = s.to
	}
	pages := 0
	for _, p := range c.in.data.list {
		if p != nil {
			pages++
		}
	}
	if most := c.cfg.ReceiveBuffer/pageSize + 2; pages > most || c.in.ready() == 0 && c.in.held() == 0 && pages > 0 {
		return wrong("%d pages for %d octets to read and %d held", pages, c.in.ready(), c.in.held())
	}
	if c.state >= StateSynReceived && !c.rcv.hasFIN && c.rcvWnd() > c.in.room() {
		return wrong("a window of %d offered, there is room for %d", c.rcvWnd(), c.in.room())
	}

	// Nothing waits for ever.
	_, armed := c.Deadline()
	if c.owed == (owed{}) && !armed && (c.flight() > 0 || c.unsent() > 0) {
		return wrong("%d octets in flight, %d to send, and no timer", c.flight(), c.unsent())
	}
	if p := &c.path; p.most > 0 && c.state.Synchronized() && (p.mtu > p.most || p.mtu < min(leastMTU, p.most) || p.low > p.mtu ||
		p.next > p.most || p.next != 0 && p.next <= p.mtu || p.probe > p.high || c.snd.mss != p.mtu-c.overhead()) {
		return wrong("path MTU %+v, segments of %d octets", *p, c.snd.mss)
	}
	if c.snd.mss <= 36-1 && c.state >= StateSynReceived || c.state >= StateSynReceived && c.room() <= 0 {
		return wrong("segments of %d octets, with SACK %d", c.snd.mss, c.room())
	}
	return nil
}

func timerLives(id timer, s State) bool {
	switch id {
	case timerTimeWait:
		return s == StateTimeWait
	case timerFinWait2:
		return s == StateFinWait2
	case timerKeepAlive:
		return s == StateEstablished || s == StateFinWait2 || s == StateCloseWait
	case timerRetransmit, timerUser:
		return s >= StateSynSent && s != StateTimeWait
	}
	return s.Synchronized() && s != StateTimeWait
}

// Runs is how many runs the scoreboard keeps.
func (c *Conn) Runs() int { return len(c.board.runs) }

// SkipTo is as if everything up to seq had been sent and acknowledged.
func (c *Conn) SkipTo(seq Seq) {
	c.snd.una, c.snd.nxt, c.snd.wl2, c.snd.up, c.out.base = seq, seq, seq, seq, seq
}

// BufferMemory is what the buffers take, in octets.
func (c *Conn) BufferMemory() int {
	n := cap(c.out.data.buf)
	for _, p := range c.in.data.list {
		if p != nil {
			n += pageSize
		}
	}
	return n
}
