package wire_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

var router = map[bool]netip.Addr{
	true:  netip.MustParseAddr("192.0.2.254"),
	false: netip.MustParseAddr("2001:db8::fe"),
}

// icmp builds, with gopacket, the error that router sends us about quote. word
// is what stands between the checksum and the quoted packet.
func icmp(t testing.TB, v4 bool, typ, code uint8, word uint32, quote []byte) []byte {
	t.Helper()
	body := gopacket.Payload(append(binary.BigEndian.AppendUint32(nil, word), quote...))
	buf := gopacket.NewSerializeBuffer()
	var err error
	if v4 {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: router[v4].AsSlice(), DstIP: []byte{10, 0, 0, 1}}
		m := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(typ, code), Id: uint16(word >> 16), Seq: uint16(word)}
		err = gopacket.SerializeLayers(buf, fixAll, ip, m, gopacket.Payload(quote))
	} else {
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolICMPv6, SrcIP: router[v4].AsSlice(), DstIP: netip.IPv6Loopback().AsSlice()}
		m := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(typ, code)}
		_ = m.SetNetworkLayerForChecksum(ip)
		err = gopacket.SerializeLayers(buf, fixAll, ip, m, body)
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// ours is a segment as ICMP quotes it: the IP header and eight octets of TCP.
func ours(t testing.TB, v4 bool) (p *wire.Packet, quote []byte) {
	p = articleSYN()
	if v4 {
		return p, encode(t, p)[:20+8]
	}
	p.Src, p.Dst = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	return p, encode(t, p)[:40+8]
}

func TestParseICMPKinds(t *testing.T) {
	type key struct {
		v4        bool
		typ, code uint8
	}
	kinds := map[key]stack.ICMPKind{}
	add := func(v4 bool, typ uint8, kind stack.ICMPKind, codes ...uint8) {
		for _, code := range codes {
			kinds[key{v4, typ, code}] = kind
		}
	}
	add(true, 3, stack.ICMPNetUnreachable, 0, 6, 11)
	add(true, 3, stack.ICMPHostUnreachable, 1, 7, 8, 12)
	add(true, 3, stack.ICMPProtocolUnreachable, 2)
	add(true, 3, stack.ICMPPortUnreachable, 3)
	add(true, 3, stack.ICMPPacketTooBig, 4)
	add(true, 3, stack.ICMPSourceRouteFailed, 5)
	add(true, 3, stack.ICMPAdminProhibited, 9, 10, 13, 14, 15)
	add(true, 11, stack.ICMPTimeExceeded, 0, 1)
	add(true, 12, stack.ICMPParameterProblem, 0, 1)
	add(false, 1, stack.ICMPNetUnreachable, 0)
	add(false, 1, stack.ICMPAdminProhibited, 1, 5, 6)
	add(false, 1, stack.ICMPHostUnreachable, 2, 3)
	add(false, 1, stack.ICMPPortUnreachable, 4)
	add(false, 2, stack.ICMPPacketTooBig, 0)
	add(false, 3, stack.ICMPTimeExceeded, 0, 1)
	add(false, 4, stack.ICMPParameterProblem, 0, 1, 2)

	for k, want := range kinds {
		t.Run(fmt.Sprintf("IPv4 %v type %d code %d", k.v4, k.typ, k.code), func(t *testing.T) {
			p, quote := ours(t, k.v4)
			got, err := wire.ParseICMP(icmp(t, k.v4, k.typ, k.code, 1280, quote))
			if err != nil {
				t.Fatal(err)
			}
			e := stack.ICMPError{Kind: want, Seq: p.Seq, From: router[k.v4], Size: len(encode(t, p))}
			if want == stack.ICMPPacketTooBig {
				e.MTU = 1280
			}
			if got.ICMPError != e {
				t.Errorf("got %+v, want %+v", got.ICMPError, e)
			}
			if got.Src != netip.AddrPortFrom(p.Src, p.SrcPort) || got.Dst != netip.AddrPortFrom(p.Dst, p.DstPort) {
				t.Errorf("quotes %v to %v", got.Src, got.Dst)
			}
		})
	}
}

