package rawtcp

import (
	"errors"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// bufferSize is what the kernel is asked to hold for a raw socket at least, and
// mostBuffer at most, in octets. With its own bookkeeping a packet takes nearly
// twice its size, which is why the kernel doubles what it is asked for.
const (
	bufferSize = 4 << 20
	mostBuffer = 64 << 20
)

// A rawFamily is the raw sockets of one IP version: one for TCP, and one for
// the ICMP errors about it.
type rawFamily struct {
	tcp, icmp rawSocket
	router    router

	filtering sync.Mutex
	ports     []uint16    // the reserved ones, sorted; twice where two addresses have the same
	passing   []portRange // what the filter of tcp lets through
	most      int         // the most ports since it was set
}

// A rawSocket is a raw socket and the arrays to read from it.
type rawSocket struct {
	fd       int
	ipv6     bool
	protocol uint8
	in       messages
}

func openFamily(ipv6 bool) (*rawFamily, error) {
	f := &rawFamily{
		tcp:  rawSocket{ipv6: ipv6, protocol: unix.IPPROTO_TCP},
		icmp: rawSocket{ipv6: ipv6, protocol: unix.IPPROTO_ICMP},
	}
	if ipv6 {
		f.icmp.protocol = unix.IPPROTO_ICMPV6
	}
	if err := f.tcp.open(); err != nil {
		return nil, err
	}
	if err := f.icmp.open(); err != nil {
		f.tcp.close()
		return nil, err
	}
	if err := f.router.open(ipv6); err != nil {
		f.tcp.close()
		f.icmp.close()
		return nil, err
	}
	f.filter(nil) // no port is reserved yet
	return f, nil
}

func (f *rawFamily) sockets() [2]*rawSocket { return [2]*rawSocket{&f.tcp, &f.icmp} }

func (f *rawFamily) close() {
	f.tcp.close()
	f.icmp.close()
	f.router.close()
}

// pass lets the segments to a reserved port through.
func (f *rawFamily) pass(port uint16) {
	f.filtering.Lock()
	defer f.filtering.Unlock()
	at, _ := slices.BinarySearch(f.ports, port)
	f.ports = slices.Insert(f.ports, at, port)
	f.most = max(f.most, len(f.ports))
	if !covers(f.passing, port) {
		f.refilter()
	}
}

// unpass takes back one pass.
func (f *rawFamily) unpass(port uint16) {
	f.filtering.Lock()
	defer f.filtering.Unlock()
	at, _ := slices.BinarySearch(f.ports, port)
	f.ports = slices.Delete(f.ports, at, at+1)
	if 2*len(f.ports) <= f.most {
		f.refilter()
	}
}

// refilter fits the filter to the ports. A new filter costs as much as a whole
// connection, so beyond a few ports it is fitted the more roughly the more there are,
// and seldom: then most new ports pass already.
func (f *rawFamily) refilter() {
	const few = 32
	n := len(f.ports)
	f.filter(mergeRanges(f.ports, min(max(few*few/max(n, 1), 1), maxRanges)))
	f.most = n
}

// filter makes the TCP socket deliver only segments to the ports of ranges, so
// that the machine's other connections don't wake us. Where the kernel does not
// allow it, everything comes, which is slower but right.
func (f *rawFamily) filter(ranges []portRange) {
	if err := attachFilter(f.tcp.fd, slices.Concat(toThisHost, portFilter(ranges, f.tcp.ipv6))); err != nil {
		unix.SetsockoptInt(f.tcp.fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
	}
	f.passing = ranges
}

var sending = sync.Pool{New: func() any { return new(messages) }}

// send sends packets as WriteBatch does.
func (f *rawFamily) send(pkts []Outgoing) (int, error) {
	m := sending.Get().(*messages)
	defer sending.Put(m)
	n, err := sendAll(f.tcp.fd, pkts, func(pkts []Outgoing) (int, error) { return m.send(f.tcp.fd, f.tcp.ipv6, pkts) })
	if errors.Is(err, unix.EMSGSIZE) {
		f.router.forget()
	}
	return n, err
}

// sendAll sends packets through a socket, as many at once as send takes. Where
// the kernel has no room, it waits a little and tries once more.
func sendAll(fd int, pkts []Outgoing, send func([]Outgoing) (int, error)) (int, error) {
	const patience = 5 // milliseconds
	sent, waited := 0, false
	for sent < len(pkts) {
		n, err := send(pkts[sent:])
		sent += n
		switch {
		case err == nil:
			waited = false
		case waited:
			return sent, err
		case errors.Is(err, unix.EAGAIN):
			unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, patience)
			waited = true
		case errors.Is(err, unix.ENOBUFS): // of the device: the socket has room
			unix.Poll(nil, patience)
			waited = true
		default:
			return sent, err
		}
	}
	return sent, nil
}

func (s *rawSocket) open() (err error) {
	domain := unix.AF_INET
	if s.ipv6 {
		domain = unix.AF_INET6
	}
	s.fd, err = unix.Socket(domain, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(s.protocol))
	if err == unix.EPERM || err == unix.EACCES {
		return permissionError(os.NewSyscallError("socket", err))
	}
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	if err = s.configure(); err != nil {
		unix.Close(s.fd)
	}
	return err
}

func (s *rawSocket) close() { unix.Close(s.fd) }

func (s *rawSocket) configure() error {
	switch s.protocol {
	case unix.IPPROTO_TCP:
		level, headers, discovery, own := unix.IPPROTO_IP, unix.IP_HDRINCL, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_INTERFACE
		if s.ipv6 {
			level, headers, discovery, own = unix.IPPROTO_IPV6, unix.IPV6_HDRINCL, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_INTERFACE
		}
		if err := unix.SetsockoptInt(s.fd, level, headers, 1); err != nil {
			return os.NewSyscallError("setsockopt HDRINCL", err)
		}
		// The kernel would believe any ICMP error that quotes a TCP packet to the
		// peer, on behalf of this socket, and then refuse to send larger ones.
		if err := unix.SetsockoptInt(s.fd, level, discovery, own); err != nil {
			return os.NewSyscallError("setsockopt MTU_DISCOVER", err)
		}
	case unix.IPPROTO_ICMP: // pass destination unreachable, time exceeded, parameter problem
		const block = ^(1<<3 | 1<<11 | 1<<12)
		if err := unix.SetsockoptInt(s.fd, unix.SOL_RAW, unix.ICMP_FILTER, block); err != nil {
			return os.NewSyscallError("setsockopt ICMP_FILTER", err)
		}
	case unix.IPPROTO_ICMPV6: // pass types 1 to 4, the errors of RFC 4443
		block := unix.ICMPv6Filter{Data: [8]uint32{^uint32(0b11110)}}
		for i := range block.Data[1:] {
			block.Data[1+i] = ^uint32(0)
		}
		if err := unix.SetsockoptICMPv6Filter(s.fd, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &block); err != nil {
			return os.NewSyscallError("setsockopt ICMPV6_FILTER", err)
		}
	}
	if s.ipv6 { // what putIPv6Header needs
		for _, option := range []int{unix.IPV6_RECVPKTINFO, unix.IPV6_RECVHOPLIMIT, ipv6FlowInfo} {
			if err := unix.SetsockoptInt(s.fd, unix.IPPROTO_IPV6, option, 1); err != nil {
				return os.NewSyscallError("setsockopt IPV6_RECV", err)
			}
		}
	}
	s.hold(bufferSize)
	return nil
}

// hold makes the kernel hold so many octets. Best effort: what exceeds the
// system's limit takes CAP_NET_ADMIN.
func (s *rawSocket) hold(octets int) {
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, octets) != nil {
		unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, octets)
	}
}

// read reads the packets that are there.
func (s *rawSocket) read(bufs [][]byte) (int, error) {
	n, err := s.in.receive(s.fd, s.ipv6, s.protocol, bufs)
	if err != nil && !errors.Is(err, unix.EAGAIN) {
		// A pending error of the socket, about some packet sent. It is told once.
		n, err = s.in.receive(s.fd, s.ipv6, s.protocol, bufs)
	}
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return n, os.NewSyscallError("recvmmsg", err)
}
