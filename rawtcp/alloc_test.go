package rawtcp

import (
	"fmt"
	"io"
	"net"
	"testing"
)

// Where nobody watches, a transfer allocates nothing, either way: not in the
// stack, not in the host, not in the link.
func TestTransferAllocatesNothing(t *testing.T) {
	a, b := hosts(t)
	c, s, stop, err := connected(a, b, "tcp", "192.0.2.2:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	for name, ends := range map[string][2]net.Conn{"sending": {c, s}, "receiving": {s, c}} {
		transfer := newTransfer(t, ends[0], ends[1])
		for range 10 { // the windows open, the buffers grow
			transfer()
		}
		// Two goroutines take turns in what order they please; now and then it
		// takes a new timer or some more memory for it. A segment takes none.
		if allocs := testing.AllocsPerRun(20, transfer); allocs > transferSize/1448/10 {
			t.Errorf("%s: a transfer allocates %v times", name, allocs)
		}
	}
}

const transferSize = 1 << 20

// newTransfer returns what moves transferSize octets from one end to the other.
func newTransfer(t testing.TB, from, to net.Conn) func() {
	chunk, buf := make([]byte, 1<<16), make([]byte, 1<<16)
	next := make(chan bool)
	t.Cleanup(func() { close(next) })
	go func() {
		for range next {
			for range transferSize / len(chunk) {
				from.Write(chunk)
			}
		}
	}()
	return func() {
		next <- true
		for range transferSize / len(buf) {
			if _, err := io.ReadFull(to, buf); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// BenchmarkTransfer is a transfer between two hosts over memory: all but the
// kernel's part of it.
func BenchmarkTransfer(b *testing.B) {
	la, lb := MemoryPair(addrA, addrB, 1500)
	ha, hb := NewHost(la), NewHost(lb)
	defer ha.Close()
	defer hb.Close()
	c, s, stop, err := connected(ha, hb, "tcp", "192.0.2.2:0")
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	transfer := newTransfer(b, c, s)
	b.SetBytes(transferSize)
	b.ReportAllocs()
	for b.Loop() {
		transfer()
	}
}

// BenchmarkAmongIdle is a transfer while so many other connections are open, with
// a Read that waits on each.
func BenchmarkAmongIdle(b *testing.B) {
	for _, idle := range []int{1, 100, 10000} {
		b.Run(fmt.Sprint(idle), func(b *testing.B) {
			la, lb := MemoryPair(addrA, addrB, 1500)
			ha, hb := NewHost(la), NewHost(lb)
			defer ha.Close()
			defer hb.Close()
			l, err := (&ListenConfig{Host: hb}).Listen(b.Context(), "tcp", "192.0.2.2:80")
			if err != nil {
				b.Fatal(err)
			}
			var c, s net.Conn
			for i := range idle + 1 {
				if c, err = (&Dialer{Host: ha}).Dial("tcp", "192.0.2.2:80"); err != nil {
					b.Fatal(err)
				}
				if s, err = l.Accept(); err != nil {
					b.Fatal(err)
				}
				if i < idle {
					go c.Read(make([]byte, 1))
				}
			}
			transfer := newTransfer(b, c, s)
			b.SetBytes(transferSize)
			for b.Loop() {
				transfer()
			}
		})
	}
}
