package rawtcp_test

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// TestManyConnections: two hundred to one peer at once, and each gets its own.
func TestManyConnections(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4, pair.B.IPv6)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	const n = 200
	addresses := []string{echo(t, pair.B, pair.B.IPv4), echo(t, pair.B, pair.B.IPv6)}
	var connected, all sync.WaitGroup
	connected.Add(n)
	for i := range n {
		all.Go(func() {
			c, err := d.Dial("tcp", addresses[i%2])
			connected.Done()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			connected.Wait() // so that all are open at once
			want := randomBytes(1000 + i)
			if _, err := c.Write(want); err != nil {
				t.Error(err)
			}
			c.(*rawtcp.Conn).CloseWrite()
			if got, err := io.ReadAll(c); !slices.Equal(got, want) || err != nil {
				t.Errorf("sent %d octets, %d came back, or others: %v", len(want), len(got), err)
			}
		})
	}
	all.Wait()
}

// TestListenerServesOneAfterTheOther as -k does, each from the same port.
func TestListenerServesOneAfterTheOther(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4)
	lc := rawtcp.ListenConfig{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	l, err := lc.Listen(t.Context(), "tcp4", ":8113")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := lc.Listen(t.Context(), "tcp4", ":8113"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a second listener on the port: got %v, want address in use", err)
	}
	address := netip.AddrPortFrom(pair.A.IPv4, 8113).String()
	for range 5 {
		type result struct {
			got string
			err error
		}
		client := make(chan result)
		go func() {
			c, err := kernelDial(pair.B, address)
			if err != nil {
				client <- result{err: err}
				return
			}
			defer c.Close()
			io.WriteString(c, "question")
			c.(halfCloser).CloseWrite()
			got, err := io.ReadAll(c)
			client <- result{string(got), err}
		}()
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s); string(got) != "question" || err != nil {
			t.Errorf("the server got %q, %v", got, err)
		}
		io.WriteString(s, "answer")
		s.Close()
		if r := <-client; r.got != "answer" || r.err != nil {
			t.Errorf("the client got %q, %v", r.got, r.err)
		}
	}
}

// TestSourcePort: the one that was asked for, again as soon as it is free.
func TestSourcePort(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4)
	local := netip.AddrPortFrom(pair.A.IPv4, 40404)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), LocalAddr: local, Tap: audit.Tap}
	l := listen(t, pair.B, pair.B.IPv4)
	other := listen(t, pair.B, pair.B.IPv4)
	for range 3 {
		c, s := open(t, l, func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
		if c.LocalAddr().String() != local.String() || s.RemoteAddr().String() != local.String() {
			t.Errorf("connected from %v, the peer says %v, want %v", c.LocalAddr(), s.RemoteAddr(), local)
		}
		if _, err := d.Dial("tcp", l.Addr().String()); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("the same connection again: got %v, want address in use", err)
		}
		// To another address the port may be used as well.
		c2, s2 := open(t, other, func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
		exchange(t, c2, 1000, s2, 1000)
		// The peer closes first, so that TIME-WAIT is its own, and Linux lets a
		// new SYN end it.
		s.Close()
		if _, err := io.ReadAll(c); err != nil {
			t.Error(err)
		}
		c.Close()
		c2.(*rawtcp.Conn).SetLinger(0)
		c2.Close()
		wait(t, c.(*rawtcp.Conn), stack.StateClosed)
		wait(t, c2.(*rawtcp.Conn), stack.StateTimeWait, stack.StateClosed)
	}
}

// wait waits until the connection is in one of the states.
func wait(t *testing.T, c *rawtcp.Conn, states ...stack.State) {
	t.Helper()
	for !slices.Contains(states, c.Snapshot().State) {
		time.Sleep(time.Millisecond)
	}
}

// TestAbortMidway: the peer is still sending when our RST leaves. What is on its
// way meets nobody, and above all not the kernel.
func TestAbortMidway(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	l := listen(t, pair.B, pair.B.IPv4)
	for range 20 {
		c, s := open(t, l, func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
		ended := make(chan error)
		go func() {
			var err error
			for chunk := make([]byte, 64<<10); err == nil; {
				_, err = s.Write(chunk)
			}
			ended <- err
		}()
		if _, err := io.CopyN(io.Discard, c, mebi); err != nil {
			t.Error(err)
		}
		c.Close()
		// Where nothing waited unread, the FIN comes first; Linux then says EPIPE of the RST.
		if err := <-ended; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("the peer got %v, want connection reset", err)
		}
	}
}

