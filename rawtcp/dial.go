package rawtcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"rawnc/stack"
)

// Dialer opens connections. The zero value is ready to use.
type Dialer struct {
	// Host carries the connections; nil means this machine's raw sockets.
	Host *Host
	// LocalAddr is the address and port to come from; what is unspecified or
	// zero is chosen by the kernel's routing.
	LocalAddr netip.AddrPort
	// Timeout bounds the whole attempt to connect, from the look-up of the name
	// on, with an equal share for each address; zero leaves it to the context and
	// to Config.SYNTimeout.
	Timeout time.Duration
	// Config is how the connections behave. Its MTU, IPv6, ISS, TSOffset and
	// Offload are set for each of them, from the route and from a hash of the addresses; an
	// MTU given here can only lower the route's. Conn.Report has its Report.
	Config stack.Config
	// ISN, if not nil, is the initial sequence number of every connection, in
	// place of RFC 6528's. For demonstrations: it can be guessed.
	ISN *stack.Seq
	// TTL is the time to live (IPv6: hop limit) of the packets; 0 means 64.
	TTL uint8
	// TOS is the octet of DSCP and ECN of the packets. Its two bits of ECN do not
	// count: they are TCP's (see stack.Config.ECN).
	TOS uint8
	// Tap, if not nil, sees every packet.
	Tap Tap
	// Gate, if not nil, decides over every segment before it leaves.
	Gate Gate
}

// Dial opens a connection to a TCP address like "example.com:80". The network
// is tcp, tcp4 or tcp6.
func Dial(network, address string) (net.Conn, error) {
	var d Dialer
	return d.Dial(network, address)
}

// Dial is DialContext without a context.
func (d *Dialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

// DialContext opens a connection; the net.Conn is a *Conn. Where a name has
// several addresses they are tried one after the other, and the first error is
// the one returned.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if d.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.Timeout)
		defer cancel()
	}
	addrs, err := resolve(ctx, network, address)
	if err != nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: err}
	}
	var first error
	for i, addr := range addrs {
		c, err := d.dial(ctx, addr, len(addrs)-i)
		if err == nil {
			return c, nil
		}
		if first == nil {
			first = &net.OpError{Op: "dial", Net: network, Addr: net.TCPAddrFromAddrPort(addr), Err: err}
		}
		if ctx.Err() != nil {
			break
		}
	}
	return nil, first
}

// resolve turns an address into those to try.
func resolve(ctx context.Context, network, address string) ([]netip.AddrPort, error) {
	family, ok := map[string]string{"tcp": "ip", "tcp4": "ip4", "tcp6": "ip6"}[network]
	if !ok {
		return nil, net.UnknownNetworkError(network)
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	port, err := net.DefaultResolver.LookupPort(ctx, network, service)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return []netip.AddrPort{netip.AddrPortFrom(netip.Addr{}, uint16(port))}, nil
	}
	ips := []netip.Addr{}
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip = ip.Unmap(); ip.Is4() == (family == "ip6") && family != "ip" {
			return nil, &net.AddrError{Err: "the address is not of the family of " + network, Addr: host}
		}
		ips = append(ips, ip)
	} else if ips, err = net.DefaultResolver.LookupNetIP(ctx, family, host); err != nil {
		return nil, err
	}
	addrs := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		addrs[i] = netip.AddrPortFrom(ip.Unmap(), uint16(port))
	}
	return addrs, nil
}

// dial tries one address, in its share of the time that is left for so many.
func (d *Dialer) dial(ctx context.Context, remote netip.AddrPort, left int) (*Conn, error) {
	if end, limited := ctx.Deadline(); limited && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	c, err := d.open(remote)
	if err != nil {
		return nil, err
	}
	h := c.host
	defer h.wakeWith(ctx, &c.canWrite)()

	start := time.Now()
	h.mu.Lock()
	defer h.unlock()
	for {
		// A soft error does not end the attempt by itself (MUST-56), but it is
		// reported (SHLD-25), and whoever dials gives up on it, as with the kernel.
		err := c.tcp.SoftError()
		switch state := c.tcp.State(); {
		case state.Synchronized():
			return c, nil
		case state == stack.StateClosed:
			c.closed = true
			if err := c.tcp.Err(); !errors.Is(err, stack.ErrTimeout) {
				return nil, c.cause(err)
			}
			return nil, c.noAnswer(start)
		case err != nil:
			err = c.cause(err)
		case ctx.Err() != nil:
			if err = ctx.Err(); errors.Is(err, context.DeadlineExceeded) {
				err = c.noAnswer(start)
			}
		default:
			c.canWrite.wait()
			continue
		}
		c.tcp.Abort(c.at(time.Now()))
		c.leave()
		return nil, err
	}
}

