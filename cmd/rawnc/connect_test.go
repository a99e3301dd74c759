//go:build linux

package main

import (
	"crypto/rand"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// A netcat of others at the far end: each line arrives as it is typed, both
// ways, and the peer's alone are on stdout.
func TestConnectToNetcats(t *testing.T) {
	for _, nc := range [][]string{
		{"nc.openbsd", "-l", "8113"},
		{"nc.openbsd", "-6", "-l", "8113"},
		{"ncat", "-l", "8113"},
	} {
		t.Run(strings.Join(nc, " "), func(t *testing.T) {
			t.Parallel()
			labtest.NeedPrograms(t, nc[0])
			pair := labtest.NewPair(t)
			peer := start(t, pair.B.Command(nc[0], nc[1:]...))
			listening(t, pair.B, "8113")
			host := pair.B.IPv4
			if nc[1] == "-6" {
				host = pair.B.IPv6
			}
			rawnc := start(t, pair.A.Command("rawnc", "connect", host.String(), "8113"))
			rawnc.types("hello2020\n")
			peer.prints("hello2020\n")
			peer.types("welcome\n")
			rawnc.prints("welcome\n")
			rawnc.types("world\n")
			peer.prints("world\n")
			rawnc.stdin.Close() // the end of input is the FIN
			peer.stdin.Close()
			peer.ends(0)
			rawnc.ends(0)
			if got := rawnc.stdout.text(); got != "welcome\n" {
				t.Errorf("stdout is %q", got)
			}
			if got := peer.stdout.text(); got != "hello2020\nworld\n" {
				t.Errorf("the peer got %q", got)
			}
		})
	}
}

// A file goes in by pipe and comes out whole.
func TestConnectSendsFile(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "nc.openbsd")
	pair := labtest.NewPair(t)
	content := make([]byte, 1<<20+1)
	rand.Read(content)
	peer := start(t, pair.B.Command("nc.openbsd", "-l", "8113"))
	listening(t, pair.B, "8113")
	rawnc := start(t, pair.A.Command("rawnc", "-N", pair.B.IPv4.String(), "8113", "--quiet")) // as one calls nc
	rawnc.types(string(content))
	rawnc.stdin.Close()
	rawnc.ends(0)
	peer.ends(0)
	if peer.stdout.text() != string(content) {
		t.Error("the file is not what it was")
	}
	if got := rawnc.stderr.text(); got != "" {
		t.Errorf("--quiet said %q", got)
	}
}

