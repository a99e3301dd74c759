package rawtcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// ListenConfig makes listeners. The zero value is ready to use; the fields mean
// what they mean in Dialer.
type ListenConfig struct {
	Host   *Host
	Config stack.Config
	ISN    *stack.Seq
	TTL    uint8
	TOS    uint8
	Tap    Tap
	Gate   Gate
	// Backlog bounds the connections that wait to be accepted, and those that are
	// half open; 0 means 128. A SYN beyond the former is not answered. One beyond
	// the latter is answered with a SYN cookie for its ISN, and not kept (RFC 4987);
	// with a Gate, which may take long, it is not answered. Where half of those are
	// taken, a further one is given up after 63 s at most.
	Backlog int
}

// Listener is a net.Listener whose connections are *Conn.
type Listener struct {
	host   *Host
	config ListenConfig
	addrs  []netip.AddrPort
	ports  []*port

	// The host's lock guards what follows.
	canAccept cond
	halfOpen  int       // connections whose SYN,ACK is not acknowledged yet
	ready     []*Conn   // to be accepted
	cookieAt  time.Time // when a SYN was last answered with a cookie
	closed    bool
	by        limit
}

// Listen announces on a local address like ":8113" or "127.0.0.1:8113". The
// network is tcp, tcp4 or tcp6.
func Listen(network, address string) (net.Listener, error) {
	var lc ListenConfig
	return lc.Listen(context.Background(), network, address)
}

// Listen announces on a local address. Without a host part it serves every
// address of the machine, of both families if the network is tcp.
func (lc *ListenConfig) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := lc.listen(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "listen", Net: network, Err: err}
	}
	return l, nil
}

func (lc *ListenConfig) listen(ctx context.Context, network, address string) (*Listener, error) {
	addrs, err := resolve(ctx, network, address)
	if err != nil {
		return nil, err
	}
	want := addrs[:1]
	if ip := want[0].Addr(); !ip.IsValid() || ip == netip.IPv6Unspecified() && network == "tcp" {
		want = nil
		for _, ip := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if network == "tcp" || ip.Is4() == (network == "tcp4") {
				want = append(want, netip.AddrPortFrom(ip, addrs[0].Port()))
			}
		}
	}
	h := lc.Host
	if h == nil {
		if h, err = sharedHost(); err != nil {
			return nil, err
		}
		defer h.leave()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, net.ErrClosed
	}
	l := &Listener{host: h, config: *lc}
	if l.config.Backlog == 0 {
		l.config.Backlog = 128
	}
	l.canAccept.init(h)
	l.by.cond = &l.canAccept
	for i, addr := range want {
		if i > 0 { // both families share a port
			addr = netip.AddrPortFrom(addr.Addr(), l.addrs[0].Port())
		}
		if err := h.serve(l, addr); i > 0 && (errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL)) {
			break // a machine without IPv6
		} else if err != nil {
			h.closeListener(l)
			return nil, err
		}
	}
	return l, nil
}

// serve gives a local port to a listener.
func (h *Host) serve(l *Listener, addr netip.AddrPort) error {
	for _, at := range []netip.AddrPort{unzoned(addr), everywhere(addr)} {
		p := h.ports[at]
		if p != nil && (at != unzoned(addr) || p.server != nil && !p.server.closed) {
			return syscall.EADDRINUSE
		}
	}
	addr, p, err := h.reserve(addr)
	if err != nil {
		return err
	}
	p.server = l
	l.addrs, l.ports = append(l.addrs, addr), append(l.ports, p)
	return nil
}

// crowded is for how long the SYN,ACK of a passive open may go unanswered where the
// backlog is half full, so that a flood of SYNs does not keep it full for long (RFC 4987,
// section 3.3): five retransmissions, as Linux. Otherwise it is Config.SYNTimeout, of
// which RFC 9293, section 3.8.3, demands three minutes.
const crowded = 63 * time.Second

