package script

import (
	"fmt"
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
		urgent := w.Take("urgent")
		b, err := readOctets(w)
		return on(func(_ *Run, s *side) error {
			s.wrote = append(s.wrote, b...)
			s.toWrite = append(s.toWrite, b...)
			if urgent {
				s.urgent = len(s.toWrite)
			}
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
		if w.Take("when") {
			_, err := w.Choose(who.Other().String())
			if err == nil {
				_, err = w.Choose("does")
			}
			return on(func(_ *Run, s *side) error { s.follows = true; return nil }), err
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
			return nil, w.Expected("has, injects, tells, behaves, drops, duplicates, delays, corrupts, marks or rejects")
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

// sinceStart is a time as scripts have it.
func sinceStart(t time.Time) time.Duration { return t.Sub(netsim.Start) }
