package stack

import "slices"

// sendBuffer holds the octets that were written and are not acknowledged. The
// first octet of data has the sequence number base.
type sendBuffer struct {
	base Seq
	data ring
}

func (b *sendBuffer) len() int { return b.data.len() }

func (b *sendBuffer) write(p []byte) { b.data.append(p) }

// slice returns the octets [from, to), which must be in the buffer, and no more
// than a packet has. They stay valid until the next write or ack.
func (b *sendBuffer) slice(from, to Seq) []byte {
	return b.data.slice(from.Sub(b.base), to.Sub(from))
}

// ack forgets what lies before una.
func (b *sendBuffer) ack(una Seq) {
	if n := min(una.Sub(b.base), b.len()); n > 0 {
		b.base = b.base.Add(n)
		b.data.drop(n)
	}
}

// A span is a half-open range of octets, counted from RCV.NXT.
type span struct {
	from, to int
	grew     uint64 // what number the segment had that made it grow last
}

// maxHeld bounds the runs held out of order, and with them the work that a
// peer who sends single octets with holes between them can cause.
const maxHeld = 256

// receiveBuffer holds what has arrived: first the octets in order, ready to be
// read, then runs that arrived ahead of a hole. What arrived first stays: octets
// that come again, whatever they are, replace nothing.
type receiveBuffer struct {
	limit  int
	data   pages  // the first next octets are ready; held runs follow at their places
	await  []byte // of who waits to read: the first placed octets stand there, not in data
	placed int
	next   int    // the place of RCV.NXT in data
	spans  []span // held runs, in order, apart from each other, from next
	grown  uint64 // segments that went into spans so far
}

func (b *receiveBuffer) ready() int { return b.next }

// room is how far behind RCV.NXT the buffer reaches: the window to offer.
func (b *receiveBuffer) room() int { return b.limit - b.ready() }

func (b *receiveBuffer) held() int {
	n := 0
	for _, s := range b.spans {
		n += s.to - s.from
	}
	return n
}

// reach is how far behind RCV.NXT the last octet that has arrived ends.
func (b *receiveBuffer) reach() int {
	if n := len(b.spans); n > 0 {
		return b.spans[n-1].to
	}
	return 0
}

// dropHeld forgets what is not in order.
func (b *receiveBuffer) dropHeld() {
	b.spans = nil
	b.data.keep(b.next)
}

// overlap is the first part of n octets from off that is held already.
func (b *receiveBuffer) overlap(off, n int) span {
	i, _ := slices.BinarySearchFunc(b.spans, off+1, func(h span, from int) int { return h.to - from })
	if i == len(b.spans) {
		return span{}
	}
	return span{from: max(off, b.spans[i].from), to: min(off+n, b.spans[i].to)}
}

// put stores p at off octets behind RCV.NXT and returns how far RCV.NXT moves.
// It reports false when the octets would make one run too many.
func (b *receiveBuffer) put(off int, p []byte) (advance int, ok bool) {
	s := span{from: off, to: off + len(p)}
	// The runs that the new one touches are i to j-1.
	i, _ := slices.BinarySearchFunc(b.spans, s.from, func(h span, from int) int { return h.to - from })
	j := i
	for j < len(b.spans) && b.spans[j].from <= s.to {
		s.from, s.to = min(s.from, b.spans[j].from), max(s.to, b.spans[j].to)
		j++
	}
	if off > 0 && i == j && len(b.spans) >= maxHeld {
		return 0, false
	}
	at, end := off, off+len(p)
	if off == 0 && len(b.spans) == 0 && b.placed == b.next {
		at = copy(b.await[b.placed:], p)
		b.placed += at
	}
	for _, h := range b.spans[i:j] {
		if at < h.from {
			b.data.write(b.next+at, p[at-off:h.from-off])
		}
		at = max(at, h.to)
	}
	if at < end {
		b.data.write(b.next+at, p[at-off:])
	}
	if s.from > 0 {
		b.grown++
		s.grew = b.grown
		b.spans = slices.Replace(b.spans, i, j, s)
		return 0, true
	}
	b.spans = slices.Delete(b.spans, i, j)
	b.next += s.to
	for k := range b.spans {
		b.spans[k].from -= s.to
		b.spans[k].to -= s.to
	}
	return s.to, true
}

// read takes octets that are ready, which may stand in p already.
func (b *receiveBuffer) read(p []byte) int {
	n := min(len(p), b.next)
	if b.placed > 0 && (n < b.placed || &p[0] != &b.await[0]) {
		b.withdraw()
	}
	b.data.skip(b.placed)
	b.data.read(p[b.placed:n])
	b.await, b.placed = nil, 0
	if b.next -= n; b.next == 0 && len(b.spans) == 0 {
		b.data.keep(0)
	}
	return n
}

// withdraw leaves the memory of who waited to read.
func (b *receiveBuffer) withdraw() {
	if b.placed > 0 {
		b.data.write(0, b.await[:b.placed])
	}
	b.await, b.placed = nil, 0
}
