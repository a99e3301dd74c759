package rawtcp

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// A busyLink's reader has other things to do, with a batch in its hands, while
// somebody has the token.
type busyLink struct {
	Link
	token chan bool
}

func (l *busyLink) ReadBatch(bufs [][]byte) (int, error) {
	n, err := l.Link.ReadBatch(bufs)
	<-l.token
	l.token <- true
	return n, err
}

// More ACKs than two batches hold have arrived, and nobody has come to read them
// when the timeouts are due. They are read first: nothing is sent again. Unless
// it takes too long: where a flood comes, the clock goes on too.
func TestWhatHasArrivedIsNotMissing(t *testing.T) {
	for late, again := range map[time.Duration]bool{mostLate / 2: false, 2 * mostLate: true} {
		synctest.Test(t, func(t *testing.T) {
			la, lb := MemoryPair(addrA, addrB, 1500)
			link := &busyLink{Link: la, token: make(chan bool, 1)}
			link.token <- true
			a, b := hostsOn(t, link, lb)
			l, err := (&ListenConfig{Host: b}).Listen(t.Context(), "tcp", "192.0.2.2:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			resent := 0
			d := Dialer{Host: a, Tap: func(e *Event) {
				if e.Reason.Kind == stack.ReasonTailProbe || e.Reason.Kind == stack.ReasonRetransmitTimeout {
					resent++
				}
			}}
			var conns []*Conn
			for range 3 * readBatch {
				c, err := d.Dial("tcp", l.Addr().String())
				if err != nil {
					t.Fatal(err)
				}
				if _, err := l.Accept(); err != nil {
					t.Fatal(err)
				}
				conns = append(conns, c.(*Conn))
			}
			<-link.token
			for _, c := range conns {
				if _, err := c.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
			}
			a.mu.Lock()
			due := a.deadlines[0].deadline // of all: they have written at once
			a.mu.Unlock()
			time.Sleep(time.Until(due) + late)
			link.token <- true
			for _, c := range conns {
				if err := c.Drain(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			if (resent > 0) != again {
				t.Errorf("%v late: %d segments were sent again", late, resent)
			}
		})
	}
}

// A slowLink takes its time for a packet with a certain payload, until somebody
// has sent a token. It notes the payloads and the FINs and RSTs that went.
type slowLink struct {
	Link
	token chan bool
	went  chan string
}

func (l *slowLink) WriteBatch(pkts []Outgoing) (int, error) {
	for i, o := range pkts {
		if string(o.Payload) == "slow" {
			<-l.token
		}
		if n, err := l.Link.WriteBatch(pkts[i : i+1]); n == 0 {
			return i, err
		}
		var p wire.Packet
		if wire.Parse(slices.Concat(o.Header, o.Payload), &p) == nil && (len(p.Payload) > 0 || p.Flags&(stack.FIN|stack.RST) != 0) {
			l.went <- string(p.Payload) + (p.Flags & (stack.FIN | stack.RST)).String()
		}
	}
	return len(pkts), nil
}

// While the link takes its time for one segment, others need not wait: other
// connections send, and calls on the same one return. But its own segments stay in
// order.
func TestSlowLinkHoldsNobodyUp(t *testing.T) {
	for name, test := range map[string]struct {
		then func(*Conn)
		want string
	}{
		"FIN":        {func(c *Conn) { c.CloseWrite() }, "FIN"},
		"RST":        {(*Conn).Abort, "RST"},
		"end of all": {func(c *Conn) { go c.host.Close() }, "RST"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				la, lb := MemoryPair(addrA, addrB, 1500)
				link := &slowLink{Link: la, token: make(chan bool), went: make(chan string, 10)}
				a, b := hostsOn(t, link, lb)
				var conns [2]*Conn
				for i := range conns {
					c, _, _, err := connected(a, b, "tcp", "192.0.2.2:0")
					if err != nil {
						t.Fatal(err)
					}
					conns[i] = c.(*Conn)
				}
				go conns[0].Write([]byte("slow"))
				synctest.Wait()
				if _, err := conns[1].Write([]byte("other")); err != nil {
					t.Fatal(err)
				}
				test.then(conns[0])
				synctest.Wait()
				if len(link.went) != 1 || <-link.went != "other" {
					t.Errorf("while one segment is on its way that of another connection is not, or more are")
				}
				link.token <- true
				if first, then := <-link.went, <-link.went; first != "slow" || then != test.want {
					t.Errorf("then went %q and %q, want slow and %s", first, then, test.want)
				}
			})
		})
	}
}

