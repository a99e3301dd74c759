package rawtcp

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// pairs are connections between two hosts: the clients and the servers.
func pairs(t *testing.T, n int) (clients, servers []*Conn) {
	la, lb := MemoryPair(addrA, addrB, 1500)
	return pairsOn(t, la, lb, n)
}

func pairsOn(t *testing.T, la, lb Link, n int) (clients, servers []*Conn) {
	a, b := hostsOn(t, la, lb)
	for range n {
		c, s, stop, err := connected(a, b, "tcp", "192.0.2.2:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		clients, servers = append(clients, c.(*Conn)), append(servers, s.(*Conn))
	}
	return clients, servers
}

// reading starts a Read, and waits until it waits.
func reading(c net.Conn) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		done <- err
	}()
	synctest.Wait()
	return done
}

// returned expects that such a call has returned by now.
func returned(t *testing.T, done <-chan error, otherwise string) {
	t.Helper()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	default:
		t.Error(otherwise)
	}
}

func leader(h *Host) *cond {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leader
}

// Nobody calls anything at the server, and the client's data are acknowledged.
func TestHostReadsWhereNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, _ := pairs(t, 1)
		time.Sleep(time.Second) // whoever led while connecting has gone
		if _, err := clients[0].Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := clients[0].Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Of two who wait the one leads, and serves the other. When it leaves, the other
// does not miss what comes; and the lead is the one's who was served.
func TestLeadPassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, servers := pairs(t, 2)
		h := servers[0].host
		lead := reading(servers[0])
		clients[0].Write([]byte("x")) // the host that stood in hands over
		<-lead

		lead = reading(servers[0])
		if leader(h) != &servers[0].canRead {
			t.Fatal("the one who waits does not read the link")
		}
		follow := reading(servers[1])
		clients[1].Write([]byte("x"))
		if err := <-follow; err != nil {
			t.Fatal(err)
		}
		follow = reading(servers[1])
		if leader(h) != &servers[1].canRead {
			t.Error("the one who was served does not lead")
		}

		servers[1].SetReadDeadline(time.Now())
		if err := <-follow; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the leader's deadline passes: %v", err)
		}
		time.Sleep(time.Second)
		if leader(h) != &servers[0].canRead {
			t.Error("nobody leads, though somebody waits")
		}
		servers[0].Close()
		if err := <-lead; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the leader's connection closes: %v", err)
		}
	})
}

// What waits to leave together with more leaves though no more comes, and nobody calls
// anything at either end.
func TestNothingWaitsForMoreForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, servers := pairs(t, 1)
		c, s := clients[0], servers[0]
		go io.Copy(io.Discard, s)
		for range 100 { // until so much may be under way
			if _, err := c.Write(make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for range 20 {
			if _, err := c.Write(make([]byte, 10_000)); err != nil {
				t.Fatal(err)
			}
		}
		unsent := func() int {
			v := c.Snapshot()
			return v.SendQueue - v.SndNxt.Sub(v.SndUna)
		}
		if unsent() == 0 {
			t.Error("everything has left at once")
		}
		time.Sleep(mostPatience)
		if n := unsent(); n > 0 {
			t.Errorf("%d octets still wait", n)
		}
	})
}

// One who has something to send waits for those who were woken before, and the last
// of them sends it.
func TestThoseWokenSendTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, servers := pairs(t, 3)
		h := clients[0].host
		lead, follow := reading(clients[0]), reading(clients[1])
		sent := func() bool { return clients[2].tcp.Snapshot().Flight > 0 }
		h.mu.Lock()
		clients[1].canRead.broadcast() // to look in vain
		now := time.Now()
		clients[2].tcp.Write(now, []byte("x"))
		h.flush(clients[2])
		if sent() {
			t.Error("it is sent while another is still to come")
		}
		h.mu.Unlock()
		synctest.Wait()
		h.mu.Lock()
		if !sent() {
			t.Error("the last who was woken has not sent it")
		}
		h.mu.Unlock()
		for _, c := range clients {
			c.Close()
		}
		<-lead
		<-follow
		for _, s := range servers {
			s.Close()
		}
	})
}

