package wire

import (
	"testing"

	"pgregory.net/rapid"
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
