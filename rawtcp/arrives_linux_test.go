package rawtcp_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/conformance"
)

// TestSegmentArrives plays the table of package conformance on a cable: a packet
// TestMalformedSegments: a segment that cannot be read is as if it had never come,
// and does no harm. Options that cannot be read are as if they were not there.
func TestMalformedSegments(t *testing.T) {
	options := func(options ...byte) func(tcp []byte) []byte {
		return func(tcp []byte) []byte {
			tcp = slices.Insert(tcp, 20, options...)
			tcp[12] += byte(len(options) / 4 << 4)
			return tcp
		}
	}
	set := func(at int, to byte) func(tcp []byte) []byte {
		return func(tcp []byte) []byte { tcp[at] = to; return tcp }
	}
	onCable := func(t *testing.T, v6 bool) {
		c := newCrafter(t, v6)
		for _, tc := range []struct {
			name  string
			taken bool
			edit  func(tcp []byte) []byte // before its checksum is computed
		}{
			{"as it should be", true, func(tcp []byte) []byte { return tcp }},
			{"a header of 16 octets", false, set(12, 4<<4)},
			{"a header of none", false, set(12, 0)},
			{"a header longer than the packet", false, set(12, 15<<4)},
			{"less than a header", false, func(tcp []byte) []byte { return tcp[:19] }},
			{"a few octets", false, func(tcp []byte) []byte { return tcp[:4] }},
			{"reserved bits", true, set(12, 5<<4|0xe)},
			{"AE, CWR and ECE", true, func(tcp []byte) []byte { tcp[12] |= 1; tcp[13] |= 0xc0; return tcp }},
			{"an option of length 0", true, options(99, 0, 0, 0)},
			{"an option of length 1", true, options(99, 1, 1, 1)},
			{"an option beyond the header", true, options(1, 99, 40, 0)},
			{"an option without a length", true, options(1, 1, 1, 99)},
			{"timestamps too short", true, options(8, 4, 0, 0)},
			{"SACK of half a block", true, options(5, 6, 0, 0, 0, 1, 0, 0)},
			{"no option but the end", true, options(0, 99, 99, 99)},
			{"a window scale behind the SYN", true, options(3, 3, 14, 0)},
		} {
			c.port++
			before := c.established(80).Snapshot()
			seg := stack.Segment{
				SrcPort: c.port, DstPort: 80, Seq: before.RcvNxt, Ack: before.SndNxt,
				Flags: stack.ACK, Window: 60000, Payload: []byte("hello"),
			}
			b := c.packet(&seg, tc.edit)
			c.forger.Send(b)
			b[len(b)-1]++ // and now the checksum is wrong
			c.forger.Send(b)

			// What it asks for is the ACK of what was taken.
			seg.Seq, seg.Payload = seg.Seq.Add(-1), nil
			_, sent := c.send(&seg)
			want := before.RcvNxt
			if tc.taken {
				want = want.Add(5)
			}
			if got := sent[len(sent)-1]; got.Flags != stack.ACK || got.Ack != want {
				t.Errorf("%s: expected the Ack %d, actual %v %d", tc.name, want, got.Flags, got.Ack)
			}
		}
	}
	t.Run("IPv4", func(t *testing.T) { onCable(t, false) })
	t.Run("IPv6", func(t *testing.T) { onCable(t, true) })
}

