package wire_test

import (
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// unhex reads hexadecimal that is spaced for the reader.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// encode is the whole packet, payload and all.
func encode(t rapid.TB, p *wire.Packet) []byte {
	t.Helper()
	b, err := wire.AppendHeaders(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, p.Payload...)
}

func parse(t testing.TB, b []byte) wire.Packet {
	t.Helper()
	var p wire.Packet
	if err := wire.Parse(b, &p); err != nil {
		t.Fatalf("%v\n%x", err, b)
	}
	return p
}

// sameFields compares what both directions know, so without what Parse adds.
var sameFields = cmp.Options{
	cmpopts.IgnoreFields(wire.Packet{}, "Checksum", "RawOptions", "Cut"),
	cmpopts.EquateComparable(netip.Addr{}),
	cmpopts.EquateEmpty(),
}

// articleSYN is the first segment of the article: 4216076034 is fb4c3702.
func articleSYN() *wire.Packet {
	return &wire.Packet{
		Src: netip.MustParseAddr("192.168.1.2"), Dst: netip.MustParseAddr("120.77.204.248"),
		TTL: 64, ID: 1, DF: true,
		Segment: stack.Segment{
			SrcPort: 50000, DstPort: 8113, Seq: 4216076034, Flags: stack.SYN, Window: 64240,
			Options: stack.Options{
				MSS: 1460, SACKPermitted: true, HasTimestamps: true, TSVal: 1, HasWindowScale: true, WindowScale: 7,
			},
		},
	}
}

// The bytes were put down by hand from RFC 791, RFC 8200 and RFC 9293.
// MUST-2.
func TestGolden(t *testing.T) {
	data := &wire.Packet{
		Src: netip.MustParseAddr("2001:db8::1"), Dst: netip.MustParseAddr("2001:db8::2"),
		TTL: 63, FlowLabel: 0xabcde,
		Segment: stack.Segment{
			SrcPort: 50000, DstPort: 8113, Seq: 4216076035, Ack: 1768531805,
			Flags: stack.PSH | stack.ACK, Window: 502, ECN: stack.ECT0, Payload: []byte("hello2020\n"),
		},
	}
	for name, c := range map[string]struct {
		packet *wire.Packet
		bytes  string
	}{
		"IPv4 SYN": {articleSYN(), `
			45 00 003c  0001 4000  40 06 33cb  c0a80102 784dccf8
			c350 1fb1  fb4c3702  00000000  a0 02 faf0  30cd 0000
			0204 05b4  0402 080a 00000001 00000000  01 030307`},
		"IPv6 data": {data, `
			602abcde 001e 06 3f  20010db8000000000000000000000001 20010db8000000000000000000000002
			c350 1fb1  fb4c3703  6969a75d  50 18 01f6  87fe 0000
			68656c6c6f323032300a`},
	} {
		t.Run(name, func(t *testing.T) {
			want := unhex(t, c.bytes)
			if got := encode(t, c.packet); string(got) != string(want) {
				t.Errorf("got\n%x, want\n%x", got, want)
			}
			got := parse(t, want)
			if diff := cmp.Diff(*c.packet, got, sameFields); diff != "" {
				t.Error(diff)
			}
			if got.Checksum != stack.ChecksumValid {
				t.Error("checksum", got.Checksum)
			}
		})
	}
}

func TestAppendHeadersRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*wire.Packet)
		want   error
	}{
		"no source":            {func(p *wire.Packet) { p.Src = netip.Addr{} }, wire.ErrAddresses},
		"mixed families":       {func(p *wire.Packet) { p.Dst = netip.IPv6Loopback() }, wire.ErrAddresses},
		"IPv6-mapped":          {func(p *wire.Packet) { p.Src, p.Dst = mapped(p.Src), mapped(p.Dst) }, wire.ErrAddresses},
		"48 octets of options": {func(p *wire.Packet) { p.Options.HasTimestamps, p.Options.SACKCount = true, 4 }, wire.ErrOptions},
		"five SACK blocks":     {func(p *wire.Packet) { p.Options.SACKCount = 5 }, wire.ErrOptions},
		"65536 octets":         {func(p *wire.Packet) { p.Payload = make([]byte, 65536-60) }, wire.ErrTooLong},
		"65535 octets":         {func(p *wire.Packet) { p.Payload = make([]byte, 65535-60) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := articleSYN()
			c.change(p)
			before := []byte("before")
			b, err := wire.AppendHeaders(before, p)
			if !errors.Is(err, c.want) {
				t.Errorf("got error %v, want %v", err, c.want)
			}
			if err != nil && string(b) != "before" {
				t.Errorf("got %q back, want what went in", b)
			}
		})
	}
}

// A flow label has 20 bits; more do not spill into the traffic class.
func TestFlowLabel(t *testing.T) {
	p := articleSYN()
	p.Src, p.Dst, p.FlowLabel = netip.IPv6Loopback(), netip.IPv6Loopback(), 0xffffffff
	if got := parse(t, encode(t, p)); got.FlowLabel != 0xfffff || got.TOS != 0 {
		t.Errorf("got flow label %x, traffic class %x", got.FlowLabel, got.TOS)
	}
}

func mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// anyBytes draws up to most octets. rapid by itself would hardly make them many.
func anyBytes(t *rapid.T, most int) []byte {
	n := rapid.IntRange(0, most).Draw(t, "length")
	return rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "octets")
}

