package stack

import (
	"iter"
	"strings"
)

// Flags are the control bits of the TCP header, with the values they have on
// the wire (RFC 9293, section 3.1).
type Flags uint8

// The control bits.
const (
	FIN Flags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

var flagNames = [8]string{"FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"}

// Has reports whether all bits of g are set.
func (f Flags) Has(g Flags) bool { return f&g == g }

// Names lists the bits that are set as Wireshark names them, in its order.
func (f Flags) Names() []string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

func (f Flags) String() string { return strings.Join(f.Names(), ",") }

// A Segment is a TCP segment without the addresses, which belong to IP.
type Segment struct {
	SrcPort, DstPort uint16
	Seq              Seq // SEG.SEQ
	Ack              Seq // SEG.ACK; counts only with the ACK flag
	Flags            Flags
	Window           uint16 // as on the wire: not scaled
	Urgent           uint16 // the urgent pointer; counts only with the URG flag
	ECN              ECN    // of the IP header
	Options          Options
	Payload          []byte

	// GSOSize, if not 0, says that the link is to cut the payload into segments
	// of so many octets, the last perhaps of fewer, and to complete their
	// checksums. Headers and options are the same in all, but for Seq; PSH and
	// FIN belong to the last. It is no part of what is on the wire.
	GSOSize int
}

// Pieces are the segments that the link makes of it: itself, where GSOSize does not
// say otherwise. Their payloads are parts of its own.
func (s *Segment) Pieces() iter.Seq[Segment] {
	return func(yield func(Segment) bool) {
		rest := *s
		rest.GSOSize = 0
		for n := s.GSOSize; 0 < n && n < len(rest.Payload); {
			first := rest
			first.Flags &^= PSH | FIN
			first.Payload, rest.Payload = rest.Payload[:n], rest.Payload[n:]
			if !yield(first) {
				return
			}
			rest.Seq = rest.Seq.Add(n)
		}
		yield(rest)
	}
}

// Len is SEG.LEN: the octets of sequence space that the segment takes. SYN and
// FIN take one each (RFC 9293, section 3.4).
func (s *Segment) Len() int {
	n := len(s.Payload)
	if s.Flags.Has(SYN) {
		n++
	}
	if s.Flags.Has(FIN) {
		n++
	}
	return n
}

// Next is the sequence number that follows the segment: SEG.SEQ + SEG.LEN.
func (s *Segment) Next() Seq { return s.Seq.Add(s.Len()) }

// Options are the TCP options that the stack knows. Those it does not know are
// skipped by their length (RFC 9293, MUST-6).
type Options struct {
	MSS            uint16 // 0: absent
	SACKPermitted  bool
	HasWindowScale bool
	WindowScale    uint8 // the shift count as sent, perhaps above 14
	HasTimestamps  bool
	TSVal, TSEcr   uint32
	SACKCount      int // how many of SACK are present
	SACK           [4]SACKBlock
	UserTimeout    uint16 // RFC 5482, with the granularity bit on top; 0: absent
	Order          OptionOrder
	HasFastOpen    bool   // RFC 7413; no Conn sends it or heeds it
	FastOpen       string // the cookie: 4 to 16 octets, or none in a request for one
}

// OptionOrder is how the options stand in a SYN that is written. Reading a
// segment does not tell it.
type OptionOrder uint8

// The orders that most of the internet uses.
const (
	OrderLinux OptionOrder = iota // MSS, SACK permitted, timestamps, NOP, window scale
	OrderBSD                      // MSS, NOP, window scale, SACK permitted, timestamps; FreeBSD's and Windows'
)

// A SACKBlock is a run of octets that arrived: [Left, Right) (RFC 2018).
type SACKBlock struct{ Left, Right Seq }

// Blocks are the SACK blocks that are present.
func (o *Options) Blocks() []SACKBlock { return o.SACK[:o.SACKCount] }

// Checksum is what a checksum was found to be.
type Checksum uint8

// The verdicts on a checksum. Partial is a sum over the pseudo-header alone,
// left for a network card to finish: what a capture on the sending machine
// shows, and what crosses loopback and veth.
const (
	ChecksumUnknown Checksum = iota // not verified: the packet is cut short
	ChecksumValid
	ChecksumPartial
	ChecksumWrong
)

func (c Checksum) String() string {
	return [...]string{"unknown", "valid", "partial", "wrong"}[c]
}
