package stack_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"rawnc/stack"
)

// A dialogue is one Conn against segments written by hand, in virtual time:
// what goes in, what comes out, and when. Sequence numbers are relative: ours
// to our initial sequence number, the peer's to its own. Both lie just before
// 2^32, so that every dialogue wraps.
type dialogue struct {
	t   *testing.T
	c   *stack.Conn
	now time.Time
	out []output // sent by the Conn and not expected yet

	reports []stack.Report // and not looked at yet
}

type output struct {
	at  time.Time
	seg stack.Segment
	why stack.Reason
}

const (
	iss        = stack.Seq(1<<32 - 4)
	irs        = stack.Seq(1<<32 - 9)
	ourPort    = 1000
	peerPort   = 2000
	ms         = time.Millisecond
	rtt        = 100 * ms // of the handshake in established
	firstRTO   = 300 * ms // what RFC 6298 makes of it: SRTT + 4 RTTVAR
	delayedACK = 40 * ms  // the default
)

var start = time.Date(2020, 3, 1, 12, 0, 0, 0, time.UTC)

func newDialogue(t *testing.T, cfg stack.Config) *dialogue {
	cfg.ISS = iss
	d := &dialogue{t: t, now: start}
	cfg.Report = func(r stack.Report) { d.reports = append(d.reports, r) }
	d.c = stack.New(cfg)
	return d
}

// dial begins with our SYN.
func dial(t *testing.T, cfg stack.Config) *dialogue {
	t.Helper()
	d := newDialogue(t, cfg)
	d.ok(d.c.Open(d.now, ourPort, peerPort))
	d.flush()
	return d
}

// listen begins in LISTEN.
func listen(t *testing.T, cfg stack.Config) *dialogue {
	t.Helper()
	d := newDialogue(t, cfg)
	d.ok(d.c.Listen(ourPort))
	return d
}

// established begins after a handshake that took rtt. The peer's SYN,ACK
// carries opts; its window is 60000.
func established(t *testing.T, cfg stack.Config, opts ...detail) *dialogue {
	t.Helper()
	d := dial(t, cfg)
	d.expect("SYN", seq(0))
	d.wait(rtt)
	d.send("SYN,ACK", append([]detail{seq(0), ack(1), win(60000), mss(1000)}, opts...)...)
	d.expect("ACK", seq(1), ack(1))
	d.state(stack.StateEstablished)
	return d
}

// A detail is what a line of the dialogue says of a segment beside its flags.
type detail func(*line)

type line struct {
	flags          stack.Flags
	seq, ack, win  *int
	mss, ws        *int
	length, urgent *int
	timeout        *int
	text           string
	sackOK         bool
	ts             *[2]uint32
	sack           []int
	why            *stack.Reason
	ecn            *stack.ECN
	exactlyOptions bool
}

func seq(n int) detail        { return func(l *line) { l.seq = &n } }
func ack(n int) detail        { return func(l *line) { l.ack = &n } }
func win(n int) detail        { return func(l *line) { l.win = &n } }
func mss(n int) detail        { return func(l *line) { l.mss = &n } }
func ws(n int) detail         { return func(l *line) { l.ws = &n } }
func text(s string) detail    { return func(l *line) { l.text = s } }
func length(n int) detail     { return func(l *line) { l.length = &n } }  // n octets, whichever
func urgent(n int) detail     { return func(l *line) { l.urgent = &n } }  // the pointer, as in the header
func uto(n int) detail        { return func(l *line) { l.timeout = &n } } // the User Timeout option
func sackOK() detail          { return func(l *line) { l.sackOK = true } }
func ts(v, e uint32) detail   { return func(l *line) { l.ts = &[2]uint32{v, e} } }
func sack(edge ...int) detail { return func(l *line) { l.sack = edge } }

func ecn(e stack.ECN) detail { return func(l *line) { l.ecn = &e } }

// exactly says that the options which are not mentioned are absent.
func exactly() detail { return func(l *line) { l.exactlyOptions = true } }

