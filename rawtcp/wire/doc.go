// Package wire is a TCP segment as bytes: IPv4, IPv6, TCP, its options, the
// checksums, and the ICMP errors that quote a segment. It is pure: bytes go in,
// values come out, and the other way round.
//
// Nothing here allocates but errors and what append must.
package wire

import "errors"

// Why a packet cannot be read.
var (
	ErrTruncated = errors.New("the packet ends within its headers")
	ErrMalformed = errors.New("the packet's headers contradict themselves")
	ErrFragment  = errors.New("the packet is a fragment")
	ErrNotTCP    = errors.New("the packet is not TCP")
	ErrIgnored   = errors.New("the packet is not an ICMP error that concerns TCP")
	ErrChecksum  = errors.New("the ICMP checksum is wrong")
)

// Why a packet cannot be written.
var (
	ErrOptions   = errors.New("the TCP options take more than 40 octets")
	ErrTooLong   = errors.New("the packet takes more than 65535 octets")
	ErrAddresses = errors.New("source and destination must be two IPv4 or two IPv6 addresses")
)

// IP protocol numbers, and those of the IPv6 extension headers (IANA).
const (
	protoHopByHop    = 0
	protoICMP        = 1
	protoTCP         = 6
	protoRouting     = 43
	protoFragment    = 44
	protoICMPv6      = 58
	protoDestination = 60
)

// Header lengths in octets, without options.
const (
	ipv4HeaderLen = 20
	ipv6HeaderLen = 40
	tcpHeaderLen  = 20
	icmpHeaderLen = 8
)
