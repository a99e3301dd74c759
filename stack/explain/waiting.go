package explain

import (
	"time"

	"rawnc/stack"
)

// waiting holds the segments of a flow that wait for their Ack, in the order in
// which they were seen: what is sent again is there again.
type waiting struct {
	list  []waits
	mixed bool // they are not in the order of their numbers
}

// waits is a segment that waits for its Ack.
type waits struct {
	frame     int
	seq, next stack.Seq // seq moves on if a part is acknowledged
	at        time.Time
}

// maxUnacked bounds what waits, as Wireshark does. What is sent beyond it may
// be acknowledged, but the Ack names no segment.
const maxUnacked = 10_000

func (w *waiting) add(s waits) {
	n := len(w.list)
	if n == maxUnacked {
		return
	}
	w.mixed = n > 0 && (w.mixed || s.seq.Less(w.list[n-1].next))
	w.list = append(w.list, s)
}

// acknowledge removes what ack covers, and returns the segment that ends at it,
// the oldest if there are several, or nil.
func (w *waiting) acknowledge(ack stack.Seq) *waits {
	var exact *waits
	if !w.mixed {
		for len(w.list) > 0 && w.list[0].next.LessEq(ack) {
			if w.list[0].next == ack {
				exact = &w.list[0]
			}
			w.list = w.list[1:]
		}
		if len(w.list) > 0 && w.list[0].seq.Less(ack) {
			w.list[0].seq = ack
		}
		return exact
	}
	var found waits
	kept := w.list[:0]
	for _, s := range w.list {
		switch {
		case s.next.LessEq(ack):
			if s.next == ack && exact == nil {
				found = s
				exact = &found
			}
		case s.seq.Less(ack):
			s.seq = ack
			fallthrough
		default:
			kept = append(kept, s)
		}
	}
	w.list = kept
	w.mixed = len(kept) > 0
	return exact
}

// octets is what lies between the first number that waits and the last.
func (w *waiting) octets() int {
	if len(w.list) == 0 {
		return 0
	}
	first, last := w.list[0].seq, w.list[len(w.list)-1].next
	if w.mixed {
		for _, s := range w.list {
			if s.seq.Less(first) {
				first = s.seq
			}
			if last.Less(s.next) {
				last = s.next
			}
		}
	}
	return last.Sub(first)
}
