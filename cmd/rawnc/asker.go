package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// An asker gets a person's answers, a line each. Where answers and what is to be
// sent come from the same terminal, a line is an answer while a question is
// open, and is sent otherwise.
type asker struct {
	in      *bufio.Reader
	payload chan []byte // lines that are to be sent; nil: none are

	mu     sync.Mutex
	asked  sync.Cond
	answer chan string // of the open question; nil: none is open
	over   bool        // there are no more answers
}

// typeahead is how many lines may wait to be sent.
const typeahead = 1024

// newAsker finds out where the answers come from: standard input where that is a
// terminal, or free, else the terminal behind it. The error is that there is none.
func newAsker(free, send bool) (*asker, error) {
	file := os.Stdin
	terminal := term.IsTerminal(int(file.Fd()))
	if !terminal && !free {
		var err error
		if file, err = os.Open("/dev/tty"); err != nil {
			return nil, err
		}
	}
	return startAsker(file, terminal && send), nil
}

func startAsker(r io.Reader, send bool) *asker {
	a := &asker{in: bufio.NewReaderSize(r, 64<<10)}
	a.asked.L = &a.mu
	if send {
		a.payload = make(chan []byte, typeahead)
	}
	go a.run()
	return a
}

// ask shows a question, which is open from then on, and waits for the answer. ok
// is false if there is none any more, or ctx ends first.
func (a *asker) ask(ctx context.Context, show func()) (answer string, ok bool) {
	a.mu.Lock()
	if a.over {
		a.mu.Unlock()
		return "", false
	}
	mine := make(chan string, 1)
	a.answer = mine
	a.asked.Signal()
	a.mu.Unlock()
	show()
	select {
	case answer, ok = <-mine:
		return strings.TrimSpace(answer), ok
	case <-ctx.Done():
		a.mu.Lock()
		defer a.mu.Unlock()
		a.answer = nil
		return "", false
	}
}

// stop answers no more: the open question, and all that come, have no answer.
func (a *asker) stop() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.asked.Signal()
	if a.answer != nil {
		close(a.answer)
		a.answer = nil
	}
}

// waits reports whether a question is open.
func (a *asker) waits() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answer != nil
}

// run reads lines for as long as somebody wants any.
func (a *asker) run() {
	sending := a.payload != nil
	for a.wanted(sending) {
		line, err := a.in.ReadSlice('\n')
		switch {
		case a.answers(line):
		case len(line) == 0 && a.waits(): // the end, in place of an answer
			a.stop()
		case len(line) > 0 && sending:
			a.payload <- bytes.Clone(line)
		case err != nil && sending:
			close(a.payload)
			sending = false
		}
	}
}

// wanted waits until a line is wanted, and reports false if none ever will be.
func (a *asker) wanted(sending bool) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.answer == nil && !a.over && !sending {
		a.asked.Wait()
	}
	return sending || !a.over
}

// answers takes a line for the answer to the open question, if there is one.
func (a *asker) answers(line []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(line) == 0 || a.answer == nil {
		return false
	}
	a.answer <- string(line)
	a.answer = nil
	return true
}

// Read reads what is to be sent.
func (a *asker) Read(b []byte) (int, error) {
	line, more := <-a.payload
	if !more {
		return 0, io.EOF
	}
	return copy(b, line), nil // it fits: giveLines offers as much as a line can have
}