// listenKernel listens with the kernel's TCP.
func listenKernel(t *testing.T, host *lab.Host, address string) *net.TCPListener {
	t.Helper()
	var l net.Listener
	err := host.Do(func() (err error) {
		l, err = net.Listen("tcp", address)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.(*net.TCPListener)
}

// serve has the kernel's TCP serve a host's port 8113, and returns what gives
// the next connection to the test.
func serve(t *testing.T, host *lab.Host) (accept func() *net.TCPConn) {
	t.Helper()
	l := listenKernel(t, host, ":8113")
	return func() *net.TCPConn {
		t.Helper()
		l.SetDeadline(time.Now().Add(waitLimit))
		c, err := l.AcceptTCP()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		c.SetDeadline(time.Now().Add(waitLimit))
		return c
	}
}

// dialKernel connects with the kernel's TCP.
func dialKernel(t *testing.T, host *lab.Host, address string) *net.TCPConn {
	t.Helper()
	var c net.Conn
	err := host.Do(func() (err error) {
		c, err = net.DialTimeout("tcp", address, waitLimit)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c.(*net.TCPConn)
}

// connectTo starts rawnc connect to a server of the test's own.
func connectTo(t *testing.T, flags ...string) (rawnc *program, peer *net.TCPConn, pair *lab.Pair) {
	t.Helper()
	pair = labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc = start(t, pair.A.Command("rawnc", append([]string{"connect", pair.B.IPv4.String(), "8113"}, flags...)...))
	return rawnc, accept(), pair
}

func reads(t *testing.T, c net.Conn, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(c, b); err != nil || string(b) != want {
		t.Fatalf("the peer read %q, %v; want %q", b, err, want)
	}
}

func readsEnd(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the peer read %d octets, %v; want the end", n, err)
	}
}

// The end of stdin half-closes; what the peer sends after it still arrives.
func TestEndOfInputHalfCloses(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t)
	rawnc.types("question\n")
	rawnc.stdin.Close()
	reads(t, peer, "question\n")
	readsEnd(t, peer)
	io.WriteString(peer, "answer\n")
	rawnc.prints("answer\n")
	peer.Close()
	rawnc.ends(0)
}

func TestPeerClosesFirst(t *testing.T) {
	t.Parallel()
	t.Run("and stdin goes on", func(t *testing.T) {
		t.Parallel()
		rawnc, peer, _ := connectTo(t)
		io.WriteString(peer, "that is all\n")
		peer.CloseWrite()
		rawnc.says("the peer has closed and sends no more. You may still send")
		rawnc.types("one more\n")
		reads(t, peer, "one more\n")
		rawnc.stdin.Close()
		readsEnd(t, peer)
		rawnc.ends(0)
		rawnc.prints("that is all\n")
	})
	t.Run("and there is no stdin", func(t *testing.T) {
		t.Parallel()
		rawnc, peer, _ := connectTo(t, "-d")
		peer.CloseWrite()
		rawnc.says("with -d there is nothing to send, so rawnc closes too")
		readsEnd(t, peer)
		rawnc.ends(0)
	})
}

// Whoever reads stdout learns that the peer has closed, though rawnc goes on.
func TestPeerClosesPipeline(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("bash", "-c", "rawnc connect 192.0.2.2 8113 | (cat; echo that was all)"))
	peer := accept()
	peer.CloseWrite()
	rawnc.prints("that was all\n")
	rawnc.types("one more\n")
	reads(t, peer, "one more\n")
	rawnc.stdin.Close()
	rawnc.ends(0)
}

func TestPeerResets(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t)
	io.WriteString(peer, "last words\n")
	rawnc.prints("last words\n")
	peer.SetLinger(0)
	peer.Close()
	rawnc.ends(1)
	rawnc.says("rawnc: the peer reset the connection (RST)")
}

// Where a RST ends the sending, what came before it is still printed.
func TestDataBeforeReset(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t)
	rawnc.types("the peer will not read this\n")
	rawnc.says("Next of #4")
	io.WriteString(peer, "last words\n")
	peer.Close() // with octets unread: RST
	rawnc.ends(1)
	rawnc.prints("last words\n")
	rawnc.says("the peer reset the connection")
}

// vanish makes a host deaf.
func vanish(t *testing.T, host *lab.Host) {
	t.Helper()
	if err := host.Nft("table inet gone { chain arriving { type filter hook prerouting priority raw; iifname lab0 drop; }; }"); err != nil {
		t.Fatal(err)
	}
}

func TestPeerVanishes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		typed string
		want  string
	}{
		"while it owes an ACK": {"lost\n", "has not acknowledged 5 of the bytes"},
		"while nothing is due": {"", "does not acknowledge our FIN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rawnc, peer, pair := connectTo(t, "-w", "2")
			io.WriteString(peer, "here\n")
			rawnc.prints("here\n")
			vanish(t, pair.B)
			rawnc.types(test.typed)
			rawnc.ends(1)
			rawnc.says("nothing has moved for 2s (-w): rawnc closes")
			rawnc.says(test.want)
		})
	}
}

// The peer is there and silent: as nc, rawnc is done.
func TestIdle(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t, "-w", "1.5")
	rawnc.types("hello\n")
	reads(t, peer, "hello\n")
	readsEnd(t, peer)
	rawnc.says("nothing has moved for 1.5s (-w): rawnc closes")
	rawnc.ends(0)
	rawnc.says("the peer has acknowledged everything but keeps its side open")
}

