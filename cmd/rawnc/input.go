package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// An input is what is to be sent, piece by piece. The next connection of
// listen -k goes on where the one before stopped.
type input struct {
	pieces chan []byte // closed at the end; nil: there is nothing to send
	taken  chan int    // who takes a piece says how many octets of it go out
}

// newInput starts to read --send or stdin; with -d neither.
func newInput(o *options, stdin io.Reader) input {
	if o.noInput && o.sends == nil {
		return input{}
	}
	in := input{make(chan []byte), make(chan int)}
	go func() {
		defer close(in.pieces)
		if o.sends != nil {
			giveAll(o.sends, o.interval, in.give)
		} else if err := giveLines(stdin, o.interval, in.give); err != nil {
			report(fmt.Errorf("reading standard input: %w", err))
		}
	}()
	return in
}

// give gives a piece until all of it has been taken.
func (in input) give(b []byte) {
	for more := true; more; more = len(b) > 0 {
		in.pieces <- b
		b = b[<-in.taken:]
	}
}

// giveAll gives texts with pauses between.
func giveAll(texts [][]byte, interval time.Duration, give func([]byte)) {
	for i, text := range texts {
		if i > 0 {
			time.Sleep(interval)
		}
		give(text)
	}
}

// inputSize is how much is read at once, at most.
const inputSize = 512 << 10

// giveLines gives what can be read as it comes or, with an interval, line by
// line with a pause behind each.
func giveLines(r io.Reader, interval time.Duration, give func([]byte)) error {
	if f, ok := r.(*os.File); ok {
		widen(f)
	}
	buf := make([]byte, inputSize)
	for {
		n, err := r.Read(buf)
		if interval > 0 {
			for line := range bytes.Lines(buf[:n]) {
				give(line)
				time.Sleep(interval)
			}
		} else if n > 0 {
			give(buf[:n])
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// openOutput opens where received data goes.
func openOutput(o *options) (*os.File, error) {
	if o.output == "" {
		return os.Stdout, nil
	}
	f, err := createFile(o.output)
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	return f, nil
}

// createFile is os.Create but that it only writes: of a pipe with a name, we are
// not to be a reader too, who would keep it open when all others have gone.
func createFile(name string) (*os.File, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
}
