package rawtcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// A stranger writes packets by hand to a Host with a listener on port 80 of
// every address, and reads what comes back.
type stranger struct {
	t    *testing.T
	link Link
}

func newStranger(t *testing.T, here, there netip.Addr) *stranger {
	mine, theirs := MemoryPair(here, there, 1500)
	h := NewHost(theirs)
	t.Cleanup(func() { h.Close() })
	network := "tcp4"
	if here.Is6() {
		network = "tcp6"
	}
	if _, err := (&ListenConfig{Host: h}).Listen(context.Background(), network, ":80"); err != nil {
		t.Fatal(err)
	}
	return &stranger{t, mine}
}

// send writes a segment; spoil, if not nil, changes the packet first.
func (s *stranger) send(src, dst netip.Addr, seg stack.Segment, spoil func([]byte)) {
	s.t.Helper()
	b, err := wire.AppendHeaders(nil, &wire.Packet{Src: src, Dst: dst, TTL: 64, ID: 1, Segment: seg})
	if err != nil {
		s.t.Fatal(err)
	}
	if b = append(b, seg.Payload...); spoil != nil {
		spoil(b)
	}
	write(s.t, s.link, dst, b)
}

// expect reads the next segment.
func (s *stranger) expect(flags stack.Flags, dstPort uint16) stack.Segment {
	s.t.Helper()
	var p wire.Packet
	if err := wire.Parse(read(s.t, s.link, 1)[0], &p); err != nil {
		s.t.Fatal(err)
	}
	if p.Flags != flags || p.DstPort != dstPort {
		s.t.Fatalf("got %v to port %d, want %v to port %d", p.Flags, p.DstPort, flags, dstPort)
	}
	return p.Segment
}

func syn(port uint16) stack.Segment {
	return stack.Segment{SrcPort: port, DstPort: 80, Seq: 100, Flags: stack.SYN, Window: 1000}
}

// MUST-3: what has a wrong checksum never was, for a listener and for a
// connection.
func TestWrongChecksum(t *testing.T) {
	spoil := func(b []byte) { b[len(b)-1] ^= 1 }
	s := newStranger(t, addrA, addrB)
	wrong := syn(1)
	wrong.Payload = []byte("x")
	s.send(addrA, addrB, wrong, spoil)
	s.send(addrA, addrB, syn(2), nil)
	synack := s.expect(stack.SYN|stack.ACK, 2)

	seg := stack.Segment{SrcPort: 2, DstPort: 80, Seq: 101, Ack: synack.Seq + 1, Flags: stack.ACK, Window: 1000}
	s.send(addrA, addrB, seg, nil)
	seg.Payload, seg.Flags = []byte("hello"), stack.ACK|stack.FIN
	s.send(addrA, addrB, seg, spoil)
	rst := seg
	rst.Flags = stack.RST
	s.send(addrA, addrB, rst, spoil)
	seg.Payload = []byte("world")
	s.send(addrA, addrB, seg, nil)
	if got := s.expect(stack.ACK, 2); got.Ack != 101+5+1 {
		t.Errorf("acknowledged up to %d, want %d: the FIN with the right checksum and no other", got.Ack, 101+5+1)
	}
}

// MUST-57, MUST-63: no answer to a SYN that concerns a group of hosts, or comes
// from nobody. The one from a neighbour, behind it, gets the first answer.
func TestSYNOfNoHost(t *testing.T) {
	v6A, v6B := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	for _, tc := range []struct{ src, dst string }{
		{"", "255.255.255.255"},
		{"", "224.0.0.1"},
		{"", "239.255.255.250"},
		{"255.255.255.255", ""},
		{"224.0.0.1", ""},
		{"0.0.0.0", ""},
		{"", "ff02::1"},
		{"ff02::1", ""},
		{"::", ""},
	} {
		t.Run(tc.src+">"+tc.dst, func(t *testing.T) {
			a, b := addrA, addrB
			if strings.Contains(tc.src+tc.dst, ":") {
				a, b = v6A, v6B
			}
			src, dst := a, b
			if tc.src != "" {
				src = netip.MustParseAddr(tc.src)
			}
			if tc.dst != "" {
				dst = netip.MustParseAddr(tc.dst)
			}
			s := newStranger(t, a, b)
			s.send(src, dst, syn(1), nil)
			s.send(a, b, syn(2), nil)
			s.expect(stack.SYN|stack.ACK, 2)
		})
	}
}

// MUST-46.
func TestDialRefusesWhatIsNoHost(t *testing.T) {
	a, _ := hosts(t)
	for _, address := range []string{"255.255.255.255:80", "224.0.0.1:80", "0.0.0.0:80", "[ff02::1]:80", "[::]:80"} {
		_, err := (&Dialer{Host: a, Timeout: time.Second}).Dial("tcp", address)
		if wrong := (*net.AddrError)(nil); !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want an AddrError", address, err)
		}
	}
}