// A slow peer is not an idle one.
func TestSlowIsNotIdle(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t, "-w", "1.5")
	for range 10 {
		time.Sleep(200 * time.Millisecond) // in all more than the limit
		io.WriteString(peer, "still here\n")
	}
	peer.Close()
	rawnc.stdin.Close()
	rawnc.ends(0)
	if got := strings.Count(rawnc.stdout.text(), "still here\n"); got != 10 {
		t.Errorf("%d lines, want 10", got)
	}
}

func TestQuitAfterInput(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t, "-q", "0.1")
	rawnc.types("hello\n")
	rawnc.stdin.Close()
	reads(t, peer, "hello\n")
	readsEnd(t, peer)
	rawnc.says("standard input ended 100ms ago (-q): rawnc closes")
	rawnc.ends(0)
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	t.Run("once", func(t *testing.T) {
		t.Parallel()
		rawnc, peer, _ := connectTo(t)
		rawnc.types("hello\n")
		reads(t, peer, "hello\n")
		rawnc.signal(os.Interrupt)
		rawnc.says("Ctrl+C: the connection is closed with FIN, and rawnc waits for the peer's")
		readsEnd(t, peer)
		io.WriteString(peer, "goodbye\n")
		rawnc.prints("goodbye\n")
		peer.Close()
		rawnc.ends(130)
	})
	t.Run("twice", func(t *testing.T) {
		t.Parallel()
		rawnc, peer, _ := connectTo(t)
		rawnc.signal(os.Interrupt)
		readsEnd(t, peer)
		rawnc.signal(os.Interrupt)
		rawnc.says("Ctrl+C again: the connection is ended with RST")
		rawnc.ends(130)
		eventually(t, "no RST came", func() bool {
			_, err := peer.Write([]byte("x"))
			return err != nil
		})
	})
	t.Run("once, after the end of input", func(t *testing.T) {
		t.Parallel()
		rawnc, peer, _ := connectTo(t)
		rawnc.stdin.Close()
		readsEnd(t, peer)
		rawnc.says("→ FIN,ACK")
		rawnc.signal(os.Interrupt)
		rawnc.says("Ctrl+C: our FIN has been sent, the peer's has not come")
		peer.Close()
		rawnc.ends(130)
	})
	t.Run("while the peer does not read", func(t *testing.T) {
		t.Parallel()
		pair := labtest.NewPair(t)
		accept := serve(t, pair.B)
		rawnc := start(t, pair.A.Command("sh", "-c", "exec rawnc connect 192.0.2.2 8113 </dev/zero"))
		peer := accept()
		rawnc.says("window closed")
		rawnc.signal(os.Interrupt)
		rawnc.says("Ctrl+C: the connection is closed with FIN")
		if _, err := io.Copy(io.Discard, peer); err != nil {
			t.Error(err)
		}
		peer.Close()
		rawnc.ends(130)
	})
	t.Run("before there is a connection", func(t *testing.T) {
		t.Parallel()
		pair := labtest.NewPair(t)
		vanish(t, pair.B)
		rawnc := start(t, pair.A.Command("rawnc", "connect", pair.B.IPv4.String(), "8113"))
		rawnc.says("→ SYN")
		rawnc.signal(os.Interrupt)
		rawnc.ends(130)
		rawnc.says("there is no connection yet; rawnc gives up")
	})
	for sig, code := range map[syscall.Signal]int{syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			rawnc, peer, _ := connectTo(t)
			rawnc.signal(sig)
			readsEnd(t, peer)
			rawnc.ends(code)
			rawnc.says(sig.String() + ": the connection is closed with FIN")
		})
	}
}

