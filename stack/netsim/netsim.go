// Package netsim joins the stacks of two hosts by a network with faults, on a
// clock that jumps from one event to the next: an hour of TCP takes
// milliseconds, and the same seed gives the same run.
//
// The two hosts, A and B, stand at the ends of two paths, one each way, with a
// router in the middle. What a path does wrong it does behind the middle, and
// captures can be taken at either end and in the middle (Network.Tap).
package netsim

import (
	"container/heap"
	"math/rand/v2"
	"net/netip"
	"time"

	"rawnc/stack"
)

// Network is two hosts, what lies between them, and the clock.
type Network struct {
	Now   time.Time
	Hosts [2]*Host
	A, B  *End // the first end at each host
	// Log is every segment that an end sent, in order.
	Log []Packet
	// Tap, if not nil, is told of everything that crosses a capture point, in
	// the order in which it does so there.
	Tap func(Crossing)
	// Router is the address in the middle, that ICMP errors come from.
	Router netip.Addr

	rng     *rand.Rand
	events  events
	transit int // events that are arrivals
	forged  int // frames that came from the middle
}

// Packet is a segment that an end sent.
type Packet struct {
	Time   time.Time
	From   *End
	Seg    stack.Segment
	Reason stack.Reason
	Lost   bool
}

// Start is when the clock of every network starts.
var Start = time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)

// New returns a network whose ends are not connected yet: the ports are PortA
// for A and PortB for B.
func New(seed uint64, a, b stack.Config, ab, ba Path) *Network {
	n := NewHosts(seed, ab, ba)
	n.A, n.B = n.Hosts[0].Add(a), n.Hosts[1].Add(b)
	return n
}

// NewHosts returns a network whose hosts have no ends yet.
func NewHosts(seed uint64, ab, ba Path) *Network {
	n := &Network{Now: Start, rng: rand.New(rand.NewPCG(seed, 0))}
	n.Hosts = [2]*Host{{Out: ab, network: n, point: AtA}, {Out: ba, network: n, point: AtB}}
	n.Hosts[0].peer, n.Hosts[1].peer = n.Hosts[1], n.Hosts[0]
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

// Flush lets the applications act and the ends send what they owe.
func (n *Network) Flush() {
	for _, h := range n.Hosts {
		for _, e := range h.Ends {
			e.flush()
		}
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

// InTransit reports whether anything is on its way.
func (n *Network) InTransit() bool { return n.transit > 0 }

// Step jumps to the next event and reports whether there was one.
func (n *Network) Step() bool {
	at, ok := n.Next()
	if !ok {
		return false
	}
	n.Now = at
	if len(n.events.heap) > 0 && !n.events.heap[0].at.After(at) {
		heap.Pop(&n.events).(event).f()
	}
	for _, h := range n.Hosts {
		for _, e := range h.Ends {
			if d, ok := e.Deadline(); ok && !d.After(at) {
				e.Advance(at)
			}
		}
	}
	n.Flush()
	return true
}

// Next is the time of the next event, be it an arrival or a timer.
func (n *Network) Next() (at time.Time, ok bool) {
	earlier := func(t time.Time) {
		if !ok || t.Before(at) {
			at, ok = t, true
		}
	}
	if len(n.events.heap) > 0 {
		earlier(n.events.heap[0].at)
	}
	for _, h := range n.Hosts {
		for _, e := range h.Ends {
			if d, armed := e.Deadline(); armed {
				earlier(d)
			}
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
		at, ok := n.Next()
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
