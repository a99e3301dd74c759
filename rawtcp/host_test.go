package rawtcp

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// SYNs without a sender come to a listener, more than it holds half open. Who
// really wants to connect still can.
func TestHalfOpenGiveWay(t *testing.T) {
	la, lb := MemoryPair(addrA, addrB, 1500)
	a, b := NewHost(la), NewHost(lb)
	defer a.Close()
	defer b.Close()
	l, err := (&ListenConfig{Host: b, Backlog: 8}).Listen(context.Background(), "tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		p := wire.Packet{Src: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), Dst: addrB, TTL: 64, ID: 1,
			Segment: stack.Segment{SrcPort: 1000, DstPort: 80, Flags: stack.SYN}}
		header, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		la.WriteBatch([]Outgoing{{Dst: addrB, Header: header}})
	}
	c, err := (&Dialer{Host: a, Timeout: time.Minute}).Dial("tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := l.Accept(); err != nil || s.RemoteAddr().String() != c.LocalAddr().String() {
		t.Errorf("accepted %v, %v; want %v", s, err, c.LocalAddr())
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.conns); n > 8+1 {
		t.Errorf("%d connections are remembered, want at most the 8 half open and the one", n)
	}
}

// A listener that has closed turns others away, though the connection that it
// accepted lives on.
func TestClosedListenerRefuses(t *testing.T) {
	a, b := hosts(t)
	c, _, stop, err := connected(a, b, "tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	if _, err := (&Dialer{Host: a}).Dial("tcp", c.RemoteAddr().String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("dialling a closed listener: %v, want connection refused", err)
	}
}

// The link breaks: nobody waits for ever.
func TestLinkFails(t *testing.T) {
	la, lb := MemoryPair(addrA, addrB, 1500)
	a, b := NewHost(la), NewHost(lb)
	defer a.Close()
	defer b.Close()
	l, err := (&ListenConfig{Host: b}).Listen(context.Background(), "tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (&Dialer{Host: a}).Dial("tcp", "192.0.2.2:80"); err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	go lb.Close()
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v, want %v", err, net.ErrClosed)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: %v, want %v", err, net.ErrClosed)
	}
}

// Two goroutines write at once: neither's octets cut into the other's.
func TestWritesStayWhole(t *testing.T) {
	a, b := hosts(t)
	c, s, stop, err := connected(a, b, "tcp", "192.0.2.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const size = 4 << 20 // more than the send buffer
	var writers sync.WaitGroup
	for _, octet := range []byte("ab") {
		writers.Go(func() { c.Write(bytes.Repeat([]byte{octet}, size)) })
	}
	go func() {
		writers.Wait()
		c.(*Conn).CloseWrite()
	}()
	got, err := io.ReadAll(s)
	if err != nil || len(got) != 2*size {
		t.Fatalf("read %d octets, %v; want %d", len(got), err, 2*size)
	}
	for _, half := range [][]byte{got[:size], got[size:]} {
		if bytes.Count(half, half[:1]) != size {
			t.Error("the writes were mixed")
		}
	}
}

// The server closes first, and so is in TIME-WAIT when the same client comes
// again from the same port.
func TestSamePortAgain(t *testing.T) {
	for name, noTimestamps := range map[string]bool{"timestamps": false, "sequence numbers": true} {
		t.Run(name, func(t *testing.T) {
			a, b := hosts(t)
			l, err := (&ListenConfig{Host: b}).Listen(context.Background(), "tcp", "192.0.2.2:80")
			if err != nil {
				t.Fatal(err)
			}
			d := Dialer{Host: a, LocalAddr: netip.MustParseAddrPort("192.0.2.1:1000"), Config: stack.Config{NoTimestamps: noTimestamps}}
			for range 10 {
				c, err := d.Dial("tcp", "192.0.2.2:80")
				if err != nil {
					t.Fatal(err)
				}
				s, err := l.Accept()
				if err != nil {
					t.Fatal(err)
				}
				s.Close()
				if _, err := io.Copy(io.Discard, c); err != nil {
					t.Fatal(err)
				}
				c.Close()
				if err := c.(*Conn).Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Millisecond) // a tick of the timestamp clock
			}
		})
	}
}
