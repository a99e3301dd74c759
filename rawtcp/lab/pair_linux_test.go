package lab_test

import (
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// listen listens in the namespace and sends a word to whoever connects.
func listen(t *testing.T, at *lab.Host, addr netip.Addr, word string) netip.AddrPort {
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
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			io.WriteString(c, word)
			c.Close()
		}
	}()
	return netip.AddrPortFrom(addr, uint16(l.Addr().(*net.TCPAddr).Port))
}

func dial(from *lab.Host, to netip.AddrPort) (word string, err error) {
	var c net.Conn
	err = from.Do(func() (err error) {
		c, err = net.Dial("tcp", to.String())
		return err
	})
	if err != nil {
		return "", err
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	return string(b), err
}

func TestPairReachesEachOtherAtOnce(t *testing.T) {
	for range 10 { // a race with duplicate address detection would show
		pair := labtest.NewPair(t)
		for _, way := range []struct {
			from, to *lab.Host
		}{{pair.A, pair.B}, {pair.B, pair.A}} {
			for _, addr := range []netip.Addr{way.to.IPv4, way.to.IPv6, way.to.LinkLocal} {
				word, err := dial(way.from, listen(t, way.to, addr, "hello"))
				if word != "hello" || err != nil {
					t.Fatalf("%v: got %q, %v", addr, word, err)
				}
			}
		}
	}
}

func TestSwitchJoinsAll(t *testing.T) {
	hosts := labtest.NewSwitch(t, 3).Hosts
	for _, from := range hosts {
		for _, to := range hosts {
			for _, addr := range []netip.Addr{to.IPv4, to.IPv6} {
				word, err := dial(from, listen(t, to, addr, "hello"))
				if word != "hello" || err != nil {
					t.Fatalf("from %v to %v: got %q, %v", from.IPv4, addr, word, err)
				}
			}
		}
	}
}

func TestPairReachesNothingElse(t *testing.T) {
	pair := labtest.NewPair(t)
	for _, addr := range []string{"198.51.100.1:80", "[2001:db8:1::1]:80"} {
		_, err := dial(pair.A, netip.MustParseAddrPort(addr))
		if err == nil || !strings.Contains(err.Error(), "network is unreachable") {
			t.Errorf("%s: got %v, want network is unreachable", addr, err)
		}
	}
}

func TestCommandRunsInside(t *testing.T) {
	pair := labtest.NewPair(t)
	out, err := pair.B.Run("ip", "-brief", "address", "show", lab.Interface)
	if err != nil || !strings.Contains(out, "192.0.2.2/24 2001:db8::2/64 fe80::2/64") {
		t.Errorf("got %q, %v", out, err)
	}
	if _, err := pair.B.Run("sh", "-c", "echo no; exit 3"); err == nil || !strings.Contains(err.Error(), "exit status 3: no") {
		t.Errorf("got error %v, want the exit status and the output", err)
	}
}

func TestMTU(t *testing.T) {
	pair := labtest.NewPair(t)
	if err := pair.A.SetMTU(1280); err != nil {
		t.Fatal(err)
	}
	if out, _ := pair.A.Run("ip", "link", "show", lab.Interface); !strings.Contains(out, "mtu 1280") {
		t.Errorf("got %q", out)
	}
}

func TestOffloads(t *testing.T) {
	labtest.NeedPrograms(t, "ethtool")
	pair := labtest.NewPair(t)
	for _, want := range []bool{false, true} {
		if err := pair.A.Offloads(want); err != nil {
			t.Fatal(err)
		}
		out, err := pair.A.Run("ethtool", "-k", lab.Interface)
		if err != nil {
			t.Fatal(err)
		}
		for _, feature := range []string{"tx-checksumming", "scatter-gather", "tcp-segmentation-offload", "generic-receive-offload"} {
			if on := strings.Contains(out, feature+": on"); on != want {
				t.Errorf("%s is on: %v, want %v", feature, on, want)
			}
		}
	}
}

func TestDrop(t *testing.T) {
	labtest.NeedPrograms(t, "nft", "ethtool")
	pair := labtest.NewPair(t)
	// Some 180 packets, rather than a few that are super-packets.
	if err := pair.B.Offloads(false); err != nil {
		t.Fatal(err)
	}
	words := strings.Repeat("hello ", 256<<10/6)
	to := listen(t, pair.B, pair.B.IPv4, words)
	var again [11]int // retransmissions, by the percentage that is dropped
	for _, percent := range []int{10, 0} {
		if err := pair.A.Drop(percent); err != nil {
			t.Fatal(err)
		}
		before := retransmissions(t, pair.B)
		if got, err := dial(pair.A, to); got != words || err != nil {
			t.Errorf("%d %% dropped: got %d bytes of %d, %v", percent, len(got), len(words), err)
		}
		again[percent] = retransmissions(t, pair.B) - before
	}
	// Not none at 0 %: the last FIN of the connection before may come again, and on
	// a busy machine a probe may go out in vain.
	if again[10] == 0 || again[0] > again[10]/2 {
		t.Errorf("%d retransmissions with 10 %% dropped, %d with none", again[10], again[0])
	}
}

// retransmissions is how many segments the kernel of at has sent again.
func retransmissions(t *testing.T, at *lab.Host) int {
	t.Helper()
	out, err := at.Run("cat", "/proc/self/net/snmp")
	if err != nil {
		t.Fatal(err)
	}
	var names []string // one Tcp: line has the names, the next the numbers
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if i := slices.Index(names, "RetransSegs"); i >= 0 {
			n, err := strconv.Atoi(f[i])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		names = f
	}
	t.Fatalf("no RetransSegs in %s", out)
	return 0
}
