package main

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// leasts are the contenders that do the least which any TCP over a rawtcp.Link
// must do: they bound it. Nobody should use them, for they have no congestion
// control, no reassembly and no TIME-WAIT, and what is lost is sent again when
// nothing has come for a while. One loop, which needs no lock, serves all connections
// and knows what they are for. Like TCP they put the application's octets into memory
// of their own until they are acknowledged, heed the peer's window, look at checksums,
// and copy to the application what has arrived. The local ports have their guards
// before the clock starts, and are taken again as soon as a connection is over.
var leasts = map[string]func() (rawtcp.Link, error){
	"least raw":    rawtcp.RawLink,
	"least packet": rawtcp.PacketLink,
}

// silence is how long nothing comes before what is unacknowledged is sent again.
const silence = 200 * time.Millisecond

// As in rawtcp.
const (
	mostFlying  = 1 << 20   // octets that are unacknowledged, of all connections
	leastWindow = 1 << 20   // octets, offered to each peer
	leastScale  = 5         // of the window
	leastBatch  = 256 << 10 // octets that are read at once, and answered together
	leastBlock  = 1 << 16   // octets of the application that are kept together, at most
)

// A least is the loop and its connections.
type least struct {
	link  rawtcp.Link
	route rawtcp.Route
	peer  netip.AddrPort
	ports [1 << 16]*leastConn // the connections, by local port
	free  []uint16            // local ports, with guards
	iss   stack.Seq           // of the last connection
	start time.Time
	heard bool             // something, since it was silent last
	over  func(*leastConn) // what to do when an exchange is over
	left  int              // how many are to come
	err   error

	mss    int          // octets of a full segment
	block  int          // octets of a full block
	spare  [][]byte     // blocks that hold nothing
	sink   []byte       // the application's memory
	at     int          // where in it the octets are put that arrive next
	size   [8]byte      // what a transfer says first
	ready  []*leastConn // may have something to send
	owing  []*leastConn // owe an ACK, unless data has brought it
	flying int          // octets

	n       int // packets in out
	out     [32]rawtcp.Outgoing
	headers [32][128]byte
	id      uint16 // of the last of them
	now     uint32 // their timestamp, in milliseconds
}

// A leastConn is a connection. Its octets count from behind the SYN.
type leastConn struct {
	local         uint16
	iss, rcvNxt   stack.Seq
	tsEcr         uint32
	window, scale int  // SND.WND, and by what it is shifted
	open          bool // the SYN is acknowledged
	closing       bool // only the FINs are still to come; each is an octet
	busy          bool // with an exchange
	waits, owes   bool // stands in ready, owes an ACK
	send, want    int  // octets of the exchange that are still to come, from the application and for it
	una, nxt, end int  // SND.UNA, SND.NXT, and how many octets the application has sent
	base          int  // where blocks start
	blocks        [][]byte
}

// prepareLeast is prepare for one of the leasts.
func prepareLeast(open func() (rawtcp.Link, error), t task) (do func() error, end func(), err error) {
	l := &least{start: time.Now(), heard: true, sink: make([]byte, chunk), mss: 1}
	l.over = func(*leastConn) { l.left-- }
	port, send, want := uint16(echoPort), 16, 16
	atOnce, ports := t.active, t.active
	l.left = atOnce
	switch t.job {
	case "up":
		n := int(t.n) / t.active
		port, send, want = sinkPort, len(l.size)+n, 1
		binary.BigEndian.PutUint64(l.size[:], uint64(n))
	case "down":
		port, send, want = sourcePort, len(l.size), int(t.n)
		binary.BigEndian.PutUint64(l.size[:], uint64(t.n))
	case "conn1", "conn64":
		if t.job == "conn64" {
			atOnce = 64
		}
		l.left, ports = int(t.n), atOnce+1000
		l.over = func(c *leastConn) {
			if !c.closing {
				c.closing = true
				l.exchange(c, 1, 1)
				return
			}
			l.free, l.ports[c.local] = append(l.free, c.local), nil
			if l.left--; l.left >= atOnce {
				l.connect(send, want)
			}
		}
	default:
		return nil, nil, fmt.Errorf("there is no job %q", t.job)
	}
	l.peer = netip.AddrPortFrom(t.peer, port)
	if l.link, err = open(); err != nil {
		return nil, nil, err
	}
	if l.route, err = l.link.Route(t.peer); err != nil {
		return nil, nil, err
	}
	for range ports {
		local, _, err := l.link.Reserve(netip.AddrPortFrom(l.route.Src, 0))
		if err != nil {
			return nil, nil, err
		}
		l.free = append(l.free, local.Port())
	}
	if t.active == 1 {
		return func() error {
			for range atOnce {
				l.connect(send, want)
			}
			return l.run()
		}, l.end, nil
	}
	for len(l.free) > 0 { // all are open before the clock starts
		l.left = min(64, len(l.free))
		for range l.left {
			l.connect(0, 0)
		}
		if err := l.run(); err != nil {
			return nil, nil, err
		}
	}
	return func() error {
		for c := range l.conns() {
			l.exchange(c, send, want)
			l.left++
		}
		return l.run()
	}, l.end, nil
}