func why(kind stack.ReasonKind, n ...int) detail {
	return func(l *line) {
		l.why = &stack.Reason{Kind: kind}
		if len(n) > 0 {
			l.why.N = n[0]
		}
	}
}

func parse(t *testing.T, flags string, details []detail) *line {
	t.Helper()
	var l line
	if flags != "" {
		for _, name := range strings.Split(flags, ",") {
			i := slices.Index(stack.Flags(255).Names(), name)
			if i < 0 {
				t.Fatalf("no flag %q", name)
			}
			l.flags |= 1 << i
		}
	}
	for _, d := range details {
		d(&l)
	}
	return &l
}

// tsval is our timestamp clock now, without offset.
func (d *dialogue) tsval() uint32 { return uint32(d.now.UnixMilli()) }

// send makes a segment of the peer arrive. The window is 60000 unless said.
func (d *dialogue) send(flags string, details ...detail) {
	d.t.Helper()
	d.arrive(flags, details...)
	d.flush()
}

// arrive is send without asking the Conn for its answer yet.
func (d *dialogue) arrive(flags string, details ...detail) {
	d.t.Helper()
	l := parse(d.t, flags, details)
	s := &stack.Segment{SrcPort: peerPort, DstPort: ourPort, Flags: l.flags, Window: 60000, Seq: irs}
	if l.seq != nil {
		s.Seq = irs.Add(*l.seq)
	}
	if l.ack != nil {
		s.Ack = iss.Add(*l.ack)
	}
	if l.win != nil {
		s.Window = uint16(*l.win)
	}
	if l.urgent != nil {
		s.Urgent = uint16(*l.urgent)
	}
	s.Payload = []byte(l.text)
	if l.length != nil {
		s.Payload = pattern(s.Seq, *l.length)
	}
	if l.ecn != nil {
		s.ECN = *l.ecn
	}
	o := &s.Options
	o.SACKPermitted = l.sackOK
	if l.mss != nil {
		o.MSS = uint16(*l.mss)
	}
	if l.ws != nil {
		o.HasWindowScale, o.WindowScale = true, uint8(*l.ws)
	}
	if l.timeout != nil {
		o.UserTimeout = uint16(*l.timeout)
	}
	if l.ts != nil {
		o.HasTimestamps, o.TSVal, o.TSEcr = true, l.ts[0], l.ts[1]
	}
	for i := 0; i+1 < len(l.sack); i += 2 {
		o.SACK[o.SACKCount] = stack.SACKBlock{Left: iss.Add(l.sack[i]), Right: iss.Add(l.sack[i+1])}
		o.SACKCount++
	}
	d.c.Receive(d.now, s)
}

// pattern is n octets that tell their place.
func pattern(at stack.Seq, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		p := uint32(at.Add(i).Sub(irs))
		b[i] = byte(p ^ p>>8)
	}
	return b
}

// flush takes what the Conn sends now.
func (d *dialogue) flush() {
	d.t.Helper()
	for range 100000 {
		before := d.c.Snapshot()
		var s stack.Segment
		why, ok := d.c.Next(d.now, &s)
		if err := d.c.Check(); err != nil {
			d.t.Fatalf("%v", err)
		}
		if !ok {
			return
		}
		s.Payload = bytes.Clone(s.Payload)
		d.out = append(d.out, output{d.now, s, why})
		edge := before.SndUna.Add(before.SndWnd)
		if why.Kind != stack.ReasonWindowProbe && before.State.Synchronized() && s.Len() > 0 && edge.Less(s.Next()) {
			d.t.Fatalf("sent beyond the window, which ends at %d: %s", edge.Sub(iss), d.show(d.out[len(d.out)-1]))
		}
	}
	d.t.Fatal("the Conn never stops sending")
}

// wait lets time pass, timer by timer. Nothing may be left unexpected before.
func (d *dialogue) wait(for_ time.Duration) {
	d.t.Helper()
	d.expectNothing()
	d.advance(d.now.Add(for_))
}

func (d *dialogue) advance(to time.Time) {
	d.t.Helper()
	for range 100000 {
		at, ok := d.c.Deadline()
		if !ok || at.After(to) {
			d.now = to
			return
		}
		if at.After(d.now) {
			d.now = at
		}
		d.c.Advance(d.now)
		d.flush()
	}
	d.t.Fatal("the timers never come to rest")
}

