//go:build !linux

package lab

import (
	"errors"
	"net/netip"
)

var errLinux = errors.New("the lab is made of Linux network namespaces: use Linux, or a Linux VM or container")

// Lab is a far end, which only Linux has.
type Lab struct{}

// Enter says that the lab needs Linux.
func Enter() error { return errLinux }

// Start says that the lab needs Linux.
func Start(addr netip.AddrPort, mode Mode, received func(line []byte)) (*Lab, error) {
	return nil, errLinux
}

// Close does nothing.
func (l *Lab) Close() error { return nil }
