package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// explainDial says why no connection came about, and what to do.
func explainDial(err error, target string, o *options, r *recorder, took time.Duration) error {
	var (
		op   *net.OpError
		dns  *net.DNSError
		addr *net.AddrError
		icmp *stack.ICMPError
	)
	errors.As(err, &op)
	switch {
	case errors.Is(err, rawtcp.ErrPermission):
		return unwrapOp(err)
	case errors.As(err, &dns):
		return fmt.Errorf("unknown host %s: %s; check the spelling, or give the address", dns.Name, dns.Err)
	case errors.As(err, &addr):
		return fmt.Errorf("cannot connect to %s: %s: %s", target, addr.Addr, addr.Err)
	case errors.As(err, &icmp):
		return fmt.Errorf("%s is unreachable: %v answered the SYN with ICMP %q; %s", target, icmp.From, icmp.Kind, icmpAdvice(icmp))
	case errors.Is(err, stack.ErrRefused):
		return fmt.Errorf("%s refused the connection: its host answered the SYN with RST, so it is up, but nothing listens on that port; check the port and whether the server runs", target)
	case errors.Is(err, stack.ErrTimeout):
		syns := 0
		if a, ok := op.Addr.(*net.TCPAddr); ok {
			syns = r.sentSYNs(a.AddrPort())
		}
		return fmt.Errorf("no answer from %s: %s in %s and nothing came back; the host is down, or a firewall swallows the SYN or the answer", target, times(syns, "SYN"), took.Round(100*time.Millisecond))
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use on this machine: choose another with -p, or leave -p out", o.local.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("-s %v is not an address of this machine: see ip address", o.local.Addr())
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fmt.Errorf("no route to %s: this machine has no way there; see ip route, and whether the network is up", target)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this machine refuses to send to %s: %w; a firewall rule of its own forbids it", target, unwrapOp(err))
	}
	return fmt.Errorf("cannot connect to %s: %w", target, unwrapOp(err))
}

func times(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func icmpAdvice(e *stack.ICMPError) string {
	switch e.Kind {
	case stack.ICMPNetUnreachable:
		return "a router on the way knows no route to that network"
	case stack.ICMPHostUnreachable:
		return "the last network is reached, but nobody there has that address, or the host is down"
	case stack.ICMPPortUnreachable:
		return "the host is up, but turns that port away, as a firewall's reject does"
	case stack.ICMPProtocolUnreachable:
		return "the host does not speak TCP"
	case stack.ICMPAdminProhibited:
		return "a firewall forbids it: ask who runs that network"
	case stack.ICMPTimeExceeded:
		return "the packet did not get there within its time to live: there is a routing loop, or --ttl is too small"
	}
	return "check the address"
}

// explainEnd says why an open connection ended badly.
func explainEnd(err error) error {
	switch {
	case errors.Is(err, syscall.ECONNRESET):
		return errors.New("the peer reset the connection (RST): it ended it at once and wants no more; what was sent and not acknowledged is lost")
	case errors.Is(err, stack.ErrIdle):
		return errors.New("the peer acknowledged our FIN but never sent its own")
	case errors.Is(err, stack.ErrTimeout):
		return errors.New("the peer answers no more: what was sent again and again was never acknowledged; it or the network is gone")
	}
	return unwrapOp(err)
}

// unwrapOp drops the part of an error that names the addresses once more.
func unwrapOp(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}

// interruptedDial turns the context's end into the exit code of the signal.
func interruptedDial(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errTerminated) {
		fmt.Fprintln(os.Stderr, "rawnc: terminated before the connection was open")
		return exitCode(exitTerminated)
	}
	fmt.Fprintln(os.Stderr, "rawnc: interrupted before the connection was open")
	return exitCode(exitInterrupted)
}
