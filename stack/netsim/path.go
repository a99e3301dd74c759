package netsim

import (
	"slices"
	"time"

	"rawnc/stack"
	"rawnc/stack/fault"
)

// Path is one direction of the network.
type Path struct {
	Delay time.Duration
	// Loss, Duplicate, Reorder and Corrupt are the share of segments, from 0 to
	// 1, that vanish, arrive twice, arrive late by up to three times Delay, or
	// arrive with a wrong checksum.
	Loss, Duplicate, Reorder, Corrupt float64
	// Drop, if not nil, is asked for each segment of an end, numbered from 1 in
	// its direction, whether it vanishes.
	Drop func(n int, seg *stack.Segment) bool
	// Fate, if not nil, is asked what becomes of each segment. random gives
	// numbers from 0 to 1.
	Fate func(seg *stack.Segment, random func() float64) fault.Fate
	// Rate is in octets of payload and header a second, 0 for no limit; Queue
	// is how many segments wait for it before more are lost.
	Rate  int
	Queue int
	// MTU is the largest packet, in octets, that the router in the middle
	// passes on; 0 for no limit. For a larger one it sends an ICMP error back,
	// unless it is Mute.
	MTU  int
	Mute bool
	// IPv6 makes the IP header 40 octets long.
	IPv6 bool
	// Coalesce is how long the receiver's network card holds a data segment
	// back, to join to it those that follow (GRO); 0: not at all.
	Coalesce time.Duration
}

// Point is a place where captures can be taken.
type Point uint8

// The capture points. A frame comes from AtA, from AtB or, an ICMP error or
// what was injected, from Middle.
const (
	AtA Point = iota
	AtB
	Middle
)

// A frame is a segment or an ICMP error on its way.
type frame struct {
	From    Point         // who put it on the path
	To      Point         // AtA or AtB
	ID      int           // counts what From sent, from 1; a copy made by the network keeps it
	Seg     stack.Segment // with ICMP: the segment that it quotes
	ICMP    *stack.ICMPError
	Quoted  int  // with ICMP: the ID of what it quotes; 0: not known
	Corrupt bool // a bit was flipped on the way
	Copy    bool // the network made it
	Outcome *Outcome
}

// An Outcome is what the network does to a frame behind the middle. It is known
// once the frame has left its sender.
type Outcome struct {
	Lost, Corrupt bool
	Copies        int // that the network makes of it
}

// A Crossing is a frame at a capture point.
type Crossing struct {
	Point Point
	Time  time.Time
	Own   *Own // at an end that has a stack: what that says
	frame
}

// Own is what an end's stack says of a segment that it sent or received.
type Own struct {
	Reason      stack.Reason       // why it sent it
	Verdict     *stack.Judgment    // what became of it, received
	Transitions []stack.Transition // since the crossing before
	State       stack.State
}

func (n *Network) tap(c Crossing) {
	if n.Tap != nil {
		c.Time = n.Now
		n.Tap(c)
	}
}

// pass lets a frame cross the middle at a time.
func (n *Network) pass(at time.Time, f *frame) {
	if n.Tap != nil {
		n.travel(at, func() { n.tap(Crossing{Point: Middle, frame: *f}) })
	}
}

// travel calls f when something arrives.
func (n *Network) travel(at time.Time, f func()) {
	n.transit++
	n.At(at, func() {
		n.transit--
		f()
	})
}

// transmit sends a frame along the host's path and reports whether it will
// arrive. lost says that it is lost already.
func (h *Host) transmit(f *frame, lost bool) bool {
	n, out := h.network, &h.Out
	n.pass(n.Now.Add(out.Delay/2), f)
	var fate fault.Fate
	if out.Fate != nil {
		fate = out.Fate(&f.Seg, n.rng.Float64)
	}
	lost = lost || fate.Drop || n.chance(out.Loss)
	if size := out.size(&f.Seg); out.MTU > 0 && size > out.MTU && fate.ICMP == nil {
		if kind := stack.ICMPPacketTooBig; !out.Mute {
			fate.ICMP = &kind
		}
		lost = lost || out.Mute
	}
	if fate.ICMP != nil && !lost {
		e := &stack.ICMPError{Kind: *fate.ICMP, Seq: f.Seg.Seq, Size: out.size(&f.Seg), From: n.Router}
		if e.Kind == stack.ICMPPacketTooBig {
			e.MTU = out.MTU
		}
		n.At(n.Now.Add(out.Delay/2), func() { n.tell(h, e, f.Seg, f.ID) })
		lost = true
	}
	at := n.Now
	if out.Rate > 0 {
		h.rate = slices.DeleteFunc(h.rate, func(t time.Time) bool { return !t.After(n.Now) })
		lost = lost || len(h.rate) >= out.Queue
		if !lost {
			if h.free.Before(at) {
				h.free = at
			}
			h.free = h.free.Add(time.Duration(len(f.Seg.Payload)+40) * time.Second / time.Duration(out.Rate))
			h.rate = append(h.rate, h.free)
			at = h.free
		}
	}
	f.Outcome.Lost = lost
	if lost {
		return false
	}
	at = at.Add(out.Delay + fate.Delay)
	if n.chance(out.Reorder) {
		at = at.Add(time.Duration(n.rng.Float64() * 3 * float64(out.Delay)))
	}
	copies := fate.Copies
	if n.chance(out.Duplicate) {
		copies++
	}
	damaged := *f
	if fate.Mark && f.Seg.ECN != stack.NotECT {
		damaged.Seg.ECN = stack.CE
	}
	damaged.Corrupt = fate.Corrupt || n.chance(out.Corrupt)
	f.Outcome.Corrupt, f.Outcome.Copies = damaged.Corrupt, copies
	h.peer.expect(at, &damaged)
	again := damaged
	again.Copy = true
	for i := range copies {
		h.peer.expect(at.Add(time.Duration(i+1)*max(out.Delay/2, time.Microsecond)), &again)
	}
	return true
}

