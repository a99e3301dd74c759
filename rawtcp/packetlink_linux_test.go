package rawtcp

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"

	"github.com/vishvananda/netlink"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// A packetPair is a packet link here, and what arrives for one port there.
type packetPair struct {
	*twoHosts
	link Link
	from netip.Addr
	to   netip.AddrPort
	out  Link // of there
	seq  stack.Seq
}

func newPacketPair(t *testing.T, from, to netip.Addr) *packetPair {
	t.Helper()
	p := &packetPair{twoHosts: newTwoHosts(t), from: from}
	link, err := newPacketLink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { link.Close() })
	p.link = link
	if to.IsLoopback() {
		p.out = openLink(t)
		p.to, _, err = p.out.Reserve(netip.AddrPortFrom(to, 0))
	} else {
		_, p.out = p.links()
		any := netip.IPv4Unspecified()
		if to.Is6() {
			any = netip.IPv6Unspecified()
		}
		p.there(func() { p.to, _, err = p.out.Reserve(netip.AddrPortFrom(any, 0)) })
		p.to = netip.AddrPortFrom(to, p.to.Port())
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// send sends so many octets in pieces of at most size.
func (p *packetPair) send(n, size int) (wire.Packet, error) {
	p.t.Helper()
	pkt := wire.Packet{
		Src: p.from.WithZone(""), Dst: p.to.Addr().WithZone(""), TTL: 64, ID: 1, DF: true,
		Segment: stack.Segment{
			SrcPort: 80, DstPort: p.to.Port(), Seq: p.seq, Flags: stack.ACK | stack.PSH,
			Payload: bytes.Repeat([]byte("some octets "), n/12+1)[:n], GSOSize: size,
		},
	}
	p.seq = p.seq.Add(n)
	header, err := wire.AppendHeaders(nil, &pkt)
	if err != nil {
		p.t.Fatal(err)
	}
	_, err = p.link.WriteBatch([]Outgoing{{Dst: p.to.Addr(), Header: header, Payload: pkt.Payload, GSOSize: size}})
	return pkt, err
}

// arrives expects what was sent, and tells in how many packets it came.
func (p *packetPair) arrives(want wire.Packet) (packets int) {
	p.t.Helper()
	var got []byte
	for len(got) < len(want.Payload) {
		var piece wire.Packet
		if err := wire.Parse(read(p.t, p.out, 1)[0], &piece); err != nil {
			p.t.Fatal(err)
		}
		if piece.Checksum == stack.ChecksumWrong || piece.Seq != want.Seq.Add(len(got)) {
			p.t.Fatalf("checksum %v, Seq %d after %d octets", piece.Checksum, piece.Seq, len(got))
		}
		got = append(got, piece.Payload...)
		packets++
	}
	if !bytes.Equal(got, want.Payload) {
		p.t.Fatal("other octets arrived")
	}
	return packets
}

// pass sends and expects that it arrives in so many packets.
func (p *packetPair) pass(n, size, packets int) {
	p.t.Helper()
	pkt, err := p.send(n, size)
	if err != nil {
		p.t.Fatal(err)
	}
	if got := p.arrives(pkt); got != packets {
		p.t.Errorf("%d octets came in %d packets, want %d", n, got, packets)
	}
}

func TestPacketLink(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to netip.Addr
	}{
		{"IPv4", here4, there4},
		{"IPv6", here6, there6},
		{"link-local", hereLL, thereLL.WithZone("here")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPacketPair(t, tt.from, tt.to)
			if route, err := p.link.Route(tt.to); err != nil || route.Offload != maxOffload || route.MTU != 1500 {
				t.Fatalf("route: %+v, %v", route, err)
			}
			p.pass(3000, 1000, 3) // the neighbour is not known yet: through the raw socket
			p.pass(60000, 1000, 1)
			p.pass(500, 1000, 1)
			p.pass(700, 0, 1) // with a checksum of ours
			if _, err := p.send(3000, 1481); err == nil || err.Error() != "message too long" {
				t.Errorf("pieces larger than the MTU: %v", err)
			}
		})
	}
}

// The loopback takes nothing from a packet socket that IPv4 would route, so it
// gets what it always gets: whole packets, up to 64 KiB.
func TestPacketLinkOnTheLoopback(t *testing.T) {
	for _, addr := range []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()} {
		t.Run(addr.String(), func(t *testing.T) {
			p := newPacketPair(t, addr, addr)
			if route, err := p.link.Route(addr); err != nil || route.Offload != 0 || route.MTU != 65535 {
				t.Fatalf("route: %+v, %v", route, err)
			}
			p.pass(65000, 0, 1)
		})
	}
}

