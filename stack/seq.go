package stack

// Seq is a sequence number: a point on a circle of 2^32 octets (RFC 9293,
// section 3.4). Two of them compare by the shorter way round, so every
// comparison is right as long as both lie within half the circle, which the
// largest window (2^30) guarantees.
type Seq uint32

// Add returns the number n octets after s; n may be negative.
func (s Seq) Add(n int) Seq { return s + Seq(n) }

// Sub returns how many octets s lies after t: negative where it lies before.
func (s Seq) Sub(t Seq) int { return int(int32(s - t)) }

// Less reports whether s lies before t.
func (s Seq) Less(t Seq) bool { return s.Sub(t) < 0 }

// LessEq reports whether s lies before t or at it.
func (s Seq) LessEq(t Seq) bool { return s.Sub(t) <= 0 }

// In reports whether s lies in the half-open range [from, to).
func (s Seq) In(from, to Seq) bool { return from.LessEq(s) && s.Less(to) }

func maxSeq(a, b Seq) Seq {
	if a.Less(b) {
		return b
	}
	return a
}

func minSeq(a, b Seq) Seq {
	if b.Less(a) {
		return b
	}
	return a
}
