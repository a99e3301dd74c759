package rawtcp

import (
	"crypto/rand"
	"fmt"
	mathrand "math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// openGuard holds a local address and port with a socket of the kernel's TCP
// that drops whatever reaches it. Without it the kernel would answer with RST
// the segments of connections that it doesn't know; no firewall rule is
// needed. The raw sockets get their copy before. The guard is gone when the
// process is, however it ends. drop must make the socket drop segments.
func openGuard(local netip.AddrPort, drop func(fd int, ipv6 bool) error) (fd int, reserved netip.AddrPort, err error) {
	family := unix.AF_INET
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, reserved, os.NewSyscallError("socket", err)
	}
	if reserved, err = hold(fd, local, drop); err != nil {
		unix.Close(fd)
		return -1, reserved, err
	}
	return fd, reserved, nil
}

// hold makes a socket the guard of an address and port.
func hold(fd int, local netip.AddrPort, drop func(fd int, ipv6 bool) error) (reserved netip.AddrPort, err error) {
	ipv6 := local.Addr().Is6()
	// It must drop before it listens, or a SYN in between would be answered.
	if err := drop(fd, ipv6); err != nil {
		return reserved, err
	}
	// Old connections of the kernel's in TIME-WAIT don't stop it.
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return reserved, os.NewSyscallError("setsockopt SO_REUSEADDR", err)
	}
	if ipv6 {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return reserved, os.NewSyscallError("setsockopt IPV6_V6ONLY", err)
		}
	}
	sa, err := sockaddr(fd, local)
	if err != nil {
		return reserved, err
	}
	if local.Port() == 0 {
		err = bindAnywhere(fd, sa)
	} else {
		err = unix.Bind(fd, sa)
	}
	if err != nil {
		return reserved, os.NewSyscallError("bind", err)
	}
	if err := unix.Listen(fd, 1); err != nil {
		return reserved, os.NewSyscallError("listen", err)
	}
	bound, err := localAddr(fd)
	return netip.AddrPortFrom(local.Addr(), bound.Port()), err
}

// ephemeral is the range that the kernel chooses ports from.
var ephemeral = sync.OnceValue(func() (r portRange) {
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		fmt.Sscan(string(b), &r.lo, &r.hi)
	}
	return r
})

// bindAnywhere lets the kernel choose the port. It looks at one after the other,
// which takes long where thousands are taken: so it is told to look at a few,
// anywhere. A kernel before Linux 6.3 does not listen to that.
func bindAnywhere(fd int, sa unix.Sockaddr) error {
	const few, tries = 64, 8
	r := ephemeral()
	for range tries {
		if int(r.hi)-int(r.lo) < few {
			break
		}
		// Of every two ports the kernel leaves the first to those who connect: their
		// TIME-WAIT would take for its own what is sent to us.
		from := int(r.lo) + 2*mathrand.IntN((int(r.hi)-int(r.lo)-few)/2+1)
		if unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, (from+few-1)<<16|from) != nil {
			break
		}
		if err := unix.Bind(fd, sa); err != unix.EADDRINUSE {
			return err
		}
	}
	unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_LOCAL_PORT_RANGE, 0)
	return unix.Bind(fd, sa)
}

// dropAll makes a listening socket drop every segment, by a filter, or where
// that is refused by a key.
func dropAll(fd int, ipv6 bool) error {
	filterErr := dropByFilter(fd, ipv6)
	if filterErr == nil {
		return nil
	}
	if keyErr := dropByKey(fd, ipv6); keyErr != nil {
		return fmt.Errorf("the kernel cannot be kept from answering for us: it takes neither a filter (%w) nor an MD5 key (%w)",
			filterErr, keyErr)
	}
	return nil
}

// dropByFilter drops by a filter that accepts nothing. Some kernels want
// CAP_NET_ADMIN for it. A program that all guards share takes half of the time of
// a guard off; to load one may be refused.
func dropByFilter(fd int, _ bool) error {
	if program := dropProgram(); program >= 0 && unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_BPF, program) == nil {
		return nil
	}
	return attachFilter(fd, []bpf.Instruction{bpf.RetConstant{Val: 0}})
}

// dropProgram loads an eBPF program that accepts nothing, and returns its file
// descriptor, or -1.
var dropProgram = sync.OnceValue(func() int {
	attr := struct {
		kind, count      uint32
		program, license uint64
		_                [4]uint64
	}{
		kind: unix.BPF_PROG_TYPE_SOCKET_FILTER, count: uint32(len(dropCode)),
		program: uint64(uintptr(unsafe.Pointer(&dropCode))), license: uint64(uintptr(unsafe.Pointer(&noLicense))),
	}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, unix.BPF_PROG_LOAD, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	if errno != 0 {
		return -1
	}
	return int(fd)
})

// The program is r0 = 0; exit. It stands where it stays: the kernel gets its address.
var (
	dropCode = [2]struct {
		code, registers uint8
		offset          int16
		value           int32
	}{{code: 0xb7}, {code: 0x95}}
	noLicense [1]byte
)

// dropByKey drops by a TCP MD5 key (RFC 2385) for all peers that no peer knows.
func dropByKey(fd int, ipv6 bool) error {
	// Prefix length 0: every address of the family.
	sig := unix.TCPMD5Sig{Flags: unix.TCP_MD5SIG_FLAG_PREFIX, Keylen: 32}
	rand.Read(sig.Key[:sig.Keylen])
	sig.Addr.Family = unix.AF_INET
	if ipv6 {
		sig.Addr.Family = unix.AF_INET6
	}
	return os.NewSyscallError("setsockopt TCP_MD5SIG_EXT", unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG_EXT, &sig))
}