// noAnswer is the error of an attempt to connect that nobody answered.
func (c *Conn) noAnswer(start time.Time) error {
	return c.cause(fmt.Errorf("%w: SYNs sent: %d, in %v", stack.ErrTimeout,
		1+c.tcp.Snapshot().Retransmits, time.Since(start).Round(10*time.Millisecond)))
}

// open sends the SYN.
func (d *Dialer) open(remote netip.AddrPort) (*Conn, error) {
	if !remote.Addr().IsValid() || remote.Port() == 0 {
		return nil, &net.AddrError{Err: "a host and a port from 1 to 65535 are needed", Addr: remote.String()}
	}
	if err := checkDestination(remote.Addr()); err != nil {
		return nil, err
	}
	h := d.Host
	if h == nil {
		var err error
		if h, err = sharedHost(); err != nil {
			return nil, err
		}
		defer h.leave()
	}
	route, err := h.link.Route(remote.Addr())
	if err != nil {
		return nil, err
	}
	src := d.LocalAddr.Addr().Unmap()
	if !src.IsValid() || src.IsUnspecified() {
		src = route.Src
	}
	if src.Is4() != remote.Addr().Is4() {
		return nil, &net.AddrError{Err: "the local address is of another family than " + remote.Addr().String(), Addr: src.String()}
	}

	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, net.ErrClosed
	}
	var local netip.AddrPort
	var port *port
	var over *Conn
	if d.LocalAddr.Port() == 0 && d.ISN == nil && !d.Config.NoTimestamps {
		port, over = h.again(src, remote)
	}
	if port != nil {
		local = netip.AddrPortFrom(src, port.local.Port())
	} else if local, port, err = h.reserve(netip.AddrPortFrom(src, d.LocalAddr.Port())); err != nil {
		return nil, err
	}
	id := pair{unzoned(local), unzoned(remote)}
	if old := h.conns[id]; old != nil && (old.grave != nil || old == over) {
		h.remove(old)
	} else if old != nil {
		h.release(port)
		return nil, syscall.EADDRINUSE
	}
	now := time.Now()
	cfg := h.configure(d.Config, id, route, now)
	if d.ISN != nil {
		cfg.ISS = *d.ISN
	}
	if over != nil {
		cfg.Follows = over.tcp
	}
	if d.Gate != nil { // it decides over each segment on the wire
		cfg.Offload = 0
	}
	c := newConn(h, cfg, pair{local, remote}, d.Tap)
	c.port, c.ttl, c.tos, c.gate = port, ttlOr64(d.TTL), d.TOS, d.Gate
	if err := c.tcp.Open(now, local.Port(), remote.Port()); err != nil {
		h.release(port)
		return nil, err
	}
	h.conns[id] = c
	h.flush(c)
	return c, nil
}

func ttlOr64(ttl uint8) uint8 {
	if ttl == 0 {
		return 64
	}
	return ttl
}

// defaultWindow is the default of stack.Config.ReceiveBuffer.
const defaultWindow = 1 << 20

// configure fills in what depends on the addresses and the route.
func (h *Host) configure(cfg stack.Config, id pair, route Route, now time.Time) stack.Config {
	mtu := min(route.MTU, 65535) // loopback claims one octet more than IPv4 can say
	if cfg.MTU == 0 || cfg.MTU > mtu {
		cfg.MTU = mtu
	}
	cfg.Offload = route.Offload
	if l, ok := h.link.(roomy); ok {
		l.room((len(h.conns) + 1) * cmp.Or(cfg.ReceiveBuffer, defaultWindow))
	}
	cfg.Pool = &h.pool
	cfg.IPv6 = id.local.Addr().Is6()
	cfg.ISS = stack.ISN(h.secret, id.local, id.remote, h.clock(now))
	cfg.TSOffset = stack.TimestampOffset(h.secret, id.local, id.remote)
	return cfg
}
