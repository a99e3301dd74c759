package rawtcp_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/stack"
)

// A situation is played by three pairs: the kernel with the kernel, a Host with
// the kernel, and the kernel with a Host.
type situation struct {
	title          string
	rules          []string
	client, server without // what either end does without
	call           func(*cable, socket) string
	answer         func(*cable, socket) string
}

type socket interface {
	net.Conn
	CloseWrite() error
	SetLinger(seconds int) error
}

type without struct{ timestamps, sack, scaling bool }

func (w without) String() string {
	return fmt.Sprintf("TS %v SACK %v WS %v", !w.timestamps, !w.sack, !w.scaling)
}

// A station is a way to open and to wait for connections.
type station struct {
	host *rawtcp.Host // nil: the kernel's
	at   *lab.Host
}

const (
	keepAlive   = time.Second
	userTimeout = 2 * time.Second
)

func (e station) prepare(t testing.TB, w without) stack.Config {
	if e.host == nil {
		sysctl := func(name string, off bool) {
			value := map[bool]string{true: "0", false: "1"}[off]
			if _, err := e.at.Run("sh", "-c", "echo "+value+" >/proc/sys/net/ipv4/tcp_"+name); err != nil {
				t.Fatal(err)
			}
		}
		sysctl("timestamps", w.timestamps)
		sysctl("sack", w.sack)
		sysctl("window_scaling", w.scaling)
	}
	return stack.Config{
		NoTimestamps: w.timestamps, NoSACK: w.sack, NoWindowScale: w.scaling,
		KeepAlive: true, KeepAliveIdle: keepAlive, KeepAliveInterval: keepAlive, KeepAliveCount: 2,
		UserTimeout: userTimeout, ReceiveBuffer: 64 << 10, NoDelay: true,
	}
}

// limits gives a socket of the kernel's what prepare gives a Host.
func limits(_, _ string, c syscall.RawConn) (err error) {
	control := c.Control(func(fd uintptr) {
		err = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())),
			unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 64<<10))
	})
	return errors.Join(control, err)
}

var kernelKeepAlive = net.KeepAliveConfig{Enable: true, Idle: keepAlive, Interval: keepAlive, Count: 2}

func (e station) dial(cfg stack.Config, address string) (c net.Conn, err error) {
	if e.host != nil {
		return (&rawtcp.Dialer{Host: e.host, Config: cfg}).Dial("tcp", address)
	}
	err = e.at.Do(func() (err error) {
		c, err = (&net.Dialer{Control: limits, KeepAliveConfig: kernelKeepAlive}).Dial("tcp", address)
		return err
	})
	return c, err
}

