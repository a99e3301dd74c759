package main

import (
	"encoding/binary"
	"fmt"
	"iter"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// leasts are the contenders that do the least which any TCP over a rawtcp.Link must
// do: they bound it. Nobody should use them, for they have no congestion control, no
// reassembly and no TIME-WAIT, and what is lost is sent again when nothing has come
// for a while. One loop serves all connections and knows what they are for; unless
// goroutines use them (see share). Like TCP they put the application's octets into
// memory of their own until they are acknowledged, heed the peer's window, look at
// checksums, and copy to the application what has arrived. The local ports have
// their guards before the clock starts, and are taken again as soon as a connection
// is over.
var leasts = map[string]func() (rawtcp.Link, error){
	"least raw":    rawtcp.RawLink,
	"least packet": rawtcp.PacketLink,
}

// silence is how long nothing comes before what is unacknowledged is sent again.
const silence = 200 * time.Millisecond

const (
	mostFlying = 1 << 20 // octets that are unacknowledged, of all connections
	leastBlock = 1 << 16 // octets of the application that are kept together, at most
)

// As in rawtcp.
const (
	leastWindow = 1 << 20   // octets, offered to each peer
	leastScale  = 5         // of the window
	leastBatch  = 256 << 10 // octets that are read at once, and answered together
)

// A least is the loop and its connections.
type least struct {
	link  rawtcp.Link
	route rawtcp.Route
	peer  netip.AddrPort
	ports [1 << 16]*leastConn // the connections, by local port
	free  []uint16            // local ports, with guards
	iss   stack.Seq           // of the last connection
	start time.Time
	heard bool             // something, since it was silent last
	over  func(*leastConn) // what to do when an exchange is over
	left  int              // how many are to come
	err   error
	slow  bool // begin with slow start

	mu      sync.Mutex // for all of this; the loop has it, but while it reads
	reading bool
	shared  bool // by goroutines, see share

	mss    int          // octets of a full segment
	block  int          // octets of a full block
	spare  [][]byte     // blocks that hold nothing
	sink   []byte       // the application's memory
	at     int          // where in it the octets are put that arrive next
	size   [8]byte      // what a transfer says first
	ready  []*leastConn // may have something to send
	owing  []*leastConn // owe an ACK, unless data has brought it
	flying int          // octets

	n       int // packets in out
	out     [32]rawtcp.Outgoing
	headers [32][128]byte
	id      uint16 // of the last of them
	now     uint32 // their timestamp, in milliseconds
}

// prepareLeast is prepare for one of the leasts.
func prepareLeast(open func() (rawtcp.Link, error), t task) (do func() error, end func(), err error) {
	l := &least{start: time.Now(), heard: true, sink: make([]byte, chunk), mss: 1, slow: t.slow, shared: t.goroutines}
	l.over = func(*leastConn) { l.left-- }
	port, send, want := uint16(echoPort), 16, 16
	atOnce, ports := t.active, t.active
	l.left = atOnce
	switch t.job {
	case "up":
		n := int(t.n) / t.active
		port, send, want = sinkPort, len(l.size)+n, 1
		binary.BigEndian.PutUint64(l.size[:], uint64(n))
	case "down":
		port, send, want = sourcePort, len(l.size), int(t.n)
		binary.BigEndian.PutUint64(l.size[:], uint64(t.n))
	case "conn1", "conn64":
		if t.job == "conn64" {
			atOnce = 64
		}
		l.left, ports = int(t.n), atOnce+1000
		l.over = func(c *leastConn) {
			if !c.closing {
				c.closing = true
				l.exchange(c, 1, 1)
				return
			}
			l.release(c)
			if l.left--; l.left >= atOnce {
				l.connect(send, want)
			}
		}
	default:
		return nil, nil, fmt.Errorf("there is no job %q", t.job)
	}
	l.peer = netip.AddrPortFrom(t.peer, port)
	if l.link, err = open(); err != nil {
		return nil, nil, err
	}
	if l.route, err = l.link.Route(t.peer); err != nil {
		return nil, nil, err
	}
	for range ports {
		local, _, err := l.link.Reserve(netip.AddrPortFrom(l.route.Src, 0))
		if err != nil {
			return nil, nil, err
		}
		l.free = append(l.free, local.Port())
	}
	if t.goroutines {
		return func() error { return l.share(atOnce, t.n) }, l.end, nil
	}
	if t.active == 1 {
		return func() error {
			for range atOnce {
				l.connect(send, want)
			}
			return l.run()
		}, l.end, nil
	}
	for len(l.free) > 0 { // all are open before the clock starts
		l.left = min(64, len(l.free))
		for range l.left {
			l.connect(0, 0)
		}
		if err := l.run(); err != nil {
			return nil, nil, err
		}
	}
	return func() error {
		for c := range l.conns() {
			l.exchange(c, send, want)
			l.left++
		}
		return l.run()
	}, l.end, nil
}

// connect opens a connection, and has it do an exchange.
func (l *least) connect(send, want int) *leastConn {
	l.iss += 1 << 20
	c := &leastConn{local: l.free[0], iss: l.iss}
	l.free, l.ports[c.local] = l.free[1:], c
	l.packet(c, stack.SYN, -1, nil)
	l.exchange(c, send, want)
	return c
}

// release forgets a connection that is over: its port can be taken again.
func (l *least) release(c *leastConn) { l.free, l.ports[c.local] = append(l.free, c.local), nil }

func (l *least) conns() iter.Seq[*leastConn] {
	return func(yield func(*leastConn) bool) {
		for _, c := range l.ports {
			if c != nil && !yield(c) {
				return
			}
		}
	}
}

// exchange has a connection send and want so many octets.
func (l *least) exchange(c *leastConn, send, want int) {
	c.send, c.want, c.busy = send, want, true
	l.touch(c)
}

func (l *least) touch(c *leastConn) {
	if !c.waits {
		c.waits = true
		l.ready = append(l.ready, c)
	}
}

// run is the loop.
func (l *least) run() error {
	bufs := make([][]byte, 64)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16+40)
	}
	timer := time.AfterFunc(silence, l.link.Wake)
	defer timer.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for some := len(bufs); ; {
		l.now = uint32(time.Since(l.start).Milliseconds())
		l.send()
		if l.left == 0 || l.err != nil {
			return l.err
		}
		l.reading = true
		l.mu.Unlock()
		n, err := l.link.ReadBatch(bufs[:some])
		l.mu.Lock()
		l.reading = false
		if err != nil {
			return err
		}
		if n == 0 {
			if !l.heard {
				l.again()
			}
			l.heard = false
			timer.Reset(silence)
			continue
		}
		l.heard = true
		waiting, largest := 0, 0
		for _, b := range bufs[:n] {
			l.receive(b)
			largest = max(largest, len(b))
			if waiting += len(b); waiting >= leastBatch {
				l.send()
				waiting = 0
			}
		}
		some = min(max(leastBatch/largest, 1), len(bufs))
		if l.shared { // what they do now leaves together
			l.mu.Unlock()
			runtime.Gosched()
			l.mu.Lock()
		}
	}
}

// again sends what is unacknowledged once more.
func (l *least) again() {
	for c := range l.conns() {
		switch {
		case !c.busy:
		case !c.open:
			l.packet(c, stack.SYN, -1, nil)
		default:
			l.flying -= c.nxt - c.una
			c.nxt = c.una
			l.touch(c)
		}
	}
}

// end leaves nothing at the far end.
func (l *least) end() {
	for c := range l.conns() {
		l.packet(c, stack.RST, c.nxt, nil)
	}
	l.flush()
}
