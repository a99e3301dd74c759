// Package rawtcp is TCP over raw IP sockets: Dial gives a net.Conn and Listen a
// net.Listener whose handshakes, data and closes are made here, by package
// stack, and not by the kernel.
//
// A Host carries segments between a Link and the connections: one goroutine
// reads packets in batches, hands each to its stack.Conn, and sends what the
// connections then owe. A Tap sees every packet on its way.
//
// It needs the capability CAP_NET_RAW, and Linux; a Host on an in-memory Link
// needs neither.
package rawtcp

import (
	"container/heap"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// Host is a machine's TCP on a link: all its connections and listeners.
type Host struct {
	link   Link
	secret [32]byte // of the initial sequence numbers
	done   chan struct{}

	mu        sync.Mutex
	closed    bool
	closeIdle bool // close the link with the last user
	callers   int  // of sharedHost that have not left yet
	conns     map[pair]*Conn
	ports     map[netip.AddrPort]*port // by local address, without zone
	deadlines deadlines
	timer     *time.Timer
	timerAt   time.Time
	out       outbox
	pool      stack.Pool // of all connections' buffers
	quiet     *sync.Cond // a connection has come to its end, or to TIME-WAIT
}

// A pair is what tells one connection from another. The addresses have no zone.
type pair struct{ local, remote netip.AddrPort }

// A port is a local port that is taken, by a listener or by connections.
type port struct {
	guard  io.Closer
	users  int
	server *Listener // that serves it, or did; nil: it was only dialled from
}

// NewHost starts a host on a link, which it closes with itself.
func NewHost(link Link) *Host {
	h := &Host{
		link:  link,
		done:  make(chan struct{}),
		conns: make(map[pair]*Conn),
		ports: make(map[netip.AddrPort]*port),
	}
	rand.Read(h.secret[:])
	h.quiet = sync.NewCond(&h.mu)
	h.timer = time.AfterFunc(time.Hour, h.tick)
	h.timer.Stop()
	go h.read()
	return h
}

// Close ends all connections with a RST, all listeners, and the link.
func (h *Host) Close() error {
	h.mu.Lock()
	h.abortAll(nil)
	h.shut()
	h.mu.Unlock()
	<-h.done
	return nil
}

// shut closes the link. The caller holds the lock.
func (h *Host) shut() {
	if h.closed {
		return
	}
	h.closed = true
	h.timer.Stop()
	h.link.Close()
}

// readBatch is how many packets one system call may bring.
const readBatch = 32

func (h *Host) read() {
	defer close(h.done)
	bufs := make([][]byte, readBatch)
	for i := range bufs {
		bufs[i] = make([]byte, 1<<16+40) // the kernel hands over what it has put together: up to 64 KiB
	}
	for {
		n, err := h.link.ReadBatch(bufs)
		h.input(bufs[:n])
		if err != nil {
			h.fail(err)
			return
		}
	}
}

// fail ends everything when the link does.
func (h *Host) fail(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.abortAll(err)
	h.shut()
}

// abortAll ends all listeners and connections, and says why if it was the link.
func (h *Host) abortAll(linkErr error) {
	for _, p := range h.ports {
		if p.server != nil && !p.server.closed {
			h.closeListener(p.server)
		}
	}
	now := time.Now()
	for _, c := range h.conns {
		c.linkErr = linkErr
		c.tcp.Abort(c.at(now))
		h.flush(now, c)
		h.remove(c)
	}
}

// input hands a batch of packets to their connections, and only then sends
// what they owe, so that ACKs are put together (RFC 9293, MUST-58 and 59).
func (h *Host) input(packets [][]byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	touched := make([]*Conn, 0, readBatch)
	for _, b := range packets {
		c := h.packet(now, b)
		if c != nil && !c.touched {
			c.touched = true
			touched = append(touched, c)
		}
	}
	for _, c := range touched {
		c.touched = false
		h.flush(now, c)
	}
}

// packet takes one packet and returns the connection that it concerns.
func (h *Host) packet(now time.Time, b []byte) *Conn {
	var p wire.Packet
	switch err := wire.Parse(b, &p); err {
	case nil:
	case wire.ErrNotTCP:
		return h.icmp(now, b)
	default:
		return nil
	}
	id := pair{netip.AddrPortFrom(p.Dst, p.DstPort), netip.AddrPortFrom(p.Src, p.SrcPort)}
	c := h.conns[id]
	if c != nil && c.buried && p.Flags.Has(stack.SYN) && !p.Flags.Has(stack.ACK) { // a new one
		h.remove(c)
		c = nil
	}
	wrong := p.Checksum == stack.ChecksumWrong || p.Checksum == stack.ChecksumUnknown
	if c == nil {
		if wrong {
			return nil
		}
		if c = h.welcome(now, id, &p); c == nil {
			return nil
		}
	}
	var e *Event
	if c.watch.tap != nil {
		e = &Event{Time: now, Packet: append([]byte(nil), b...), Checksum: p.Checksum}
		var kept wire.Packet
		wire.Parse(e.Packet, &kept)
		e.Segment = kept.Segment
	}
	if !wrong { // MUST-3
		c.tcp.Receive(c.at(now), &p.Segment)
	}
	if e != nil {
		c.report(e)
	}
	return c
}

// icmp takes an ICMP error to the connection whose segment it quotes.
func (h *Host) icmp(now time.Time, b []byte) *Conn {
	m, err := wire.ParseICMP(b)
	if err != nil {
		return nil
	}
	c := h.conns[pair{m.Src, m.Dst}]
	if c == nil || !c.tcp.ICMP(c.at(now), &m.ICMPError) {
		return nil
	}
	if c.watch.tap != nil {
		c.report(&Event{Time: now, Packet: append([]byte(nil), b...), ICMP: &m.ICMPError})
	}
	return c
}

// tick serves the connections whose deadline has come.
func (h *Host) tick() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	now := time.Now()
	h.timerAt = time.Time{}
	for len(h.deadlines) > 0 && !h.deadlines[0].deadline.After(now) {
		c := h.deadlines[0]
		c.tcp.Advance(c.at(now))
		h.flush(now, c)
	}
	h.arm()
}

