package netsim

import (
	"slices"
	"time"

	"rawnc/stack"
)

// Host is one of the two machines: its ends of connections, and its path to the
// other machine.
type Host struct {
	// Ends are in the order of being made. The newest that fits takes what
	// arrives.
	Ends []*End
	Out  Path
	// Accept, if not nil, is asked for an end in LISTEN when a SYN arrives
	// for which there is none. It may return nil.
	Accept func() *End
	// Alone makes the newest end take whatever no end takes. Else such a
	// segment is answered with a RST (RFC 9293, section 3.10.7.1), unless
	// Silent.
	Alone, Silent bool

	network *Network
	peer    *Host
	point   Point
	sent    int // packets
	rate    []time.Time
	free    time.Time // when the path has sent what is queued
	count   int       // segments of the ends
	held    *frame    // by coalescing
}

// End is one end of a connection.
type End struct {
	*stack.Conn
	// App, if not nil, is called after whatever may have changed Conn.
	App func(now time.Time)
	// Events are what the stack reported, if its Config had no Watch.
	Events []stack.Event

	host          *Host
	local, remote uint16 // 0: not known yet
	news          news
}

// news is what the stack reported since the last crossing.
type news struct {
	transitions []stack.Transition
	verdict     *stack.Judgment
}

// Add makes a further end, in CLOSED. A host that gets its first end in this
// way, and no Accept, is Alone.
func (h *Host) Add(cfg stack.Config) *End {
	e := &End{host: h}
	h.Alone = h.Accept == nil
	watch := cfg.Watch
	cfg.Watch = func(ev stack.Event) {
		if ev.Transition != nil {
			e.news.transitions = append(e.news.transitions, *ev.Transition)
		} else {
			e.news.verdict = ev.Verdict
		}
		if watch == nil {
			e.Events = append(e.Events, ev)
		} else {
			watch(ev)
		}
	}
	e.Conn = stack.New(cfg)
	h.Ends = append(h.Ends, e)
	return e
}

// Open is the active open.
func (e *End) Open(now time.Time, local, remote uint16) error {
	e.local, e.remote = local, remote
	return e.Conn.Open(now, local, remote)
}

// Listen is the passive open.
func (e *End) Listen(local uint16) error {
	e.local = local
	return e.Conn.Listen(local)
}

func (e *End) flush() {
	now := e.host.network.Now
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
			for piece := range seg.Pieces() {
				e.send(piece, why)
			}
		}
	}
}

// send puts a segment on the path.
func (e *End) send(seg stack.Segment, why stack.Reason) {
	h := e.host
	seg.Payload = slices.Clone(seg.Payload)
	h.count++
	lost := h.Out.Drop != nil && h.Out.Drop(h.count, &seg)
	f := h.frame(seg)
	h.network.tap(Crossing{Point: h.point, frame: *f, Own: e.own(why)})
	at := len(h.network.Log)
	h.network.Log = append(h.network.Log, Packet{Time: h.network.Now, From: e, Seg: seg, Reason: why})
	h.network.Log[at].Lost = !h.transmit(f, lost)
}

// own is what the end's stack says, and empties the news.
func (e *End) own(why stack.Reason) *Own {
	o := &Own{Reason: why, Verdict: e.news.verdict, Transitions: e.news.transitions, State: e.State()}
	e.news = news{}
	return o
}

// Send puts a segment on the path that no stack made: a raw peer's.
func (h *Host) Send(seg stack.Segment) {
	f := h.frame(seg)
	h.network.tap(Crossing{Point: h.point, frame: *f})
	h.transmit(f, false)
}

func (h *Host) frame(seg stack.Segment) *frame {
	h.sent++
	return &frame{From: h.point, To: h.peer.point, ID: h.sent, Seg: seg, Outcome: new(Outcome)}
}

// find is the newest end that takes a segment, or nil.
func (h *Host) find(seg *stack.Segment) *End {
	var listening *End
	for _, e := range slices.Backward(h.Ends) {
		switch {
		case e.local != seg.DstPort:
		case e.State() == stack.StateListen && listening == nil:
			listening = e
		case e.State() != stack.StateClosed && e.remote == seg.SrcPort && !e.reopened(seg):
			return e
		}
	}
	if listening == nil && h.Accept != nil && seg.Flags.Has(stack.SYN) && !seg.Flags.Has(stack.ACK) {
		listening = h.Accept()
	}
	if listening != nil {
		listening.remote = seg.SrcPort
		return listening
	}
	if h.Alone {
		return h.Ends[len(h.Ends)-1]
	}
	return nil
}

// reopened reports whether seg is a SYN that may begin a new connection in the
// place of one in TIME-WAIT (RFC 9293, section 3.10.7.4, MAY-2; RFC 6191).
func (e *End) reopened(seg *stack.Segment) bool {
	return e.State() == stack.StateTimeWait && e.host.Accept != nil && seg.Flags&(stack.SYN|stack.ACK|stack.RST) == stack.SYN &&
		e.Snapshot().RcvNxt.Less(seg.Seq)
}

// arrive takes a frame off the path.
func (h *Host) arrive(f *frame) {
	n := h.network
	c := Crossing{Point: h.point, frame: *f}
	if f.Corrupt {
		n.tap(c)
		return
	}
	if f.ICMP != nil {
		if e := h.find(&stack.Segment{SrcPort: f.Seg.DstPort, DstPort: f.Seg.SrcPort}); e != nil {
			e.ICMP(n.Now, f.ICMP)
			c.Own = e.own(stack.Reason{})
		}
		n.tap(c)
		return
	}
	e := h.find(&f.Seg)
	if e == nil {
		n.tap(c)
		if rst, ok := stack.Reject(&f.Seg); ok && !h.Silent {
			out := h.frame(rst)
			n.tap(Crossing{Point: h.point, frame: *out, Own: &Own{Reason: stack.Reason{Kind: stack.ReasonNoConnection}}})
			h.transmit(out, false)
		}
		return
	}
	got := f.Seg
	e.Receive(n.Now, &got)
	c.Own = e.own(stack.Reason{})
	n.tap(c)
}
