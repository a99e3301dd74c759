package capture_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp/capture"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

var update = flag.Bool("update", false, "write the captures of testdata/kernel anew")

// What two kernels say to each other, captured anew with each run. B serves, and
// A is the client.
func TestAgreesWithWiresharkOnKernels(t *testing.T) {
	labtest.NeedRoot(t)
	labtest.NeedPrograms(t, "tcpdump", "tshark", "ip", "nft", "ethtool", "sysctl", "nc.openbsd")
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			k := &kernels{T: t, Pair: labtest.NewPair(t)}
			for _, h := range []*lab.Host{k.A, k.B} {
				if err := h.Offloads(s.offloads); err != nil {
					t.Fatal(err)
				}
			}
			file := k.record(s)
			agrees(t, file)
			if *update {
				octets, err := os.ReadFile(file)
				if err == nil {
					err = os.WriteFile(filepath.Join("testdata/kernel", s.name+".pcap"), octets, 0o666)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A scenario is something that happens between two kernels.
type scenario struct {
	name     string
	happens  func(*kernels)
	offloads bool   // segments of the size that the kernel likes, with partial checksums
	filter   string // what is captured; "" for everything
	at       byte   // the end where it is captured: 'A', or else B
}

var scenarios = []scenario{
	{name: "article", happens: (*kernels).article, at: 'A'},
	{name: "echo", happens: func(k *kernels) { k.echo("tcp4", 20_000) }},
	{name: "echo-ipv6", happens: func(k *kernels) { k.echo("tcp6", 20_000) }},
	{name: "half-close", happens: (*kernels).halfClose},
	{name: "reset", happens: (*kernels).resets},
	{name: "many-streams", happens: (*kernels).manyStreams},
	{name: "port-reuse", happens: (*kernels).portReuse},
	{name: "zero-window", happens: (*kernels).zeroWindow},
	{name: "zero-window-at-client", happens: (*kernels).zeroWindow, at: 'A', offloads: true},
	{name: "keep-alive", happens: (*kernels).keepAlive},
	{name: "lost-syn", happens: (*kernels).lostSYN, at: 'A'},
	{name: "lost-syn-ack", happens: (*kernels).lostSYNACK},
	{name: "lost-fin", happens: (*kernels).lostFIN, at: 'A'},
	{name: "loss", happens: func(k *kernels) { k.loss(5, 0) }, at: 'A'},
	{name: "loss-of-acks", happens: func(k *kernels) { k.loss(0, 30) }},
	{name: "loss-without-options", happens: func(k *kernels) { k.plain(); k.loss(5, 5) }, at: 'A'},
	{name: "offloads", happens: func(k *kernels) { k.echo("tcp4", 200_000) }, offloads: true, at: 'A'},
	{name: "one-way", happens: func(k *kernels) { k.echo("tcp4", 20_000) }, filter: "src host 192.0.2.1"},
	{name: "the-other-way", happens: func(k *kernels) { k.echo("tcp4", 20_000) }, filter: "src host 192.0.2.2"},
	{name: "without-syn", happens: func(k *kernels) { k.echo("tcp4", 20_000) }, filter: "tcp[tcpflags] & tcp-syn == 0"},
	{name: "holes-in-the-capture", happens: func(k *kernels) { k.echo("tcp4", 60_000) }, filter: "ip[4:2] & 3 != 1"},
	{name: "to-itself", happens: (*kernels).toItself, at: 'A'},
}

type kernels struct {
	*testing.T
	*lab.Pair
}

// record has the scenario happen and captures it into a file. What it carries
// is cut off, to keep the files small.
func (k *kernels) record(s scenario) (file string) {
	k.Helper()
	file = filepath.Join(k.TempDir(), s.name+".pcap")
	end, dev := k.B, lab.Interface
	if s.at == 'A' {
		end = k.A
	}
	if s.name == "to-itself" {
		dev = "lo"
	}
	filter := "tcp or icmp or icmp6"
	if s.filter != "" {
		filter = s.filter
	}
	snap := "110"
	if s.name == "article" {
		snap = "200"
	}
	// A datagram to itself, after everything else, shows that all is captured.
	filter = "(" + filter + ") or udp port 9"
	cmd := end.Command("tcpdump", "-i", dev, "-w", file, "-U", "--immediate-mode", "-s", snap, "-B", "16384",
		"--time-stamp-precision=nano", "-Z", "root", filter)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		k.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	for lines := bufio.NewScanner(stderr); ; {
		if !lines.Scan() {
			k.Fatal("tcpdump ended")
		}
		if strings.Contains(lines.Text(), "listening on") {
			break
		}
	}
	go io.Copy(io.Discard, stderr)
	s.happens(k)
	target := "192.0.2.1:9"
	switch {
	case dev == "lo":
		target = "127.0.0.1:9"
	case end == k.A:
		target = "192.0.2.2:9"
	}
	k.do(end, func() error {
		c, err := net.Dial("udp", target)
		if err == nil {
			_, err = c.Write([]byte("end"))
		}
		return err
	})
	for deadline := time.Now().Add(10 * time.Second); !recorded(file); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.Fatal("tcpdump does not write the end")
		}
	}
	cmd.Process.Signal(syscall.SIGTERM)
	cmd.Wait()
	return file
}

// recorded reports whether the capture has the datagram that ends it.
func recorded(file string) bool {
	f, err := os.Open(file)
	if err != nil {
		return false
	}
	defer f.Close()
	r, err := capture.NewReader(f)
	if err != nil {
		return false
	}
	for {
		var p capture.Packet
		if r.Next(&p) != nil {
			return false
		}
		if len(p.IP) > 9 && p.IP[0] == 0x45 && p.IP[9] == unix.IPPROTO_UDP {
			return true
		}
	}
}

func (k *kernels) do(h *lab.Host, f func() error) {
	k.Helper()
	if err := h.Do(f); err != nil {
		k.Fatal(err)
	}
}

func (k *kernels) run(h *lab.Host, args ...string) {
	k.Helper()
	if _, err := h.Run(args[0], args[1:]...); err != nil {
		k.Fatal(err)
	}
}

// plain does without the options that came after RFC 793.
func (k *kernels) plain() {
	for _, h := range []*lab.Host{k.A, k.B} {
		k.run(h, "sysctl", "-q", "-w", "net.ipv4.tcp_sack=0", "net.ipv4.tcp_timestamps=0", "net.ipv4.tcp_window_scaling=0")
	}
}

func (k *kernels) addr(network string) string {
	if network == "tcp6" {
		return net.JoinHostPort(k.B.IPv6.String(), "7000")
	}
	return net.JoinHostPort(k.B.IPv4.String(), "7000")
}

// serve has B do something with each connection, and close it.
func (k *kernels) serve(network string, handle func(*net.TCPConn)) {
	k.Helper()
	var l net.Listener
	k.do(k.B, func() (err error) {
		lc := net.ListenConfig{KeepAlive: -1}
		lc.SetMultipathTCP(false)
		l, err = lc.Listen(context.Background(), network, k.addr(network))
		return err
	})
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				handle(c.(*net.TCPConn))
			})
		}
	})
	k.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
}

