package wire

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"rawnc/stack"
)

// The sum by eight octets is the sum by pairs of octets, for any length.
func TestSum(t *testing.T) {
	octet := rapid.OneOf(rapid.Byte(), rapid.Just(byte(0xff)))
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "length")
		b := rapid.SliceOfN(octet, n, n).Draw(t, "octets")
		start := rapid.Uint64().Draw(t, "start")
		want := uint64(fold(start))
		for i, v := range b {
			want += uint64(v) << (8 - i%2*8)
		}
		for want>>16 != 0 {
			want = want&0xffff + want>>16
		}
		if got := fold(sum(b, start)); uint64(got) != want {
			t.Fatalf("got %04x, want %04x", got, want)
		}
	})
}

// A checksum that was left to the network card is what it would have been.
func TestFinishChecksum(t *testing.T) {
	for _, a := range []string{"192.0.2.1", "2001:db8::1"} {
		addr := netip.MustParseAddr(a)
		b, err := AppendHeaders(nil, &Packet{Src: addr, Dst: addr, ID: 1, Segment: stack.Segment{Seq: 5, Payload: []byte("odd")}})
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, "odd"...)
		var p Packet
		_, tcp, length, _ := parseIP(b, &p)
		whole := string(b)
		binary.BigEndian.PutUint16(tcp[16:], fold(pseudoHeader(b, protoTCP, length)))
		if err := Parse(b, &p); err != nil || p.Checksum != stack.ChecksumPartial {
			t.Fatalf("%v: %v, want partial", err, p.Checksum)
		}
		for _, state := range []string{"partial", "finished"} {
			if FinishChecksum(b); string(b) != whole {
				t.Errorf("%s, %s: %x, want %x", a, state, b, whole)
			}
		}
	}
	FinishChecksum([]byte{0x45})
}
