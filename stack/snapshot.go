package stack

import "time"

// Snapshot is a connection's variables at a moment, under the names of RFC
// 9293, section 3.3.1, and its companions. Sizes are in octets.
type Snapshot struct {
	State                 State
	LocalPort, RemotePort uint16
	Active                bool  // opened by Open
	Err                   error // why the connection ended; nil while it lives and after a normal close
	SoftError             error // the last ICMP error, if there was one

	ISS, SndUna, SndNxt Seq
	SndUp               Seq // behind the urgent data; SndUna or less: there are none
	SndWnd, MaxSndWnd   int // scaled
	SndWL1, SndWL2      Seq
	SndShift            uint8
	SendMSS             int // of payload, without SACK blocks
	PathMTU             int // no packet is larger, except one that tries a larger size
	SendQueue           int // written and not acknowledged
	Flight              int // FlightSize: sent and not acknowledged
	Segments            int // in which Flight went out, or will go out again
	WriteClosed         bool

	IRS, RcvNxt  Seq
	RcvUp        Seq // behind the urgent data; what was read ends there: there are none
	Urgent       int // to be read before RcvUp
	RcvWnd       int // RcvAdv - RcvNxt
	RcvAdv       Seq // the right edge of the window as offered
	RcvShift     uint8
	ReceiveQueue int // ready to be read
	Held         int // arrived out of order
	LastAckSent  Seq
	AckPending   int  // octets received since the last ACK went out
	QuickACKs    int  // so many segments more are acknowledged at once
	RcvMSS       int  // the largest payload so far: what counts as a full segment
	FINReceived  bool // perhaps ahead of data that have not come

	SACK       bool // agreed on
	Timestamps bool // agreed on
	ECN        bool // agreed on
	ECEcho     bool // our ACKs carry ECE, until CWR comes
	CWRPending bool // the window was reduced: the next new data carry CWR
	TSRecent   uint32
	TSRecentAt time.Time
	TSOffset   uint32

	Cwnd, Ssthresh    int  // Ssthresh 0: arbitrarily high
	Recovering        bool // fast recovery, until Recover is acknowledged
	TimedOut          bool // slow start after a timeout, until Recover is acknowledged
	Recover           Seq  // SND.NXT when the last loss was noticed
	DupAcks           int
	TailProbing       bool // a tail loss probe is not answered yet
	Sacked, Lost      int  // of Flight
	Retransmits       int  // segments sent again, in all
	SRTT, RTTVar, RTO time.Duration
	MinRTT            time.Duration // the least sample
	Backoff           int           // timeouts in a row, for each of which RTO is doubled
	Probes            int           // unanswered window probes or keep-alives in a row
	UserTimeout       time.Duration // R2 of the data now; negative: never
	PeerUserTimeout   time.Duration // as the peer announced it (RFC 5482); 0: it did not

	Timers Timers
}

// Timers are the times when the timers run out. The zero time: not armed.
type Timers struct {
	Retransmit, Persist, Reorder, TailProbe, Marked, DelayedACK, KeepAlive, User, FinWait2, TimeWait time.Time
}

// Snapshot is STATUS: it returns the connection's variables.
func (c *Conn) Snapshot() Snapshot {
	at := &c.timers
	return Snapshot{
		State: c.state, LocalPort: c.localPort, RemotePort: c.remotePort, Active: c.active,
		Err: c.err, SoftError: c.soft,

		ISS: c.snd.iss, SndUna: c.snd.una, SndNxt: c.snd.nxt, SndUp: c.snd.up,
		SndWnd: c.snd.wnd, MaxSndWnd: c.snd.maxWnd, SndWL1: c.snd.wl1, SndWL2: c.snd.wl2,
		SndShift: c.snd.shift, SendMSS: c.snd.mss, PathMTU: c.path.mtu,
		SendQueue: c.out.len(), Flight: c.flight(), Segments: c.board.segments(), WriteClosed: c.snd.closed,

		IRS: c.rcv.irs, RcvNxt: c.rcv.nxt, RcvUp: c.rcv.up, Urgent: c.Urgent(),
		RcvWnd: c.rcvWnd(), RcvAdv: c.rcv.adv, RcvShift: c.rcv.shift,
		ReceiveQueue: c.in.ready(), Held: c.in.held(),
		LastAckSent: c.ts.lastAckSent, FINReceived: c.rcv.hasFIN,
		AckPending: c.owed.pending, QuickACKs: max(c.rcv.quick, 0), RcvMSS: c.rcv.mss,

		SACK: c.sack, Timestamps: c.ts.on, ECN: c.ecn.on, ECEcho: c.ecn.echo, CWRPending: c.ecn.on && c.ecn.cwr,
		TSRecent: c.ts.recent, TSRecentAt: c.ts.recentAt, TSOffset: c.ts.offset,

		Cwnd: c.cc.cwnd, Ssthresh: c.cc.ssthresh,
		Recovering: c.loss.recovering, TimedOut: c.loss.timedOut, Recover: c.loss.recover, DupAcks: c.loss.dupAcks, TailProbing: c.loss.probing,
		Sacked: c.board.sackedBytes, Lost: c.board.lostBytes, Retransmits: c.loss.retransmits,
		SRTT: c.rtt.srtt, RTTVar: c.rtt.rttvar, RTO: c.rtt.rto(), MinRTT: c.rtt.least, Backoff: c.rtt.backoff,
		Probes: c.probes, UserTimeout: c.userTimeout(), PeerUserTimeout: c.peerTimeout,

		Timers: Timers{
			Retransmit: at[timerRetransmit], Persist: at[timerPersist], Reorder: at[timerReorder],
			TailProbe: at[timerTailProbe], Marked: at[timerMarked], DelayedACK: at[timerDelayedACK], KeepAlive: at[timerKeepAlive],
			User: at[timerUser], FinWait2: at[timerFinWait2], TimeWait: at[timerTimeWait],
		},
	}
}
