package rawtcp

import (
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A router asks the kernel for routes: a UDP socket that is connected to a
// destination knows its source address and the path's MTU. It sends nothing. Where
// connections come fast, what it knows saves four system calls for each. When the
// kernel tells of a change, it is forgotten (MUST-44); so it is after a moment, for the
// kernel does not tell of a path's MTU.
type router struct {
	mu    sync.Mutex
	fd    int
	news  int // of changes
	known map[netip.Addr]Route
	since time.Time // when the first of those known was asked for
}

const (
	routeLife  = 10 * time.Millisecond
	mostRoutes = 1000
)

// forget is for who sees that something has changed.
func (r *router) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.known)
}

func (r *router) open(ipv6 bool) (err error) {
	family := unix.AF_INET
	if ipv6 {
		family = unix.AF_INET6
	}
	r.known = make(map[netip.Addr]Route)
	if r.news, err = openNews(unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR); err != nil {
		return err
	}
	if r.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		unix.Close(r.news)
	}
	return os.NewSyscallError("socket", err)
}

func (r *router) close() {
	unix.Close(r.fd)
	unix.Close(r.news)
}

func (r *router) route(dst netip.Addr) (Route, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); heard(r.news) || now.Sub(r.since) > routeLife || len(r.known) >= mostRoutes {
		r.since = now
		clear(r.known)
	}
	if route, ok := r.known[dst]; ok {
		return route, nil
	}
	route, err := r.ask(dst)
	if err == nil {
		r.known[dst] = route
	}
	return route, err
}

// openNews opens a socket to which the kernel tells of changes of links, routes and
// rules, and of what the further groups are about (rtnetlink(7)).
func openNews(further ...int) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, os.NewSyscallError("netlink", err)
	}
	var groups uint32
	for _, g := range append(further, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE) {
		groups |= 1 << (g - 1)
	}
	if err = unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("netlink", err)
	}
	return fd, nil
}

// heard reports whether the kernel has told of any change since it was asked last.
func heard(news int) (any bool) {
	var message [1]byte // the rest of it is cut off
	for {
		switch _, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(news), uintptr(unsafe.Pointer(&message)), 1); errno {
		case 0, unix.ENOBUFS: // some were missed
			any = true
		case unix.EINTR:
		default:
			return any
		}
	}
}

// ask asks the kernel for a route.
func (r *router) ask(dst netip.Addr) (Route, error) {
	const discard = 9 // any port will do
	sa, err := sockaddr(r.fd, netip.AddrPortFrom(dst, discard))
	if err != nil {
		return Route{}, err
	}
	// What it is connected to would keep its source address: first to nothing.
	var nothing unix.RawSockaddr
	unix.RawSyscall(unix.SYS_CONNECT, uintptr(r.fd), uintptr(unsafe.Pointer(&nothing)), unsafe.Sizeof(nothing))
	if err := unix.Connect(r.fd, sa); err != nil {
		return Route{}, os.NewSyscallError("connect", err)
	}
	src, err := localAddr(r.fd)
	if err != nil {
		return Route{}, err
	}
	level, option := unix.IPPROTO_IP, unix.IP_MTU
	if dst.Is6() {
		level, option = unix.IPPROTO_IPV6, unix.IPV6_MTU
	}
	mtu, err := unix.GetsockoptInt(r.fd, level, option)
	if err != nil {
		return Route{}, os.NewSyscallError("getsockopt IP_MTU", err)
	}
	// The loopback's 65536 is more than an IPv4 header can say.
	return Route{Src: src.Addr(), MTU: min(mtu, 1<<16-1)}, nil
}

// sockaddr is addr as the kernel takes it. Any socket fd will do.
func sockaddr(fd int, addr netip.AddrPort) (unix.Sockaddr, error) {
	if addr.Addr().Is4() {
		return &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}, nil
	}
	index, err := zoneIndex(fd, addr.Addr().Zone())
	return &unix.SockaddrInet6{Addr: addr.Addr().As16(), Port: int(addr.Port()), ZoneId: index}, err
}

// localAddr is the address that a socket is bound to.
func localAddr(fd int) (netip.AddrPort, error) {
	sa, err := unix.Getsockname(fd)
	if err != nil {
		return netip.AddrPort{}, os.NewSyscallError("getsockname", err)
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port)), nil
	case *unix.SockaddrInet6:
		zone, err := zoneName(fd, sa.ZoneId)
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).WithZone(zone), uint16(sa.Port)), err
	}
	return netip.AddrPort{}, fmt.Errorf("getsockname: unexpected address %T", sa)
}

// zoneIndex is the index of a zone that is named by its interface, or by that
// index. Any socket fd will do.
func zoneIndex(fd int, zone string) (uint32, error) {
	if zone == "" {
		return 0, nil
	}
	if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(index), nil
	}
	ifr, err := unix.NewIfreq(zone)
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr)
	}
	if err != nil {
		return 0, fmt.Errorf("no network interface %q for the zone: %w", zone, err)
	}
	return ifr.Uint32(), nil
}

// zoneName is the name of the interface with the index; none for 0.
func zoneName(fd int, index uint32) (string, error) {
	if index == 0 {
		return "", nil
	}
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	ifr.SetUint32(index)
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFNAME, ifr); err != nil {
		return "", os.NewSyscallError("ioctl SIOCGIFNAME", err)
	}
	return ifr.Name(), nil
}
