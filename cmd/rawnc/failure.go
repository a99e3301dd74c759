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
func explainDial(err error, target destination, o *options) error {
	var (
		dns  *net.DNSError
		addr *net.AddrError
		icmp *stack.ICMPError
		call *os.SyscallError
	)
	why := unwrapOp(err)
	bind := errors.As(err, &call) && call.Syscall == "bind"
	switch {
	case errors.Is(err, rawtcp.ErrPermission):
		return why
	case errors.As(err, &dns):
		return explainName(dns, o.network)
	case errors.As(err, &addr) && addr.Addr == target.host && o.network != "tcp": // a name
		return wrongFamily(target.host, o.network)
	case errors.As(err, &addr):
		return fmt.Errorf("cannot connect to %s: %s is %s", target, addr.Addr, addr.Err)
	case errors.As(err, &icmp):
		return fmt.Errorf("%s is unreachable: ICMP \"%v\", says %v: %s", target, icmp.Kind, icmp.From, icmpAdvice(icmp))
	case errors.Is(err, stack.ErrRefused):
		return fmt.Errorf("%s refused the connection: its host answered the SYN with RST, so it is up, but nothing listens on that port; check the port and whether the server runs", target)
	case errors.Is(err, stack.ErrTimeout):
		return fmt.Errorf("%s: %v; the host is down, or a firewall swallows the SYN or the answer", target, why)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use on this machine: choose another with -p, or leave -p out", o.local.Port())
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("-s %v is not an address of this machine: see ip address", o.local.Addr())
	case bind && errors.Is(err, syscall.EACCES):
		return privilegedPort(o.local.Port())
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return fmt.Errorf("no route to %s: this machine has no way there; see ip route get %s, and whether the network is up", target, target.host)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("cannot connect to %s: it is a broadcast address, or a route of this machine forbids it: see ip route get %s", target, target.host)
	case errors.Is(err, syscall.EPERM):
		return fmt.Errorf("this machine does not let packets to %s out (%w): a rule of its own firewall forbids it; see nft list ruleset", target, why)
	}
	return fmt.Errorf("cannot connect to %s: %w", target, why)
}

// explainName says why a name gives no address.
func explainName(dns *net.DNSError, network string) error {
	switch {
	case dns.IsNotFound && network != "tcp" && resolves(dns.Name):
		return wrongFamily(dns.Name, network)
	case dns.IsTimeout:
		return fmt.Errorf("host %s: the name server does not answer: check the network, or give the address", dns.Name)
	case dns.IsNotFound:
		return fmt.Errorf("unknown host %s: no name server knows it; check the spelling, or give the address", dns.Name)
	}
	return fmt.Errorf("host %s cannot be looked up: %s; check the network, or give the address", dns.Name, dns.Err)
}

func resolves(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	return err == nil
}

func wrongFamily(name, network string) error {
	v := network[len("tcp"):]
	return fmt.Errorf("host %s has no IPv%s address, and -%s asks for one: leave -%s out", name, v, v, v)
}

func privilegedPort(port uint16) error {
	return fmt.Errorf("port %d needs a privilege (CAP_NET_BIND_SERVICE): choose one above 1023, or give the program both: 'setcap cap_net_raw,cap_net_bind_service+ep'", port)
}

func icmpAdvice(e *stack.ICMPError) string {
	switch e.Kind {
	case stack.ICMPNetUnreachable:
		return "a router on the way knows no route to that network; check the address"
	case stack.ICMPHostUnreachable:
		return "nobody there has that address, or the host is down; check both"
	case stack.ICMPPortUnreachable:
		return "the host is up, but turns that port away, as a firewall's reject does; check the port"
	case stack.ICMPProtocolUnreachable:
		return "the host does not speak TCP"
	case stack.ICMPAdminProhibited:
		return "a firewall forbids it; ask who runs that network"
	case stack.ICMPTimeExceeded:
		return "the packet did not get there within its time to live: there is a routing loop, or --ttl is too small"
	}
	return "check the address"
}

// explainEnd says why an open connection ended badly, if it did.
func explainEnd(err error) error {
	var icmp *stack.ICMPError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ECONNRESET):
		return errors.New("the peer reset the connection (RST): it ended at once, and what the peer had not read or acknowledged is lost")
	case errors.Is(err, stack.ErrIdle):
		return errors.New("the peer acknowledged our FIN but never sent its own")
	case errors.As(err, &icmp):
		return fmt.Errorf("the peer answers no more: ICMP \"%v\", says %v: %s", icmp.Kind, icmp.From, icmpAdvice(icmp))
	case errors.Is(err, stack.ErrTimeout):
		return errors.New("the peer answers no more: what was sent again and again was never acknowledged; it or the network is gone")
	}
	return fmt.Errorf("the connection ended: %w", unwrapOp(err))
}

// explainListen says why nobody can listen, and what to do.
func explainListen(err error, at destination, o *options) error {
	var dns *net.DNSError
	switch {
	case errors.Is(err, rawtcp.ErrPermission):
		return unwrapOp(err)
	case errors.As(err, &dns):
		return explainName(dns, o.network)
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("port %d is in use on this machine: see ss -ltnp for who listens there, or choose another port", at.port)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is not an address of this machine: see ip address", at.host)
	case errors.Is(err, syscall.EACCES):
		return privilegedPort(at.port)
	}
	return fmt.Errorf("cannot listen on port %d: %w", at.port, unwrapOp(err))
}

// unwrapOp drops the part of an error that names the addresses once more.
func unwrapOp(err error) error {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err
	}
	return err
}
