package wire

import (
	"encoding/binary"
	"net/netip"

	"rawnc/stack"
)

// Parse reads the packet that b starts with, from its IP header on, into p. The
// payload and RawOptions alias b; what follows the packet in b, as the padding
// of a short Ethernet frame, is left out. Where b ends within the payload or the
// TCP options, p.Cut says how much of the payload is missing, and the checksum is
// unknown.
//
// IPv4 options and IPv6 extension headers are skipped, as are TCP options that
// make no sense. A wrong checksum is a verdict, not an error. IPv4's own header
// checksum is not looked at: the kernel did that, and where a network card
// computes it a capture shows none.
//
// The error is ErrTruncated, ErrMalformed, ErrFragment or ErrNotTCP; p then
// holds nothing of use.
func Parse(b []byte, p *Packet) error {
	proto, t, length, err := parseIP(b, p)
	if err != nil {
		return err
	}
	if proto != protoTCP {
		return ErrNotTCP
	}
	if err := need(tcpHeaderLen, len(t), length); err != nil {
		return err
	}
	offset := int(t[12]>>4) * 4
	if offset < tcpHeaderLen || offset > length {
		return ErrMalformed
	}
	options := min(offset, len(t)) // where they end, or b does
	p.Segment = stack.Segment{
		SrcPort: binary.BigEndian.Uint16(t[0:]),
		DstPort: binary.BigEndian.Uint16(t[2:]),
		Seq:     stack.Seq(binary.BigEndian.Uint32(t[4:])),
		Ack:     stack.Seq(binary.BigEndian.Uint32(t[8:])),
		Flags:   stack.Flags(t[13]),
		Window:  binary.BigEndian.Uint16(t[14:]),
		Urgent:  binary.BigEndian.Uint16(t[18:]),
		ECN:     stack.ECN(p.TOS & 3),
		Payload: t[options:],
	}
	p.TOS &^= 3
	p.RawOptions = t[tcpHeaderLen:options]
	parseOptions(p.RawOptions, &p.Options)
	p.Cut = length - offset - len(p.Payload)
	p.Checksum = stack.ChecksumUnknown
	if len(t) == length {
		p.Checksum = verdict(t, pseudoHeader(b, protoTCP, length))
	}
	return nil
}

// need reports why n octets cannot be read of a header: the packet itself says
// it is shorter, or fewer are there.
func need(n, there, length int) error {
	switch {
	case n > length:
		return ErrMalformed
	case n > there:
		return ErrTruncated
	}
	return nil
}

// parseIP reads an IP header into p. body is what is there of the packet behind
// the header, length how long that is by the header's word.
func parseIP(b []byte, p *Packet) (proto uint8, body []byte, length int, err error) {
	if len(b) == 0 {
		return 0, nil, 0, ErrTruncated
	}
	switch b[0] >> 4 {
	case 4:
		return parseIPv4(b, p)
	case 6:
		return parseIPv6(b, p)
	}
	return 0, nil, 0, ErrMalformed
}

func parseIPv4(b []byte, p *Packet) (proto uint8, body []byte, length int, err error) {
	if len(b) < ipv4HeaderLen {
		return 0, nil, 0, ErrTruncated
	}
	header := int(b[0]&15) * 4
	total := int(binary.BigEndian.Uint16(b[2:]))
	if total == 0 { // captured before the network card has cut it into packets
		total = len(b)
	}
	if header < ipv4HeaderLen {
		return 0, nil, 0, ErrMalformed
	}
	if err := need(header, len(b), total); err != nil {
		return 0, nil, 0, err
	}
	fragment := binary.BigEndian.Uint16(b[6:])
	if fragment&0x3fff != 0 { // MF or an offset
		return 0, nil, 0, ErrFragment
	}
	p.TOS, p.ID, p.DF, p.TTL = b[1], binary.BigEndian.Uint16(b[4:]), fragment&0x4000 != 0, b[8]
	p.FlowLabel = 0
	p.Src, p.Dst = netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	return b[9], b[header:min(total, len(b))], total - header, nil
}

func parseIPv6(b []byte, p *Packet) (proto uint8, body []byte, length int, err error) {
	if len(b) < ipv6HeaderLen {
		return 0, nil, 0, ErrTruncated
	}
	first := binary.BigEndian.Uint32(b)
	p.TOS, p.FlowLabel, p.TTL = uint8(first>>20), first&0xfffff, b[7]
	p.ID, p.DF = 0, false
	p.Src, p.Dst = netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))

	proto, body, length = b[6], b[ipv6HeaderLen:], int(binary.BigEndian.Uint16(b[4:]))
	if length == 0 { // as for IPv4; a jumbogram too (RFC 2675)
		length = len(body)
	}
	body = body[:min(length, len(body))]
	for {
		header := 8 // the extension's length
		switch proto {
		case protoHopByHop, protoRouting, protoDestination:
			if err := need(header, len(body), length); err != nil {
				return 0, nil, 0, err
			}
			header += int(body[1]) * 8
		case protoFragment:
		default:
			return proto, body, length, nil
		}
		if err := need(header, len(body), length); err != nil {
			return 0, nil, 0, err
		}
		if proto == protoFragment && binary.BigEndian.Uint16(body[2:])&0xfff9 != 0 { // an offset or M
			return 0, nil, 0, ErrFragment
		}
		proto, body, length = body[0], body[header:], length-header
	}
}