// In a terminal Ctrl+C and Ctrl+D are keys.
func TestTerminal(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "script")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("script", "--quiet", "--return", "--echo", "never", "--command",
		"stty cols 60; exec rawnc connect "+pair.B.IPv4.String()+" 8113", "/dev/null"))
	peer := accept()
	rawnc.types("typed\n")
	reads(t, peer, "typed\n")
	io.WriteString(peer, "\x1b[31mevil\n") // the peer's octets are the payload, and go as they are
	rawnc.prints("\x1b[31mevil")
	rawnc.prints(`"\x1b[31mevil\n"`) // but in the log they are quoted
	rawnc.types("\x03")
	readsEnd(t, peer)
	peer.Close()
	rawnc.ends(130)
	rawnc.prints("\x1b[32m#1") // coloured
	for line := range strings.Lines(rawnc.stdout.text()) {
		plain := strings.NewReplacer("\x1b[32m", "", "\x1b[35m", "", "\x1b[31m", "", "\x1b[1m", "", "\x1b[2m", "", "\x1b[0m", "").Replace(strings.TrimRight(line, "\r\n"))
		if n := len([]rune(plain)); n > 60 {
			t.Errorf("%d columns in a terminal of 60: %s", n, plain)
		}
	}
}

func TestNoColor(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "script")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	cmd := pair.A.Command("script", "--quiet", "--return", "--command", "rawnc connect -z "+pair.B.IPv4.String()+" 8113", "/dev/null")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	rawnc := start(t, cmd)
	accept().Close()
	rawnc.ends(0)
	if got := rawnc.stdout.text(); strings.Contains(got, "\x1b") || !strings.Contains(got, "#1 ") {
		t.Errorf("got %q", got)
	}
}

// Every address that reaches the peer.
func TestAddresses(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	for _, host := range []netip.Addr{pair.B.IPv4, pair.B.IPv6, pair.B.LinkLocal} {
		rawnc := start(t, pair.A.Command("rawnc", "--send", "hello", host.String(), "8113"))
		peer := accept()
		reads(t, peer, "hello")
		peer.Close()
		rawnc.ends(0)
	}
}

// What comes from where, and how fast, is asked for by flags.
func TestSourceAndInterval(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	if _, err := pair.A.Run("ip", "address", "add", "192.0.2.7/24", "dev", lab.Interface); err != nil {
		t.Fatal(err)
	}
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("rawnc", "connect", "-s192.0.2.7", "-p", "4321", "-i0.2", "-n", "192.0.2.2", "8113"))
	peer := accept()
	if got := peer.RemoteAddr().String(); got != "192.0.2.7:4321" {
		t.Errorf("came from %s", got)
	}
	began := time.Now()
	rawnc.types("one\ntwo\n")
	reads(t, peer, "one\n")
	reads(t, peer, "two\n")
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("two lines came within %v", took)
	}
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(0)
}

// The reader of stdout goes: rawnc closes and says so.
func TestOutputClosed(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "bash")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("bash", "-c", "rawnc connect 192.0.2.2 8113 | head -n1; exit ${PIPESTATUS[0]}"))
	peer := accept()
	io.WriteString(peer, "first\n")
	rawnc.prints("first\n")
	eventually(t, "rawnc does not close", func() bool {
		_, err := io.WriteString(peer, "more\n")
		return err != nil
	})
	rawnc.ends(1)
	rawnc.says("nobody reads the output any more")
}

// Nobody reads the log: the connection goes on.
func TestLogClosed(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("bash", "-c", "rawnc connect 192.0.2.2 8113 2> >(head -n1 >&2)"))
	peer := accept()
	for range 10 {
		rawnc.types("line\n")
		reads(t, peer, "line\n")
	}
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(0)
}

func TestOutputFile(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "out")
	rawnc, peer, _ := connectTo(t, "-o", file, "-d")
	io.WriteString(peer, "into the file\n")
	peer.Close()
	rawnc.ends(0)
	if got, err := os.ReadFile(file); err != nil || string(got) != "into the file\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := rawnc.stdout.text(); got != "" {
		t.Errorf("stdout is %q", got)
	}
}
