package rawtcp

import (
	"net"
	"net/netip"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// readBatch is how many packets one system call may bring.
const readBatch = 64

// batchSize is how many octets a batch should bring at most, and for how many
// what is owed may wait. A batch of MTU-size packets, whose ACKs cost as much as
// they do, is less. Large ones, which the kernel has put together, are read a few
// at a time: what was read should still be in the processor's cache when it is
// copied, and a peer that waits for an ACK of megabytes stands still.
const batchSize = 256 << 10

// newBuffers are what a batch is read into: the kernel hands over what it has
// put together, up to 64 KiB.
func newBuffers() [][]byte {
	bufs := make([][]byte, readBatch)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16+40)
	}
	return bufs
}

// input hands a batch of packets to their connections, and only then sends
// what they owe, so that ACKs are put together (RFC 9293, MUST-58 and 59). Where it wakes
// several who may still send, those come first: what they send takes the ACKs along.
func (h *Host) input(packets [][]byte) {
	if len(packets) == 0 {
		return
	}
	now := time.Now()
	waiting, largest := 0, 0
	for _, b := range packets {
		largest = max(largest, len(b))
		if c := h.packet(now, b); c != nil {
			h.touch(c)
		}
		if waiting += len(b); waiting >= batchSize {
			h.flushTouched()
			now, waiting = time.Now(), 0
		}
	}
	h.atOnce = min(max(batchSize/max(largest, 1), 1), readBatch)
	for _, c := range h.touched {
		if state := c.tcp.State(); state == stack.StateEstablished || state == stack.StateCloseWait {
			c.wake()
		}
	}
	if h.waking <= 1 {
		h.flushTouched()
	}
}

// packet takes one packet and returns the connection that it concerns.
func (h *Host) packet(now time.Time, b []byte) *Conn {
	var p wire.Packet
	switch err := wire.Parse(b, &p); err {
	case nil:
	case wire.ErrNotTCP:
		return h.icmp(now, b)
	default:
		return nil
	}
	id := pair{netip.AddrPortFrom(p.Dst, p.DstPort), netip.AddrPortFrom(p.Src, p.SrcPort)}
	wrong := p.Checksum == stack.ChecksumWrong || p.Checksum == stack.ChecksumUnknown
	c := h.conns[id]
	var iss stack.Seq
	if c != nil && !wrong && c.gives(&p.Segment) {
		iss = c.tcp.Snapshot().SndNxt.Add(1 << 16)
		h.remove(c)
		c = nil
	}
	if c == nil {
		if wrong {
			return nil
		}
		if c = h.welcome(now, id, &p, iss); c == nil {
			return nil
		}
	}
	if c.watch.tap != nil { // Receive may trim the segment
		h.event = Event{Time: now, Packet: b, Segment: p.Segment, Checksum: p.Checksum}
	}
	if !wrong { // MUST-3
		c.tcp.Receive(c.at(now), &p.Segment)
	}
	if c.watch.tap != nil {
		c.report(&h.event)
	}
	return c
}

// gives reports whether a connection that is over gives way to the one that a
// SYN asks for.
func (c *Conn) gives(seg *stack.Segment) bool {
	switch state := c.tcp.State(); {
	case seg.Flags&(stack.SYN|stack.ACK|stack.RST) != stack.SYN:
		return false
	case c.port.server == nil || c.port.server.closed:
		return false
	case state == stack.StateTimeWait:
		return c.tcp.Supersedes(seg)
	default:
		return state == stack.StateClosed
	}
}

// icmp takes an ICMP error to the connection whose segment it quotes.
func (h *Host) icmp(now time.Time, b []byte) *Conn {
	m, err := wire.ParseICMP(b)
	if err != nil {
		return nil
	}
	c := h.conns[pair{m.Src, m.Dst}]
	if c == nil {
		return nil
	}
	c.tcp.ICMP(c.at(now), &m.ICMPError)
	if c.watch.tap != nil {
		c.report(&Event{Time: now, Packet: b, ICMP: &m.ICMPError})
	}
	return c
}

// checkDestination refuses what TCP has no business with (MUST-46).
func checkDestination(a netip.Addr) error {
	if a.IsUnspecified() || a.IsMulticast() || a.Is4In6() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return &net.AddrError{Err: "not the address of one host", Addr: a.String()}
	}
	return nil
}
