package wire

import (
	"encoding/binary"

	"rawnc/stack"
)

// TCP option kinds (IANA).
const (
	optEnd           = 0
	optNOP           = 1
	optMSS           = 2
	optWindowScale   = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
	optUserTimeout   = 28
	optFastOpen      = 34
)

// maxOptionsLen is what the data offset leaves: 15 words less the header's 5.
const maxOptionsLen = 40

// appendOptions writes the options in Linux's order, or in BSD's. NOPs before an option keep
// its numbers on a word boundary, so that all end on one too and no padding
// follows (RFC 9293, MUST-69). SACK-permitted takes the place of the
// timestamps' NOPs.
func appendOptions(b []byte, o *stack.Options) []byte {
	if o.MSS != 0 {
		b = append(b, optMSS, 4)
		b = binary.BigEndian.AppendUint16(b, o.MSS)
	}
	if o.Order == stack.OrderBSD {
		b = appendWindowScale(b, o)
	}
	if o.SACKPermitted && o.HasTimestamps {
		b = append(b, optSACKPermitted, 2)
	} else if o.SACKPermitted {
		b = append(b, optNOP, optNOP, optSACKPermitted, 2)
	} else if o.HasTimestamps {
		b = append(b, optNOP, optNOP)
	}
	if o.HasTimestamps {
		b = append(b, optTimestamps, 10)
		b = binary.BigEndian.AppendUint32(b, o.TSVal)
		b = binary.BigEndian.AppendUint32(b, o.TSEcr)
	}
	if o.Order == stack.OrderLinux {
		b = appendWindowScale(b, o)
	}
	if o.SACKCount > 0 {
		b = append(b, optNOP, optNOP, optSACK, byte(2+8*o.SACKCount))
		for _, block := range o.Blocks() {
			b = binary.BigEndian.AppendUint32(b, uint32(block.Left))
			b = binary.BigEndian.AppendUint32(b, uint32(block.Right))
		}
	}
	if o.UserTimeout != 0 {
		b = append(b, optUserTimeout, 4)
		b = binary.BigEndian.AppendUint16(b, o.UserTimeout)
	}
	if o.HasFastOpen {
		for n := 2 + len(o.FastOpen); n%4 != 0; n++ {
			b = append(b, optNOP)
		}
		b = append(b, optFastOpen, byte(2+len(o.FastOpen)))
		b = append(b, o.FastOpen...)
	}
	return b
}

func appendWindowScale(b []byte, o *stack.Options) []byte {
	if !o.HasWindowScale {
		return b
	}
	return append(b, optNOP, optWindowScale, 3, o.WindowScale)
}

// parseOptions reads the options at any alignment (RFC 9293, MUST-64), skips
// unknown ones and those whose length is not theirs (MUST-6), and stops at a
// length that leads nowhere (MUST-7). A later option overrides an earlier one.
func parseOptions(b []byte, o *stack.Options) {
	for len(b) > 0 && b[0] != optEnd {
		if b[0] == optNOP {
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			return
		}
		parseOption(b[0], b[2:b[1]], o)
		b = b[b[1]:]
	}
}

func parseOption(kind byte, v []byte, o *stack.Options) {
	switch {
	case kind == optMSS && len(v) == 2:
		o.MSS = binary.BigEndian.Uint16(v)
	case kind == optWindowScale && len(v) == 1:
		o.HasWindowScale, o.WindowScale = true, v[0]
	case kind == optSACKPermitted && len(v) == 0:
		o.SACKPermitted = true
	case kind == optSACK && len(v)%8 == 0: // 40 octets hold four blocks at most
		o.SACKCount = len(v) / 8
		for i := range o.Blocks() {
			o.SACK[i] = stack.SACKBlock{
				Left:  stack.Seq(binary.BigEndian.Uint32(v[8*i:])),
				Right: stack.Seq(binary.BigEndian.Uint32(v[8*i+4:])),
			}
		}
	case kind == optTimestamps && len(v) == 8:
		o.HasTimestamps = true
		o.TSVal, o.TSEcr = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	case kind == optUserTimeout && len(v) == 2:
		o.UserTimeout = binary.BigEndian.Uint16(v)
	case kind == optFastOpen && (len(v) == 0 || 4 <= len(v) && len(v) <= 16):
		o.HasFastOpen, o.FastOpen = true, string(v)
	}
}
