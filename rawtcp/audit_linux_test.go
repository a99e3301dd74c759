package rawtcp_test

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// An audit watches what leaves a host and fails the test unless every checksum
// is right, no segment reaches beyond the peer's window, nothing but another
// RST follows a RST, and no packet goes where none was asked for.
//
// It looks twice: at what the Tap is told and at what a capture on the cable
// sees. Both must be the same packets, so the Tap tells the whole truth, and
// the kernel adds nothing of its own, a RST least of all.
type audit struct {
	mu   sync.Mutex
	tap  scan
	sent map[uint64][]packetID // the packets that the Tap saw leave, by hash

	wire scan
	seen map[uint64][]packetID // those on the cable

	seed maphash.Seed
}

// newAudit watches a host until the test ends. Make it before the Host, which is
// then closed before it. The host may send to the addresses asked for.
func newAudit(t testing.TB, at *lab.Host, asked ...netip.Addr) *audit {
	t.Helper()
	a := newTapAudit(t, at, asked...)
	a.wire = newScan(at, asked)
	a.seen = map[uint64][]packetID{}
	stop := capture(t, at, asked[0], func(sent bool, b []byte) {
		p := a.wire.packet(sent, b)
		if sent && p != nil {
			h := a.hash(b)
			a.seen[h] = append(a.seen[h], idOf(p))
		}
	})
	t.Cleanup(func() {
		complete := stop()
		a.compare(t, complete)
		if complete { // else the windows are not known
			a.wire.report(t, "on the cable")
		}
	})
	return a
}

// newTapAudit is for a host whose link has faults: it looks at the Tap alone.
func newTapAudit(t testing.TB, at *lab.Host, asked ...netip.Addr) *audit {
	a := &audit{tap: newScan(at, asked), sent: map[uint64][]packetID{}, seed: maphash.MakeSeed()}
	t.Cleanup(func() { a.tap.report(t, "at the tap") })
	return a
}

// newWireAudit is for a host in another process: it looks at the cable alone.
func newWireAudit(t testing.TB, at *lab.Host, asked ...netip.Addr) {
	t.Helper()
	s := newScan(at, asked)
	stop := capture(t, at, asked[0], func(sent bool, b []byte) { s.packet(sent, b) })
	t.Cleanup(func() {
		if !stop() {
			t.Error("tcpdump missed packets")
		}
		s.report(t, "on the cable")
	})
}

// Tap is for the connections of the host.
func (a *audit) Tap(e *rawtcp.Event) {
	if e.Packet == nil || e.ICMP != nil || e.Err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tap.why, a.tap.judgment = e.Reason.Kind, e.Judgment
	if p := a.tap.packet(e.Sent, e.Packet); e.Sent && p != nil {
		h := a.hash(e.Packet)
		a.sent[h] = append(a.sent[h], idOf(p))
	}
}

// hash identifies a packet. A checksum of 0 and one of 0xffff are the same to TCP, and
// where it is left to the kernel that writes the latter.
func (a *audit) hash(b []byte) uint64 {
	at := 20 + 16
	if b[0]>>4 == 6 {
		at = 40 + 16
	}
	if at+2 <= len(b) && binary.BigEndian.Uint16(b[at:]) == 0xffff {
		b = slices.Clone(b)
		b[at], b[at+1] = 0, 0
	}
	return maphash.Bytes(a.seed, b)
}

// compare finds the packets that only one of the two has seen.
func (a *audit) compare(t testing.TB, complete bool) {
	unknown, missing, forgiven := 0, 0, false
	for h, ids := range a.seen {
		if n := len(ids) - len(a.sent[h]); n > 0 {
			if unknown += n; unknown == n {
				t.Errorf("on the cable, but not at the tap: %v", ids[0])
			}
		}
	}
	again := map[packetID]bool{} // the cable saw it
	for _, ids := range a.seen {
		for _, id := range ids {
			again[id.text()] = true
		}
	}
	for h, ids := range a.sent {
		n := len(ids) - len(a.seen[h])
		if n <= 0 || !complete {
			continue
		}
		// Under load the kernel drops a packet now and then between the raw socket and
		// the device, and does not say so. Then TCP sends what it carried again.
		if n == 1 && ids[0].len > 0 && again[ids[0].text()] && !forgiven {
			forgiven = true
			t.Logf("the kernel has lost %v, which was sent again", ids[0])
			continue
		}
		if missing += n; missing == n {
			t.Errorf("at the tap, but not on the cable: %v", ids[0])
		}
	}
	if unknown > 1 {
		t.Errorf("on the cable, but not at the tap: %d packets", unknown)
	}
	if missing > 1 {
		t.Errorf("at the tap, but not on the cable: %d packets", missing)
	}
}

