package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"rawnc/stack/explain"
	"rawnc/stack/explain/words"
)

// piped is an action of which nothing is left to say when whoever reads its output
// has gone: it ends as from SIGPIPE.
func piped(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		err := action(c)
		if errors.Is(err, syscall.EPIPE) {
			return exitCode(128 + int(syscall.SIGPIPE))
		}
		return err
	}
}

// An output is how explain writes to standard output.
type output interface {
	next() *explain.Account // where to put the next account
	keep() error            // the account that was put there is to be written
	summary(*explain.Summary)
	flush() // have everything written soon
	close() error
}

func newOutput(format string, level int) (output, error) {
	if format == "json" {
		return newJSONLines(os.Stdout), nil
	}
	w, err := newWriting(format, level)
	return &text{w: bufio.NewWriter(os.Stdout), writing: w}, err
}

// A writing is how people are told of segments on standard output.
type writing interface {
	Legend(*words.Language) string
	Format(*explain.Account) string
	Summary(*explain.Summary) string
}

func newWriting(format string, level int) (writing, error) {
	style := explain.TextStyle{Level: level}
	if fd := int(os.Stdout.Fd()); term.IsTerminal(fd) {
		style.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		style.Width, _, _ = term.GetSize(fd)
		style.ASCII = !unicodeTerminal()
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		style.Width = n
	}
	switch format {
	case "text":
		return style, nil
	case "ladder":
		style.ASCII = !unicodeTerminal()
		return &explain.Ladder{TextStyle: style}, nil
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
	begun   bool
	writing
}

func (t *text) next() *explain.Account { return &t.account }

func (t *text) keep() error {
	if !t.begun {
		t.begun = true
		t.w.WriteString(t.Legend(lang))
	}
	if t.ask != nil {
		t.w.Flush()
		t.ask(&t.account)
	}
	_, err := t.w.WriteString(t.Format(&t.account))
	return err
}

func (t *text) summary(s *explain.Summary) { t.w.WriteString(t.Summary(s)) }
func (t *text) flush()                     { t.w.Flush() } // an error stays, and keep or close returns it
func (t *text) close() error               { return t.w.Flush() }