// TestAbortUnheard: our RST is lost on the way. What the peer sends again is
// answered by us, for the kernel would answer it with a RST of its own.
func TestAbortUnheard(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4)
	answered := make(chan struct{}, 100)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: func(e *rawtcp.Event) {
		audit.Tap(e)
		if e.Reason.Kind == stack.ReasonNoConnection {
			select {
			case answered <- struct{}{}:
			default:
			}
		}
	}}
	c, s := open(t, listen(t, pair.B, pair.B.IPv4), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
	if err := pair.B.Nft("table inet t { chain c { type filter hook input priority 0; tcp flags & rst == rst drop; }; }"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write([]byte("unread")); err != nil {
		t.Fatal(err)
	}
	for c.(*rawtcp.Conn).Snapshot().ReceiveQueue == 0 {
		time.Sleep(time.Millisecond)
	}
	c.Close()
	go s.Write([]byte("more"))
	<-answered
	<-answered // to a retransmission
}

// TestLocalMTUShrinks: the kernel refuses what has become too large. What is in
// flight goes out again in smaller pieces.
func TestLocalMTUShrinks(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	audit := newAudit(t, pair.A, pair.B.IPv4)
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A)), Tap: audit.Tap}
	c, s := open(t, listen(t, pair.B, pair.B.IPv4), func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
	go func() {
		chunk := make([]byte, mebi)
		for i := range 8 {
			if i == 4 {
				if err := pair.A.SetMTU(1000); err != nil {
					t.Error(err)
				}
			}
			if _, err := c.Write(chunk); err != nil {
				t.Error(err)
			}
		}
		c.(*rawtcp.Conn).CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, s); n != 8*mebi || err != nil {
		t.Errorf("%d octets arrived, %v; want %d", n, err, 8*mebi)
	}
}

// TestListenBothFamilies: one family's port is taken, so there is no listening for
// both; and once it is free, nothing is left over from the attempt.
func TestListenBothFamilies(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	lc := rawtcp.ListenConfig{Host: newHost(t, rawLink(t, pair.A))}
	l, err := lc.Listen(t.Context(), "tcp6", "[::]:80")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lc.Listen(t.Context(), "tcp", ":80"); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("listening for both families where one is taken: %v, want address in use", err)
	}
	l.Close()
	// A process that another test starts has the guard's descriptor until its program runs.
	for l, err = lc.Listen(t.Context(), "tcp", ":80"); errors.Is(err, syscall.EADDRINUSE); l, err = lc.Listen(t.Context(), "tcp", ":80") {
		time.Sleep(time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}

// TestSharedHost: the last connection closes the sockets that all share, while
// the next is about to use them.
func TestSharedHost(t *testing.T) {
	labtest.NeedRoot(t)
	var dials sync.WaitGroup
	for range 8 {
		dials.Go(func() {
			for range 100 {
				if _, err := rawtcp.Dial("tcp", "127.0.0.1:1"); !errors.Is(err, syscall.ECONNREFUSED) {
					t.Errorf("dialling a port that nobody serves: %v, want connection refused", err)
				}
			}
		})
	}
	dials.Wait()
}

// A gate holds what is sent until every port is reserved, or the kernel would
// refuse a SYN that comes too early, and what arrives until it is open.
type gate struct {
	rawtcp.Link
	reserved *sync.WaitGroup
	open     <-chan struct{}
}

func (g gate) Reserve(local netip.AddrPort) (netip.AddrPort, io.Closer, error) {
	defer g.reserved.Done()
	return g.Link.Reserve(local)
}

func (g gate) WriteBatch(pkts []rawtcp.Outgoing) (int, error) {
	g.reserved.Wait()
	return g.Link.WriteBatch(pkts)
}

func (g gate) ReadBatch(bufs [][]byte) (int, error) {
	<-g.open
	return g.Link.ReadBatch(bufs)
}

// TestSimultaneousOpen: both ends dial, and their SYNs cross (RFC 9293, figure
// 8).
func TestSimultaneousOpen(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			a, b := netip.AddrPortFrom(pair.A.IPv4, 1111), netip.AddrPortFrom(pair.B.IPv4, 2222)
			if v6 {
				a, b = netip.AddrPortFrom(pair.A.IPv6, 1111), netip.AddrPortFrom(pair.B.IPv6, 2222)
			}
			var reserved, sent, both sync.WaitGroup
			reserved.Add(2)
			sent.Add(2)
			open := make(chan struct{})
			dial := func(at *lab.Host, local, remote netip.AddrPort) *end {
				e := new(end)
				audit := newAudit(t, at, remote.Addr())
				first := sync.OnceFunc(sent.Done)
				d := rawtcp.Dialer{LocalAddr: local, Host: newHost(t, gate{rawLink(t, at), &reserved, open}), Tap: func(ev *rawtcp.Event) {
					audit.Tap(ev)
					for _, tr := range ev.Transitions {
						if len(e.states) < 3 {
							e.states = append(e.states, tr.To)
						}
					}
					if ev.Sent {
						first()
					}
				}}
				both.Go(func() {
					e.Conn, e.err = d.Dial("tcp", remote.String())
				})
				return e
			}
			ends := []*end{dial(pair.A, a, b), dial(pair.B, b, a)}
			sent.Wait()
			close(open)
			both.Wait()
			want := []stack.State{stack.StateSynSent, stack.StateSynReceived, stack.StateEstablished}
			for _, e := range ends {
				if e.err != nil || !slices.Equal(e.states, want) {
					t.Fatalf("got %v by way of %v, want %v", e.err, e.states, want)
				}
			}
			exchange(t, ends[0].Conn, mebi, ends[1].Conn, mebi)
		})
	}
}

