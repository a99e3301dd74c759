package wire_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// The pieces are the packets that would be written without a link that cuts,
// and the one that it gets has a partial checksum.
func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPacket(t)
		p.Flags &^= stack.SYN | stack.RST | stack.CWR
		p.Payload = bytes.Repeat([]byte("pieces "), rapid.IntRange(1, 300).Draw(t, "payload"))
		p.GSOSize = rapid.IntRange(1, 3000).Draw(t, "GSOSize")
		header, err := wire.AppendHeaders(nil, p)
		if err != nil {
			t.Fatal(err)
		}
		super := append(bytes.Clone(header), p.Payload...)
		wire.FinishChecksum(super)
		unsplit := *p
		unsplit.GSOSize = 0
		if want := encode(t, &unsplit); !bytes.Equal(super, want) {
			t.Fatalf("completed %x, want %x", super, want)
		}
		var got []byte
		n := 0
		for h, payload := range wire.Pieces(header, p.Payload, p.GSOSize) {
			want := *p
			want.GSOSize = 0
			want.ID += uint16(n)
			want.Seq = p.Seq.Add(len(got))
			want.Payload = p.Payload[len(got):min(len(got)+p.GSOSize, len(p.Payload))]
			got = append(got, payload...)
			if len(got) < len(p.Payload) {
				want.Flags &^= stack.PSH | stack.FIN
			}
			whole, err := wire.AppendHeaders(nil, &want)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(h, whole) || !bytes.Equal(payload, want.Payload) {
				t.Fatalf("piece %d: %x, want %x", n, h, whole)
			}
			n++
		}
		if !bytes.Equal(got, p.Payload) {
			t.Fatalf("%d octets of %d", len(got), len(p.Payload))
		}
	})
}
