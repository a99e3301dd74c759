package rawtcp_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
)

// rejections are what a firewall may answer, and what that means.
var rejections = []struct {
	v6   bool
	with string // nft's word
	kind stack.ICMPKind
	is   error
}{
	{false, "net-unreachable", stack.ICMPNetUnreachable, syscall.ENETUNREACH},
	{false, "host-unreachable", stack.ICMPHostUnreachable, syscall.EHOSTUNREACH},
	{false, "prot-unreachable", stack.ICMPProtocolUnreachable, syscall.EHOSTUNREACH},
	{false, "port-unreachable", stack.ICMPPortUnreachable, syscall.ECONNREFUSED},
	{false, "admin-prohibited", stack.ICMPAdminProhibited, syscall.EHOSTUNREACH},
	{true, "no-route", stack.ICMPNetUnreachable, syscall.ENETUNREACH},
	{true, "addr-unreachable", stack.ICMPHostUnreachable, syscall.EHOSTUNREACH},
	{true, "port-unreachable", stack.ICMPPortUnreachable, syscall.ECONNREFUSED},
	{true, "admin-prohibited", stack.ICMPAdminProhibited, syscall.EHOSTUNREACH},
}

// reject makes a namespace answer segments to the port with an ICMP error.
func reject(t *testing.T, at *lab.Host, v6 bool, port uint16, with string) {
	t.Helper()
	family, icmp := "ip", "icmp"
	if v6 {
		family, icmp = "ip6", "icmpv6"
	}
	err := at.Nft(fmt.Sprintf(`table %s rejecting {
		chain arriving {
			type filter hook input priority filter
			tcp dport %d reject with %s type %s
		}
	}`, family, port, icmp, with))
	if err != nil {
		t.Fatal(err)
	}
}

// MUST-54: an ICMP error ends an attempt to connect, and says what and from whom.
// Another connection of the host takes no notice.
func TestRejected(t *testing.T) {
	labtest.NeedPrograms(t, "nft")
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4, pair.B.IPv6)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	dial := func(address string) (net.Conn, error) { return d.Dial("tcp", address) }
	other, otherPeer := open(t, listen(t, pair.B, pair.B.IPv4), dial)
	for i, tt := range rejections {
		them := pair.B.IPv4
		if tt.v6 {
			them = pair.B.IPv6
		}
		port := uint16(1000 + i)
		reject(t, pair.B, tt.v6, port, tt.with)
		_, err := d.Dial("tcp", netip.AddrPortFrom(them, port).String())
		icmp, ok := errors.AsType[*stack.ICMPError](err)
		if !ok || icmp.Kind != tt.kind || icmp.From != them || !errors.Is(err, tt.is) {
			t.Errorf("%v %s: got %v, want %v from %v, which is %v", them, tt.with, err, tt.kind, them, tt.is)
		}
	}
	exchange(t, other, 1000, otherPeer, 1000)
}

// TestRejectedLater: no ICMP error ends a connection that stands (RFC 5927,
// section 5.2). What was lost meanwhile is sent again.
func TestRejectedLater(t *testing.T) {
	labtest.NeedPrograms(t, "nft")
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			them, table, with := pair.B.IPv4, "ip", "host-unreachable"
			if v6 {
				them, table, with = pair.B.IPv6, "ip6", "addr-unreachable"
			}
			audit := newAudit(t, pair.A, them)
			told := make(chan stack.ICMPError, 100)
			d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: func(e *rawtcp.Event) {
				audit.Tap(e)
				if e.ICMP != nil {
					told <- *e.ICMP
				}
			}}
			l := listen(t, pair.B, them)
			c, s := open(t, l, func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
			reject(t, pair.B, v6, netip.MustParseAddrPort(l.Addr().String()).Port(), with)
			if _, err := c.Write([]byte("hello")); err != nil {
				t.Error(err)
			}
			if e := <-told; e.Kind != stack.ICMPHostUnreachable || e.From != them {
				t.Errorf("told of %v, want host unreachable from %v", e, them)
			}
			if err := pair.B.Nft("delete table " + table + " rejecting"); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 5)
			if _, err := s.Read(got); string(got) != "hello" || err != nil {
				t.Errorf("the peer got %q, %v", got, err)
			}
			exchange(t, c, mebi, s, mebi)
		})
	}
}

// TestForgedICMP: an error that quotes a sequence number which is not in flight
// is not heeded (RFC 5927, section 4.1).
func TestForgedICMP(t *testing.T) {
	labtest.NeedPrograms(t, "nft")
	t.Parallel()
	pair := labtest.NewPair(t)
	// No answer to the SYN but ours.
	if err := pair.B.Nft("table ip silent { chain arriving { type filter hook input priority filter; meta l4proto tcp drop; }; }"); err != nil {
		t.Fatal(err)
	}
	audit := newAudit(t, pair.A, pair.B.IPv4)
	syn := make(chan *rawtcp.Event, 10)
	seen := map[stack.Verdict]int{}
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: func(e *rawtcp.Event) {
		audit.Tap(e)
		if e.Sent {
			syn <- e.Clone()
		}
		if e.ICMP != nil {
			seen[e.Judgment.Verdict]++
		}
	}}
	var icmp net.PacketConn
	err := pair.B.Do(func() (err error) {
		icmp, err = net.ListenPacket("ip4:icmp", pair.B.IPv4.String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer icmp.Close()
	failed := make(chan error)
	go func() {
		_, err := d.Dial("tcp", netip.AddrPortFrom(pair.B.IPv4, 80).String())
		failed <- err
	}()
	quoted := (<-syn).Packet[:28]
	send := func(code uint8, change func(quote []byte)) {
		quote := append([]byte(nil), quoted...)
		change(quote)
		buf := gopacket.NewSerializeBuffer()
		err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{ComputeChecksums: true},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeDestinationUnreachable, code)}, gopacket.Payload(quote))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := icmp.WriteTo(buf.Bytes(), &net.IPAddr{IP: pair.A.IPv4.AsSlice()}); err != nil {
			t.Fatal(err)
		}
	}
	seq := func(by int) func([]byte) {
		return func(q []byte) { binary.BigEndian.PutUint32(q[24:], binary.BigEndian.Uint32(q[24:])+uint32(by)) }
	}
	send(layers.ICMPv4CodePort, seq(-1))
	send(layers.ICMPv4CodePort, seq(+1))
	send(layers.ICMPv4CodePort, func(q []byte) { q[20]++ }) // another source port
	send(layers.ICMPv4CodePort, func(q []byte) { q[16]++ }) // another destination
	send(layers.ICMPv4CodeCommAdminProhibited, seq(0))      // and the true one
	if err := <-failed; !errors.Is(err, syscall.EHOSTUNREACH) || seen[stack.VerdictForgedICMP] != 2 || seen[stack.VerdictAccepted] != 1 {
		t.Errorf("got %v, with verdicts %v; want two that are forged, and the last accepted: administratively prohibited", err, seen)
	}
}
