package rawtcp

import (
	"errors"
	"math"
	"slices"
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
	e := Event{Time: o.time, Sent: true, Checksum: stack.ChecksumValid, Made: o.made, Reason: o.why, Err: err}
	if p.GSOSize == 0 {
		e.Packet, e.Segment = slices.Concat(p.Header, p.Payload), o.seg
		e.Segment.Payload = e.Packet[len(p.Header):]
		o.conn.report(&e)
		return
	}
	for header, payload := range wire.Pieces(p.Header, p.Payload, p.GSOSize) {
		e := e
		e.Packet = slices.Concat(header, payload)
		var piece wire.Packet
		wire.Parse(e.Packet, &piece)
		e.Segment = piece.Segment
		if e.Reason.Kind == stack.ReasonFIN && !piece.Flags.Has(stack.FIN) {
			e.Reason.Kind = stack.ReasonData
		}
		o.conn.report(&e)
	}
}