// crafter is the peer, whose kernel is silent.
func TestSegmentArrives(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			c := newCrafter(t, v6)
			for _, a := range conformance.Arrivals() {
				if err := c.play(&a); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// A SYN that seems to come from the very port that it goes to opens nothing: a
// connection with itself would answer itself.
// MUST-63.
func TestSYNFromItself(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		c := newCrafter(t, v6)
		them := c.them
		c.them = c.us
		c.forge(&stack.Segment{SrcPort: 80, DstPort: 80, Seq: craftedISN, Flags: stack.SYN, Window: 60000})
		c.them, c.port = them, 3000
		c.received(80) // which came behind it
		c.mu.Lock()
		if events := c.events[80]; len(events) > 0 {
			t.Errorf("%v: it was taken, and %d packets told of it", c.us, len(events))
		}
		c.mu.Unlock()
	}
}

// crafter is the peer of a Host: it makes each segment itself, and is told by the
// Host's Tap what comes of it. No answer is waited for in vain: what a segment
// leads to at once is told before the Host's lock is free again.
type crafter struct {
	*testing.T
	forger     *labtest.Forger
	us, them   netip.Addr
	dialer     rawtcp.Dialer
	open, shut *rawtcp.Listener
	port       uint16 // of the peer, another one for each connection

	mu     sync.Mutex
	events map[uint16][]*rawtcp.Event // by the peer's port
}

const craftedISN stack.Seq = 1<<32 - 9

func newCrafter(t *testing.T, v6 bool) *crafter {
	pair := labtest.NewPair(t)
	if err := pair.B.Nft("table inet t { chain c { type filter hook input priority 0; meta l4proto tcp drop; }; }"); err != nil {
		t.Fatal(err)
	}
	c := &crafter{
		T: t, forger: labtest.NewForger(t, pair.B), port: 2000,
		us: pair.A.Address(v6), them: pair.B.Address(v6), events: map[uint16][]*rawtcp.Event{},
	}
	// What would come by itself, does not come while the test runs.
	cfg := stack.Config{InitialRTO: time.Minute, MinRTO: time.Minute}
	host := newHost(t, rawLink(t, pair.A))
	c.dialer = rawtcp.Dialer{Host: host, Config: cfg, Tap: c.tap}
	c.open = c.listen(host, cfg, 80)
	c.shut = c.listen(host, cfg, 81)
	c.established(81) // keeps the port of the listener that is gone
	c.shut.Close()
	return c
}

func (c *crafter) listen(h *rawtcp.Host, cfg stack.Config, port uint16) *rawtcp.Listener {
	lc := rawtcp.ListenConfig{Host: h, Config: cfg, Tap: c.tap, Backlog: 1000}
	l, err := lc.Listen(c.Context(), "tcp", netip.AddrPortFrom(c.us, port).String())
	if err != nil {
		c.Fatal(err)
	}
	return l.(*rawtcp.Listener)
}

func (c *crafter) tap(e *rawtcp.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.Packet != nil {
		c.events[e.Remote.Port()] = append(c.events[e.Remote.Port()], e.Clone())
	}
}

// await waits for a packet of this connection, sent or received, behind the first n.
func (c *crafter) await(n int, sent bool) (event *rawtcp.Event, place int) {
	for start := time.Now(); time.Since(start) < 20*time.Second; time.Sleep(50 * time.Microsecond) {
		for i, e := range c.told(n) {
			if e.Sent == sent {
				return e, n + i
			}
		}
	}
	c.Fatalf("port %d: nothing after %d packets", c.port, n)
	return nil, 0
}

// told is what is known of this connection, but for the first n packets.
func (c *crafter) told(n int) []*rawtcp.Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.events[c.port][n:]
}

// send makes a segment arrive, and returns what the Host says of it, and all that it
// has sent until then and at once.
func (c *crafter) send(seg *stack.Segment) (*rawtcp.Event, []stack.Segment) {
	n := len(c.told(0))
	c.forge(seg)
	for at := n; ; at++ {
		e, place := c.await(at, false)
		at = place
		if got := &e.Segment; got.Seq == seg.Seq && got.Flags == seg.Flags && len(got.Payload) == len(seg.Payload) {
			return e, c.answers(n)
		}
	}
}

func (c *crafter) forge(seg *stack.Segment) {
	b, err := wire.AppendHeaders(nil, &wire.Packet{Src: c.them, Dst: c.us, TTL: 64, ID: 1, Segment: *seg})
	if err != nil {
		c.Fatal(err)
	}
	c.forger.Send(append(b, seg.Payload...))
}

// answers is what was sent behind the first n packets, once the Host has done
// its work.
func (c *crafter) answers(n int) (sent []stack.Segment) {
	c.open.SetDeadline(time.Time{}) // takes the lock
	for _, e := range c.told(n) {
		if e.Sent {
			sent = append(sent, e.Segment)
		}
	}
	return sent
}

// play brings a connection to the state and has the segment arrive there.
func (c *crafter) play(a *conformance.Arrival) error {
	c.port++
	before := c.reach(a.In)
	seg := a.Segment(before)
	switch {
	case a.In == "TW" && a.What == "SYN" && a.Seq == "edge":
		return nil // it opens a new connection, for there is a listener (MAY-2)
	case a.In == "L" && a.Answer == "-": // there is nobody to tell: a RST comes behind it
		c.forge(&seg)
		_, sent := c.send(&stack.Segment{SrcPort: c.port, DstPort: 80, Flags: stack.RST})
		return a.Check(before, &seg, sent)
	}
	n := len(c.told(0))
	e, sent := c.send(&seg)
	switch {
	case a.Answer == "d" && len(sent) == 0:
		c.await(n, true)
		sent = c.answers(n)
	case a.In == "L" && len(sent) > 0:
		before.ISS = sent[0].Seq
	}
	if err := a.Check(before, &seg, sent); err != nil {
		return err
	}
	if want := conformance.States[a.Next]; e.State != want && (a.In != "L" || a.Next != "L") { // it makes a Conn of its own
		return fmt.Errorf("%v: expected %v, actual %v", a, want, e.State)
	}
	return nil
}

