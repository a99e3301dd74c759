package rawtcp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
)

// These tests need a process of their own: the test binary runs again, as one
// of the programs below.

const programVariable = "RAWTCP_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if run := programs[os.Getenv(programVariable)]; run != nil {
		if err := run(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The programs use the host that the process shares, as a user would. Each
// gets an address and says on stdout how it went.
var programs = map[string]func(address string) error{
	"echo client":      echoClient,
	"echo server":      echoServer,
	"pour":             pour,
	"leave nothing":    leaveNothing,
	"idle":             idle,
	"permission error": permissionError,
}

// echoClient sends a mebibyte and expects it back.
func echoClient(address string) error {
	c, err := rawtcp.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	want := randomBytes(mebi)
	go func() {
		c.Write(want)
		c.(*rawtcp.Conn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err == nil && string(got) != string(want) {
		err = fmt.Errorf("sent %d octets, %d others came back", len(want), len(got))
	}
	return err
}

// echoServer serves one connection and says where before.
func echoServer(address string) error {
	l, err := rawtcp.Listen("tcp", address)
	if err != nil {
		return err
	}
	defer l.Close()
	fmt.Println(l.Addr())
	c, err := l.Accept()
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := io.Copy(c, c); err != nil {
		return err
	}
	return c.(*rawtcp.Conn).Drain(context.Background())
}

// pour sends without an end.
func pour(address string) error {
	c, err := rawtcp.Dial("tcp", address)
	if err != nil {
		return err
	}
	for chunk := make([]byte, 64<<10); err == nil; {
		_, err = c.Write(chunk)
	}
	return err
}

// leaveNothing uses the network and waits until no trace of that is left.
func leaveNothing(address string) error {
	goroutines := runtime.NumGoroutine()
	sockets := openSockets()
	d := rawtcp.Dialer{Config: stack.Config{MSL: time.Millisecond}}
	for range 3 {
		c, err := d.Dial("tcp", address)
		if err != nil {
			return err
		}
		if _, err := c.Write([]byte("hello")); err != nil {
			return err
		}
		if err := c.(*rawtcp.Conn).CloseWrite(); err != nil {
			return err
		}
		if got, err := io.ReadAll(c); string(got) != "hello" {
			return fmt.Errorf("got %q, %v", got, err)
		}
		c.Close()
	}
	if l, err := rawtcp.Listen("tcp", ":0"); err != nil {
		return err
	} else {
		l.Close()
	}
	for range 1000 {
		if runtime.NumGoroutine() <= goroutines && openSockets() <= sockets {
			return nil
		}
		time.Sleep(5 * time.Millisecond)
	}
	stacks := make([]byte, 1<<16)
	return fmt.Errorf("%d goroutines were %d, %d sockets were %d:\n%s", runtime.NumGoroutine(), goroutines,
		openSockets(), sockets, stacks[:runtime.Stack(stacks, true)])
}

// openSockets counts them: the runtime keeps files of its own.
func openSockets() int {
	files, _ := os.ReadDir("/proc/self/fd")
	n := 0
	for _, f := range files {
		if to, _ := os.Readlink("/proc/self/fd/" + f.Name()); strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n
}

// idle holds a connection on which nothing happens for a second, and says how
// many milliseconds of processor time that took.
func idle(address string) error {
	c, err := rawtcp.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	spent := func() time.Duration {
		var u syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := spent()
	time.Sleep(time.Second)
	if took := spent() - before; took > 100*time.Millisecond {
		return fmt.Errorf("an idle second took %v of processor time", took)
	}
	return nil
}

func permissionError(address string) error {
	_, dial := rawtcp.Dial("tcp", address)
	_, listen := rawtcp.Listen("tcp", address)
	for _, err := range []error{dial, listen} {
		if !errors.Is(err, rawtcp.ErrPermission) || !errors.Is(err, syscall.EPERM) || !strings.Contains(err.Error(), "setcap cap_net_raw+ep "+os.Args[0]) {
			return fmt.Errorf("got %w, want ErrPermission and what to do", err)
		}
	}
	return nil
}

// start runs a program in a namespace, as root or as the user nobody with
// nothing but the capabilities.
func start(t *testing.T, at *lab.Host, program, address string, unprivileged bool, capabilities string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := at.Command(binary, address)
	if unprivileged {
		labtest.NeedPrograms(t, "setpriv")
		labtest.NeedRoot(t)
		caps := "-all" + capabilities
		cmd = at.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
			"--inh-caps="+caps, "--ambient-caps="+caps, "--bounding-set="+caps, publicCopy(t, binary), address)
	}
	cmd.Env = append(os.Environ(), programVariable+"="+program)
	return cmd
}

// publicCopy is the binary where everyone may run it.
func publicCopy(t *testing.T, binary string) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "program")
	if err := os.WriteFile(path, b, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// echo serves with the kernel's TCP.
func echo(t *testing.T, at *lab.Host, addr netip.Addr) string {
	l := listen(t, at, addr)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				io.Copy(c, c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

// TestNetRawIsEnough: an unprivileged user with CAP_NET_RAW can do it all, and
// the kernel adds nothing.
func TestNetRawIsEnough(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		t.Run(map[bool]string{false: "IPv4", true: "IPv6"}[v6], func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			us, them := pair.A.IPv4, pair.B.IPv4
			if v6 {
				us, them = pair.A.IPv6, pair.B.IPv6
			}
			newWireAudit(t, pair.A, them)

			client := start(t, pair.A, "echo client", echo(t, pair.B, them), true, ",+net_raw")
			if out, err := client.CombinedOutput(); err != nil {
				t.Errorf("client: %v: %s", err, out)
			}

			server := start(t, pair.A, "echo server", netip.AddrPortFrom(us, 0).String(), true, ",+net_raw")
			out, err := server.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			defer server.Wait()
			in := bufio.NewReader(out)
			address, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			c, err := kernelDial(pair.B, strings.TrimSpace(address))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			exchangeEcho(t, c)
			if said, _ := io.ReadAll(in); len(said) > 0 {
				t.Errorf("server: %s", said)
			}
		})
	}
}

func exchangeEcho(t *testing.T, c net.Conn) {
	t.Helper()
	want := randomBytes(mebi)
	go func() {
		c.Write(want)
		c.(halfCloser).CloseWrite()
	}()
	if got, err := io.ReadAll(c); string(got) != string(want) || err != nil {
		t.Errorf("sent %d octets, %d came back: %v", len(want), len(got), err)
	}
}

func TestNoPermission(t *testing.T) {
	pair := labtest.NewPair(t)
	for _, addr := range []netip.Addr{pair.B.IPv4, pair.B.IPv6} {
		cmd := start(t, pair.A, "permission error", netip.AddrPortFrom(addr, 80).String(), true, "")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	}
}

// TestProcess runs programs that see for themselves what they leave behind, or
// take.
func TestProcess(t *testing.T) {
	for _, program := range []string{"leave nothing", "idle"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			cmd := start(t, pair.A, program, echo(t, pair.B, pair.B.IPv4), false, "")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// TestKill: whatever kills the process, the kernel clears up behind it.
func TestKill(t *testing.T) {
	labtest.NeedPrograms(t, "ss", "nft")
	t.Parallel()
	pair := labtest.NewPair(t)
	l := listen(t, pair.B, pair.B.IPv4)
	cmd := start(t, pair.A, "pour", l.Addr().String(), false, "")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.CopyN(io.Discard, c, mebi); err != nil {
		t.Fatal(err)
	}
	sockets := func() string {
		out, err := pair.A.Run("ss", "--no-header", "--all", "--numeric", "--tcp", "--udp", "--raw")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if n := strings.Count(sockets(), "\n"); n < 2 {
		t.Errorf("while it runs there are %d sockets, want the raw one and the guard", n)
	}
	cmd.Process.Kill()
	cmd.Wait()
	if left := sockets(); left != "" {
		t.Errorf("sockets are left:\n%s", left)
	}
	if rules, err := pair.A.Run("nft", "list", "ruleset"); rules != "" || err != nil {
		t.Errorf("firewall rules are left: %v:\n%s", err, rules)
	}
}
