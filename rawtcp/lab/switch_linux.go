package lab

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

// A Switch joins any number of hosts: each can send to each, in whose name it
// likes.
type Switch struct {
	Hosts  []*Host // 192.0.2.1 and 2001:db8::1 are the first's, and so on
	bridge *Namespace
}

// NewSwitch makes n hosts and the switch between them. It needs what NewPair
// needs.
func NewSwitch(n int) (*Switch, error) {
	s := new(Switch)
	err := s.wire(n)
	if err != nil {
		s.Close()
		return nil, needsRoot(err)
	}
	return s, nil
}

func (s *Switch) wire(n int) (err error) {
	if s.bridge, err = newNamespace(); err != nil {
		return err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = Interface
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := s.bridge.conn.LinkAdd(bridge); err != nil {
		return err
	}
	if err := s.bridge.up(Interface); err != nil {
		return err
	}
	for i := range n {
		h := host(byte(i + 1))
		if h.Namespace, err = newNamespace(); err != nil {
			return err
		}
		s.Hosts = append(s.Hosts, h)
		port := fmt.Sprintf("port%d", i+1)
		if err := join(h.Namespace, s.bridge, port); err != nil {
			return err
		}
		link, err := s.bridge.conn.LinkByName(port)
		if err != nil {
			return err
		}
		if err := s.bridge.conn.LinkSetMaster(link, bridge); err != nil {
			return err
		}
		if err := h.addAddresses(); err != nil {
			return err
		}
	}
	return nil
}

// Close lets go of the namespaces, as a Pair's does.
func (s *Switch) Close() error {
	var errs []error
	for _, h := range s.Hosts {
		errs = append(errs, h.close())
	}
	if s.bridge != nil {
		errs = append(errs, s.bridge.close())
	}
	return errors.Join(errs...)
}