// writeSlowly has connections send something together, until a slowLink takes its time.
func writeSlowly(conns ...*Conn) {
	h, text := conns[0].host, "slow"
	h.mu.Lock()
	for _, c := range conns {
		c.tcp.Write(c.at(time.Now()), []byte(text))
		h.touch(c)
		text = "quick"
	}
	go func() {
		defer h.mu.Unlock()
		h.flushTouched()
	}()
	synctest.Wait()
}

// One sends for several, and the link takes its time. Somebody else reads it meanwhile.
func TestSlowLinkIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := MemoryPair(addrA, addrB, 1500)
		link := &slowLink{Link: la, token: make(chan bool), went: make(chan string, 10)}
		clients, servers := pairsOn(t, link, lb, 3)
		lead, follow := reading(clients[0]), reading(clients[1])
		servers[0].Write([]byte("x")) // the host that stood in hands over
		<-lead
		writeSlowly(clients[0], clients[2])
		servers[1].Write([]byte("y"))
		synctest.Wait()
		returned(t, follow, "what has arrived is not read")
		link.token <- true
	})
}

// What has to wait for the link is timed when it leaves, not when it began to wait:
// by its clock, a connection's segments never go back.
func TestTimeOfWhatLeavesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := MemoryPair(addrA, addrB, 1500)
		link := &slowLink{Link: la, token: make(chan bool), went: make(chan string, 100)}
		clients, _ := pairsOn(t, link, lb, writeBatch+1)
		last := clients[writeBatch]
		writeSlowly(clients...)
		const slow = 150 * time.Millisecond
		time.Sleep(slow)
		link.token <- true
		if err := last.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := last.Snapshot().SRTT; got > slow/8 {
			t.Errorf("the last one's SRTT is %v, as if its segment had taken %v", got, slow)
		}
	})
}

// A floodedLink takes its time for each batch that it reads, and nothing gets out.
type floodedLink struct {
	Link
	took atomic.Int64 // nanoseconds
}

func (l *floodedLink) ReadBatch(bufs [][]byte) (int, error) {
	n, err := l.Link.ReadBatch(bufs)
	time.Sleep(time.Duration(l.took.Load()))
	return n, err
}

func (l *floodedLink) WriteBatch(pkts []Outgoing) (int, error) {
	if l.took.Load() > 0 {
		return len(pkts), nil
	}
	return l.Link.WriteBatch(pkts)
}

// Full batches come without end, and none takes as long as the clock may be late. It
// goes on nevertheless.
func TestDeadlinesUnderAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la, lb := MemoryPair(addrA, addrB, 1500)
		link := &floodedLink{Link: la}
		clients, _ := pairsOn(t, link, lb, 1)
		time.Sleep(time.Second) // whoever led while connecting has gone
		c := clients[0]
		const took = mostLate / 2
		link.took.Store(int64(took))
		c.Write([]byte("x"))
		packet, err := wire.AppendHeaders(nil, &wire.Packet{Src: addrB, Dst: addrA, TTL: 64, ID: 1, Segment: stack.Segment{
			SrcPort: c.remote.Port(), DstPort: c.local.Port(), Seq: c.Snapshot().RcvNxt, Ack: c.Snapshot().SndUna, Flags: stack.ACK,
		}})
		if err != nil {
			t.Fatal(err)
		}
		for range memoryQueue {
			lb.WriteBatch([]Outgoing{{Dst: addrA, Header: packet}})
		}
		time.Sleep((memoryQueue/readBatch - 1) * took)
		if n := c.Snapshot().Retransmits; n == 0 {
			t.Error("nothing was sent again")
		}
	})
}

// The timer rings while somebody holds the host's lock. Who unlocks it serves it; but not
// where he does so only to send.
func TestTimerWaitsForWhatIsSent(t *testing.T) {
	clients, _ := pairs(t, 1)
	c, h := clients[0], clients[0].host
	h.mu.Lock()
	served := 0
	h.mu.serve = func() {
		if served++; h.sending > 0 {
			t.Error("a segment is on its way")
		}
	}
	h.mu.asked.Store(true)
	c.tcp.Write(c.at(time.Now()), []byte("x"))
	h.flush(c)
	h.mu.Unlock()
	if h.mu.Lock(); served != 1 {
		t.Errorf("it is served %d times", served)
	}
	h.mu.serve = h.ring
	h.mu.Unlock()
}
