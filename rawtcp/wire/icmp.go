package wire

import (
	"encoding/binary"
	"math"
	"net/netip"

	"rawnc/stack"
)

// An ICMP is an ICMP or ICMPv6 error about a TCP packet that it quotes.
type ICMP struct {
	stack.ICMPError
	Src, Dst netip.AddrPort // of the quoted packet: Src is who sent that one
}

// ParseICMP reads the IPv4 or IPv6 packet in b, which must be whole. Of the
// quoted TCP header it needs eight octets, for no more is promised (RFC 792).
//
// ErrIgnored is for whatever is no error that concerns TCP: other messages,
// codes that nobody has defined, and source quench, which is to be discarded
// silently (RFC 6633). ErrNotTCP says that another protocol's packet is quoted
// or that b is not ICMP at all. ErrTruncated, ErrMalformed, ErrFragment and
// ErrChecksum may come too.
func ParseICMP(b []byte) (ICMP, error) {
	var outer, quoted Packet
	proto, m, length, err := parseIP(b, &outer)
	if err != nil {
		return ICMP{}, err
	}
	v4 := outer.Src.Is4()
	var pseudo uint64 // ICMP's checksum has no pseudo-header
	switch {
	case v4 && proto == protoICMP:
	case !v4 && proto == protoICMPv6:
		pseudo = pseudoHeader(b, protoICMPv6, length)
	default:
		return ICMP{}, ErrNotTCP
	}
	if err := need(icmpHeaderLen, len(m), length); err != nil {
		return ICMP{}, err
	}
	if len(m) < length {
		return ICMP{}, ErrTruncated
	}
	if fold(sum(m, pseudo)) != 0xffff {
		return ICMP{}, ErrChecksum
	}
	e := stack.ICMPError{From: outer.Src}
	var ok bool
	if v4 {
		e.Kind, ok = icmpKind(m[0], m[1])
	} else {
		e.Kind, ok = icmpv6Kind(m[0], m[1])
	}
	if !ok {
		return ICMP{}, ErrIgnored
	}
	if e.Kind == stack.ICMPPacketTooBig {
		if v4 {
			e.MTU = int(binary.BigEndian.Uint16(m[6:])) // RFC 1191, section 4
		} else {
			e.MTU = int(min(binary.BigEndian.Uint32(m[4:]), math.MaxInt32))
		}
	}

	proto, t, length, err := parseIP(m[icmpHeaderLen:], &quoted)
	switch {
	case err != nil:
		return ICMP{}, err
	case quoted.Src.Is4() != v4:
		return ICMP{}, ErrMalformed
	case proto != protoTCP:
		return ICMP{}, ErrNotTCP
	}
	if err := need(8, len(t), length); err != nil {
		return ICMP{}, err
	}
	e.Seq = stack.Seq(binary.BigEndian.Uint32(t[4:]))
	e.Size = quotedSize(m[icmpHeaderLen:])
	return ICMP{
		ICMPError: e,
		Src:       netip.AddrPortFrom(quoted.Src, binary.BigEndian.Uint16(t[0:])),
		Dst:       netip.AddrPortFrom(quoted.Dst, binary.BigEndian.Uint16(t[2:])),
	}, nil
}

// quotedSize is how long a packet is by its IP header; 0: it does not say.
func quotedSize(b []byte) int {
	if b[0]>>4 == 4 {
		return int(binary.BigEndian.Uint16(b[2:]))
	}
	if n := int(binary.BigEndian.Uint16(b[4:])); n > 0 {
		return ipv6HeaderLen + n
	}
	return 0
}

// icmpKind says what a type and code mean (RFC 792; RFC 1122, section 3.2.2.1;
// RFC 1812, section 5.2.7.1).
func icmpKind(typ, code uint8) (kind stack.ICMPKind, ok bool) {
	switch typ {
	case 3:
		switch code {
		case 0, 6, 11:
			return stack.ICMPNetUnreachable, true
		case 1, 7, 8, 12:
			return stack.ICMPHostUnreachable, true
		case 2:
			return stack.ICMPProtocolUnreachable, true
		case 3:
			return stack.ICMPPortUnreachable, true
		case 4:
			return stack.ICMPPacketTooBig, true
		case 5:
			return stack.ICMPSourceRouteFailed, true
		case 9, 10, 13, 14, 15:
			return stack.ICMPAdminProhibited, true
		}
	case 11:
		return stack.ICMPTimeExceeded, true
	case 12:
		return stack.ICMPParameterProblem, true
	}
	return 0, false
}

// icmpv6Kind says the same of ICMPv6 (RFC 4443, section 3).
func icmpv6Kind(typ, code uint8) (kind stack.ICMPKind, ok bool) {
	switch typ {
	case 1:
		switch code {
		case 0: // no route to destination
			return stack.ICMPNetUnreachable, true
		case 2, 3: // beyond scope of source address, address unreachable
			return stack.ICMPHostUnreachable, true
		case 4:
			return stack.ICMPPortUnreachable, true
		case 1, 5, 6: // prohibited, failed ingress policy, reject route
			return stack.ICMPAdminProhibited, true
		}
	case 2:
		return stack.ICMPPacketTooBig, true
	case 3:
		return stack.ICMPTimeExceeded, true
	case 4:
		return stack.ICMPParameterProblem, true
	}
	return 0, false
}
