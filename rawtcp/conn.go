package rawtcp

import (
	"container/list"
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"rawnc/stack"
)

// Conn is a TCP connection. It is a net.Conn; its errors are net.OpErrors that
// errors.Is understands.
type Conn struct {
	host          *Host
	tcp           *stack.Conn
	local, remote netip.AddrPort
	ttl, tos      uint8
	port          *port
	listener      *Listener // that it is to be accepted from
	ready         bool      // to be accepted
	watch         watch
	gate          Gate
	writing       sync.Mutex // one Write at a time, so that none cuts into another

	// The host's lock guards all that follows, and tcp.
	canRead, canWrite cond
	readBy, writeBy   limit
	closed            bool
	grave             *time.Timer // set when it has ended, and is remembered for a moment
	sendErr           error       // the last packet that the system refused to send
	tooBig            bool        // because the way may carry no packet of that size any more
	linkErr           error
	ipID              uint16
	touched           bool // it is in host.touched
	leaving           bool // segments are on their way through the link, without the lock
	owes              bool // more, since then
	deadline          time.Time
	index             int           // in host.deadlines; -1: not there
	inTimeWait        *list.Element // of host.timeWait; nil: not there
	linger            int
	reports           []stack.Report // that nobody has asked for yet: the newest of each kind
	held              *held          // what the gate has before it; nil: nothing
	thought           time.Duration  // how long the gate took so far
}

func newConn(h *Host, cfg stack.Config, id pair, tap Tap) *Conn {
	c := &Conn{host: h, local: id.local, remote: id.remote, index: -1, linger: -1}
	if c.watch.tap = tap; tap != nil {
		cfg.Watch = c.watch.event
	}
	cfg.Report = c.reported
	c.tcp = stack.New(cfg)
	c.canRead.init(h)
	c.canWrite.init(h)
	c.readBy.cond, c.writeBy.cond = &c.canRead, &c.canWrite
	c.ipID = uint16(stack.TimestampOffset(h.secret, id.remote, id.local))
	return c
}

// wake tells who waits that there may be something to do.
func (c *Conn) wake() {
	if c.tcp.Readable() {
		c.canRead.broadcast()
	}
	if c.tcp.Writable() {
		c.canWrite.broadcast()
	}
	if c.listener != nil && !c.ready && c.tcp.State().Synchronized() {
		c.listener.established(c)
	}
}

// Read reads what has arrived, waiting until there is something.
func (c *Conn) Read(b []byte) (int, error) {
	h := c.host
	h.mu.Lock()
	defer h.unlock()
	defer c.tcp.Await(nil)
	for {
		if err := c.usable(&c.readBy); err != nil {
			return 0, c.opError("read", err)
		}
		n, err := c.tcp.Read(c.at(time.Now()), b)
		if n > 0 || len(b) == 0 {
			h.flush(c) // perhaps a window update
			return n, nil
		}
		if err == io.EOF {
			return 0, io.EOF
		}
		if err != nil {
			return 0, c.opError("read", c.cause(err))
		}
		c.tcp.Await(b)
		c.canRead.wait()
	}
}

// Write writes all of b, waiting while the send buffer is full. What it has
// taken is sent and, if need be, sent again in the background.
func (c *Conn) Write(b []byte) (int, error) { return c.write(b, c.tcp.Write) }

// WriteUrgent is Write with the urgent pointer behind b (RFC 9293, section 3.8.5):
// MSG_OOB, but that b may have any length and all of it stays in the stream. See
// Conn.Report for the other side. New protocols should not use it (RFC 6093).
func (c *Conn) WriteUrgent(b []byte) (int, error) { return c.write(b, c.tcp.WriteUrgent) }

func (c *Conn) write(b []byte, write func(time.Time, []byte) (int, error)) (int, error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	h := c.host
	h.lockToWrite()
	defer h.unlock()
	written := 0
	for {
		if err := c.usable(&c.writeBy); err != nil {
			return written, c.opError("write", err)
		}
		n, err := write(c.at(time.Now()), b[written:])
		written += n
		if err != nil {
			return written, c.opError("write", c.cause(err))
		}
		if n > 0 && !(written == len(b) && c.tcp.Together()) {
			h.flush(c)
		}
		if written == len(b) {
			return written, nil
		}
		c.canWrite.wait()
	}
}

// usable is why a call on the connection cannot go on, if it cannot.
func (c *Conn) usable(l *limit) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case l.passed():
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite ends the sending side: a FIN follows what was written. Reading
// goes on until the peer closes too.
func (c *Conn) CloseWrite() error {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	c.tcp.CloseWrite(c.at(time.Now())) // once more does no harm
	h.flush(c)
	if err := c.tcp.Err(); err != nil {
		return c.opError("close", c.cause(err))
	}
	return nil
}

