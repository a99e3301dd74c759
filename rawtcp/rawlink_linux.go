package rawtcp

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A rawLink is the machine's own network, through raw sockets.
type rawLink struct {
	families [2]atomic.Pointer[rawFamily] // IPv4 and IPv6; nil until used
	opening  sync.Mutex

	wake int            // an eventfd that ends the poll of ReadBatch
	poll [5]unix.PollFd // for ReadBatch: wake and the sockets
	turn int            // which socket ReadBatch serves first

	inUse  sync.RWMutex // held for reading while file descriptors are used
	closed atomic.Bool
}

// newRawLink returns the link that is made of raw sockets. It needs
// CAP_NET_RAW, as soon as it is asked for a route or a port.
func newRawLink() (Link, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &rawLink{wake: wake}, nil
}

func (l *rawLink) ReadBatch(bufs [][]byte) (int, error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	for !l.closed.Load() {
		if n, err := l.waitAndRead(bufs); n > 0 || err != nil {
			return n, err
		}
	}
	return 0, net.ErrClosed
}

// waitAndRead waits until something happens and reads what there is, which may
// be nothing.
func (l *rawLink) waitAndRead(bufs [][]byte) (int, error) {
	poll := append(l.poll[:0], unix.PollFd{Fd: int32(l.wake), Events: unix.POLLIN})
	sockets := make([]*rawSocket, 0, 4) // those of poll[1:]
	for i := range l.families {
		if f := l.families[i].Load(); f != nil {
			for _, s := range [2]*rawSocket{&f.tcp, &f.icmp} {
				sockets = append(sockets, s)
				poll = append(poll, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
			}
		}
	}
	if _, err := unix.Poll(poll, -1); err == unix.EINTR {
		return 0, nil
	} else if err != nil {
		return 0, os.NewSyscallError("poll", err)
	}
	if poll[0].Revents != 0 {
		var count [8]byte
		unix.Read(l.wake, count[:])
	}
	n := 0
	l.turn++ // who comes first may fill bufs, so it is not always the same
	for i := range sockets {
		i = (i + l.turn) % len(sockets)
		if poll[i+1].Revents == 0 || n == len(bufs) {
			continue
		}
		got, err := sockets[i].read(bufs[n:])
		if n += got; err != nil {
			return n, err
		}
	}
	return n, nil
}

func (l *rawLink) WriteBatch(pkts []Outgoing) (int, error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	sent := 0
	for sent < len(pkts) {
		run := pkts[sent:] // of one family
		ipv6 := run[0].Dst.Is6()
		if i := slices.IndexFunc(run, func(p Outgoing) bool { return p.Dst.Is6() != ipv6 }); i > 0 {
			run = run[:i]
		}
		f, err := l.family(ipv6)
		if err != nil {
			return sent, err
		}
		n, err := f.send(run)
		if sent += n; err != nil {
			return sent, err
		}
	}
	return sent, nil
}

func (l *rawLink) Route(dst netip.Addr) (Route, error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	if _, err := l.family(dst.Is6()); err != nil {
		return Route{}, err
	}
	return kernelRoute(dst)
}

func (l *rawLink) Reserve(local netip.AddrPort) (netip.AddrPort, io.Closer, error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	f, err := l.family(local.Addr().Is6())
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	fd, reserved, err := openGuard(local, dropAll)
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	f.pass(reserved.Port())
	return reserved, &rawGuard{link: l, family: f, fd: fd, port: reserved.Port()}, nil
}

func (l *rawLink) Close() error {
	if l.closed.Swap(true) {
		return nil
	}
	l.interrupt()
	l.inUse.Lock() // once nobody uses them
	defer l.inUse.Unlock()
	for i := range l.families {
		if f := l.families[i].Load(); f != nil {
			unix.Close(f.tcp.fd)
			unix.Close(f.icmp.fd)
		}
	}
	return os.NewSyscallError("close", unix.Close(l.wake))
}

// interrupt makes a waiting ReadBatch look again.
func (l *rawLink) interrupt() {
	unix.Write(l.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// family returns the sockets of an IP version, and opens them if need be.
func (l *rawLink) family(ipv6 bool) (*rawFamily, error) {
	if l.closed.Load() {
		return nil, net.ErrClosed
	}
	p := &l.families[0]
	if ipv6 {
		p = &l.families[1]
	}
	if f := p.Load(); f != nil {
		return f, nil
	}
	l.opening.Lock()
	defer l.opening.Unlock()
	if f := p.Load(); f != nil {
		return f, nil
	}
	f, err := openFamily(ipv6)
	if err != nil {
		return nil, err
	}
	p.Store(f)
	l.interrupt() // a waiting ReadBatch doesn't know them
	return f, nil
}

// A rawGuard is a reserved port.
type rawGuard struct {
	link   *rawLink
	family *rawFamily
	fd     int
	port   uint16
	closed atomic.Bool
}

func (g *rawGuard) Close() error {
	if g.closed.Swap(true) {
		return nil
	}
	g.link.inUse.RLock()
	defer g.link.inUse.RUnlock()
	if !g.link.closed.Load() {
		g.family.unpass(g.port)
	}
	return os.NewSyscallError("close", unix.Close(g.fd))
}