// What is quoted may have IPv4 options or IPv6 extension headers, more than eight
// octets of TCP, and padding behind it (RFC 4884, section 5).
func TestParseICMPQuotes(t *testing.T) {
	p4, _ := ours(t, true)
	p6, _ := ours(t, false)
	v4, v6 := encode(t, p4), encode(t, p6)
	withOptions := slices.Concat([]byte{4<<4 | 7}, v4[1:20], []byte{7, 7, 4, 0, 0, 0, 0, 0}, v4[20:]) // record route
	withOptions[3] += 8
	withHeaders := slices.Concat(v6[:40],
		[]byte{60, 0, 1, 4, 0, 0, 0, 0}, // hop by hop
		[]byte{44, 0, 1, 4, 0, 0, 0, 0}, // destination options
		[]byte{6, 0, 0, 0, 0, 0, 0, 1},  // an atomic fragment (RFC 6946)
		v6[40:])
	withHeaders[5] += 24
	withHeaders[6] = 0
	oversized := slices.Clone(v6) // a jumbogram, or what a network card was to cut
	oversized[4], oversized[5] = 0, 0
	for name, tc := range map[string]struct {
		v4    bool
		quote []byte
		size  int
	}{
		"eight octets":              {true, v4[:28], len(v4)},
		"eight octets, IPv6":        {false, v6[:48], len(v6)},
		"the whole":                 {true, v4, len(v4)},
		"padding":                   {true, append(slices.Clone(v4), make([]byte, 100)...), len(v4)},
		"padding, IPv6":             {false, append(slices.Clone(v6), make([]byte, 100)...), len(v6)},
		"IPv4 options":              {true, withOptions, len(v4) + 8},
		"IPv4 options, eight":       {true, withOptions[:36], len(v4) + 8},
		"extension headers":         {false, withHeaders, len(v6) + 24},
		"extension headers, eight":  {false, withHeaders[:72], len(v6) + 24},
		"a length that is not said": {false, oversized, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := p4
			if !tc.v4 {
				p = p6
			}
			got, err := wire.ParseICMP(icmp(t, tc.v4, map[bool]uint8{true: 3, false: 1}[tc.v4], 1, 0, tc.quote))
			if err != nil {
				t.Fatal(err)
			}
			if got.Seq != p.Seq || got.Src != netip.AddrPortFrom(p.Src, p.SrcPort) || got.Dst != netip.AddrPortFrom(p.Dst, p.DstPort) || got.Size != tc.size {
				t.Errorf("quotes %v to %v, %d, %d octets, want %d", got.Src, got.Dst, got.Seq, got.Size, tc.size)
			}
		})
	}
	for name, quote := range map[string][]byte{
		"seven octets behind options":  withOptions[:35],
		"options that are not there":   withOptions[:27],
		"seven octets behind headers":  withHeaders[:71],
		"a header that is cut":         withHeaders[:60],
		"a later fragment behind them": slices.Concat(withHeaders[:58], []byte{1}, withHeaders[59:]),
	} {
		if got, err := wire.ParseICMP(icmp(t, quote[0]>>4 == 4, 3, 1, 0, quote)); err == nil {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// MUST-55, RFC6633-3-a: source quench is discarded, and nobody hears of it.
func TestParseICMPRefuses(t *testing.T) {
	_, quote4 := ours(t, true)
	_, quote6 := ours(t, false)
	change := func(b []byte, at int, to byte) []byte {
		b = append([]byte(nil), b...)
		b[at] = to
		return b
	}
	whole := icmp(t, true, 3, 1, 0, quote4)
	for name, c := range map[string]struct {
		packet []byte
		want   error
	}{
		"source quench (RFC 6633)":   {icmp(t, true, 4, 0, 0, quote4), wire.ErrIgnored},
		"echo reply":                 {icmp(t, true, 0, 0, 0, quote4), wire.ErrIgnored},
		"code 16, undefined":         {icmp(t, true, 3, 16, 0, quote4), wire.ErrIgnored},
		"ICMPv6 neighbour":           {icmp(t, false, 136, 0, 0, quote6), wire.ErrIgnored},
		"ICMPv6 code 9, undefined":   {icmp(t, false, 1, 9, 0, quote6), wire.ErrIgnored},
		"wrong checksum":             {change(whole, 25, 77), wire.ErrChecksum},
		"ICMPv6, other receiver":     {change(icmp(t, false, 1, 0, 0, quote6), 39, 77), wire.ErrChecksum},
		"one octet is missing":       {whole[:len(whole)-1], wire.ErrTruncated},
		"nothing":                    {nil, wire.ErrTruncated},
		"quotes nothing":             {icmp(t, true, 3, 1, 0, nil), wire.ErrTruncated},
		"quotes seven octets of TCP": {icmp(t, true, 3, 1, 0, quote4[:27]), wire.ErrTruncated},
		"quotes UDP":                 {icmp(t, true, 3, 1, 0, change(quote4, 9, 17)), wire.ErrNotTCP},
		"quotes a first fragment":    {icmp(t, true, 3, 1, 0, change(quote4, 6, 0x20)), wire.ErrFragment},
		"quotes a later fragment":    {icmp(t, true, 3, 1, 0, change(quote4, 7, 9)), wire.ErrFragment},
		"quotes the other family":    {icmp(t, false, 1, 0, 0, quote4), wire.ErrMalformed},
		"is TCP":                     {encode(t, articleSYN()), wire.ErrNotTCP},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := wire.ParseICMP(c.packet); err != c.want {
				t.Errorf("got %+v, %v, want %v", got, err, c.want)
			}
		})
	}
}

