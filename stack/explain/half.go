package explain

import (
	"net/netip"
	"slices"
	"time"

	"rawnc/stack"
)

// A half is one end of a conversation: the sequence space in which it sends,
// as the capture point sees it. The zero value of a frame number means that
// there is no such segment.
type half struct {
	addr  netip.AddrPort
	state State

	isn      stack.Seq
	isnKnown bool // seen in its SYN, or told by the SYN,ACK of the other end
	synFrame int
	mss      int  // announced; 0: not known
	sack     bool // SACK permitted

	next      stack.Seq // follows the last octet it sent; counts with nextFrame
	nextFrame int       // the segment that ends at next
	nextEnd   ending
	nextTS    uint32 // its timestamp; 0: it has none
	nextTime  time.Time

	una      stack.Seq // the highest number that the other end acknowledged
	unaKnown bool
	unacked  []sent // what it sent above una, in the order of its numbers, at most maxUnacked

	ack      stack.Seq // the number it last acknowledged
	ackFrame int       // the first segment with that Ack
	dups     int       // how often it sent it again, to tell of a gap
	gap      bool      // it has told that something is missing at ack
	window   int       // last offered, octets, scaled if the scale is known
	winFrame int

	finFrame int
	finSeq   stack.Seq // the number that its FIN takes
	finLast  int       // the last copy of it that was sent before its ACK
	finTime  time.Time // of that copy
	finAcked int       // the segment that acknowledged it

	doubt     int       // a RST that the other end will not believe; 0 if it has sent more since
	unseen    span      // acknowledged last without having been seen
	probe     probeKind // what its last segment was
	echoes    bool      // that had ECE
	tally     Tally
	scaleTold bool
}

// ending is what stands at the end of a segment in the sequence space.
type ending uint8

const (
	endData ending = iota
	endSYN
	endFIN
	endUnseen // next was learnt from an Ack: the segment was not captured
)

// probeKind is whether a segment asks the other end for an answer.
type probeKind uint8

const (
	probeNone probeKind = iota
	probeKeepAlive
	probeWindow
)

// sent is a segment that waits for its acknowledgment.
type sent struct {
	frame     int
	again     int       // the segment that repeated it last
	againAt   time.Time // counts with again
	seq, next stack.Seq
	flags     stack.Flags
	at        time.Time
}

// span is a run of numbers: [from, to).
type span struct{ from, to stack.Seq }

// latest is the copy of the segment that was sent last, and when.
func (s *sent) latest() (frame int, at time.Time) {
	if s.again != 0 {
		return s.again, s.againAt
	}
	return s.frame, s.at
}

// octets is the payload of the segment.
func (s *sent) octets() int {
	n := s.next.Sub(s.seq)
	if s.flags.Has(stack.SYN) {
		n--
	}
	if s.flags.Has(stack.FIN) {
		n--
	}
	return n
}

// number is seq as this end counts.
func (h *half) number(seq stack.Seq) Number {
	return Number{Raw: seq, Rel: uint32(seq - h.isn), Known: h.isnKnown}
}

// begin takes an initial sequence number. Another one than before begins a new
// sequence space, in which nothing has happened yet.
func (h *half) begin(isn stack.Seq) {
	if h.isnKnown && h.isn != isn {
		h.synFrame, h.nextFrame, h.unaKnown, h.unacked, h.unseen = 0, 0, false, nil, span{}
		h.finFrame, h.finAcked = 0, 0
	}
	h.isn, h.isnKnown = isn, true
}

// holding finds the oldest segment in flight that covers seq.
func (h *half) holding(seq stack.Seq) *sent {
	for i := range h.unacked {
		if s := &h.unacked[i]; seq.In(s.seq, s.next) {
			return s
		}
	}
	return nil
}

// outstanding is how many numbers are in flight.
func (h *half) outstanding() int {
	if h.nextFrame == 0 || !h.unaKnown {
		return 0
	}
	return max(h.next.Sub(h.una), 0)
}

// acknowledge takes an Ack of the other end and returns the segments that are
// now acknowledged, oldest first. The last one is exact if the Ack is its end.
func (h *half) acknowledge(ack stack.Seq) []sent {
	if h.unaKnown && ack.LessEq(h.una) {
		return nil
	}
	h.una, h.unaKnown = ack, true
	n := 0
	for n < len(h.unacked) && h.unacked[n].next.LessEq(ack) {
		n++
	}
	done := h.unacked[:n:n]
	h.unacked = h.unacked[n:]
	return done
}

// send takes what this end puts into the sequence space.
func (h *half) send(s sent) {
	again := h.nextFrame != 0 && s.seq.Less(h.next) && h.repeat(s)
	if h.nextFrame == 0 || h.next.Less(s.next) {
		h.next, h.nextFrame = s.next, s.frame
		switch {
		case s.flags.Has(stack.FIN):
			h.nextEnd = endFIN
		case s.flags.Has(stack.SYN):
			h.nextEnd = endSYN
		default:
			h.nextEnd = endData
		}
	} else if again {
		return // what is in flight covers it
	}
	if s.seq != s.next && !(h.unaKnown && s.next.LessEq(h.una)) {
		h.hold(s)
	}
}

// hold keeps a segment in flight. They are in the order of their ends, so that
// one that was overtaken takes its place.
func (h *half) hold(s sent) {
	if len(h.unacked) == maxUnacked {
		h.unacked = h.unacked[1:] // its Ack will name no segment
	}
	i := len(h.unacked)
	for i > 0 && s.next.Less(h.unacked[i-1].next) {
		i--
	}
	h.unacked = slices.Insert(h.unacked, i, s)
}

// repeat marks the segments in flight that s repeats, and reports whether
// there are any.
func (h *half) repeat(s sent) bool {
	found := false
	for i := range h.unacked {
		if old := &h.unacked[i]; old.seq.Less(s.next) && s.seq.Less(old.next) {
			old.again, old.againAt = s.frame, s.at
			found = true
		}
	}
	return found
}

// Tally counts what one end sent.
type Tally struct {
	Segments      int
	WithData      int // segments that carry payload
	Octets        int // of payload, each counted once
	Retransmitted int // segments sent again
	// What became of segments on the way, where it is known.
	Lost, Corrupted, Copied int
	RTT                     RTT // from its segments to their acknowledgment
}

// RTT sums up round-trip times as the capture point sees them: next to an end,
// the whole way to the other and back.
type RTT struct {
	Samples       int
	Min, Max, Sum time.Duration
}

func (r *RTT) add(d time.Duration) {
	if r.Samples == 0 || d < r.Min {
		r.Min = d
	}
	r.Samples++
	r.Max = max(r.Max, d)
	r.Sum += d
}
