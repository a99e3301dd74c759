package rawtcp

import (
	"context"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

var (
	addrA = netip.MustParseAddr("192.0.2.1")
	addrB = netip.MustParseAddr("192.0.2.2")
)

// hosts are two machines with nothing but a memory between them.
func hosts(t *testing.T) (a, b *Host) {
	la, lb := MemoryPair(addrA, addrB, 1500)
	return hostsOn(t, la, lb)
}

func hostsOn(t *testing.T, la, lb Link) (a, b *Host) {
	a, b = NewHost(la), NewHost(lb)
	t.Cleanup(func() {
		a.Close()
		b.Close()
	})
	return a, b
}

// connected opens a connection from one host to another.
func connected(a, b *Host, network, address string) (c, s net.Conn, stop func(), err error) {
	l, err := (&ListenConfig{Host: b}).Listen(context.Background(), network, address)
	if err != nil {
		return nil, nil, nil, err
	}
	defer l.Close()
	if c, err = (&Dialer{Host: a}).Dial(network, l.Addr().String()); err != nil {
		return nil, nil, nil, err
	}
	if s, err = l.Accept(); err != nil {
		return nil, nil, nil, err
	}
	return c, s, func() { c.Close(); s.Close() }, nil
}

func TestConnOverMemory(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := hosts(t)
		return connected(a, b, "tcp", "192.0.2.2:0")
	})
}

// What was closed leaves no timer behind.
func TestCloseEndsDeadlines(t *testing.T) {
	for name, end := range map[string]func(*Conn){"Close": func(c *Conn) { c.Close() }, "Abort": (*Conn).Abort} {
		clients, _ := pairs(t, 1)
		c := clients[0]
		c.SetDeadline(time.Now().Add(time.Hour))
		end(c)
		if c.readBy.timer.Stop() || c.writeBy.timer.Stop() {
			t.Errorf("%s: a timer runs on", name)
		}
	}
}
