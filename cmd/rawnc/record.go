package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/term"
	"golang.org/x/text/language"

	"rawnc/pcapout"
	"rawnc/rawtcp"
	"rawnc/stack"
	"rawnc/stack/explain"
)

// A recorder tells what crosses the link, in the log and in the capture. It
// does so behind the connection's back: a slow terminal or disk never holds a
// segment up. What it cannot keep up with is left out, and counted.
type recorder struct {
	narrator *explain.Narrator
	style    explain.TextStyle
	log      io.Writer // nil: no log
	json     bool
	file     io.WriteCloser
	pcap     *pcapout.Writer // nil: no capture
	pcapName string

	mu      sync.Mutex
	more    sync.Cond
	queue   []*rawtcp.Event
	queued  int // octets
	dropped uint64
	closed  bool
	done    chan struct{}

	frames int // packets that crossed
	err    error
	syns   map[netip.AddrPort]int // sent, by peer
}

// maxQueued bounds the octets that wait to be told of.
const maxQueued = 64 << 20

func newRecorder(o *options) (*recorder, error) {
	r := &recorder{narrator: explain.NewNarrator(language.English), json: o.json, done: make(chan struct{}), syns: map[netip.AddrPort]int{}}
	r.more.L = &r.mu
	if !o.quiet {
		r.log = os.Stderr
		r.style = explain.TextStyle{Level: o.level}
		if fd := int(os.Stderr.Fd()); term.IsTerminal(fd) {
			r.style.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
			if width, _, err := term.GetSize(fd); err == nil {
				r.style.Width = width
			}
		}
	}
	if err := r.openCapture(o.pcap); err != nil {
		return nil, err
	}
	go r.run()
	return r, nil
}

func (r *recorder) openCapture(name string) error {
	switch name {
	case "":
		return nil
	case "-":
		r.file, r.pcapName = os.Stdout, "standard output"
	default:
		f, err := os.Create(name)
		if err != nil {
			return fmt.Errorf("--pcap: %w", err)
		}
		r.file, r.pcapName = f, name
	}
	w, err := pcapout.NewWriter(r.file, pcapout.FormatFor(name), pcapout.Meta{
		CommandLine: strings.Join(os.Args, " "),
		Version:     "rawnc " + version(),
		OS:          runtime.GOOS,
	})
	if err != nil {
		return fmt.Errorf("--pcap %s: %w", r.pcapName, err)
	}
	r.pcap = w
	return nil
}

// tap is the recorder's ear on the link.
func (r *recorder) tap(e *rawtcp.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e.Sent && e.Segment.Flags.Has(stack.SYN) {
		r.syns[e.Remote]++
	}
	if r.log == nil && r.pcap == nil {
		return
	}
	if r.queued+len(e.Packet) > maxQueued {
		r.dropped++
		return
	}
	r.queue = append(r.queue, e)
	r.queued += len(e.Packet)
	r.more.Signal()
}

// sentSYNs is how many SYNs were sent to a peer.
func (r *recorder) sentSYNs(to netip.AddrPort) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.syns[to]
}

func (r *recorder) run() {
	defer close(r.done)
	for {
		r.mu.Lock()
		for len(r.queue) == 0 && !r.closed {
			r.more.Wait()
		}
		events := r.queue
		r.queue, r.queued = nil, 0
		r.mu.Unlock()
		if len(events) == 0 {
			return
		}
		for _, e := range events {
			r.tell(e)
		}
		if r.pcap != nil {
			r.failed(r.pcap.Flush())
		}
	}
}

// tell tells of one packet.
func (r *recorder) tell(e *rawtcp.Event) {
	if e.Packet == nil {
		return // a change of state that no packet brought; the program says it in its own words
	}
	if e.Err == nil {
		r.frames++
	}
	var comment string
	if e.ICMP != nil {
		comment = "ICMP: " + e.ICMP.Error()
		r.say("%-4s ← %s\n", fmt.Sprintf("#%d", r.frames), comment)
	} else {
		account := r.narrator.Segment(narrated(e, r.frames))
		comment = explain.Comment(account)
		if r.json && r.log != nil {
			r.log.Write(explain.JSON(account))
		} else {
			r.say("%s", r.style.Format(account))
		}
	}
	if r.pcap != nil && e.Err == nil {
		dir := pcapout.In
		if e.Sent {
			dir = pcapout.Out
		}
		r.failed(r.pcap.WritePacket(pcapout.Packet{Time: e.Time, Dir: dir, Data: e.Packet, Comments: []string{comment}}))
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

// say writes to the log, unless it is of JSON.
func (r *recorder) say(format string, args ...any) {
	if r.log != nil && !r.json {
		fmt.Fprintf(r.log, format, args...)
	}
}

// failed notes the first error of the capture and says so at once; the
// connection goes on without it.
func (r *recorder) failed(err error) {
	if err == nil || r.err != nil {
		return
	}
	r.err = fmt.Errorf("the capture %s ends here: %w", r.pcapName, err)
	fmt.Fprintf(os.Stderr, "rawnc: %v; the connection goes on\n", r.err)
}

// close tells what is left to tell, sums up, and ends the capture.
func (r *recorder) close() error {
	r.mu.Lock()
	r.closed = true
	r.more.Signal()
	r.mu.Unlock()
	<-r.done
	if r.log != nil && !r.json {
		for _, s := range r.narrator.EndAll() {
			r.say("%s", r.style.Summary(s))
		}
	}
	if r.dropped > 0 {
		fmt.Fprintf(os.Stderr, "rawnc: %d packets are missing from the log and the capture: they could not be written as fast as they came\n", r.dropped)
	}
	if r.pcap == nil {
		return nil
	}
	if r.err == nil {
		r.failed(errors.Join(r.pcap.Close(r.dropped), r.file.Close()))
	}
	if r.err != nil {
		return errSilent
	}
	return nil
}