// welcome makes a connection for a segment that belongs to none: a SYN to a
// listener opens it, whatever else comes to a port where one is or was gets a
// RST (RFC 9293, section 3.10.7.1). A port that was only dialled from is nobody's
// business. Where it follows another between the same ports, its initial sequence
// number is not before least.
func (h *Host) welcome(now time.Time, id pair, p *wire.Packet, least stack.Seq) *Conn {
	port := h.served(id.local)
	// MUST-57 and MUST-63: nothing that involves a group of hosts, or one end alone.
	if port == nil || checkDestination(p.Src) != nil || checkDestination(p.Dst) != nil || id.remote.Port() == 0 || id.local == id.remote {
		return nil
	}
	l := port.server
	if !l.closed && p.Flags&(stack.SYN|stack.ACK|stack.RST) == 0 { // dropped in LISTEN (RFC 9293, section 3.10.7.2)
		return nil
	}
	opens, cookie := l.admits(now, p, least)
	if opens && len(l.ready) >= l.config.Backlog || cookie && l.config.Gate != nil {
		return nil
	}
	// The broadcast address of a subnet is known by its route (MUST-57).
	if p.Dst.Is4() {
		if _, err := h.link.Route(p.Dst); err != nil {
			return nil
		}
	}
	peer := id.remote.Addr()
	if peer.IsLinkLocalUnicast() && peer.Is6() {
		peer = peer.WithZone(l.zone(id.local.Addr()))
	}
	route, err := h.link.Route(peer)
	if err != nil {
		return nil
	}
	cfg := h.configure(l.config.Config, id, route, now)
	if least != 0 && cfg.ISS.Less(least) {
		cfg.ISS = least
	}
	if l.config.ISN != nil {
		cfg.ISS = *l.config.ISN
	}
	if cookie {
		cfg.Cookie = &stack.Cookie{Secret: h.secret, Local: id.local, Remote: id.remote}
	}
	if l.config.Gate != nil {
		cfg.Offload = 0
	}
	if opens && l.halfOpen >= l.config.Backlog/2 && (cfg.SYNTimeout <= 0 || cfg.SYNTimeout > crowded) {
		cfg.SYNTimeout = crowded
	}
	c := newConn(h, cfg, pair{id.local, netip.AddrPortFrom(peer, id.remote.Port())}, l.config.Tap)
	c.ttl, c.tos, c.gate = ttlOr64(l.config.TTL), l.config.TOS, l.config.Gate
	c.port = port
	port.users++
	h.conns[id] = c
	if opens {
		c.tcp.Listen(id.local.Port())
		c.watch.transitions = nil // each connection starts in LISTEN
		c.listener = l
		l.halfOpen++
	}
	return c
}

// admits reports whether a segment may open a connection, and whether by a
// cookie: a SYN that comes when too many are half open gets one, and an ACK may
// bring one back. A SYN to a port pair that was in TIME-WAIT, for which there is a
// least initial sequence number, is kept in any case: its sender is no stranger.
func (l *Listener) admits(now time.Time, p *wire.Packet, least stack.Seq) (opens, cookie bool) {
	if l.closed {
		return false, false
	}
	switch p.Flags & (stack.SYN | stack.ACK | stack.RST) {
	case stack.SYN:
		if cookie = l.halfOpen >= l.config.Backlog && least == 0; cookie {
			l.cookieAt = now
		}
		return true, cookie
	case stack.ACK:
		cookie = !l.cookieAt.IsZero() && now.Sub(l.cookieAt) < stack.CookieLife
		return cookie, cookie
	}
	return false, false
}

// served finds the port with a listener, present or past, that an address
// belongs to.
func (h *Host) served(local netip.AddrPort) *port {
	for _, at := range []netip.AddrPort{local, everywhere(local)} {
		if p := h.ports[at]; p != nil && p.server != nil {
			return p
		}
	}
	return nil
}

// zone is the zone of a link-local address of this machine, which its peers
// share. A packet does not tell it: where two links have the same address, the
// first is taken.
func (l *Listener) zone(local netip.Addr) string {
	if zone := l.addrs[0].Addr().Zone(); zone != "" {
		return zone
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addrs, _ := i.Addrs()
		for _, a := range addrs {
			if n, ok := a.(*net.IPNet); ok && n.IP.Equal(local.AsSlice()) {
				return i.Name
			}
		}
	}
	return ""
}

// established moves a connection from the half-open ones to those that are to be
// accepted.
func (l *Listener) established(c *Conn) {
	l.halfOpen--
	l.ready = append(l.ready, c)
	c.ready = true
	l.canAccept.broadcast()
}

// forget drops a connection that ended before it was accepted.
func (l *Listener) forget(c *Conn) {
	c.listener = nil
	if !c.ready {
		l.halfOpen--
	} else if i := slices.Index(l.ready, c); i >= 0 {
		l.ready = slices.Delete(l.ready, i, i+1)
	}
}

// Accept waits for a connection that is established; it is a *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	h := l.host
	h.mu.Lock()
	defer h.unlock()
	for {
		switch {
		case l.closed:
			return nil, l.opError("accept", net.ErrClosed)
		case l.by.passed():
			return nil, l.opError("accept", os.ErrDeadlineExceeded)
		}
		if len(l.ready) > 0 {
			c := l.ready[0]
			l.ready = slices.Delete(l.ready, 0, 1)
			c.listener = nil
			return c, nil
		}
		l.canAccept.wait()
	}
}

// SetDeadline sets when Accept gives up. The zero time means never.
func (l *Listener) SetDeadline(t time.Time) error {
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	l.by.set(t)
	return nil
}

// Close stops listening. Connections that were not accepted are reset.
func (l *Listener) Close() error {
	l.host.mu.Lock()
	defer l.host.mu.Unlock()
	if l.closed {
		return l.opError("close", net.ErrClosed)
	}
	l.host.closeListener(l)
	return nil
}

func (h *Host) closeListener(l *Listener) {
	l.closed = true
	for _, c := range h.conns {
		if c.listener == l {
			c.tcp.Abort(c.at(time.Now()))
			h.flush(c)
		}
	}
	for _, p := range l.ports {
		h.release(p)
	}
	l.canAccept.broadcast()
	h.closeIfIdle()
}

// Addr is the address listened on.
func (l *Listener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addrs[0]) }

func (l *Listener) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: l.Addr(), Err: err}
}