// arm sets the one timer for the earliest deadline of all. It may ring early,
// never late.
func (h *Host) arm() {
	if len(h.deadlines) == 0 {
		return
	}
	at := h.deadlines[0].deadline
	if h.timerAt.IsZero() || at.Before(h.timerAt) {
		h.timerAt = at
		h.timer.Reset(time.Until(at))
	}
}

// flush sends what a connection owes, notes when it wants to be woken, and
// wakes who waits for it.
func (h *Host) flush(now time.Time, c *Conn) {
	for c.held == nil || c.tcp.State() == stack.StateClosed {
		var seg stack.Segment
		why, ok := c.tcp.Next(c.at(now), &seg)
		if !ok {
			break
		}
		if c.gate != nil && c.tcp.State() != stack.StateClosed {
			h.hold(now, c, &seg, why)
			break
		}
		if c.held != nil && c.held.seg.Next() == seg.Seq {
			seg.Seq = c.held.seg.Seq // a RST: the peer knows nothing of what is held
		}
		h.out.add(now, c, &seg, why)
		if h.out.full() {
			h.out.send(h.link)
		}
	}
	h.out.send(h.link)
	if c.tooBig {
		c.tooBig = false
		if route, err := h.link.Route(c.remote.Addr()); err == nil && c.tcp.LowerMTU(route.MTU) {
			h.flush(now, c)
			return
		}
	}
	h.schedule(c)
	c.wake()
	switch c.tcp.State() {
	case stack.StateClosed:
		h.bury(c)
	case stack.StateListen: // where a passive one goes back to means here that it ends
		h.remove(c)
	case stack.StateTimeWait:
		h.quiet.Broadcast()
	}
}

// graveTime is how long a connection that was given up is remembered.
const graveTime = 3 * time.Second

// bury ends a connection. What the peer of one that was given up has still on
// the way gets a RST from us (RFC 9293, section 3.10.7.1), not from the kernel:
// the port is held for as long as that may take.
func (h *Host) bury(c *Conn) {
	err := c.tcp.Err()
	if err == nil || errors.Is(err, stack.ErrRefused) || errors.Is(err, stack.ErrReset) {
		h.remove(c)
		return
	}
	if c.buried {
		return
	}
	c.buried = true
	c.letGo()
	c.lastWords()
	time.AfterFunc(graveTime, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.remove(c)
	})
	h.quiet.Broadcast()
}

// lastWords tells of the changes of state that no packet will tell of.
func (c *Conn) lastWords() {
	if c.watch.tap != nil && len(c.watch.transitions) > 0 {
		c.report(&Event{Time: time.Now()})
	}
	if c.listener != nil {
		c.listener.forget(c)
	}
}

