package stack

import (
	"math/bits"
	"slices"
)

// A Pool keeps the memory of buffers that have become empty for the next that
// fill, so that an idle connection holds none and a busy one need not ask for
// it again and again. Connections that never run at the same time may share
// one; it takes no lock.
type Pool struct {
	free  [poolClasses][][]byte // by size, see classOf
	held  int                   // octets
	runs  [][]sent              // of scoreboards
	lists [][]*page             // of pages
}

const (
	poolClasses  = 32
	smallestPool = 12       // 4 KiB: a page
	mostPooled   = 16 << 20 // octets: what is beyond is left to the garbage collector
	mostRuns     = 64       // scoreboards, and as many lists of pages
)

// classOf is the class of memory with room for n octets, and the size of that class: 2^i
// octets, but beyond two overlaps a circle of 2^(i-1) octets with its overlap.
func classOf(n int) (class, size int) {
	if n <= 2*mostOverlap {
		class = max(bits.Len(uint(n-1)), smallestPool)
		return class, 1 << class
	}
	class = bits.Len(uint(n-mostOverlap-1)) + 1
	return class, 1<<(class-1) + mostOverlap
}

// get returns memory with room for n octets.
func (p *Pool) get(n int) []byte {
	class, size := classOf(n)
	if p != nil {
		if b := last(&p.free[class]); b != nil {
			p.held -= cap(b)
			return b
		}
	}
	return make([]byte, 0, size)
}

// put takes back what get gave.
func (p *Pool) put(b []byte) {
	if p == nil || cap(b) == 0 || p.held+cap(b) > mostPooled {
		return
	}
	class, _ := classOf(cap(b))
	p.free[class] = append(p.free[class], b[:0])
	p.held += cap(b)
}

func (p *Pool) getRuns() []sent {
	if p == nil {
		return nil
	}
	return last(&p.runs)
}

func (p *Pool) putRuns(b []sent) {
	if p != nil && len(p.runs) < mostRuns {
		p.runs = append(p.runs, b[:0])
	}
}

func (p *Pool) getList() []*page {
	if p == nil {
		return nil
	}
	return last(&p.lists)
}

func (p *Pool) putList(b []*page) {
	if p != nil && cap(b) > 0 && len(p.lists) < mostRuns {
		p.lists = append(p.lists, b[:0])
	}
}

// last takes the last of what there is, if anything.
func last[T any](free *[][]T) (b []T) {
	if n := len(*free); n > 0 {
		b, *free = (*free)[n-1], (*free)[:n-1]
	}
	return b
}

// ring is a run of octets that grows at its end and is used up from its start.
// They stand in a circle, so that little memory is in use, again and again, and no
// octet is moved while the circle is large enough. Behind it the first of its octets
// stand once more: what goes on over the end is in one piece there. Empty, it is
// nothing.
type ring struct {
	pool     *Pool
	buf      []byte // the circle, and the overlap
	size     int    // of the circle
	start, n int    // where the run begins, and its length
}

// mostOverlap is more than the payload of any packet.
const mostOverlap = 1 << 16

func (r *ring) len() int { return r.n }

func (r *ring) overlap() int { return min(r.size, mostOverlap) }

// append adds octets at the end.
func (r *ring) append(p []byte) {
	if r.n+len(p) > r.size {
		r.grow(r.n + len(p))
	}
	for len(p) > 0 {
		at := (r.start + r.n) % r.size
		n := copy(r.buf[at:r.size], p)
		if at < min(r.start, r.overlap()) { // else nothing goes on over the end
			copy(r.buf[r.size+at:], p[:n])
		}
		p, r.n = p[n:], r.n+n
	}
}

// grow makes a larger circle.
func (r *ring) grow(least int) {
	old := *r
	r.size = max(1<<bits.Len(uint(least-1)), 1<<smallestPool/2)
	r.buf = r.pool.get(r.size + r.overlap())
	r.buf = r.buf[:r.size+r.overlap()]
	r.start, r.n = 0, 0
	if old.n > 0 {
		first := old.buf[old.start:min(old.start+old.n, old.size)]
		r.append(first)
		r.append(old.buf[:old.n-len(first)])
	}
	r.pool.put(old.buf)
}

// slice returns n octets from a place behind the start, at most as many as the
// overlap has. They stay where they are until append or drop.
func (r *ring) slice(at, n int) []byte {
	at = (r.start + at) % r.size
	return r.buf[at : at+n]
}

// drop forgets the first n octets.
func (r *ring) drop(n int) {
	if r.n -= n; r.n == 0 {
		r.pool.put(r.buf)
		*r = ring{pool: r.pool}
		return
	}
	r.start = (r.start + n) % r.size
}

// pages is a run of octets in pieces, which are there only where something was
// written. They are used up from the start.
type pages struct {
	pool  *Pool
	list  []*page
	start int // in the first
}

const pageSize = 1 << smallestPool

type page [pageSize]byte

// write puts p at a place behind the start.
func (m *pages) write(at int, p []byte) {
	at += m.start
	if m.list == nil {
		m.list = m.pool.getList()
	}
	if n := (at+len(p)-1)/pageSize + 1 - len(m.list); n > 0 {
		m.list = append(m.list, make([]*page, n)...)
	}
	for len(p) > 0 {
		i := at / pageSize
		if m.list[i] == nil {
			m.list[i] = (*page)(m.pool.get(pageSize)[:pageSize])
		}
		n := copy(m.list[i][at%pageSize:], p)
		p, at = p[n:], at+n
	}
}

// skip forgets the first n octets, which need not have been written.
func (m *pages) skip(n int) {
	used := min((m.start+n)/pageSize, len(m.list))
	for i := range used {
		m.free(i)
	}
	m.list = slices.Delete(m.list, 0, used)
	m.start += n - used*pageSize
}

// read fills p from the start, where all must have been written, and forgets that
// much.
func (m *pages) read(p []byte) {
	used := 0
	for len(p) > 0 {
		n := copy(p, m.list[used][m.start:])
		p = p[n:]
		if m.start += n; m.start == pageSize {
			m.free(used)
			m.start = 0
			used++
		}
	}
	m.list = slices.Delete(m.list, 0, used)
}

// keep forgets all but the first n octets.
func (m *pages) keep(n int) {
	if n == 0 {
		m.start = 0
	}
	used := (m.start + n + pageSize - 1) / pageSize
	for i := used; i < len(m.list); i++ {
		m.free(i)
	}
	if m.list = m.list[:min(used, len(m.list))]; len(m.list) == 0 {
		m.pool.putList(m.list)
		m.list = nil
	}
}

func (m *pages) free(i int) {
	if p := m.list[i]; p != nil {
		m.pool.put(p[:0])
		m.list[i] = nil
	}
}