// dial connects A to B.
func (k *kernels) dial(network string, change func(*net.Dialer)) *net.TCPConn {
	k.Helper()
	d := net.Dialer{KeepAlive: -1, Timeout: 20 * time.Second}
	if change != nil {
		change(&d)
	}
	var c net.Conn
	k.do(k.A, func() (err error) {
		c, err = d.Dial(network, k.addr(network))
		return err
	})
	k.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(60 * time.Second))
	return c.(*net.TCPConn)
}

// send sends n octets and ends, and reads until the other side has ended too.
func (k *kernels) send(c *net.TCPConn, n int) {
	k.Helper()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, c)
		done <- err
	}()
	for n > 0 {
		m := min(n, 2000)
		if _, err := c.Write(make([]byte, m)); err != nil {
			k.Fatal(err)
		}
		n -= m
	}
	c.CloseWrite()
	if err := <-done; err != nil {
		k.Fatal(err)
	}
	c.Close()
}

func echo(c *net.TCPConn) { io.Copy(c, c) }

// sink reads everything.
func sink(c *net.TCPConn) { io.Copy(io.Discard, c) }

func (k *kernels) echo(network string, n int) {
	k.serve(network, echo)
	k.send(k.dial(network, nil), n)
}

// halfClose: what was asked is answered after the client has closed.
func (k *kernels) halfClose() {
	k.serve("tcp4", func(c *net.TCPConn) {
		all, _ := io.ReadAll(c)
		time.Sleep(100 * time.Millisecond) // longer than an ACK is delayed
		for range 3 {
			c.Write(all)
		}
	})
	k.send(k.dial("tcp4", nil), 100)
}

// resets: refused, aborted by the client, closed with something unread, and data
// for a connection that is gone.
func (k *kernels) resets() {
	k.do(k.A, func() error {
		if c, err := net.Dial("tcp4", k.addr("tcp4")); err == nil {
			c.Close()
			return fmt.Errorf("connected, though nobody listens")
		}
		return nil
	})
	ended := make(chan bool, 4)
	k.serve("tcp4", func(c *net.TCPConn) {
		io.ReadFull(c, make([]byte, 4))
		c.Write([]byte("seen"))
		if _, err := c.Read(make([]byte, 1)); err == nil {
			c.CloseRead()
		}
		c.Close()
		ended <- true
	})
	for _, linger := range []bool{true, false} {
		c := k.dial("tcp4", nil)
		c.Write([]byte("1234"))
		io.ReadFull(c, make([]byte, 4))
		if linger {
			c.SetLinger(0)
		} else {
			c.Write(make([]byte, 5000)) // of which the server reads one octet
			<-ended
			io.Copy(io.Discard, c)
			c.Write([]byte("more"))
			c.Write([]byte("more"))
		}
		c.Close()
		if linger {
			<-ended
		}
	}
}