// reach opens a connection and brings it to a state of the table.
func (c *crafter) reach(state string) *stack.Snapshot {
	switch state {
	case "C":
		return &stack.Snapshot{LocalPort: 81, RemotePort: c.port, SndNxt: 77}
	case "L":
		return &stack.Snapshot{LocalPort: 80, RemotePort: c.port, SndNxt: 77}
	case "SR":
		return c.received(80)
	case "SS", "SA":
		ctx, cancel := context.WithCancel(context.Background())
		c.Cleanup(cancel)
		go c.dialer.DialContext(ctx, "tcp", netip.AddrPortFrom(c.them, c.port).String())
		syn, _ := c.await(0, true)
		s := snapshotOf(syn)
		if state == "SA" {
			_, sent := c.send(&stack.Segment{SrcPort: s.RemotePort, DstPort: s.LocalPort, Seq: craftedISN, Flags: stack.SYN, Window: 60000})
			s.RcvNxt, s.RcvWnd = sent[0].Ack, int(sent[0].Window)
		}
		return s
	}
	conn := c.established(80)
	from := func(flags stack.Flags, ack func(stack.Snapshot) stack.Seq) {
		s := conn.Snapshot()
		c.send(&stack.Segment{SrcPort: s.RemotePort, DstPort: s.LocalPort, Seq: s.RcvNxt, Ack: ack(s), Flags: flags | stack.ACK, Window: 60000})
	}
	all := func(s stack.Snapshot) stack.Seq { return s.SndNxt }
	none := func(s stack.Snapshot) stack.Seq { return s.SndUna }
	switch state {
	case "F1":
		conn.CloseWrite()
	case "F2":
		conn.CloseWrite()
		from(0, all)
	case "CW":
		from(stack.FIN, all)
	case "CG":
		conn.CloseWrite()
		from(stack.FIN, none)
	case "LA":
		from(stack.FIN, all)
		conn.CloseWrite()
	case "TW":
		conn.CloseWrite()
		from(stack.FIN, all)
	}
	s := conn.Snapshot()
	if s.State != conformance.States[state] {
		c.Fatalf("expected %v, actual %v", conformance.States[state], s.State)
	}
	return &s
}

// received opens a connection to a port of ours as far as SYN-RECEIVED.
func (c *crafter) received(port uint16) *stack.Snapshot {
	_, sent := c.send(&stack.Segment{SrcPort: c.port, DstPort: port, Seq: craftedISN, Flags: stack.SYN, Window: 60000, Options: stack.Options{MSS: 1000}})
	if len(sent) != 1 {
		c.Fatalf("%d segments for a SYN", len(sent))
	}
	e, _ := c.await(0, true)
	return snapshotOf(e)
}

// snapshotOf is what our SYN tells of its connection.
func snapshotOf(e *rawtcp.Event) *stack.Snapshot {
	syn := &e.Segment
	return &stack.Snapshot{
		LocalPort: syn.SrcPort, RemotePort: syn.DstPort,
		ISS: syn.Seq, SndUna: syn.Seq, SndNxt: syn.Seq.Add(1), RcvNxt: syn.Ack, RcvWnd: int(syn.Window),
	}
}

// established opens a connection to a port of ours.
func (c *crafter) established(port uint16) *rawtcp.Conn {
	s := c.received(port)
	c.send(&stack.Segment{SrcPort: c.port, DstPort: port, Seq: s.RcvNxt, Ack: s.SndNxt, Flags: stack.ACK, Window: 60000})
	l := map[uint16]*rawtcp.Listener{80: c.open, 81: c.shut}[port]
	for {
		conn, err := l.Accept() // those of SYN-RECEIVED, too
		if err != nil {
			c.Fatal(err)
		}
		if conn.RemoteAddr().(*net.TCPAddr).Port == int(c.port) {
			return conn.(*rawtcp.Conn)
		}
	}
}

// packet is the IP packet of a segment that was edited.
func (c *crafter) packet(seg *stack.Segment, edit func(tcp []byte) []byte) []byte {
	b, err := wire.AppendHeaders(nil, &wire.Packet{Src: c.them, Dst: c.us, TTL: 64, ID: 1, Segment: *seg})
	if err != nil {
		c.Fatal(err)
	}
	ip, addrs := 20, b[12:20]
	if c.us.Is6() {
		ip, addrs = 40, b[8:40]
	}
	tcp := edit(append(b[ip:len(b):len(b)], seg.Payload...))
	if len(tcp) > 17 {
		tcp[16], tcp[17] = 0, 0
		binary.BigEndian.PutUint16(tcp[16:], ^onesSum(uint32(len(tcp)+6), addrs, tcp))
	}
	if c.us.Is6() { // the kernel sets the length of IPv4
		binary.BigEndian.PutUint16(b[4:], uint16(len(tcp)))
	}
	return append(b[:ip:ip], tcp...)
}
