package rawtcp_test

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp"
	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
)

// What connections may take, in octets.
const (
	connectionMemory = 4 << 10   // each, beside its buffers, while it is idle
	hostMemory       = 128 << 10 // all together, when they and their host are gone
)

// soakConfig has TIME-WAIT last as long as a FIN may be repeated here, and not
// longer.
var soakConfig = stack.Config{MSL: 2 * time.Second}

// TestSoak: many connections at once through one link that loses one packet in a
// hundred. Each carries octets both ways, all end, and nothing of them is left.
// With make soak they are ten thousand, and through raw sockets too.
func TestSoak(t *testing.T) {
	large := os.Getenv("RAWNC_SOAK") != ""
	connections := 2000
	if large {
		connections = 10_000
	}
	t.Run("two hosts", func(t *testing.T) {
		addrA, addrB := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		soak(t, connections, func(s *soaking) {
			la, lb := rawtcp.MemoryPair(addrA, addrB, 1500)
			loss := rawtcp.Faults{Drop: 0.01}
			a, b := rawtcp.NewHost(rawtcp.WithFaults(la, loss, rawtcp.Faults{})), rawtcp.NewHost(rawtcp.WithFaults(lb, loss, rawtcp.Faults{}))
			s.hosts = []*rawtcp.Host{a, b}
			s.listen(b, addrB)
			s.dial = (&rawtcp.Dialer{Host: a, Config: soakConfig}).Dial
		})
	})
	if !large {
		return
	}
	pair := labtest.NewPair(t)
	for _, host := range []*lab.Host{pair.A, pair.B} {
		if err := host.Drop(1); err != nil {
			t.Fatal(err)
		}
	}
	// The filter of the guards is loaded once for the process.
	link := rawLink(t, pair.A)
	_, guard, err := link.Reserve(netip.AddrPortFrom(pair.A.IPv4, 0))
	if err != nil {
		t.Fatal(err)
	}
	guard.Close()
	link.Close()
	t.Run("from the kernel", func(t *testing.T) {
		soak(t, connections, func(s *soaking) {
			s.hosts = []*rawtcp.Host{rawtcp.NewHost(rawLink(t, pair.A))}
			s.listen(s.hosts[0], pair.A.IPv4)
			s.dial = func(_, address string) (net.Conn, error) { return kernelDial(pair.B, address) }
		})
	})
	t.Run("to the kernel", func(t *testing.T) {
		var files unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
			t.Fatal(err)
		}
		// Each takes two: the guard of its port, and the kernel's socket.
		soak(t, min(connections, int(files.Cur)/2-200), func(s *soaking) {
			s.hosts = []*rawtcp.Host{rawtcp.NewHost(rawLink(t, pair.A))}
			s.Listener = listen(t, pair.B, pair.B.IPv4)
			s.dial = (&rawtcp.Dialer{Host: s.hosts[0], Config: soakConfig}).Dial
		})
	})
}

// A soaking is where connections come from and go to.
type soaking struct {
	*testing.T
	net.Listener
	dial  func(network, address string) (net.Conn, error)
	hosts []*rawtcp.Host // of ours: one end, or both
}

func (s *soaking) listen(h *rawtcp.Host, addr netip.Addr) {
	var err error
	lc := rawtcp.ListenConfig{Host: h, Config: soakConfig, Backlog: 1 << 14}
	if s.Listener, err = lc.Listen(s.Context(), "tcp", netip.AddrPortFrom(addr, 80).String()); err != nil {
		s.Fatal(err)
	}
}

// soak opens so many connections, measures them, has each carry a question and
// its answer, and looks what is left.
func soak(t *testing.T, connections int, prepare func(*soaking)) {
	warm(2 * connections)
	before := inUse()
	s := &soaking{T: t}
	prepare(s)
	s.talk(connections)
	s.Listener.Close()
	for _, h := range s.hosts {
		h.Close()
	}
	*s = soaking{}
	var left usage
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(10 * time.Millisecond) { // for goroutines that are about to end
		left = inUse()
		left = usage{left.heap - before.heap, left.goroutines - before.goroutines, left.descriptors - before.descriptors}
		if left.goroutines <= 0 {
			break
		}
	}
	t.Logf("left: %+v", left)
	if left.heap > hostMemory || left.goroutines > 0 || left.descriptors > 0 {
		t.Errorf("left: %+v", left)
	}
}

func (s *soaking) talk(connections int) {
	t := s.T
	began := time.Now()
	question, answer := bytes.Repeat([]byte("question "), 300), bytes.Repeat([]byte("the answer "), 300)
	var open, all sync.WaitGroup
	open.Add(2 * connections)
	idle := make(chan bool) // closed when all are open
	expect := func(c net.Conn, want []byte) {
		if got, err := io.ReadAll(c); !bytes.Equal(got, want) || err != nil {
			t.Errorf("got %d octets, %v; want %d", len(got), err, len(want))
		}
	}
	say := func(c net.Conn, what []byte) {
		if _, err := c.Write(what); err != nil {
			t.Error(err)
		}
		c.(halfCloser).CloseWrite()
	}
	empty := inUse()
	all.Go(func() {
		for range connections {
			c, err := s.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			all.Go(func() {
				open.Done()
				expect(c, question)
				say(c, answer)
				c.Close()
			})
		}
	})
	some := make(chan bool, 200) // so many at a time: the link's queue is no longer
	for range connections {
		some <- true
		all.Go(func() {
			c, err := s.dial("tcp", s.Addr().String())
			<-some
			if err != nil {
				t.Error(err)
				return
			}
			open.Done()
			<-idle
			some <- true
			say(c, question)
			expect(c, answer)
			c.Close()
			<-some
		})
	}
	open.Wait()
	each := (inUse().heap - empty.heap) / (len(s.hosts) * connections)
	t.Logf("%d connections are open after %v, and take %d octets each", connections, time.Since(began), each)
	if each > connectionMemory {
		t.Errorf("an idle connection takes %d octets, want at most %d", each, connectionMemory)
	}
	close(idle)
	all.Wait()
	t.Logf("all have talked after %v", time.Since(began))
	for _, h := range s.hosts {
		for conns, deadlines := h.Left(); conns+deadlines > 0; conns, deadlines = h.Left() {
			time.Sleep(time.Millisecond)
		}
	}
	t.Logf("all have ended after %v", time.Since(began))
}

// warm makes the runtime take what it never gives back: for so many goroutines,
// and for waiting on files.
func warm(goroutines int) {
	var all sync.WaitGroup
	wait := make(chan bool)
	for range goroutines {
		all.Go(func() { <-wait })
	}
	close(wait)
	all.Wait()
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
}

// usage is what the process has.
type usage struct{ heap, goroutines, descriptors int }

func inUse() usage {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // and what finalizers held
	runtime.ReadMemStats(&m)
	descriptors, _ := os.ReadDir("/proc/self/fd")
	return usage{int(m.HeapAlloc), runtime.NumGoroutine(), len(descriptors)}
}
