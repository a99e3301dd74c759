package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// An input is what is to be sent, piece by piece; the next connection of
// listen -k goes on where the one before stopped.
type input struct {
	pieces chan []byte   // closed at the end
	wait   time.Duration // between lines (-i)
	none   bool          // -d: there is nothing, and its end does not end the connection
}

// newInput starts to read standard input, unless -d or --send forbid it.
func newInput(o *options) *input {
	in := &input{pieces: make(chan []byte), wait: o.interval, none: o.noInput && len(o.sends) == 0}
	switch {
	case in.none:
	case len(o.sends) > 0:
		go in.give(o.sends)
	default:
		go in.read(os.Stdin)
	}
	return in
}

func (in *input) give(texts [][]byte) {
	for _, text := range texts {
		in.pieces <- text
	}
	close(in.pieces)
}

func (in *input) read(r io.Reader) {
	defer close(in.pieces)
	for {
		buf := make([]byte, 64<<10)
		n, err := r.Read(buf)
		if buf = buf[:n]; in.wait > 0 {
			for line := range bytes.Lines(buf) {
				in.pieces <- line
				time.Sleep(in.wait)
			}
		} else if n > 0 {
			in.pieces <- buf
		}
		if err != nil {
			if err != io.EOF {
				fmt.Fprintf(os.Stderr, "rawnc: reading standard input: %v\n", err)
			}
			return
		}
	}
}

// openOutput opens where received data goes.
func openOutput(o *options) (*os.File, error) {
	if o.output == "" {
		return os.Stdout, nil
	}
	f, err := os.Create(o.output)
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	return f, nil
}
