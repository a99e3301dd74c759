package rawtcp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"rawnc/stack"
)

// A port is a local port that is taken, by a listener or by connections.
type port struct {
	local  netip.AddrPort // without zone
	guard  io.Closer
	users  int
	server *Listener // that serves it, or did; nil: it was only dialled from
}

// reserve takes a local port, or shares one that this host has at the address, or
// at every address.
func (h *Host) reserve(local netip.AddrPort) (netip.AddrPort, *port, error) {
	for _, at := range []netip.AddrPort{unzoned(local), everywhere(local)} {
		if p := h.ports[at]; p != nil && local.Port() != 0 {
			p.users++
			return local, p, nil
		}
	}
	reserved, guard, err := h.guard(local)
	if (errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)) && h.cutTimeWait() {
		reserved, guard, err = h.guard(local)
	}
	if err != nil {
		return local, nil, err
	}
	p := &port{local: unzoned(reserved), guard: guard, users: 1}
	h.ports[p.local] = p
	return reserved, p, nil
}

// guard reserves a port. It is the longest part of connecting, so that where
// nobody else can want the same port, the host is unlocked meanwhile.
func (h *Host) guard(local netip.AddrPort) (netip.AddrPort, io.Closer, error) {
	if local.Port() != 0 {
		return h.link.Reserve(local)
	}
	h.mu.Unlock()
	reserved, guard, err := h.link.Reserve(local)
	h.mu.Lock()
	if err == nil && h.closed {
		guard.Close()
		err = net.ErrClosed
	}
	return reserved, guard, err
}

func (h *Host) release(p *port) {
	if p.users--; p.users > 0 {
		return
	}
	p.guard.Close()
	delete(h.ports, p.local)
}

// cutTimeWait ends the oldest quarter of what is in TIME-WAIT: each holds a file
// descriptor, and there are no more.
func (h *Host) cutTimeWait() bool {
	var waiting []*Conn
	for _, c := range h.conns {
		if c.tcp.State() == stack.StateTimeWait {
			waiting = append(waiting, c)
		}
	}
	slices.SortFunc(waiting, func(a, b *Conn) int {
		atA, _ := a.wakeAt()
		atB, _ := b.wakeAt()
		return atA.Compare(atB)
	})
	for _, c := range waiting[:(len(waiting)+3)/4] {
		h.remove(c)
	}
	return len(waiting) > 0
}

// everywhere is the port at every address of the family.
func everywhere(a netip.AddrPort) netip.AddrPort {
	if a.Addr().Is6() {
		return netip.AddrPortFrom(netip.IPv6Unspecified(), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), a.Port())
}

// unzoned is an address as it stands in a packet.
func unzoned(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().WithZone(""), a.Port())
}
