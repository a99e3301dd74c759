package fault

import (
	"strconv"
	"strings"

	"rawnc/stack"
)

// A View follows what one end of a connection sends, to know what is counted
// from the initial sequence number, and what was sent before.
type View struct {
	ISS   stack.Seq // of the last SYN
	Next  stack.Seq // behind the last octet sent
	Known bool      // something was sent
}

// Seen is a segment as a View sees it.
type Seen struct {
	*stack.Segment
	Rel   uint32 // its Seq, counted from the initial sequence number
	Again bool   // it sends again what was sent before
}

// See takes the next segment that the end sends. A new SYN begins a new
// connection.
func (v *View) See(seg *stack.Segment) Seen {
	opens := seg.Flags.Has(stack.SYN) && !(v.Known && seg.Seq == v.ISS)
	if opens || !v.Known {
		*v = View{ISS: seg.Seq, Next: seg.Seq, Known: true}
		if !opens { // the capture begins later: its first octet counts as 1
			v.ISS--
		}
	}
	s := Seen{Segment: seg, Rel: uint32(seg.Seq - v.ISS), Again: seg.Len() > 0 && seg.Seq.Less(v.Next)}
	if v.Next.Less(seg.Next()) {
		v.Next = seg.Next()
	}
	return s
}

// A Kind is a kind of segments.
type Kind struct {
	name  string
	match func(s *Seen) bool
}

func (k Kind) String() string { return k.name }

func bareACK(s *Seen) bool {
	return s.Flags&^(stack.PSH|stack.ECE|stack.CWR) == stack.ACK && len(s.Payload) == 0
}

var kinds = []Kind{
	{"segment", func(*Seen) bool { return true }},
	{"SYN", func(s *Seen) bool { return s.Flags.Has(stack.SYN) && !s.Flags.Has(stack.ACK) }},
	{"SYN,ACK", func(s *Seen) bool { return s.Flags.Has(stack.SYN | stack.ACK) }},
	{"ACK", bareACK},
	{"data", func(s *Seen) bool { return len(s.Payload) > 0 }},
	{"FIN", func(s *Seen) bool { return s.Flags.Has(stack.FIN) }},
	{"RST", func(s *Seen) bool { return s.Flags.Has(stack.RST) }},
	{"retransmission", func(s *Seen) bool { return s.Again }},
}

// kindNames are the names of the kinds; each may have an s behind it.
func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// ReadKind takes a kind of segments, in singular or plural.
func (w *Words) ReadKind() (Kind, error) {
	for _, k := range kinds {
		if w.Take(k.name) || w.Take(k.name+"s") {
			return k, nil
		}
	}
	return Kind{}, w.Expected("%s", List(kindNames()))
}

// Matches reports whether a segment is of the kind.
func (k Kind) Matches(s *Seen) bool { return k.match(s) }

// A Pattern picks segments among those that one end sends.
type Pattern struct {
	kind  Kind
	share float64 // of them, by chance; 0: all
	seq   int64   // relative; -1: any
	nths  []span  // which of those, counted from 1; none: all
	every int     // each such; 0: all
	count int     // so far
}

type span struct{ from, to int }

// ReadPattern takes a pattern:
//
//	[ SHARE "of" ] SIDE KIND [ "at" "seq" NUMBER ] [ NUMBERS | "every" NUMBER ]
//
// side takes the SIDE.
func (w *Words) ReadPattern(side func() error) (Pattern, error) {
	p := Pattern{seq: -1}
	var err error
	if strings.HasSuffix(w.peek(), "%") {
		if p.share, err = w.share(); err != nil {
			return p, err
		}
		if _, err = w.Choose("of"); err != nil {
			return p, err
		}
	}
	if err = side(); err != nil {
		return p, err
	}
	if p.kind, err = w.ReadKind(); err != nil {
		return p, err
	}
	if w.Take("at", "seq") {
		if p.seq, err = w.Number("a sequence number counted from the SYN's", 0, 1<<32-1); err != nil {
			return p, err
		}
	}
	if w.Take("every") {
		n, err := w.Number("a count", 1, 1e9)
		p.every = int(n)
		return p, err
	}
	if w.AtNumber() {
		p.nths, err = w.numbers()
	}
	return p, err
}

// numbers takes numbers and ranges from 1: 2 or 1-3,7.
func (w *Words) numbers() ([]span, error) {
	var spans []span
	for _, part := range strings.Split(w.peek(), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		a, errA := strconv.Atoi(from)
		b, errB := strconv.Atoi(to)
		if errA != nil || errB != nil || a < 1 || b < a {
			return nil, w.Expected("numbers from 1 such as 2 or 1-3,7")
		}
		spans = append(spans, span{a, b})
	}
	w.i++
	return spans, nil
}

// Matches counts a segment and reports whether it is picked. Where chance has a
// say, random is asked for a number from 0 to 1.
func (p *Pattern) Matches(s *Seen, random func() float64) bool {
	if !p.kind.Matches(s) || p.seq >= 0 && p.seq != int64(s.Rel) {
		return false
	}
	p.count++
	picked := len(p.nths) == 0
	for _, n := range p.nths {
		picked = picked || n.from <= p.count && p.count <= n.to
	}
	if p.every > 0 {
		picked = p.count%p.every == 0
	}
	return picked && (p.share == 0 || random() < p.share)
}
