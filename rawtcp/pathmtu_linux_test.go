package rawtcp_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
)

// A pathTest is a connection from A by way of B, the router, to a kernel's TCP
// behind it.
type pathTest struct {
	router       *lab.Host
	host         *rawtcp.Host
	ours, theirs net.Conn

	mu      sync.Mutex
	tooBig  int                      // how often a router said so
	largest int                      // packet that we sent since largest was set to 0
	why     map[stack.ReasonKind]int // what was sent
}

// onPath runs a test for IPv4 and IPv6, over a link of mtu octets behind the router.
func onPath(t *testing.T, mtu int, test func(t *testing.T, p *pathTest)) {
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			far := farHost(t, pair, mtu)
			them := netip.MustParseAddr("198.51.100.2")
			if v6 {
				them = netip.MustParseAddr("2001:db8:1::2")
			}
			p := &pathTest{router: pair.B, host: newHost(t, rawLink(t, pair.A)), why: map[stack.ReasonKind]int{}}
			audit := newAudit(t, pair.A, them)
			d := rawtcp.Dialer{Host: p.host, Tap: func(e *rawtcp.Event) {
				audit.Tap(e)
				p.tap(e)
			}}
			p.ours, p.theirs = open(t, listen(t, far, them), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
			test(t, p)
			p.host.Close() // nothing is told from now on
		})
	}
}

func (p *pathTest) tap(e *rawtcp.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case e.ICMP != nil && e.ICMP.Kind == stack.ICMPPacketTooBig && e.Judgment.Verdict != stack.VerdictForgedICMP:
		p.tooBig++
	case e.Sent && e.Err == nil:
		p.largest = max(p.largest, len(e.Packet))
		p.why[e.Reason.Kind]++
	}
}

