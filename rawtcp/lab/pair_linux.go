package lab

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A Pair is two namespaces with a cable between them.
type Pair struct{ A, B *Host }

// A Host is one end of a Pair.
type Host struct {
	*Namespace
	IPv4      netip.Addr // 192.0.2.1 is A's, 192.0.2.2 is B's
	IPv6      netip.Addr // 2001:db8::1 and 2001:db8::2
	LinkLocal netip.Addr // fe80::1 and fe80::2, with the zone that either end calls it by
}

// NewPair makes a Pair whose addresses are usable at once. It needs
// CAP_SYS_ADMIN and CAP_NET_ADMIN: root, or root inside a user namespace.
func NewPair() (*Pair, error) {
	p := &Pair{host(1), host(2)}
	for _, h := range []*Host{p.A, p.B} {
		ns, err := newNamespace()
		if err != nil {
			p.Close()
			return nil, needsRoot(err)
		}
		h.Namespace = ns
	}
	if err := p.wire(); err != nil {
		p.Close()
		return nil, needsRoot(err)
	}
	return p, nil
}

func host(n byte) *Host {
	return &Host{
		IPv4:      netip.AddrFrom4([4]byte{192, 0, 2, n}),
		IPv6:      netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 15: n}),
		LinkLocal: netip.AddrFrom16([16]byte{0xfe, 0x80, 15: n}).WithZone(Interface),
	}
}

func (p *Pair) wire() error {
	if err := join(p.A.Namespace, p.B.Namespace, Interface); err != nil {
		return err
	}
	for _, h := range []*Host{p.A, p.B} {
		if err := h.addAddresses(); err != nil {
			return err
		}
	}
	return nil
}

// Address is the host's address of a family.
func (h *Host) Address(v6 bool) netip.Addr {
	if v6 {
		return h.IPv6
	}
	return h.IPv4
}

// addAddresses makes the host's addresses usable.
func (h *Host) addAddresses() error {
	for _, addr := range []netip.Prefix{
		netip.PrefixFrom(h.IPv4, 24),
		netip.PrefixFrom(h.IPv6, 64),
		netip.PrefixFrom(h.LinkLocal.WithZone(""), 64),
	} {
		if err := h.addAddress(addr, netip.Addr{}); err != nil {
			return err
		}
	}
	return nil
}

func needsRoot(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: run this as root", err)
	}
	return err
}

// Close lets go of the namespaces. The kernel removes them when the last
// socket and process in them has ended.
func (p *Pair) Close() error {
	var errs []error
	for _, h := range []*Host{p.A, p.B} {
		if h.Namespace != nil {
			errs = append(errs, h.close())
		}
	}
	return errors.Join(errs...)
}
