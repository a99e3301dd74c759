// Package netsim joins two stacks by a network with faults, on a clock that
// jumps from one event to the next: an hour of TCP takes milliseconds, and the
// same seed gives the same run.
package netsim

import (
	"container/heap"
	"math/rand/v2"
	"slices"
	"time"

	"rawnc/stack"
)

// Path is one direction of the network.
type Path struct {
	Delay time.Duration
	// Loss, Duplicate and Reorder are the share of segments, from 0 to 1, that
	// vanish, arrive twice, or arrive late by up to three times Delay.
	Loss, Duplicate, Reorder float64
	// Drop, if not nil, is asked for each segment, numbered from 1 in its
	// direction, whether it vanishes.
	Drop func(n int, seg *stack.Segment) bool
	// Rate is in octets of payload and header a second, 0 for no limit; Queue
	// is how many segments wait for it before more are lost.
	Rate  int
	Queue int
}

// Packet is a segment that an end sent.
type Packet struct {
	Time   time.Time
	From   *End
	Seg    stack.Segment
	Reason stack.Reason
	Lost   bool
}

// End is one end of the connection.
type End struct {
	*stack.Conn
	// App, if not nil, is called after whatever may have changed Conn.
	App func(now time.Time)
	// Events are what the stack reported, if its Config had no Watch.
	Events []stack.Event

	out     Path
	count   int
	free    time.Time // when the path has sent what is queued
	rate    []time.Time
	peer    *End
	network *Network
}

// Network is the two ends, what lies between them, and the clock.
type Network struct {
	Now  time.Time
	A, B *End
	// Log is every segment that was sent, in order.
	Log []Packet

	rng    *rand.Rand
	events events
}

// Start is when the clock of every network starts.
var Start = time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)

// New returns a network whose ends are not connected yet: the ports are 1000
// for A and 2000 for B.
func New(seed uint64, a, b stack.Config, ab, ba Path) *Network {
	n := &Network{Now: Start, rng: rand.New(rand.NewPCG(seed, 0))}
	end := func(cfg stack.Config, out Path) *End {
		e := &End{out: out, network: n}
		if cfg.Watch == nil {
			cfg.Watch = func(ev stack.Event) { e.Events = append(e.Events, ev) }
		}
		e.Conn = stack.New(cfg)
		return e
	}
	n.A, n.B = end(a, ab), end(b, ba)
	n.A.peer, n.B.peer = n.B, n.A
	return n
}

// Ports of the two ends.
const (
	PortA = 1000
	PortB = 2000
)

// Connect lets B listen and A open.
func (n *Network) Connect() {
	n.B.Listen(PortB)
	n.A.Open(n.Now, PortA, PortB)
	n.Flush()
}

// Flush lets both applications act and both ends send what they owe.
func (n *Network) Flush() {
	for _, e := range []*End{n.A, n.B} {
		e.flush()
	}
}

func (e *End) flush() {
	now := e.network.Now
	for again := true; again; {
		if e.App != nil {
			e.App(now)
		}
		again = false
		var seg stack.Segment
		for {
			why, ok := e.Next(now, &seg)
			if !ok {
				break
			}
			again = e.App != nil
			e.send(seg, why)
		}
	}
}

// send puts a segment on the path.
func (e *End) send(seg stack.Segment, why stack.Reason) {
	n := e.network
	seg.Payload = slices.Clone(seg.Payload)
	e.count++
	p := Packet{Time: n.Now, From: e, Seg: seg, Reason: why}
	p.Lost = e.out.Drop != nil && e.out.Drop(e.count, &seg) || n.chance(e.out.Loss)
	at := n.Now
	if e.out.Rate > 0 {
		e.rate = slices.DeleteFunc(e.rate, func(t time.Time) bool { return !t.After(n.Now) })
		p.Lost = p.Lost || len(e.rate) >= e.out.Queue
		if !p.Lost {
			if e.free.Before(at) {
				e.free = at
			}
			e.free = e.free.Add(time.Duration(len(seg.Payload)+40) * time.Second / time.Duration(e.out.Rate))
			e.rate = append(e.rate, e.free)
			at = e.free
		}
	}
	n.Log = append(n.Log, p)
	if p.Lost {
		return
	}
	at = at.Add(e.out.Delay)
	if n.chance(e.out.Reorder) {
		at = at.Add(time.Duration(n.rng.Float64() * 3 * float64(e.out.Delay)))
	}
	n.Deliver(at, e.peer, seg)
	if n.chance(e.out.Duplicate) {
		n.Deliver(at.Add(e.out.Delay/2), e.peer, seg)
	}
}

func (n *Network) chance(p float64) bool { return p > 0 && n.rng.Float64() < p }

// Deliver makes seg arrive at an end at a time, whoever sent it.
func (n *Network) Deliver(at time.Time, to *End, seg stack.Segment) {
	n.At(at, func() {
		got := seg
		to.Receive(n.Now, &got)
	})
}

// At calls f at a time.
func (n *Network) At(at time.Time, f func()) {
	heap.Push(&n.events, event{at, n.events.serial, f})
	n.events.serial++
}

// Step jumps to the next event and reports whether there was one.
func (n *Network) Step() bool {
	at, ok := n.next()
	if !ok {
		return false
	}
	n.Now = at
	if len(n.events.heap) > 0 && !n.events.heap[0].at.After(at) {
		heap.Pop(&n.events).(event).f()
	}
	for _, e := range []*End{n.A, n.B} {
		if d, ok := e.Deadline(); ok && !d.After(at) {
			e.Advance(at)
		}
	}
	n.Flush()
	return true
}

// next is the time of the next event, be it an arrival or a timer.
func (n *Network) next() (at time.Time, ok bool) {
	earlier := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if len(n.events.heap) > 0 {
		earlier(n.events.heap[0].at)
	}
	for _, e := range []*End{n.A, n.B} {
		if d, armed := e.Deadline(); armed {
			earlier(d)
		}
	}
	if at.Before(n.Now) {
		at = n.Now
	}
	return at, ok
}

// RunUntil steps until done, or until nothing is left to happen, or until limit
// has passed on the clock. It reports whether done was reached.
func (n *Network) RunUntil(limit time.Duration, done func() bool) bool {
	end := n.Now.Add(limit)
	n.Flush()
	for !done() {
		at, ok := n.next()
		if !ok || at.After(end) {
			n.Now = end
			return done()
		}
		n.Step()
	}
	return true
}

// Run lets time pass.
func (n *Network) Run(d time.Duration) { n.RunUntil(d, func() bool { return false }) }

type event struct {
	at     time.Time
	serial int // among events of the same time, the first made comes first
	f      func()
}

type events struct {
	heap   []event
	serial int
}

func (e *events) Len() int { return len(e.heap) }
func (e *events) Less(i, j int) bool {
	a, b := &e.heap[i], &e.heap[j]
	return a.at.Before(b.at) || a.at.Equal(b.at) && a.serial < b.serial
}
func (e *events) Swap(i, j int) { e.heap[i], e.heap[j] = e.heap[j], e.heap[i] }
func (e *events) Push(x any)    { e.heap = append(e.heap, x.(event)) }
func (e *events) Pop() any {
	last := e.heap[len(e.heap)-1]
	e.heap = e.heap[:len(e.heap)-1]
	return last
}
