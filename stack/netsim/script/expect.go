package script

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"rawnc/stack"
	"rawnc/stack/fault"
)

// An Unexpected is an expectation that was not met.
type Unexpected struct {
	Expected string
	Actual   string
}

func (u *Unexpected) Error() string {
	return "expected: " + u.Expected + "\n  actual: " + u.Actual
}

// patience is how long an expectation lets the clock run, unless it says
// "within".
const patience = 10 * time.Minute

// readExpectation reads what is to happen. An expectation lets the clock run
// until it is met.
//
//	SIDE ( KIND ... | "state" STATE | "reads" OCTETS | "judges" VERDICT | "error" ERROR |
//	   "hears" "of" NUMBER "urgent" "octets" ) [ "within" TIME ]
//	| "no" SIDE KIND | NUMBER [ SIDE ] "segments"
func readExpectation(w *fault.Words) (func(*Run) error, error) {
	at := *w
	switch {
	case w.Take("no"):
		return readNone(w, at)
	case w.AtNumber():
		return readCountOf(w, at)
	}
	who, err := w.ReadSide()
	if err != nil {
		return nil, w.Expected("client, server, no or a number of segments")
	}
	var read func(*fault.Words) (condition, error)
	switch {
	case w.Take("state"):
		read = readState
	case w.Take("reads"):
		read = readReads
	case w.Take("judges"):
		read = readVerdict
	case w.Take("error"):
		read = readError
	case w.Take("hears", "of"):
		read = readUrgent
	default:
		read = readSent
	}
	cond, err := read(w)
	if err != nil {
		return nil, err
	}
	limit := patience
	if w.Take("within") {
		if limit, err = w.Duration(); err != nil {
			return nil, err
		}
	}
	return func(r *Run) error {
		s := r.sides[who]
		r.net.Flush()
		end := r.net.Now.Add(limit)
		for !cond.met(r, s) {
			next, ok := r.net.Next()
			if !ok || next.After(end) {
				return &Unexpected{at.Rest(), cond.actual(r, s)}
			}
			if err := r.step(); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// A condition is what an expectation waits for.
type condition struct {
	met    func(*Run, *side) bool
	actual func(*Run, *side) string
}

func readState(w *fault.Words) (condition, error) {
	var names []string
	for s := stack.StateClosed; s <= stack.StateTimeWait; s++ {
		names = append(names, s.String())
	}
	name, err := w.Choose(names...)
	return condition{
		func(_ *Run, s *side) bool { return s.state().String() == name },
		func(_ *Run, s *side) string {
			text := fmt.Sprintf("%v state %v", s.Side, s.state())
			if s.end != nil && s.end.Err() != nil {
				text += ": " + s.end.Err().Error()
			}
			return text
		},
	}, err
}

// readSent reads what a segment is to be:
//
//	KIND { "seq" N | "ack" N | "len" N | "window" N | "flags" FLAGS | "sack" N "to" N |
//	"at" TIME | "because" REASON [ N ] }
func readSent(w *fault.Words) (condition, error) {
	kind, err := w.ReadKind()
	if err != nil {
		return condition{}, w.Expected("state, reads, judges, error, hears of, or a kind of segments: segment, SYN, SYN,ACK, ACK, data, FIN, RST or retransmission")
	}
	tests := []func(*Run, *entry) bool{func(_ *Run, e *entry) bool { return kind.Matches(&e.Seen) }}
	number := func(most int64, test func(*Run, *entry, int64) bool) error {
		n, err := w.Number("a number", 0, most)
		tests = append(tests, func(r *Run, e *entry) bool { return test(r, e, n) })
		return err
	}
	for ok := true; ok && err == nil; {
		switch {
		case w.Take("seq"):
			err = number(1<<32-1, func(_ *Run, e *entry, n int64) bool { return int64(e.Rel) == n })
		case w.Take("ack"):
			err = number(1<<32-1, func(r *Run, e *entry, n int64) bool {
				return e.Flags.Has(stack.ACK) && int64(r.relAck(e)) == n
			})
		case w.Take("len"):
			err = number(65535, func(_ *Run, e *entry, n int64) bool { return int64(len(e.Payload)) == n })
		case w.Take("window"):
			err = number(65535, func(_ *Run, e *entry, n int64) bool { return int64(e.Window) == n })
		case w.Take("flags"):
			var flags stack.Flags
			flags, err = readFlags(w)
			tests = append(tests, func(_ *Run, e *entry) bool { return e.Flags == flags })
		case w.Take("sack"):
			var block func(*side) stack.SACKBlock
			block, err = readSACK(w)
			tests = append(tests, func(r *Run, e *entry) bool {
				return slices.Contains(e.Options.Blocks(), block(r.sides[e.from.Other()]))
			})
		case w.Take("at"):
			var d time.Duration
			d, err = w.Duration()
			tests = append(tests, func(_ *Run, e *entry) bool { return e.at == d })
		case w.Take("because"):
			var why stack.Reason
			why, err = readReason(w)
			tests = append(tests, func(_ *Run, e *entry) bool {
				return e.own && e.why.Kind == why.Kind && (why.N == 0 || why.N == e.why.N)
			})
		default:
			ok = false
		}
	}
	return condition{
		func(r *Run, s *side) bool {
			for i := s.seenLog; i < len(r.log); i++ {
				e := &r.log[i]
				met := e.from == s.Side
				for _, test := range tests {
					met = met && test(r, e)
				}
				if met {
					s.seenLog = i + 1
					return true
				}
			}
			return false
		},
		(*Run).since,
	}, err
}

// relAck is the Ack of a segment, as the script counts.
func (r *Run) relAck(e *entry) uint32 { return uint32(e.Ack - r.sides[e.from.Other()].start()) }

// since tells what a side sent since the segment that was expected last.
func (r *Run) since(s *side) string {
	var list []string
	for i := s.seenLog; i < len(r.log); i++ {
		if e := &r.log[i]; e.from == s.Side {
			list = append(list, r.show(e))
		}
	}
	text := fmt.Sprintf("the %v sent nothing more", s.Side)
	if more := len(list) - 8; more > 0 {
		list = append(list[:8], fmt.Sprintf("and %d more", more))
	}
	if len(list) > 0 {
		text = fmt.Sprintf("the %v sent\n    %s", s.Side, strings.Join(list, "\n    "))
	}
	return text + fmt.Sprintf("\n  in the end, at %v: client %v, server %v", sinceStart(r.net.Now), r.sides[0].state(), r.sides[1].state())
}

func (r *Run) show(e *entry) string {
	text := fmt.Sprintf("%v seq %d", e.Flags, e.Rel)
	if e.Flags.Has(stack.ACK) {
		text += fmt.Sprintf(" ack %d", r.relAck(e))
	}
	text += fmt.Sprintf(" len %d window %d", len(e.Payload), e.Window)
	start := r.sides[e.from.Other()].start()
	for _, b := range e.Options.Blocks() {
		text += fmt.Sprintf(" sack %d to %d", uint32(b.Left-start), uint32(b.Right-start))
	}
	text += fmt.Sprintf(" at %v", e.at)
	if name := reasonName(e.why.Kind); e.own && name != "" {
		text += " because " + name
		if e.why.N > 0 {
			text += " " + strconv.Itoa(e.why.N)
		}
	}
	return text
}

// readReads reads what an application is to have received since what was
// expected last: a text, or a number of octets, which must be those that the
// other one wrote.
func readReads(w *fault.Words) (condition, error) {
	if w.Take("end") {
		return condition{
			func(_ *Run, s *side) bool { return s.eof },
			func(_ *Run, s *side) string {
				return fmt.Sprintf("the %v has not come to the end of what it reads", s.Side)
			},
		}, nil
	}
	text := w.AtQuoted()
	want, err := readOctets(w)
	return condition{
		func(r *Run, s *side) bool {
			got := s.got[s.seenOctets:]
			if len(got) < len(want) {
				return false
			}
			wanted := want
			if wrote := r.sides[s.Other()].wrote; !text && len(wrote) >= s.seenOctets+len(want) {
				wanted = wrote[s.seenOctets:][:len(want)]
			}
			if !bytes.Equal(got[:len(want)], wanted) {
				return false
			}
			s.seenOctets += len(want)
			return true
		},
		func(_ *Run, s *side) string {
			got := s.got[s.seenOctets:]
			const most = 60
			if len(got) > most {
				return fmt.Sprintf("the %v read %d octets: %q ...", s.Side, len(got), got[:most])
			}
			return fmt.Sprintf("the %v read %d octets: %q", s.Side, len(got), got)
		},
	}, err
}

func readVerdict(w *fault.Words) (condition, error) {
	want, err := verdicts.read(w)
	return condition{
		func(_ *Run, s *side) bool {
			for i := s.seenVerdicts; i < len(s.verdicts); i++ {
				if s.verdicts[i] == want {
					s.seenVerdicts = i + 1
					return true
				}
			}
			return false
		},
		func(_ *Run, s *side) string {
			var list []string
			for _, v := range s.verdicts[s.seenVerdicts:] {
				list = append(list, verdicts.of(v))
			}
			return fmt.Sprintf("the %v judged what arrived: %s", s.Side, strings.Join(list, ", "))
		},
	}, err
}

// readError reads why a connection is to end, or the ICMP error that it is to
// have been told.
func readError(w *fault.Words) (condition, error) {
	var match func(error) bool
	at := *w
	if kind, err := w.ReadICMP(); err == nil {
		match = func(err error) bool {
			var e *stack.ICMPError
			return errors.As(err, &e) && e.Kind == kind
		}
	} else if want, err := failures.read(w); err == nil {
		match = func(err error) bool { return errors.Is(err, want) }
	} else {
		return condition{}, at.Expected("refused, reset, timeout, aborted, idle or an ICMP error such as host-unreachable")
	}
	return condition{
		func(_ *Run, s *side) bool { return s.end != nil && (match(s.end.Err()) || match(s.end.SoftError())) },
		func(_ *Run, s *side) string {
			if s.end == nil {
				return fmt.Sprintf("the %v has no connection", s.Side)
			}
			return fmt.Sprintf("%v state %v, error: %v, ICMP: %v", s.Side, s.end.State(), s.end.Err(), s.end.SoftError())
		},
	}, nil
}

// readUrgent reads NUMBER "urgent" "octets": how many the application is told that
// it has to read, since what was expected last.
func readUrgent(w *fault.Words) (condition, error) {
	want, err := w.Number("a number of octets", 1, 1<<30)
	if err == nil {
		_, err = w.Choose("urgent")
	}
	if err == nil {
		_, err = w.Choose("octets", "octet")
	}
	return condition{
		func(_ *Run, s *side) bool {
			i := slices.Index(s.told, int(want))
			s.told = s.told[i+1:]
			return i >= 0
		},
		func(_ *Run, s *side) string {
			return fmt.Sprintf("the %v heard of urgent octets: %v", s.Side, s.told)
		},
	}, err
}

// readNone reads SIDE KIND: none such was sent so far.
func readNone(w *fault.Words, at fault.Words) (func(*Run) error, error) {
	who, err := w.ReadSide()
	if err != nil {
		return nil, err
	}
	kind, err := w.ReadKind()
	return func(r *Run) error {
		if err := r.settle(); err != nil {
			return err
		}
		for i := range r.log {
			if e := &r.log[i]; e.from == who && kind.Matches(&e.Seen) {
				return &Unexpected{at.Rest(), "the " + who.String() + " sent " + r.show(e)}
			}
		}
		return nil
	}, err
}

// readCountOf reads NUMBER [ SIDE ] "segments": so many were sent so far.
func readCountOf(w *fault.Words, at fault.Words) (func(*Run) error, error) {
	want, err := w.Number("a number of segments", 0, 1e9)
	if err != nil {
		return nil, err
	}
	both := false
	who, err := w.ReadSide()
	if err != nil {
		both = true
	}
	if _, err := w.Choose("segments", "segment"); err != nil {
		return nil, w.Expected("client, server or segments")
	}
	return func(r *Run) error {
		if err := r.settle(); err != nil {
			return err
		}
		var list []string
		for i := range r.log {
			if e := &r.log[i]; both || e.from == who {
				list = append(list, fmt.Sprintf("%v %s", e.from, r.show(e)))
			}
		}
		if len(list) == int(want) {
			return nil
		}
		return &Unexpected{at.Rest(), fmt.Sprintf("%d segments\n    %s", len(list), strings.Join(list[:min(len(list), 40)], "\n    "))}
	}, nil
}
