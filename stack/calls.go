package stack

import (
	"io"
	"time"
)

// The user calls of RFC 9293, section 3.10.1 to 3.10.6. (STATUS is Snapshot.)

// Open is the active OPEN: Next has a SYN to send. It makes a passive
// connection that is in LISTEN an active one.
func (c *Conn) Open(now time.Time, localPort, remotePort uint16) error {
	switch {
	case c.state > StateListen, c.used:
		return ErrExists
	case remotePort == 0:
		return ErrUnspecified
	}
	c.localPort, c.remotePort = localPort, remotePort
	c.active = true
	c.start(now)
	c.setState(StateSynSent, CauseActiveOpen)
	return nil
}

// Listen is the passive OPEN. The connection takes the first SYN that arrives;
// to serve many peers, make a Conn for each.
func (c *Conn) Listen(localPort uint16) error {
	if c.state != StateClosed || c.used {
		return ErrExists
	}
	c.localPort = localPort
	c.setState(StateListen, CausePassiveOpen)
	return nil
}

// start readies the connection for its SYN.
func (c *Conn) start(now time.Time) {
	c.snd.mss = c.cfg.SendMSS
	c.rcv.quick = c.cfg.QuickACKs
	c.heard = now
	c.cc = congestion{algorithm: c.cfg.Congestion, mss: c.snd.mss}
	c.ts.offset = c.cfg.TSOffset
}

// Write is SEND: it queues octets and returns how many there was room for,
// perhaps none. It fails once the connection has ended or is closing.
func (c *Conn) Write(_ time.Time, b []byte) (int, error) {
	switch {
	case c.err != nil:
		return 0, c.err
	case c.state == StateClosed:
		return 0, ErrNoConnection
	case c.state == StateListen:
		return 0, ErrUnspecified
	case c.snd.closed:
		return 0, ErrClosing
	}
	n := min(len(b), c.cfg.SendBuffer-c.out.len())
	c.out.write(b[:n])
	return n, nil
}

// Read is RECEIVE: it takes octets that arrived in order. It returns 0 and no
// error when there are none yet, io.EOF behind the peer's FIN, and the reason
// the connection ended once all that had arrived has been read.
func (c *Conn) Read(_ time.Time, b []byte) (int, error) {
	if u := c.Urgent(); 0 < u && u < len(b) {
		b = b[:u]
	}
	n := c.in.read(b)
	c.rcv.up = maxSeq(c.rcv.up, c.consumed())
	switch {
	case n > 0 || len(b) == 0:
		c.updateWindow()
		return n, nil
	case c.rcv.hasFIN && c.rcv.fin.Less(c.rcv.nxt):
		return 0, io.EOF
	case c.err != nil:
		return 0, c.err
	case c.state == StateClosed:
		return 0, ErrNoConnection
	}
	return 0, nil
}

// Await lets what arrives next in order go straight into b, for a Read that has
// found nothing: once there is something, the next Read, with the same b, need not
// copy it. Until then, or until Await(nil), b belongs to the connection.
func (c *Conn) Await(b []byte) {
	c.in.withdraw()
	if c.in.ready() == 0 {
		c.in.await = b
	}
}

// Readable reports whether Read would return something other than 0, nil.
func (c *Conn) Readable() bool {
	return c.in.ready() > 0 || c.state == StateClosed || c.rcv.hasFIN && c.rcv.fin.Less(c.rcv.nxt)
}

// Writable reports whether a third of the send buffer is free, as Linux has it,
// or half where the peer is near, or Write would fail: less is not worth waking who
// writes.
func (c *Conn) Writable() bool {
	part := 3
	if c.near() {
		part = 2
	}
	return c.cfg.SendBuffer-c.out.len() >= max(c.cfg.SendBuffer/part, 1) || c.snd.closed || c.state == StateClosed
}

// muchUnderWay is so many octets that a peer acknowledges them soon: a super-segment.
const muchUnderWay = 1 << 16

