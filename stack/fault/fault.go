// Package fault is the small language of what a network does to segments, such
// as "drop out data 2". The simulator and a live link with faults read the same
// rules.
package fault

import (
	"strings"
	"time"

	"rawnc/stack"
)

// A Side is who sends a segment.
type Side uint8

// The sides. On a live link what goes out is the client's, whoever opened.
const (
	Client Side = iota
	Server
)

func (s Side) String() string { return [...]string{"client", "server"}[s] }

// Other is the far side.
func (s Side) Other() Side { return 1 - s }

// A Fate is what becomes of a segment.
type Fate struct {
	Drop    bool
	Copies  int // further ones
	Corrupt bool
	Mark    bool            // a router marks it, if it may (RFC 3168)
	Delay   time.Duration   // beyond that of the others
	ICMP    *stack.ICMPKind // it is dropped, and this error tells the sender so
}

// A Rule does something to the segments that it picks.
type Rule struct {
	From    Side
	pattern Pattern
	act     func(*Fate)
	// Simulated says that a live link cannot do it.
	Simulated bool
}

// Parse reads a rule:
//
//	ACTION PATTERN [ "by" TIME | "with" ERROR ]
//
// ACTION is drop, duplicate, delay, corrupt, mark or reject. The error is a
// *SyntaxError.
func Parse(text string) (*Rule, error) {
	w, err := Split(text)
	if err != nil {
		return nil, err
	}
	r, err := w.ReadRule()
	if err != nil {
		return nil, err
	}
	return r, w.End()
}

// Actions are the words that begin a rule. Each may have an s behind it.
var Actions = []string{"drop", "duplicate", "delay", "corrupt", "mark", "reject"}

// ReadRule takes a rule.
func (w *Words) ReadRule() (*Rule, error) {
	action, ok := "", false
	for _, a := range Actions {
		if ok = w.Take(a) || w.Take(a+"s"); ok {
			action = a
			break
		}
	}
	if !ok {
		return nil, w.Expected("%s", List(Actions))
	}
	r := &Rule{}
	var err error
	r.pattern, err = w.ReadPattern(func() (err error) {
		r.From, err = w.ReadSide()
		return err
	})
	if err != nil {
		return nil, err
	}
	switch action {
	case "drop":
		r.act = func(f *Fate) { f.Drop = true }
	case "duplicate":
		r.act = func(f *Fate) { f.Copies++ }
	case "corrupt":
		r.act = func(f *Fate) { f.Corrupt = true }
	case "mark":
		r.act = func(f *Fate) { f.Mark = true }
	case "delay":
		if _, err := w.Choose("by"); err != nil {
			return nil, err
		}
		d, err := w.Duration()
		if err != nil {
			return nil, err
		}
		r.act = func(f *Fate) { f.Delay += d }
	case "reject":
		if _, err := w.Choose("with"); err != nil {
			return nil, err
		}
		kind, err := w.ReadICMP()
		if err != nil {
			return nil, err
		}
		r.act = func(f *Fate) { f.ICMP = &kind }
		r.Simulated = true
	}
	return r, nil
}

// ReadSide takes a side: client and server, or out and in.
func (w *Words) ReadSide() (Side, error) {
	switch {
	case w.Take("client"), w.Take("out"):
		return Client, nil
	case w.Take("server"), w.Take("in"):
		return Server, nil
	}
	return 0, w.Expected("client or server (on a live link: out or in)")
}

// ReadICMP takes the name of an ICMP error, such as host-unreachable.
func (w *Words) ReadICMP() (stack.ICMPKind, error) {
	var names []string
	for k := stack.ICMPNetUnreachable; k <= stack.ICMPParameterProblem; k++ {
		name := strings.ReplaceAll(k.String(), " ", "-")
		if w.Take(name) {
			return k, nil
		}
		names = append(names, name)
	}
	return 0, w.Expected("%s", List(names))
}

// Rules are the rules of a network, and what they need to know of the
// connection. The zero value has none. The two sides share nothing: Fate may be
// called for both at once.
type Rules struct {
	rules []*Rule
	views [2]View
}

// Add adds a rule, which counts from now on.
func (r *Rules) Add(rule *Rule) { r.rules = append(r.rules, rule) }

// Clear forgets all rules.
func (r *Rules) Clear() { r.rules = nil }

// Fate decides what becomes of the next segment that a side sends. Several
// rules may hit it. Where chance has a say, random is asked for a number from 0
// to 1.
func (r *Rules) Fate(from Side, seg *stack.Segment, random func() float64) Fate {
	var f Fate
	seen := r.views[from].See(seg)
	for _, rule := range r.rules {
		if rule.From == from && rule.pattern.Matches(&seen, random) {
			rule.act(&f)
		}
	}
	return f
}
