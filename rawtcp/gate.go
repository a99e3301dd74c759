package rawtcp

import (
	"bytes"
	"context"
	"errors"
	"time"

	"rawnc/stack"
)

// A Gate is asked about every segment of a connection before it leaves, one
// after the other. It lets the segment pass with true; with false the segment is
// lost, as if on its way: TCP sends it again when it is missed. Before that the
// gate may change Seq, Ack, Flags and Window of e.Segment; nothing else counts.
//
// It may take as long as it likes, and is called without a lock: what arrives
// meanwhile is received, and the connection's clock stands still, so that no
// timer runs out over it. ctx ends with the connection, and what was held then
// does not leave. A RST that ends the connection leaves unasked.
type Gate func(ctx context.Context, e *Event) bool

// ErrDropped is the Err of an Event whose segment a Gate did not let pass.
var ErrDropped = errors.New("dropped by the gate")

// held is the segment that a connection's gate has before it.
type held struct {
	since time.Time
	seg   stack.Segment
	stop  context.CancelFunc
}

// at is a time by the connection's clock, which does not count how long the
// gate takes.
func (c *Conn) at(now time.Time) time.Time {
	if c.held != nil {
		now = c.held.since
	}
	return c.host.clock(now).Add(-c.thought)
}

// hold gives a segment to the gate, and goes on when it has decided.
func (h *Host) hold(now time.Time, c *Conn, seg *stack.Segment, why stack.Reason) {
	ctx, stop := context.WithCancel(context.Background())
	made := *seg
	made.Payload = bytes.Clone(seg.Payload) // the send buffer's own
	c.held = &held{since: now, seg: made, stop: stop}
	e := &Event{
		Time: now, Sent: true, Local: c.local, Remote: c.remote, Segment: made, Checksum: stack.ChecksumValid,
		Reason: why, State: c.tcp.State(),
	}
	go func() {
		defer stop()
		pass := c.gate(ctx, e)
		h.mu.Lock()
		defer h.mu.Unlock()
		if c.held == nil { // the connection has ended
			return
		}
		now := time.Now()
		c.thought += now.Sub(c.held.since)
		c.held = nil
		seg := made
		seg.Seq, seg.Ack, seg.Flags, seg.Window = e.Segment.Seq, e.Segment.Ack, e.Segment.Flags, e.Segment.Window
		h.out.add(now, c, &seg, why)
		if seg.Seq != made.Seq || seg.Ack != made.Ack || seg.Flags != made.Flags || seg.Window != made.Window {
			h.out.origins[0].made = &made
		}
		if pass {
			h.out.send(h.link)
		} else {
			h.out.drop()
		}
		h.flush(c)
	}()
}

// letGo ends what the gate is asked about a connection that has ended.
func (c *Conn) letGo() {
	if c.held != nil {
		c.held.stop()
		c.held = nil
		c.canWrite.broadcast() // Wait
	}
}
