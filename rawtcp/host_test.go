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
	"unsafe"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// RFC4987-3.2-a, RFC4987-3.7-a: SYNs without a sender come to a listener, more than
// it keeps half open. Who really wants to connect still can: a cookie answers.
func TestFloodOfSYNs(t *testing.T) {
	la, lb := MemoryPair(addrA, addrB, 1500)
	a, b := NewHost(la), NewHost(lb)
	defer a.Close()
	defer b.Close()
	var cookies, returned int
	tap := func(e *Event) {
		if e.Reason.Kind == stack.ReasonSYNCookie {
			cookies++
		}
		if len(e.Transitions) > 0 && e.Transitions[0].Cause == stack.CauseCookie {
			returned++
		}
	}
	l, err := (&ListenConfig{Host: b, Backlog: 8, Tap: tap}).Listen(context.Background(), "tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	const strangers, clients = 100, 8
	for i := range strangers {
		p := wire.Packet{Src: netip.AddrFrom4([4]byte{198, 51, 100, byte(i)}), Dst: addrB, TTL: 64, ID: 1,
			Segment: stack.Segment{SrcPort: 1000, DstPort: 80, Flags: stack.SYN}}
		header, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		la.WriteBatch([]Outgoing{{Dst: addrB, Header: header}})
	}
	for range clients {
		c, err := (&Dialer{Host: a, Timeout: time.Minute}).Dial("tcp", "192.0.2.2:80")
		if err != nil {
			t.Fatal(err)
		}
		c.Write([]byte("hello"))
		s, err := l.Accept()
		if err != nil || s.RemoteAddr().String() != c.LocalAddr().String() {
			t.Fatalf("accepted %v, %v; want %v", s, err, c.LocalAddr())
		}
		if got, err := io.ReadAll(io.LimitReader(s, 5)); string(got) != "hello" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.conns); n > 8+clients {
		t.Errorf("%d connections are kept, want at most the 8 half open and the clients' %d", n, clients)
	}
	brief := 0 // given up after a minute: from half of the backlog on
	for _, c := range b.conns {
		if s := c.tcp.Snapshot(); s.State == stack.StateSynReceived && s.Timers.User.Before(c.at(time.Now()).Add(crowded+time.Second)) {
			brief++
		}
	}
	if brief != 4 {
		t.Errorf("%d half open connections are given up early, want 4", brief)
	}
	if cookies != strangers-8+clients || returned != clients {
		t.Errorf("%d cookies were sent, and %d came back; want %d and %d", cookies, returned, strangers-8+clients, clients)
	}
}

// Nobody accepts: beyond the backlog no SYN is answered. Once there is room,
// whoever tries on gets in.
func TestBacklogIsFull(t *testing.T) {
	a, b := hosts(t)
	l, err := (&ListenConfig{Host: b, Backlog: 2}).Listen(context.Background(), "tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	d := Dialer{Host: a, Config: stack.Config{InitialRTO: 10 * time.Millisecond}}
	for range 2 {
		if _, err := d.Dial("tcp", "192.0.2.2:80"); err != nil {
			t.Fatal(err)
		}
	}
	until(b, func() bool { return len(l.(*Listener).ready) == 2 })
	late := make(chan error)
	go func() {
		_, err := d.Dial("tcp", "192.0.2.2:80")
		late <- err
	}()
	until(a, func() (unanswered bool) {
		for _, c := range a.conns {
			unanswered = unanswered || c.tcp.State() == stack.StateSynSent && c.tcp.Snapshot().Retransmits > 0
		}
		return unanswered
	})
	if _, err := l.Accept(); err != nil {
		t.Fatal(err)
	}
	if err := <-late; err != nil {
		t.Error(err)
	}
}

// MUST-41, MUST-42: LISTEN on a port from which connections were opened: one that
// stands, one in SYN-SENT, one in SYN-RECEIVED. They go on, and so they do where
// LISTEN is refused, because the port is served already.
func TestListenBesideConnections(t *testing.T) {
	a, b := hosts(t)
	listenAt := func(h *Host, address string) net.Listener {
		t.Helper()
		l, err := (&ListenConfig{Host: h}).Listen(context.Background(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	const local = "192.0.2.1:1000"
	far := listenAt(b, "192.0.2.2:80")
	d := Dialer{Host: a, LocalAddr: netip.MustParseAddrPort(local)}
	c, err := d.Dial("tcp", "192.0.2.2:80")
	if err != nil {
		t.Fatal(err)
	}
	s, err := far.Accept()
	if err != nil {
		t.Fatal(err)
	}
	// Nobody has the address 192.0.2.9: the SYN stays unanswered, and so does the
	// SYN,ACK to one from there.
	stranger := pair{netip.MustParseAddrPort(local), netip.MustParseAddrPort("192.0.2.9:80")}
	go d.Dial("tcp", stranger.remote.String())
	state := func() (s stack.State) {
		if c := a.conns[stranger]; c != nil {
			s = c.tcp.State()
		}
		return s
	}
	until(a, func() bool { return state() == stack.StateSynSent })
	listenAt(a, local).Close()

	l := listenAt(a, local)
	if _, err := (&ListenConfig{Host: a}).Listen(context.Background(), "tcp", local); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener on the port: %v, want address in use", err)
	}
	p := wire.Packet{Src: stranger.remote.Addr(), Dst: addrA, TTL: 64, ID: 1,
		Segment: stack.Segment{SrcPort: 80, DstPort: 1000, Seq: 5, Flags: stack.SYN}}
	header, err := wire.AppendHeaders(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.input([][]byte{header})
	a.mu.Unlock()
	until(a, func() bool { return state() == stack.StateSynReceived })

	// The listener serves, and the connections are what they were.
	if _, err := (&Dialer{Host: b}).Dial("tcp", local); err != nil {
		t.Error(err)
	}
	if _, err := l.Accept(); err != nil {
		t.Error(err)
	}
	l.Close()
	until(a, func() bool { return state() == stack.StateSynReceived })
	listenAt(a, local)
	until(a, func() bool { return state() == stack.StateSynReceived })
	c.Write([]byte("hello"))
	if got, err := io.ReadAll(io.LimitReader(s, 5)); string(got) != "hello" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// A port that is served at every address can be dialled from.
func TestDialFromServedPort(t *testing.T) {
	a, b := hosts(t)
	for h, address := range map[*Host]string{a: ":1000", b: "192.0.2.2:80"} {
		if _, err := (&ListenConfig{Host: h}).Listen(context.Background(), "tcp4", address); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (&ListenConfig{Host: a}).Listen(context.Background(), "tcp4", "192.0.2.1:1000"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening at one address where all are served: %v, want address in use", err)
	}
	d := Dialer{Host: a, LocalAddr: netip.MustParseAddrPort("192.0.2.1:1000")}
	if c, err := d.Dial("tcp", "192.0.2.2:80"); err != nil || c.LocalAddr().String() != "192.0.2.1:1000" {
		t.Errorf("dialled %v, %v", c, err)
	}
}

// until waits for something that a host does by itself.
func until(h *Host, done func() bool) {
	for {
		h.mu.Lock()
		ok := done()
		h.mu.Unlock()
		if ok {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Somebody sets the machine's clock back: the timestamps and the initial sequence
// numbers go on (RFC 7323, section 5.4; RFC 6528, section 3).
func TestTheClockIsSetBack(t *testing.T) {
	h, _ := hosts(t)
	id := pair{netip.AddrPortFrom(addrA, 1000), netip.AddrPortFrom(addrB, 2000)}
	c := newConn(h, stack.Config{}, id, nil)
	before := time.Now()
	after := before.Add(time.Millisecond)
	wall := (*uint64)(unsafe.Pointer(&after)) // nobody else makes a time.Time with two readings that differ
	*wall -= 3600 << 30
	if after.Sub(before) != time.Millisecond || after.Unix() > before.Unix()-3599 {
		t.Fatalf("package time keeps its readings otherwise: %v is to be %v, an hour before", after, before)
	}
	if ticks := c.at(after).UnixMilli() - c.at(before).UnixMilli(); ticks != 1 {
		t.Errorf("in a millisecond, timestamps go on by %d", ticks)
	}
	isn := func(now time.Time) stack.Seq { return h.configure(stack.Config{}, id, Route{}, now).ISS }
	if ticks := isn(after).Sub(isn(before)); ticks != 250 {
		t.Errorf("in a millisecond, initial sequence numbers go on by %d", ticks)
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

// A packet from an IPv4-mapped address, which should not be on the wire (RFC 4291,
// section 2.5.5.2), is nobody's.
func TestMappedSource(t *testing.T) {
	la, lb := MemoryPair(netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), 1500)
	_, b := hostsOn(t, la, lb)
	l, err := (&ListenConfig{Host: b}).Listen(t.Context(), "tcp6", "[2001:db8::2]:80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for mapped, want := range map[byte]int{0xff: 0, 0: 1} { // that makes no difference to the checksum
		p := wire.Packet{Src: netip.MustParseAddr("::192.0.2.1"), Dst: netip.MustParseAddr("2001:db8::2"), TTL: 64,
			Segment: stack.Segment{SrcPort: 1000, DstPort: 80, Flags: stack.SYN}}
		packet, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		packet[8+10], packet[8+11] = mapped, mapped
		b.mu.Lock()
		before := len(b.conns)
		b.input([][]byte{packet})
		if n := len(b.conns) - before; n != want {
			t.Errorf("%x: %d connections are open, want %d", packet[8:24], n, want)
		}
		b.mu.Unlock()
	}
}
