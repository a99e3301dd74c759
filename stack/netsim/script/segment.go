package script

import (
	"strings"

	"rawnc/stack"
	"rawnc/stack/fault"
)

// readFlags reads flags as Wireshark names them.
func readFlags(w *fault.Words) (f stack.Flags, err error) {
	at := *w
	text, err := w.Word("the flags of a segment")
	if err != nil || text == "none" {
		return 0, err
	}
	for _, name := range strings.Split(text, ",") {
		bit := stack.Flags(0)
		for b := stack.FIN; b != 0; b <<= 1 {
			if b.String() == name {
				bit = b
			}
		}
		if bit == 0 || f.Has(bit) {
			return 0, at.Expected("flags such as SYN, SYN,ACK, PSH,ACK or none")
		}
		f |= bit
	}
	return f, nil
}

// readSegment reads a segment of one side. What is not said is as that side
// would have it: Seq follows what it sent, Ack what the other side sent.
//
//	FLAGS { "seq" N | "ack" N | "window" N | "urgent" N | "mss" N | "scale" N |
//	"sack-permitted" | "timestamps" N N | "sack" N "to" N |
//	"fast-open" [ COOKIE ] | OCTETS }
func readSegment(w *fault.Words, who fault.Side) (func(*Run) stack.Segment, error) {
	flags, err := readFlags(w)
	if err != nil {
		return nil, err
	}
	set := []func(own, other *side, seg *stack.Segment){}
	add := func(f func(own, other *side, seg *stack.Segment)) { set = append(set, f) }
	value := func(most int64, f func(own, other *side, seg *stack.Segment, n int64)) error {
		n, err := w.Number("a number", 0, most)
		add(func(own, other *side, seg *stack.Segment) { f(own, other, seg, n) })
		return err
	}
	for err == nil && !w.Done() {
		switch {
		case w.Take("seq"):
			err = value(1<<32-1, func(own, _ *side, seg *stack.Segment, n int64) { seg.Seq = own.start() + stack.Seq(n) })
		case w.Take("ack"):
			err = value(1<<32-1, func(_, other *side, seg *stack.Segment, n int64) { seg.Ack = other.start() + stack.Seq(n) })
		case w.Take("window"):
			err = value(65535, func(_, _ *side, seg *stack.Segment, n int64) { seg.Window = uint16(n) })
		case w.Take("urgent"):
			err = value(65535, func(_, _ *side, seg *stack.Segment, n int64) { seg.Urgent = uint16(n) })
		case w.Take("mss"):
			err = value(65535, func(_, _ *side, seg *stack.Segment, n int64) { seg.Options.MSS = uint16(n) })
		case w.Take("scale"):
			err = value(255, func(_, _ *side, seg *stack.Segment, n int64) {
				seg.Options.HasWindowScale, seg.Options.WindowScale = true, uint8(n)
			})
		case w.Take("sack-permitted"):
			add(func(_, _ *side, seg *stack.Segment) { seg.Options.SACKPermitted = true })
		case w.Take("timestamps"):
			err = value(1<<32-1, func(_, _ *side, seg *stack.Segment, n int64) {
				seg.Options.HasTimestamps, seg.Options.TSVal = true, uint32(n)
			})
			if err == nil {
				err = value(1<<32-1, func(_, _ *side, seg *stack.Segment, n int64) { seg.Options.TSEcr = uint32(n) })
			}
		case w.Take("fast-open"):
			cookie := ""
			if w.AtQuoted() {
				cookie, err = readCookie(w)
			}
			add(func(_, _ *side, seg *stack.Segment) { seg.Options.HasFastOpen, seg.Options.FastOpen = true, cookie })
		case w.Take("sack"):
			var block func(other *side) stack.SACKBlock
			block, err = readSACK(w)
			add(func(_, other *side, seg *stack.Segment) {
				o := &seg.Options
				if o.SACKCount < len(o.SACK) {
					o.SACK[o.SACKCount] = block(other)
					o.SACKCount++
				}
			})
		case w.AtQuoted(), w.AtNumber():
			var b []byte
			b, err = readOctets(w)
			if len(b) > 65000 {
				return nil, w.Expected("at most 65000 octets in a segment")
			}
			add(func(_, _ *side, seg *stack.Segment) { seg.Payload = b })
		default:
			err = w.Expected("seq, ack, window, urgent, mss, scale, sack-permitted, timestamps, sack, fast-open, a payload or the end of the line")
		}
	}
	return func(r *Run) stack.Segment {
		own, other := r.sides[who], r.sides[who.Other()]
		seg := stack.Segment{
			SrcPort: own.port, DstPort: other.port, Flags: flags, Window: 65535, Seq: own.next(),
		}
		if flags.Has(stack.RST) {
			seg.Window = 0
		}
		if flags.Has(stack.SYN) {
			seg.Seq = own.start()
		}
		if flags.Has(stack.ACK) {
			seg.Ack = other.next()
		}
		for _, f := range set {
			f(own, other, &seg)
		}
		return seg
	}, err
}

// readSACK reads a SACK block: NUMBER "to" NUMBER, in the numbers of the side
// that sent what it acknowledges.
func readSACK(w *fault.Words) (func(*side) stack.SACKBlock, error) {
	left, err := w.Number("a sequence number", 0, 1<<32-1)
	if err != nil {
		return nil, err
	}
	if _, err := w.Choose("to"); err != nil {
		return nil, err
	}
	right, err := w.Number("a sequence number", 0, 1<<32-1)
	return func(s *side) stack.SACKBlock {
		return stack.SACKBlock{Left: s.start() + stack.Seq(left), Right: s.start() + stack.Seq(right)}
	}, err
}

// readCookie reads the cookie of TCP Fast Open.
func readCookie(w *fault.Words) (string, error) {
	at := *w
	cookie, err := w.Quoted()
	if n := len(cookie); err == nil && (n < 4 || n > 16) {
		err = at.Expected("a cookie of 4 to 16 octets")
	}
	return cookie, err
}
