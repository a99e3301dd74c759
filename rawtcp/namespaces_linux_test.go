package rawtcp

import (
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The addresses of a twoHosts.
var (
	here4, there4 = netip.MustParseAddr("10.9.0.1"), netip.MustParseAddr("10.9.0.2")
	here6, there6 = netip.MustParseAddr("fd09::1"), netip.MustParseAddr("fd09::2")
	// Link-local, without their zone.
	hereLL, thereLL = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2")
)

// twoHosts is two network namespaces with a cable between them: the test runs
// here, in the first (but not its subtests: they have other threads). The names
// of the cable's ends are "here" and "there". All is gone when the test is.
type twoHosts struct {
	t            *testing.T
	here, beyond netns.NsHandle
}

func newTwoHosts(t *testing.T) *twoHosts {
	t.Helper()
	needRoot(t)
	// Never unlocked: the thread ends with the test, and with it the namespace.
	runtime.LockOSThread()
	h := &twoHosts{t: t}
	namespace := func() netns.NsHandle {
		ns, err := netns.New() // enters it
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ns.Close() })
		up(t, "lo")
		return ns
	}
	h.beyond = namespace()
	h.here = namespace()
	err := netlink.LinkAdd(&netlink.Veth{
		LinkAttrs:     netlink.LinkAttrs{Name: "here"},
		PeerName:      "there",
		PeerNamespace: netlink.NsFd(h.beyond),
	})
	if err != nil {
		t.Fatal(err)
	}
	address(t, "here", here4.String()+"/24", here6.String()+"/64", hereLL.String()+"/64")
	h.there(func() {
		address(t, "there", there4.String()+"/24", there6.String()+"/64", thereLL.String()+"/64")
		awaitLocal(t, there6)
	})
	awaitLocal(t, here6)
	return h
}

// there does something in the other namespace.
func (h *twoHosts) there(do func()) {
	h.t.Helper()
	if err := netns.Set(h.beyond); err != nil {
		h.t.Fatal(err)
	}
	defer func() {
		if err := netns.Set(h.here); err != nil {
			h.t.Fatal(err)
		}
	}()
	do()
}

// links are a raw link of each host.
func (h *twoHosts) links() (here, there Link) {
	h.t.Helper()
	here = openLink(h.t)
	h.there(func() {
		there = openLink(h.t)
		// Its sockets belong to the namespace in which they are opened.
		for _, dst := range []netip.Addr{here4, here6} {
			if _, err := there.Route(dst); err != nil {
				h.t.Fatal(err)
			}
		}
	})
	return here, there
}

func openLink(t *testing.T) Link {
	t.Helper()
	l, err := newRawLink()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func up(t *testing.T, name string) netlink.Link {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err == nil {
		err = netlink.LinkSetUp(link)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return link
}

// address brings an interface up with the addresses.
func address(t *testing.T, name string, prefixes ...string) {
	t.Helper()
	link, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	// No further link-local address of the kernel's choice.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/addr_gen_mode", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	for _, p := range prefixes {
		addr, err := netlink.ParseAddr(p)
		if err != nil {
			t.Fatal(err)
		}
		addr.Flags = unix.IFA_F_NODAD // usable at once
		if err := netlink.AddrAdd(link, addr); err != nil {
			t.Fatalf("%s %s: %v", name, p, err)
		}
	}
	up(t, name)
}

// awaitLocal waits until packets to an IPv6 address of ours are delivered here:
// that route comes a moment after the address, when the cable is up.
func awaitLocal(t *testing.T, addr netip.Addr) {
	t.Helper()
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(time.Millisecond) {
		if routes, err := netlink.RouteGet(addr.AsSlice()); err == nil && routes[0].Type == unix.RTN_LOCAL {
			return
		}
	}
	t.Fatalf("the kernel made no route for %v", addr)
}

// needRoot skips the test where it cannot make network namespaces, but not in
// CI, where nothing may go untested.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	missing(t, "this test makes network namespaces: run it as root")
}

func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}
