package rawtcp

import (
	"container/heap"
	"context"
	"errors"
	"time"

	"rawnc/stack"
)

// graveTime is how long a connection that was given up is remembered.
const graveTime = 3 * time.Second

// bury ends a connection. What the peer of one that was given up has still on
// the way gets a RST from us (RFC 9293, section 3.10.7.1), not from the kernel:
// the port is held for as long as that may take.
func (h *Host) bury(c *Conn) {
	err := c.tcp.Err()
	if err == nil || errors.Is(err, stack.ErrRefused) || errors.Is(err, stack.ErrReset) {
		h.remove(c)
		return
	}
	if c.grave != nil {
		return
	}
	c.letGo()
	c.lastWords()
	c.grave = time.AfterFunc(graveTime, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.remove(c)
	})
	h.quiet.broadcast()
}

// lastWords tells of the changes of state that no packet will tell of.
func (c *Conn) lastWords() {
	if c.watch.tap != nil && len(c.watch.transitions) > 0 {
		c.report(&Event{Time: time.Now()})
	}
	if c.listener != nil {
		c.listener.forget(c)
	}
}

// remove forgets a connection that has ended.
func (h *Host) remove(c *Conn) {
	id := c.pair()
	if h.conns[id] != c {
		return
	}
	c.lastWords()
	delete(h.conns, id)
	c.letGo()
	if c.grave != nil {
		c.grave.Stop()
	}
	if c.index >= 0 {
		heap.Remove(&h.deadlines, c.index)
	}
	h.leaveTimeWait(c)
	h.release(c.port)
	h.quiet.broadcast()
	h.closeIfIdle()
}

// Shutdown is Host.Shutdown for the connections over this machine's raw sockets.
func Shutdown(ctx context.Context) error {
	sharedMu.Lock()
	h := shared
	sharedMu.Unlock()
	if h == nil {
		return nil
	}
	return h.Shutdown(ctx)
}

// Shutdown waits until every connection that the application has closed has
// delivered its data and its FIN: it is closed, or in TIME-WAIT. A program that
// ends earlier takes them with it.
func (h *Host) Shutdown(ctx context.Context) error {
	defer h.wakeWith(ctx, &h.quiet)()
	h.mu.Lock()
	defer h.unlock()
	for h.busy() {
		if err := ctx.Err(); err != nil {
			return err
		}
		h.quiet.wait()
	}
	return nil
}

func (h *Host) busy() bool {
	for _, c := range h.conns {
		if c.closed && c.grave == nil && (c.held != nil || c.tcp.State() != stack.StateTimeWait) {
			return true
		}
	}
	return false
}

// wakeWith lets the end of a context wake who waits on cond, until stop.
func (h *Host) wakeWith(ctx context.Context, cond *cond) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		cond.broadcast()
	})
}
