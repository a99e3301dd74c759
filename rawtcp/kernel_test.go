//go:build linux

// These tests put a Host with raw sockets at one end of a cable and the
// kernel's TCP, or a second Host, at the other.
package rawtcp_test

import (
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// A nsLink is a link of raw sockets that live in a namespace, whoever uses it.
type nsLink struct {
	rawtcp.Link
	at *lab.Host
}

func (l nsLink) Route(dst netip.Addr) (route rawtcp.Route, err error) {
	err = l.at.Do(func() (err error) {
		route, err = l.Link.Route(dst)
		return err
	})
	return route, err
}

func (l nsLink) Reserve(local netip.AddrPort) (reserved netip.AddrPort, guard io.Closer, err error) {
	err = l.at.Do(func() (err error) {
		reserved, guard, err = l.Link.Reserve(local)
		return err
	})
	return reserved, guard, err
}

func rawLink(t testing.TB, at *lab.Host) rawtcp.Link {
	t.Helper()
	l, err := rawtcp.RawLink()
	if err != nil {
		t.Fatal(err)
	}
	return nsLink{l, at}
}

func packetLink(t testing.TB, at *lab.Host) rawtcp.Link {
	t.Helper()
	l, err := rawtcp.PacketLink()
	if err != nil {
		t.Fatal(err)
	}
	return nsLink{l, at}
}

// newHost starts a Host until the test ends.
func newHost(t testing.TB, l rawtcp.Link) *rawtcp.Host {
	h := rawtcp.NewHost(l)
	t.Cleanup(func() { h.Close() })
	return h
}

// listen starts a listener of the kernel's.
func listen(t testing.TB, at *lab.Host, addr netip.Addr) net.Listener {
	t.Helper()
	var l net.Listener
	err := at.Do(func() (err error) {
		l, err = net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// kernelDial opens a connection of the kernel's.
func kernelDial(at *lab.Host, address string) (c net.Conn, err error) {
	err = at.Do(func() (err error) {
		c, err = net.Dial("tcp", address)
		return err
	})
	return c, err
}

// open makes a connection: dial is called while accept waits.
func open(t testing.TB, l net.Listener, dial func(address string) (net.Conn, error)) (client, server net.Conn) {
	t.Helper()
	type accepted struct {
		net.Conn
		error
	}
	done := make(chan accepted, 1)
	go func() {
		c, err := l.Accept()
		done <- accepted{c, err}
	}()
	client, err := dial(l.Addr().String())
	if err != nil {
		l.Close()
		t.Fatal(err)
	}
	s := <-done
	if s.error != nil {
		t.Fatal(s.error)
	}
	t.Cleanup(func() {
		client.Close()
		s.Close()
	})
	return client, s.Conn
}

// exchange sends so many octets each way at once, and a FIN behind them. What
// arrives must be what was sent.
func exchange(t testing.TB, client net.Conn, up int64, server net.Conn, down int64) {
	t.Helper()
	var all sync.WaitGroup
	start := time.Now()
	way := func(name string, from, to net.Conn, size int64) {
		sent, got := sha256.New(), sha256.New()
		var both sync.WaitGroup
		both.Go(func() {
			data := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{byte(size)}), size), sent)
			if n, err := io.CopyBuffer(struct{ io.Writer }{from}, data, make([]byte, 64<<10)); err != nil {
				t.Errorf("%s: sent %d octets of %d: %v", name, n, size, err)
			}
			if err := from.(halfCloser).CloseWrite(); err != nil {
				t.Errorf("%s: CloseWrite: %v", name, err)
			}
		})
		both.Go(func() {
			if n, err := io.CopyBuffer(got, struct{ io.Reader }{to}, make([]byte, 64<<10)); n != size || err != nil {
				t.Errorf("%s: received %d octets of %d: %v", name, n, size, err)
			}
		})
		both.Wait()
		t.Logf("%s: %d octets in %v", name, size, time.Since(start).Round(time.Millisecond))
		if string(sent.Sum(nil)) != string(got.Sum(nil)) {
			t.Errorf("%s: other octets arrived than were sent", name)
		}
	}
	all.Go(func() { way("up", client, server, up) })
	all.Go(func() { way("down", server, client, down) })
	all.Wait()
}

func TestConn(t *testing.T) {
	pair := labtest.NewPair(t)
	a, b := newHost(t, rawLink(t, pair.A)), newHost(t, rawLink(t, pair.B))
	p := newHost(t, packetLink(t, pair.A))
	for _, tt := range []struct {
		name string
		addr netip.Addr // of B
	}{
		{"IPv4", pair.B.IPv4},
		{"IPv6", pair.B.IPv6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := func(address string) (net.Conn, error) { return (&rawtcp.Dialer{Host: a}).Dial("tcp", address) }
			packet := func(address string) (net.Conn, error) { return (&rawtcp.Dialer{Host: p}).Dial("tcp", address) }
			kernel := func(address string) (net.Conn, error) { return kernelDial(pair.A, address) }
			local := netip.AddrPortFrom(tt.addr, 0).String()
			listenRaw := func() (net.Listener, error) {
				return (&rawtcp.ListenConfig{Host: b}).Listen(t.Context(), "tcp", local)
			}
			listenKernel := func() (l net.Listener, err error) {
				err = pair.B.Do(func() (err error) {
					l, err = net.Listen("tcp", local)
					return err
				})
				return l, err
			}
			for _, ends := range []struct {
				name   string
				dial   func(string) (net.Conn, error)
				listen func() (net.Listener, error)
			}{
				{"raw to raw", raw, listenRaw},
				{"raw to kernel", raw, listenKernel},
				{"kernel to raw", kernel, listenRaw},
				{"packet to kernel", packet, listenKernel},
			} {
				t.Run(ends.name, func(t *testing.T) {
					nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
						l, err := ends.listen()
						if err != nil {
							return nil, nil, nil, err
						}
						defer l.Close()
						if c1, err = ends.dial(l.Addr().String()); err != nil {
							return nil, nil, nil, err
						}
						if c2, err = l.Accept(); err != nil {
							return nil, nil, nil, err
						}
						return c1, c2, func() { c1.Close(); c2.Close() }, nil
					})
				})
			}
		})
	}
}
