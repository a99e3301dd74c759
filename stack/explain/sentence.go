package explain

import (
	"strconv"
	"time"

	"golang.org/x/text/message"
)

// A Sentence is one thing that is told of a segment. Its words are the key of
// the catalogue of languages, so they are fixed; its numbers are its arguments.
type Sentence struct {
	Kind   Kind
	Format string // English, and the key of every translation
	Args   []any
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

// render puts the sentence into the words of p's language. Arguments that are
// words themselves are translated too.
func (s Sentence) render(p *message.Printer) string {
	args := make([]any, len(s.Args))
	for i, arg := range s.Args {
		switch arg := arg.(type) {
		case word:
			args[i] = p.Sprintf(string(arg))
		case Sentence:
			args[i] = arg.render(p)
		default:
			args[i] = arg
		}
	}
	return p.Sprintf(s.Format, args...)
}

// The types of arguments. An int is printed with its thousands apart, which is
// right for sizes and wrong for names: a sequence number is a plain one.
type (
	word    string // is translated
	plain   uint32 // a sequence number
	frame   int    // the number of a segment
	elapsed time.Duration
)

func (n plain) String() string { return strconv.FormatUint(uint64(n), 10) }
func (f frame) String() string { return "#" + strconv.Itoa(int(f)) }

func (e elapsed) String() string {
	d := time.Duration(e)
	if d >= time.Second || d <= -time.Second {
		return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) + " s"
	}
	return strconv.FormatFloat(float64(d)/1e6, 'f', 3, 64) + " ms"
}

// of shows a number as the rest of the sentence counts: relative where it can be.
func (n Number) shown() plain {
	if n.Known {
		return plain(n.Rel)
	}
	return plain(n.Raw)
}
