package capture

import (
	"encoding/binary"

	"rawnc/rawtcp/wire"
)

// LINKTYPE_* numbers (www.tcpdump.org/linktypes.html). Raw IP has had several.
const (
	linkNull     = 0 // BSD loopback: the address family in the host's byte order
	linkEthernet = 1
	linkRaw12    = 12
	linkRaw14    = 14
	linkRaw      = 101
	linkLoop     = 108 // OpenBSD loopback: in network byte order
	linkSLL      = 113 // Linux, "any" interface
	linkIPv4     = 228
	linkIPv6     = 229
	linkSLL2     = 276
)

const (
	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
)

// network returns the part of b that begins with an IP header.
func network(linkType uint16, b []byte) ([]byte, error) {
	switch linkType {
	case linkRaw, linkRaw12, linkRaw14, linkIPv4, linkIPv6:
		return b, nil
	case linkEthernet:
		return etherType(b, 12, 14)
	case linkSLL:
		return etherType(b, 14, 16)
	case linkSLL2:
		return etherType(b, 0, 20)
	case linkNull, linkLoop:
		if len(b) < 4 {
			return nil, wire.ErrTruncated
		}
		family := binary.BigEndian.Uint32(b)
		if family > 0xffff {
			family = binary.LittleEndian.Uint32(b)
		}
		switch family {
		case 2, 10, 24, 28, 30: // IPv4, and IPv6 of Linux, NetBSD, FreeBSD, macOS
			return b[4:], nil
		}
		return nil, wire.ErrNotTCP
	}
	return nil, ErrLinkType
}

// etherType passes over a header that has the EtherType at one place and the
// packet at another, and the VLAN tags between them.
func etherType(b []byte, at, packet int) ([]byte, error) {
	if len(b) < packet {
		return nil, wire.ErrTruncated
	}
	kind, b := binary.BigEndian.Uint16(b[at:]), b[packet:]
	for {
		switch kind {
		case etherIPv4, etherIPv6:
			return b, nil
		case 0x8100, 0x88a8, 0x9100: // 802.1Q, 802.1ad (QinQ), and QinQ before it had a number
			if len(b) < 4 {
				return nil, wire.ErrTruncated
			}
			kind, b = binary.BigEndian.Uint16(b[2:]), b[4:]
		default:
			return nil, wire.ErrNotTCP
		}
	}
}