// Together reports whether what was written had better wait for more, or for the next
// ACK, and leave together with it (Linux: autocorking). What leaves at once costs
// less, here and where it arrives. It need not wait for long: so much is under way to a
// near peer that its ACKs come one after the other.
func (c *Conn) Together() bool {
	return c.near() && c.flight() >= muchUnderWay && c.unsent() < c.cfg.SendBuffer/2 &&
		!c.snd.closed && !c.unsentUrgent()
}

// near reports whether an answer takes no longer than a timer can tell.
func (c *Conn) near() bool { return 0 < c.rtt.least && c.rtt.least <= granularity }

// Adjust changes what of the Config can be changed while the connection lives:
// NoDelay, Cork, DelayedACK, R1, UserTimeout and SYNTimeout, KeepAlive and its
// figures, and FinWait2. What else change does has no effect.
func (c *Conn) Adjust(change func(*Config)) {
	before := c.userTimeout()
	cfg := c.cfg
	change(&cfg)
	cfg = cfg.withDefaults()
	to := &c.cfg
	to.NoDelay, to.Cork, to.DelayedACK = cfg.NoDelay, cfg.Cork, cfg.DelayedACK
	to.R1, to.UserTimeout, to.SYNTimeout = cfg.R1, cfg.UserTimeout, cfg.SYNTimeout
	to.KeepAlive, to.KeepAliveIdle = cfg.KeepAlive, cfg.KeepAliveIdle
	to.KeepAliveInterval, to.KeepAliveCount = cfg.KeepAliveInterval, cfg.KeepAliveCount
	to.FinWait2 = cfg.FinWait2
	c.timers.stop(timerKeepAlive) // Next sets it anew
	if c.cfg.UserTimeoutOption && c.userTimeout() != before {
		c.owed.userTimeout = true
	}
}

// CloseWrite is CLOSE as RFC 9293 has it: no more data will be sent, a FIN
// follows what is queued, and reading goes on. In SYN-RECEIVED the FIN waits
// until our SYN is acknowledged, even if nothing else does: section 3.10.4 would send
// it at once, and have SYN and FIN unacknowledged together, in a state that no RST
// takes back to LISTEN (MUST-11).
func (c *Conn) CloseWrite(time.Time) error {
	switch c.state {
	case StateClosed:
		return ErrNoConnection
	case StateListen, StateSynSent:
		c.end(CauseClose, nil)
		return nil
	case StateClosing, StateLastAck, StateTimeWait:
		return ErrClosing
	}
	c.snd.closed = true
	switch c.state {
	case StateEstablished: // in SYN-RECEIVED, once the connection is ESTABLISHED
		c.setState(StateFinWait1, CauseClose)
	case StateCloseWait:
		c.setState(StateLastAck, CauseClose)
	}
	return nil
}

// Close is CloseWrite for an application that will not read either. Where data
// waits unread, or arrives later, the peer is told with a RST that it was not
// read (RFC 9293, SHLD-3; RFC 2525, section 2.17).
func (c *Conn) Close(now time.Time) error {
	if c.rcv.closed {
		return nil
	}
	c.rcv.closed = true
	if c.in.ready() > 0 && c.state.Synchronized() && c.state != StateTimeWait {
		c.sendRST(now, ReasonUnreadData)
		c.end(CauseAbort, ErrAborted)
		return nil
	}
	err := c.CloseWrite(now)
	if c.state == StateFinWait2 {
		c.timers.set(timerFinWait2, now.Add(c.cfg.FinWait2))
	}
	if err == ErrClosing { // CloseWrite went before
		return nil
	}
	return err
}

// Abort is ABORT: the peer gets a RST where it knows of the connection, and
// everything queued is lost.
func (c *Conn) Abort(now time.Time) error {
	if c.state == StateClosed {
		return ErrNoConnection
	}
	c.abort(now, CauseAbort, ErrAborted, ReasonAbort)
	return nil
}

func (c *Conn) abort(now time.Time, cause Cause, err error, why ReasonKind) {
	switch c.state {
	case StateSynReceived, StateEstablished, StateFinWait1, StateFinWait2, StateCloseWait:
		c.sendRST(now, why)
	case StateClosing, StateLastAck: // to RFC 9293, these states begin when the FIN goes out
		if c.unsent() > 0 {
			c.sendRST(now, why)
		}
	}
	c.end(cause, err)
}
