package rawtcp

import (
	"container/heap"
	"time"

	"rawnc/stack"
)

// flush sends what a connection owes, notes when it wants to be woken, and
// wakes who waits for it.
func (h *Host) flush(now time.Time, c *Conn) {
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
			h.out.send(h.link)
		}
	}
	h.out.send(h.link)
	if c.tooBig {
		c.tooBig = false
		if route, err := h.link.Route(c.remote.Addr()); err == nil && c.tcp.LowerMTU(c.at(now), route.MTU) {
			h.flush(now, c)
			return
		}
	}
	h.schedule(c)
	c.wake()
	switch c.tcp.State() {
	case stack.StateClosed:
		h.bury(c)
	case stack.StateListen: // where a passive one goes back to means here that it ends
		h.remove(c)
	case stack.StateTimeWait:
		h.quiet.broadcast()
	}
}

// tick serves the connections whose deadline has come.
func (h *Host) tick() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	now := time.Now()
	h.timerAt = time.Time{}
	for len(h.deadlines) > 0 && !h.deadlines[0].deadline.After(now) {
		c := h.deadlines[0]
		c.tcp.Advance(c.at(now))
		h.flush(now, c)
	}
	h.arm()
}

// schedule follows a connection's deadline.
func (h *Host) schedule(c *Conn) {
	at, armed := c.tcp.Deadline()
	at, armed = at.Add(c.thought), armed && c.held == nil
	switch {
	case !armed && c.index >= 0:
		heap.Remove(&h.deadlines, c.index)
	case armed && c.index < 0:
		c.deadline = at
		heap.Push(&h.deadlines, c)
	case armed && !at.Equal(c.deadline):
		c.deadline = at
		heap.Fix(&h.deadlines, c.index)
	}
	h.arm()
}

// arm sets the one timer for the earliest deadline of all. It may ring early,
// never late.
func (h *Host) arm() {
	if len(h.deadlines) == 0 {
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
