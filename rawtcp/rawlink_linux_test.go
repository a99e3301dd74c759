package rawtcp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// packet makes an IP packet as gopacket does, which knows nothing of our code.
func packet(t *testing.T, src, dst netip.AddrPort, tcp layers.TCP, payload string) []byte {
	t.Helper()
	tcp.SrcPort, tcp.DstPort = layers.TCPPort(src.Port()), layers.TCPPort(dst.Port())
	tcp.Window = 1000
	return serialize(t, src.Addr(), dst.Addr(), layers.IPProtocolTCP, &tcp, gopacket.Payload(payload))
}

func serialize(t *testing.T, src, dst netip.Addr, protocol layers.IPProtocol, upper ...gopacket.SerializableLayer) []byte {
	t.Helper()
	var ip gopacket.SerializableLayer
	var network gopacket.NetworkLayer
	if src.Is4() {
		ip4 := &layers.IPv4{Version: 4, TOS: 0xb8, Id: 7, TTL: 64, Flags: layers.IPv4DontFragment, Protocol: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		ip, network = ip4, ip4
	} else {
		ip6 := &layers.IPv6{Version: 6, TrafficClass: 0xb8, FlowLabel: 0xabcde, HopLimit: 77, NextHeader: protocol, SrcIP: src.AsSlice(), DstIP: dst.AsSlice()}
		ip, network = ip6, ip6
	}
	for _, l := range upper {
		if l, ok := l.(interface {
			SetNetworkLayerForChecksum(gopacket.NetworkLayer) error
		}); ok {
			if err := l.SetNetworkLayerForChecksum(network); err != nil {
				t.Fatal(err)
			}
		}
	}
	buf := gopacket.NewSerializeBuffer()
	err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append([]gopacket.SerializableLayer{ip}, upper...)...)
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestRawLinkDeliversWholePackets(t *testing.T) {
	for _, tt := range []struct {
		name     string
		src, dst netip.Addr
		zone     string // of dst, as the sender sees it
	}{
		{"IPv4", there4, here4, ""},
		{"IPv6", there6, here6, ""},
		{"link-local", thereLL, hereLL, "there"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := newTwoHosts(t).links()
			local := netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
			if tt.dst.Is6() {
				local = netip.AddrPortFrom(netip.IPv6Unspecified(), 0)
			}
			reserved, guard, err := here.Reserve(local)
			if err != nil {
				t.Fatal(err)
			}
			defer guard.Close()
			want := packet(t, netip.AddrPortFrom(tt.src, 80), netip.AddrPortFrom(tt.dst, reserved.Port()), layers.TCP{SYN: true, ACK: true, Seq: 5, Ack: 6}, "hello")
			write(t, there, tt.dst.WithZone(tt.zone), want)
			if got := read(t, here, 1)[0]; !bytes.Equal(got, want) {
				t.Errorf("sent:\n%x\nread:\n%x", want, got)
			}
		})
	}
}

func TestRawLinkDeliversReservedPortsOnly(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to netip.Addr
	}{{"IPv4", there4, here4}, {"IPv6", there6, here6}} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := newTwoHosts(t).links()
			reserve := func(port uint16) io.Closer {
				_, guard, err := here.Reserve(netip.AddrPortFrom(tt.to, port))
				if err != nil {
					t.Fatal(err)
				}
				return guard
			}
			// expect sends to all three ports, each time with another number.
			seq := uint32(0)
			expect := func(ports ...uint16) {
				t.Helper()
				seq++
				var want [][]byte
				for _, port := range []uint16{7, 8, 9} {
					pkt := packet(t, netip.AddrPortFrom(tt.from, 80), netip.AddrPortFrom(tt.to, port), layers.TCP{SYN: true, ACK: true, Seq: seq}, "")
					write(t, there, tt.to, pkt)
					if slices.Contains(ports, port) {
						want = append(want, pkt)
					}
				}
				if diff := cmp.Diff(want, read(t, here, len(want))); diff != "" {
					t.Errorf("with ports %d reserved (-want +got):\n%s", ports, diff)
				}
			}
			seven := reserve(7)
			expect(7)
			reserve(9)
			expect(7, 9)
			seven.Close()
			expect(9)
			seven.Close()
			reserve(7)
			expect(7, 9)
		})
	}
}