// transfer sends data to the kernel's TCP and returns the largest packet.
func (p *pathTest) transfer(t *testing.T) int {
	t.Helper()
	p.mu.Lock()
	p.largest = 0
	p.mu.Unlock()
	sent, got := make([]byte, mebi), make([]byte, mebi)
	for i := range sent {
		sent[i] = byte(i ^ i>>8)
	}
	go func() {
		if _, err := p.ours.Write(sent); err != nil {
			t.Error(err)
		}
	}()
	p.theirs.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := io.ReadFull(p.theirs, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("what arrived is not what was sent; %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.largest
}

func (p *pathTest) told() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tooBig
}

func run(t *testing.T, at *lab.Host, name string, args ...string) {
	t.Helper()
	if _, err := at.Run(name, args...); err != nil {
		t.Fatal(err)
	}
}

// A router on the way cannot carry full segments. It says so, and they get
// smaller (RFC 1191, RFC 8201).
func TestPathMTU(t *testing.T) {
	onPath(t, 1300, func(t *testing.T, p *pathTest) {
		p.transfer(t)
		if largest := p.transfer(t); largest != 1300 || p.told() == 0 {
			t.Errorf("told %d times that a packet was too big; afterwards the largest had %d octets, want 1300", p.told(), largest)
		}
	})
}

// The link gets smaller under way. What the router says then is believed once
// the segment has to go out again (RFC 5927, section 7.2).
func TestPathMTUShrinks(t *testing.T) {
	onPath(t, 1500, func(t *testing.T, p *pathTest) {
		if largest := p.transfer(t); largest != 1500 {
			t.Errorf("the largest packet had %d octets, want 1500", largest)
		}
		run(t, p.router, "ip", "link", "set", "lab1", "mtu", "1300")
		p.transfer(t)
		if largest := p.transfer(t); largest != 1300 || p.told() == 0 {
			t.Errorf("told %d times that a packet was too big; afterwards the largest had %d octets, want 1300", p.told(), largest)
		}
	})
}

// A router cannot carry full segments and does not say so (RFC 4821).
func TestBlackHole(t *testing.T) {
	labtest.NeedPrograms(t, "nft")
	onPath(t, 1300, func(t *testing.T, p *pathTest) {
		err := p.router.Nft(`table inet silent { chain leaving { type filter hook output priority filter
			icmp type destination-unreachable drop
			icmpv6 type packet-too-big drop
		}; }`)
		if err != nil {
			t.Fatal(err)
		}
		p.transfer(t)
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.tooBig > 0 || p.why[stack.ReasonBlackHole] == 0 || p.why[stack.ReasonPathProbe] == 0 {
			t.Errorf("told %d times that a packet was too big; sent for these reasons: %v", p.tooBig, p.why)
		}
	})
}

// One message of a forger, about no segment that is in flight, makes no packet
// smaller: neither does our TCP believe it, nor does the kernel, who reads it too,
// on our behalf.
func TestForgedMTU(t *testing.T) {
	onPath(t, 1500, func(t *testing.T, p *pathTest) {
		p.transfer(t)
		p.forge(t, 600)
		if largest := p.transfer(t); largest != 1500 {
			t.Errorf("afterwards the largest packet had %d octets, want 1500", largest)
		}
	})
}

// forge makes the router tell A that the path carries mtu octets. It quotes a
// segment that was never sent.
func (p *pathTest) forge(t *testing.T, mtu uint32) {
	t.Helper()
	src := p.ours.LocalAddr().(*net.TCPAddr).AddrPort()
	dst := p.ours.RemoteAddr().(*net.TCPAddr).AddrPort()
	tcp := make([]byte, 1400)
	binary.BigEndian.PutUint16(tcp, src.Port())
	binary.BigEndian.PutUint16(tcp[2:], dst.Port())
	tcp[12] = 5 << 4
	network, from := "ip4:icmp", netip.MustParseAddr("192.0.2.2")
	if src.Addr().Is6() {
		network, from = "ip6:ipv6-icmp", netip.MustParseAddr("2001:db8::2")
	}
	var ip gopacket.SerializableLayer = &layers.IPv4{Version: 4, TTL: 60, Protocol: layers.IPProtocolTCP,
		Flags: layers.IPv4DontFragment, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
	message := []byte{3, 4, 0, 0, 0, 0, byte(mtu >> 8), byte(mtu)}
	if src.Addr().Is6() {
		ip = &layers.IPv6{Version: 6, HopLimit: 60, NextHeader: layers.IPProtocolTCP, SrcIP: src.Addr().AsSlice(), DstIP: dst.Addr().AsSlice()}
		message = binary.BigEndian.AppendUint32([]byte{2, 0, 0, 0}, mtu) // the kernel computes its checksum
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, ip, gopacket.Payload(tcp)); err != nil {
		t.Fatal(err)
	}
	message = append(message, buf.Bytes()[:548]...)
	if src.Addr().Is4() {
		sum := uint32(0)
		for i := 0; i < len(message); i += 2 {
			sum += uint32(binary.BigEndian.Uint16(message[i:]))
		}
		binary.BigEndian.PutUint16(message[2:], ^uint16(sum%0xffff))
	}
	err := p.router.Do(func() error {
		c, err := net.ListenPacket(network, from.String())
		if err != nil {
			return err
		}
		defer c.Close()
		_, err = c.WriteTo(message, &net.IPAddr{IP: src.Addr().AsSlice()})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// farHost adds a third namespace behind B, over a cable with that MTU, of which the far host
// itself knows nothing when it announces its MSS. It has the
// addresses 198.51.100.2 and 2001:db8:1::2.
func farHost(t *testing.T, pair *lab.Pair, mtu int) *lab.Host {
	t.Helper()
	labtest.NeedPrograms(t, "ip")
	behind := labtest.NewPair(t)
	path := ""
	if err := pair.B.Do(func() error {
		path = fmt.Sprintf("/proc/%d/task/%d/ns/net", syscall.Getpid(), syscall.Gettid())
		_, err := behind.A.Run("ip", "link", "set", "dev", lab.Interface, "netns", path, "name", "lab1")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		at      *lab.Host
		command []string
	}{
		{pair.B, []string{"sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"}},
		{pair.B, []string{"ip", "link", "set", "lab1", "up", "mtu", strconv.Itoa(mtu)}},
		{pair.B, []string{"ip", "address", "add", "198.51.100.1/24", "dev", "lab1"}},
		{pair.B, []string{"ip", "address", "add", "2001:db8:1::1/64", "dev", "lab1", "nodad"}},
		{behind.B, []string{"ip", "address", "add", "198.51.100.2/24", "dev", lab.Interface}},
		{behind.B, []string{"ip", "address", "add", "2001:db8:1::2/64", "dev", lab.Interface, "nodad"}},
		{behind.B, []string{"ip", "route", "add", "192.0.2.1/32", "via", "198.51.100.1", "mtu", "1300", "advmss", "1460"}},
		{behind.B, []string{"ip", "-6", "route", "add", "2001:db8::1/128", "via", "2001:db8:1::1", "mtu", "1300", "advmss", "1440"}},
		{pair.A, []string{"ip", "route", "add", "default", "via", pair.B.IPv4.String()}},
		{pair.A, []string{"ip", "-6", "route", "add", "default", "via", pair.B.IPv6.String()}},
	} {
		if _, err := step.at.Run(step.command[0], step.command[1:]...); err != nil {
			t.Fatal(err)
		}
	}
	// IPv6 takes a second to find its neighbours; a SYN lost then makes for long timeouts.
	for _, far := range []string{"198.51.100.2:9", "[2001:db8:1::2]:9"} {
		err := pair.A.Do(func() error {
			_, err := net.DialTimeout("tcp", far, 10*time.Second)
			return err
		})
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("%s: %v", far, err)
		}
	}
	return behind.B
}
