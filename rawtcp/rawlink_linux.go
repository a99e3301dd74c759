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
	"time"

	"golang.org/x/sys/unix"
)

// A rawLink is the machine's own network, through raw sockets.
type rawLink struct {
	families [2]atomic.Pointer[rawFamily] // IPv4 and IPv6; nil until used
	opening  sync.Mutex
	wake     *os.File     // an eventfd, which is readable after Wake
	held     atomic.Int64 // octets that the sockets were told to hold
	inUse    sync.RWMutex // held for reading while file descriptors are used
	closed   atomic.Bool

	// Of ReadBatch:
	last *rawSocket // the one that something came from last
	runs int        // how often in a row only that one was read
	spin spin
}

// newRawLink returns the link that is made of raw sockets. It needs
// CAP_NET_RAW, as soon as it is asked for a route or a port.
func newRawLink() (Link, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	return &rawLink{wake: os.NewFile(uintptr(fd), "eventfd")}, nil
}

// ReadBatch waits in the system call itself, and keeps a thread for so long: a
// goroutine that waits with others for Go's poller is woken by way of another
// thread, and the poller is by every packet, also when nobody waits for one.
func (l *rawLink) ReadBatch(bufs [][]byte) (n int, err error) {
	l.inUse.RLock()
	defer l.inUse.RUnlock()
	start := time.Now()
	if n, err = l.look(bufs, start); n > 0 || err != nil {
		return n, err
	}
	defer func() { l.spin.waited(time.Since(start), n) }()
	for n == 0 && err == nil {
		if l.closed.Load() {
			return 0, net.ErrClosed
		}
		wait := append(make([]unix.PollFd, 0, 5), unix.PollFd{Fd: int32(l.wake.Fd()), Events: unix.POLLIN})
		var sockets [4]*rawSocket
		for i := range l.families {
			if f := l.families[i].Load(); f != nil {
				for _, s := range f.sockets() {
					sockets[len(wait)-1] = s
					wait = append(wait, unix.PollFd{Fd: int32(s.fd), Events: unix.POLLIN})
				}
			}
		}
		if _, err := unix.Poll(wait, -1); err == unix.EINTR {
			continue
		} else if err != nil {
			return 0, os.NewSyscallError("poll", err)
		}
		for i, w := range wait[1:] {
			if w.Revents != 0 && n < len(bufs) && err == nil {
				var more int
				if more, err = sockets[i].read(bufs[n:]); more > 0 {
					l.last = sockets[i]
				}
				n += more
			}
		}
		if wait[0].Revents != 0 {
			var count [8]byte
			l.wake.Read(count[:])
			return n, err
		}
	}
	return n, err
}

// look reads what there is where something came from last, and for a while what
// comes there, if that is worth it. Now and then the other sockets get their turn.
func (l *rawLink) look(bufs [][]byte, start time.Time) (n int, err error) {
	const most = 16
	if l.runs++; l.last == nil || l.runs > most || l.closed.Load() {
		l.runs = 0
		return 0, nil
	}
	if n, err = l.last.read(bufs); n > 0 || err != nil || !l.spin.worth() {
		return n, err
	}
	for n == 0 && err == nil && time.Since(start) < spinTime {
		n, err = l.last.read(bufs)
	}
	l.spin.spun(n)
	return n, err
}

func (l *rawLink) Wake() { l.wake.Write(binary.NativeEndian.AppendUint64(nil, 1)) }

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
	return l.wake.Close()
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
	l.Wake() // who waits does so for these too from now on
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
