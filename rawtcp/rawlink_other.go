//go:build !linux

package rawtcp

import (
	"errors"
	"fmt"
	"runtime"
)

// newRawLink fails: elsewhere raw sockets get no copy of TCP segments, or may
// not send them.
func newRawLink() (Link, error) {
	return nil, notHere()
}

func newPacketLink() (Link, error) { return nil, notHere() }

func notHere() error {
	return fmt.Errorf("TCP cannot be done on the raw sockets of %s: use Linux, a container or a virtual machine (%w)",
		runtime.GOOS, errors.ErrUnsupported)
}
