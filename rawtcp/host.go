// Package rawtcp is TCP over raw IP sockets: Dial gives a net.Conn and Listen a
// net.Listener whose handshakes, data and closes are made here, by package
// stack, and not by the kernel.
//
// A Host carries segments between a Link and the connections: it reads packets
// in batches, hands each to its stack.Conn, and sends what the connections then
// owe. Whoever waits for a packet does that work. A Tap sees every packet on its
// way.
//
// It needs the capability CAP_NET_RAW, and Linux; a Host on an in-memory Link
// needs neither.
package rawtcp

import (
	"container/list"
	"crypto/rand"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"rawnc/stack"
)

// Host is a machine's TCP on a link: all its connections and listeners.
type Host struct {
	link   Link
	secret [32]byte  // of the initial sequence numbers
	epoch  time.Time // see clock

	mu        lock // serve: ring
	closed    bool
	closeIdle bool // close the link with the last user
	callers   int  // of sharedHost that have not left yet
	conns     map[pair]*Conn
	ports     map[netip.AddrPort]*port // by local address, without zone
	deadlines deadlines
	timer     *time.Timer
	timerAt   time.Time
	due       time.Time // when it rang, if the deadlines have not been served since
	touched   []*Conn   // those that have something to do, now
	spare     []*Conn   // empty: for those that come next
	out       *outbox
	sending   int        // calls that send without the lock
	sent      sync.Cond  // there is none any more
	ending    bool       // all is being aborted
	pool      stack.Pool // of all connections' buffers
	timeWait  list.List  // connections in TIME-WAIT, the oldest first
	quiet     cond       // a connection has come to its end, or to TIME-WAIT; or nobody reads a closed link any more

	turns     atomic.Int64 // how often somebody has read the link
	reading   bool         // somebody reads the link
	leader    *cond        // what the one who reads it waits on; nil: nothing
	followers []*cond      // those that somebody is blocked on
	waking    int          // how many were woken and are not here yet
	behind    bool         // the last batch was full: more may be there
	hasRead   sync.Cond    // a batch is
	writers   sync.Mutex   // one of them at a time waits for it
	watch     *time.Timer  // makes the host itself read where nobody does
	watching  bool         // it runs
	watched   int64        // turns when it rang last
	patience  time.Duration
	bufs      [][]byte // of the one who reads
	atOnce    int      // how many of them the next batch may fill
	event     Event    // what a Tap is told of a packet that arrived

	mostWaiting int // see the constant
}

// A pair is what tells one connection from another. The addresses have no zone.
type pair struct{ local, remote netip.AddrPort }

func (c *Conn) pair() pair { return pair{unzoned(c.local), unzoned(c.remote)} }

// NewHost starts a host on a link, which it closes with itself.
func NewHost(link Link) *Host {
	h := &Host{
		link:        link,
		mostWaiting: mostWaiting,
		conns:       make(map[pair]*Conn),
		ports:       make(map[netip.AddrPort]*port),
		out:         new(outbox),
		epoch:       time.Now(),
	}
	h.sent.L = &h.mu
	h.hasRead.L = &h.mu
	rand.Read(h.secret[:])
	h.quiet.init(h)
	h.mu.serve = h.ring
	h.timer = time.AfterFunc(time.Hour, h.mu.ask)
	h.timer.Stop()
	h.bufs = newBuffers()
	h.atOnce = readBatch
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watching = true
	h.patience = leastPatience
	h.watch = time.AfterFunc(h.patience, h.standIn)
	return h
}

// clock is a time as the connections read it: by the clock that nobody sets, for
// timestamps and initial sequence numbers must not go back (RFC 7323, section 5.4;
// RFC 6528, section 3).
func (h *Host) clock(now time.Time) time.Time { return h.epoch.Add(now.Sub(h.epoch)) }

// Close ends all connections with a RST, all listeners, and the link.
func (h *Host) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.abortAll(nil)
	h.shut()
	for h.reading {
		h.quiet.wait()
	}
	return nil
}

// fail ends everything when the link does.
func (h *Host) fail(err error) {
	h.abortAll(err)
	h.shut()
}

// abortAll ends all listeners and connections, and says why if it was the link.
func (h *Host) abortAll(linkErr error) {
	h.ending = true
	for h.sending > 0 { // a RST must not overtake anything
		h.sent.Wait()
	}
	for _, p := range h.ports {
		if p.server != nil && !p.server.closed {
			h.closeListener(p.server)
		}
	}
	for _, c := range h.conns {
		c.linkErr = linkErr
		c.tcp.Abort(c.at(time.Now()))
		h.flush(c)
		h.remove(c)
	}
}

// shut closes the link. The caller holds the lock.
func (h *Host) shut() {
	if h.closed {
		return
	}
	h.closed = true
	h.timer.Stop()
	h.watch.Stop()
	h.link.Close()
}

var (
	shared   *Host // on this machine's raw sockets, while there is use for it
	sharedMu sync.Mutex
)

// sharedHost returns the host of this process's raw sockets: one serves all. It
// stays open at least until the caller has called leave.
func sharedHost() (*Host, error) {
	sharedMu.Lock()
	defer sharedMu.Unlock()
	if shared != nil && shared.enter() {
		return shared, nil
	}
	link, err := newRawLink()
	if err != nil {
		return nil, err
	}
	shared = NewHost(link)
	shared.closeIdle = true
	shared.enter()
	return shared, nil
}

func (h *Host) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.callers++
	}
	return !h.closed
}

func (h *Host) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.callers--
	h.closeIfIdle()
}

func (h *Host) closeIfIdle() {
	if h.closeIdle && h.callers == 0 && len(h.ports) == 0 {
		h.shut()
	}
}
