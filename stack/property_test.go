package stack_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rawnc/stack"
	"rawnc/stack/fault"
	"rawnc/stack/netsim"
)

// TestAnyNetwork is the promise of TCP: whatever the network does, whatever the
// configuration, whatever the applications call and when, what was sent is what
// is received, or both sides get an error; in bounded time, with a bounded number
// of segments, and then all is quiet.
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
		done := func() bool {
			return ended(a) && (ended(b) || b.end.State() == stack.StateListen) && !n.InTransit()
		}
		const limit = 4 * time.Hour
		if !n.RunUntil(limit, done) {
			t.Fatalf("after %v: %v and %v\n%s", limit, a.end.State(), b.end.State(), tail(n))
		}
		checkSegments(t, n, users)
		for _, u := range users { // what has arrived can still be read
			for ended(u) && u.err == nil {
				u.read(n.Now)
			}
		}
		checkOctets(t, n, a, b)
		checkOctets(t, n, b, a)

		sent := len(n.Log)
		n.Run(time.Hour)
		if len(n.Log) > sent {
			t.Fatalf("segments after the end\n%s", tail(n))
		}
		for _, u := range users {
			if at, armed := u.end.Deadline(); armed {
				t.Fatalf("%s is %v and has a timer, for %v", u.name, u.end.State(), at.Sub(netsim.Start))
			}
			if u.wrong != nil {
				t.Fatalf("%s: %v\n%s", u.name, u.wrong, tail(n))
			}
		}
	})
}

// checkOctets compares what u read with what its peer wrote, in the end.
func checkOctets(t *rapid.T, n *netsim.Network, u, peer *user) {
	all := len(u.got) == len(peer.written)
	switch {
	case !bytes.HasPrefix(peer.written, u.got):
		t.Fatalf("%s read %d octets that %s did not write\n%s", u.name, len(u.got), peer.name, tail(n))
	case u.err == io.EOF && !all:
		t.Fatalf("%s read the end after %d octets, %s wrote %d\n%s", u.name, len(u.got), peer.name, len(peer.written), tail(n))
	case u.gone || peer.gone:
	case u.err == nil && peer.err == nil:
		t.Fatalf("%s learned of no end\n%s", u.name, tail(n))
	case !all && peer.end.Err() == nil:
		t.Fatalf("%s read %d octets, %s wrote %d and had no error\n%s", u.name, len(u.got), peer.name, len(peer.written), tail(n))
	case !all && u.end.Err() == nil && u.end.State() == stack.StateClosed:
		t.Fatalf("%s read %d octets, %s wrote %d, and %s had no error\n%s", u.name, len(u.got), peer.name, len(peer.written), u.name, tail(n))
	}
}

// checkSegments bounds what was sent: so much for each new segment, and so much
// for each minute, in which timers run out. No storm of ACKs fits in.
func checkSegments(t *rapid.T, n *netsim.Network, users [2]*user) {
	fresh, data, reset := 0, 0, map[*netsim.End]bool{}
	for _, p := range n.Log {
		switch p.Reason.Kind {
		case stack.ReasonSYN, stack.ReasonSYNACK, stack.ReasonFIN:
			fresh++
		case stack.ReasonData, stack.ReasonForwardRTO:
			fresh++
			data++
		}
		if p.Reason.Kind == stack.ReasonBadHandshakeACK {
			continue
		}
		if reset[p.From] {
			t.Fatalf("a segment after the RST: %v", show(n, p))
		}
		reset[p.From] = p.Seg.Flags.Has(stack.RST)
	}
	if octets := len(users[0].written) + len(users[1].written); data > octets {
		t.Fatalf("%d segments of new data for %d octets\n%s", data, octets, tail(n))
	}
	minutes := int(n.Now.Sub(netsim.Start).Minutes()) + 1
	if most := 20*fresh + 60*minutes; len(n.Log) > most {
		t.Fatalf("%d segments in %d minutes, %d of them new\n%s", len(n.Log), minutes, fresh, tail(n))
	}
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
	if rapid.Bool().Draw(t, name+" coalesces") {
		p.Coalesce = ms
	}
	marks := share("marks", 20)
	p.Fate = func(_ *stack.Segment, random func() float64) fault.Fate { return fault.Fate{Mark: random() < marks} }
	if errors := share("ICMP errors", 10); errors > 0 {
		kind := stack.ICMPKind(rapid.IntRange(int(stack.ICMPNetUnreachable), int(stack.ICMPParameterProblem)).Draw(t, name+": ICMP"))
		p.Fate = func(_ *stack.Segment, random func() float64) (f fault.Fate) {
			f.Mark = random() < marks
			if random() < errors {
				f.ICMP = &kind
			}
			return f
		}
	}
	return p
}

