package explain

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/text/language"
)

// few is what the tests remember, so that a crowd need not be large.
var few = bounds{over: 200, halfOpen: 200, conversations: 2000, waiting: 20_000, every: 500}

// crowd is many conversations of the same kind, one after the other.
type crowd struct {
	n         *Narrator
	forgotten []*Summary
	next      uint32
	now       time.Time
	step      time.Duration // between two segments
}

func newCrowd() *crowd {
	c := &crowd{n: NewNarrator(language.English), now: newDialogue().now, step: time.Millisecond}
	c.n.bounds = few
	c.n.Forgotten = func(s *Summary) { c.forgotten = append(c.forgotten, s) }
	return c
}

// come has d told once for each of them.
func (c *crowd) come(conversations int, d *dialogue) {
	var a Account
	for range conversations {
		c.next++
		addr := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 10<<24|c.next)))
		for _, in := range d.inputs {
			if in.Src == clientAddr {
				in.Src = netip.AddrPortFrom(addr, 1)
			} else {
				in.Dst = netip.AddrPortFrom(addr, 1)
			}
			c.now = c.now.Add(c.step)
			in.Time = c.now
			c.n.SegmentInto(&a, in)
		}
	}
}

func TestForgetsWhatIsOver(t *testing.T) {
	c := newCrowd()
	c.come(10*few.every/10, article())
	if got := len(c.n.conversations); got > few.over+few.every/10+1 {
		t.Errorf("%d conversations are remembered", got)
	}
	if len(c.forgotten) == 0 || c.forgotten[0].Stream != 0 || c.forgotten[0].Closing != CloseThree {
		t.Errorf("the first to be forgotten is the oldest, and it was closed: %+v", c.forgotten[:1])
	}
	if got := len(c.forgotten) + len(c.n.EndAll()); got != int(c.next) {
		t.Errorf("%d of %d are summed up", got, c.next)
	}
}

// Those that are open stay, however many come and go; a late segment still
// belongs to them.
func TestRemembersWhatIsOpen(t *testing.T) {
	c := newCrowd()
	open := newDialogue()
	open.handshake()
	c.come(100, open)
	c.come(10*few.every/10, article())
	for _, s := range c.forgotten {
		if s.Stream < 100 {
			t.Fatalf("stream %d was open, and is forgotten", s.Stream)
		}
	}
}

// A scan leaves SYNs that nobody answers.
func TestForgetsHalfOpen(t *testing.T) {
	c := newCrowd()
	c.step = time.Second
	syns := newDialogue()
	syns.client(syn, 0, 0, "")
	c.come(10*few.every, syns)
	recent := int(silentHalfOpen / c.step)
	if got := len(c.n.conversations); got > few.over+recent+few.every {
		t.Errorf("%d conversations are remembered", got)
	}
}

// A flood of them does so within seconds.
func TestForgetsAFlood(t *testing.T) {
	c := newCrowd()
	open := newDialogue()
	open.handshake()
	c.come(100, open)
	flood := newDialogue()
	flood.client(syn, 0, 0, "")
	flood.server(syn|ack, 0, 1, "")
	c.come(10*few.every, flood)
	if got := len(c.n.conversations); got > 100+few.halfOpen+few.every {
		t.Errorf("%d conversations are remembered", got)
	}
	for _, s := range c.forgotten {
		if s.Stream < 100 {
			t.Fatalf("stream %d was open, and is forgotten", s.Stream)
		}
	}
}

// Without any sign of an end there is still a bound.
func TestForgetsTheLongestSilent(t *testing.T) {
	c := newCrowd()
	data := newDialogue()
	data.client(psh|ack, 1, 1, "x")
	c.come(5*few.conversations, data)
	if got := len(c.n.conversations); got > 2*few.conversations {
		t.Errorf("%d conversations are remembered", got)
	}
	waiting := 0
	for _, conv := range c.n.conversations {
		waiting += conv.waiting()
	}
	if waiting > few.waiting+2*few.every {
		t.Errorf("%d segments wait for an Ack", waiting)
	}
}

// Many connections of which only one direction was captured: no Ack ever comes.
func TestForgetsWhatWaits(t *testing.T) {
	c := newCrowd()
	data := newDialogue()
	for i := range 1000 {
		data.client(psh|ack, 1+i, 1, "x")
	}
	c.come(3*few.waiting/1000, data)
	waiting := 0
	for _, conv := range c.n.conversations {
		waiting += conv.waiting()
	}
	if waiting > few.waiting+2*few.every {
		t.Errorf("%d segments wait for an Ack", waiting)
	}
}

// A segment and its Ack, told and written, need next to no new memory.
func TestSegmentIntoAllocatesLittle(t *testing.T) {
	d := article()
	n := NewNarrator(language.English)
	for _, in := range d.inputs[:3] {
		n.Segment(in)
	}
	data, answer := *d.client(psh|ack, 1, 1, "abc"), *d.server(ack, 1, 4, "")
	var a Account
	var line []byte
	if got := testing.AllocsPerRun(1000, func() {
		for _, in := range []Input{data, answer} {
			n.SegmentInto(&a, in)
			line = AppendJSON(line[:0], &a)
		}
		data.Segment.Seq += 3
		answer.Segment.Ack += 3
	}); got > 2 {
		t.Errorf("%v allocations for two segments", got)
	}
}