// Tell sends a host an ICMP error from the middle, about a segment that the
// host sent.
func (n *Network) Tell(h *Host, e *stack.ICMPError, about stack.Segment) {
	n.tell(h, e, about, 0)
}

func (n *Network) tell(h *Host, e *stack.ICMPError, about stack.Segment, id int) {
	f := n.inject(h, frame{Seg: about, ICMP: e, Quoted: id})
	h.expect(n.Now.Add(h.peer.Out.Delay/2), f)
}

// Inject puts a segment on the way to a host in the middle, as a forger does,
// or a network that kept it for long.
func (n *Network) Inject(to *Host, seg stack.Segment) {
	to.expect(n.Now.Add(to.peer.Out.Delay/2), n.inject(to, frame{Seg: seg}))
}

// inject gives the middle's frame its number, and lets it cross the middle.
func (n *Network) inject(to *Host, f frame) *frame {
	n.forged++
	f.From, f.To, f.ID, f.Outcome = Middle, to.point, n.forged, new(Outcome)
	n.pass(n.Now, &f)
	return &f
}

// expect makes a frame arrive at a time.
func (h *Host) expect(at time.Time, f *frame) {
	h.network.travel(at, func() {
		if h.peer.Out.Coalesce > 0 {
			h.coalesce(f)
		} else {
			h.arrive(f)
		}
	})
}

// coalesce joins data segments as GRO does: those that follow each other and
// differ in nothing else. PSH ends what is joined.
func (h *Host) coalesce(f *frame) {
	if h.held != nil && h.held.join(f) {
		if f.Seg.Flags.Has(stack.PSH) {
			h.release()
		}
		return
	}
	h.release()
	if f.ICMP != nil || f.Corrupt || len(f.Seg.Payload) == 0 || f.Seg.Flags != stack.ACK {
		h.arrive(f)
		return
	}
	held := *f
	h.held = &held
	h.network.travel(h.network.Now.Add(h.peer.Out.Coalesce), func() {
		if h.held == &held {
			h.release()
		}
	})
}

func (h *Host) release() {
	if f := h.held; f != nil {
		h.held = nil
		h.arrive(f)
	}
}

// maxJoined is the most that a joined segment carries, so that it fits an IP
// packet.
const maxJoined = 65000

// join appends the payload of next to f, if it fits.
func (f *frame) join(next *frame) bool {
	a, b := &f.Seg, &next.Seg
	if next.ICMP != nil || next.Corrupt || len(b.Payload) == 0 || b.Flags.Has(stack.URG) || next.From != f.From ||
		b.SrcPort != a.SrcPort || b.DstPort != a.DstPort ||
		b.Seq != a.Next() || b.Ack != a.Ack || b.Window != a.Window || b.Options != a.Options || b.ECN != a.ECN ||
		b.Flags&^stack.PSH != a.Flags || len(a.Payload)+len(b.Payload) > maxJoined {
		return false
	}
	a.Payload = slices.Concat(a.Payload, b.Payload)
	a.Flags |= b.Flags
	return true
}

// size is the length of the IP packet that carries a segment.
func (p *Path) size(seg *stack.Segment) int {
	n := 40 + len(seg.Payload)
	if p.IPv6 {
		n += 20
	}
	o := &seg.Options
	if o.MSS != 0 {
		n += 4
	}
	if o.HasTimestamps {
		n += 12
	} else if o.SACKPermitted {
		n += 4
	}
	if o.HasWindowScale {
		n += 4
	}
	if o.SACKCount > 0 {
		n += 4 + 8*o.SACKCount
	}
	if o.UserTimeout != 0 {
		n += 4
	}
	if o.HasFastOpen {
		n += (2 + len(o.FastOpen) + 3) &^ 3
	}
	return n
}