// anyPacket draws a packet that AppendHeaders can write.
func anyPacket(t *rapid.T) *wire.Packet {
	p := &wire.Packet{
		TTL: rapid.Uint8().Draw(t, "ttl"),
		TOS: rapid.Uint8().Draw(t, "dscp") &^ 3,
		Segment: stack.Segment{
			SrcPort: rapid.Uint16().Draw(t, "sport"),
			DstPort: rapid.Uint16().Draw(t, "dport"),
			Seq:     stack.Seq(rapid.Uint32().Draw(t, "seq")),
			Ack:     stack.Seq(rapid.Uint32().Draw(t, "ack")),
			Flags:   stack.Flags(rapid.Uint8().Draw(t, "flags")),
			Window:  rapid.Uint16().Draw(t, "window"),
			Urgent:  rapid.Uint16().Draw(t, "urgent"),
			ECN:     stack.ECN(rapid.Uint8Range(0, 3).Draw(t, "ecn")),
			Options: anyOptions(t),
			Payload: anyBytes(t, 3000),
		},
	}
	if rapid.Bool().Draw(t, "IPv6") {
		addr := rapid.SliceOfN(rapid.Byte(), 15, 15)
		p.Src = netip.AddrFrom16([16]byte(append([]byte{0x20}, addr.Draw(t, "src")...)))
		p.Dst = netip.AddrFrom16([16]byte(append([]byte{0xfe}, addr.Draw(t, "dst")...)))
		p.FlowLabel = rapid.Uint32Max(1<<20-1).Draw(t, "flow label")
	} else {
		addr := rapid.SliceOfN(rapid.Byte(), 4, 4)
		p.Src = netip.AddrFrom4([4]byte(addr.Draw(t, "src")))
		p.Dst = netip.AddrFrom4([4]byte(addr.Draw(t, "dst")))
		p.ID = rapid.Uint16().Draw(t, "id")
		p.DF = rapid.Bool().Draw(t, "df")
	}
	return p
}

// anyOptions draws options that fit.
func anyOptions(t *rapid.T) (o stack.Options) {
	number := rapid.Uint32()
	room := 36
	if rapid.Bool().Draw(t, "has MSS") {
		o.MSS = rapid.Uint16Min(1).Draw(t, "MSS")
		room -= 4
	}
	if o.HasTimestamps = rapid.Bool().Draw(t, "has TS"); o.HasTimestamps {
		o.TSVal, o.TSEcr = number.Draw(t, "TSval"), number.Draw(t, "TSecr")
		room -= 12
	}
	if o.HasWindowScale = rapid.Bool().Draw(t, "has WS"); o.HasWindowScale {
		o.WindowScale = rapid.Uint8().Draw(t, "WS")
		room -= 4
	}
	if o.SACKPermitted = rapid.Bool().Draw(t, "SACK permitted"); o.SACKPermitted {
		room -= 4
	}
	if rapid.Bool().Draw(t, "has UTO") {
		o.UserTimeout = rapid.Uint16Min(1).Draw(t, "UTO")
		room -= 4
	}
	o.SACKCount = rapid.IntRange(0, room/8).Draw(t, "SACK blocks")
	for i := range o.Blocks() {
		o.SACK[i] = stack.SACKBlock{Left: stack.Seq(number.Draw(t, "left")), Right: stack.Seq(number.Draw(t, "right"))}
	}
	return o
}

// What is written is what is read, padding behind it or not.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := anyPacket(t)
		b, err := wire.AppendHeaders(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, want.Payload...)
		b = append(b, make([]byte, rapid.IntRange(0, 20).Draw(t, "padding"))...)
		var got wire.Packet
		if err := wire.Parse(b, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(*want, got, sameFields); diff != "" {
			t.Fatal(diff)
		}
		if got.Checksum != stack.ChecksumValid || got.Cut != 0 {
			t.Fatalf("checksum %v, cut %d", got.Checksum, got.Cut)
		}
	})
}

// One flipped bit is never read as a valid packet, but where no checksum looks.
func TestFlippedBit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPacket(t)
		p.Payload = p.Payload[:min(len(p.Payload), 100)]
		b, err := wire.AppendHeaders(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		header := len(b)
		b = append(b, p.Payload...)
		ipLen := 20
		if p.Src.Is6() {
			ipLen = 40
		}
		bit := rapid.IntRange(8*ipLen, 8*len(b)-1).Draw(t, "bit")
		b[bit/8] ^= 1 << (bit % 8)
		var got wire.Packet
		switch err := wire.Parse(b, &got); {
		case errors.Is(err, wire.ErrMalformed) && bit/8 == ipLen+12: // the data offset
		case err != nil:
			t.Fatal(err)
		case got.Checksum == stack.ChecksumValid:
			t.Fatalf("bit %d of octet %d (headers end at %d) flipped, and the checksum is valid", bit%8, bit/8, header)
		}
	})
}

func TestNothingAllocates(t *testing.T) {
	p := articleSYN()
	p.Payload = make([]byte, 1400)
	b := make([]byte, 0, 2048)
	if n := testing.AllocsPerRun(100, func() { b, _ = wire.AppendHeaders(b[:0], p) }); n != 0 {
		t.Errorf("AppendHeaders allocates %v times", n)
	}
	b = append(b, p.Payload...)
	var got wire.Packet
	if n := testing.AllocsPerRun(100, func() { _ = wire.Parse(b, &got) }); n != 0 {
		t.Errorf("Parse allocates %v times", n)
	}
}
