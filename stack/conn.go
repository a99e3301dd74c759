// Package stack is TCP itself (RFC 9293 and its companions), pure: it opens no
// socket, reads no clock, starts no goroutine, takes no lock and rolls no dice.
//
// A Conn is one end of one connection. What goes in: a segment that arrived
// (Receive), an ICMP error (ICMP), the time (Advance), and the application's
// calls (Open, Listen, Write, Read, CloseWrite, Close, Abort). What comes out:
// the next segment to send (Next), the next time to be woken (Deadline), octets
// for the application (Read), and events for whoever watches (Config.Watch).
// The same inputs give the same outputs, always; so the same code serves raw
// sockets, a simulated network on a virtual clock, and a recorded log.
//
// Whoever drives a Conn keeps to a few rules. After every call that may change
// something, Next is called until it has nothing more; only then does Deadline
// tell the next time for Advance. The time never goes back, but may stand still
// or leap. What Receive gets has passed the checks of the wire: it is for this
// connection's addresses and ports, and its checksum is right. What comes for no
// Conn is answered by Reject. Of a Listen, each peer takes a Conn of its own. See
// the example of Conn.
//
// How a segment flows: Receive takes it through the steps of RFC 9293, section
// 3.10.7, in the order of the RFC (arrives.go, check.go, ack.go, text.go); the steps change the variables of
// the connection and note what is owed; Next (output.go) then says what to
// send, and why. The concerns stand apart: round-trip time (rtt.go), the
// congestion window (congestion.go), what is in flight and what is lost
// (scoreboard.go, recovery.go), the offered window (window.go), the two
// buffers, the timers.
package stack

import (
	"errors"
	"time"
)

// What a call says that the state does not allow (RFC 9293, section 3.10).
var (
	ErrNoConnection = errors.New("connection does not exist")    // in CLOSED: not opened yet, or at its end
	ErrExists       = errors.New("connection already exists")    // Open and Listen, but once in the life of a Conn
	ErrUnspecified  = errors.New("remote socket is unspecified") // write in LISTEN, open to port 0
)

// What ends a connection, or a call on it.
var (
	ErrRefused = errors.New("connection refused")                 // a RST answered the SYN
	ErrReset   = errors.New("connection reset by peer")           // a RST arrived
	ErrTimeout = errors.New("the peer did not answer")            // R2 passed (RFC 9293, 3.8.3)
	ErrAborted = errors.New("connection aborted")                 // Abort was called, or data came after Close
	ErrClosing = errors.New("connection closing")                 // write after CloseWrite
	ErrIdle    = errors.New("the peer sent no FIN after our own") // FIN-WAIT-2 lasted too long
)

// Conn is one end of one connection: the transmission control block of RFC
// 9293, section 3.3.1, and the functions of section 3.10. It is not safe for
// concurrent use. Times passed in must never go back.
type Conn struct {
	cfg                   Config
	state                 State
	used                  bool  // has had its one life: CLOSED is the end
	active                bool  // opened by Open: a RST means refused, not back to LISTEN (MUST-11)
	err                   error // why the connection ended; nil after a normal close
	soft                  error // the last ICMP error, while the connection lives on
	localPort, remotePort uint16

	snd struct {
		una, nxt, iss Seq
		wnd           int // as offered by the peer, scaled
		wl1, wl2      Seq // segment seq and ack of the last window update
		up            Seq // behind the urgent data; not before una
		maxWnd        int // the largest wnd so far (MAX.SND.WND)
		shift         uint8
		mss           int  // largest payload of a segment without SACK blocks
		closed        bool // the application will write no more: FIN follows the data
		probed        bool // the octet at nxt went out as a window probe
	}
	rcv struct {
		nxt, irs Seq
		adv      Seq // right edge of the window offered: never moves left (SHLD-14)
		up       Seq // behind the urgent data; not before what was read
		shift    uint8
		mss      int // largest payload seen: the peer's idea of a full segment
		quick    int // so many segments more are acknowledged at once
		fin      Seq // where the peer's FIN stands, once seen
		hasFIN   bool
		closed   bool      // the application will read no more
		twice    SACKBlock // octets that arrived again, for the next D-SACK (RFC 2883); empty: none
	}
	ts          timestamps
	sack        bool          // SACK is permitted both ways
	peerTimeout time.Duration // the user timeout that the peer has announced; 0: none
	peerScales  bool          // the peer offered window scaling

	out     sendBuffer
	in      receiveBuffer
	rtt     rttEstimator
	cc      congestion
	ecn     ecn
	board   scoreboard
	loss    recovery
	path    pathMTU
	owed    owed
	timers  timers
	probes  int       // unanswered window probes or keep-alives in a row
	heard   time.Time // when the peer last gave a sign of life
	sentAt  time.Time // when new data last went out
	waiting time.Time // since when something sent has gone without progress
	advised bool      // R1 has passed for what is at SND.UNA
	limiter limiter   // of challenge ACKs
	verdict Verdict   // on the segment being received
}

