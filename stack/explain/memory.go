package explain

import (
	"cmp"
	"slices"
	"time"
)

// This file bounds what a narrator remembers. A conversation that is over must
// be remembered for a while: what comes late belongs to it and not to a new one,
// and a SYN that uses its ports again should be known for that.

const (
	// maxOver is how many conversations are remembered that are over.
	maxOver = 1 << 14
	// maxConversations is how many are remembered at all.
	maxConversations = 1 << 18
	// maxWaiting is how many segments, of all conversations, are remembered
	// until their Ack comes.
	maxWaiting = 1 << 21
	// tidyEvery is how many segments come between two looks at all that.
	tidyEvery = 1 << 16
)

// How long a conversation may be silent before it counts as over. A SYN is sent
// again for about two minutes, a FIN for less; for the rest, RFC 5382 (REQ-5)
// lets a NAT forget after two hours and four minutes.
const (
	silentHalfOpen = 2 * time.Minute
	silentOpen     = 124 * time.Minute
)

// over reports whether nothing more is to be expected of the conversation.
func (c *conversation) over(now time.Time) bool {
	silent := now.Sub(c.last)
	switch {
	case c.complete, c.resetAt != 0:
		return true
	case c.closing != CloseNot, c.opening == OpenAsked, c.opening == OpenAnswered:
		return silent >= silentHalfOpen
	}
	return silent >= silentOpen
}

// tidy forgets conversations that are over, and beyond the bounds others, the
// longest silent first.
func (n *Narrator) tidy(now time.Time) {
	if n.segments%tidyEvery != 0 {
		return
	}
	all := make([]*conversation, 0, len(n.conversations))
	over, waiting := 0, 0
	for _, c := range n.conversations {
		all = append(all, c)
		waiting += c.waiting()
		if c.over(now) {
			over++
		}
	}
	if over <= maxOver && len(all) <= maxConversations && waiting <= maxWaiting {
		return
	}
	slices.SortFunc(all, func(a, b *conversation) int { return cmp.Compare(a.seen, b.seen) })
	left := len(all)
	for _, c := range all {
		isOver := c.over(now)
		switch {
		case isOver && over > maxOver, left > maxConversations:
			left--
			waiting -= c.waiting()
			n.forget(c)
		case waiting > maxWaiting:
			waiting -= c.waiting()
			c.stopWaiting()
		}
		if isOver {
			over--
		}
	}
}

func (n *Narrator) forget(c *conversation) {
	s := n.End(c.ends[0].addr, c.ends[1].addr)
	if n.Forgotten != nil {
		n.Forgotten(s)
	}
}

// waiting counts the segments that wait for their Ack.
func (c *conversation) waiting() int {
	sum := 0
	for i := range c.ends {
		sum += len(c.ends[i].unacked) + len(c.ends[i].flow.unacked.list)
	}
	return sum
}

// stopWaiting forgets them: a later Ack names no segment.
func (c *conversation) stopWaiting() {
	for i := range c.ends {
		c.ends[i].unacked, c.ends[i].flow.unacked = nil, waiting{}
	}
}