// A router from before RFC 1191 says 0, and one may say anything.
func TestParseICMPMTU(t *testing.T) {
	for _, c := range []struct {
		v4   bool
		word uint32
		want int
	}{{true, 0, 0}, {true, 0xffff05dc, 1500}, {false, 1280, 1280}, {false, 0xffffffff, 1<<31 - 1}} {
		_, quote := ours(t, c.v4)
		typ, code := uint8(3), uint8(4)
		if !c.v4 {
			typ, code = 2, 0
		}
		got, err := wire.ParseICMP(icmp(t, c.v4, typ, code, c.word, quote))
		if err != nil || got.MTU != c.want {
			t.Errorf("IPv4 %v, %#x: got %d, %v, want %d", c.v4, c.word, got.MTU, err, c.want)
		}
	}
}

// The fuzzer's message is made right, so that it reaches the quoted packet.
func FuzzParseICMP(f *testing.F) {
	for _, v4 := range []bool{true, false} {
		_, quote := ours(f, v4)
		f.Add(v4, uint8(1), uint8(4), uint32(1280), quote)
		f.Add(v4, uint8(3), uint8(4), uint32(1280), quote)
		f.Add(v4, uint8(2), uint8(0), uint32(1280), quote[:len(quote)-1])
		f.Add(v4, uint8(11), uint8(0), uint32(0), append([]byte{quote[0] + 2}, quote[1:]...))
	}
	f.Fuzz(func(t *testing.T, v4 bool, typ, code uint8, word uint32, quote []byte) {
		_, _ = wire.ParseICMP(quote)
		got, err := wire.ParseICMP(icmp(t, v4, typ, code, word, quote[:min(len(quote), 1500)]))
		if err == nil && (got.From != router[v4] || got.Src.Addr().Is4() != v4 || got.MTU < 0 || got.Size > 40+1<<16) {
			t.Fatalf("%+v", got)
		}
	})
}