// owed is what Next has to send beside data.
type owed struct {
	ack         ReasonKind // an ACK at once, and why; ReasonNone: not owed
	dups        int        // immediate ACKs owed one for one to out-of-order segments (RFC 5681, 4.2)
	pending     int        // octets received since the last ACK went out
	probe       bool       // a window probe
	keepAlive   bool
	tailProbe   bool
	userTimeout bool     // the option (RFC 5482)
	urgent      bool     // the peer has not been told of SND.UP
	override    bool     // the SWS override timer ran out: send what there is (RFC 9293, 3.8.6.2.1)
	reply       *Segment // a RST or, in LISTEN, a SYN,ACK with a cookie; no more follows it
	replyReason ReasonKind
}

// New returns a connection in the CLOSED state.
func New(cfg Config) *Conn {
	if old := cfg.Follows; old != nil && cfg.ISS.LessEq(old.snd.nxt) { // RFC 9293, MAY-2
		cfg.ISS = old.snd.nxt.Add(1)
	}
	c := &Conn{cfg: cfg.withDefaults()}
	c.snd.iss = cfg.ISS
	c.snd.una, c.snd.nxt, c.snd.up = cfg.ISS, cfg.ISS, cfg.ISS
	c.out.base = cfg.ISS.Add(1)
	c.rcv.shift = uint8(max(c.cfg.WindowScale, 0))
	c.in.limit = c.cfg.ReceiveBuffer
	c.out.data.pool, c.in.data.pool, c.board.pool = cfg.Pool, cfg.Pool, cfg.Pool
	c.rtt = rttEstimator{initial: c.cfg.InitialRTO, min: c.cfg.MinRTO, max: c.cfg.MaxRTO}
	return c
}

// State is the state of the connection.
func (c *Conn) State() State { return c.state }

// Err is why the connection ended: nil while it lives and after a normal close.
func (c *Conn) Err() error { return c.err }

// SoftError is the last ICMP error that the network sent about this
// connection, or nil (RFC 9293, SHLD-25).
func (c *Conn) SoftError() error { return c.soft }

// sendEnd is the sequence number behind the last octet that was written.
func (c *Conn) sendEnd() Seq { return c.out.base.Add(c.out.len()) }

// finAcked reports whether our FIN has been acknowledged.
func (c *Conn) finAcked() bool { return c.snd.closed && c.sendEnd().Less(c.snd.una) }

// flight is FlightSize: the octets sent and not yet acknowledged.
func (c *Conn) flight() int { return c.snd.nxt.Sub(c.snd.una) }

// end brings the connection to CLOSED and forgets what it was doing.
func (c *Conn) end(cause Cause, err error) {
	if c.state == StateClosed {
		return
	}
	c.setState(StateClosed, cause)
	c.err, c.used = err, true
	c.timers = timers{}
	c.owed = owed{reply: c.owed.reply, replyReason: c.owed.replyReason}
	c.board = scoreboard{}
	c.out.ack(c.sendEnd())
	c.in.dropHeld()
}

// sendRST makes Next send a RST at SND.NXT (RFC 9293, section 3.10.5).
func (c *Conn) sendRST(now time.Time, why ReasonKind) {
	c.owed.reply = &Segment{
		SrcPort: c.localPort, DstPort: c.remotePort,
		Seq: c.snd.nxt, Ack: c.rcv.nxt, Flags: RST | ACK,
	}
	c.stamp(now, &c.owed.reply.Options)
	c.owed.replyReason = why
}