// connect opens a connection, and has it do an exchange.
func (l *least) connect(send, want int) {
	l.iss += 1 << 20
	c := &leastConn{local: l.free[0], iss: l.iss}
	l.free, l.ports[c.local] = l.free[1:], c
	l.packet(c, stack.SYN, -1, nil)
	l.exchange(c, send, want)
}

func (l *least) conns() iter.Seq[*leastConn] {
	return func(yield func(*leastConn) bool) {
		for _, c := range l.ports {
			if c != nil && !yield(c) {
				return
			}
		}
	}
}

// exchange has a connection send and want so many octets.
func (l *least) exchange(c *leastConn, send, want int) {
	c.send, c.want, c.busy = send, want, true
	l.touch(c)
}

func (l *least) touch(c *leastConn) {
	if !c.waits {
		c.waits = true
		l.ready = append(l.ready, c)
	}
}

// run is the loop.
func (l *least) run() error {
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16+40)
	}
	timer := time.AfterFunc(silence, l.link.Wake)
	defer timer.Stop()
	for some := len(bufs); ; {
		l.now = uint32(time.Since(l.start).Milliseconds())
		l.send()
		if l.left == 0 || l.err != nil {
			return l.err
		}
		n, err := l.link.ReadBatch(bufs[:some])
		if err != nil {
			return err
		}
		if n == 0 {
			if !l.heard {
				l.again()
			}
			l.heard = false
			timer.Reset(silence)
			continue
		}
		l.heard = true
		waiting, largest := 0, 0
		for _, b := range bufs[:n] {
			l.receive(b)
			largest = max(largest, len(b))
			if waiting += len(b); waiting >= leastBatch {
				l.send()
				waiting = 0
			}
		}
		some = min(max(leastBatch/largest, 1), len(bufs))
	}
}

// again sends what is unacknowledged once more.
func (l *least) again() {
	for c := range l.conns() {
		switch {
		case !c.busy:
		case !c.open:
			l.packet(c, stack.SYN, -1, nil)
		default:
			l.flying -= c.nxt - c.una
			c.nxt = c.una
			l.touch(c)
		}
	}
}

// receive takes a packet.
func (l *least) receive(b []byte) {
	var p wire.Packet
	if wire.Parse(b, &p) != nil || p.Checksum == stack.ChecksumWrong || p.Src != l.peer.Addr() || p.SrcPort != l.peer.Port() {
		return
	}
	switch c := l.ports[p.DstPort]; {
	case c == nil:
	case p.Flags.Has(stack.RST):
		l.err = syscall.ECONNRESET
	case p.Flags.Has(stack.SYN):
		if !c.open {
			c.open, c.rcvNxt, c.tsEcr = true, p.Next(), p.Options.TSVal
			c.window, c.scale = int(p.Window), int(p.Options.WindowScale) // this one is not scaled
			l.mss = min(int(p.Options.MSS), l.route.MTU-40) - 12
			l.block = max(min(cmp.Or(l.route.Offload, leastBlock), leastBlock)/l.mss, 1) * l.mss
		}
		l.packet(c, stack.ACK, c.nxt, nil)
		l.proceed(c)
	case c.open:
		if n := p.Ack.Sub(c.seq(c.una)); n > 0 && n <= c.end-c.una {
			l.acknowledged(c, n)
		}
		c.window, c.tsEcr = int(p.Window)<<c.scale, p.Options.TSVal
		if n := p.Len(); n > 0 {
			if !c.owes {
				c.owes, l.owing = true, append(l.owing, c)
			}
			if skip := c.rcvNxt.Sub(p.Seq); 0 <= skip && skip < n {
				l.deliver(p.Payload[min(skip, len(p.Payload)):])
				c.want -= n - skip
				c.rcvNxt = p.Next()
			}
		}
		l.proceed(c)
	}
}

// deliver copies to the application what has arrived.
func (l *least) deliver(b []byte) {
	for len(b) > 0 {
		n := copy(l.sink[l.at:], b)
		l.at, b = (l.at+n)%len(l.sink), b[n:]
	}
}

// proceed notes that a connection may send, and sees whether its exchange is over.
func (l *least) proceed(c *leastConn) {
	if c.una < c.end || c.send > 0 {
		l.touch(c)
	} else if c.want <= 0 && c.busy {
		c.busy = false
		l.over(c)
	}
}