// Close closes both ways. What was written is still delivered, in the
// background, then a FIN; unless received data waits unread, which the peer is
// told with a RST, or SetLinger(0) was called. See Host.Shutdown.
func (c *Conn) Close() error {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	if c.closed {
		return c.opError("close", net.ErrClosed)
	}
	if c.linger == 0 {
		c.tcp.Abort(c.at(time.Now()))
	} else {
		c.tcp.Close(c.at(time.Now()))
	}
	c.leave()
	return nil
}

// Abort sends a RST, where the peer knows of the connection, and forgets what
// is unsent and unread. It may follow Close.
func (c *Conn) Abort() {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	c.tcp.Abort(c.at(time.Now()))
	c.leave()
}

// leave ends all calls on a connection that the application has done with.
func (c *Conn) leave() {
	c.closed = true
	c.host.flush(c)
	c.readBy.set(time.Time{})
	c.writeBy.set(time.Time{})
}

// Wait waits until a connection that was closed has delivered its data and its
// FIN and has the peer's: it is in TIME-WAIT or gone. The error is what kept
// that from happening.
func (c *Conn) Wait(ctx context.Context) error {
	h := c.host
	defer h.wakeWith(ctx, &c.canWrite)()
	h.mu.Lock()
	defer h.unlock()
	for {
		switch state := c.tcp.State(); {
		case state == stack.StateClosed && c.tcp.Err() != nil:
			return c.opError("close", c.cause(c.tcp.Err()))
		case state == stack.StateClosed, state == stack.StateTimeWait && c.held == nil:
			return nil
		case ctx.Err() != nil:
			return c.opError("close", ctx.Err())
		}
		c.canWrite.wait()
	}
}

// SetLinger(0) makes Close send a RST at once and forget what is unsent; any
// other value restores the normal close.
func (c *Conn) SetLinger(sec int) error {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.linger = sec
	return nil
}

// SetTOS sets the octet of DSCP and ECN of the packets from now on, without its two
// bits of ECN, which are TCP's (see stack.Config.ECN). Once a connection
// carries data it had better keep it (RFC 9293, section 3.9.2).
func (c *Conn) SetTOS(tos uint8) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.tos = tos
}

// SetTTL sets the time to live (IPv6: hop limit) of the packets from now on; 0
// means 64.
func (c *Conn) SetTTL(ttl uint8) {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	c.ttl = ttlOr64(ttl)
}

// Adjust changes how the connection behaves from now on: see stack.Conn.Adjust
// for what can be changed.
func (c *Conn) Adjust(change func(*stack.Config)) {
	h := c.host
	h.mu.Lock()
	defer h.mu.Unlock()
	c.tcp.Adjust(change)
	h.flush(c)
}

// Drain waits until the peer has acknowledged all that was written.
func (c *Conn) Drain(ctx context.Context) error {
	h := c.host
	defer h.wakeWith(ctx, &c.canWrite)()
	h.mu.Lock()
	defer h.unlock()
	for {
		s := c.tcp.Snapshot()
		switch {
		case s.SendQueue == 0 && s.State != stack.StateClosed:
			return nil
		case s.Err != nil:
			return c.opError("write", c.cause(s.Err))
		case s.State == stack.StateClosed:
			return nil
		case c.closed:
			return c.opError("write", net.ErrClosed)
		case ctx.Err() != nil:
			return c.opError("write", ctx.Err())
		}
		c.canWrite.wait()
	}
}

// Snapshot returns the variables of the connection.
func (c *Conn) Snapshot() stack.Snapshot {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	return c.tcp.Snapshot()
}

// LocalAddr is our address, a *net.TCPAddr.
func (c *Conn) LocalAddr() net.Addr { return net.TCPAddrFromAddrPort(c.local) }

// RemoteAddr is the peer's address, a *net.TCPAddr.
func (c *Conn) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(c.remote) }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.setLimits(t, &c.readBy, &c.writeBy) }

// SetReadDeadline sets when Read gives up, with os.ErrDeadlineExceeded. The zero
// time means never.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.setLimits(t, &c.readBy) }

// SetWriteDeadline sets when Write gives up.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.setLimits(t, &c.writeBy) }

func (c *Conn) setLimits(t time.Time, limits ...*limit) error {
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	if c.closed {
		return c.opError("set", net.ErrClosed)
	}
	for _, l := range limits {
		l.set(t)
	}
	return nil
}

// A limit is a deadline for calls that wait on cond.
type limit struct {
	at    time.Time
	timer *time.Timer
	cond  *cond
}

func (l *limit) passed() bool { return !l.at.IsZero() && !time.Now().Before(l.at) }

func (l *limit) set(t time.Time) {
	l.at = t
	if l.timer != nil {
		l.timer.Stop()
	}
	if !t.IsZero() {
		l.timer = time.AfterFunc(time.Until(t), func() {
			l.cond.host.mu.Lock()
			defer l.cond.host.mu.Unlock()
			l.cond.broadcast()
		})
	}
	l.cond.broadcast()
}
