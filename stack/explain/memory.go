package explain

import (
	"cmp"
	"slices"
	"time"
)

// This file bounds what a narrator remembers. A conversation that is over must
// be remembered for a while: what comes late belongs to it and not to a new one,
// and a SYN that uses its ports again should be known for that.

// bounds are how much a narrator remembers.
type bounds struct {
	over          int // conversations that are over
	halfOpen      int // conversations that have not come to their third segment
	conversations int // conversations
	waiting       int // segments, of all conversations, until their Ack comes
	every         int // how many segments, at least, come between two looks at all that
}

var usualBounds = bounds{over: 1 << 14, halfOpen: 1 << 13, conversations: 1 << 18, waiting: 1 << 21, every: 1 << 13}

// How long a conversation may be silent before it counts as over. A SYN is sent
// again for about two minutes, a FIN for less; for the rest, RFC 5382 (REQ-5)
// lets a NAT forget after two hours and four minutes.
const (
	silentHalfOpen = 2 * time.Minute
	silentOpen     = 124 * time.Minute
)

// halfOpen reports whether the conversation has not come to its third segment, or
// is but one. A flood leaves many such, which nobody will miss.
func (c *conversation) halfOpen() bool {
	return c.closing == CloseNot && (c.opening == OpenAsked || c.opening == OpenAnswered || c.opening == OpenChallenged || c.frames == 1)
}

// over reports whether nothing more is to be expected of the conversation.
func (c *conversation) over(now time.Time) bool {
	silent := now.Sub(c.last)
	switch {
	case c.complete, c.resetAt != 0:
		return true
	case c.closing != CloseNot, c.halfOpen():
		return silent >= silentHalfOpen
	}
	return silent >= silentOpen
}

// tidy forgets conversations that are over, and beyond the bounds others, the
// longest silent first.
func (n *Narrator) tidy(now time.Time) {
	if n.segments < n.nextTidy {
		return
	}
	// So seldom that it costs next to nothing a segment.
	defer func() { n.nextTidy = n.segments + max(n.bounds.every, len(n.conversations)) }()
	all := make([]*conversation, 0, len(n.conversations))
	over, half, waiting := 0, 0, 0
	for _, c := range n.conversations {
		all = append(all, c)
		waiting += c.waiting()
		if c.over(now) {
			over++
		} else if c.halfOpen() {
			half++
		}
	}
	if over <= n.bounds.over && half <= n.bounds.halfOpen && len(all) <= n.bounds.conversations && waiting <= n.bounds.waiting {
		return
	}
	slices.SortFunc(all, func(a, b *conversation) int { return cmp.Compare(a.seen, b.seen) })
	left := len(all)
	for _, c := range all {
		isOver := c.over(now)
		isHalf := !isOver && c.halfOpen()
		switch {
		case isOver && over > n.bounds.over, isHalf && half > n.bounds.halfOpen, left > n.bounds.conversations:
			left--
			waiting -= c.waiting()
			n.forget(c)
		case waiting > n.bounds.waiting:
			waiting -= c.waiting()
			c.stopWaiting()
		}
		if isOver {
			over--
		}
		if isHalf {
			half--
		}
	}
}

func (n *Narrator) forget(c *conversation) {
	delete(n.conversations, pairOf(c.ends[0].addr, c.ends[1].addr))
	n.latest = nil
	if n.Forgotten != nil {
		n.Forgotten(n.summary(c))
	}
}

// waiting counts the segments that wait for their Ack.
func (c *conversation) waiting() int {
	sum := 0
	for i := range c.ends {
		sum += len(c.ends[i].unacked) + len(c.flows[i].unacked.list)
	}
	return sum
}

// stopWaiting forgets them: a later Ack names no segment.
func (c *conversation) stopWaiting() {
	for i := range c.ends {
		c.ends[i].unacked, c.flows[i].unacked = nil, waiting{}
	}
}
