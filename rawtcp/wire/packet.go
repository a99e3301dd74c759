package wire

import (
	"encoding/binary"
	"math"
	"net/netip"

	"rawnc/stack"
)

// A Packet is an IP packet that carries a TCP segment.
type Packet struct {
	Src, Dst  netip.Addr // without zones; an IPv4 address is never IPv6-mapped
	TTL       uint8      // IPv6: hop limit
	TOS       uint8      // DSCP, in the upper six bits; those of ECN are the segment's. IPv6: traffic class
	ID        uint16     // IPv4 alone
	DF        bool       // IPv4 alone: don't fragment
	FlowLabel uint32     // IPv6 alone: 20 bits
	stack.Segment

	// Parse sets what follows; AppendHeaders does not look at it.

	Checksum   stack.Checksum
	RawOptions []byte // the TCP options as they stand in the packet
	Cut        int    // octets at the payload's end that the bytes lack: a capture may cut packets short
}

var zeros [ipv6HeaderLen + tcpHeaderLen]byte

// AppendHeaders appends the IP and TCP headers of p to b, with their checksums.
// The payload counts in lengths and checksum but is not appended: it can stay
// where it is. Options are written as Linux writes them. Where GSOSize is not 0,
// the checksum is partial: see Pieces. The error is ErrAddresses, ErrOptions or
// ErrTooLong, and then b comes back as it was.
func AppendHeaders(b []byte, p *Packet) ([]byte, error) {
	var ipLen int
	switch {
	case p.Src.Is4() && p.Dst.Is4():
		ipLen = ipv4HeaderLen
	case isIPv6(p.Src) && isIPv6(p.Dst):
		ipLen = ipv6HeaderLen
	default:
		return b, ErrAddresses
	}
	if p.Options.SACKCount > len(p.Options.SACK) {
		return b, ErrOptions
	}
	out := append(b, zeros[:ipLen+tcpHeaderLen]...)
	out = appendOptions(out, &p.Options)
	ip, tcp := out[len(b):len(b)+ipLen], out[len(b)+ipLen:]
	if len(tcp) > tcpHeaderLen+maxOptionsLen {
		return b, ErrOptions
	}
	length := len(tcp) + len(p.Payload)
	if ipLen == ipv4HeaderLen {
		if ipLen+length > math.MaxUint16 {
			return b, ErrTooLong
		}
		putIPv4(ip, p, ipLen+length)
	} else {
		if length > math.MaxUint16 {
			return b, ErrTooLong
		}
		putIPv6(ip, p, length)
	}
	putTCP(tcp, &p.Segment)
	pseudo := pseudoHeader(ip, protoTCP, length)
	if p.GSOSize > 0 {
		binary.BigEndian.PutUint16(tcp[16:], fold(pseudo))
	} else {
		binary.BigEndian.PutUint16(tcp[16:], ^fold(sum(p.Payload, sum(tcp, pseudo))))
	}
	return out, nil
}

func isIPv6(a netip.Addr) bool { return a.Is6() && !a.Is4In6() }

func (p *Packet) trafficClass() uint8 { return p.TOS&^3 | uint8(p.ECN&3) }

// putIPv4 writes an IPv4 header (RFC 791, section 3.1) over zeros.
func putIPv4(b []byte, p *Packet, total int) {
	b[0], b[1] = 4<<4|ipv4HeaderLen/4, p.trafficClass()
	binary.BigEndian.PutUint16(b[2:], uint16(total))
	binary.BigEndian.PutUint16(b[4:], p.ID)
	if p.DF {
		b[6] = 0x40
	}
	b[8], b[9] = p.TTL, protoTCP
	src, dst := p.Src.As4(), p.Dst.As4()
	copy(b[12:], src[:])
	copy(b[16:], dst[:])
	binary.BigEndian.PutUint16(b[10:], ^fold(sum(b, 0)))
}

// putIPv6 writes an IPv6 header (RFC 8200, section 3).
func putIPv6(b []byte, p *Packet, length int) {
	binary.BigEndian.PutUint32(b, 6<<28|uint32(p.trafficClass())<<20|p.FlowLabel&0xfffff)
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	b[6], b[7] = protoTCP, p.TTL
	src, dst := p.Src.As16(), p.Dst.As16()
	copy(b[8:], src[:])
	copy(b[24:], dst[:])
}

// putTCP writes a TCP header (RFC 9293, section 3.1) over zeros; the options
// stand in b already.
func putTCP(b []byte, s *stack.Segment) {
	binary.BigEndian.PutUint16(b[0:], s.SrcPort)
	binary.BigEndian.PutUint16(b[2:], s.DstPort)
	binary.BigEndian.PutUint32(b[4:], uint32(s.Seq))
	binary.BigEndian.PutUint32(b[8:], uint32(s.Ack))
	b[12], b[13] = byte(len(b)/4)<<4, byte(s.Flags)
	binary.BigEndian.PutUint16(b[14:], s.Window)
	binary.BigEndian.PutUint16(b[18:], s.Urgent)
}
