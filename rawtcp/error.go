package rawtcp

import (
	"errors"
	"net"
	"syscall"

	"rawnc/stack"
)

func (c *Conn) opError(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// cause puts an error of the stack into the words of package net. Who timed
// out is told what the network last said, if it said anything.
func (c *Conn) cause(err error) error {
	switch {
	case c.linkErr != nil:
		return c.linkErr
	case errors.Is(err, stack.ErrTimeout) && c.tcp.SoftError() != nil:
		err = c.tcp.SoftError()
	case errors.Is(err, stack.ErrTimeout) && c.sendErr != nil:
		return c.sendErr
	}
	return &tcpError{err, errnoOf(err)}
}

func errnoOf(err error) syscall.Errno {
	var icmp *stack.ICMPError
	switch {
	case errors.As(err, &icmp):
		switch icmp.Kind {
		case stack.ICMPNetUnreachable:
			return syscall.ENETUNREACH
		case stack.ICMPPortUnreachable:
			return syscall.ECONNREFUSED
		}
		return syscall.EHOSTUNREACH
	case errors.Is(err, stack.ErrRefused):
		return syscall.ECONNREFUSED
	case errors.Is(err, stack.ErrReset):
		return syscall.ECONNRESET
	case errors.Is(err, stack.ErrTimeout), errors.Is(err, stack.ErrIdle):
		return syscall.ETIMEDOUT
	case errors.Is(err, stack.ErrClosing):
		return syscall.EPIPE
	case errors.Is(err, stack.ErrAborted):
		return syscall.ECONNABORTED
	}
	return syscall.ENOTCONN
}

// tcpError is an error of the stack that is also the system's error number.
type tcpError struct {
	error
	errno syscall.Errno
}

func (e *tcpError) Unwrap() []error { return []error{e.error, e.errno} }

// Timeout and Temporary make it a net.Error.
func (e *tcpError) Timeout() bool   { return e.errno == syscall.ETIMEDOUT }
func (e *tcpError) Temporary() bool { return false }