// A packetID says which packet it was.
type packetID struct {
	flow
	flags    stack.Flags
	seq, ack stack.Seq
	len      int
}

func idOf(p *wire.Packet) packetID {
	return packetID{flowOf(p), p.Flags, p.Seq, p.Ack, len(p.Payload)}
}

// text says what it carried, whatever it acknowledged.
func (p packetID) text() packetID {
	p.flags, p.ack = 0, 0
	return p
}

func (p packetID) String() string {
	return fmt.Sprintf("%v → %v %v Seq %d Ack %d Len %d", p.src, p.dst, p.flags, p.seq, p.ack, p.len)
}

// A flow is one direction of a connection.
type flow struct{ src, dst netip.AddrPort }

func flowOf(p *wire.Packet) flow {
	return flow{netip.AddrPortFrom(p.Src, p.SrcPort), netip.AddrPortFrom(p.Dst, p.DstPort)}
}

// A scan is told every packet of a host and keeps the peers' windows itself.
type scan struct {
	own, asked []netip.Addr
	conns      map[flow]*watched // as the host sends
	sent       int
	problems   []string

	// What only the Tap knows of the packet at hand.
	why      stack.ReasonKind
	judgment *stack.Judgment
}

func newScan(at *lab.Host, asked []netip.Addr) scan {
	s := scan{conns: map[flow]*watched{}}
	s.own = []netip.Addr{at.IPv4, at.IPv6, at.LinkLocal.WithZone("")}
	for _, addr := range asked {
		s.asked = append(s.asked, addr.WithZone(""))
	}
	return s
}

// watched is one connection, as seen from outside.
type watched struct {
	sentSYN, gotSYN *wire.Packet
	shift           uint8
	edge            stack.Seq // the right edge of the peer's window, where it lay furthest
	open            bool      // edge is known
	window          int       // as the peer gave it last
	acked           stack.Seq
	reset           bool
}

// packet looks at an IP packet and returns the segment in it, or nil.
func (s *scan) packet(sent bool, b []byte) *wire.Packet {
	p := new(wire.Packet)
	if err := wire.Parse(b, p); err != nil {
		if sent {
			s.notTCP(b, err)
		}
		return nil
	}
	f := flowOf(p)
	if !sent {
		f.src, f.dst = f.dst, f.src
	}
	c := s.conns[f]
	if c == nil {
		c = new(watched)
		s.conns[f] = c
	}
	if sent {
		s.sent++
		s.leaves(c, p, b)
	} else if p.Checksum != stack.ChecksumWrong {
		s.arrives(c, p)
	}
	return p
}

// notTCP: the neighbours must be found, and the test marks the end. Nothing
// else has a reason to leave.
func (s *scan) notTCP(b []byte, err error) {
	const icmpv6, udp = 58, 17
	switch {
	case err == wire.ErrNotTCP && b[0]>>4 == 6 && b[6] == icmpv6 && b[40] > 127: // no error
	case err == wire.ErrNotTCP && b[0]>>4 == 6 && b[6] == 0 && b[40] == icmpv6: // multicast listener report
	case err == wire.ErrNotTCP && b[0]>>4 == 6 && b[6] == udp:
	case err == wire.ErrNotTCP && b[0]>>4 == 4 && b[9] == udp:
	default:
		s.problem("a packet that is not TCP left: %v: %x", err, b[:min(len(b), 80)])
	}
}

