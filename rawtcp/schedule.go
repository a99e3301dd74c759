package rawtcp

import (
	"container/heap"
	"time"

	"rawnc/stack"
)

// mostTouched is how many connections may wait for those who have been woken: a batch
// of packets for each of them, and as many besides.
const mostTouched = 2 * readBatch

// flush sends what a connection owes, notes when it wants to be woken, and wakes who
// waits for it. Where others have been woken and are still to come, it waits for the
// last of them, for what leaves together costs less. It may unlock the host meanwhile.
func (h *Host) flush(c *Conn) {
	h.touch(c)
	if h.waking == 0 || h.ending || len(h.touched) >= mostTouched {
		h.flushTouched()
	}
}

// flushTouched flushes those that were touched, together.
func (h *Host) flushTouched() {
	conns := h.touched
	h.touched, h.spare = h.spare, nil
	now := time.Now()
	for _, c := range conns {
		c.touched = false
		now = h.push(now, c)
	}
	h.send()
	for _, c := range conns {
		h.settle(c)
	}
	clear(conns)
	h.spare = conns[:0]
}

// send empties the outbox. Small packets leave without the lock, which others
// then need not wait for. What their connections owe meanwhile has to wait, or it
// would overtake them.
func (h *Host) send() {
	out := h.out
	if out.n == 0 || out.shared || h.ending {
		out.send(h.link)
		return
	}
	for i := range out.n {
		out.origins[i].conn.leaving = true
	}
	h.out = outboxes.Get().(*outbox)
	h.sending++
	if out.n > 1 && h.leaderless() && len(h.followers) > 0 {
		h.handOver() // what comes meanwhile need not wait
	}
	h.mu.Mutex.Unlock() // not to serve anything before it is sent
	out.write(h.link)
	h.mu.Lock()
	for i := range out.n {
		out.origins[i].conn.leaving = false
	}
	out.done()
	outboxes.Put(out)
	if h.sending--; h.sending == 0 && h.ending {
		h.sent.Broadcast()
	}
}

// touch notes that a connection has something to do.
func (h *Host) touch(c *Conn) {
	if !c.touched {
		c.touched = true
		h.touched = append(h.touched, c)
	}
}

// push puts into the outbox what a connection owes. It may unlock the host, and
// returns what time it is then.
func (h *Host) push(now time.Time, c *Conn) time.Time {
	if c.leaving {
		c.owes = true
		return now
	}
	for c.held == nil || c.tcp.State() == stack.StateClosed {
		var seg stack.Segment
		why, ok := c.tcp.Next(c.at(now), &seg)
		if !ok {
			break
		}
		if c.gate != nil && c.tcp.State() != stack.StateClosed {
			h.hold(now, c, &seg, why)
			break
		}
		if c.held != nil && c.held.seg.Next() == seg.Seq {
			seg.Seq = c.held.seg.Seq // a RST: the peer knows nothing of what is held
		}
		h.out.add(now, c, &seg, why)
		if h.out.full() {
			h.send()
			now = time.Now()
		}
	}
	return now
}

// settle does what is to be done when what a connection owed has left.
func (h *Host) settle(c *Conn) {
	if c.tooBig {
		c.tooBig = false
		if route, err := h.link.Route(c.remote.Addr()); err == nil && c.tcp.LowerMTU(c.at(time.Now()), route.MTU) {
			h.flush(c)
			return
		}
	}
	if c.owes && !c.leaving {
		c.owes = false
		h.flush(c)
		return
	}
	h.schedule(c)
	c.wake()
	if c.leaving { // who sends for it settles the rest
		return
	}
	switch c.tcp.State() {
	case stack.StateClosed:
		h.bury(c)
	case stack.StateListen: // where a passive one goes back to means here that it ends
		h.remove(c)
	case stack.StateTimeWait:
		h.enterTimeWait(c)
		h.quiet.broadcast()
	}
}

// mostLate is how late the clock may be for the sake of what has arrived: a flood
// never lets the link go empty.
const mostLate = 250 * time.Millisecond

// ring is for when a deadline has come. Who reads the link serves it, after all
// that has arrived: an ACK that waits at the link is not missing.
func (h *Host) ring() {
	if h.closed {
		return
	}
	h.timerAt = time.Time{}
	now := time.Now()
	if !h.overdue(now) {
		h.arm()
		return
	}
	h.due = now
	if h.reading {
		h.link.Wake()
	} else {
		h.receive(nil)
		h.keepWatch()
	}
}

// expire serves the connections whose deadline has come.
func (h *Host) expire() {
	h.due = time.Time{}
	now := time.Now()
	for h.overdue(now) {
		c := heap.Pop(&h.deadlines).(*Conn)
		c.tcp.Advance(c.at(now))
		h.touch(c)
	}
	h.flushTouched()
	h.arm()
}

// overdue reports whether the first connection wants to be woken now. Of those before it,
// the deadlines have moved away.
func (h *Host) overdue(now time.Time) bool {
	for len(h.deadlines) > 0 && !h.deadlines[0].deadline.After(now) {
		c := h.deadlines[0]
		at, armed := c.wakeAt()
		if armed && !at.After(now) {
			return true
		}
		if c.deadline = at; armed {
			heap.Fix(&h.deadlines, 0)
		} else {
			heap.Pop(&h.deadlines)
		}
	}
	return false
}

// wakeAt is when a connection wants to be woken, and false if never.
func (c *Conn) wakeAt() (time.Time, bool) {
	at, armed := c.tcp.Deadline()
	return at.Add(c.thought), armed && c.held == nil
}

// schedule follows a connection's deadline where it comes nearer. One that moves
// away, as most do with every segment, is followed when it would have come.
func (h *Host) schedule(c *Conn) {
	switch at, armed := c.wakeAt(); {
	case !armed:
		return
	case c.index < 0:
		c.deadline = at
		heap.Push(&h.deadlines, c)
	case at.Before(c.deadline):
		c.deadline = at
		heap.Fix(&h.deadlines, c.index)
	}
	h.arm()
}

// arm sets the one timer for the earliest deadline of all, unless one has come that is
// still to be served. It may ring early, never late.
func (h *Host) arm() {
	if len(h.deadlines) == 0 || !h.due.IsZero() {
		return
	}
	at := h.deadlines[0].deadline
	if h.timerAt.IsZero() || at.Before(h.timerAt) {
		h.timerAt = at
		h.timer.Reset(time.Until(at))
	}
}

// deadlines is a heap of connections, the next to be woken on top.
type deadlines []*Conn

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}
func (d *deadlines) Push(x any) {
	c := x.(*Conn)
	c.index = len(*d)
	*d = append(*d, c)
}
func (d *deadlines) Pop() any {
	old := *d
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	c.index = -1
	return c
}
