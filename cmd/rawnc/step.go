package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/urfave/cli/v2"

	"rawnc/rawtcp"
	"rawnc/stack"
	"rawnc/stack/explain"
)

// A stepper shows each segment before it is sent, and asks what to do with it
// (--step). The nil stepper asks nothing.
type stepper struct {
	asker *asker
	log   *recorder

	mu      sync.Mutex // a question at a time, whichever connection it is about
	longest time.Duration
	running bool // no more questions
}

const stepQuestion = "Enter sends it, s skips it (the network loses it), e FIELD=VALUE edits it, r runs on"

// impatient is the longest answer that no peer minds: none of its timers runs
// out within the initial retransmission timeout (RFC 6298, 2.1).
const impatient = time.Second

// interview prepares the questions of --step and --quiz, if they are wanted. It
// returns where to read what is to be sent.
func (o *options) interview(c *cli.Context, rec *recorder, signals *signals) (step *stepper, stdin io.Reader, err error) {
	flag := "--step"
	switch {
	case o.quiz:
		flag = "--quiz"
	case !o.step:
		return nil, os.Stdin, nil
	}
	free := o.sends != nil || c.Bool("z")
	a, err := newAsker(free, !free && !o.noInput)
	if err != nil {
		return nil, nil, fmt.Errorf("%s asks at the terminal, and there is none: run it in one, or leave standard input to the answers, for instance with --send", flag)
	}
	if o.quiz {
		context.AfterFunc(signals.ctx, a.stop) // whoever wants to leave answers no more
		rec.askWith(a)
	} else {
		step = &stepper{asker: a, log: rec}
	}
	if a.payload == nil {
		return step, os.Stdin, nil
	}
	return step, a, nil
}

// asGate is the gate of connections, or nil if nothing is asked.
func (s *stepper) asGate() rawtcp.Gate {
	if s == nil {
		return nil
	}
	return s.gate
}

// gate asks about a segment.
func (s *stepper) gate(ctx context.Context, e *rawtcp.Event) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return true
	}
	began := time.Now()
	pass, note := s.decide(ctx, e)
	s.longest = max(s.longest, time.Since(began))
	s.log.answered()
	if note != "" {
		s.log.say(note)
	}
	return pass
}

// decide asks until it is clear whether the segment is to be sent. A note tells
// what else that means.
func (s *stepper) decide(ctx context.Context, e *rawtcp.Event) (pass bool, note string) {
	made := e.Segment
	var account *explain.Account
	preview := func() { account = s.log.preview(e) }
	show := preview
	for {
		answer, ok := s.asker.ask(ctx, show)
		command, fields, _ := strings.Cut(answer, " ")
		switch {
		case ctx.Err() != nil:
			return false, "the connection ended while rawnc waited for an answer: this segment is not sent"
		case !ok:
			s.running = true
			return true, "there are no more answers: rawnc runs on without asking"
		case command == "r":
			s.running = true
			return true, "rawnc runs on without asking"
		case command == "":
			return true, ""
		case command == "s":
			return false, ""
		case command == "e":
			edited := e.Segment
			if err := edit(&edited, account, fields); err != nil {
				show = func() { s.log.say("%s", lang.Error(err)) }
			} else {
				e.Segment, e.Made = edited, &made
				show = preview
			}
		default:
			show = func() { s.log.say("%q is none of the answers", answer) }
		}
	}
}

// waits reports whether the connection stands still until an answer comes.
func (s *stepper) waits() bool { return s != nil && s.asker.waits() }

// stop asks no more, and takes back what is being asked.
func (s *stepper) stop() {
	if s == nil {
		return
	}
	s.asker.stop()
	s.mu.Lock() // until it has been
	defer s.mu.Unlock()
	s.running = true
}

// blame says that a connection that ended badly may have done so for want of an
// answer.
func (s *stepper) blame() {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.longest > impatient {
		s.log.say("an answer took %v: the peer does not wait for ever, and may have given up for that", s.longest.Round(100*time.Millisecond))
	}
}

// edit changes fields as in "seq=5 flags=SYN,ACK". Numbers count as in the log,
// where the segment is that of the account.
func edit(seg *stack.Segment, a *explain.Account, text string) error {
	fields := strings.Fields(text)
	if len(fields) == 0 {
		return fmt.Errorf("say what to edit, such as e seq=%d flags=FIN,ACK: the fields are seq and ack (as the log counts), flags, and window (0 to 65535, not scaled)", shown(a.Seq))
	}
	for _, field := range fields {
		name, value, _ := strings.Cut(field, "=")
		var err error
		switch strings.ToLower(name) {
		case "seq":
			seg.Seq, err = editNumber(a.Seq, name, value)
		case "ack":
			seg.Ack, err = editNumber(a.Ack, name, value)
		case "flags":
			seg.Flags, err = editFlags(value)
		case "window":
			var n uint64
			if n, err = strconv.ParseUint(value, 10, 16); err != nil {
				err = fmt.Errorf("window %q: give a whole number from %d to %d", value, 0, math.MaxUint16)
			}
			seg.Window = uint16(n)
		default:
			err = fmt.Errorf("%q cannot be edited: the fields are seq, ack, flags and window", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func shown(n explain.Number) uint32 {
	if n.Known {
		return n.Rel
	}
	return uint32(n.Raw)
}

// editNumber reads a sequence number that counts as n does.
func editNumber(n explain.Number, name, value string) (stack.Seq, error) {
	v, err := strconv.ParseUint(value, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s %q: give a whole number from %d to %d", name, value, 0, uint32(math.MaxUint32))
	}
	if n.Known {
		v += uint64(n.Raw) - uint64(n.Rel)
	}
	return stack.Seq(v), nil
}

// editFlags reads flags as the log writes them.
func editFlags(text string) (flags stack.Flags, err error) {
	known := stack.Flags(math.MaxUint8).Names()
	if text == "" || strings.EqualFold(text, "none") {
		return 0, nil
	}
	for _, name := range strings.Split(strings.ToUpper(text), ",") {
		i := slices.Index(known, name)
		if i < 0 {
			return 0, fmt.Errorf("there is no flag %q: the flags are %s, or none", name, strings.Join(known, ", "))
		}
		flags |= 1 << i
	}
	return flags, nil
}
