package main

import (
	"cmp"
	"math"
	"slices"
	"syscall"

	"rawnc/rawtcp"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

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
	turn          chan struct{} // of the goroutine that waits for the exchange
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
			l.block = cmp.Or(l.route.Offload, leastBlock) / l.mss * l.mss
		}
		l.packet(c, stack.ACK, c.nxt, nil)
		l.proceed(c)
	case !c.open: // of a connection before, which has to end first (RFC 9293, section 3.10.7.3)
		iss := c.iss
		c.iss = p.Ack.Add(-1)
		l.packet(c, stack.RST, 0, nil)
		c.iss = iss
		l.packet(c, stack.SYN, -1, nil)
	default:
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
		window := c.window
		if l.slow {
			window = min(window, 10*l.mss+c.una) // RFC 6928, and RFC 5681, section 3.1
		}
		if usable := max(c.una+window-c.nxt, 0); usable < len(payload) {
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
		if len(l.spare) == 0 {
			l.spare = append(l.spare, make([]byte, 0, l.block))
		}
		last := len(l.spare) - 1
		c.blocks, l.spare = append(c.blocks, l.spare[last]), l.spare[:last]
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
