package rawtcp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"golang.org/x/sys/unix"
)

// A sniffer sees the packets on the cable, there, as the kernel sees them.
type sniffer struct {
	t  *testing.T
	fd int
}

func (h *twoHosts) sniff() *sniffer {
	h.t.Helper()
	s := &sniffer{t: h.t}
	h.there(func() {
		const all = 0x0300 // ETH_P_ALL in network order
		var err error
		s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all)
		if err == nil {
			err = unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: up(h.t, "there").Attrs().Index})
		}
		if err == nil {
			err = unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 10})
		}
		if err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() { unix.Close(s.fd) })
	})
	return s
}

// untilFrom returns the TCP segments that come from here up to the first from
// the port.
func (s *sniffer) untilFrom(port uint16) (segments []*layers.TCP) {
	s.t.Helper()
	for {
		buf := make([]byte, 1<<16)
		n, from, err := unix.Recvfrom(s.fd, buf, 0)
		if err != nil {
			s.t.Fatalf("waiting for a segment from port %d: %v", port, err)
		}
		if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING || n == 0 {
			continue
		}
		decoder := gopacket.Decoder(layers.LayerTypeIPv4)
		if buf[0]>>4 == 6 {
			decoder = layers.LayerTypeIPv6
		}
		tcp, ok := gopacket.NewPacket(buf[:n], decoder, gopacket.Default).Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue // ARP, neighbour discovery
		}
		segments = append(segments, tcp)
		if uint16(tcp.SrcPort) == port {
			return segments
		}
	}
}

// expectSilence sends the host here every kind of segment for the port, and
// fails when its kernel answers one of them. What ends the wait is the RST from
// port 1, which nobody guards.
func (s *sniffer) expectSilence(there Link, from, to netip.Addr, port uint16) {
	s.t.Helper()
	const unguarded = 1
	at := netip.AddrPortFrom
	for i, tcp := range []layers.TCP{{SYN: true}, {SYN: true, ACK: true, Ack: 9}, {ACK: true, PSH: true, Ack: 9}, {FIN: true, ACK: true, Ack: 9}, {RST: true}} {
		src := at(from, uint16(2000+i))
		write(s.t, there, to,
			packet(s.t, src, at(to, port), tcp, "x"),
			packet(s.t, src, at(to, unguarded), layers.TCP{SYN: true, ACK: true, Ack: 9}, ""))
		for _, got := range s.untilFrom(unguarded) {
			if uint16(got.SrcPort) != unguarded {
				s.t.Errorf("to segment %d the kernel answered from port %d: SYN %t, RST %t", i, got.SrcPort, got.SYN, got.RST)
			}
		}
	}
}

func TestGuardKeepsTheKernelSilent(t *testing.T) {
	for _, way := range []struct {
		name string
		drop func(int, bool) error
	}{{"filter", dropByFilter}, {"key", dropByKey}, {"all", dropAll}} {
		for _, tt := range []struct {
			name           string
			from, to, bind netip.Addr
		}{
			{"IPv4", there4, here4, here4},
			{"IPv4 any", there4, here4, netip.IPv4Unspecified()},
			{"IPv6", there6, here6, here6},
			{"IPv6 any", there6, here6, netip.IPv6Unspecified()},
		} {
			t.Run(way.name+" "+tt.name, func(t *testing.T) {
				h := newTwoHosts(t)
				_, there := h.links()
				sniffer := h.sniff()
				fd, reserved, err := openGuard(netip.AddrPortFrom(tt.bind, 0), way.drop)
				if err != nil {
					t.Fatal(err)
				}
				sniffer.expectSilence(there, tt.from, tt.to, reserved.Port())

				// Without it, the kernel does answer: this test can fail.
				unix.Close(fd)
				write(t, there, tt.to, packet(t, netip.AddrPortFrom(tt.from, 2000), netip.AddrPortFrom(tt.to, reserved.Port()), layers.TCP{SYN: true, ACK: true}, ""))
				if got := sniffer.untilFrom(reserved.Port()); !got[0].RST {
					t.Error("without a guard the kernel answered with something else than RST")
				}
			})
		}
	}
}