// schedule follows a connection's deadline.
func (h *Host) schedule(c *Conn) {
	at, armed := c.tcp.Deadline()
	at, armed = at.Add(c.thought), armed && c.held == nil
	switch {
	case !armed && c.index >= 0:
		heap.Remove(&h.deadlines, c.index)
	case armed && c.index < 0:
		c.deadline = at
		heap.Push(&h.deadlines, c)
	case armed && !at.Equal(c.deadline):
		c.deadline = at
		heap.Fix(&h.deadlines, c.index)
	}
	h.arm()
}

// remove forgets a connection that has ended.
func (h *Host) remove(c *Conn) {
	id := pair{unzoned(c.local), unzoned(c.remote)}
	if h.conns[id] != c {
		return
	}
	c.lastWords()
	delete(h.conns, id)
	c.letGo()
	if c.index >= 0 {
		heap.Remove(&h.deadlines, c.index)
	}
	h.release(c.port)
	h.quiet.Broadcast()
	h.closeIfIdle()
}

func (h *Host) closeIfIdle() {
	if h.closeIdle && h.callers == 0 && len(h.ports) == 0 {
		h.shut()
	}
}

// reserve takes a local port, or shares one that this host has.
func (h *Host) reserve(local netip.AddrPort) (netip.AddrPort, *port, error) {
	if p := h.ports[unzoned(local)]; p != nil && local.Port() != 0 {
		p.users++
		return local, p, nil
	}
	reserved, guard, err := h.link.Reserve(local)
	if (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && h.cutTimeWait() {
		reserved, guard, err = h.link.Reserve(local)
	}
	if err != nil {
		return local, nil, err
	}
	p := &port{guard: guard, users: 1}
	h.ports[unzoned(reserved)] = p
	return reserved, p, nil
}

// cutTimeWait ends the oldest quarter of what is in TIME-WAIT: each holds a file
// descriptor, and there are no more.
func (h *Host) cutTimeWait() bool {
	var waiting []*Conn
	for _, c := range h.conns {
		if c.tcp.State() == stack.StateTimeWait {
			waiting = append(waiting, c)
		}
	}
	slices.SortFunc(waiting, func(a, b *Conn) int { return a.deadline.Compare(b.deadline) })
	for _, c := range waiting[:(len(waiting)+3)/4] {
		h.remove(c)
	}
	return len(waiting) > 0
}

func (h *Host) release(p *port) {
	if p.users--; p.users > 0 {
		return
	}
	p.guard.Close()
	for at, q := range h.ports {
		if p == q {
			delete(h.ports, at)
		}
	}
}

// unzoned is an address as it stands in a packet.
func unzoned(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}

// Shutdown waits until every connection that the application has closed has
// delivered its data and its FIN: it is closed, or in TIME-WAIT. A program that
// ends earlier takes them with it.
func (h *Host) Shutdown(ctx context.Context) error {
	defer h.wakeWith(ctx, h.quiet)()
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.busy() {
		if err := ctx.Err(); err != nil {
			return err
		}
		h.quiet.Wait()
	}
	return nil
}

func (h *Host) busy() bool {
	for _, c := range h.conns {
		if c.closed && !c.buried && (c.held != nil || c.tcp.State() != stack.StateTimeWait) {
			return true
		}
	}
	return false
}

// wakeWith lets the end of a context wake who waits on cond, until stop.
func (h *Host) wakeWith(ctx context.Context, cond *sync.Cond) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		cond.Broadcast()
	})
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

// Shutdown is Host.Shutdown for the connections over this machine's raw sockets.
func Shutdown(ctx context.Context) error {
	sharedMu.Lock()
	h := shared
	sharedMu.Unlock()
	if h == nil {
		return nil
	}
	return h.Shutdown(ctx)
}

// checkDestination refuses what TCP has no business with (MUST-46).
func checkDestination(a netip.Addr) error {
	if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return &net.AddrError{Err: "not the address of one host", Addr: a.String()}
	}
	return nil
}

// deadlines is a heap of connections, the next to be woken on top.
type deadlines []*Conn

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}
func (d *deadlines) Push(x any) {
	c := x.(*Conn)
	c.index = len(*d)
	*d = append(*d, c)
}
func (d *deadlines) Pop() any {
	old := *d
	c := old[len(old)-1]
	old[len(old)-1] = nil
	*d = old[:len(old)-1]
	c.index = -1
	return c
}