// expect says what the Conn sends next. What is not mentioned is not checked,
// but for the payload and the SACK blocks, which must be absent then.
func (d *dialogue) expect(flags string, details ...detail) {
	d.t.Helper()
	if len(d.out) == 0 {
		d.t.Fatalf("expected %s, actual: nothing, in %v", flags, d.c.State())
	}
	o := d.out[0]
	d.out = d.out[1:]
	for _, wrong := range d.compare(parse(d.t, flags, details), o) {
		d.t.Errorf("%s of %s", wrong, d.show(o))
	}
	if d.t.Failed() {
		d.t.FailNow()
	}
}

// expectAfter says that nothing is sent before, and what is sent then.
func (d *dialogue) expectAfter(wait time.Duration, flags string, details ...detail) {
	d.t.Helper()
	d.wait(wait - 1)
	if len(d.out) > 0 {
		d.t.Fatalf("expected nothing for %v, actual after %v: %s", wait, wait-d.now.Sub(d.out[0].at)-1, d.show(d.out[0]))
	}
	d.advance(d.now.Add(1))
	if len(d.out) == 0 {
		d.t.Fatalf("expected %s after %v, actual: nothing, in %v", flags, wait, d.c.State())
	}
	d.expect(flags, details...)
}

func (d *dialogue) expectNothing() {
	d.t.Helper()
	if len(d.out) > 0 {
		d.t.Fatalf("expected nothing, actual %s", d.show(d.out[0]))
	}
}

func (d *dialogue) compare(l *line, o output) (wrong []string) {
	s := &o.seg
	differ := func(what string, want, got any) {
		if want != got {
			wrong = append(wrong, fmt.Sprintf("%s: expected %v, actual %v", what, want, got))
		}
	}
	differ("flags", l.flags, s.Flags)
	if l.seq != nil {
		differ("seq", *l.seq, s.Seq.Sub(iss))
	}
	if l.ack != nil {
		differ("ack", *l.ack, s.Ack.Sub(irs))
	}
	if l.win != nil {
		differ("window", *l.win, int(s.Window))
	}
	if l.urgent != nil {
		differ("urgent pointer", *l.urgent, int(s.Urgent))
	}
	if l.length != nil {
		differ("length", *l.length, len(s.Payload))
	} else {
		differ("payload", l.text, string(s.Payload))
	}
	if l.ecn != nil {
		differ("ECN", *l.ecn, s.ECN)
	}
	if l.why != nil {
		differ("reason", l.why.Kind, o.why.Kind)
		if l.why.N > 0 {
			differ("times", l.why.N, o.why.N)
		}
	}
	got := &s.Options
	if l.mss != nil || l.exactlyOptions {
		differ("MSS", deref(l.mss, 0), int(got.MSS))
	}
	if l.ws != nil || l.exactlyOptions {
		differ("window scale", deref(l.ws, -1), map[bool]int{true: int(got.WindowScale), false: -1}[got.HasWindowScale])
	}
	if l.timeout != nil || l.exactlyOptions {
		differ("user timeout", deref(l.timeout, 0), int(got.UserTimeout))
	}
	if l.sackOK || l.exactlyOptions {
		differ("SACK permitted", l.sackOK, got.SACKPermitted)
	}
	if l.ts != nil || l.exactlyOptions {
		differ("timestamps", l.ts != nil, got.HasTimestamps)
		if l.ts != nil {
			differ("TSval", l.ts[0], got.TSVal)
			differ("TSecr", l.ts[1], got.TSEcr)
		}
	}
	var blocks []int
	for _, b := range got.Blocks() {
		blocks = append(blocks, b.Left.Sub(irs), b.Right.Sub(irs))
	}
	differ("SACK", fmt.Sprint(l.sack), fmt.Sprint(blocks))
	return wrong
}

func deref(p *int, otherwise int) int {
	if p == nil {
		return otherwise
	}
	return *p
}

