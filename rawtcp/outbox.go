package rawtcp

import (
	"errors"
	"math"
	"syscall"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// writeBatch is how many packets one system call sends.
const writeBatch = 32

// An outbox holds the packets that leave together.
type outbox struct {
	n       int
	packets [writeBatch]Outgoing
	headers [writeBatch][128]byte // 40 of IPv6, 60 of TCP
	origins [writeBatch]origin
	event   Event  // what a Tap is told
	packet  []byte // its octets
}

// An origin is what a packet was made of.
type origin struct {
	conn *Conn
	time time.Time
	seg  stack.Segment
	why  stack.Reason
	made *stack.Segment // if a gate has changed it
}

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
	header, err := wire.AppendHeaders(b.headers[b.n][:0], &p)
	if err != nil { // cannot happen: addresses, options and length are the stack's own
		panic(err)
	}
	b.packets[b.n] = Outgoing{Dst: c.remote.Addr(), Header: header, Payload: seg.Payload, GSOSize: seg.GSOSize}
	if c.watch.tap != nil {
		now = time.Now() // what was made for it took its time
	}
	b.origins[b.n] = origin{conn: c, time: now, seg: *seg, why: why}
	b.n++
}

// send writes the batch. A packet that the system refuses counts as lost on the
// way: TCP will send it again. Its connection remembers why.
func (b *outbox) send(link Link) {
	for from := 0; from < b.n; {
		n, err := link.WriteBatch(b.packets[from:b.n])
		for i := from; i < from+n; i++ {
			b.report(i, nil)
		}
		if from += n; err != nil && from < b.n {
			c := b.origins[from].conn
			c.sendErr, c.tooBig = err, errors.Is(err, syscall.EMSGSIZE)
			b.report(from, err)
			from++
		}
	}
	clear(b.origins[:b.n])
	b.n = 0
}

// drop reports the batch as dropped, and forgets it.
func (b *outbox) drop() {
	for i := range b.n {
		b.report(i, ErrDropped)
	}
	clear(b.origins[:b.n])
	b.n = 0
}

func (b *outbox) report(i int, err error) {
	p, o := &b.packets[i], &b.origins[i]
	if o.conn.watch.tap == nil {
		return
	}
	if p.GSOSize == 0 {
		b.tell(o, p.Header, p.Payload, o.seg, o.why, err)
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
		b.tell(o, header, payload, seg, why, err)
		seg.Seq = seg.Seq.Add(len(payload))
	}
}

// tell passes on a packet as it is on the wire.
func (b *outbox) tell(o *origin, header, payload []byte, seg stack.Segment, why stack.Reason, err error) {
	b.packet = append(append(b.packet[:0], header...), payload...)
	e := &b.event
	*e = Event{
		Time: o.time, Sent: true, Packet: b.packet, Segment: seg, Made: o.made, Checksum: stack.ChecksumValid,
		Reason: why, Err: err,
	}
	e.Segment.Payload = b.packet[len(header):]
	o.conn.report(e)
}
