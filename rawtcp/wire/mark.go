package wire

import (
	"encoding/binary"

	"rawnc/stack"
)

// Mark does to the packet in b what a router does that is congested: it sets CE,
// if the sender has allowed it (RFC 3168, section 5). It reports whether it has.
func Mark(b []byte) bool {
	var p Packet
	if _, _, _, err := parseIP(b, &p); err != nil || stack.ECN(p.TOS&3) == stack.NotECT {
		return false
	}
	if b[0]>>4 == 6 {
		b[1] |= uint8(stack.CE) << 4
		return true
	}
	b[1] |= uint8(stack.CE)
	header := b[:int(b[0]&15)*4]
	binary.BigEndian.PutUint16(header[10:], 0)
	binary.BigEndian.PutUint16(header[10:], ^fold(sum(header, 0)))
	return true
}