func (k *kernels) manyStreams() {
	k.serve("tcp4", echo)
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() { k.send(k.dial("tcp4", nil), 100*i) })
	}
	all.Wait()
}

// portReuse: one connection after another from the same port.
func (k *kernels) portReuse() {
	k.serve("tcp4", echo)
	local := &net.TCPAddr{IP: k.A.IPv4.AsSlice(), Port: 40_000}
	for i := range 4 {
		c := k.dial("tcp4", func(d *net.Dialer) { d.LocalAddr = local })
		c.Write([]byte("hello"))
		io.ReadFull(c, make([]byte, 5))
		if i < 3 {
			c.SetLinger(0) // no TIME-WAIT
		}
		c.Close()
	}
}

// zeroWindow: the server does not read until the client has asked several times.
func (k *kernels) zeroWindow() {
	read := make(chan bool)
	k.serve("tcp4", func(c *net.TCPConn) {
		c.SetReadBuffer(4096)
		<-read
		io.Copy(io.Discard, c)
	})
	c := k.dial("tcp4", nil)
	c.SetWriteBuffer(64 << 10)
	time.AfterFunc(3*time.Second, func() { close(read) })
	k.send(c, 150_000)
}

func (k *kernels) keepAlive() {
	k.serve("tcp4", sink)
	c := k.dial("tcp4", nil)
	c.Write([]byte("hello"))
	c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: 5})
	time.Sleep(3500 * time.Millisecond)
	k.send(c, 5)
}

// drop loses the first n of the packets that arrive at h and match.
func (k *kernels) drop(h *lab.Host, match string, n int) {
	k.Helper()
	err := h.Nft(fmt.Sprintf(`table inet lost { chain arriving {
		type filter hook prerouting priority raw
		%s numgen inc mod 1000000 < %d drop
	}
	}`, match, n))
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kernels) lostSYN() {
	k.drop(k.B, "tcp flags & (syn | ack) == syn", 2)
	k.echo("tcp4", 1000)
}

func (k *kernels) lostSYNACK() {
	k.drop(k.A, "tcp flags & (syn | ack) == (syn | ack)", 1)
	k.echo("tcp4", 1000)
}

func (k *kernels) lostFIN() {
	k.drop(k.B, "tcp flags & fin == fin", 2)
	k.echo("tcp4", 1000)
}

// loss loses some per cent of what arrives at B, and at A.
func (k *kernels) loss(b, a int) {
	if err := k.B.Drop(b); err != nil {
		k.Fatal(err)
	}
	if err := k.A.Drop(a); err != nil {
		k.Fatal(err)
	}
	k.serve("tcp4", sink)
	k.send(k.dial("tcp4", nil), 200_000)
}

// toItself is a socket that connects to its own address and port: both ends of
// the conversation have the same name.
func (k *kernels) toItself() {
	k.do(k.A, func() error {
		local := netip.MustParseAddrPort("127.0.0.1:5555")
		d := net.Dialer{KeepAlive: -1, LocalAddr: net.TCPAddrFromAddrPort(local)}
		c, err := d.Dial("tcp4", local.String())
		if err != nil {
			return err
		}
		c.Write([]byte("hello"))
		io.ReadFull(c, make([]byte, 5))
		return c.Close()
	})
}

// article is the conversation of the article, by two netcats.
func (k *kernels) article() {
	k.run(k.B, "ip", "address", "add", "120.77.204.248/32", "dev", "lo")
	k.run(k.A, "ip", "address", "add", "192.168.1.7/32", "dev", "lo")
	k.run(k.B, "ip", "route", "add", "192.168.1.7", "via", "192.0.2.1")
	k.run(k.A, "ip", "route", "add", "120.77.204.248", "via", "192.0.2.2", "src", "192.168.1.7")
	server := k.B.Command("nc.openbsd", "-l", "-v", "120.77.204.248", "8113")
	server.Stdin, _ = io.Pipe()
	heard, err := server.StdoutPipe()
	if err != nil {
		k.Fatal(err)
	}
	said, err := server.StderrPipe()
	if err != nil {
		k.Fatal(err)
	}
	client := k.A.Command("nc.openbsd", "120.77.204.248", "8113")
	type_, err := client.StdinPipe()
	if err != nil {
		k.Fatal(err)
	}
	if err := server.Start(); err != nil {
		k.Fatal(err)
	}
	defer server.Process.Kill()
	bufio.NewReader(said).ReadString('\n') // listening
	if err := client.Start(); err != nil {
		k.Fatal(err)
	}
	lines := bufio.NewReader(heard)
	for _, line := range []string{"hello2020\n", "world\n"} {
		time.Sleep(time.Second) // someone types
		io.WriteString(type_, line)
		if got, err := lines.ReadString('\n'); got != line {
			k.Fatalf("the server heard %q, %v", got, err)
		}
	}
	time.Sleep(time.Second)
	client.Process.Signal(os.Interrupt) // Ctrl+C
	client.Wait()
	server.Process.Signal(syscall.SIGCONT)
	io.Copy(io.Discard, lines) // until it has closed
}
