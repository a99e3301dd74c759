package rawtcp

import (
	"errors"
	"math"
	"sync"
	"syscall"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// writeBatch is how many packets one system call sends.
const writeBatch = 32

// slot is how many octets of a packet an outbox holds itself: the headers, 40 of
// IPv6 and 60 of TCP at most, and the payload of a small one.
const slot = 512

// An outbox holds the packets that leave together.
type outbox struct {
	n       int
	shared  bool // a payload is the send buffer's, or somebody watches: to be sent under the host's lock
	packets [writeBatch]Outgoing
	slots   [writeBatch][slot]byte
	origins [writeBatch]origin
	event   Event  // what a Tap is told
	packet  []byte // its octets
}

// An origin is what a packet was made of, and what became of it.
type origin struct {
	conn *Conn
	time time.Time
	seg  stack.Segment
	why  stack.Reason
	made *stack.Segment // if a gate has changed it
	err  error
}

var outboxes = sync.Pool{New: func() any { return new(outbox) }}

func (b *outbox) full() bool { return b.n == writeBatch }

// add makes a packet of a segment.
func (b *outbox) add(now time.Time, c *Conn, seg *stack.Segment, why stack.Reason) {
	pieces := 1
	if seg.GSOSize > 0 {
		pieces = (len(seg.Payload) + seg.GSOSize - 1) / seg.GSOSize
	}
	if int(c.ipID)+pieces > math.MaxUint16 { // the kernel would choose one in place of 0
		c.ipID = 0
	}
	p := wire.Packet{
		Src: c.local.Addr().WithZone(""), Dst: c.remote.Addr().WithZone(""),
		TTL: c.ttl, TOS: c.tos, ID: c.ipID + 1, DF: true, Segment: *seg,
	}
	c.ipID += uint16(pieces)
	header, err := wire.AppendHeaders(b.slots[b.n][:0], &p)
	if err != nil { // cannot happen: addresses, options and length are the stack's own
		panic(err)
	}
	payload := seg.Payload
	if room := header[len(header):slot]; len(payload) <= len(room) {
		payload = room[:copy(room, payload)]
	} else {
		b.shared = true
	}
	b.packets[b.n] = Outgoing{Dst: c.remote.Addr(), Header: header, Payload: payload, GSOSize: seg.GSOSize}
	if c.watch.tap != nil {
		b.shared = true
		now = time.Now() // what was made for it took its time
	}
	b.origins[b.n] = origin{conn: c, time: now, seg: *seg, why: why}
	b.n++
}

// send writes the batch and tells what became of it.
func (b *outbox) send(link Link) {
	b.write(link)
	b.done()
}

// write writes the batch. A packet that the system refuses counts as lost on the
// way: TCP will send it again.
func (b *outbox) write(link Link) {
	for from := 0; from < b.n; {
		n, err := link.WriteBatch(b.packets[from:b.n])
		if from += n; err != nil && from < b.n {
			b.origins[from].err = err
			from++
		}
	}
}

// drop is send where the packets are lost on purpose.
func (b *outbox) drop() {
	for i := range b.n {
		b.origins[i].err = ErrDropped
	}
	b.done()
}

// done tells what became of the batch, and forgets it. A connection remembers
// why the system refused a packet.
func (b *outbox) done() {
	for i := range b.n {
		if o := &b.origins[i]; o.err != nil && o.err != ErrDropped {
			o.conn.sendErr, o.conn.tooBig = o.err, errors.Is(o.err, syscall.EMSGSIZE)
		}
		b.report(i)
	}
	clear(b.origins[:b.n])
	b.n, b.shared = 0, false
}

func (b *outbox) report(i int) {
	p, o := &b.packets[i], &b.origins[i]
	if o.conn.watch.tap == nil {
		return
	}
	if p.GSOSize == 0 {
		b.tell(o, p.Header, p.Payload, o.seg, o.why)
		return
	}
	seg := o.seg
	seg.GSOSize = 0
	for header, payload := range wire.Pieces(p.Header, p.Payload, p.GSOSize) {
		if seg.Flags = o.seg.Flags; seg.Seq.Sub(o.seg.Seq)+len(payload) < len(p.Payload) {
			seg.Flags &^= stack.PSH | stack.FIN
		}
		why := o.why
		if why.Kind == stack.ReasonFIN && !seg.Flags.Has(stack.FIN) {
			why.Kind = stack.ReasonData
		}
		b.tell(o, header, payload, seg, why)
		seg.Seq = seg.Seq.Add(len(payload))
	}
}

// tell passes on a packet as it is on the wire.
func (b *outbox) tell(o *origin, header, payload []byte, seg stack.Segment, why stack.Reason) {
	b.packet = append(append(b.packet[:0], header...), payload...)
	e := &b.event
	*e = Event{
		Time: o.time, Sent: true, Packet: b.packet, Segment: seg, Made: o.made, Checksum: stack.ChecksumValid,
		Reason: why, Err: o.err,
	}
	e.Segment.Payload = b.packet[len(header):]
	o.conn.report(e)
}
