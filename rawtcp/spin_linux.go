package rawtcp

import (
	"runtime"
	"time"
)

// To sleep until a packet comes and be woken takes longer than the answer of a
// near peer. So where one packet after the other came soon, the reader looks for
// the next for a moment before it sleeps. Where that was in vain, it is tried the
// more seldom, so that whoever waits long, or for much, takes no CPU time.
const (
	spinTime  = 100 * time.Microsecond // that one looks at most
	soon      = 200 * time.Microsecond // a wait, with going to sleep and being woken, that looking would have made shorter
	leastSoon = 4                      // waits in a row after which it is worth a try
	mostSoon  = 4096                   // and where it has been in vain again and again
	turn      = 64                     // so often in a row, before other goroutines get theirs
)

// A spin is when it is worth it to look, as the last waits tell.
type spin struct {
	soon  int // waits in a row that were short
	need  int // so many of them
	times int // tries in a row that brought something
}

// worth reports whether to look before the next wait.
func (s *spin) worth() bool { return s.soon >= max(s.need, leastSoon) }

// spun notes what looking has brought.
func (s *spin) spun(packets int) {
	if packets == 0 {
		s.soon, s.times = 0, 0
		s.need = min(2*max(s.need, leastSoon), mostSoon)
		return
	}
	s.need /= 2
	s.waited(0, packets)
	if s.times++; s.times%turn == 0 {
		runtime.Gosched()
	}
}

// waited notes how long a packet was waited for. Several at once are no answer to
// one: then there will be something to read without looking.
func (s *spin) waited(d time.Duration, packets int) {
	if d < soon && packets == 1 {
		s.soon++
	} else {
		s.soon = 0
	}
}
