package stack

import "time"

// Config is how a Conn behaves. The zero value of a field takes the default
// that stands beside it. One thing is fixed: a Conn answers in a second at most ten
// segments that are not what it expects (challenge ACKs: RFC 5961, section 7).
type Config struct {
	// The connection.

	// ISS is the initial send sequence number. The caller chooses it, as RFC
	// 6528 says (see ISN), or to show something.
	ISS Seq
	// NewISS, if not nil, gives the initial sequence number of a passive connection
	// that has gone back to LISTEN; otherwise that is ISS again.
	NewISS func() Seq
	// Follows, if not nil, is a connection between the same ports that GivesWay to
	// this one: Open starts behind it, and takes no old duplicate of it for the
	// peer's answer.
	Follows *Conn
	// TSOffset is added to the timestamp clock, which is the time that the calls
	// pass in, in milliseconds since 1970; random, so that timestamps do not tell
	// the machine's uptime (RFC 7323, section 7.1).
	TSOffset uint32
	// IPv6 tells how large the IP header is, and the default MSS.
	IPv6 bool
	// Cookie, if not nil, has Listen keep nothing of a SYN: the connection stays
	// in LISTEN until an ACK brings the cookie back.
	Cookie *Cookie
	// Pool, if not nil, is where the buffers' memory comes from.
	Pool *Pool

	// What it sends in one segment.

	// MTU is the largest IP packet that the route carries, in octets. The
	// default is 1500.
	MTU int
	// BaseMTU is what every path may be expected to carry: packets fall back to
	// it where larger ones vanish and no router says why, and larger sizes are
	// tried from there (RFC 4821). The default is 1200 (RFC 8899), for IPv6 1280.
	// Negative: only routers say what is too large.
	BaseMTU int
	// RaiseMTU is how long after the path was found to carry less a larger size is
	// tried; default 10 min, at least 5 min (RFC 8201, section 4). Negative: never.
	RaiseMTU time.Duration
	// MSS is the segment size that is announced, in octets of payload without
	// options; the least is 48. The default is what MTU leaves. SendMSS limits
	// what is sent, whatever the peer announces; the default is MSS.
	MSS, SendMSS int
	// Offload lets Next return segments of up to so many octets of payload, for
	// a link that cuts them: see Segment.GSOSize. Zero: one MSS at most.
	Offload int

	// Buffers.

	// SendBuffer bounds what Write accepts ahead of the peer's
	// acknowledgment, ReceiveBuffer what is held for Read and so the window
	// offered. Octets; the defaults are 2 MiB and 1 MiB.
	SendBuffer, ReceiveBuffer int

	// Options.

	NoTimestamps  bool // do not offer or accept timestamps (RFC 7323)
	NoSACK        bool // do not offer or accept SACK (RFC 2018)
	NoWindowScale bool // do not offer or accept window scaling (RFC 7323)
	ECN           bool // offer and accept explicit congestion notification (RFC 3168)
	// WindowScale is the shift count that is offered, at most 14; the default is
	// the least that lets ReceiveBuffer be offered whole. Negative: 0.
	WindowScale int
	// OptionOrder is how the options of a SYN are ordered.
	OptionOrder OptionOrder
	// UserTimeoutOption lets the peer know UserTimeout, and heeds what the peer
	// wishes, up to an hour, unless UserTimeout is set (RFC 5482).
	UserTimeoutOption bool

	// When it sends.

	NoDelay bool // switch the Nagle algorithm off (RFC 9293, MUST-17)
	// Cork holds back what is less than a full segment, 200 ms at most when
	// nothing is outstanding, and then it is sent (MUST-60). Urgent data and the
	// FIN do not wait.
	Cork bool
	// InitialWindow is the initial congestion window in segments; default 10. In
	// octets it is at most 1460 for each, or two segments (RFC 6928).
	InitialWindow int
	// Congestion is the algorithm of congestion control; the default is CUBIC.
	Congestion Congestion
	// DelayedACK is how long an ACK may wait; default 40 ms, at most 500 ms
	// (RFC 9293, MUST-40). Negative: every segment is acknowledged at once.
	DelayedACK time.Duration
	// QuickACKs is how many segments with data are acknowledged at once from the
	// first one on, as Linux does with up to 16; default 0.
	QuickACKs int

	// How long it waits.

	InitialRTO time.Duration // before the first sample; default 1 s (RFC 6298, 2.1)
	// MinRTO bounds the RTO from below; default 200 ms, where RFC 6298, 2.4 would have
	// 1 s. (Linux has the same figure bound 4*RTTVAR, so that its RTO is SRTT + 200 ms at
	// least.)
	MinRTO time.Duration
	MaxRTO time.Duration // default 60 s (RFC 6298, 2.5)
	// R1 is after how many retransmissions of the same segment the application
	// and IP are told that it does not get through (see ReportUnanswered); default
	// 3 (RFC 9293, section 3.8.3). A tail loss probe, which does not wait for the
	// RTO, is none of them. Negative: never.
	R1 int
	// UserTimeout is R2: how long sent data or a probe may go unanswered before
	// the connection is given up; default 5 min. Negative: never. SYNTimeout is
	// R2 of a SYN; default 5 min, of which RFC 9293 demands 3 (MUST-23).
	UserTimeout, SYNTimeout time.Duration
	// KeepAlive has an idle peer asked whether it is there. It is off by default
	// (MUST-25). KeepAliveIdle is for how long nothing must have come, default 2
	// h (MUST-28), KeepAliveInterval the time between unanswered probes, default
	// 75 s, and KeepAliveCount how many are sent before giving up, default 9.
	KeepAlive                        bool
	KeepAliveIdle, KeepAliveInterval time.Duration
	KeepAliveCount                   int
	// MSL is the maximum segment lifetime; TIME-WAIT lasts twice as long. The
	// default is 30 s, as Linux; RFC 9293 would have 2 min.
	MSL time.Duration
	// FinWait2 is how long FIN-WAIT-2 may last once the application has
	// closed both ways; default 60 s, as Linux. RFC 9293 has no limit.
	FinWait2 time.Duration

	// Who is told.

	// Report, if not nil, is told what an application should know at once
	// (ERROR_REPORT in RFC 9293, section 3.9.1.8). It must not call the Conn.
	Report func(Report)
	// Watch, if not nil, is told what happens inside. It must not call the Conn.
	Watch func(Event)
}