func TestGuardLinkLocal(t *testing.T) {
	h := newTwoHosts(t)
	here, there := h.links()
	sniffer := h.sniff()
	reserved, guard, err := here.Reserve(netip.AddrPortFrom(hereLL.WithZone("here"), 0))
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close()
	if reserved.Addr() != hereLL.WithZone("here") {
		t.Errorf("reserved %v", reserved)
	}
	for i, tcp := range []layers.TCP{{SYN: true}, {SYN: true, ACK: true, Ack: 9}} {
		src := netip.AddrPortFrom(thereLL, uint16(2000+i))
		write(t, there, hereLL.WithZone("there"),
			packet(t, src, netip.AddrPortFrom(hereLL, reserved.Port()), tcp, ""),
			packet(t, src, netip.AddrPortFrom(hereLL, 1), tcp, ""))
		if got := sniffer.untilFrom(1); len(got) != 1 {
			t.Errorf("the kernel answered from the guarded port: %v", got)
		}
	}
}

// childVariable tells the test binary to be a child process.
const childVariable = "RAWTCP_TEST_CHILD"

func init() {
	switch os.Getenv(childVariable) {
	case "guards": // prints the ports that it guards by key, then by what Reserve chooses
		fail := func(err error) {
			if err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
		}
		link, err := newRawLink()
		fail(err)
		for _, addr := range []netip.Addr{here4, here6} {
			_, keyed, err := openGuard(netip.AddrPortFrom(addr, 0), dropByKey)
			fail(err)
			reserved, _, err := link.Reserve(netip.AddrPortFrom(addr, 0))
			fail(err)
			fmt.Println(keyed.Port(), reserved.Port())
		}
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	case "route":
		link, err := newRawLink()
		if err == nil {
			_, err = link.Route(here4)
		}
		fmt.Println(errors.Is(err, ErrPermission), errors.Is(err, syscall.EPERM), err)
		os.Exit(0)
	}
}

// nobody makes this test binary a child process of an unprivileged user with
// no capabilities but those.
func nobody(role string, capabilities ...uintptr) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childVariable + "=" + role}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: 65534, Gid: 65534},
		AmbientCaps: capabilities,
		Pdeathsig:   syscall.SIGKILL,
	}
	return cmd
}

func TestGuardWithNetRawAlone(t *testing.T) {
	h := newTwoHosts(t)
	_, there := h.links()
	sniffer := h.sniff()
	child := nobody("guards", unix.CAP_NET_RAW)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer in.Close()
	for _, tt := range []struct{ from, to netip.Addr }{{there4, here4}, {there6, here6}} {
		var keyed, reserved uint16
		if _, err := fmt.Fscanln(out, &keyed, &reserved); err != nil {
			rest, _ := io.ReadAll(out)
			t.Fatalf("no ports from the child: %v; it says %s", err, rest)
		}
		sniffer.expectSilence(there, tt.from, tt.to, keyed)
		sniffer.expectSilence(there, tt.from, tt.to, reserved)
	}
}

func TestWithoutPermission(t *testing.T) {
	needRoot(t)
	out, err := nobody("route").Output()
	if err != nil {
		t.Fatal(err)
	}
	got := string(out)
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(got, "true true ") {
		t.Errorf("the error is not both ErrPermission and EPERM: %s", got)
	}
	if want := "setcap cap_net_raw+ep " + path; !strings.Contains(got, want) {
		t.Errorf("the error does not say %q: %s", want, got)
	}
}

// A port that is taken is refused, and costs nothing.
func TestGuardRefused(t *testing.T) {
	needRoot(t)
	taken, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	link := openLink(t)
	descriptors := func() int {
		_, guard, err := link.Reserve(taken.Addr().(*net.TCPAddr).AddrPort())
		if err == nil {
			guard.Close()
			t.Fatal("a port of the kernel's TCP was reserved")
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	before := descriptors()
	for range 100 {
		descriptors()
	}
	if now := descriptors(); now > before+50 { // other tests have theirs
		t.Errorf("%d file descriptors are open where %d were", now, before)
	}
}

// What it takes to open a guard, and to close it.
func BenchmarkGuard(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("it takes root")
	}
	link, err := newRawLink()
	if err != nil {
		b.Fatal(err)
	}
	defer link.Close()
	for b.Loop() {
		_, guard, err := link.Reserve(netip.MustParseAddrPort("127.0.0.1:0"))
		if err != nil {
			b.Fatal(err)
		}
		guard.Close()
	}
}
