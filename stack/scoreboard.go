package stack

import (
	"slices"
	"time"
)

// sent is a run of sequence space that went out in one segment. What the link cuts
// is a run of many, as long as there is nothing to say of one of them alone.
type sent struct {
	seq, end Seq
	at       time.Time // when it last went out
	order    int       // the number of that transmission, of the first segment
	more     int32     // segments behind the first, each as long; if any, all went out once
	times    int32     // how often it went out
	sacked   bool      // the peer holds it (RFC 2018)
	lost     bool      // taken for lost and not sent again yet
	probe    bool      // it tries a larger size (RFC 4821)
	early    bool      // one of the times was a tail loss probe, before any timeout
	size     uint16    // of the packet in which it last went out
	tooBig   uint16    // the MTU that a router named for it, not believed yet; 0: none
}

func (s *sent) len() int { return s.end.Sub(s.seq) }

// first is the length of the first segment.
func (s *sent) first() int {
	if s.more == 0 {
		return s.len()
	}
	return s.len() / int(s.more+1)
}

// scoreboard is what is in flight: the runs from SND.UNA to SND.NXT, in order
// and without gaps (RFC 6675, section 3; RFC 8985, section 5).
type scoreboard struct {
	runs        []sent
	memory      []sent // where the runs stand, towards its end; empty
	pool        *Pool
	more        int // segments, beyond one a run
	sackedBytes int
	lostBytes   int
	order       int // transmissions so far: times may be the same, order is not
	dupBytes    int // what duplicate ACKs say has arrived, where there is no SACK
}

// pipe is how much of flight is taken to be in the network (RFC 6675,
// section 4).
func (b *scoreboard) pipe(flight int) int {
	return max(flight-b.sackedBytes-b.lostBytes-b.dupBytes, 0)
}

// duplicate counts a segment as arrived for a duplicate ACK, as far as there
// is one that may have: the first that is outstanding has not.
func (b *scoreboard) duplicate(mss, flight int) int {
	n := min(mss, flight-max(b.lostBytes, mss)-b.dupBytes)
	n = max(n, 0)
	b.dupBytes += n
	return n
}

// deduct takes back what duplicate ACKs have said of n octets that are
// acknowledged now, and returns the rest: what has arrived since. A partial ACK covers
// the segment that was sent again, of which no duplicate ACK told.
func (b *scoreboard) deduct(n, mss int, partial bool) int {
	told := b.dupBytes
	if partial {
		told = min(told, max(n-mss, 0))
	}
	b.dupBytes -= told
	return max(n-told, 0)
}

// segments is how many are in flight.
func (b *scoreboard) segments() int { return len(b.runs) + b.more }

// push notes segments that go out, all of the same length.
func (b *scoreboard) push(seq, end Seq, segments int, now time.Time) *sent {
	if len(b.runs) == cap(b.runs) {
		b.reserve(1)
	}
	b.runs = append(b.runs, sent{seq: seq, end: end, at: now, order: b.order + 1, more: int32(segments - 1), times: 1})
	b.order += segments
	b.more += segments - 1
	return &b.runs[len(b.runs)-1]
}

// reserve makes room for more runs.
func (b *scoreboard) reserve(more int) {
	switch n := len(b.runs); {
	case n == 0:
		b.memory = b.pool.getRuns()
		b.runs = b.memory
	case n+more > cap(b.runs) && 2*n <= cap(b.memory): // so seldom that a run is moved once at most
		b.runs = append(b.memory, b.runs...)
	}
	b.runs = slices.Grow(b.runs, more)
	if cap(b.runs) > cap(b.memory) {
		b.memory = b.runs[:0]
	}
}

// apart gives each segment a run of its own. Whoever says something of one alone
// calls it first: then nothing else need know of runs of many.
func (b *scoreboard) apart() {
	if b.more == 0 {
		return
	}
	i := len(b.runs)
	b.reserve(b.more)
	b.runs = b.runs[:i+b.more]
	for j := len(b.runs); b.more > 0; {
		i--
		one := b.runs[i]
		n, size := int(one.more), one.first()
		one.more = 0
		for k := n; k >= 0; k-- {
			j--
			b.runs[j] = one
			b.runs[j].seq, b.runs[j].order = one.seq.Add(k*size), one.order+k
			b.runs[j].end = b.runs[j].seq.Add(size)
		}
		b.more -= n
	}
}

// delivered is what an ACK says has arrived: for the round-trip time, for RACK.
type delivered struct {
	latest  sent // the run that went out last of those that have arrived
	any     bool
	highest Seq       // the highest end among them
	once    time.Time // when the latest run that went out only once did so
	lowest  Seq       // the lowest end among those that went out only once
	size    int       // the largest packet among those
	probe   int       // the size of the one among them that tried a larger size; 0: none did
}

func (d *delivered) add(s *sent) {
	if !d.any || d.highest.Less(s.end) {
		d.highest = s.end
	}
	if last := s.order + int(s.more); !d.any || d.latest.order < last {
		d.latest = *s
		d.latest.order = last
	}
	if s.times == 1 {
		if end := s.seq.Add(s.first()); d.once.IsZero() || end.Less(d.lowest) {
			d.lowest = end
		}
		d.once = maxTime(d.once, s.at)
		d.size = max(d.size, int(s.size))
		if s.probe {
			d.probe = int(s.size)
		}
	}
	d.any = true
}

