package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
	"golang.org/x/text/language"

	"rawnc/rawtcp"
	"rawnc/stack"
	"rawnc/stack/explain"
)

// A recorder tells what crosses the link, in the log and in the capture, and
// puts the program's own words between. It does so behind the connection's
// back: a slow terminal or disk never holds a segment up. What it cannot keep
// up with is left out, and counted.
type recorder struct {
	narrator *explain.Narrator
	style    explain.TextStyle
	text     bool              // the log is text
	json     bool              // the log is JSON; neither: no log
	capture  *capture          // nil: no capture
	frames   int               // packets that crossed
	over     [2]netip.AddrPort // the ends of the connection that has just ended, if one has

	mu      sync.Mutex
	more    sync.Cond
	queue   []func()
	queued  int // octets
	dropped uint64
	closed  bool
	done    chan struct{}
}

// maxQueued bounds the octets that wait to be told of.
const maxQueued = 64 << 20

func newRecorder(o *options) (*recorder, error) {
	r := &recorder{
		narrator: explain.NewNarrator(language.English),
		text:     !o.quiet && !o.json, json: !o.quiet && o.json,
		style: explain.TextStyle{
			Level: o.level,
			Color: isTerminal() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		},
		done: make(chan struct{}),
	}
	r.more.L = &r.mu
	if o.pcap != "" {
		c, err := createCapture(o.pcap)
		if err != nil {
			return nil, err
		}
		r.capture = c
	}
	go r.run()
	return r, nil
}

func isTerminal() bool { return term.IsTerminal(int(os.Stderr.Fd())) }

// width is how many columns the log may take; 0: as many as it likes.
func width() int {
	if !isTerminal() {
		return 0
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		return n
	}
	n, _, _ := term.GetSize(int(os.Stderr.Fd()))
	return n
}

// tap is the recorder's ear on the link, or nil if nobody wants to hear.
func (r *recorder) tap() rawtcp.Tap {
	if !r.text && !r.json && r.capture == nil {
		return nil
	}
	return func(e *rawtcp.Event) { r.later(len(e.Packet), func() { r.tell(e) }) }
}

// say puts a sentence of the program's own into the log.
func (r *recorder) say(format string, args ...any) {
	if r.text {
		text := fmt.Sprintf(format, args...)
		r.later(len(text), func() { os.Stderr.WriteString(wrapped(text, r.style.Width)) })
	}
}

// wrapped is a text with a newline at its end, and in place of the spaces where
// so many columns want it; 0: nowhere.
func wrapped(text string, width int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Split(text, " ") {
		n := runewidth.StringWidth(word)
		switch {
		case i == 0:
		case width > 0 && column+1+n > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += n
	}
	return b.String() + "\n"
}

// complain says, in any case, what went wrong though the program goes on.
func (r *recorder) complain(err error) {
	r.later(0, func() { report(err) })
}

// sumUp ends the tale of a connection.
func (r *recorder) sumUp(c *rawtcp.Conn) {
	local, remote := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
	r.later(0, func() { r.summary(r.narrator.End(local, remote)) })
}

// later queues what is to be told.
func (r *recorder) later(octets int, tell func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.queued+octets > maxQueued {
		r.dropped++
		return
	}
	r.queue = append(r.queue, tell)
	r.queued += octets
	r.more.Signal()
}

func (r *recorder) run() {
	defer close(r.done)
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.closed {
			r.more.Wait()
		}
		queue := r.queue
		r.queue, r.queued = nil, 0
		r.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		r.style.Width = width()
		for _, tell := range queue {
			tell()
		}
		if r.capture != nil {
			r.capture.flush()
		}
	}
}

// tell tells of one event. A connection that has ended is summed up as soon as
// there is something else to tell: a RST may still follow.
func (r *recorder) tell(e *rawtcp.Event) {
	id := [2]netip.AddrPort{e.Local, e.Remote}
	if r.over != id {
		r.summary(r.narrator.End(r.over[0], r.over[1]))
		r.over = id
	}
	if e.Packet != nil {
		r.packet(e)
	}
	if e.State != stack.StateClosed {
		r.over = [2]netip.AddrPort{}
	}
}

func (r *recorder) packet(e *rawtcp.Event) {
	frame := 0
	if e.Err == nil {
		r.frames++
		frame = r.frames
	}
	var comment string
	if e.ICMP != nil {
		comment = "ICMP: " + e.ICMP.Error()
		if r.text {
			fmt.Fprintf(os.Stderr, "%-4s ← %s\n", fmt.Sprintf("#%d", frame), comment)
		}
	} else {
		account := r.narrator.Segment(narrated(e, frame))
		comment = explain.Comment(account)
		switch {
		case r.json:
			os.Stderr.Write(explain.JSON(account))
		case r.text:
			os.Stderr.WriteString(r.style.Format(account))
		}
	}
	if r.capture != nil && e.Err == nil {
		r.capture.write(e, comment)
	}
}

func narrated(e *rawtcp.Event, frame int) explain.Input {
	in := explain.Input{
		Time: e.Time, Src: e.Remote, Dst: e.Local, Segment: &e.Segment, Checksum: e.Checksum, Frame: frame,
		Live: &explain.Live{
			Sent: e.Sent, Reason: e.Reason, Verdict: e.Judgment, Transitions: e.Transitions, State: e.State, SendError: e.Err,
		},
	}
	if e.Sent {
		in.Src, in.Dst = e.Local, e.Remote
	}
	return in
}

func (r *recorder) summary(s *explain.Summary) {
	if s != nil && r.text {
		os.Stderr.WriteString(r.style.Summary(s))
	}
}

// close tells what is left to tell and ends the capture. The error is the
// capture's, and has been said.
func (r *recorder) close() error {
	r.mu.Lock()
	r.closed = true
	r.more.Signal()
	r.mu.Unlock()
	<-r.done
	for _, s := range r.narrator.EndAll() {
		r.summary(s)
	}
	if r.dropped > 0 {
		report(fmt.Errorf("%d packets or lines are missing from the log and the capture: they could not be written as fast as they came", r.dropped))
	}
	if r.capture == nil {
		return nil
	}
	return r.capture.close(r.dropped)
}
