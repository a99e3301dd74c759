package rawtcp

import (
	"sync"
	"time"
)

// Whoever waits does the work. A call that waits for a packet reads the link
// itself, as the leader, and serves all connections with what comes, so that its
// own packet wakes nobody else. Those who wait meanwhile follow: the leader wakes
// them, and leaves the lead to who is woken first. Who sends for several hands it over
// before. Only where nobody waits does a goroutine of the host's own read, after a
// moment.

// For so long nobody reads the link before the host does so by itself: no peer
// should wait long for its ACK. Between the calls of a program that reads or
// writes all the time it should not come to that, and to look costs as much as a
// packet; so the host looks less and less often while somebody reads.
const (
	leastPatience = 500 * time.Microsecond
	mostPatience  = 8 * time.Millisecond
)

// A cond is where calls wait for something that packets bring about. The host's
// lock guards it.
type cond struct {
	host    *Host
	woken   sync.Cond
	blocked int // those who wait in woken
	index   int // in host.followers, while anyone is blocked
}

func (c *cond) init(h *Host) {
	c.host = h
	c.woken.L = &h.mu
}

// wait waits until something may have happened, and leads meanwhile if nobody
// else does. Its caller looks whether it has, waits again if not, and unlocks
// the host with unlock in the end.
func (c *cond) wait() {
	h := c.host
	if h.leaderless() {
		h.receive(c)
		return
	}
	if c.blocked++; c.blocked == 1 {
		c.index = len(h.followers)
		h.followers = append(h.followers, c)
	}
	c.woken.Wait()
	if h.waking--; h.waking == 0 && len(h.touched) > 0 {
		h.flushTouched()
	}
}

// broadcast wakes all who wait.
func (c *cond) broadcast() {
	h := c.host
	if h.leader == c {
		h.link.Wake()
	}
	if c.blocked == 0 {
		return
	}
	h.waking += c.blocked
	c.blocked = 0
	last := h.followers[len(h.followers)-1]
	h.followers[c.index], last.index = last, c.index
	h.followers = h.followers[:len(h.followers)-1]
	c.woken.Broadcast()
}

// leaderless reports whether nobody reads an open link, and nobody who was woken may be
// about to.
func (h *Host) leaderless() bool { return !h.reading && h.waking == 0 && !h.closed }

// handOver lets one who follows lead.
func (h *Host) handOver() {
	h.followers[len(h.followers)-1].broadcast()
}

// receive leads: it reads a batch of packets and does what they ask for. When
// deadlines have come it reads until nothing is left, and then serves them. The
// leader waits on c, or is the host itself.
func (h *Host) receive(c *cond) {
	h.reading = true
	if h.due.IsZero() {
		h.read(c)
	}
	for !h.due.IsZero() && !h.closed {
		h.link.Wake()
		if h.read(c); !h.behind || time.Since(h.due) > mostLate {
			h.expire()
		}
	}
	h.reading = false
	h.hasRead.Signal()
	if h.closed { // Close waits for it
		h.quiet.broadcast()
	}
}

// read reads a batch, without the lock, and serves its packets.
func (h *Host) read(c *cond) {
	h.leader = c
	h.turns.Add(1)
	bufs := h.bufs[:h.atOnce]
	h.mu.Unlock()
	n, err := h.link.ReadBatch(bufs)
	h.mu.Lock()
	h.leader = nil
	h.behind = n == len(bufs)
	h.input(bufs[:n])
	if err != nil {
		h.fail(err)
	}
}

// lockToWrite locks the host for one who writes. Where more has arrived than one batch
// holds, he comes after the next, and before others who write: those who have begun to
// send go on with the ACKs that are there, or all would begin at once.
func (h *Host) lockToWrite() {
	h.writers.Lock()
	defer h.writers.Unlock()
	h.mu.Lock()
	if h.behind && h.reading {
		h.link.Wake() // if there is no more
		h.hasRead.Wait()
	}
}

// unlock is for those who may have led: they see to it that somebody will.
func (h *Host) unlock() {
	h.keepWatch()
	h.mu.Unlock()
}

func (h *Host) keepWatch() {
	if h.leaderless() && !h.watching {
		h.watching = true
		h.watch.Reset(h.patience)
	}
}

// standIn leads, or makes a follower lead, unless somebody has done so since it
// was here last.
func (h *Host) standIn() {
	if turns := h.turns.Load(); turns != h.watched { // nothing that needs the lock
		h.watched = turns
		h.patience = min(2*h.patience, mostPatience)
		h.watch.Reset(h.patience)
		return
	}
	h.mu.Lock()
	defer h.unlock()
	h.watching = false
	h.patience = leastPatience
	for h.leaderless() {
		if len(h.followers) > 0 {
			h.handOver()
			return
		}
		h.receive(nil)
	}
}