func TestRawLinkDeliversICMPErrorsOnly(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to netip.Addr
		protocol layers.IPProtocol
		echo     gopacket.SerializableLayer
		errors   []gopacket.SerializableLayer
	}{
		{"IPv4", there4, here4, layers.IPProtocolICMPv4,
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoReply, 0)},
			[]gopacket.SerializableLayer{
				&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4CodePort)},
				&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeTimeExceeded, 0)},
				&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeParameterProblem, 0)},
			}},
		{"IPv6", there6, here6, layers.IPProtocolICMPv6,
			&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoReply, 0)},
			[]gopacket.SerializableLayer{
				&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeDestinationUnreachable, layers.ICMPv6CodePortUnreachable)},
				&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypePacketTooBig, 0)},
				&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeTimeExceeded, 0)},
				&layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeParameterProblem, 0)},
			}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			here, there := newTwoHosts(t).links()
			if _, err := here.Route(tt.from); err != nil { // opens the sockets
				t.Fatal(err)
			}
			quoted := gopacket.Payload(make([]byte, 60))
			var want [][]byte
			for _, icmp := range tt.errors {
				write(t, there, tt.to, serialize(t, tt.from, tt.to, tt.protocol, tt.echo, quoted))
				pkt := serialize(t, tt.from, tt.to, tt.protocol, icmp, quoted)
				write(t, there, tt.to, pkt)
				want = append(want, pkt)
			}
			if diff := cmp.Diff(want, read(t, here, len(want))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRawLinkSaysWhichPacketFailed(t *testing.T) {
	h := newTwoHosts(t)
	here, there := h.links()
	nft(t, "add table inet t; add chain inet t out { type filter hook output priority 0; }; add rule inet t out tcp dport 7 drop")
	if _, err := here.Route(there4); err != nil {
		t.Fatal(err)
	}
	var port uint16
	h.there(func() {
		reserved, _, err := there.Reserve(netip.AddrPortFrom(there4, 0))
		if err != nil {
			t.Fatal(err)
		}
		port = reserved.Port()
	})
	src := netip.AddrPortFrom(here4, 80)
	good := packet(t, src, netip.AddrPortFrom(there4, port), layers.TCP{ACK: true}, "x")
	for _, tt := range []struct {
		name string
		bad  Outgoing
		want error
	}{
		{"larger than the MTU", Outgoing{Dst: there4, Header: packet(t, src, netip.AddrPortFrom(there4, port), layers.TCP{ACK: true}, strings.Repeat("x", 1461))}, syscall.EMSGSIZE},
		{"dropped by nftables", Outgoing{Dst: there4, Header: packet(t, src, netip.AddrPortFrom(there4, 7), layers.TCP{ACK: true}, "x")}, syscall.EPERM},
		{"no route", Outgoing{Dst: netip.MustParseAddr("192.0.2.1"), Header: good}, syscall.ENETUNREACH},
		{"no such zone", Outgoing{Dst: thereLL.WithZone("nosuch"), Header: good}, syscall.ENODEV},
	} {
		sound := Outgoing{Dst: there4, Header: good}
		pkts := []Outgoing{sound, sound, tt.bad, sound}
		n, err := here.WriteBatch(pkts)
		if n != 2 || !errors.Is(err, tt.want) {
			t.Errorf("%s: took %d, %v; want 2, %v", tt.name, n, err, tt.want)
		}
		if n, err := here.WriteBatch(pkts[3:]); n != 1 || err != nil {
			t.Errorf("%s: behind it took %d, %v", tt.name, n, err)
		}
		read(t, there, 3)
	}
}

func nft(t *testing.T, commands string) {
	t.Helper()
	if out, err := exec.Command("nft", commands).CombinedOutput(); err != nil {
		t.Fatalf("nft (Debian package nftables): %v\n%s", err, out)
	}
}

func TestRawLinkLargeBatches(t *testing.T) {
	h := newTwoHosts(t)
	here, there := h.links()
	var want [][]byte
	var out []Outgoing
	for _, tt := range []struct{ from, to netip.Addr }{{there4, here4}, {there6, here6}} {
		reserved, _, err := here.Reserve(netip.AddrPortFrom(tt.to, 0))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2*batch + 1 { // more than a system call takes
			pkt := packet(t, netip.AddrPortFrom(tt.from, 80), reserved, layers.TCP{ACK: true, Seq: uint32(i)}, "x")
			want = append(want, pkt)
			out = append(out, Outgoing{Dst: tt.to, Header: pkt})
		}
	}
	// Let the kernels find each other's hardware addresses first, which keeps
	// only few packets waiting.
	write(t, there, here4, want[0])
	write(t, there, here6, want[len(want)-1])
	want = append(want, want[0], want[len(want)-1])
	read4, read6 := read(t, here, 1), read(t, here, 1)
	if n, err := there.WriteBatch(out); n != len(out) || err != nil {
		t.Fatalf("WriteBatch took %d of %d: %v", n, len(out), err)
	}
	got := slices.Concat(read4, read6, read(t, here, len(out)))
	slices.SortFunc(got, bytes.Compare) // the families are read as they come
	slices.SortFunc(want, bytes.Compare)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRawLinkWakesForNewSocketsAndClose(t *testing.T) {
	h := newTwoHosts(t)
	here := openLink(t) // without sockets
	var there Link
	h.there(func() {
		there = openLink(t)
		if _, err := there.Route(here6); err != nil {
			t.Fatal(err)
		}
	})
	got := make(chan error)
	go func() {
		for {
			_, err := here.ReadBatch([][]byte{make([]byte, 1500)})
			got <- err
			if err != nil {
				return
			}
		}
	}()
	reserved, guard, err := here.Reserve(netip.AddrPortFrom(here6, 0))
	if err != nil {
		t.Fatal(err)
	}
	write(t, there, here6, packet(t, netip.AddrPortFrom(there6, 80), reserved, layers.TCP{SYN: true}, ""))
	if err := <-got; err != nil {
		t.Errorf("reading: %v", err)
	}
	here.Close()
	err = <-got
	for err == nil { // a new socket wakes ReadBatch too, perhaps before the packet is there
		err = <-got
	}
	if !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadBatch after Close: %v", err)
	}
	if _, err := here.Route(there6); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Route after Close: %v", err)
	}
	if err := guard.Close(); err != nil {
		t.Errorf("closing a guard after the link: %v", err)
	}
	if err := here.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
}

