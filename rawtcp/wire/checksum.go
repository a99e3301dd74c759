package wire

import (
	"encoding/binary"
	"math/bits"

	"rawnc/stack"
)

// sum adds b to the running ones' complement sum s. It adds eight octets at a
// time in little-endian order, and fold puts the order right: such a sum may be
// taken in words of any size and any byte order (RFC 1071, section 2). Only the
// last piece of what is summed may have an odd length. A chain that begins
// without a carry never ends with one and all ones, so the end's cannot overflow.
func sum(b []byte, s uint64) uint64 {
	var c, s2, c2 uint64
	for len(b) >= 64 { // two chains of carries run side by side in the processor
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b[24:]), c)
		s += c
		s2, c2 = bits.Add64(s2, binary.LittleEndian.Uint64(b[32:]), 0)
		s2, c2 = bits.Add64(s2, binary.LittleEndian.Uint64(b[40:]), c2)
		s2, c2 = bits.Add64(s2, binary.LittleEndian.Uint64(b[48:]), c2)
		s2, c2 = bits.Add64(s2, binary.LittleEndian.Uint64(b[56:]), c2)
		s2 += c2
		b = b[64:]
	}
	s, c = bits.Add64(s, s2, 0)
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var last uint64
	for i, octet := range b {
		last |= uint64(octet) << (8 * i)
	}
	s, c = bits.Add64(s, last, c)
	return s + c
}

// fold brings a running sum down to 16 bits, in network byte order.
func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return bits.ReverseBytes16(uint16(s>>16 + s))
}

// pseudoHeader sums what TCP's checksum covers of the IP header that ip starts
// with (RFC 9293, section 3.1; RFC 8200, section 8.1).
func pseudoHeader(ip []byte, proto uint8, length int) uint64 {
	addrs := ip[12:20]
	if ip[0]>>4 == 6 {
		addrs = ip[8:40]
	}
	return sum(addrs, uint64(bits.ReverseBytes32(uint32(length)))+uint64(proto)<<8)
}

// verdict judges the checksum field of the TCP segment t, whose pseudo-header
// sums to pseudo. A partial checksum is that very sum, folded. Of a large segment,
// which came over a loopback or was put together by the kernel, it is most likely
// partial, and to sum it up takes as long as all the rest: so that is looked at
// first, though one in 65,536 may be both.
func verdict(t []byte, pseudo uint64) stack.Checksum {
	const large = 4096
	switch partial := fold(pseudo) == binary.BigEndian.Uint16(t[16:]); {
	case partial && len(t) > large:
		return stack.ChecksumPartial
	case fold(sum(t, pseudo)) == 0xffff:
		return stack.ChecksumValid
	case partial:
		return stack.ChecksumPartial
	}
	return stack.ChecksumWrong
}

// FinishChecksum computes the checksum of the TCP packet in b where it was left
// to be done by a network card. Other packets stay as they are.
func FinishChecksum(b []byte) {
	var p Packet
	proto, t, length, err := parseIP(b, &p)
	if err != nil || proto != protoTCP || len(t) < tcpHeaderLen || len(t) < length {
		return
	}
	if pseudo := pseudoHeader(b, protoTCP, length); verdict(t, pseudo) == stack.ChecksumPartial {
		binary.BigEndian.PutUint16(t[16:], 0)
		binary.BigEndian.PutUint16(t[16:], ^fold(sum(t, pseudo)))
	}
}
