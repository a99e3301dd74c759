package stack_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rawnc/stack"
	"rawnc/stack/netsim"
)

// TestAnyNetwork is the promise of TCP: whatever the network does, whatever the
// configuration, whenever the applications close, what is read is a prefix of
// what was written; all of it, where the end was regular; and both connections
// end in bounded time.
func TestAnyNetwork(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := netsim.NewHosts(rapid.Uint64().Draw(t, "seed"), drawPath(t, "path of A"), drawPath(t, "path of B"))
		var users [2]*user
		most := rapid.IntRange(0, 30000).Draw(t, "octets at most")
		for i, h := range n.Hosts {
			h.Accept = func() *netsim.End { return nil } // without an end, a RST is the answer
			users[i] = drawUser(t, n, h, []string{"A", "B"}[i], most)
		}
		a, b := users[0], users[1]
		n.A, n.B = a.end, b.end
		if rapid.IntRange(0, 9).Draw(t, "simultaneous open") == 0 {
			b.end.Open(n.Now, netsim.PortB, netsim.PortA)
		} else {
			b.end.Listen(netsim.PortB)
		}
		a.end.Open(n.Now, netsim.PortA, netsim.PortB)

		ended := func(u *user) bool { return u.end.State() == stack.StateClosed }
		// B may be waiting still when A was refused, or gave up.
		done := func() bool { return ended(a) && (ended(b) || b.end.State() == stack.StateListen) }
		const limit = 4 * time.Hour
		for n.RunUntil(limit, done); !done(); {
			t.Fatalf("after %v: %v and %v\n%s", limit, a.end.State(), b.end.State(), tail(n))
		}
		a.act(n.Now)
		b.act(n.Now)
		for _, u := range users {
			peer := users[0]
			if u == peer {
				peer = users[1]
			}
			switch {
			case !bytes.HasPrefix(peer.written, u.got):
				t.Fatalf("%s read %d octets that %s did not write\n%s", u.name, len(u.got), peer.name, tail(n))
			case u.err == io.EOF && len(u.got) != len(peer.written):
				t.Fatalf("%s read the end after %d octets, %s wrote %d\n%s", u.name, len(u.got), peer.name, len(peer.written), tail(n))
			case u.err == nil && peer.err == nil && !u.gone && !peer.gone:
				t.Fatalf("%s learned of no end\n%s", u.name, tail(n))
			}
		}
		for i, u := range users {
			if u.end.Check() != nil {
				t.Fatalf("%v", u.end.Check())
			}
			reset := false
			for _, p := range n.Log {
				if p.From != n.Hosts[i].Ends[0] || p.Reason.Kind == stack.ReasonBadHandshakeACK {
					continue
				}
				if reset {
					t.Fatalf("%s sends %v after its RST", u.name, show(n, p))
				}
				reset = p.Seg.Flags.Has(stack.RST)
			}
		}
	})
}

func drawPath(t *rapid.T, name string) netsim.Path {
	share := func(what string, most int) float64 {
		return float64(rapid.IntRange(0, most).Draw(t, name+": "+what)) / 100
	}
	p := netsim.Path{
		Delay: time.Duration(rapid.IntRange(0, 300).Draw(t, name+": delay")) * ms,
		Loss:  share("loss", 30), Duplicate: share("duplicates", 30), Reorder: share("reordering", 50), Corrupt: share("corruption", 10),
	}
	if rapid.Bool().Draw(t, name+" is narrow") {
		p.Rate, p.Queue = rapid.IntRange(5000, 1<<20).Draw(t, name+": rate"), rapid.IntRange(3, 50).Draw(t, name+": queue")
	}
	if rapid.Bool().Draw(t, name+" has a small MTU") {
		p.MTU = rapid.IntRange(576, 1500).Draw(t, name+": MTU")
	}
	return p
}

// A user writes, reads and closes at one end.
type user struct {
	name          string
	end           *netsim.End
	left, written []byte
	got           []byte
	atOnce        int   // octets for one Write or Read
	err           error // what Read ended with
	gone          bool  // has closed or aborted before the end
}

// drawUser's writes most octets at most, for which no buffer is so small that
// it would take days.
func drawUser(t *rapid.T, n *netsim.Network, h *netsim.Host, name string, most int) *user {
	size := func(what string) int {
		return rapid.OneOf(rapid.IntRange(1+most/200, 5000), rapid.IntRange(5000, 200000)).Draw(t, name+": "+what)
	}
	flag := func(what string) bool { return rapid.Bool().Draw(t, name+": "+what) }
	cfg := stack.Config{
		ISS:        stack.Seq(rapid.Uint32Range(1<<32-40000, 1<<32-1).Draw(t, name+": ISS")),
		SendBuffer: size("send buffer"), ReceiveBuffer: size("receive buffer"),
		MSS:          rapid.SampledFrom([]int{0, 48, 100, 536, 1460}).Draw(t, name+": MSS"),
		NoTimestamps: flag("no timestamps"), NoSACK: flag("no SACK"), NoWindowScale: flag("no window scale"), NoDelay: flag("no Nagle"),
		KeepAlive: time.Minute,
	}
	if flag("no delayed ACK") {
		cfg.DelayedACK = -1
	}
	u := &user{
		name: name, end: h.Add(cfg),
		left:   random(uint64(len(name)+int(name[0])), rapid.IntRange(0, most).Draw(t, name+": octets")),
		atOnce: rapid.IntRange(1, 10000).Draw(t, name+": octets at once"),
	}
	h.Alone = false
	u.end.App = u.act
	leave := func(f func()) {
		n.At(n.Now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, name+": leaves after"))*ms), func() {
			u.gone = true
			f()
		})
	}
	switch rapid.IntRange(0, 5).Draw(t, name+": leaves") {
	case 0:
		leave(func() { u.end.Close(n.Now) })
	case 1:
		leave(func() { u.end.Abort(n.Now) })
	case 2: // half-closes early
		n.At(n.Now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, name+": half-closes after"))*ms), func() {
			u.left = nil
		})
	}
	// An application that is slow is called now and then.
	var again func()
	again = func() {
		if u.end.State() != stack.StateClosed {
			n.At(n.Now.Add(100*ms), again)
		}
	}
	n.At(n.Now.Add(100*ms), again)
	return u
}

func (u *user) act(now time.Time) {
	if u.end.State() == stack.StateListen || u.err != nil && u.err != io.EOF {
		return
	}
	if k := min(u.atOnce, len(u.left)); k > 0 {
		k, _ = u.end.Write(now, u.left[:k])
		u.written, u.left = append(u.written, u.left[:k]...), u.left[k:]
	}
	if len(u.left) == 0 && u.end.State().Synchronized() {
		u.end.CloseWrite(now)
	}
	buf := make([]byte, u.atOnce)
	k, err := u.end.Read(now, buf)
	u.got = append(u.got, buf[:k]...)
	if u.err = err; err == io.EOF && len(u.left) == 0 {
		u.end.Close(now)
	}
}
