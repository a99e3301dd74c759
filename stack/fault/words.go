package fault

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Words is a line of words, read from the left. The scenario language of
// stack/netsim/script reads its lines with it too.
type Words struct {
	words []word
	i     int
	end   int // column behind the line
}

// A word is text without spaces, a comma, or a quoted Go string.
type word struct {
	text   string // without the quotes
	col    int    // of its first character, from 1
	quoted bool
}

// A SyntaxError says where a line departs from the grammar, and what would
// have been right.
type SyntaxError struct {
	Col      int    // in characters, from 1
	Expected string // in words
	Found    string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("column %d: expected %s, found %s", e.Col, e.Expected, e.Found)
}

// Split reads a line into words. A # at the start of a word begins a comment.
// The error, a *SyntaxError, is for a quote that does not end.
func Split(line string) (*Words, error) {
	w := &Words{}
	col := func(rest string) int {
		return utf8.RuneCountInString(line[:len(line)-len(rest)]) + 1
	}
	rest := line
	for {
		rest = strings.TrimLeftFunc(rest, unicode.IsSpace)
		if rest == "" || rest[0] == '#' {
			w.end = col(rest)
			return w, nil
		}
		at := col(rest)
		if rest[0] == '"' {
			quoted, err := strconv.QuotedPrefix(rest)
			if err != nil {
				return nil, &SyntaxError{at, `text between " and ", with Go's escapes`, rest}
			}
			text, _ := strconv.Unquote(quoted)
			w.words = append(w.words, word{text, at, true})
			rest = rest[len(quoted):]
			continue
		}
		n := strings.IndexFunc(rest, unicode.IsSpace)
		if n < 0 {
			n = len(rest)
		}
		text := strings.TrimSuffix(rest[:n], ",")
		if text == "" {
			text = ","
		}
		w.words = append(w.words, word{text: text, col: at})
		rest = rest[len(text):]
	}
}

// peek is the next word, if it is not quoted.
func (w *Words) peek() string {
	if w.i < len(w.words) && !w.words[w.i].quoted {
		return w.words[w.i].text
	}
	return ""
}

// Done reports whether the line is at its end.
func (w *Words) Done() bool { return w.i == len(w.words) }

// Col is the column of the next word.
func (w *Words) Col() int {
	if w.Done() {
		return w.end
	}
	return w.words[w.i].col
}

// Expected is the error that something else should stand here.
func (w *Words) Expected(format string, args ...any) error {
	e := &SyntaxError{Col: w.Col(), Expected: fmt.Sprintf(format, args...), Found: "the end of the line"}
	if !w.Done() {
		e.Found = strconv.Quote(w.words[w.i].text)
	}
	return e
}

// Take takes the next words if they are these.
func (w *Words) Take(words ...string) bool {
	start := w.i
	for _, text := range words {
		if w.peek() != text {
			w.i = start
			return false
		}
		w.i++
	}
	return true
}

// Choose takes one of the words, which are told in the error if none is there.
func (w *Words) Choose(choices ...string) (string, error) {
	text := w.peek()
	if text == "" || !slices.Contains(choices, text) {
		return "", w.Expected("%s", List(choices))
	}
	w.i++
	return text, nil
}

// Word takes any word.
func (w *Words) Word(what string) (string, error) {
	text := w.peek()
	if text == "" || text == "," {
		return "", w.Expected("%s", what)
	}
	w.i++
	return text, nil
}

// Quoted takes a quoted text.
func (w *Words) Quoted() (string, error) {
	if w.Done() || !w.words[w.i].quoted {
		return "", w.Expected(`text between " and "`)
	}
	w.i++
	return w.words[w.i-1].text, nil
}

// AtQuoted reports whether a quoted text comes next.
func (w *Words) AtQuoted() bool { return !w.Done() && w.words[w.i].quoted }

// AtNumber reports whether a digit comes next.
func (w *Words) AtNumber() bool {
	text := w.peek()
	return text != "" && text[0] >= '0' && text[0] <= '9'
}

// Number takes a whole number from least to most.
func (w *Words) Number(what string, least, most int64) (int64, error) {
	n, err := strconv.ParseInt(w.peek(), 10, 64)
	if err != nil || n < least || n > most {
		return 0, w.Expected("%s, a whole number from %d to %d", what, least, most)
	}
	w.i++
	return n, nil
}

// MaxDuration is the longest time that a line may name.
const MaxDuration = 1000 * time.Hour

// Duration takes a time such as 10ms or 1.5s.
func (w *Words) Duration() (time.Duration, error) {
	d, err := time.ParseDuration(w.peek())
	if err != nil || d < 0 || d > MaxDuration {
		return 0, w.Expected("a time such as 10ms, 1.5s or 2m")
	}
	w.i++
	return d, nil
}

// share takes a percentage and returns it as a part of 1.
func (w *Words) share() (float64, error) {
	text, ok := strings.CutSuffix(w.peek(), "%")
	p, err := strconv.ParseFloat(text, 64)
	if !ok || err != nil || !(p > 0 && p <= 100) {
		return 0, w.Expected("a share such as 2%% or 0.5%%")
	}
	w.i++
	return p / 100, nil
}

// End is the error that the line should end here, or nil.
func (w *Words) End() error {
	if w.Done() {
		return nil
	}
	return w.Expected("the end of the line")
}

// List names choices in a sentence: "a, b or c".
func List(choices []string) string {
	if len(choices) < 2 {
		return strings.Join(choices, "")
	}
	last := len(choices) - 1
	return strings.Join(choices[:last], ", ") + " or " + choices[last]
}

// Rest is what is left of the line.
func (w *Words) Rest() string {
	var list []string
	for _, word := range w.words[w.i:] {
		if word.quoted {
			word.text = strconv.Quote(word.text)
		}
		list = append(list, word.text)
	}
	return strings.Join(list, " ")
}