// An end is what became of one Dial.
type end struct {
	net.Conn
	err    error
	states []stack.State // the first three
}

// MUST-44, MUST-45: the route chooses the address that a connection comes from,
// and it stays that, whatever becomes of the route.
func TestLocalAddress(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	second := netip.MustParseAddr("192.0.2.7")
	if _, err := pair.A.Run("ip", "address", "add", second.String()+"/24", "dev", lab.Interface); err != nil {
		t.Fatal(err)
	}
	d := rawtcp.Dialer{Host: newHost(t, rawLink(t, pair.A))}
	l := listen(t, pair.B, pair.B.IPv4)
	dial := func(from netip.Addr) (c, s net.Conn) {
		c, s = open(t, l, func(address string) (net.Conn, error) { return d.Dial("tcp", address) })
		if got := s.RemoteAddr().(*net.TCPAddr).AddrPort().Addr(); got != from {
			t.Errorf("came from %v, want %v", got, from)
		}
		return c, s
	}
	c, s := dial(pair.A.IPv4)
	if _, err := pair.A.Run("ip", "route", "add", pair.B.IPv4.String(), "dev", lab.Interface, "src", second.String()); err != nil {
		t.Fatal(err)
	}
	exchange(t, c, 100000, s, 100000)
	c, s = dial(second)
	exchange(t, c, 1000, s, 1000)
}

// MUST-57: the broadcast address of a subnet is known to the routes alone. A frame to all
// is as bad, whatever the address in it.
func TestSYNToBroadcast(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	l, err := (&rawtcp.ListenConfig{Host: newHost(t, rawLink(t, pair.A))}).Listen(t.Context(), "tcp4", ":80")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	// B takes the address for a host's, A's.
	link, err := pair.A.Run("ip", "-brief", "link", "show", lab.Interface) // name, state, MAC address
	if err != nil {
		t.Fatal(err)
	}
	mac := strings.Fields(link)[2]
	ip := func(args ...string) {
		t.Helper()
		if out, err := pair.B.Run("ip", append(args, "dev", lab.Interface)...); err != nil {
			t.Fatal(err, out)
		}
	}
	ip("route", "del", "broadcast", "192.0.2.255", "table", "local")
	ip("neighbor", "add", "192.0.2.255", "lladdr", mac)
	b := rawLink(t, pair.B)
	defer b.Close()
	for port, dst := range []netip.Addr{netip.MustParseAddr("192.0.2.255"), pair.A.IPv4, pair.A.IPv4} {
		ip("neighbor", "replace", pair.A.IPv4.String(), "lladdr", []string{mac, "ff:ff:ff:ff:ff:ff", mac}[port])
		local := netip.AddrPortFrom(pair.B.IPv4, uint16(1000+port))
		if _, _, err := b.Reserve(local); err != nil {
			t.Fatal(err)
		}
		p := wire.Packet{Src: pair.B.IPv4, Dst: dst, TTL: 64, ID: 1, Segment: stack.Segment{SrcPort: local.Port(), DstPort: 80, Flags: stack.SYN}}
		header, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.WriteBatch([]rawtcp.Outgoing{{Dst: dst, Header: header}}); err != nil {
			t.Fatal(err)
		}
	}
	bufs := [][]byte{make([]byte, 1500)}
	for n := 0; n == 0; {
		var err error
		if n, err = b.ReadBatch(bufs); err != nil {
			t.Fatal(err)
		}
	}
	var p wire.Packet
	if err := wire.Parse(bufs[0], &p); err != nil {
		t.Fatal(err)
	}
	if p.Flags != stack.SYN|stack.ACK || p.DstPort != 1002 || p.Src != pair.A.IPv4 {
		t.Errorf("the first answer is %v from %v to port %d, want the SYN,ACK for port 1002", p.Flags, p.Src, p.DstPort)
	}
}
