package pcapout

import (
	"encoding/binary"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// Block types and option codes of pcapng (draft-ietf-opsawg-pcapng, section 4).
const (
	blockSectionHeader  = 0x0a0d0d0a
	blockInterface      = 1
	blockStatistics     = 5
	blockEnhancedPacket = 6

	optEnd     = 0
	optComment = 1 // in any block

	optHardware    = 2 // section header
	optOS          = 3
	optApplication = 4

	optInterfaceName  = 2 // interface description
	optTimeResolution = 9

	optFlags = 2 // enhanced packet

	optReceived = 4 // interface statistics
	optDropped  = 5
)

var le = binary.LittleEndian

func appendSectionHeader(b []byte, meta *Meta) []byte {
	b, start := beginBlock(b, blockSectionHeader)
	b = le.AppendUint32(b, 0x1a2b3c4d)     // byte-order magic
	b = le.AppendUint16(b, 1)              // version 1.0
	b = le.AppendUint16(b, 0)              //
	b = le.AppendUint64(b, math.MaxUint64) // the section's length is not known yet
	b = appendText(b, optComment, strings.TrimSpace(meta.CommandLine+"\n"+meta.Version))
	b = appendText(b, optHardware, meta.Hardware)
	b = appendText(b, optOS, meta.OS)
	b = appendText(b, optApplication, meta.Version)
	return endBlock(b, start)
}

func appendInterface(b []byte, name string, linkType uint16) []byte {
	b, start := beginBlock(b, blockInterface)
	b = le.AppendUint16(b, linkType)
	b = le.AppendUint16(b, 0) // reserved
	b = le.AppendUint32(b, maxPacket)
	b = appendText(b, optInterfaceName, name)
	b = appendOption(b, optTimeResolution, "\x09") // 10^-9 s
	return endBlock(b, start)
}

func appendEnhancedPacket(b []byte, p *Packet) []byte {
	b, start := beginBlock(b, blockEnhancedPacket)
	b = le.AppendUint32(b, uint32(p.Interface))
	b = appendTime(b, p.Time)
	b = appendLengths(b, p)
	b = pad(append(b, p.Data...), len(p.Data))
	for _, comment := range p.Comments {
		b = appendText(b, optComment, comment)
	}
	if p.Dir != Unknown {
		b = le.AppendUint16(b, optFlags)
		b = le.AppendUint16(b, 4)
		b = le.AppendUint32(b, uint32(p.Dir))
	}
	return endBlock(b, start)
}

// appendStatistics counts, as libpcap does, a dropped packet among those received.
func appendStatistics(b []byte, iface int, at time.Time, received, dropped uint64) []byte {
	b, start := beginBlock(b, blockStatistics)
	b = le.AppendUint32(b, uint32(iface))
	b = appendTime(b, at)
	b = appendCount(b, optReceived, received)
	b = appendCount(b, optDropped, dropped)
	return endBlock(b, start)
}

// appendLengths writes how many octets were captured, and were on the wire.
func appendLengths(b []byte, p *Packet) []byte {
	b = le.AppendUint32(b, uint32(len(p.Data)))
	return le.AppendUint32(b, uint32(max(p.Length, len(p.Data))))
}

// appendTime writes nanoseconds since 1970, the upper half first.
func appendTime(b []byte, t time.Time) []byte {
	ns := uint64(t.Unix())*1e9 + uint64(t.Nanosecond())
	b = le.AppendUint32(b, uint32(ns>>32))
	return le.AppendUint32(b, uint32(ns))
}

// beginBlock starts a block, and endBlock writes its length to both its ends.
func beginBlock(b []byte, typ uint32) (block []byte, start int) {
	start = len(b)
	b = le.AppendUint32(b, typ)
	return le.AppendUint32(b, 0), start
}

func endBlock(b []byte, start int) []byte {
	b = le.AppendUint32(b, optEnd)
	length := uint32(len(b) - start + 4)
	le.PutUint32(b[start+4:], length)
	return le.AppendUint32(b, length)
}

// appendText writes an option that is UTF-8, unless it is empty. What does not
// fit is cut between two characters.
func appendText(b []byte, code uint16, text string) []byte {
	if text == "" {
		return b
	}
	if !utf8.ValidString(text) { // ten times as fast as to put it right
		text = strings.ToValidUTF8(text, string(utf8.RuneError))
	}
	if n := math.MaxUint16; len(text) > n {
		for !utf8.RuneStart(text[n]) {
			n--
		}
		text = text[:n]
	}
	return appendOption(b, code, text)
}

func appendOption(b []byte, code uint16, value string) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, uint16(len(value)))
	return pad(append(b, value...), len(value))
}

func appendCount(b []byte, code uint16, n uint64) []byte {
	b = le.AppendUint16(b, code)
	b = le.AppendUint16(b, 8)
	return le.AppendUint64(b, n)
}

// pad fills what n octets leave of a 32-bit word with zeros.
func pad(b []byte, n int) []byte {
	for ; n%4 != 0; n++ {
		b = append(b, 0)
	}
	return b
}
