package rawtcp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A rawLink is the machine's own network, through raw sockets.
type rawLink struct {
	families [2]atomic.Pointer[rawFamily] // IPv4 and IPv6; nil until used
	opening  sync.Mutex

	// ready is an epoll of all the sockets, in the poller of Go's runtime: who waits
	// for it keeps no thread.
	ready *os.File
	wait  syscall.RawConn // of ready
	epoll int             // its file descriptor
	in    struct {        // of ReadBatch
		bufs  [][]byte
		n     int
		err   error
		tried func(uintptr) bool // reads, and reports whether there was anything
		again bool               // it was called before: it is now that something has come
		last  *rawSocket         // the one that something came from last
	}

	held   atomic.Int64 // octets that the sockets were told to hold
	inUse  sync.RWMutex // held for reading while file descriptors are used
	closed atomic.Bool
}

// newRawLink returns the link that is made of raw sockets. It needs
// CAP_NET_RAW, as soon as it is asked for a route or a port.
func newRawLink() (Link, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	unix.SetNonblock(epoll, true) // os.NewFile looks for it
	l := &rawLink{ready: os.NewFile(uintptr(epoll), "epoll"), epoll: epoll}
	l.in.tried = func(uintptr) bool { return l.read() }
	if l.wait, err = l.ready.SyscallConn(); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *rawLink) ReadBatch(bufs [][]byte) (n int, err error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	l.in.bufs, l.in.again = bufs, false
	waitErr := l.wait.Read(l.in.tried)
	switch {
	case l.closed.Load():
		return 0, net.ErrClosed
	case errors.Is(waitErr, os.ErrDeadlineExceeded): // that of Wake
		return 0, l.ready.SetReadDeadline(time.Time{})
	case waitErr != nil:
		return 0, waitErr
	}
	return l.in.n, l.in.err
}

// read reads what there is, if there is anything. Whoever has waited finds it
// most likely where it was the last time.
func (l *rawLink) read() bool {
	in := &l.in
	in.n, in.err = 0, nil
	if in.again && in.last != nil {
		in.n, in.err = in.last.read(in.bufs)
	}
	in.again = true
	if in.n > 0 || in.err != nil {
		return true
	}
	var events [4]unix.EpollEvent
	there := epollReady(l.epoll, events[:])
	for _, e := range events[:there] { // the kernel takes turns in which is the first
		if in.n == len(in.bufs) {
			break
		}
		s := l.families[e.Fd/2].Load().sockets()[e.Fd%2]
		n, err := s.read(in.bufs[in.n:])
		if n > 0 {
			in.last = s
		}
		if in.n += n; err != nil {
			in.err = err
			return true
		}
	}
	return in.n > 0
}

func (l *rawLink) Wake() { l.ready.SetReadDeadline(time.Unix(1, 0)) }

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

// room makes the kernel hold the windows of all connections, which are so many
// octets. It never asks for less again.
func (l *rawLink) room(octets int) {
	want := int64(bufferSize)
	for want < min(int64(octets), mostBuffer) {
		want *= 2
	}
	if want <= l.held.Load() {
		return
	}
	l.held.Store(want)
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	for i := range l.families {
		if f := l.families[i].Load(); f != nil && !l.closed.Load() {
			f.tcp.hold(int(want))
		}
	}
}

func (l *rawLink) Route(dst netip.Addr) (Route, error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	f, err := l.family(dst.Is6())
	if err != nil {
		return Route{}, err
	}
	return f.router.route(dst)
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
	l.Wake()
	l.inUse.Lock() // once nobody uses them
	defer l.inUse.Unlock()
	for i := range l.families {
		if f := l.families[i].Load(); f != nil {
			f.close()
		}
	}
	return l.ready.Close()
}

// family returns the sockets of an IP version, and opens them if need be.
func (l *rawLink) family(ipv6 bool) (*rawFamily, error) {
	if l.closed.Load() {
		return nil, net.ErrClosed
	}
	which := 0
	if ipv6 {
		which = 1
	}
	p := &l.families[which]
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
	f.tcp.hold(int(max(l.held.Load(), bufferSize)))
	p.Store(f)
	for i, s := range f.sockets() {
		event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(2*which + i)}
		if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, s.fd, &event); err != nil {
			p.Store(nil)
			f.close()
			return nil, os.NewSyscallError("epoll_ctl", err)
		}
	}
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