func (s *scan) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func (s *scan) leaves(c *watched, p *wire.Packet, b []byte) {
	id := idOf(p)
	if !slices.Contains(s.own, p.Src) || !slices.Contains(s.asked, p.Dst) {
		s.problem("nobody asked for this address: %v", id)
	}
	if !sumsAreRight(b) {
		s.problem("wrong checksum: %v: %x", id, b)
	}
	syn := p.Flags.Has(stack.SYN)
	if syn && (c.sentSYN == nil || c.sentSYN.Seq != p.Seq) {
		if !p.Flags.Has(stack.ACK) && (c.sentSYN != nil || c.reset) {
			*c = watched{}
		}
		c.sentSYN = keep(p)
		c.agree()
	}
	if c.reset && !p.Flags.Has(stack.RST) {
		s.problem("sent after a RST: %v", id)
	}
	if p.Flags.Has(stack.RST) {
		c.reset = true
		return
	}
	if n := p.Segment.Len(); n > 0 && !syn && (!c.open || c.edge.Less(p.Next())) {
		// RFC 9293, section 3.8.6.1: one octet asks whether the window is open again.
		probe := c.open && n == 1 && p.Next() == c.edge.Add(1) && c.window == 0 &&
			(s.why == stack.ReasonNone || s.why == stack.ReasonWindowProbe)
		if !probe {
			s.problem("beyond the peer's window, which ends at %d (%v): %v", c.edge, c.open, id)
		}
	}
}

func (s *scan) arrives(c *watched, p *wire.Packet) {
	syn := p.Flags.Has(stack.SYN)
	if syn && (c.gotSYN == nil || c.gotSYN.Seq != p.Seq) {
		if !p.Flags.Has(stack.ACK) && (c.gotSYN != nil || c.reset) {
			*c = watched{}
		}
		c.gotSYN = keep(p)
		c.agree()
	}
	if s.judgment != nil && s.judgment.Verdict == stack.VerdictReset {
		c.reset = true
	}
	if !p.Flags.Has(stack.ACK) || p.Flags.Has(stack.RST) {
		return
	}
	window := int(p.Window) << c.shift
	if syn { // RFC 7323, section 2.2
		window = int(p.Window)
	}
	if edge := p.Ack.Add(window); !c.open || c.edge.Less(edge) {
		c.edge = edge
	}
	if !c.open || c.acked.LessEq(p.Ack) {
		c.acked, c.window = p.Ack, window
	}
	c.open = true
}

// agree finds the peer's window scale once both have sent a SYN (RFC 7323,
// section 2.2).
func (c *watched) agree() {
	if c.sentSYN != nil && c.gotSYN != nil && c.sentSYN.Options.HasWindowScale && c.gotSYN.Options.HasWindowScale {
		c.shift = min(c.gotSYN.Options.WindowScale, 14)
	}
}

func keep(p *wire.Packet) *wire.Packet {
	q := *p
	q.Payload, q.RawOptions = nil, nil
	return &q
}

func (s *scan) report(t testing.TB, where string) {
	t.Logf("%s: %d packets sent", where, s.sent)
	for _, p := range s.problems[:min(len(s.problems), 5)] {
		t.Errorf("%s: %s", where, p)
	}
	if n := len(s.problems); n > 5 {
		t.Errorf("%s: %d problems in all", where, n)
	}
}

// sumsAreRight checks the checksums of IPv4 and TCP as RFC 1071 describes them,
// with no code of ours. The packet has no IP options or extension headers.
func sumsAreRight(b []byte) bool {
	header, addrs, v4 := b[:20], b[12:20], b[0]>>4 == 4
	if !v4 {
		header, addrs = b[:40], b[8:40]
	}
	segment := b[len(header):]
	const tcp = 6
	pseudo := uint32(len(segment) + tcp)
	return onesSum(pseudo, addrs, segment) == 0xffff && (!v4 || onesSum(0, header) == 0xffff)
}

func onesSum(sum uint32, parts ...[]byte) uint16 {
	for _, b := range parts {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}
