package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/term"

	"rawnc/stack/explain"
)

// An output is how explain writes to standard output.
type output interface {
	next() *explain.Account // where to put the next account
	keep() error            // the account that was put there is to be written
	summary(*explain.Summary)
	flush() // have everything written soon
	close() error
}

func newOutput(format string, level int) (output, error) {
	style := explain.TextStyle{Level: level}
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		style.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		style.Width, _, _ = term.GetSize(fd)
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		style.Width = n
	}
	switch format {
	case "json":
		return newJSONLines(os.Stdout), nil
	case "text":
		return &text{w: bufio.NewWriter(os.Stdout), format: style.Format, verdict: style.Summary}, nil
	case "ladder":
		ladder := &explain.Ladder{TextStyle: style, ASCII: !unicodeTerminal()}
		return &text{w: bufio.NewWriter(os.Stdout), format: ladder.Format, verdict: ladder.Summary}, nil
	}
	return nil, fmt.Errorf("--format %q: the formats are text, ladder and json", format)
}

// unicodeTerminal reports whether the locale is one of UTF-8 (POSIX, section
// 8.2: the first of these variables that is set counts).
func unicodeTerminal() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if locale := strings.ToLower(os.Getenv(name)); locale != "" {
			return strings.Contains(locale, "utf-8") || strings.Contains(locale, "utf8")
		}
	}
	return runtime.GOOS == "windows"
}

// text is output for people.
type text struct {
	w       *bufio.Writer
	account explain.Account
	ask     func(*explain.Account) // before it is written; nil: nothing is asked
	format  func(*explain.Account) string
	verdict func(*explain.Summary) string
}

func (t *text) next() *explain.Account { return &t.account }

func (t *text) keep() error {
	if t.ask != nil {
		t.w.Flush()
		t.ask(&t.account)
	}
	_, err := t.w.WriteString(t.format(&t.account))
	return err
}

func (t *text) summary(s *explain.Summary) { t.w.WriteString(t.verdict(s)) }
func (t *text) flush()                     { t.w.Flush() } // an error stays, and keep or close returns it
func (t *text) close() error               { return t.w.Flush() }
