package rawtcp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many packets one system call moves at most.
const batch = 64

// controlSize holds what the kernel says about an IPv6 packet: IPV6_PKTINFO,
// IPV6_HOPLIMIT, IPV6_FLOWINFO, 88 octets with their headers.
const controlSize = 128

// messages are the arrays for recvmmsg(2) and sendmmsg(2), made once for each
// socket and direction.
type messages struct {
	hdr     [batch]unix.Mmsghdr
	iov     [batch][2]unix.Iovec
	name    [batch]unix.RawSockaddrInet6 // has room for the IPv4 one
	control [batch][controlSize]byte
}

// receive reads the packets that are there, at most as many as bufs. It
// returns EAGAIN where there is none.
func (m *messages) receive(fd int, ipv6 bool, protocol uint8, bufs [][]byte) (int, error) {
	bufs = bufs[:min(len(bufs), batch)]
	skip := 0 // octets left for the header that the kernel keeps
	if ipv6 {
		skip = ipv6HeaderLen
	}
	for i, buf := range bufs {
		hdr := &m.hdr[i].Hdr
		buf = buf[skip:cap(buf)]
		m.iov[i][0].Base = unsafe.SliceData(buf)
		m.iov[i][0].SetLen(len(buf))
		hdr.Iov = &m.iov[i][0]
		hdr.SetIovlen(1)
		if ipv6 { // the kernel overwrites these lengths
			hdr.Name = (*byte)(unsafe.Pointer(&m.name[i]))
			hdr.Namelen = unix.SizeofSockaddrInet6
			hdr.Control = &m.control[i][0]
			hdr.SetControllen(controlSize)
		}
	}
	defer clear(m.iov[:len(bufs)])
	n, err := mmsg(unix.SYS_RECVMMSG, fd, m.hdr[:len(bufs)])
	for i := range n {
		bufs[i] = bufs[i][:skip+int(m.hdr[i].Len)]
		if ipv6 {
			putIPv6Header(bufs[i], protocol, m.name[i].Addr, m.control[i][:m.hdr[i].Hdr.Controllen])
		}
	}
	return n, err
}

// send sends as many of pkts as one call can, all of one family, and returns
// how many. The error concerns the first only.
func (m *messages) send(fd int, ipv6 bool, pkts []Outgoing) (int, error) {
	pkts = pkts[:min(len(pkts), batch)]
	var zone string
	var index uint32 // of zone
	for i, p := range pkts {
		hdr := &m.hdr[i].Hdr
		hdr.Name = (*byte)(unsafe.Pointer(&m.name[i]))
		if ipv6 {
			if z := p.Dst.Zone(); z != zone {
				var err error
				if index, err = zoneIndex(fd, z); err != nil {
					if i == 0 {
						return 0, err
					}
					pkts = pkts[:i] // send the others first
					break
				}
				zone = z
			}
			m.name[i] = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: p.Dst.As16(), Scope_id: index}
			hdr.Namelen = unix.SizeofSockaddrInet6
		} else {
			*(*unix.RawSockaddrInet4)(unsafe.Pointer(&m.name[i])) = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: p.Dst.As4()}
			hdr.Namelen = unix.SizeofSockaddrInet4
		}
		for k, part := range [2][]byte{p.Header, p.Payload} {
			m.iov[i][k].Base = unsafe.SliceData(part)
			m.iov[i][k].SetLen(len(part))
		}
		hdr.Iov = &m.iov[i][0]
		hdr.SetIovlen(2)
	}
	defer clear(m.iov[:len(pkts)])
	return mmsg(unix.SYS_SENDMMSG, fd, m.hdr[:len(pkts)])
}

// mmsg makes one of the two system calls, which never waits. The runtime is not
// told of it: that would cost more than it gains.
func mmsg(number uintptr, fd int, m []unix.Mmsghdr) (int, error) {
	for {
		var done uintptr
		var errno unix.Errno
		if number == unix.SYS_SENDMMSG && len(m) == 1 { // sendmmsg lets others run first, perhaps who is woken by it
			_, _, errno = unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&m[0].Hdr)), unix.MSG_DONTWAIT)
			done = 1
		} else {
			done, _, errno = unix.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(m))), uintptr(len(m)), unix.MSG_DONTWAIT, 0, 0)
		}
		switch errno {
		case 0:
			return int(done), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

const ipv6HeaderLen = 40

// putIPv6Header writes in front of what a raw IPv6 socket delivered the header
// that the kernel kept, from what it says about the packet. Extension headers
// are lost.
func putIPv6Header(pkt []byte, protocol uint8, src [16]byte, control []byte) {
	h := pkt[:ipv6HeaderLen]
	clear(h)
	h[0] = 6 << 4
	for len(control) > 0 {
		hdr, data, rest, err := unix.ParseOneSocketControlMessage(control)
		if err != nil {
			break
		}
		switch {
		case hdr.Type == unix.IPV6_PKTINFO && len(data) >= 16:
			copy(h[24:40], data) // the destination; the interface follows
		case hdr.Type == unix.IPV6_HOPLIMIT && len(data) >= 4:
			h[7] = uint8(binary.NativeEndian.Uint32(data))
		case hdr.Type == ipv6FlowInfo && len(data) >= 4:
			h[0] |= data[0] & 0xf // the traffic class and the flow label, as they were
			copy(h[1:4], data[1:4])
		}
		control = rest
	}
	binary.BigEndian.PutUint16(h[4:], uint16(len(pkt)-ipv6HeaderLen))
	h[6] = protocol
	copy(h[8:24], src[:])
}

// ipv6FlowInfo is IPV6_FLOWINFO of linux/in6.h, which golang.org/x/sys lacks.
const ipv6FlowInfo = 11