// A user writes, reads and closes at one end.
type user struct {
	name          string
	end           *netsim.End
	left, written []byte
	got           []byte
	atOnce        int    // octets for one Write or Read
	buf           []byte // of the next Read
	reads         int
	err           error // what Read ended with
	gone          bool  // has closed or aborted before the end
	wrong         error // the first of what can never be so
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
		ECN: flag("ECN"), Congestion: rapid.SampledFrom([]stack.Congestion{stack.CUBIC, stack.NewReno}).Draw(t, name+": congestion control"),
		KeepAlive: true, KeepAliveIdle: time.Minute,
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
	for range rapid.IntRange(0, 8).Draw(t, name+": calls") {
		call := u.draw(t)
		n.At(n.Now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, name+": after"))*ms), func() { call(n.Now) })
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

// draw makes a call out of turn.
func (u *user) draw(t *rapid.T) func(now time.Time) {
	calls := map[string]func(now time.Time){
		"Open": func(now time.Time) {
			if u.end.State() != stack.StateListen { // which it would make active, perhaps after the end
				u.end.Conn.Open(now, 1, 2)
			}
		},
		"Listen": func(time.Time) { u.end.Conn.Listen(1) },
		"Write":  u.write,
		"Read":   u.read,
		"CloseWrite": func(now time.Time) {
			u.left = nil
			u.gone = u.gone || !u.end.State().Synchronized() // with what was written
			u.end.CloseWrite(now)
		},
		"Close": func(now time.Time) { u.gone = true; u.end.Close(now) },
		"Abort": func(now time.Time) { u.gone = true; u.end.Abort(now) },
	}
	// The last three seldom: they end it all.
	names := []string{"Open", "Listen", "Write", "Read", "Write", "Read", "Write", "Read", "Write", "Read", "CloseWrite", "Close", "Abort"}
	return calls[rapid.SampledFrom(names).Draw(t, u.name+": call")]
}

func (u *user) act(now time.Time) {
	if err := u.end.Check(); u.wrong == nil {
		u.wrong = err
	}
	if u.end.State() == stack.StateListen { // perhaps once more: what was written is forgotten (MUST-11)
		u.left, u.written = append(u.written, u.left...), nil
		return
	}
	if u.err != nil && u.err != io.EOF {
		return
	}
	u.write(now)
	if len(u.left) == 0 && u.end.State().Synchronized() {
		u.end.CloseWrite(now)
	}
	u.read(now)
	if u.err == io.EOF && len(u.left) == 0 {
		u.end.Close(now)
	}
}

func (u *user) write(now time.Time) {
	k, _ := u.end.Write(now, u.left[:min(u.atOnce, len(u.left))])
	u.written, u.left = append(u.written, u.left[:k]...), u.left[k:]
}

func (u *user) read(now time.Time) {
	if u.reads++; u.buf == nil || u.reads%3 == 0 { // now and then not where it was awaited
		u.buf = make([]byte, u.atOnce)
	}
	k, err := u.end.Read(now, u.buf)
	if u.got, u.err = append(u.got, u.buf[:k]...), err; k == 0 {
		u.end.Await(u.buf)
	}
}
