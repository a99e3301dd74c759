// Package script is the language of scenarios: who opens, who sends what when,
// what the network does to which segment, and what is expected to happen.
// docs/scenarios.md has its grammar.
//
// A script is read with Parse and played with Run, on the simulated network of
// package netsim. The same script and seed always give the same segments.
package script

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"rawnc/stack/fault"
	"rawnc/stack/netsim"
)

// A Script is a scenario that was read.
type Script struct {
	Name  string // of its file
	Title Text
	About Text
	// Capture is where the capture is to be taken to see what the script wants
	// to show.
	Capture netsim.Point
	// Claims are what tshark is to find in that capture: nothing else.
	Claims []Claim
	// Completeness is what tshark is to find in tcp.completeness, by stream.
	Completeness map[int]int

	steps []step
}

// Text is something for people, by language: "en" and "zh". English is always
// there.
type Text map[string]string

// In is the text in a language, or in English.
func (t Text) In(lang string) string {
	if s := t[lang]; s != "" {
		return s
	}
	return t["en"]
}

// A Claim is what tshark is to say of a frame: the names of the fields, such as
// tcp.analysis.retransmission, of its expert items that are notes or worse.
type Claim struct {
	Line  int
	Frame int
	Names []string
}

// A step is a line that does something.
type step struct {
	line int
	text string
	do   func(*Run) error
}

// An Error is an error in a script, or an expectation of it that failed.
type Error struct {
	Name string
	Line int
	Err  error // a *fault.SyntaxError, an *Unexpected, or another
}

func (e *Error) Error() string {
	var syntax *fault.SyntaxError
	if errors.As(e.Err, &syntax) {
		return fmt.Sprintf("%s:%d:%d: expected %s, found %s", e.Name, e.Line, syntax.Col, syntax.Expected, syntax.Found)
	}
	return fmt.Sprintf("%s:%d: %v", e.Name, e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// Parse reads a script. The name is for messages. The error is an *Error.
func Parse(name, source string) (*Script, error) {
	s := &Script{Name: name, Title: Text{}, About: Text{}, Completeness: map[int]int{}}
	var open *string // the heading that indented lines go on with
	var openKey string
	var texts = map[string]Text{"title": s.Title, "about": s.About}
	flush := func() {
		if open != nil {
			key, lang, _ := strings.Cut(openKey, "-")
			if lang == "" {
				lang = "en"
			}
			texts[key][lang] = strings.TrimSpace(*open)
			open = nil
		}
	}
	for i, line := range strings.Split(source, "\n") {
		line = strings.TrimRightFunc(line, unicode.IsSpace)
		if open != nil && line != "" && (line[0] == ' ' || line[0] == '\t') {
			*open = joinLines(*open, strings.TrimSpace(line))
			continue
		}
		flush()
		if key, text, ok := strings.Cut(line, ":"); ok && isHeading(key) {
			openKey, open = key, &text
			continue
		}
		if err := s.readLine(i+1, line); err != nil {
			return nil, &Error{name, i + 1, err}
		}
	}
	flush()
	if s.Title["en"] == "" {
		return nil, &Error{name, 1, errors.New(`the script has no title: give it a line such as "title: A lost SYN"`)}
	}
	return s, nil
}

// joinLines puts a space between two lines, unless both meet in letters beyond
// ASCII, or the first ends with a Chinese mark, which brings its own.
func joinLines(a, b string) string {
	last, _ := utf8.DecodeLastRuneInString(a)
	if last >= utf8.RuneSelf && b[0] >= utf8.RuneSelf || strings.ContainsRune("，。；：、）”", last) {
		return a + b
	}
	return a + " " + b
}

func isHeading(key string) bool {
	switch key {
	case "title", "title-zh", "about", "about-zh":
		return true
	}
	return false
}

// readLine reads a line that is no heading.
func (s *Script) readLine(number int, line string) error {
	w, err := fault.Split(line)
	if err != nil || w.Done() {
		return err
	}
	switch {
	case w.Take("tshark"):
		err = s.readClaim(number, w)
	case w.Take("capture", "at"):
		s.Capture, err = readPoint(w)
	default:
		var do func(*Run) error
		if do, err = readStep(w); err == nil {
			s.steps = append(s.steps, step{number, strings.TrimSpace(line), do})
		}
	}
	if err != nil {
		return err
	}
	return w.End()
}

// points are the capture points, by their names.
var points = map[string]netsim.Point{"client": netsim.AtA, "server": netsim.AtB, "middle": netsim.Middle}

func readPoint(w *fault.Words) (netsim.Point, error) {
	name, err := w.Choose("client", "server", "middle")
	return points[name], err
}

// PointNamed is the capture point with a name: client, server or middle.
func PointNamed(name string) (p netsim.Point, ok bool) {
	p, ok = points[name]
	return p, ok
}

// readClaim reads
//
//	"tshark" FRAME NAME { NAME }
//	"tshark" "completeness" NUMBER [ "in" "stream" NUMBER ]
func (s *Script) readClaim(line int, w *fault.Words) error {
	if w.Take("completeness") {
		value, err := w.Number("a value of tcp.completeness", 0, 63)
		if err != nil {
			return err
		}
		stream := int64(0)
		if w.Take("in", "stream") {
			if stream, err = w.Number("a stream", 0, 1e6); err != nil {
				return err
			}
		}
		s.Completeness[int(stream)] = int(value)
		return nil
	}
	n, err := w.Number("completeness, or a frame", 1, 1e9)
	if err != nil {
		return err
	}
	c := Claim{Line: line, Frame: int(n)}
	for ok := true; ok; ok = !w.Done() {
		name, err := w.Word("the name of an analysis flag, such as retransmission, or of a field, such as tcp.connection.rst")
		if err != nil {
			return err
		}
		if !strings.Contains(name, ".") {
			name = "tcp.analysis." + name
		}
		c.Names = append(c.Names, name)
	}
	s.Claims = append(s.Claims, c)
	return nil
}
