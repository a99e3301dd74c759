package rawtcp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
)

// A port is a local port that is taken, by a listener or by connections.
type port struct {
	local  netip.AddrPort // without zone
	guard  io.Closer
	users  int
	chosen bool      // by the link
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
	p := &port{local: unzoned(reserved), guard: guard, users: 1, chosen: local.Port() == 0}
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

// mostWaiting is how many connections in TIME-WAIT keep their ports to themselves.
const mostWaiting = 100

// enterTimeWait notes that a connection is in TIME-WAIT now, unless it has given
// way already.
func (h *Host) enterTimeWait(c *Conn) {
	if c.inTimeWait == nil && c.port.server == nil && h.conns[c.pair()] == c {
		c.inTimeWait = h.timeWait.PushBack(c)
	}
}

func (h *Host) leaveTimeWait(c *Conn) {
	if c.inTimeWait != nil {
		h.timeWait.Remove(c.inTimeWait)
		c.inTimeWait = nil
	}
}

// again finds a port to connect from once more. Where connections come fast, to
// open a guard for each would take longer than all the rest, and there are only so
// many ports. It is that of the connection which has been in TIME-WAIT for the
// longest, if there are many; towards another peer it is as good as a new one. What
// is in the way is returned too: it is over, and gives way.
func (h *Host) again(src netip.Addr, remote netip.AddrPort) (p *port, over *Conn) {
	if h.timeWait.Len() <= h.mostWaiting {
		return nil, nil
	}
	c := h.timeWait.Front().Value.(*Conn)
	over = h.conns[pair{c.port.local, unzoned(remote)}]
	if !c.port.chosen || c.local.Addr() != src || over != nil && !over.tcp.GivesWay() {
		h.timeWait.MoveToBack(c.inTimeWait)
		return nil, nil
	}
	h.leaveTimeWait(c)
	c.port.users++
	return c.port, over
}

// cutTimeWait ends the oldest quarter of what is in TIME-WAIT: each holds a file
// descriptor, and there are no more.
func (h *Host) cutTimeWait() bool {
	n := (h.timeWait.Len() + 3) / 4
	for range n {
		h.remove(h.timeWait.Front().Value.(*Conn))
	}
	return n > 0
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
