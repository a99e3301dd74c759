package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

// A progress is the capture on its way to the reader. Before it reads on, which
// may take long, it has the output written, and tells a terminal how far it is.
type progress struct {
	in     io.Reader
	flush  func()
	size   int64 // 0: not known
	read   int64
	frames int
	shown  bool
	next   time.Time // when to tell; zero: never
}

func newProgress(file *os.File, flush func()) *progress {
	p := &progress{in: file, flush: flush}
	if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
		p.size = info.Size()
	}
	if term.IsTerminal(int(os.Stderr.Fd())) && !term.IsTerminal(int(os.Stdout.Fd())) {
		p.next = time.Now().Add(time.Second)
	}
	return p
}

func (p *progress) Read(b []byte) (int, error) {
	p.flush()
	if !p.next.IsZero() && time.Now().After(p.next) {
		p.show()
	}
	n, err := p.in.Read(b)
	p.read += int64(n)
	return n, err
}

func (p *progress) show() {
	var line bytes.Buffer
	if p.size > 0 {
		fmt.Fprintf(&line, "%d %%, ", min(100*p.read/p.size, 100))
	}
	line.WriteString(lang.Sprintf("%d packets", p.frames))
	fmt.Fprintf(os.Stderr, "\r\x1b[K%s", line.Bytes())
	p.shown, p.next = true, time.Now().Add(200*time.Millisecond)
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
