package rawtcp

import (
	"bytes"
	"net/netip"
	"time"

	"rawnc/stack"
)

// An Event is a packet that crossed the link for one connection, with what the
// stack says of it.
type Event struct {
	Time          time.Time
	Sent          bool // by us
	Local, Remote netip.AddrPort
	Packet        []byte // the very octets, from the IP header on; nil if none crossed
	Segment       stack.Segment
	Made          *stack.Segment // the segment as the stack made it, if a Gate changed it
	Checksum      stack.Checksum
	ICMP          *stack.ICMPError // the packet is this ICMP error, which quotes a segment of ours, not a segment
	Reason        stack.Reason     // why we sent it
	Judgment      *stack.Judgment  // what became of it, if it arrived and was taken up
	// Transitions are the changes of state since the event before, and State
	// where they led.
	Transitions []stack.Transition
	State       stack.State
	// Err is why the packet was not sent: the system refused, or ErrDropped. It
	// may go out later, as a retransmission.
	Err error
}

// A Tap is told of every packet, in order. It is called with the Host locked:
// it must be quick, and must not call a Conn. The event and its octets are the
// Host's again when it returns: what it wants to keep, it clones.
type Tap func(*Event)

// Clone is a copy that shares no memory that changes later.
func (e *Event) Clone() *Event {
	c := *e
	c.Packet = bytes.Clone(e.Packet)
	c.Segment.Payload = bytes.Clone(e.Segment.Payload)
	if e.Judgment != nil {
		j := *e.Judgment
		c.Judgment = &j
	}
	return &c
}

// watch gathers what a stack.Conn reports between two packets.
type watch struct {
	tap         Tap
	transitions []stack.Transition
	judgment    *stack.Judgment
}

func (w *watch) event(e stack.Event) {
	if e.Transition != nil {
		w.transitions = append(w.transitions, *e.Transition)
	}
	if e.Verdict != nil {
		w.judgment = e.Verdict
	}
}

// report completes an event and passes it on.
func (c *Conn) report(e *Event) {
	e.Local, e.Remote = c.local, c.remote
	e.Transitions, c.watch.transitions = c.watch.transitions, nil
	e.Judgment, c.watch.judgment = c.watch.judgment, nil
	e.State = c.tcp.State()
	c.watch.tap(e)
}
