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
	free  [poolClasses][][]byte // by size: class i holds 2^i octets
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

// get returns memory with room for n octets.
func (p *Pool) get(n int) []byte {
	class := max(bits.Len(uint(n-1)), smallestPool)
	if p != nil {
		if free := p.free[class]; len(free) > 0 {
			b := free[len(free)-1]
			p.free[class] = free[:len(free)-1]
			p.held -= cap(b)
			return b
		}
	}
	return make([]byte, 0, 1<<class)
}

// put takes back what get gave.
func (p *Pool) put(b []byte) {
	if p == nil || cap(b) == 0 || p.held+cap(b) > mostPooled {
		return
	}
	class := bits.Len(uint(cap(b))) - 1
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

// memory is a run of octets in one piece, which grows at its end and is used up
// from its start. Empty, it is nothing.
type memory struct {
	pool  *Pool
	buf   []byte
	start int
}

func (m *memory) len() int { return len(m.buf) - m.start }

// bytes are the octets. They stay where they are until resize or drop.
func (m *memory) bytes() []byte { return m.buf[m.start:] }

// resize makes the run n octets long; n must not be less than len.
func (m *memory) resize(n int) {
	switch {
	case m.start+n <= cap(m.buf):
		m.buf = m.buf[:m.start+n]
	case 2*n <= cap(m.buf): // so seldom that an octet is moved once at most
		copy(m.buf[:n], m.bytes())
		m.buf, m.start = m.buf[:n], 0
	default:
		buf := m.pool.get(2 * n)[:n]
		copy(buf, m.bytes())
		m.pool.put(m.buf)
		m.buf, m.start = buf, 0
	}
}

// drop forgets the first n octets.
func (m *memory) drop(n int) {
	if m.start += n; m.start == len(m.buf) {
		m.pool.put(m.buf)
		m.buf, m.start = nil, 0
	}
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
