package explain

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/message"

	"rawnc/stack"
)

// A voice puts sentences into the words of a language. A message.Printer does
// that too, but takes a microsecond for each; so a voice asks it once how a
// format reads in the language, and then puts the arguments in itself. Several
// goroutines may use it at once.
type voice struct {
	recent [256]atomic.Pointer[template] // of formats, where a hash of them says

	mu      sync.Mutex
	printer *message.Printer
	formats map[string]*template
}

func newVoice(p *message.Printer) *voice {
	return &voice{printer: p, formats: map[string]*template{}}
}

func (v *voice) say(s Sentence) string {
	var sp speech
	return string(sp.append(nil, v, s.Format, s.Args))
}

// A template is a format in the language: before and behind each argument
// stands a text.
type template struct {
	format  string
	texts   []string
	args    []int // which argument follows the text; the last text has none
	given   int   // how many arguments the format was given
	odd     bool  // it has more to it than that
	unclean bool  // a text must be escaped in JSON
}

// A mark stands in a template for an argument.
type mark byte

const markOdd = 0xff

// Format writes the mark where the argument would stand (fmt.Formatter).
func (m mark) Format(s fmt.State, verb rune) {
	_, width := s.Width()
	_, precision := s.Precision()
	if width || precision || s.Flag('#') || s.Flag('+') || s.Flag('-') || verb != 'v' && verb != 'd' && verb != 's' {
		m = markOdd
	}
	s.Write([]byte{0, byte(m)})
}

func (v *voice) template(format string, given int) *template {
	recent := &v.recent[0]
	if n := len(format); n > 0 {
		recent = &v.recent[(n*7+int(format[0])*5+int(format[n/2])*3+int(format[n-1]))%len(v.recent)]
	}
	if t := recent.Load(); t != nil && t.format == format {
		return t
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	t := v.formats[format]
	if t == nil {
		t = newTemplate(v.printer, format, given)
		v.formats[format] = t
	}
	recent.Store(t)
	return t
}

func newTemplate(printer *message.Printer, format string, given int) *template {
	marks := make([]any, given)
	for i := range marks {
		marks[i] = mark(i)
	}
	t := &template{format: format, given: given}
	text := []byte(printer.Sprintf(format, marks...))
	for {
		before, behind, found := bytes.Cut(text, []byte{0})
		t.texts = append(t.texts, string(before))
		t.unclean = t.unclean || !clean(t.texts[len(t.texts)-1])
		if !found {
			break
		}
		if int(behind[0]) >= given {
			t.odd = true
			break
		}
		t.args = append(t.args, int(behind[0]))
		text = behind[1:]
	}
	return t
}

// A speech is a sentence while it is said.
type speech struct {
	unclean bool // something in it must be escaped in JSON
}

// append appends the sentence to b, in the words of v.
func (sp *speech) append(b []byte, v *voice, format string, args []Arg) []byte {
	t := v.template(format, len(args))
	if t.odd || t.given != len(args) {
		return sp.appendSlowly(b, v, format, args)
	}
	sp.unclean = sp.unclean || t.unclean
	for i, text := range t.texts {
		end := len(b)
		if b = append(b, text...); meet(b, end) {
			b = setApart(b, end)
		}
		if i < len(t.args) {
			end = len(b)
			if b = sp.appendArg(b, v, &args[t.args[i]]); meet(b, end) {
				b = setApart(b, end)
			}
		}
	}
	return b
}

// meet reports whether there is more than ASCII at an index of b, between two
// characters.
func meet(b []byte, i int) bool {
	return i > 0 && i < len(b) && b[i-1]|b[i] >= utf8.RuneSelf
}

// setApart puts a space there if a Chinese character and a number or a name
// meet, as is usual.
func setApart(b []byte, i int) []byte {
	before, _ := utf8.DecodeLastRune(b[:i])
	behind, _ := utf8.DecodeRune(b[i:])
	if unicode.Is(unicode.Han, before) && startsName(behind) || endsName(before) && unicode.Is(unicode.Han, behind) {
		b = slices.Insert(b, i, ' ')
	}
	return b
}

func startsName(r rune) bool { return r == '#' || r == '[' || endsName(r) }

func endsName(r rune) bool {
	return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// appendArg appends an argument. Those that are words themselves are translated
// too.
func (sp *speech) appendArg(b []byte, v *voice, a *Arg) []byte {
	switch a.kind {
	case argText:
		sp.unclean = sp.unclean || !clean(a.text)
		return append(b, a.text...)
	case argWord, argSentence:
		return sp.append(b, v, a.text, a.args)
	case argInt, argPlain:
		return strconv.AppendInt(b, a.number, 10)
	case argFrame:
		return strconv.AppendInt(append(b, '#'), a.number, 10)
	case argElapsed:
		return appendElapsed(b, time.Duration(a.number))
	case argState:
		return append(b, stack.State(a.number).String()...)
	case argOctets:
		switch a.number {
		case 0:
			return sp.append(b, v, "no data", nil)
		case 1:
			return sp.append(b, v, "1 byte", nil)
		}
		number := [...]Arg{{kind: argInt, number: a.number}}
		return sp.append(b, v, "%d bytes", number[:])
	}
	return b
}

// digits is a number that the printer leaves as it is. Its thousands would be
// set apart otherwise, which the numbers of a segment are not.
type digits int64

// Format writes the number as package fmt does (fmt.Formatter).
func (d digits) Format(s fmt.State, verb rune) {
	fmt.Fprintf(s, fmt.FormatString(s, verb), int64(d))
}

// appendSlowly leaves a format that is no simple one to the printer.
func (sp *speech) appendSlowly(b []byte, v *voice, format string, args []Arg) []byte {
	said := make([]any, len(args))
	for i := range args {
		if a := &args[i]; a.kind == argInt {
			said[i] = digits(a.number)
		} else {
			said[i] = string(sp.appendArg(nil, v, a))
		}
	}
	sp.unclean = true
	v.mu.Lock()
	defer v.mu.Unlock()
	return append(b, v.printer.Sprintf(format, said...)...)
}

// appendElapsed appends seconds or milliseconds, to three decimals.
func appendElapsed(b []byte, d time.Duration) []byte {
	if d >= time.Second || d <= -time.Second {
		return append(strconv.AppendFloat(b, d.Seconds(), 'f', 3, 64), " s"...)
	}
	return append(strconv.AppendFloat(b, float64(d)/1e6, 'f', 3, 64), " ms"...)
}
