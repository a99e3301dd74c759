package explain

import "slices"

// Preview tells of a segment that may be sent next, as if it were, and forgets
// it. Its Frame is 0: it has none yet.
func (n *Narrator) Preview(in Input) *Account {
	p := *n
	p.Forgotten, p.latest = nil, nil
	p.conversations = map[pair]*conversation{}
	key := pairOf(in.Src, in.Dst)
	if c := n.conversations[key]; c != nil {
		p.conversations[key] = c.clone()
	}
	a := p.Segment(in)
	a.Frame = 0
	return a
}

// clone is a copy that shares nothing with c.
func (c *conversation) clone() *conversation {
	d := *c
	for i := range c.ends {
		end := &c.ends[i]
		d.ends[i].unacked = slices.Clone(end.unacked)
		d.flows[i].unacked.list = slices.Clone(c.flows[i].unacked.list)
		if c.closer == end {
			d.closer = &d.ends[i]
		}
		if c.resetter == end {
			d.resetter = &d.ends[i]
		}
	}
	return &d
}
