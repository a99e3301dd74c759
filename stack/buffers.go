package stack

import "slices"

// sendBuffer holds the octets that were written and are not acknowledged. The
// octet at data[0] has the sequence number base.
type sendBuffer struct {
	base Seq
	data []byte
}

func (b *sendBuffer) len() int { return len(b.data) }

func (b *sendBuffer) write(p []byte) { b.data = append(b.data, p...) }

// slice returns the octets [from, to), which must be in the buffer. They stay
// valid until the next write or ack.
func (b *sendBuffer) slice(from, to Seq) []byte {
	return b.data[from.Sub(b.base):to.Sub(b.base)]
}

// ack forgets what lies before una. An empty buffer keeps no memory.
func (b *sendBuffer) ack(una Seq) {
	n := min(una.Sub(b.base), len(b.data))
	if n <= 0 {
		return
	}
	b.base = b.base.Add(n)
	if b.data = b.data[n:]; len(b.data) == 0 {
		b.data = nil
	}
}

// A span is a half-open range of octets, counted from RCV.NXT.
type span struct{ from, to int }

// maxHeld bounds the runs held out of order, and with them the work that a
// peer who sends single octets with holes between them can cause.
const maxHeld = 256

// receiveBuffer holds what has arrived: first the octets in order, ready to be
// read, then runs that arrived ahead of a hole.
type receiveBuffer struct {
	limit int
	buf   []byte // buf[start:next] is ready; held runs follow at their places
	start int
	next  int    // the place of RCV.NXT
	spans []span // held runs, in order, apart from each other, from next
	last  span   // the run that grew last: the first SACK block (RFC 2018, section 4)
}

func (b *receiveBuffer) ready() int { return b.next - b.start }

// room is how far behind RCV.NXT the buffer reaches: the window to offer.
func (b *receiveBuffer) room() int { return b.limit - b.ready() }

func (b *receiveBuffer) held() int {
	n := 0
	for _, s := range b.spans {
		n += s.to - s.from
	}
	return n
}

func (b *receiveBuffer) dropHeld() { b.spans = nil }

// put stores p at off octets behind RCV.NXT and returns how far RCV.NXT moves.
// It reports false when the octets would make one run too many.
func (b *receiveBuffer) put(off int, p []byte) (advance int, ok bool) {
	s := span{off, off + len(p)}
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
	b.grow(b.next + off + len(p))
	copy(b.buf[b.next+off:], p)
	if s.from > 0 {
		b.spans = slices.Replace(b.spans, i, j, s)
		b.last = s
		return 0, true
	}
	b.spans = slices.Delete(b.spans, i, j)
	b.next += s.to
	for k := range b.spans {
		b.spans[k].from -= s.to
		b.spans[k].to -= s.to
	}
	b.last = span{b.last.from - s.to, b.last.to - s.to}
	return s.to, true
}

// grow makes buf reach to index end, moving the live octets to its front
// where that is enough.
func (b *receiveBuffer) grow(end int) {
	if end <= len(b.buf) {
		return
	}
	live := end - b.start
	if b.start > 0 && live <= cap(b.buf) && b.start >= cap(b.buf)/2 {
		copy(b.buf[:cap(b.buf)], b.buf[b.start:])
	} else if end <= cap(b.buf) {
		b.buf = b.buf[:end]
		return
	} else {
		buf := make([]byte, live, max(live, min(2*live, 2*b.limit)))
		copy(buf, b.buf[b.start:])
		b.buf = buf
	}
	b.buf = b.buf[:live]
	b.next -= b.start
	b.start = 0
}

// read takes octets that are ready. An empty buffer keeps no memory.
func (b *receiveBuffer) read(p []byte) int {
	n := copy(p, b.buf[b.start:b.next])
	b.start += n
	if b.start == b.next && len(b.spans) == 0 {
		b.buf, b.start, b.next = nil, 0, 0
	}
	return n
}
