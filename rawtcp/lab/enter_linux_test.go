package lab

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// The test program plays the program that enters the lab when this variable
// says which one.
const roleVariable = "LAB_TEST_ROLE"

func TestMain(m *testing.M) {
	role := os.Getenv(roleVariable)
	if role == "" {
		os.Exit(m.Run())
	}
	exitIf(Enter())
	roles[role](os.Args[1:])
}

func exitIf(err error) {
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

var roles = map[string]func(args []string){
	// Says what it is, and ends with an exit code of its own.
	"report": func(args []string) {
		stdin, _ := io.ReadAll(os.Stdin)
		_, marked := os.LookupEnv(entered)
		fmt.Printf("pid %d uid %d args %q stdin %q marked %v\n", os.Getpid(), os.Getuid(), args, stdin, marked)
		os.Exit(7)
	},
	// Talks to a chat server at an address, and then to others, who are not there.
	"talk": func(args []string) {
		addr := netip.MustParseAddrPort(args[0])
		l, err := Start(addr, Chat, nil)
		exitIf(err)
		c, err := net.Dial("tcp", addr.String())
		exitIf(err)
		io.WriteString(c, "hi\n")
		c.(*net.TCPConn).CloseWrite()
		io.Copy(os.Stdout, c)
		for _, elsewhere := range []string{"198.51.100.1:80", "[2001:db8:1::1]:80"} {
			_, err = net.Dial("tcp", elsewhere)
			fmt.Println(err)
		}
		exitIf(l.Close())
		os.Exit(0)
	},
	// Says which signals came, until SIGTERM.
	"signals": func(args []string) {
		came := make(chan os.Signal, 10)
		signal.Notify(came, os.Interrupt, syscall.SIGTERM)
		_, err := Start(netip.MustParseAddrPort("120.77.204.248:8113"), Sink, nil)
		exitIf(err)
		fmt.Println("ready")
		for s := range came {
			fmt.Println(s)
			if s == syscall.SIGTERM {
				os.Exit(9)
			}
		}
	},
}

// program is a copy of the test program that any user may run.
func program(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lab")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "program")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// asEachUser runs a test as root and as nobody, without any capability and
// with a program that has the one that rawnc needs. The host is a namespace of
// the test's own; the test fails if something in it is different afterwards.
func asEachUser(t *testing.T, test func(t *testing.T, command func(role string, args ...string) *exec.Cmd)) {
	plain, capable := program(t), program(t)
	if out, err := exec.Command("setcap", "cap_net_raw+ep", capable).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("setcap: %v: %s: run this as root, with libcap2-bin installed", err, out))
	}
	nobody := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--"}
	for _, user := range []struct {
		name    string
		as      []string
		program string
	}{
		{"root", nil, plain},
		{"nobody", nobody, plain},
		{"nobody with cap_net_raw", nobody, capable},
	} {
		t.Run(user.name, func(t *testing.T) {
			pair, err := NewPair()
			if err != nil {
				missing(t, err.Error())
			}
			defer pair.Close()
			canEnter(t, user.as...)
			look := func() string {
				out, err := pair.A.Run("sh", "-c", "ip -details link; ip address; ip route; ip -6 route; ip netns list; nft list ruleset")
				if err != nil {
					t.Fatal(err)
				}
				return out
			}
			before := look()
			test(t, func(role string, args ...string) *exec.Cmd {
				args = slices.Concat(user.as, []string{user.program}, args)
				cmd := pair.A.Command(args[0], args[1:]...)
				cmd.Env = append(os.Environ(), roleVariable+"="+role, "GORACE=atexit_sleep_ms=0")
				return cmd
			})
			if after := look(); after != before {
				t.Errorf("the host's network has changed. Before:\n%s\nAfter:\n%s", before, after)
			}
		})
	}
}

// canEnter ends the test where the system forbids user namespaces.
func canEnter(t *testing.T, as ...string) {
	t.Helper()
	args := append(slices.Clone(as), "unshare", "-Urn", "true")
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		missing(t, fmt.Sprintf("%q: %v: %s: %s", args, err, out, remedy()))
	}
}

// missing is labtest.Missing, which this package's own tests cannot import.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

func TestEnterIsTheSameProcess(t *testing.T) {
	asEachUser(t, func(t *testing.T, command func(string, ...string) *exec.Cmd) {
		cmd := command("report", "-v", "two words", "--", "")
		cmd.Stdin = strings.NewReader("typed")
		out, err := cmd.CombinedOutput()
		want := fmt.Sprintf("pid %d uid 0 args %q stdin %q marked false\n", cmd.Process.Pid, []string{"-v", "two words", "--", ""}, "typed")
		if string(out) != want || cmd.ProcessState.ExitCode() != 7 {
			t.Errorf("got %q, %v; want %q, exit status 7", out, err, want)
		}
	})
}

// Whoever sets the mark stays outside, where Start touches nothing.
func TestForgedMark(t *testing.T) {
	asEachUser(t, func(t *testing.T, command func(string, ...string) *exec.Cmd) {
		cmd := command("talk", "120.77.204.248:8113")
		cmd.Env = append(cmd.Env, entered+"=net:[1]")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.HasPrefix(string(out), "lab: ") {
			t.Errorf("got %q, %v", out, err)
		}
	})
}