// The kernel learns of a stale neighbour that it is in use, and the link of one
// that has another address now.
func TestPacketLinkFollowsTheNeighbour(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to netip.Addr
	}{{"IPv4", here4, there4}, {"IPv6", here6, there6}} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPacketPair(t, tt.from, tt.to)
			if _, err := p.link.Route(tt.to); err != nil {
				t.Fatal(err)
			}
			p.pass(100, 1000, 1)
			device := up(t, "here").Attrs().Index
			state := func() int {
				t.Helper()
				list, err := netlink.NeighList(device, netlink.FAMILY_ALL)
				if err != nil {
					t.Fatal(err)
				}
				for _, n := range list {
					if n.IP.Equal(tt.to.AsSlice()) {
						return n.State
					}
				}
				return 0
			}
			set := func(state int, mac string) {
				t.Helper()
				hw, err := net.ParseMAC(mac)
				if err != nil {
					t.Fatal(err)
				}
				if err := netlink.NeighSet(&netlink.Neigh{LinkIndex: device, IP: tt.to.AsSlice(), State: state, HardwareAddr: hw}); err != nil {
					t.Fatal(err)
				}
			}
			move := func(mac string) {
				t.Helper()
				p.there(func() {
					hw, err := net.ParseMAC(mac)
					if err == nil {
						err = netlink.LinkSetHardwareAddr(up(t, "there"), hw)
					}
					if err != nil {
						t.Fatal(err)
					}
				})
			}
			move("02:00:00:00:00:77")
			set(netlink.NUD_PERMANENT, "02:00:00:00:00:77")
			p.pass(20000, 1000, 1)
			move("02:00:00:00:00:88")
			set(netlink.NUD_STALE, "02:00:00:00:00:88")
			p.pass(20000, 1000, 20) // the raw socket's
			if s := state(); s&(netlink.NUD_DELAY|netlink.NUD_PROBE|netlink.NUD_REACHABLE) == 0 {
				t.Errorf("the kernel does not know that the neighbour is in use: state %#x", s)
			}
			p.pass(20000, 1000, 1)
		})
	}
}

// Where the way is no Ethernet, the link says so.
func TestPacketLinkNeedsEthernet(t *testing.T) {
	newTwoHosts(t)
	tun := &netlink.Tuntap{LinkAttrs: netlink.LinkAttrs{Name: "tun9"}, Mode: netlink.TUNTAP_MODE_TUN}
	if err := netlink.LinkAdd(tun); err != nil {
		missing(t, "no tun device can be made here: "+err.Error())
	}
	address(t, "tun9", "10.10.0.1/24")
	link, err := newPacketLink()
	if err != nil {
		t.Fatal(err)
	}
	defer link.Close()
	const want = "the way to 10.10.0.2 is through tun9, which is no Ethernet (none)"
	if _, err := link.Route(netip.MustParseAddr("10.10.0.2")); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestPacketLinkAllocatesNothing(t *testing.T) {
	p := newPacketPair(t, here4, there4)
	if _, err := p.link.Route(there4); err != nil {
		t.Fatal(err)
	}
	p.pass(100, 1000, 1)
	pkt, err := p.send(20000, 1000)
	if err != nil {
		t.Fatal(err)
	}
	header, err := wire.AppendHeaders(nil, &pkt)
	if err != nil {
		t.Fatal(err)
	}
	out := []Outgoing{{Dst: there4, Header: header, Payload: pkt.Payload, GSOSize: 1000}}
	if n := testing.AllocsPerRun(100, func() { p.link.WriteBatch(out) }); n != 0 {
		t.Errorf("writing a packet allocates %v times", n)
	}
}

// A packet that the raw socket refuses is the one that is said to be refused.
func TestPacketLinkRefuses(t *testing.T) {
	loopback := netip.MustParseAddr("127.0.0.1")
	p := newPacketPair(t, loopback, loopback)
	if _, err := p.link.Route(loopback); err != nil { // opens it
		t.Fatal(err)
	}
	header, err := wire.AppendHeaders(nil, &wire.Packet{Src: loopback, Dst: loopback, TTL: 64, ID: 1, DF: true})
	if err != nil {
		t.Fatal(err)
	}
	fits, large := make([]byte, 1000), make([]byte, 1<<16)
	packets := []Outgoing{
		{Dst: loopback, Header: header, Payload: fits},
		{Dst: loopback, Header: header, Payload: large},
		{Dst: loopback, Header: header, Payload: fits},
	}
	if n, err := p.link.WriteBatch(packets); n != 1 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("%d packets went, %v; want 1, %v", n, err, syscall.EMSGSIZE)
	}
}