// ack forgets what lies before una.
func (b *scoreboard) ack(una Seq, d *delivered) {
	n := 0
	for n < len(b.runs) && b.runs[n].end.LessEq(una) {
		b.forget(&b.runs[n], d)
		n++
	}
	b.runs = b.runs[n:]
	if len(b.runs) > 0 && b.runs[0].more > 0 {
		b.ackOfMany(una, d)
	}
	if len(b.runs) > 0 && b.runs[0].seq.Less(una) {
		part := b.runs[0]
		part.end = una
		b.forget(&part, d)
		b.runs[0].seq = una
	}
	if len(b.runs) == 0 {
		b.pool.putRuns(b.memory)
		b.runs, b.memory = nil, nil
	}
}

// ackOfMany forgets the segments before una in the first run, which is one of many.
func (b *scoreboard) ackOfMany(una Seq, d *delivered) {
	s := &b.runs[0]
	size := s.first()
	if n := una.Sub(s.seq) / size; n > 0 {
		part := *s
		part.end, part.more = s.seq.Add(n*size), int32(n-1)
		b.forget(&part, d)
		s.seq, s.order, s.more = part.end, s.order+n, s.more-int32(n)
		b.more--
	}
	if s.seq.Less(una) {
		b.apart()
	}
}

func (b *scoreboard) forget(s *sent, d *delivered) {
	b.more -= int(s.more)
	if s.sacked {
		b.sackedBytes -= s.len()
		return // it was counted when it was SACKed
	}
	if s.lost {
		b.lostBytes -= s.len()
	}
	d.add(s)
}

// sack marks the runs that lie wholly in [left, right) as held by the peer. One
// that it claims to hold in part counts as missing: to take runs apart as the
// peer pleases would let it make of them what it likes.
func (b *scoreboard) sack(left, right Seq, d *delivered) {
	b.apart()
	for i := b.find(left); i < len(b.runs) && b.runs[i].end.LessEq(right); i++ {
		s := &b.runs[i]
		if s.sacked || s.seq.Less(left) {
			continue
		}
		if s.lost {
			b.lostBytes -= s.len()
			s.lost = false
		}
		s.sacked = true
		b.sackedBytes += s.len()
		d.add(s)
	}
}

// find is the index of the first run that ends behind seq.
func (b *scoreboard) find(seq Seq) int {
	i, _ := slices.BinarySearchFunc(b.runs, seq, func(s sent, seq Seq) int {
		if s.end.LessEq(seq) {
			return -1
		}
		return 1
	})
	return i
}

// split cuts run i at a sequence number inside it.
func (b *scoreboard) split(i int, at Seq) {
	tail := b.runs[i]
	tail.seq = at
	b.runs[i].end = at
	b.runs = slices.Insert(b.runs, i+1, tail)
}

// join makes one run of run i and the lost ones behind it, as far as they fit
// into size octets.
func (b *scoreboard) join(i, size int) {
	j := i + 1
	for j < len(b.runs) && b.runs[j].lost && b.runs[j].end.Sub(b.runs[i].seq) <= size {
		j++
	}
	if rest := size - b.runs[j-1].end.Sub(b.runs[i].seq); rest > 0 && j < len(b.runs) && b.runs[j].lost {
		b.split(j, b.runs[j].seq.Add(rest))
		j++
	}
	s := &b.runs[i]
	for _, more := range b.runs[i+1 : j] {
		s.times = max(s.times, more.times)
	}
	s.end = b.runs[j-1].end
	b.runs = slices.Delete(b.runs, i+1, j)
}

func (b *scoreboard) markLost(s *sent) {
	if s.sacked || s.lost {
		return
	}
	s.lost = true
	b.lostBytes += s.len()
}

// head is the first segment, or nil.
func (b *scoreboard) head() *sent {
	b.apart()
	if len(b.runs) == 0 {
		return nil
	}
	return &b.runs[0]
}

// markAllLost is for the retransmission timeout. A peer whose first missing
// octets are said to be held has forgotten them (RFC 2018, section 8).
func (b *scoreboard) markAllLost() {
	b.apart()
	b.dupBytes = 0
	reneged := len(b.runs) > 0 && b.runs[0].sacked
	for i := range b.runs {
		if s := &b.runs[i]; reneged && s.sacked {
			s.sacked = false
			b.sackedBytes -= s.len()
		}
		b.markLost(&b.runs[i])
	}
}

// unmarkLost is for a timeout that was spurious: nothing was lost.
func (b *scoreboard) unmarkLost() {
	for i := range b.runs {
		b.runs[i].lost = false
	}
	b.lostBytes = 0
}

// firstLost is the first run to be sent again, or nil.
func (b *scoreboard) firstLost() (int, *sent) {
	if b.lostBytes > 0 {
		for i := range b.runs {
			if b.runs[i].lost {
				return i, &b.runs[i]
			}
		}
	}
	return 0, nil
}

// resent notes that run s goes out again.
func (b *scoreboard) resent(s *sent, now time.Time) {
	if s.lost {
		s.lost = false
		b.lostBytes -= s.len()
	}
	b.order++
	s.at, s.order = now, b.order
	s.times++
	s.probe = false
}
