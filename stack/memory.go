package stack

import "math/bits"

// A Pool keeps the memory of buffers that have become empty for the next that
// fill, so that an idle connection holds none and a busy one need not ask for
// it again and again. Connections that never run at the same time may share
// one; it takes no lock.
type Pool struct {
	free [poolClasses][][]byte // by size: class i holds 2^i octets
	held int                   // octets
	runs [][]sent              // of scoreboards
}

const (
	poolClasses  = 32
	smallestPool = 12       // 4 KiB
	mostPooled   = 16 << 20 // octets: what is beyond is left to the garbage collector
	mostRuns     = 64       // scoreboards
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
	if p == nil || len(p.runs) == 0 {
		return nil
	}
	last := len(p.runs) - 1
	b := p.runs[last]
	p.runs = p.runs[:last]
	return b
}

func (p *Pool) putRuns(b []sent) {
	if p != nil && len(p.runs) < mostRuns {
		p.runs = append(p.runs, b[:0])
	}
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
