package rawtcp

import (
	"net/netip"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp/wire"
)

// A packetLink is a rawLink that sends through a packet socket where it can:
// where the kernel knows an Ethernet neighbour. Everything else it sends as the
// rawLink does, in pieces if need be. That is how the neighbour becomes known in
// the first place, and how the kernel is told now and then that it is in use.
type packetLink struct {
	*rawLink

	mu     sync.Mutex // for all that follows
	fd     int        // the packet socket; 0: not open
	routes routes
	frames frames
}

// maxOffload is the most payload in one packet: with 40 octets of IPv6 and 60 of
// TCP before it, IP's length still has 16 bits.
const maxOffload = 1<<16 - 1 - ipv6HeaderLen - 60

func newPacketLink() (Link, error) {
	raw, err := newRawLink()
	if err != nil {
		return nil, err
	}
	return &packetLink{rawLink: raw.(*rawLink)}, nil
}

func (l *packetLink) Route(dst netip.Addr) (Route, error) {
	route, err := l.rawLink.Route(dst)
	if err != nil {
		return route, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.open(); err != nil {
		return Route{}, err
	}
	l.routes.heed()
	way, err := l.routes.find(route.Src.WithZone(""), dst)
	if err != nil {
		return Route{}, err
	}
	if way.index != 0 {
		route.Offload = maxOffload
	}
	return route, nil
}

// open opens the sockets, in the network namespace of the caller.
func (l *packetLink) open() error {
	if l.fd != 0 {
		return nil
	}
	// Protocol 0: it receives nothing.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err == unix.EPERM || err == unix.EACCES {
		return permissionError(os.NewSyscallError("socket", err))
	}
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1); err != nil {
		err = os.NewSyscallError("setsockopt PACKET_VNET_HDR", err)
	} else {
		err = l.routes.open()
	}
	if err != nil {
		unix.Close(fd)
		return err
	}
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, bufferSize) != nil {
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bufferSize)
	}
	l.fd = fd
	return nil
}

func (l *packetLink) WriteBatch(pkts []Outgoing) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd == 0 { // nobody has asked for a route yet, or it is closed
		return l.rawLink.WriteBatch(pkts)
	}
	l.routes.heed()
	for sent := 0; sent < len(pkts); {
		way, n, err := l.run(pkts[sent:])
		switch {
		case err != nil:
		case way.neighbour == nil:
			n, err = l.writeRaw(pkts[sent])
		default:
			n, err = sendAll(l.fd, pkts[sent:sent+n], func(pkts []Outgoing) (int, error) { return l.frames.send(l.fd, way, pkts) })
		}
		if sent += n; err != nil {
			return sent, err
		}
	}
	return len(pkts), nil
}

// run is how many of the packets go the way of the first, one at least, and
// that way. It is an error if the first is too large for it.
func (l *packetLink) run(pkts []Outgoing) (first *way, n int, err error) {
	for n < len(pkts) {
		p := &pkts[n]
		w := l.routes.to(source(p.Header), p.Dst)
		size := len(p.Header) + len(p.Payload)
		if p.GSOSize > 0 {
			size = min(size, len(p.Header)+p.GSOSize)
		}
		switch {
		case n == 0 && size > w.mtu && w.neighbour != nil:
			return w, 0, unix.EMSGSIZE
		case n == 0:
			first = w
		case w != first || size > w.mtu:
			return first, n, nil
		}
		n++
	}
	return first, n, nil
}

// source is the source address in an IP header.
func source(header []byte) netip.Addr {
	if header[0]>>4 == 4 {
		return netip.AddrFrom4([4]byte(header[12:]))
	}
	return netip.AddrFrom16([16]byte(header[8:]))
}

// writeRaw sends a packet, or its pieces, through the raw socket, and returns how many
// packets that were: one or none. Where the first piece leaves and another does not,
// that one counts as lost.
func (l *packetLink) writeRaw(p Outgoing) (int, error) {
	if p.GSOSize == 0 {
		return l.rawLink.WriteBatch([]Outgoing{p})
	}
	var pieces []Outgoing
	for header, payload := range wire.Pieces(p.Header, p.Payload, p.GSOSize) {
		pieces = append(pieces, Outgoing{Dst: p.Dst, Header: header, Payload: payload})
	}
	if n, err := l.rawLink.WriteBatch(pieces); n == 0 {
		return 0, err
	}
	return 1, nil
}

func (l *packetLink) Close() error {
	err := l.rawLink.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fd != 0 {
		unix.Close(l.fd)
		l.routes.close()
		l.fd = 0
	}
	return err
}
