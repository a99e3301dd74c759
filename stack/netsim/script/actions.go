package script

import (
	"fmt"
	"strings"
	"time"

	"rawnc/stack"
	"rawnc/stack/fault"
	"rawnc/stack/netsim"
)

// readStep reads
//
//	[ ( "at" | "after" ) TIME ] ACTION | "wait" TIME | "expect" EXPECTATION
func readStep(w *fault.Words) (func(*Run) error, error) {
	switch {
	case w.Take("at"):
		d, err := w.Duration()
		if err != nil {
			return nil, err
		}
		return timed(w, func(r *Run) error { return r.runTo(netsim.Start.Add(d)) })
	case w.Take("after"):
		d, err := w.Duration()
		if err != nil {
			return nil, err
		}
		return timed(w, func(r *Run) error { return r.runTo(r.net.Now.Add(d)) })
	case w.Take("wait"):
		d, err := w.Duration()
		return func(r *Run) error { return r.runTo(r.net.Now.Add(d)) }, err
	case w.Take("expect"):
		return readExpectation(w)
	}
	return readAction(w)
}

// timed reads an action that is to be done once the clock has come to its time.
func timed(w *fault.Words, wait func(*Run) error) (func(*Run) error, error) {
	act, err := readAction(w)
	return func(r *Run) error {
		if err := wait(r); err != nil {
			return err
		}
		return act(r)
	}, err
}

func readAction(w *fault.Words) (func(*Run) error, error) {
	switch {
	case w.Take("client"):
		return readSideAction(w, fault.Client)
	case w.Take("server"):
		return readSideAction(w, fault.Server)
	case w.Take("network"):
		return readNetworkAction(w)
	case w.Take("capture", "misses"):
		return readMiss(w)
	}
	return nil, w.Expected("client, server, network, capture, expect, wait, at, after or tshark")
}

// readSideAction reads what the client or the server does.
func readSideAction(w *fault.Words, who fault.Side) (func(*Run) error, error) {
	on := func(f func(*Run, *side) error) func(*Run) error {
		return func(r *Run) error { return f(r, r.sides[who]) }
	}
	verb, err := w.Choose("has", "opens", "listens", "writes", "reads", "stops", "closes", "quits", "aborts", "crashes", "sends")
	if err != nil {
		return nil, err
	}
	switch verb {
	case "has":
		set, err := readSettings(w, endSettings)
		return on(func(_ *Run, s *side) error { set(s); return nil }), err
	case "opens":
		return on((*Run).open), nil
	case "listens":
		return on(func(_ *Run, s *side) error { s.deaf = false; return nil }), nil
	case "writes":
		b, err := readOctets(w)
		return on(func(_ *Run, s *side) error {
			s.wrote = append(s.wrote, b...)
			s.toWrite = append(s.toWrite, b...)
			return nil
		}), err
	case "reads":
		budget := int64(-1)
		if w.AtNumber() {
			if budget, err = readCount(w); err != nil {
				return nil, err
			}
		}
		return on(func(_ *Run, s *side) error { s.budget = int(budget); return nil }), nil
	case "stops":
		_, err := w.Choose("reading")
		return on(func(_ *Run, s *side) error { s.budget = 0; return nil }), err
	case "closes":
		if w.Take("when", who.Other().String(), "does") {
			return on(func(_ *Run, s *side) error { s.follows = true; return nil }), nil
		}
		return on(func(_ *Run, s *side) error { s.closing = true; return nil }), nil
	case "quits":
		return on(func(r *Run, s *side) error {
			if s.end == nil {
				return errNoConnection
			}
			s.budget = 0
			return s.end.Close(r.net.Now)
		}), nil
	case "aborts":
		return on(func(r *Run, s *side) error {
			if s.end == nil {
				return errNoConnection
			}
			s.end.Abort(r.net.Now)
			return nil
		}), nil
	case "crashes":
		return on(func(_ *Run, s *side) error { s.end, s.host.Ends = nil, nil; return nil }), nil
	}
	seg, err := readSegment(w, who)
	return on(func(r *Run, s *side) error {
		if !s.raw {
			return fmt.Errorf(`the %v has a stack, which alone says what it sends: write "%v has no stack" before, or "network injects %v ..." for what somebody else sends in its name`, who, who, who)
		}
		s.host.Send(seg(r))
		return nil
	}), err
}

// readNetworkAction reads what the network does.
func readNetworkAction(w *fault.Words) (func(*Run) error, error) {
	switch {
	case w.Take("has"):
		set, err := readSettings(w, networkSettings)
		if err != nil {
			return nil, err
		}
		from := func(r *Run) paths { return paths{r.sides[0], r.sides[1]} }
		if w.Take("from") {
			who, err := w.ReadSide()
			if err != nil {
				return nil, err
			}
			from = func(r *Run) paths { return paths{r.sides[who]} }
		}
		return func(r *Run) error { set(from(r)); return nil }, nil
	case w.Take("injects"):
		who, err := w.ReadSide()
		if err != nil {
			return nil, err
		}
		seg, err := readSegment(w, who)
		return func(r *Run) error { r.net.Inject(r.sides[who.Other()].host, seg(r)); return nil }, err
	case w.Take("tells"):
		return readTell(w)
	case w.Take("behaves"):
		return func(r *Run) error { r.rules.Clear(); return nil }, nil
	}
	at := *w
	if _, err := w.ReadRule(); err != nil {
		if at.Col() == w.Col() {
			return nil, w.Expected("has, injects, tells, behaves, drops, duplicates, delays, corrupts or rejects")
		}
		return nil, err
	}
	return func(r *Run) error {
		again := at
		rule, err := again.ReadRule() // a new one for each run, for it counts
		r.rules.Add(rule)
		return err
	}, nil
}