func TestStartServesAnyAddress(t *testing.T) {
	asEachUser(t, func(t *testing.T, command func(string, ...string) *exec.Cmd) {
		for _, test := range []struct{ server, client string }{
			{"120.77.204.248:8113", "192.0.2.1"},
			{"192.0.2.1:80", "192.0.2.2"},
			{"10.0.0.255:65535", "192.0.2.1"},
			{"[2606:4700::1111]:443", "[2001:db8::1]"},
			{"[2001:db8::1]:1", "[2001:db8::2]"},
		} {
			out, err := command("talk", test.server).CombinedOutput()
			greeting, rest, _ := strings.Cut(string(out), "\n")
			if !strings.HasPrefix(greeting, "hello "+test.client+":") ||
				!strings.HasPrefix(rest, "you said: hi\n") ||
				strings.Count(rest, "network is unreachable\n") != 2 || strings.Count(rest, "\n") != 3 || err != nil {
				t.Errorf("%s: got %q, %v", test.server, out, err)
			}
		}
	})
}

func TestSignalsArrive(t *testing.T) {
	asEachUser(t, func(t *testing.T, command func(string, ...string) *exec.Cmd) {
		cmd, say := ready(t, command)
		cmd.Process.Signal(os.Interrupt)
		if got := say(); got != "interrupt" {
			t.Errorf("got %q, want interrupt", got)
		}
		cmd.Process.Signal(syscall.SIGTERM)
		if got := say(); got != "terminated" { // so one signal came as one
			t.Errorf("got %q, want terminated", got)
		}
		if cmd.Wait(); cmd.ProcessState.ExitCode() != 9 {
			t.Errorf("got %v, want exit status 9", cmd.ProcessState)
		}
	})
}

func TestKillLeavesNothing(t *testing.T) {
	asEachUser(t, func(t *testing.T, command func(string, ...string) *exec.Cmd) {
		cmd, say := ready(t, command)
		if n := processes(t, cmd); n != 1 {
			t.Errorf("%d processes in the lab, want 1", n)
		}
		cmd.Process.Kill()
		if got := say(); got != "" {
			t.Errorf("got %q", got)
		}
		cmd.Wait()
		if n := processes(t, cmd); n != 0 {
			t.Errorf("%d processes left behind", n)
		}
	})
}

// ready starts the role signals and waits until it is in the lab. say returns
// the next line that it prints, or "" at the end.
func ready(t *testing.T, command func(string, ...string) *exec.Cmd) (cmd *exec.Cmd, say func() string) {
	t.Helper()
	cmd = command("signals", t.Name())
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	lines := bufio.NewScanner(stdout)
	say = func() string {
		lines.Scan()
		return lines.Text()
	}
	if got := say(); got != "ready" {
		t.Fatalf("got %q, want ready", got)
	}
	return cmd, say
}

// processes is how many there are with the same last argument as cmd.
func processes(t *testing.T, cmd *exec.Cmd) (n int) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			continue // it has just ended
		}
		args := strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
		if args[len(args)-1] == cmd.Args[len(cmd.Args)-1] {
			n++
		}
	}
	return n
}

func TestStartOutside(t *testing.T) {
	pair, err := NewPair()
	if err != nil {
		missing(t, err.Error())
	}
	defer pair.Close()
	err = pair.A.Do(func() error {
		_, err := Start(netip.MustParseAddrPort("120.77.204.248:8113"), Sink, nil)
		return err
	})
	if err == nil || !strings.Contains(err.Error(), "call Enter first") {
		t.Errorf("got %v", err)
	}
}

func TestStartRefuses(t *testing.T) {
	for _, test := range []struct{ addr, why string }{
		{"127.0.0.1:80", "not the address of one far host"},
		{"0.0.0.0:80", "not the address of one far host"},
		{"224.0.0.1:80", "not the address of one far host"},
		{"255.255.255.255:80", "not the address of one far host"},
		{"[::1]:80", "not the address of one far host"},
		{"[::ffff:192.0.2.1]:80", "not the address of one far host"},
		{"[fe80::1%eth0]:80", "link-local"},
		{"169.254.1.1:80", "link-local"},
		{"192.0.2.80:0", "port"},
	} {
		_, err := Start(netip.MustParseAddrPort(test.addr), Sink, nil)
		if err == nil || !strings.Contains(err.Error(), test.why) {
			t.Errorf("%s: got %v, want %q", test.addr, err, test.why)
		}
	}
	if _, err := Start(netip.AddrPort{}, Sink, nil); err == nil || !strings.Contains(err.Error(), "names do not resolve") {
		t.Errorf("no address: got %v", err)
	}
}

func TestUserNamespacesForbidden(t *testing.T) {
	canEnter(t)
	// A user namespace with no room for another, and in it a root who can do
	// nothing.
	cmd := exec.Command("unshare", "-Ur", "sh", "-c", `
		echo 0 >/proc/sys/user/max_user_namespaces
		exec setpriv --bounding-set=-all --inh-caps=-all -- "$0"`, program(t))
	cmd.Env = append(os.Environ(), roleVariable+"=report", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	want := "enter the lab: unshare: unshare failed: No space left on device: this system forbids user namespaces: " +
		"allow them (sudo sysctl user.max_user_namespaces=10000), or run this as root\n"
	if string(out) != want || err == nil {
		t.Errorf("got %q, %v; want %q", out, err, want)
	}
}