func TestRawLinkReserve(t *testing.T) {
	newTwoHosts(t)
	l := openLink(t)
	for _, addr := range []netip.Addr{here4, here6, netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		reserved, guard, err := l.Reserve(netip.AddrPortFrom(addr, 0))
		if err != nil || reserved.Addr() != addr || reserved.Port() == 0 {
			t.Fatalf("any port of %v: %v, %v", addr, reserved, err)
		}
		if _, _, err := l.Reserve(reserved); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%v again: %v", reserved, err)
		}
		guard.Close()
		again, guard, err := l.Reserve(reserved)
		if err != nil || again != reserved {
			t.Errorf("%v, freed: %v, %v", reserved, again, err)
		}
		guard.Close()

		server, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(reserved))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := l.Reserve(reserved); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("%v, where a server of the kernel's listens: %v", reserved, err)
		}

		// What it leaves behind in TIME-WAIT does not matter.
		client, err := net.DialTCP("tcp", nil, server.Addr().(*net.TCPAddr))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := server.Accept()
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		io.Copy(io.Discard, client)
		client.Close()
		server.Close()
		if _, _, err := l.Reserve(reserved); err != nil {
			t.Errorf("%v, where a server of the kernel's has closed a connection: %v", reserved, err)
		}
	}
	// The families do not get in each other's way.
	reserved, _, err := l.Reserve(netip.AddrPortFrom(netip.IPv4Unspecified(), 0))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := l.Reserve(netip.AddrPortFrom(netip.IPv6Unspecified(), reserved.Port())); err != nil {
		t.Errorf("the same port of IPv6: %v", err)
	}
	if _, _, err := l.Reserve(netip.AddrPortFrom(there4, 0)); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address of somebody else: %v", err)
	}
	if _, _, err := l.Reserve(netip.AddrPortFrom(hereLL.WithZone("nosuch"), 0)); !errors.Is(err, syscall.ENODEV) {
		t.Errorf("a zone that is not there: %v", err)
	}
}

