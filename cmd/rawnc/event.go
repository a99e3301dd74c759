package main

import (
	"encoding/binary"
	"math"
	"net/netip"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// This file puts events into octets, as which they wait to be told: nearly all of
// them, and all of a large transfer's.

var le = binary.LittleEndian

// eventOctets are at most so many, beside the packet's: two addresses with zones
// are the most of it.
const eventOctets = 256

// maxZone is how long a zone may be.
const maxZone = 64

// plain reports whether octets can say all of the event. Most of what they cannot
// is about once a connection, or a timer has run out before.
func plain(e *rawtcp.Event) bool {
	return e.Packet != nil && e.ICMP == nil && e.Made == nil && e.Err == nil && len(e.Transitions) == 0 &&
		e.Reason.Timer == stack.Timing{} && uint64(e.Reason.N) <= math.MaxUint32 &&
		len(e.Packet)+eventOctets+recordHeader <= chunkSize && behind(e.Segment.Payload, e.Packet) &&
		len(e.Local.Addr().Zone())+len(e.Remote.Addr().Zone()) <= maxZone
}

// behind reports whether a payload is the end of the packet.
func behind(payload, packet []byte) bool {
	n := len(packet) - len(payload)
	return len(payload) == 0 || n >= 0 && &payload[0] == &packet[n]
}

// appendEvent appends a plain event.
func appendEvent(b []byte, e *rawtcp.Event) []byte {
	b = le.AppendUint64(b, uint64(e.Time.UnixNano()))
	b = append(b, flag(e.Sent), byte(e.Checksum), byte(e.State), byte(e.Reason.Kind), flag(e.Judgment != nil))
	b = le.AppendUint32(b, uint32(e.Reason.N))
	if j := e.Judgment; j != nil {
		b = append(b, byte(j.Verdict))
		b = le.AppendUint32(b, uint32(j.RcvNxt))
		b = le.AppendUint64(b, uint64(j.RcvWnd))
		b = le.AppendUint32(b, uint32(j.SndUna))
		b = le.AppendUint32(b, uint32(j.SndNxt))
	}
	b = appendAddr(b, e.Local)
	b = appendAddr(b, e.Remote)
	b = le.AppendUint16(b, uint16(len(e.Packet)-len(e.Segment.Payload)))
	return append(b, e.Packet...)
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// appendAddr appends an address behind its length.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	start := len(b)
	b, _ = a.AppendBinary(append(b, 0)) // there is no error
	b[start] = byte(len(b) - start - 1)
	return b
}

// parseEvent reads an event into e and j. The packet is that in b.
func parseEvent(b []byte, e *rawtcp.Event, j *stack.Judgment) {
	*e = rawtcp.Event{
		Time: time.Unix(0, int64(le.Uint64(b))), Sent: b[8] == 1, Checksum: stack.Checksum(b[9]), State: stack.State(b[10]),
		Reason: stack.Reason{Kind: stack.ReasonKind(b[11]), N: int(le.Uint32(b[13:]))},
	}
	judged := b[12] == 1
	if b = b[17:]; judged {
		*j = stack.Judgment{
			Verdict: stack.Verdict(b[0]), RcvNxt: stack.Seq(le.Uint32(b[1:])), RcvWnd: int(le.Uint64(b[5:])),
			SndUna: stack.Seq(le.Uint32(b[13:])), SndNxt: stack.Seq(le.Uint32(b[17:])),
		}
		e.Judgment = j
		b = b[21:]
	}
	b = parseAddr(b, &e.Local)
	b = parseAddr(b, &e.Remote)
	header := int(le.Uint16(b))
	e.Packet = b[2:]
	var p wire.Packet
	wire.Parse(e.Packet[:header], &p) // without the payload, whose checksum was looked at
	e.Segment = p.Segment
	e.Segment.Payload = e.Packet[header:]
}

func parseAddr(b []byte, a *netip.AddrPort) []byte {
	n := 1 + int(b[0])
	a.UnmarshalBinary(b[1:n]) // there is no error
	return b[n:]
}
