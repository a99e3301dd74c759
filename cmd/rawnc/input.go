package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"
)

// newInput starts to read --send or stdin, and returns what is to be
// sent piece by piece: the next connection of listen -k goes on where the one
// before stopped. The channel is closed at the end; it is nil with -d.
func newInput(o *options, stdin io.Reader) <-chan []byte {
	if o.noInput && o.sends == nil {
		return nil
	}
	pieces := make(chan []byte)
	give := func(b []byte) { pieces <- b }
	go func() {
		defer close(pieces)
		if o.sends != nil {
			giveAll(o.sends, o.interval, give)
		} else if err := giveLines(stdin, o.interval, give); err != nil {
			report(fmt.Errorf("reading standard input: %w", err))
		}
	}()
	return pieces
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

// giveLines gives what can be read as it comes or, with an interval, line by
// line with a pause behind each.
func giveLines(r io.Reader, interval time.Duration, give func([]byte)) error {
	for {
		buf := make([]byte, 64<<10)
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
	f, err := os.Create(o.output)
	if err != nil {
		return nil, fmt.Errorf("--output: %w", err)
	}
	return f, nil
}
