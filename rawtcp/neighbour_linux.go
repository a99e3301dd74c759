package rawtcp

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routes is the kernel's knowledge of where packets leave and who takes them
// first. It asks once, and again when the kernel tells of a change.
type routes struct {
	kernel *netlink.Handle
	news   int // a netlink socket
	known  map[journey]*way
}

// A journey is from where to where, with the zone of a link-local destination.
type journey struct{ src, dst netip.Addr }

// A way is the first step of a journey.
type way struct {
	index     int // of the Ethernet interface; 0: it is none
	mtu       int
	own       net.HardwareAddr
	neighbour net.HardwareAddr // nil: the kernel has to find it
	stale     bool             // the kernel doubts it, and will ask if somebody uses it
}

// mostKnown bounds the journeys that are remembered.
const mostKnown = 4096

func (r *routes) open() error {
	kernel, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return os.NewSyscallError("netlink", err)
	}
	news, err := openNews(unix.RTNLGRP_NEIGH)
	if err != nil {
		kernel.Close()
		return err
	}
	r.kernel, r.news, r.known = kernel, news, make(map[journey]*way)
	return nil
}

func (r *routes) close() {
	r.kernel.Close()
	unix.Close(r.news)
}

// heed forgets what it knows when the kernel tells of any change.
func (r *routes) heed() {
	if heard(r.news) {
		clear(r.known)
	}
}

// find is the way of a journey. That it leads where no packet socket can send is
// an error.
func (r *routes) find(src, dst netip.Addr) (*way, error) {
	if w := r.known[journey{src, dst}]; w != nil {
		return w, nil
	}
	w, err := r.ask(src, dst)
	if err != nil {
		return nil, err
	}
	if len(r.known) >= mostKnown {
		clear(r.known)
	}
	r.known[journey{src, dst}] = w
	return w, nil
}

// to is the way of a packet that leaves now.
func (r *routes) to(src, dst netip.Addr) *way {
	w, err := r.find(src, dst)
	if err != nil {
		return &way{}
	}
	if w.stale {
		// To tell the kernel so takes CAP_NET_ADMIN. But it sees what the raw
		// socket sends, and asks for the neighbour if no answer confirms it
		// (RFC 4861, section 7.3; for ARP alike).
		w.stale = false
		return &way{}
	}
	return w
}

// ask asks the kernel for a way.
func (r *routes) ask(src, dst netip.Addr) (*way, error) {
	zone, err := zoneIndex(r.news, dst.Zone())
	if err != nil {
		return nil, err
	}
	found, err := r.kernel.RouteGetWithOptions(dst.AsSlice(), &netlink.RouteGetOptions{SrcAddr: src.AsSlice(), OifIndex: int(zone)})
	if err == nil && len(found) == 0 {
		err = unix.ENETUNREACH
	}
	if err != nil {
		return nil, os.NewSyscallError("netlink RTM_GETROUTE", err)
	}
	link, err := r.kernel.LinkByIndex(found[0].LinkIndex)
	if err != nil {
		return nil, os.NewSyscallError("netlink RTM_GETLINK", err)
	}
	device := link.Attrs()
	switch device.EncapType {
	case "ether":
	case "loopback": // where IPv4 takes no packet from a packet socket: its route is unknown
		return &way{}, nil
	default:
		return nil, fmt.Errorf("the way to %v is through %s, which is no Ethernet (%s): a packet socket cannot send there, a raw one can", dst, device.Name, device.EncapType)
	}
	next, family := dst.AsSlice(), unix.AF_INET
	if dst.Is6() {
		family = unix.AF_INET6
	}
	if gw := found[0].Gw; gw != nil {
		next = gw
	}
	neighbours, err := r.kernel.NeighListExecute(netlink.Ndmsg{Family: uint8(family), Index: uint32(device.Index)})
	if err != nil {
		return nil, os.NewSyscallError("netlink RTM_GETNEIGH", err)
	}
	w := &way{index: device.Index, mtu: device.MTU, own: device.HardwareAddr}
	if mtu := found[0].MTU; mtu > 0 {
		w.mtu = min(w.mtu, mtu)
	}
	const confirmed = netlink.NUD_REACHABLE | netlink.NUD_DELAY | netlink.NUD_PROBE | netlink.NUD_PERMANENT | netlink.NUD_NOARP
	for _, n := range neighbours {
		if n.IP.Equal(next) && n.State&(confirmed|netlink.NUD_STALE) != 0 && len(n.HardwareAddr) == 6 {
			w.neighbour, w.stale = n.HardwareAddr, n.State&netlink.NUD_STALE != 0
		}
	}
	return w, nil
}
