package rawtcp

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
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
