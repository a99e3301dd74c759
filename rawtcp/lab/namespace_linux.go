package lab

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Interface is the name of the cable's plug at either end. It is no name that
// the host uses, because package net keeps interface names for a minute and
// knows nothing of namespaces: the zone %eth0 could become the host's.
const Interface = "lab0"

// A Namespace is a network of its own: interfaces, addresses, routes, ports
// and packet filter. It has one interface, Interface, and lo.
type Namespace struct {
	fd   netns.NsHandle
	conn *netlink.Handle // netlink sockets that live in it
}

// newNamespace makes an empty namespace.
func newNamespace() (*Namespace, error) {
	var ns *Namespace
	err := onThread(func() (err error) {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("new network namespace: %w", err)
		}
		ns, err = currentNamespace()
		return err
	})
	return ns, err
}

// currentNamespace is the one that the calling thread is in.
func currentNamespace() (*Namespace, error) {
	fd, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("this network namespace: %w", err)
	}
	conn, err := netlink.NewHandleAt(fd, unix.NETLINK_ROUTE)
	if err != nil {
		fd.Close()
		return nil, fmt.Errorf("netlink: %w", err)
	}
	return &Namespace{fd, conn}, nil
}

func (ns *Namespace) close() error {
	ns.conn.Close()
	return ns.fd.Close()
}

// onThread runs f on a thread of its own, which ends with it: what f did to
// the thread stays with f.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

// Do runs f on a thread in the namespace. A socket that f's own goroutine
// makes lives there for good, and may be used from anywhere afterwards.
// Goroutines that f starts are not in the namespace.
func (ns *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := netns.Set(ns.fd); err != nil {
			return fmt.Errorf("enter network namespace: %w", err)
		}
		return f()
	})
}

// Command is exec.Command for a program that runs in the namespace.
func (ns *Namespace) Command(name string, args ...string) *exec.Cmd {
	// nsenter becomes the program: same process, same exit code.
	path := fmt.Sprintf("--net=/proc/%d/fd/%d", os.Getpid(), ns.fd)
	return exec.Command("nsenter", append([]string{path, "--", name}, args...)...)
}

// Run runs a program in the namespace to its end and returns what it printed.
// The error has that too.
func (ns *Namespace) Run(name string, args ...string) (string, error) {
	return run(ns.Command(name, args...))
}

func run(cmd *exec.Cmd) (string, error) {
	out, err := cmd.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, out)
	}
	return string(out), err
}

// Nft gives the namespace's packet filter the commands in script.
func (ns *Namespace) Nft(script string) error {
	cmd := ns.Command("nft", "-f", "-")
	cmd.Stdin = strings.NewReader(script)
	_, err := run(cmd)
	return err
}

// Drop loses percent (0 to 100) of the TCP packets that arrive over the cable,
// at random, before any socket sees them. It replaces the percentage set
// before. A packet here may be many segments, see Offloads.
func (ns *Namespace) Drop(percent int) error {
	return ns.Nft(fmt.Sprintf(`
		table inet loss
		delete table inet loss
		table inet loss {
			chain arriving {
				type filter hook prerouting priority raw
				iifname %q meta l4proto tcp numgen random mod 100 < %d drop
			}
		}`, Interface, percent))
}

// SetMTU sets the largest IP packet of this end of the cable, in octets.
func (ns *Namespace) SetMTU(mtu int) error {
	link, err := ns.conn.LinkByName(Interface)
	if err != nil {
		return err
	}
	return ns.conn.LinkSetMTU(link, mtu)
}

// Offloads switches on or off what makes this end of the cable carry packets
// that are larger than the MTU or have no full checksum yet. All but GRO is on
// to begin with. Switched off at both ends, what arrives is what a real wire
// carries.
func (ns *Namespace) Offloads(on bool) error {
	set := map[bool]string{true: "on", false: "off"}[on]
	_, err := ns.Run("ethtool", "-K", Interface, "tx", set, "rx", set, "sg", set, "tso", set, "gso", set, "gro", set)
	return err
}

// join lays a cable between two namespaces and brings both ends up. Its plug at
// the far end has a name of its own.
func join(near, far *Namespace, plug string) error {
	cable := &netlink.Veth{
		LinkAttrs: netlink.NewLinkAttrs(),
		PeerName:  plug, PeerNamespace: netlink.NsFd(far.fd),
	}
	cable.Name = Interface
	if err := near.conn.LinkAdd(cable); err != nil {
		return fmt.Errorf("make a veth pair: %w", err)
	}
	ends := []struct {
		*Namespace
		plug string
	}{{near, Interface}, {far, plug}}
	for _, end := range ends {
		if err := end.up(end.plug); err != nil {
			return err
		}
	}
	for _, end := range ends {
		err := await(end.plug+" does not come up", func() bool {
			link, err := end.conn.LinkByName(end.plug)
			return err == nil && link.Attrs().OperState == netlink.OperUp
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// up brings lo and another interface up.
func (ns *Namespace) up(other string) error {
	for _, name := range []string{"lo", other} {
		link, err := ns.conn.LinkByName(name)
		if err != nil {
			return err
		}
		if name == other {
			// The link-local address that the kernel would choose is usable only
			// after a second of duplicate detection. Where there is no IPv6 this
			// fails, and so will adding an IPv6 address, if one is asked for.
			_ = ns.conn.LinkSetIP6AddrGenMode(link, nl.IN6_ADDR_GEN_MODE_NONE)
		}
		if err := ns.conn.LinkSetUp(link); err != nil {
			return fmt.Errorf("bring %s up: %w", name, err)
		}
	}
	return nil
}

// await waits for what the kernel does in the background, which takes it
// milliseconds. If it never comes about, the error says so with problem.
func await(problem string, done func() bool) error {
	for start := time.Now(); !done(); time.Sleep(time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			return errors.New(problem)
		}
	}
	return nil
}

// addAddress gives this end of the cable an address, usable at once, and the
// route that comes with it: to the address's network or, if peer is valid, to
// that address alone.
func (ns *Namespace) addAddress(local netip.Prefix, peer netip.Addr) error {
	link, err := ns.conn.LinkByName(Interface)
	if err != nil {
		return err
	}
	addr := &netlink.Addr{IPNet: ipNet(local)}
	if peer.IsValid() {
		addr.Peer = ipNet(netip.PrefixFrom(peer, peer.BitLen()))
	}
	if local.Addr().Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	if err := ns.conn.AddrAdd(link, addr); err != nil {
		return fmt.Errorf("add address %v: %w", local, err)
	}
	// The routes of an IPv6 address come a moment later.
	return await(fmt.Sprintf("the kernel made no route for %v", local), func() bool {
		return ns.routed(local.Addr(), peer)
	})
}

// routed tells whether packets to local are delivered here, and packets to
// peer, if it is valid, have a way.
func (ns *Namespace) routed(local, peer netip.Addr) bool {
	routes, err := ns.conn.RouteGet(local.AsSlice())
	if err != nil || routes[0].Type != unix.RTN_LOCAL {
		return false
	}
	if peer.IsValid() {
		_, err = ns.conn.RouteGet(peer.AsSlice())
	}
	return err == nil
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