func TestRawLinkRoute(t *testing.T) {
	newTwoHosts(t)
	l := openLink(t)
	ip := func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	ip("route", "add", "198.51.100.0/24", "via", there4.String(), "mtu", "1300")
	ip("route", "add", "unreachable", "198.51.101.0/24")
	ip("route", "add", "prohibit", "198.51.102.0/24")
	addr := netip.MustParseAddr
	for _, tt := range []struct {
		dst  netip.Addr
		want Route
		err  error
	}{
		{dst: there4, want: Route{Src: here4, MTU: 1500}},
		{dst: there6, want: Route{Src: here6, MTU: 1500}},
		{dst: thereLL.WithZone("here"), want: Route{Src: hereLL.WithZone("here"), MTU: 1500}},
		{dst: addr("198.51.100.1"), want: Route{Src: here4, MTU: 1300}},
		{dst: addr("127.0.0.1"), want: Route{Src: addr("127.0.0.1"), MTU: 65535}},
		{dst: addr("::1"), want: Route{Src: addr("::1"), MTU: 65535}},
		{dst: here4, want: Route{Src: here4, MTU: 65535}},
		{dst: addr("192.0.2.1"), err: syscall.ENETUNREACH},
		{dst: addr("2001:db8::1"), err: syscall.ENETUNREACH},
		{dst: addr("198.51.101.1"), err: syscall.EHOSTUNREACH},
		{dst: addr("198.51.102.1"), err: syscall.EACCES},
		{dst: thereLL, err: syscall.EINVAL},
		{dst: thereLL.WithZone("nosuch"), err: syscall.ENODEV},
	} {
		if got, err := l.Route(tt.dst); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("route to %v: %v, %v; want %v, %v", tt.dst, got, err, tt.want, tt.err)
		}
	}
	// The number of an interface names a zone as well.
	index := up(t, "here").Attrs().Index
	if got, err := l.Route(thereLL.WithZone(fmt.Sprint(index))); got.Src != hereLL.WithZone("here") || err != nil {
		t.Errorf("route with a numeric zone: %v, %v", got, err)
	}
}

func TestRawLinkAllocatesNothing(t *testing.T) {
	newTwoHosts(t)
	l := openLink(t)
	for _, addr := range []netip.Addr{here4, here6} {
		reserved, _, err := l.Reserve(netip.AddrPortFrom(addr, 0))
		if err != nil {
			t.Fatal(err)
		}
		pkt := packet(t, netip.AddrPortFrom(addr, 80), reserved, layers.TCP{ACK: true}, "x")
		out := []Outgoing{{Dst: addr, Header: pkt}, {Dst: addr, Header: pkt}}
		bufs := [][]byte{make([]byte, 1<<16), make([]byte, 1<<16)}
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := l.WriteBatch(out); err != nil {
				t.Fatal(err)
			}
			for n := 0; n < len(out); {
				got, err := l.ReadBatch(bufs)
				if err != nil {
					t.Fatal(err)
				}
				n += got
			}
		})
		if allocs != 0 {
			t.Errorf("%v: writing and reading two packets allocates %v times", addr, allocs)
		}
	}
}

// What all windows together let the peers send, the kernel holds: within bounds,
// and for a family that is used only later, too.
func TestRawLinkHoldsTheWindows(t *testing.T) {
	newTwoHosts(t)
	l := openLink(t).(*rawLink)
	holds := func(ipv6 bool) int {
		f, err := l.family(ipv6)
		if err != nil {
			t.Fatal(err)
		}
		n, err := unix.GetsockoptInt(f.tcp.fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
		if err != nil {
			t.Fatal(err)
		}
		return n / 2 // the kernel says the doubled
	}
	for _, step := range []struct{ windows, want int }{
		{1 << 20, bufferSize}, {bufferSize + 1, 2 * bufferSize}, {1 << 20, 2 * bufferSize}, {1 << 30, mostBuffer},
	} {
		holds(false)
		if l.room(step.windows); holds(false) != step.want {
			t.Errorf("windows of %d octets: the socket holds %d, want %d", step.windows, holds(false), step.want)
		}
	}
	if holds(true) != mostBuffer {
		t.Errorf("the IPv6 socket, opened later, holds %d, want %d", holds(true), mostBuffer)
	}
}
