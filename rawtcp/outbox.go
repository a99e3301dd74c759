package rawtcp

import (
	"errors"
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
	c.ipID++
	if c.ipID == 0 { // the kernel would choose one in place of 0
		c.ipID = 1
	}
	p := wire.Packet{
		Src: c.local.Addr().WithZone(""), Dst: c.remote.Addr().WithZone(""),
		TTL: c.ttl, TOS: c.tos, ID: c.ipID, DF: true, Segment: *seg,
	}
	header, err := wire.AppendHeaders(b.headers[b.n][:0], &p)
	if err != nil { // cannot happen: addresses, options and length are the stack's own
		panic(err)
	}
	b.packets[b.n] = Outgoing{Dst: c.remote.Addr(), Header: header, Payload: seg.Payload}
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
	packet := slices.Concat(p.Header, p.Payload)
	o.seg.Payload = packet[len(p.Header):]
	o.conn.report(&Event{
		Time: o.time, Sent: true, Packet: packet, Segment: o.seg, Checksum: stack.ChecksumValid,
		Made: o.made, Reason: o.why, Err: err,
	})
}
