package wire

import (
	"bytes"
	"encoding/binary"
	"iter"

	"rawnc/stack"
)

// Pieces are the packets that a link makes of one whose segment has a GSOSize,
// headers and payloads, as Linux cuts them: the IPv4 identification counts on,
// PSH and FIN go with the last, and the checksums are complete. header is what
// AppendHeaders has made, without extension headers; each piece has its own.
func Pieces(header, payload []byte, size int) iter.Seq2[[]byte, []byte] {
	return func(yield func(header, payload []byte) bool) {
		for first := 0; ; first += size {
			piece := payload[first:min(first+size, len(payload))]
			last := first+len(piece) == len(payload)
			if !yield(pieceHeader(header, piece, first, first/size, last), piece) || last {
				return
			}
		}
	}
}

// pieceHeader is the header of the n-th piece, which starts at an octet of the
// payload.
func pieceHeader(header, payload []byte, at, n int, last bool) []byte {
	b := bytes.Clone(header)
	ipLen := ipv6HeaderLen
	if b[0]>>4 == 4 {
		ipLen = ipv4HeaderLen
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)+len(payload)))
		binary.BigEndian.PutUint16(b[4:], binary.BigEndian.Uint16(b[4:])+uint16(n))
		binary.BigEndian.PutUint16(b[10:], 0)
		binary.BigEndian.PutUint16(b[10:], ^fold(sum(b[:ipv4HeaderLen], 0)))
	} else {
		binary.BigEndian.PutUint16(b[4:], uint16(len(b)-ipv6HeaderLen+len(payload)))
	}
	tcp := b[ipLen:]
	binary.BigEndian.PutUint32(tcp[4:], binary.BigEndian.Uint32(tcp[4:])+uint32(at))
	if !last {
		tcp[13] &^= byte(stack.PSH | stack.FIN)
	}
	binary.BigEndian.PutUint16(tcp[16:], 0)
	s := sum(tcp, pseudoHeader(b, protoTCP, len(tcp)+len(payload)))
	binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(payload, s)))
	return b
}
