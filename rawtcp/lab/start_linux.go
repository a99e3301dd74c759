package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Lab is the far end of the network that Enter has entered: one address and
// port, served by the kernel's TCP.
type Lab struct {
	near, far *Namespace
	server    *server
}

// Start lays a cable to a far end that has addr's address, and serves addr's
// port there. Nothing but that address can be reached. In Sink mode, received
// gets each line that comes, with its newline if it had one; one call at a
// time, and line is valid until received returns. A line over 64 KiB comes in
// pieces. The other modes do not call it.
func Start(addr netip.AddrPort, mode Mode, received func(line []byte)) (*Lab, error) {
	l := new(Lab)
	if err := l.start(addr, mode, received); err != nil {
		l.Close()
		if errors.Is(err, unix.EPERM) {
			err = fmt.Errorf("%w: %s", err, remedy())
		}
		return nil, fmt.Errorf("lab: %w", err)
	}
	return l, nil
}

func (l *Lab) start(addr netip.AddrPort, mode Mode, received func(line []byte)) error {
	if err := check(addr); err != nil {
		return err
	}
	serve, err := handler(mode, received)
	if err != nil {
		return err
	}
	if l.near, err = currentNamespace(); err != nil {
		return err
	}
	lo, err := l.near.conn.LinkByName("lo")
	if err != nil {
		return err
	}
	if lo.Attrs().Flags&net.FlagUp != 0 {
		return errors.New("this network is in use already: call Enter first")
	}
	if l.far, err = newNamespace(); err != nil {
		return err
	}
	if err := join(l.near, l.far, Interface); err != nil {
		return err
	}
	us, them := nearAddress(addr.Addr()), addr.Addr()
	if err := l.near.addAddress(netip.PrefixFrom(us, us.BitLen()), them); err != nil {
		return err
	}
	if err := l.far.addAddress(netip.PrefixFrom(them, them.BitLen()), us); err != nil {
		return err
	}
	return l.far.Do(func() error {
		config := net.ListenConfig{KeepAlive: -1} // silent while the client is
		config.SetMultipathTCP(false)
		listener, err := config.Listen(context.Background(), "tcp", addr.String())
		if err == nil {
			l.server = newServer(listener, serve)
		}
		return err
	})
}

func check(addr netip.AddrPort) error {
	ip := addr.Addr()
	switch {
	case !ip.IsValid():
		return errors.New("names do not resolve in the lab: give an IP address")
	case ip.IsLinkLocalUnicast() || ip.Zone() != "":
		return fmt.Errorf("%v is link-local: give an address without a zone, such as 2001:db8::80", ip)
	case !ip.IsGlobalUnicast() || ip.Is4In6():
		return fmt.Errorf("%v is not the address of one far host: give one such as 192.0.2.80 or 2001:db8::80", ip)
	case addr.Port() == 0:
		return errors.New("nobody can serve port 0: give a port from 1 to 65535")
	}
	return nil
}

// nearAddress is the address from which to talk to far: of the range for
// documentation, so that it is nobody's.
func nearAddress(far netip.Addr) netip.Addr {
	h := host(1)
	if far == h.IPv4 || far == h.IPv6 {
		h = host(2)
	}
	if far.Is4() {
		return h.IPv4
	}
	return h.IPv6
}

// Close ends the connections, waits for the last call of received, and lets go
// of the far end.
func (l *Lab) Close() error {
	if l.server != nil {
		l.server.close()
	}
	var errs []error
	for _, ns := range []*Namespace{l.near, l.far} {
		if ns != nil {
			errs = append(errs, ns.close())
		}
	}
	return errors.Join(errs...)
}