func (d *dialogue) show(o output) string {
	s := &o.seg
	return fmt.Sprintf("<%v seq %d ack %d len %d win %d sack %v, reason %d/%d> at %v", s.Flags, s.Seq.Sub(iss),
		s.Ack.Sub(irs), len(s.Payload), s.Window, s.Options.Blocks(), o.why.Kind, o.why.N, o.at.Sub(start))
}

func (d *dialogue) state(want stack.State) {
	d.t.Helper()
	if got := d.c.State(); got != want {
		d.t.Fatalf("state: expected %v, actual %v", want, got)
	}
}

// ended expects CLOSED, and why.
func (d *dialogue) ended(why error) {
	d.t.Helper()
	d.expectNothing()
	d.state(stack.StateClosed)
	d.fails(d.c.Err(), why)
	if at, ok := d.c.Deadline(); ok {
		d.t.Fatalf("a timer is still set for %v", at.Sub(start))
	}
}

func (d *dialogue) ok(err error) {
	d.t.Helper()
	d.fails(err, nil)
}

func (d *dialogue) fails(got, want error) {
	d.t.Helper()
	if !errors.Is(got, want) {
		d.t.Fatalf("error: expected %v, actual %v", want, got)
	}
}

// told expects what was reported to the application since the last time.
func (d *dialogue) told(want ...stack.Report) {
	d.t.Helper()
	if !slices.Equal(d.reports, want) {
		d.t.Fatalf("reports: expected %v, actual %v", want, d.reports)
	}
	d.reports = nil
}

// same compares a number of the Snapshot.
func (d *dialogue) same(what string, got, want any) {
	d.t.Helper()
	if got != want {
		d.t.Fatalf("%s: expected %v, actual %v", what, want, got)
	}
}

func (d *dialogue) write(s string) {
	d.t.Helper()
	n, err := d.c.Write(d.now, []byte(s))
	if n != len(s) || err != nil {
		d.t.Fatalf("Write took %d of %d octets: %v", n, len(s), err)
	}
	d.flush()
}

// writeN writes n octets, whichever.
func (d *dialogue) writeN(n int) {
	d.t.Helper()
	d.write(strings.Repeat("x", n))
}

// read takes up to n octets and expects exactly s.
func (d *dialogue) read(n int, s string) {
	d.t.Helper()
	b := make([]byte, n)
	got, err := d.c.Read(d.now, b)
	if string(b[:got]) != s || err != nil {
		d.t.Fatalf("Read: expected %q, actual %q, %v", s, b[:got], err)
	}
	d.flush()
}

// readN takes n octets, whichever.
func (d *dialogue) readN(n int) {
	d.t.Helper()
	if got, err := d.c.Read(d.now, make([]byte, n)); got != n || err != nil {
		d.t.Fatalf("Read: expected %d octets, actual %d, %v", n, got, err)
	}
	d.flush()
}

// readEnd expects that there is nothing to read any more, and why.
func (d *dialogue) readEnd(why error) {
	d.t.Helper()
	n, err := d.c.Read(d.now, make([]byte, 100))
	if n != 0 {
		d.t.Fatalf("Read: expected the end, actual %d octets", n)
	}
	d.fails(err, why)
}

func (d *dialogue) closeWrite() {
	d.t.Helper()
	d.ok(d.c.CloseWrite(d.now))
	d.flush()
}

func (d *dialogue) close() {
	d.t.Helper()
	d.ok(d.c.Close(d.now))
	d.flush()
}

func (d *dialogue) abort() {
	d.t.Helper()
	d.c.Abort(d.now)
	d.flush()
}

// data is the peer's: n octets at a place, acknowledging to our number a.
func (d *dialogue) data(at, n, a int, more ...detail) {
	d.t.Helper()
	d.send("ACK", append([]detail{seq(at), ack(a), length(n)}, more...)...)
}

// acks is the peer's bare ACK, from its number 1.
func (d *dialogue) acks(a int, more ...detail) {
	d.t.Helper()
	d.send("ACK", append([]detail{seq(1), ack(a)}, more...)...)
}