// Two segments for each of two connections come in one batch, and are to be acknowledged.
// Both are woken and have an answer. The first one's takes the ACK along; the last
// one, whom nobody waits for, comes after what the others owe, and its own ACK.
func TestThoseWokenAnswerTogether(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // one after the other
	synctest.Test(t, func(t *testing.T) {
		la, lb := MemoryPair(addrA, addrB, 1500)
		link := &busyLink{Link: la, token: make(chan bool, 1)}
		link.token <- true
		clients, servers := pairsOn(t, link, lb, 3)
		time.Sleep(time.Second) // whoever led while connecting has gone
		go io.Copy(io.Discard, clients[0])
		synctest.Wait()
		<-link.token
		servers[0].Write([]byte("x")) // keeps the leader busy, so that the others come together
		synctest.Wait()
		for i, c := range clients[1:] {
			go func() {
				c.Read(make([]byte, 1<<16))
				c.Write([]byte("answer"))
			}()
			synctest.Wait()
			servers[1+i].Write(make([]byte, 2*1448))
		}
		var sent []int
		h := clients[0].host
		h.mu.Lock()
		for _, c := range clients[1:] {
			c.watch.tap = func(e *Event) {
				if e.Sent {
					sent = append(sent, len(e.Segment.Payload))
				}
			}
		}
		h.mu.Unlock()
		link.token <- true
		synctest.Wait()
		slices.Sort(sent)
		if want := []int{0, 6, 6}; !slices.Equal(sent, want) {
			t.Errorf("segments of %v octets answer, want %v", sent, want)
		}
	})
}

// A steppedLink's reader waits for a step with each batch of what is no TCP.
type steppedLink struct {
	Link
	step chan bool
}

func (l *steppedLink) ReadBatch(bufs [][]byte) (int, error) {
	n, err := l.Link.ReadBatch(bufs)
	if n > 0 && len(bufs[0]) == 1 {
		<-l.step
	}
	return n, err
}

// Where a batch was full, one who writes comes after the next one; and does not wait for
// it where there is none.
func TestWritersComeAfterABatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := MemoryPair(addrA, addrB, 1500)
		link := &steppedLink{Link: la, step: make(chan bool)}
		clients, _ := pairsOn(t, link, lb, 2)
		time.Sleep(time.Second) // whoever led while connecting has gone
		go io.Copy(io.Discard, clients[0])
		synctest.Wait()
		arrive := func(n int) {
			for range n {
				lb.WriteBatch([]Outgoing{{Dst: addrA, Header: []byte{0}}})
			}
			synctest.Wait()
		}
		read := func() {
			link.step <- true
			synctest.Wait()
		}
		write := func() (done *atomic.Bool) {
			done = new(atomic.Bool)
			go func() {
				clients[1].Write([]byte("x"))
				done.Store(true)
			}()
			synctest.Wait()
			return done
		}
		arrive(1) // keeps the leader busy, so that the rest comes in full batches
		arrive(3 * readBatch)
		read()
		if !write().Load() {
			t.Error("one who writes waits for the first full batch")
		}
		read()
		done := write()
		if done.Load() {
			t.Error("after one full batch, one who writes comes before the next")
		}
		read()
		if !done.Load() {
			t.Error("he comes not even after the next")
		}
		read()
		if !write().Load() {
			t.Error("he waits for a batch, and nothing arrives any more")
		}
	})
}

// One who waits for a report leads, and gives up. The other, who follows, does not
// miss what comes.
func TestReportPassesTheLeadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clients, servers := pairs(t, 2)
		lead := reading(servers[0])
		clients[0].Write([]byte("x")) // the host that stood in hands over
		<-lead
		ctx, cancel := context.WithCancel(t.Context())
		go servers[0].Report(ctx)
		synctest.Wait()
		if leader(servers[0].host) != &servers[0].canWrite {
			t.Fatal("the one who waits does not read the link")
		}
		follow := reading(servers[1])
		time.Sleep(time.Second) // until the host does not watch who reads
		cancel()
		synctest.Wait()
		clients[1].Write([]byte("x"))
		if err := <-follow; err != nil {
			t.Error(err)
		}
	})
}
