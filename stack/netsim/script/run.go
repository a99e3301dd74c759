package script

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"rawnc/stack"
	"rawnc/stack/fault"
	"rawnc/stack/netsim"
)

// A Run is a scenario that was played.
type Run struct {
	// Crossings are what crossed the capture points, in order, without what the
	// captures are to miss.
	Crossings []netsim.Crossing

	net    *netsim.Network
	sides  [2]*side
	rules  fault.Rules
	misses []*miss
	missed map[missed]bool
	log    []entry
	steps  int
}

// Addr is the address of a side: 0 is the client, 1 the server.
func (r *Run) Addr(side int) netip.Addr { return r.sides[side].addr }

// missed names a packet that the captures are to miss.
type missed struct {
	from netsim.Point
	id   int
}

// A side is the client or the server: its settings, and its application.
type side struct {
	fault.Side
	host    *netsim.Host
	end     *netsim.End // of the newest connection; nil: none
	addr    netip.Addr
	port    uint16
	cfg     stack.Config
	iss     stack.Seq // of the next connection
	issUsed bool
	deaf    bool // there is no listener
	raw     bool // there is no stack: the script sends

	view     fault.View // of what it sends
	last     stack.Seq  // of the last segment that it sent
	verdicts []stack.Verdict

	// The application.
	toWrite []byte
	urgent  int  // so many octets of it are urgent
	closing bool // once all is written
	follows bool // closes when the other side has
	budget  int  // octets to read; negative: all there is
	wrote   []byte
	got     []byte
	eof     bool

	// What the expectations have seen.
	seenLog, seenOctets, seenVerdicts int
	told                              []int // what was reported of urgent data
}

// An entry is a segment that a side sent.
type entry struct {
	from fault.Side
	at   time.Duration
	why  stack.Reason
	own  bool // a stack said why
	fault.Seen
}

var errNoConnection = errors.New("there is no connection")

// maxSteps bounds how much may happen in a scenario.
const maxSteps = 5_000_000

// Run plays the script. The Run tells how far it came, even with an error, which
// is an *Error.
func (s *Script) Run(seed uint64) (*Run, error) {
	r := &Run{net: netsim.NewHosts(seed, netsim.Path{}, netsim.Path{}), missed: map[missed]bool{}}
	for i, address := range []string{"192.0.2.1", "192.0.2.2"} {
		r.sides[i] = &side{
			Side: fault.Side(i), host: r.net.Hosts[i], addr: netip.MustParseAddr(address),
			port: [2]uint16{50000, 80}[i], iss: [2]stack.Seq{1000, 5000}[i], budget: -1,
			deaf: fault.Side(i) == fault.Client,
		}
		r.net.Hosts[i].Accept = r.accept(r.sides[i])
		r.net.Hosts[i].Out.Fate = func(seg *stack.Segment, random func() float64) fault.Fate {
			return r.rules.Fate(fault.Side(i), seg, random)
		}
	}
	r.net.Tap = r.tap
	for _, step := range s.steps {
		if err := step.do(r); err != nil {
			return r, &Error{s.Name, step.line, err}
		}
		r.net.Flush()
	}
	if err := r.settle(); err != nil {
		return r, &Error{s.Name, s.lastLine(), err}
	}
	if len(r.log) == 0 {
		return r, &Error{s.Name, s.lastLine(), errors.New(`nothing was sent: let somebody begin, with a line such as "client opens"`)}
	}
	return r, nil
}

// lastLine is where the script ends.
func (s *Script) lastLine() int {
	if len(s.steps) == 0 {
		return 1
	}
	return s.steps[len(s.steps)-1].line
}

// Router is the address in the middle, in the family of the ends.
func (r *Run) Router() netip.Addr {
	if r.sides[0].addr.Is6() {
		return netip.MustParseAddr("2001:db8::fe")
	}
	return netip.MustParseAddr("192.0.2.254")
}

// accept is the host's listener.
func (r *Run) accept(s *side) func() *netsim.End {
	return func() *netsim.End {
		if s.deaf || s.raw {
			return nil
		}
		e, err := r.connect(s)
		if err != nil || e.Listen(s.port) != nil {
			return nil
		}
		return e
	}
}

// open is the active open of a side.
func (r *Run) open(s *side) error {
	if s.raw {
		return fmt.Errorf(`the %v has no stack: write "%v sends SYN"`, s.Side, s.Side)
	}
	e, err := r.connect(s)
	if err != nil {
		return err
	}
	return e.Open(r.net.Now, s.port, r.sides[s.Other()].port)
}

// newISS is the initial sequence number of the next connection. A further one begins
// behind the one before, unless the script says where.
func (s *side) newISS() stack.Seq {
	if s.issUsed {
		s.iss = s.iss.Add(1_000_000)
	}
	s.issUsed = true
	return s.iss
}

