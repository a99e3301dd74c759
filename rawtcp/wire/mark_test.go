package wire_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// RFC 3168, section 5: a packet that is marked is the same but for the mark, and is
// as it would have been written with it.
func TestMark(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := anyPacket(t)
		b := encode(t, p)
		was := bytes.Clone(b)
		if wire.Mark(b) != (p.ECN != stack.NotECT) {
			t.Fatalf("%v is not to be marked, or was not", p.ECN)
		}
		if p.ECN != stack.NotECT {
			p.ECN = stack.CE
			was = encode(t, p)
		}
		if !bytes.Equal(b, was) {
			t.Fatalf("got  %x\nwant %x", b, was)
		}
	})
}
