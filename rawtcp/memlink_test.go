package rawtcp

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// write sends packets to dst, or fails the test.
func write(t *testing.T, l Link, dst netip.Addr, pkts ...[]byte) {
	t.Helper()
	out := make([]Outgoing, len(pkts))
	for i, p := range pkts {
		out[i] = Outgoing{Dst: dst, Header: p[:len(p)/2], Payload: p[len(p)/2:]}
	}
	if n, err := l.WriteBatch(out); n != len(out) || err != nil {
		t.Fatalf("WriteBatch took %d of %d packets: %v", n, len(out), err)
	}
}

// read waits for as many packets, or fails the test when they do not come.
func read(t *testing.T, l Link, count int) [][]byte {
	t.Helper()
	var pkts [][]byte
	watchdog := time.AfterFunc(10*time.Second, func() { l.Close() })
	defer watchdog.Stop()
	for len(pkts) < count {
		bufs := make([][]byte, count-len(pkts))
		for i := range bufs {
			bufs[i] = make([]byte, 0, 1<<16)
		}
		n, err := l.ReadBatch(bufs)
		if err != nil {
			t.Fatalf("ReadBatch after %d of %d packets: %v", len(pkts), count, err)
		}
		pkts = append(pkts, bufs[:n]...)
	}
	return pkts
}

func TestMemoryPair(t *testing.T) {
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	la, lb := MemoryPair(a, b, 100)
	one, two := []byte("one"), []byte("two")

	write(t, la, b, one, two)
	if diff := cmp.Diff([][]byte{one, two}, read(t, lb, 2)); diff != "" {
		t.Errorf("b did not read what a wrote (-want +got):\n%s", diff)
	}
	write(t, la, a, one)
	if diff := cmp.Diff([][]byte{one}, read(t, la, 1)); diff != "" {
		t.Errorf("a did not read what it wrote to itself (-want +got):\n%s", diff)
	}

	if r, err := la.Route(b); r != (Route{Src: a, MTU: 100}) || err != nil {
		t.Errorf("route to b: %+v, %v", r, err)
	}
	if _, err := la.Route(netip.MustParseAddr("::1")); !errors.Is(err, syscall.ENETUNREACH) {
		t.Errorf("route to an address of the other family: %v", err)
	}

	small, large := Outgoing{Dst: b, Header: one}, Outgoing{Dst: b, Header: one, Payload: make([]byte, 98)}
	if n, err := la.WriteBatch([]Outgoing{small, large, small}); n != 1 || !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("the second packet is larger than the MTU: took %d, %v", n, err)
	}

	la.Close()
	if _, err := la.ReadBatch(make([][]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadBatch after Close: %v", err)
	}
	if _, err := la.WriteBatch([]Outgoing{small}); !errors.Is(err, net.ErrClosed) {
		t.Errorf("WriteBatch after Close: %v", err)
	}
	write(t, lb, a, one) // to nobody
}

func TestMemoryPairDropsWhatNobodyReads(t *testing.T) {
	la, lb := MemoryPair(netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2"), 100)
	for i := range memoryQueue + 1 {
		write(t, la, netip.MustParseAddr("192.0.2.2"), fmt.Append(nil, i))
	}
	last := read(t, lb, memoryQueue)[memoryQueue-1]
	if want := fmt.Sprint(memoryQueue - 1); string(last) != want {
		t.Errorf("the last packet in the queue is number %s, not %s", last, want)
	}
	write(t, la, netip.MustParseAddr("192.0.2.2"), []byte("next"))
	if next := read(t, lb, 1)[0]; string(next) != "next" {
		t.Errorf("the packet too many was read: %s", next)
	}
}

func TestMemoryReserve(t *testing.T) {
	a := netip.MustParseAddr("192.0.2.1")
	l, _ := MemoryPair(a, netip.MustParseAddr("192.0.2.2"), 100)
	any80 := netip.AddrPortFrom(netip.IPv4Unspecified(), 80)

	reserved, guard, err := l.Reserve(any80)
	if reserved != any80 || err != nil {
		t.Fatalf("port 80: %v, %v", reserved, err)
	}
	if _, _, err := l.Reserve(netip.AddrPortFrom(a, 80)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port 80 again: %v", err)
	}
	guard.Close()
	if _, _, err := l.Reserve(any80); err != nil {
		t.Errorf("port 80, freed: %v", err)
	}
	guard.Close() // a second time: it is not the new guard's
	if _, _, err := l.Reserve(any80); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("port 80, freed once only: %v", err)
	}
	if _, _, err := l.Reserve(netip.MustParseAddrPort("192.0.2.9:81")); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("an address of somebody else: %v", err)
	}

	// Port 0 gives every free port once, then none.
	taken := map[uint16]bool{}
	if _, _, err := l.Reserve(netip.AddrPortFrom(a, firstEphemeral+1)); err != nil {
		t.Fatal(err)
	}
	for range 1<<16 - firstEphemeral - 1 {
		reserved, _, err := l.Reserve(netip.AddrPortFrom(a, 0))
		if err != nil || taken[reserved.Port()] || reserved.Port() < firstEphemeral {
			t.Fatalf("after %d ports: %v, %v", len(taken), reserved, err)
		}
		taken[reserved.Port()] = true
	}
	if _, _, err := l.Reserve(netip.AddrPortFrom(a, 0)); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("all ports are taken: %v", err)
	}
}