// connect makes an end for a new connection of a side.
func (r *Run) connect(s *side) (*netsim.End, error) {
	if a, b := r.sides[0].addr, r.sides[1].addr; a.Is4() != b.Is4() || a == b {
		return nil, fmt.Errorf("client and server need two addresses of one family, and have %v and %v", a, b)
	}
	r.net.Router = r.Router()
	cfg := s.cfg
	cfg.ISS, cfg.IPv6 = s.newISS(), s.addr.Is6()
	cfg.Report = func(report stack.Report) { s.told = append(s.told, report.Urgent) }
	s.host.Out.IPv6 = cfg.IPv6
	if s.end != nil { // what is written and not taken yet belongs to the new one
		s.wrote, s.got, s.seenOctets = nil, nil, 0
		s.closing, s.eof = false, false
		s.wrote = append(s.wrote, s.toWrite...)
	}
	cfg.NewISS = s.newISS
	e := s.host.Add(cfg)
	e.App = func(now time.Time) { s.act(e, now) }
	s.end = e
	return e, nil
}

// act is the application's turn.
func (s *side) act(e *netsim.End, now time.Time) {
	if e != s.end {
		return
	}
	if len(s.toWrite) > 0 && e.State() > stack.StateListen {
		n, err := e.WriteUrgent(now, s.toWrite[:s.urgent])
		s.urgent -= n
		if s.urgent == 0 && err == nil {
			var more int
			more, err = e.Write(now, s.toWrite[n:])
			n += more
		}
		s.toWrite = s.toWrite[n:]
		if err != nil {
			s.toWrite, s.urgent = nil, 0
		}
	}
	s.read(e, now)
	if (s.closing || s.follows && s.eof) && len(s.toWrite) == 0 && e.State() > stack.StateListen {
		e.CloseWrite(now)
	}
}

func (s *side) read(e *netsim.End, now time.Time) {
	var buf [16 << 10]byte
	for s.budget != 0 && e.Readable() {
		room := buf[:]
		if s.budget > 0 {
			room = room[:min(s.budget, len(room))]
		}
		n, err := e.Read(now, room)
		s.got = append(s.got, room[:n]...)
		if s.budget > 0 {
			s.budget -= n
		}
		s.eof = s.eof || err == io.EOF
		if n == 0 || err != nil {
			return
		}
	}
}

// start is the initial sequence number of the side's connection, next what
// follows all that it sent.
func (s *side) start() stack.Seq {
	if s.view.Known {
		return s.view.ISS
	}
	return s.iss
}

func (s *side) next() stack.Seq {
	if s.view.Known {
		return s.view.Next
	}
	return s.iss
}

// state is the state of the side's connection.
func (s *side) state() stack.State {
	switch {
	case s.end != nil:
		return s.end.State()
	case !s.deaf && !s.raw:
		return stack.StateListen
	}
	return stack.StateClosed
}

// tap keeps what crosses the capture points.
func (r *Run) tap(c netsim.Crossing) {
	if c.From == c.Point && c.From != netsim.Middle {
		s := r.sides[c.From]
		e := entry{from: s.Side, at: sinceStart(c.Time), Seen: s.view.See(&c.Seg)}
		if e.own = c.Own != nil; e.own {
			e.why = c.Own.Reason
		}
		s.last = c.Seg.Seq
		r.log = append(r.log, e)
		for _, m := range r.misses {
			if m.from == s.Side && m.pattern.Matches(&e.Seen, func() float64 { return 0 }) {
				r.missed[missed{c.From, c.ID}] = true
			}
		}
	} else if c.Own != nil && c.Own.Verdict != nil {
		s := r.sides[c.Point]
		s.verdicts = append(s.verdicts, c.Own.Verdict.Verdict)
	}
	if !r.missed[missed{c.From, c.ID}] {
		r.Crossings = append(r.Crossings, c)
	}
}

// runTo lets the clock run to a time.
func (r *Run) runTo(t time.Time) error {
	if t.Before(r.net.Now) {
		return fmt.Errorf("the clock already shows %v", sinceStart(r.net.Now))
	}
	for {
		r.net.Flush()
		next, ok := r.net.Next()
		if !ok || next.After(t) {
			r.net.Now = t
			return nil
		}
		if err := r.step(); err != nil {
			return err
		}
	}
}

// settle lets what is on its way arrive.
func (r *Run) settle() error {
	r.net.Flush()
	for r.net.InTransit() {
		if err := r.step(); err != nil {
			return err
		}
	}
	return nil
}

func (r *Run) step() error {
	if r.steps++; r.steps > maxSteps {
		return fmt.Errorf("more than %d things happen: there may be a loop", maxSteps)
	}
	r.net.Step()
	return nil
}