// acknowledged moves SND.UNA, and takes back the blocks before it.
func (l *least) acknowledged(c *leastConn, n int) {
	l.flying -= c.nxt - c.una
	c.una += n
	c.nxt = max(c.nxt, c.una)
	l.flying += c.nxt - c.una
	for len(c.blocks) > 0 && c.una >= c.base+len(c.blocks[0]) {
		c.base += len(c.blocks[0])
		l.spare = append(l.spare, c.blocks[0][:0])
		c.blocks = slices.Delete(c.blocks, 0, 1)
	}
}

// send sends what may be sent, and the ACKs that are owed.
func (l *least) send() {
	for len(l.ready) > 0 {
		last := len(l.ready) - 1
		c := l.ready[last]
		if !l.push(c) {
			break
		}
		c.waits, l.ready = false, l.ready[:last]
	}
	for _, c := range l.owing {
		if c.owes {
			l.packet(c, stack.ACK, c.nxt, nil)
		}
	}
	l.owing = l.owing[:0]
	l.flush()
}

// push sends what a connection may, and is false where too much is under way.
func (l *least) push(c *leastConn) bool {
	for c.open {
		if c.nxt == c.end && c.send > 0 {
			l.take(c)
		}
		if c.nxt == c.end {
			break
		}
		if c.closing {
			l.packet(c, stack.FIN|stack.ACK, c.nxt, nil)
			c.nxt++
			l.flying++
			break
		}
		i := c.nxt - c.base
		payload := c.blocks[i/l.block][i%l.block:]
		if l.route.Offload == 0 {
			payload = payload[:min(len(payload), l.mss)]
		}
		if usable := max(c.una+c.window-c.nxt, 0); usable < len(payload) {
			if c.nxt > c.una { // full segments, while an ACK is to come
				usable -= usable % l.mss
			}
			payload = payload[:usable]
		}
		if len(payload) == 0 {
			break
		}
		if l.flying+len(payload) > mostFlying {
			return false
		}
		flags := stack.ACK
		if c.nxt+len(payload) == c.end {
			flags |= stack.PSH
		}
		l.packet(c, flags, c.nxt, payload)
		c.nxt += len(payload)
		l.flying += len(payload)
	}
	return true
}

// take puts the application's next octets where they stay; or a FIN, which is one
// octet too, behind them.
func (l *least) take(c *leastConn) {
	if c.closing {
		c.send--
		c.end++
		return
	}
	if n := len(c.blocks); n == 0 || len(c.blocks[n-1]) == l.block {
		b := make([]byte, 0, l.block)
		if n := len(l.spare); n > 0 {
			b, l.spare = l.spare[n-1], l.spare[:n-1]
		}
		c.blocks = append(c.blocks, b)
	}
	b := &c.blocks[len(c.blocks)-1]
	n, at := min(c.send, l.block-len(*b)), c.end%(chunk-l.block)
	*b = append(*b, source[at:at+n]...)
	if c.end == 0 {
		copy(*b, l.size[:])
	}
	c.end += n
	c.send -= n
}

// seq is the sequence number of an octet.
func (c *leastConn) seq(octet int) stack.Seq { return c.iss.Add(1 + octet) }

// packet sends a segment, soon.
func (l *least) packet(c *leastConn, flags stack.Flags, octet int, payload []byte) {
	p := wire.Packet{Src: l.route.Src, Dst: l.peer.Addr(), TTL: 64, ID: l.id + 1, DF: true}
	l.id += uint16(1 + len(payload)/l.mss)
	p.Segment = stack.Segment{
		SrcPort: c.local, DstPort: l.peer.Port(), Seq: c.seq(octet), Ack: c.rcvNxt, Flags: flags,
		Window: leastWindow >> leastScale, Payload: payload,
		Options: stack.Options{HasTimestamps: true, TSVal: l.now, TSEcr: c.tsEcr},
	}
	if flags == stack.SYN {
		p.Window = math.MaxUint16
		p.Options.MSS, p.Options.HasWindowScale, p.Options.WindowScale = uint16(l.route.MTU-40), true, leastScale
	}
	if l.route.Offload > 0 && len(payload) > 0 {
		p.GSOSize = l.mss
	}
	header, err := wire.AppendHeaders(l.headers[l.n][:0], &p)
	if err != nil { // cannot happen
		panic(err)
	}
	l.out[l.n] = rawtcp.Outgoing{Dst: p.Dst, Header: header, Payload: payload, GSOSize: p.GSOSize}
	c.owes = false
	if l.n++; l.n == len(l.out) {
		l.flush()
	}
}

// flush sends the packets. What the system refuses is lost.
func (l *least) flush() {
	for from := 0; from < l.n; {
		n, err := l.link.WriteBatch(l.out[from:l.n])
		if from += n; err != nil {
			from++
		}
	}
	l.n = 0
}

// end leaves nothing at the far end.
func (l *least) end() {
	for c := range l.conns() {
		l.packet(c, stack.RST, c.nxt, nil)
	}
	l.flush()
}
