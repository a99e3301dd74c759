package rawtcp

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// MUST-48, MUST-49, SHLD-21, SHLD-22: the DSCP and the TTL of each side are what its
// application says, in every packet, and may change on the way.
func TestDSCPAndTTL(t *testing.T) {
	a, b := hosts(t)
	type field struct{ tos, ttl uint8 }
	var mu sync.Mutex
	seen := map[netip.Addr]map[field]int{addrA: {}, addrB: {}}
	tap := func(e *Event) {
		var p wire.Packet
		if err := wire.Parse(e.Packet, &p); err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		if !e.Sent { // told before its octets can be read, or its ACK be seen
			seen[p.Src][field{p.TOS, p.TTL}]++
		}
	}
	expect := func(from netip.Addr, want field) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		if n := seen[from]; n[want] == 0 || len(n) != 1 {
			t.Errorf("%v sent packets with %v, want all with %v", from, n, want)
		}
		clear(seen[from])
	}
	l, err := (&ListenConfig{Host: b, Tap: tap, TOS: 0x28, TTL: 33}).Listen(t.Context(), "tcp", "192.0.2.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nc, err := (&Dialer{Host: a, Tap: tap, TOS: 0xb8}).Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := nc.(*Conn)
	ns, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	s := ns.(*Conn)
	say := func(from, to *Conn) {
		t.Helper()
		from.Write([]byte("x"))
		if _, err := io.ReadFull(to, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if err := from.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	say(c, s)
	say(s, c)
	expect(addrA, field{0xb8, 64})
	expect(addrB, field{0x28, 33})
	c.SetTOS(0x20)
	c.SetTTL(3)
	say(c, s)
	say(s, c)
	expect(addrA, field{0x20, 3})
	expect(addrB, field{0x28, 33})
	c.SetTTL(0)
	say(c, s)
	expect(addrA, field{0x20, 64})
}

// MUST-43: a local address for an active OPEN and for a passive one, which then takes
// what comes to it and nothing else; or none, and then what the peer asked for.
func TestOpenWithLocalAddress(t *testing.T) {
	a, b := hosts(t)
	from := netip.AddrPortFrom(addrA, 4711)
	for _, address := range []string{"192.0.2.2:0", ":0"} {
		l, err := (&ListenConfig{Host: b}).Listen(t.Context(), "tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		to := netip.AddrPortFrom(addrB, l.Addr().(*net.TCPAddr).AddrPort().Port())
		c, err := (&Dialer{Host: a, LocalAddr: from}).Dial("tcp", to.String())
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if c.LocalAddr().String() != from.String() || s.RemoteAddr().String() != from.String() || s.LocalAddr().String() != to.String() {
			t.Errorf("from %v, as the peer says %v, to %v; want %v and %v", c.LocalAddr(), s.RemoteAddr(), s.LocalAddr(), from, to)
		}
		c.(*Conn).Abort()
		s.(*Conn).Abort()
		l.Close()
	}
	other := netip.MustParseAddrPort("192.0.2.99:0")
	if _, err := (&ListenConfig{Host: b}).Listen(t.Context(), "tcp", other.String()); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("a listener at an address that is not ours: %v", err)
	}
	if _, err := (&Dialer{Host: a, LocalAddr: other}).Dial("tcp", "192.0.2.2:80"); !errors.Is(err, syscall.EADDRNOTAVAIL) {
		t.Errorf("from an address that is not ours: %v", err)
	}
}

// MUST-20, MUST-47: a peer that is silent is reported long before it is given up, and
// the newest report of each kind waits for who asks.
func TestUnansweredIsReported(t *testing.T) {
	a, b := hosts(t)
	c, _, stop, err := connected(a, b, "tcp", "192.0.2.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	conn := c.(*Conn)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn.Adjust(func(cfg *stack.Config) { cfg.R1 = 2 }) // a tail loss probe, and a timeout
	b.mu.Lock()                                         // the peer's host stands still
	conn.Write([]byte("x"))
	r, err := conn.Report(ctx)
	b.mu.Unlock()
	if err != nil || r.Kind != stack.ReportUnanswered || r.Retransmissions != 2 {
		t.Errorf("reported %+v, %v", r, err)
	}
	a.mu.Lock()
	conn.reported(stack.Report{Kind: stack.ReportUrgent, Urgent: 1})
	conn.reported(stack.Report{Kind: stack.ReportUserTimeout})
	conn.reported(stack.Report{Kind: stack.ReportUrgent, Urgent: 2})
	a.mu.Unlock()
	for _, want := range []stack.Report{{Kind: stack.ReportUserTimeout}, {Kind: stack.ReportUrgent, Urgent: 2}} {
		if r, err := conn.Report(ctx); r != want || err != nil {
			t.Errorf("reported %+v, %v, want %+v", r, err, want)
		}
	}
}

// Urgent data are reported though the send buffer is full, and nothing else is
// to be done; to one who does not read the link himself, too.
func TestReportWhileTheSendBufferIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, servers := pairs(t, 2)
		lead := reading(servers[1])
		go servers[0].Write(make([]byte, 16<<20)) // nobody reads it
		time.Sleep(time.Second)
		reported := make(chan stack.Report, 1)
		go func() {
			r, _ := servers[0].Report(t.Context())
			reported <- r
		}()
		synctest.Wait()
		if _, err := clients[0].WriteUrgent([]byte("!")); err != nil {
			t.Fatal(err)
		}
		if r := <-reported; r.Kind != stack.ReportUrgent || r.Urgent != 1 {
			t.Errorf("reported %+v", r)
		}
		servers[1].Close()
		<-lead
	})
}
