package reference

import (
	"encoding/binary"
	"net/netip"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
	"rawnc/stack/netsim"
	"rawnc/stack/netsim/script"
)

func addrPort(a netip.Addr, port uint16) netip.AddrPort { return netip.AddrPortFrom(a, port) }

// What the IP header has that the simulation does not: every packet leaves its
// host with a TTL of 64, and the router in the middle takes one. What is
// injected there comes from further away. Each sender numbers its packets from
// 1, a forger from 0x8000.
const (
	ttl       = 64
	forgedTTL = 60
	forgedIDs = 0x8000
)

// pack makes the octets of what crossed a capture point.
func pack(run *script.Run, c *netsim.Crossing) ([]byte, error) {
	p := wire.Packet{TTL: ttl, ID: uint16(c.ID), DF: true, Segment: c.Seg}
	dst := c.To
	switch {
	case c.ICMP != nil: // the quoted packet, as it came to the router
		dst, p.ID = 1-c.To, uint16(c.Quoted)
	case c.From == netsim.Middle:
		p.TTL, p.ID = forgedTTL, forgedIDs+uint16(c.ID)
	}
	if c.ICMP == nil && c.Point == c.To {
		p.TTL--
	}
	p.Src, p.Dst = run.Addr(int(1-dst)), run.Addr(int(dst))
	b, err := wire.AppendHeaders(nil, &p)
	if err != nil {
		return nil, err
	}
	b = append(b, c.Seg.Payload...)
	if c.ICMP != nil {
		return appendICMP(nil, run.Router(), p.Src, c, b), nil
	}
	if c.Corrupt {
		corrupt(b, len(c.Seg.Payload))
	}
	return b, nil
}

// corrupt flips a bit of the last octet of the payload or, where there is none,
// of the window.
func corrupt(b []byte, payload int) {
	if payload > 0 {
		b[len(b)-1] ^= 1
		return
	}
	header := 40
	if b[0]>>4 == 4 {
		header = 20
	}
	b[header+15] ^= 1
}

// The most that the packet of an ICMP error holds: of the packet that it is about
// it quotes as much as fits (RFC 1812, section 4.3.2.3; RFC 4443, section 3).
const (
	icmpMost   = 576
	icmpv6Most = 1280
)

// appendICMP appends the packet of an ICMP error about another (RFC 792, RFC 4443).
func appendICMP(b []byte, from, to netip.Addr, c *netsim.Crossing, quoted []byte) []byte {
	most := icmpMost - 20
	if from.Is6() {
		most = icmpv6Most - 40
	}
	length := min(8+len(quoted), most)
	quoted = quoted[:length-8]
	var ip []byte
	if from.Is4() {
		ip = make([]byte, 20)
		ip[0], ip[8], ip[9] = 4<<4|5, ttl, 1
		binary.BigEndian.PutUint16(ip[2:], uint16(20+length))
		binary.BigEndian.PutUint16(ip[4:], forgedIDs+uint16(c.ID))
		copy(ip[12:], from.AsSlice())
		copy(ip[16:], to.AsSlice())
		binary.BigEndian.PutUint16(ip[10:], ^checksum(ip, 0))
	} else {
		ip = make([]byte, 40)
		ip[0], ip[6], ip[7] = 6<<4, 58, ttl
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
		copy(ip[8:], from.AsSlice())
		copy(ip[24:], to.AsSlice())
	}
	m := append(make([]byte, 8), quoted...)
	var pseudo uint32
	if from.Is4() {
		m[0], m[1] = icmpCode(c.ICMP.Kind)
		binary.BigEndian.PutUint16(m[6:], uint16(c.ICMP.MTU))
	} else {
		m[0], m[1] = icmpv6Code(c.ICMP.Kind)
		binary.BigEndian.PutUint32(m[4:], uint32(c.ICMP.MTU))
		pseudo = 58 + uint32(length) + uint32(checksum(ip[8:40], 0))
	}
	binary.BigEndian.PutUint16(m[2:], ^checksum(m, pseudo))
	return append(append(b, ip...), m...)
}

// checksum is the ones' complement sum of b (RFC 1071).
func checksum(b []byte, s uint32) uint16 {
	for i, octet := range b {
		s += uint32(octet) << (8 * (1 - i%2))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func icmpCode(k stack.ICMPKind) (typ, code byte) {
	switch k {
	case stack.ICMPNetUnreachable:
		return 3, 0
	case stack.ICMPHostUnreachable:
		return 3, 1
	case stack.ICMPProtocolUnreachable:
		return 3, 2
	case stack.ICMPPortUnreachable:
		return 3, 3
	case stack.ICMPPacketTooBig:
		return 3, 4
	case stack.ICMPSourceRouteFailed:
		return 3, 5
	case stack.ICMPAdminProhibited:
		return 3, 13
	case stack.ICMPTimeExceeded:
		return 11, 0
	}
	return 12, 0
}

// icmpv6Code has no numbers for the protocol and the source route.
func icmpv6Code(k stack.ICMPKind) (typ, code byte) {
	switch k {
	case stack.ICMPNetUnreachable:
		return 1, 0
	case stack.ICMPHostUnreachable:
		return 1, 3
	case stack.ICMPPortUnreachable:
		return 1, 4
	case stack.ICMPAdminProhibited:
		return 1, 1
	case stack.ICMPSourceRouteFailed:
		return 1, 0
	case stack.ICMPPacketTooBig:
		return 2, 0
	case stack.ICMPTimeExceeded:
		return 3, 0
	case stack.ICMPProtocolUnreachable:
		return 4, 1 // unrecognized next header
	}
	return 4, 0
}
