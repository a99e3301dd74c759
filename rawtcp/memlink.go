package rawtcp

import (
	"io"
	"net/netip"
	"sync"
	"syscall"
)

// memoryQueue is how many packets wait for a reader of a memory link. What
// comes beyond that is dropped, as a network does.
const memoryQueue = 1024

// MemoryPair returns two links in memory with the addresses a and b, of one
// family: what one writes, the other reads. A packet to a link's own address
// comes back to it; any other destination lies at the far end. The mtu is in
// octets.
func MemoryPair(a, b netip.Addr, mtu int) (Link, Link) {
	la, lb := newMemory(a, mtu), newMemory(b, mtu)
	la.peer, lb.peer = lb, la
	return la, lb
}

// A memory is one end of a pair. Its queue holds what it has to read.
type memory struct {
	*queue
	addr netip.Addr
	mtu  int
	peer *memory

	mu    sync.Mutex
	ports map[uint16]bool // the reserved ones
	next  uint16          // where the search for a free one goes on
}

// firstEphemeral is the first port that Reserve picks (RFC 6335, section 6).
const firstEphemeral = 49152

func newMemory(addr netip.Addr, mtu int) *memory {
	return &memory{queue: newQueue(memoryQueue), addr: addr, mtu: mtu, ports: make(map[uint16]bool), next: firstEphemeral}
}

func (m *memory) WriteBatch(pkts []Outgoing) (int, error) {
	if err := m.ending(); err != nil {
		return 0, err
	}
	for i, p := range pkts {
		if len(p.Header)+len(p.Payload) > m.mtu {
			return i, syscall.EMSGSIZE
		}
		to := m.peer
		if p.Dst == m.addr {
			to = m
		}
		select {
		case to.packets <- to.packet(p.Header, p.Payload):
		default:
		}
	}
	return len(pkts), nil
}

func (m *memory) Route(dst netip.Addr) (Route, error) {
	if dst.Is4() != m.addr.Is4() {
		return Route{}, syscall.ENETUNREACH
	}
	return Route{Src: m.addr, MTU: m.mtu}, nil
}

func (m *memory) Reserve(local netip.AddrPort) (netip.AddrPort, io.Closer, error) {
	addr, port := local.Addr(), local.Port()
	if addr.Is4() != m.addr.Is4() || addr != m.addr && !addr.IsUnspecified() {
		return netip.AddrPort{}, nil, syscall.EADDRNOTAVAIL
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for tries := 1<<16 - firstEphemeral; port == 0 && tries > 0; tries-- {
		if !m.ports[m.next] {
			port = m.next
		}
		m.next = max(m.next+1, firstEphemeral) // behind 65535 comes 0
	}
	if port == 0 || m.ports[port] {
		return netip.AddrPort{}, nil, syscall.EADDRINUSE
	}
	m.ports[port] = true
	return netip.AddrPortFrom(addr, port), &memoryGuard{m: m, port: port}, nil
}

// A memoryGuard holds a port until it is closed.
type memoryGuard struct {
	m    *memory
	port uint16
	once sync.Once
}

func (g *memoryGuard) Close() error {
	g.once.Do(func() {
		g.m.mu.Lock()
		defer g.m.mu.Unlock()
		delete(g.m.ports, g.port)
	})
	return nil
}