const (
	headerLen     = 20 // of TCP, without options
	headerLenIPv4 = 20
	headerLenIPv6 = 40

	leastMSS = 48 // as Linux: a smaller one would be nearly all header

	defaultMSSIPv4 = 536  // MUST-15
	defaultMSSIPv6 = 1220 // MUST-15
)

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (cfg Config) withDefaults() Config {
	def(&cfg.MTU, 1500)
	if cfg.IPv6 {
		def(&cfg.BaseMTU, leastIPv6)
	}
	def(&cfg.BaseMTU, 1200)
	def(&cfg.RaiseMTU, 10*time.Minute)
	if cfg.RaiseMTU > 0 {
		cfg.RaiseMTU = max(cfg.RaiseMTU, 5*time.Minute)
	}
	def(&cfg.SendBuffer, 2<<20)
	def(&cfg.ReceiveBuffer, 1<<20)
	def(&cfg.InitialRTO, time.Second)
	def(&cfg.MinRTO, 200*time.Millisecond)
	def(&cfg.MaxRTO, 60*time.Second)
	def(&cfg.DelayedACK, 40*time.Millisecond)
	def(&cfg.InitialWindow, 10)
	def(&cfg.R1, 3)
	def(&cfg.SYNTimeout, defaultUserTimeout)
	def(&cfg.KeepAliveIdle, 2*time.Hour)
	def(&cfg.KeepAliveInterval, 75*time.Second)
	def(&cfg.KeepAliveCount, 9)
	def(&cfg.MSL, 30*time.Second)
	def(&cfg.FinWait2, 60*time.Second)
	// A segment of the largest MSS must leave room for 40 octets of options.
	most := min(max(cfg.MTU-cfg.ipHeaderLen()-headerLen, leastMSS), 65535)
	def(&cfg.MSS, most)
	cfg.MSS = min(max(cfg.MSS, leastMSS), most)
	def(&cfg.SendMSS, cfg.MSS)
	cfg.SendMSS = min(max(cfg.SendMSS, leastMSS), most)
	cfg.DelayedACK = min(cfg.DelayedACK, 500*time.Millisecond)
	cfg.ReceiveBuffer = min(cfg.ReceiveBuffer, 1<<30) // RFC 7323, section 2.3
	cfg.SendBuffer = min(cfg.SendBuffer, 1<<30)       // so that sequence numbers compare
	def(&cfg.WindowScale, windowShift(cfg.ReceiveBuffer))
	cfg.WindowScale = min(cfg.WindowScale, 14) // RFC 7323, section 2.3
	return cfg
}

func (cfg *Config) ipHeaderLen() int {
	if cfg.IPv6 {
		return headerLenIPv6
	}
	return headerLenIPv4
}
