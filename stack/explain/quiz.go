package explain

import (
	"slices"
	"strconv"
	"strings"

	"rawnc/stack"
)

// A Quiz asks about segments before they are told of: for a number, or for the
// state of an end. It asks for nothing that the account has no sentence about,
// and the same segments always give the same questions.
type Quiz struct {
	Style TextStyle

	turn [kindsOfSegments]int // how often it asked about each kind of segment
}

// A Question is about one segment.
type Question struct {
	Text   string   // the segment without what is asked for, and the question
	Answer string   // the right one, as the log has it
	Why    []string // where it comes from, in the log's own words

	absolute string // the number on the wire is right too
	state    bool   // a state is asked for
}

// A Mark is what an answer is worth.
type Mark uint8

// The marks.
const (
	Wrong Mark = iota
	Right
	NoAnswer // neither a number nor a state, whichever was asked for
)

// What can be asked for, by the names in the log.
const (
	askSeq   = "Seq"
	askAck   = "Ack"
	askNext  = "Next"
	askState = "state"
)

// questions say what the name stands for, since nobody may have told yet.
var questions = map[string]string{
	askSeq:  "Seq: which number has the first byte of this segment?",
	askAck:  "Ack: which number does its sender expect next from the other side?",
	askNext: "Next: which number follows this segment, that is, Seq + Len, + 1 for a SYN, + 1 for a FIN?",
}

type segmentKind uint8

const (
	kindACK segmentKind = iota // and nothing else
	kindSYN
	kindSYNACK
	kindData
	kindFIN
	kindRST
	kindsOfSegments
)

// toAsk is what each kind of segment can teach; the turn decides what comes
// first.
var toAsk = [kindsOfSegments][]string{
	kindACK:    {askState, askAck},
	kindSYN:    {askNext},
	kindSYNACK: {askAck, askState},
	kindData:   {askNext, askSeq, askAck},
	kindFIN:    {askState, askNext},
	kindRST:    {askState},
}

func kindOf(a *Account) segmentKind {
	switch {
	case a.Flags.Has(stack.RST):
		return kindRST
	case a.Flags.Has(stack.SYN | stack.ACK):
		return kindSYNACK
	case a.Flags.Has(stack.SYN):
		return kindSYN
	case a.Flags.Has(stack.FIN):
		return kindFIN
	case a.Len > 0:
		return kindData
	}
	return kindACK
}

// Ask returns a question about the segment, or nil if there is none.
func (q *Quiz) Ask(a *Account) *Question {
	kind := kindOf(a)
	list, turn := toAsk[kind], q.turn[kind]
	for i := range list {
		what := list[(turn+i)%len(list)]
		question := q.number(a, what)
		if what == askState {
			question = q.state(a, turn)
		}
		if question != nil {
			q.turn[kind]++
			return question
		}
	}
	return nil
}

// number asks for one of the numbers.
func (q *Quiz) number(a *Account, name string) *Question {
	n, hidden := a.Next, askNext
	switch name {
	case askSeq:
		n, hidden = a.Seq, askSeq+askNext // which would tell it
	case askAck:
		n, hidden = a.Ack, askAck
	}
	var why []string
	for _, s := range a.Why {
		if strings.HasPrefix(s.Format, name+" ") { // the English, which is the key of all languages
			why = append(why, a.Say(s))
		}
	}
	if why == nil {
		return nil
	}
	return &Question{
		Text:   q.text(a, hidden, Sentence{Format: questions[name]}),
		Answer: n.shown().String(), absolute: strconv.FormatUint(uint64(n.Raw), 10), Why: why,
	}
}

// state asks for the state of an end that changes it.
func (q *Quiz) state(a *Account, turn int) *Question {
	var changes []Sentence
	for _, s := range a.Why {
		if s.Kind == Change {
			changes = append(changes, s)
		}
	}
	if changes == nil {
		return nil
	}
	s := changes[turn%len(changes)]
	question := Sentence{Format: "%v: in which state is it after this segment?", Args: s.Args[:1]}
	var state Arg
	for _, arg := range s.Args {
		if arg.kind == argState {
			state = arg // the last one is the new one
		}
	}
	return &Question{
		Text:   q.text(a, "", question),
		Answer: stack.State(state.number).String(), Why: []string{a.Say(s)}, state: true,
	}
}

// text is the segment's line without what is hidden, and the question under it.
func (q *Quiz) text(a *Account, hidden string, question Sentence) string {
	s := q.Style
	s.Level, s.hidden = min(s.Level, 1), hidden // no absolute numbers
	var b strings.Builder
	s.line(&b, faint, s.join(s.head(a)))
	s.sentence(&b, question, a.Say(question))
	return b.String()
}

// Mark marks an answer. Numbers may be relative or absolute, with their
// thousands apart; states are known without regard to case and hyphens.
func (q *Question) Mark(answer string) Mark {
	if q.state {
		given := stateKey(answer)
		if !slices.ContainsFunc(States(), func(s string) bool { return stateKey(s) == given }) {
			return NoAnswer
		}
		if given == stateKey(q.Answer) {
			return Right
		}
		return Wrong
	}
	given, err := strconv.ParseUint(strings.NewReplacer(",", "", "_", "", " ", "").Replace(answer), 10, 64)
	if err != nil {
		return NoAnswer
	}
	switch strconv.FormatUint(given, 10) {
	case q.Answer, q.absolute:
		return Right
	}
	return Wrong
}

// WantsState reports whether a state is asked for, and not a number.
func (q *Question) WantsState() bool { return q.state }

func stateKey(s string) string {
	return strings.NewReplacer("-", "", "_", "", " ", "").Replace(strings.ToUpper(s))
}

// States are the names of the eleven states.
func States() []string {
	var names []string
	for s := stack.StateClosed; s <= stack.StateTimeWait; s++ {
		names = append(names, s.String())
	}
	return names
}