func (e station) listen(t testing.TB, cfg stack.Config, addr netip.Addr) (l net.Listener) {
	local := netip.AddrPortFrom(addr, 0).String()
	err := e.at.Do(func() (err error) {
		if e.host != nil {
			l, err = (&rawtcp.ListenConfig{Host: e.host, Config: cfg}).Listen(t.Context(), "tcp", local)
		} else {
			l, err = (&net.ListenConfig{Control: limits, KeepAliveConfig: kernelKeepAlive}).Listen(t.Context(), "tcp", local)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// play returns what both applications saw, and what crossed the cable.
func (s *situation) play(t testing.TB, c *cable, client, server station, addr netip.Addr) (saw, crossed string) {
	l := server.listen(t, server.prepare(t, s.server), addr)
	defer l.Close()
	cfg := client.prepare(t, s.client)
	c.story(t, l.Addr().(*net.TCPAddr).Port, s.rules...)
	var both sync.WaitGroup
	var called, answered string
	both.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			answered = said(err)
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		answered = s.answer(c, conn.(socket))
	})
	both.Go(func() {
		conn, err := client.dial(cfg, l.Addr().String())
		if err != nil {
			called = said(err)
			l.Close()
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		called = s.call(c, conn.(socket))
	})
	both.Wait()
	c.awaitEnd()
	return "client: " + called + "; server: " + answered, strings.Join(c.story(t, 0), "; ")
}

// said names an error as errno does.
func said(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, io.EOF):
		return "EOF"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

// What the applications do.

type act func(*cable, socket) string

// in does one thing after the other and tells what came of each.
func in(order ...act) func(*cable, socket) string {
	return func(c *cable, s socket) string {
		var all []string
		for _, do := range order {
			if told := do(c, s); told != "" {
				all = append(all, told)
			}
		}
		return strings.Join(all, ", ")
	}
}

func write(n int) act {
	return func(_ *cable, s socket) string {
		_, err := s.Write(make([]byte, n))
		return fmt.Sprintf("write %d %s", n, said(err))
	}
}

func read(n int) act {
	return func(_ *cable, s socket) string {
		got, err := io.ReadFull(s, make([]byte, n))
		return fmt.Sprintf("read %d %s", got, said(err))
	}
}

func drain(_ *cable, s socket) string {
	n, err := io.Copy(io.Discard, struct{ io.Reader }{s})
	return fmt.Sprintf("read %d to %s", n, map[bool]string{true: "EOF", false: said(err)}[err == nil])
}

func closeWrite(_ *cable, s socket) string { return "shut " + said(s.CloseWrite()) }
func closing(_ *cable, s socket) string    { return "close " + said(s.Close()) }
func abort(_ *cable, s socket) string      { s.SetLinger(0); return "abort " + said(s.Close()) }
func cut(c *cable, _ socket) string        { c.blind.Store(true); return "" }

func shrink(c *cable, _ socket) string { c.mtu.Store(1300); return "" }

func tooLarge(c *cable, _ socket) string {
	return map[bool]string{true: "some were too large", false: "none was too large"}[c.told.Load()]
}

// untilFull waits until the window of the server is closed.
func untilFull(c *cable, _ socket) string {
	c.mu.Lock()
	full := c.full
	c.mu.Unlock()
	select {
	case <-full:
		return ""
	case <-time.After(15 * time.Second):
		return "the window does not close"
	}
}

var situations = []situation{
	{title: "An exchange, the client closes", call: in(write(10), read(5), closeWrite, drain), answer: in(read(10), write(5), drain, closing)},
	{title: "The server closes", call: in(write(10), drain, closing), answer: in(read(10), write(5), closing)},
	{title: "Half-close, and data after it", call: in(write(10), closeWrite, drain), answer: in(drain, write(5000), closing)},
	{title: "Both close at once", rules: []string{"delay out FIN by 300ms"},
		call: in(write(10), read(5), closeWrite, drain), answer: in(read(10), write(5), closeWrite, drain)},
	{title: "The server aborts", call: in(write(10), drain), answer: in(read(10), abort)},
	{title: "The server closes with data unread", call: in(write(10), read(5), write(10), drain), answer: in(read(10), write(5), read(1), closing)},
	{title: "The SYN is lost", rules: []string{"drop out SYN 1"}, call: in(write(10), closeWrite, drain), answer: in(drain, closing)},
	{title: "The SYN,ACK is lost", rules: []string{"drop in SYN,ACK 1"}, call: in(write(10), closeWrite, drain), answer: in(drain, closing)},
	{title: "The last ACK of the handshake is lost", rules: []string{"drop out ACK 1"}, call: in(read(5), closeWrite, drain), answer: in(write(5), drain, closing)},
	{title: "Data are lost in the middle", rules: []string{"drop out data 3"}, call: in(write(14000), closeWrite, drain), answer: in(drain, closing)},
	{title: "Every tenth segment is lost", rules: []string{"drop out data every 10"}, call: in(write(100000), closeWrite, drain), answer: in(drain, closing)},
	{title: "The last data are lost", rules: []string{"drop out data 1"}, call: in(write(10), read(5), closeWrite, drain), answer: in(read(10), write(5), drain, closing)},
	{title: "Data come out of order", rules: []string{"delay out data 3 by 5ms"}, call: in(write(14000), closeWrite, drain), answer: in(drain, closing)},
	{title: "Data come twice", rules: []string{"duplicate out data 1-10"}, call: in(write(14000), closeWrite, drain), answer: in(drain, closing)},
	{title: "Data are corrupted", rules: []string{"corrupt out data 3"}, call: in(write(14000), closeWrite, drain), answer: in(drain, closing)},
	{title: "The FIN is lost", rules: []string{"drop out FIN 1"}, call: in(write(10), read(5), closeWrite, drain), answer: in(read(10), write(5), drain, closing)},
	{title: "The server reads late", call: in(write(500000), closeWrite, drain), answer: in(untilFull, drain, closing)},
	{title: "Keep-alive, and the peer is gone", call: in(write(10), read(5), cut, drain), answer: in(read(10), write(5), drain)},
	{title: "The path MTU shrinks",
		call: in(write(20000), shrink, write(20000), closeWrite, drain, tooLarge), answer: in(drain, write(20000), closing)},
	{title: "The peer is gone with data on the way", call: in(write(10), read(5), cut, write(10), drain), answer: in(read(10), write(5), drain)},
}

// mixes are handshakes: every choice of options at the client with every choice
// at the server.
func mixes() (all []situation) {
	for n := range 64 {
		pick := func(n int) without { return without{n&1 != 0, n&2 != 0, n&4 != 0} }
		client, server := pick(n), pick(n>>3)
		all = append(all, situation{
			title: fmt.Sprintf("%v at the client, %v at the server", client, server), client: client, server: server,
			call: in(write(10), closeWrite, drain), answer: in(drain, closing),
		})
	}
	return all
}

// Whoever is at either end, the applications see the same, and so does the cable,
// but for what docs/kernel.md tells.
func TestBesideTheKernel(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			t.Parallel()
			all := append(situations, mixes()...)
			var saw, crossed [3][]string
			t.Run("play", func(t *testing.T) {
				for i, name := range []string{"kernel calls kernel", "rawnc calls kernel", "kernel calls rawnc"} {
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						c := newCable(t)
						client, server, addr := station{at: c.client}, station{at: c.server}, c.server.IPv4
						if v6 {
							addr = c.server.IPv6
						}
						switch i {
						case 1:
							client.host = newHost(t, rawLink(t, c.client))
						case 2:
							server.host = newHost(t, rawLink(t, c.server))
						}
						for _, s := range all {
							a, w := s.play(t, c, client, server, addr)
							saw[i], crossed[i] = append(saw[i], s.title+": "+a), append(crossed[i], s.title+": "+w)
							t.Logf("%s\n  %s\n  %s", s.title, a, w)
						}
					})
				}
			})
			for i, who := range []string{1: "rawnc calls", 2: "rawnc is called"} {
				if diff := cmp.Diff(saw[0], saw[i]); diff != "" {
					t.Errorf("between two kernels (-) the applications see other things than where %s (+):\n%s", who, diff)
				}
				if diff := cmp.Diff(crossed[0], crossed[i]); diff != "" {
					t.Errorf("between two kernels (-) other segments cross than where %s (+):\n%s", who, diff)
				}
			}
		})
	}
}
