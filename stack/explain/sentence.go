package explain

import (
	"net/netip"
	"strconv"
	"time"

	"rawnc/stack"
)

// A Sentence is one thing that is told of a segment. Its words are the key of
// the catalogue of languages, so they are fixed; its numbers are its arguments.
type Sentence struct {
	Kind   Kind
	Format string // English, and the key of every translation
	Args   []Arg
}

// Kind is what a Sentence is about, and so how soon it is wanted.
type Kind uint8

// The kinds of sentences.
const (
	Arithmetic Kind = iota // where a number comes from
	Meaning                // what the segment does, and why it was sent
	Change                 // an end changes its state
	Unusual                // something that a smooth conversation does not have
	Detail                 // what can be left out: windows, options
)

// The types of arguments, with int, string, netip.AddrPort, stack.State and
// Sentence. No number has its thousands apart: they are to be found again in the
// segment and in Wireshark.
type (
	word    string // is translated
	plain   uint32 // a sequence number
	frame   int    // the number of a segment
	octets  int    // a count of octets, in words
	elapsed time.Duration
)

// An Arg is an argument of a sentence. It is no interface, so that making one
// allocates nothing: there are some thirty in the account of a segment.
type Arg struct {
	kind   argKind
	number int64
	text   string // for a Sentence, the format
	args   []Arg  // of a Sentence
}

type argKind uint8

const (
	argText argKind = iota
	argWord
	argInt
	argPlain
	argFrame
	argOctets
	argElapsed
	argState
	argSentence
)

// appendArgs appends arguments of the types above. It lets none of them escape,
// which is why it ends there: an argument of another type is a mistake, and
// shows as fmt shows one.
func appendArgs(list []Arg, args []any) []Arg {
	for _, arg := range args {
		list = append(list, Arg{})
		a := &list[len(list)-1]
		switch arg := arg.(type) {
		case word:
			a.kind, a.text = argWord, string(arg)
		case int:
			a.kind, a.number = argInt, int64(arg)
		case plain:
			a.kind, a.number = argPlain, int64(arg)
		case frame:
			a.kind, a.number = argFrame, int64(arg)
		case octets:
			a.kind, a.number = argOctets, int64(arg)
		case elapsed:
			a.kind, a.number = argElapsed, int64(arg)
		case stack.State:
			a.kind, a.number = argState, int64(arg)
		case Sentence:
			a.kind, a.text, a.args = argSentence, arg.Format, arg.Args
		case netip.AddrPort:
			a.text = arg.String()
		case string:
			a.text = arg
		default:
			a.text = "%!(BADTYPE)"
		}
	}
	return list
}

// phrase makes a sentence, or a part of one.
func phrase(kind Kind, format string, args ...any) Sentence {
	return Sentence{kind, format, appendArgs(make([]Arg, 0, len(args)), args)}
}

func (n plain) String() string { return strconv.FormatUint(uint64(n), 10) }
func (f frame) String() string { return "#" + strconv.Itoa(int(f)) }

func (e elapsed) String() string { return string(appendElapsed(nil, time.Duration(e))) }

// of shows a number as the rest of the sentence counts: relative where it can be.
func (n Number) shown() plain {
	if n.Known {
		return plain(n.Rel)
	}
	return plain(n.Raw)
}