// readTell reads SIDE ERROR [ "mtu" NUMBER ] [ "about" "seq" NUMBER ].
func readTell(w *fault.Words) (func(*Run) error, error) {
	who, err := w.ReadSide()
	if err != nil {
		return nil, err
	}
	kind, err := w.ReadICMP()
	if err != nil {
		return nil, err
	}
	var mtu, seq int64
	if w.Take("mtu") {
		if mtu, err = w.Number("octets", 0, 65535); err != nil {
			return nil, err
		}
	}
	about := w.Take("about", "seq")
	if about {
		if seq, err = w.Number("a sequence number", 0, 1<<32-1); err != nil {
			return nil, err
		}
	}
	return func(r *Run) error {
		s := r.sides[who]
		quoted := stack.Segment{SrcPort: s.port, DstPort: r.sides[who.Other()].port, Seq: s.last, Flags: stack.ACK, Window: 65535}
		if about {
			quoted.Seq = s.start().Add(int(seq))
		}
		e := &stack.ICMPError{Kind: kind, Seq: quoted.Seq, MTU: int(mtu), From: r.Router()}
		r.net.Tell(s.host, e, quoted)
		return nil
	}, nil
}

// readMiss reads a pattern of what the capture lacks.
func readMiss(w *fault.Words) (func(*Run) error, error) {
	read := func(w fault.Words) (m miss, err error) {
		m.pattern, err = w.ReadPattern(func() (err error) {
			m.from, err = w.ReadSide()
			return err
		})
		return m, err
	}
	at := *w
	_, err := w.ReadPattern(func() error {
		_, err := w.ReadSide()
		return err
	})
	return func(r *Run) error {
		m, err := read(at)
		r.misses = append(r.misses, &m)
		return err
	}, err
}

// A miss is a pattern of what the capture lacks.
type miss struct {
	from    fault.Side
	pattern fault.Pattern
}

// readOctets reads a quoted text, or a number of octets.
func readOctets(w *fault.Words) ([]byte, error) {
	if w.AtQuoted() {
		text, err := w.Quoted()
		return []byte(text), err
	}
	if !w.AtNumber() {
		return nil, w.Expected(`text between " and ", or a number of octets`)
	}
	n, err := readCount(w)
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdefghijklmnopqrstuvwxyz\n"[i%27]
	}
	return b, err
}

func readCount(w *fault.Words) (int64, error) {
	n, err := w.Number("a number of octets", 0, 64<<20)
	if err != nil {
		return 0, err
	}
	_, err = w.Choose("octets", "octet")
	return n, err
}

// flagsNamed reads flags as Wireshark names them.
func flagsNamed(text string) (f stack.Flags, ok bool) {
	if text == "none" {
		return 0, true
	}
	for _, name := range strings.Split(text, ",") {
		bit := stack.Flags(0)
		for b := stack.FIN; b != 0; b <<= 1 {
			if b.String() == name {
				bit = b
			}
		}
		if bit == 0 || f.Has(bit) {
			return 0, false
		}
		f |= bit
	}
	return f, true
}

// readSegment reads a segment of one side. What is not said is as that side
// would have it: Seq follows what it sent, Ack what the other side sent.
//
//	FLAGS { "seq" N | "ack" N | "window" N | "urgent" N | "mss" N | "scale" N |
//	"sack-permitted" | "timestamps" N N | "sack" N "to" N | OCTETS }
func readSegment(w *fault.Words, who fault.Side) (func(*Run) stack.Segment, error) {
	at := *w
	text, err := w.Word("the flags of a segment")
	if err != nil {
		return nil, err
	}
	flags, ok := flagsNamed(text)
	if !ok {
		return nil, at.Expected("flags such as SYN, SYN,ACK, PSH,ACK or none")
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
		case w.Take("sack"):
			err = readSACK(w, add)
		case w.AtQuoted(), w.AtNumber():
			var b []byte
			b, err = readOctets(w)
			if len(b) > 65000 {
				return nil, w.Expected("at most 65000 octets in a segment")
			}
			add(func(_, _ *side, seg *stack.Segment) { seg.Payload = b })
		default:
			err = w.Expected("seq, ack, window, urgent, mss, scale, sack-permitted, timestamps, sack, a payload or the end of the line")
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

// readSACK reads a SACK block: NUMBER "to" NUMBER.
func readSACK(w *fault.Words, add func(func(own, other *side, seg *stack.Segment))) error {
	left, err := w.Number("a sequence number", 0, 1<<32-1)
	if err != nil {
		return err
	}
	if _, err := w.Choose("to"); err != nil {
		return err
	}
	right, err := w.Number("a sequence number", 0, 1<<32-1)
	add(func(_, other *side, seg *stack.Segment) {
		o := &seg.Options
		if o.SACKCount < len(o.SACK) {
			o.SACK[o.SACKCount] = stack.SACKBlock{Left: other.start() + stack.Seq(left), Right: other.start() + stack.Seq(right)}
			o.SACKCount++
		}
	})
	return err
}

// sinceStart is a time as scripts have it.
func sinceStart(t time.Time) time.Duration { return t.Sub(netsim.Start) }
