package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"

	"rawnc/rawtcp"
	"rawnc/stack"
	"rawnc/stack/explain"
	"rawnc/stack/explain/words"
)

// A recorder tells what crosses the link, in the log and in the capture, and
// puts the program's own words between. It does so behind the connection's
// back: a slow terminal or disk never holds a segment up.
type recorder struct {
	narrator *explain.Narrator
	// Of the last segment: nothing is allocated for each.
	event    rawtcp.Event
	judgment stack.Judgment
	live     explain.Live
	told     explain.Account
	comment  []byte

	style   explain.TextStyle
	text    bool              // the log is text
	json    bool              // the log is JSON; neither: no log
	capture *capture          // nil: no capture
	frames  int               // packets that crossed
	began   time.Time         // when the first segment did
	over    [2]netip.AddrPort // the ends of the connection that has just ended, if one has
	begun   bool              // the log has told how to read it
	*backlog

	question  string         // that is open; empty: none
	stale     bool           // something was shown behind the question
	previewed *stack.Segment // the segment that it was about, or is
	hits      *hits          // of --fault; nil: there are none
	quiz      *quiz          // asks about segments before they are told of; nil: nobody does
	screen    *backlog       // of the log, where the quiz holds it up
}

// newRecorder makes one beside the file where received data goes.
func newRecorder(o *options, out *os.File) (*recorder, error) {
	r := &recorder{
		narrator: explain.NewNarrator(lang.Tag),
		text:     !o.quiet && !o.json, json: !o.quiet && o.json,
		style: explain.TextStyle{
			Level: o.level,
			ASCII: isTerminal() && !unicodeTerminal(),
			Color: isTerminal() && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb",
		},
	}
	if o.pcap != "" {
		c, err := createCapture(o.pcap, out)
		if err != nil {
			return nil, err
		}
		r.capture = c
	}
	r.narrator.Brief = !r.json && (!r.text || o.level < 2)
	var s *spool
	if r.capture != nil {
		s = newSpool(r.capture.file)
	}
	r.backlog = newBacklog(s, r.work)
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

// eventSize is about what an event takes in memory beside its packet, in octets.
const eventSize = 512

// tap is the recorder's ear on the link, or nil if nobody wants to hear.
func (r *recorder) tap() rawtcp.Tap {
	if !r.text && !r.json && r.capture == nil {
		return nil
	}
	return func(e *rawtcp.Event) {
		if !r.text && !r.json && r.capture.over.Load() {
			return
		}
		var fate *explain.Fate
		if r.hits != nil {
			fate = r.hits.fate(e)
		}
		if plain(e) && fate == nil {
			r.put(len(e.Packet)+eventOctets, func(b []byte) []byte { return appendEvent(b, e) })
		} else {
			e := e.Clone()
			r.later(2*len(e.Packet)+eventSize, func() { r.tell(e, fate) })
		}
	}
}

// say puts a sentence of the program's own into the log.
func (r *recorder) say(format string, args ...any) {
	if r.text {
		text := lang.Sprintf(format, args...)
		r.later(len(text), func() { r.show(words.Wrap(text, r.style.Width, "") + "\n") })
	}
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

// work tells what has been queued.
func (r *recorder) work(c *chunk) {
	r.style.Width = width()
	c.each(func(record []byte) {
		parseEvent(record, &r.event, &r.judgment)
		r.tell(&r.event, nil)
	})
	if r.stale {
		os.Stderr.WriteString(r.question)
		r.stale = false
	}
	if r.capture != nil {
		r.capture.flush()
	}
}

// show puts a text into the log, behind the questions of a quiz.
func (r *recorder) show(text string) {
	if r.quiz == nil {
		os.Stderr.WriteString(text)
		r.stale = true
		return
	}
	r.screen.later(len(text), func() { os.Stderr.WriteString(text) })
}

// askWith has a quiz held. What it keeps waiting is the log alone.
func (r *recorder) askWith(a *asker) {
	r.quiz = newQuiz(a, r.style)
	r.screen = newBacklog(nil, func(c *chunk) { c.each(nil) })
}

// preview shows a segment that may be sent, and opens the question about it.
func (r *recorder) preview(e *rawtcp.Event) *explain.Account {
	told := make(chan *explain.Account)
	seg := e.Segment
	r.later(0, func() {
		account := r.narrator.Preview(narrated(e, 0, new(explain.Live)))
		r.introduce()
		style := r.style
		style.Level = max(style.Level, 1)
		account.First = account.First && r.previewed == nil
		r.show(style.Format(account))
		r.question = words.Wrap(lang.Text(stepQuestion), r.style.Width, "") + "\n"
		r.previewed = &seg
		told <- account
	})
	return <-told
}

// answered closes the question.
func (r *recorder) answered() { r.later(0, func() { r.question = "" }) }

// tell tells of one event, and of the fault of ours that hit the packet, if one
// did. A connection that has ended is summed up as soon as there is something else
// to tell: a RST may still follow.
func (r *recorder) tell(e *rawtcp.Event, fate *explain.Fate) {
	id := [2]netip.AddrPort{e.Local, e.Remote}
	if r.over != id {
		r.summary(r.narrator.End(r.over[0], r.over[1]))
		r.over = id
	}
	if e.Packet != nil {
		r.packet(e, fate)
	}
	if e.State != stack.StateClosed {
		r.over = [2]netip.AddrPort{}
	}
}

func (r *recorder) packet(e *rawtcp.Event, fate *explain.Fate) {
	frame := 0
	if e.Err == nil {
		r.frames++
		frame = r.frames
	}
	r.comment = r.comment[:0]
	if e.ICMP != nil {
		why := explain.ICMP(e.ICMP, e.Judgment, lang)
		comment := "ICMP: " + strings.Join(why, "; ")
		r.comment = append(r.comment, comment...)
		switch {
		case r.json:
			os.Stderr.Write(icmpJSON(e.ICMP, why, frame, e.Time.Round(0).Sub(r.began.Round(0))))
		case r.text:
			r.show(icmpText(frame, comment))
		}
	} else {
		if r.began.IsZero() {
			r.began = e.Time
		}
		account, live := &r.told, &r.live
		if r.quiz != nil { // which asks about it later
			e, account, live = e.Clone(), new(explain.Account), new(explain.Live)
		}
		in := narrated(e, frame, live)
		if in.Fate = fate; fate != nil && fate.Lost && !e.Sent {
			in.Live, in.Dir = nil, explain.DirIn // our stack knows nothing of it
		}
		r.narrator.SegmentInto(account, in)
		if r.capture != nil {
			r.comment = explain.AppendComment(r.comment, account)
		}
		switch {
		case r.json:
			os.Stderr.Write(explain.JSON(account))
		case r.text:
			r.account(e, account)
		}
	}
	if r.capture != nil && e.Err == nil {
		r.capture.write(e, string(r.comment))
	}
}

// icmpText is an ICMP error in the log.
func icmpText(frame int, comment string) string {
	return fmt.Sprintf("%-4s ← %s\n", fmt.Sprintf("#%d", frame), comment)
}

// icmpJSON is an ICMP error as a line of JSON (docs/json.md).
func icmpJSON(e *stack.ICMPError, why []string, frame int, since time.Duration) []byte {
	line, err := json.Marshal(struct {
		Frame int         `json:"frame"`
		Time  json.Number `json:"time"`
		ICMP  string      `json:"icmp"`
		From  netip.Addr  `json:"from"`
		Seq   stack.Seq   `json:"seq_raw"`
		Why   []string    `json:"why"`
	}{
		frame, json.Number(fmt.Sprintf("%.9f", since.Seconds())),
		e.Kind.String(), e.From, e.Seq, why,
	})
	if err != nil {
		panic(err) // cannot happen: all of it can be said in JSON
	}
	return append(line, '\n')
}

// introduce tells, once, how to read the numbers.
func (r *recorder) introduce() {
	if !r.begun {
		r.begun = true
		r.show(r.style.Legend(lang))
	}
}

// account puts a segment into the log. Of one that was shown before it was sent
// a line is enough.
func (r *recorder) account(e *rawtcp.Event, a *explain.Account) {
	style := r.style
	if p := r.previewed; e.Sent && p != nil {
		if e.Err == nil && p.Seq == e.Segment.Seq && p.Flags == e.Segment.Flags {
			style.Level = 0
		}
		a.First = false
		r.previewed = nil
	}
	r.introduce()
	if r.quiz != nil {
		r.quiz.Style.Width = style.Width
		question := r.quiz.Ask(a)
		r.screen.later(0, func() { r.quiz.pose(question) })
	}
	r.show(style.Format(a))
}

// narrated is what the narrator is told of an event. It uses live for it.
func narrated(e *rawtcp.Event, frame int, live *explain.Live) explain.Input {
	*live = explain.Live{
		Sent: e.Sent, Reason: e.Reason, Verdict: e.Judgment, Transitions: e.Transitions, State: e.State, Edited: e.Made,
	}
	in := explain.Input{
		Time: e.Time, Src: e.Remote, Dst: e.Local, Segment: &e.Segment, Checksum: e.Checksum, Frame: frame, Live: live,
	}
	if e.Err == rawtcp.ErrDropped {
		in.Live.Dropped = true
	} else {
		in.Live.SendError = e.Err
	}
	if e.Sent {
		in.Src, in.Dst = e.Local, e.Remote
	}
	return in
}

func (r *recorder) summary(s *explain.Summary) {
	if s != nil && r.text {
		r.show(r.style.Summary(s))
	}
}

// finish tells what waits, and returns how much was left out. Where that takes
// more than a moment, and there is no log, a terminal learns how far it is.
func (r *recorder) finish() uint64 {
	r.backlog.end()
	all := r.left()
	next := time.NewTimer(time.Second)
	defer next.Stop()
	for shown := false; ; {
		select {
		case <-r.done:
			if shown {
				fmt.Fprint(os.Stderr, "\r\x1b[K")
			}
			return r.missing()
		case <-next.C:
			if shown = !r.text && !r.json && isTerminal(); shown {
				fmt.Fprintf(os.Stderr, "\r\x1b[K%s", lang.Sprintf("writing the capture: %d %%", 100-100*r.left()/max(all, 1)))
				next.Reset(200 * time.Millisecond)
			}
		}
	}
}

// stop has no more written to the capture, which then ends with a whole record,
// for the program to end at once. It does not wait long: nobody may read what is
// being written.
func (r *recorder) stop() {
	if r.capture == nil {
		return
	}
	stopped := make(chan bool)
	go func() {
		r.capture.writing.Lock()
		if r.left() > 0 {
			report(errors.New("the capture lacks what was not written yet"))
		}
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(time.Second):
	}
}

// close tells what is left to tell and ends the capture. The error is the
// capture's, and has been said.
func (r *recorder) close() error {
	dropped := r.finish()
	for _, s := range r.narrator.EndAll() {
		r.summary(s)
	}
	missing := dropped
	if r.quiz != nil {
		missing += r.screen.close()
		r.quiz.score()
	}
	if missing > 0 {
		report(fmt.Errorf("%d packets or lines are missing from the log and the capture: they could not be written as fast as they came", missing))
	}
	if r.capture == nil {
		return nil
	}
	return r.capture.close(dropped)
}
