package stack_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rawnc/stack"
	"rawnc/stack/netsim"
)

// A link that cuts gets in one segment what would be one after the other, as
// far as the congestion window goes. Nagle holds the rest back.
func TestOffload(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000})
	d.writeN(12500)
	d.same("GSOSize", d.out[0].seg.GSOSize, 1000)
	d.expect("ACK", seq(1), length(10000), why(stack.ReasonData))
	d.expectNothing()
	d.acks(10001)
	d.expect("ACK", seq(10001), length(2000))
	d.expectNothing()
	d.acks(12001)
	d.same("GSOSize", d.out[0].seg.GSOSize, 1000)
	d.expect("PSH,ACK", seq(12001), length(500))
}

// The smaller of the two windows counts, and how much the link takes at once.
func TestOffloadLimits(t *testing.T) {
	d := established(t, stack.Config{Offload: 3999})
	d.acks(1, win(7500))
	d.writeN(20000)
	d.expect("ACK", seq(1), length(3000))
	d.expect("ACK", seq(3001), length(3000))
	d.expect("ACK", seq(6001), length(1000))
	d.expectNothing()
	d.acks(7001, win(60000))
	d.expect("ACK", seq(7001), length(3000))
}

// The end of the queue and the FIN go with the last piece.
func TestOffloadEnd(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000, NoDelay: true})
	d.writeN(2500)
	d.expect("PSH,ACK", seq(1), length(2500))
	d.acks(2501, win(1000))
	d.writeN(2500)
	d.expect("ACK", seq(2501), length(1000))
	d.closeWrite()
	d.acks(3501)
	d.expect("FIN,PSH,ACK", seq(3501), length(1500), why(stack.ReasonFIN))
	d.acks(5002)
	d.state(stack.StateFinWait2)
}

// What is lost of a segment that the link has cut is sent again, and nothing
// else.
func TestOffloadLoss(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000, NoTimestamps: true}, sackOK())
	d.writeN(10500)
	d.expect("ACK", seq(1), length(10000))
	d.wait(rtt)
	d.acks(1001, sack(2001, 4001, 5001, 10001))
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonFastRetransmit))
	d.expect("ACK", seq(4001), length(1000), why(stack.ReasonRecovery))
	d.expectNothing()
}

// It is noted in one piece, but for the first, before which cwnd may have to be set
// back, until there is something to say of a part.
func TestOffloadRuns(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000}, sackOK())
	noted := func(runs, segments int) {
		t.Helper()
		d.same("runs", d.c.Runs(), runs)
		d.same("segments", d.c.Snapshot().Segments, segments)
	}
	d.writeN(50_500)
	d.expect("ACK", seq(1), length(10_000))
	noted(2, 10)
	d.acks(3001) // slow start
	d.expect("ACK", seq(10_001), length(6000))
	noted(2, 13)
	d.acks(9001)
	d.expect("ACK", seq(16_001), length(12_000))
	noted(3, 19)
	d.acks(15_501)
	d.expect("ACK", seq(28_001), length(13_000))
	noted(14, 26)
	d.acks(15_501, sack(17_001, 18_001))
	d.expect("ACK", seq(41_001), length(1000)) // as much as has arrived
	noted(27, 27)
}

// A FIN goes with the last segment, and is none of its own.
func TestOffloadFIN(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000})
	d.acks(1, win(1000))
	d.writeN(4000)
	d.expect("ACK", seq(1), length(1000))
	d.closeWrite()
	d.acks(1, win(60000))
	d.expect("FIN,PSH,ACK", seq(1001), length(3000), why(stack.ReasonFIN))
	d.same("segments", d.c.Snapshot().Segments, 4)
}

// A tail loss probe is the last of the pieces.
func TestOffloadTailProbe(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000}, sackOK())
	d.acks(1, win(5000))
	d.writeN(9000)
	d.expect("ACK", seq(1), length(5000))
	d.expectAfter(2*rtt+ms, "ACK", seq(4001), length(1000), why(stack.ReasonTailProbe))
	d.same("runs", d.c.Runs(), 5)
}

// What F-RTO has sent at once is lost, for what went out again behind it has arrived.
func TestOffloadForwardRTO(t *testing.T) {
	d := established(t, stack.Config{Offload: 60000}, sackOK())
	d.writeN(100_000)
	d.expect("ACK", seq(1), length(10_000))
	d.wait(2*rtt + ms)
	d.expect("ACK", seq(10_001), length(1000), why(stack.ReasonTailProbe))
	d.expectAfter(firstRTO, "ACK", seq(1), length(1000), why(stack.ReasonRetransmitTimeout, 1))
	d.acks(1001)
	d.expect("ACK", seq(11_001), length(2000), why(stack.ReasonForwardRTO))
	d.wait(rtt)
	d.acks(1001)
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonRecovery))
	d.wait(rtt)
	d.acks(11_001)
	d.expect("ACK", seq(11_001), length(1000), why(stack.ReasonFastRetransmit))
	d.expect("ACK", seq(12_001), length(1000), why(stack.ReasonRecovery))
}

// A router may speak of one of the pieces; what the system knows, it says of none.
func TestOffloadTooBig(t *testing.T) {
	sent := func() *dialogue {
		d := established(t, stack.Config{Offload: 60000})
		d.writeN(10_500)
		d.expect("ACK", seq(1), length(10_000))
		return d
	}
	d := sent()
	d.same("forged", d.tooBig(4501, 600), false)
	d.same("heeded", d.tooBig(4001, 600), true)
	d.expect("ACK", seq(1), length(560), why(stack.ReasonTooBig, 600))
	d = sent()
	d.same("changed", d.c.LowerMTU(d.now, 600), true)
	d.flush()
	d.expect("ACK", seq(1), length(560), why(stack.ReasonTooBig, 600))
}

// Cut into pieces, it is segment by segment what it would be without.
func TestOffloadIsNoOtherTCP(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := stack.Config{
			ISS: iss, MTU: 1040, SendBuffer: 50000,
			NoDelay: rapid.Bool().Draw(t, "no delay"),
			NoSACK:  rapid.Bool().Draw(t, "no SACK"),
		}
		ends := []*stack.Conn{stack.New(cfg), nil}
		cfg.Offload = rapid.IntRange(1000, 70000).Draw(t, "offload")
		ends[1] = stack.New(cfg)

		now, most, acked := start, iss, iss // most is the highest that was sent
		both := func(do func(c *stack.Conn)) {
			do(ends[0])
			do(ends[1])
			var sent [2][]stack.Segment
			for i, c := range ends {
				var seg stack.Segment
				for _, ok := c.Next(now, &seg); ok; _, ok = c.Next(now, &seg) {
					if n := len(seg.Payload); n > max(seg.GSOSize, cfg.Offload) {
						t.Fatalf("%d octets at once, more than %d", n, cfg.Offload)
					}
					if most.Less(seg.Next()) {
						most = seg.Next()
					}
					seg.Payload = bytes.Clone(seg.Payload)
					sent[i] = slices.AppendSeq(sent[i], seg.Pieces())
				}
			}
			if d := cmp.Diff(sent[0], sent[1]); d != "" {
				t.Fatalf("without Offload (-), with it (+):\n%s", d)
			}
		}
		receive := func(s stack.Segment) {
			s.SrcPort, s.DstPort, s.Ack = peerPort, ourPort, acked
			both(func(c *stack.Conn) {
				seg := s // theirs to change
				c.Receive(now, &seg)
			})
		}
		to := func(what string) stack.Seq { // between what is acknowledged and what was sent
			return acked.Add(rapid.IntRange(0, most.Sub(acked)).Draw(t, what))
		}
		both(func(c *stack.Conn) { c.Open(now, ourPort, peerPort) })
		acked = most
		receive(stack.Segment{Seq: irs, Flags: stack.SYN | stack.ACK, Window: 60000, Options: stack.Options{MSS: 1000, SACKPermitted: true}})
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				b := make([]byte, rapid.IntRange(1, 20000).Draw(t, "octets"))
				both(func(c *stack.Conn) { c.Write(now, b) })
			},
			"ACK": func(t *rapid.T) {
				acked = to("Ack")
				s := stack.Segment{Seq: irs.Add(1), Flags: stack.ACK, Window: uint16(rapid.IntRange(0, 60000).Draw(t, "window"))}
				if left, right := to("left"), to("right"); left.Less(right) && acked.Less(left) {
					s.Options.SACK[0], s.Options.SACKCount = stack.SACKBlock{Left: left, Right: right}, 1
				}
				receive(s)
			},
			"data ahead": func(t *rapid.T) { // so that our segments carry SACK blocks
				at := irs.Add(rapid.IntRange(1, 5000).Draw(t, "Seq"))
				receive(stack.Segment{Seq: at, Flags: stack.ACK, Window: 30000, Payload: make([]byte, 100)})
			},
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 2000).Draw(t, "ms")) * ms)
				both(func(c *stack.Conn) { c.Advance(now) })
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "close") == 0 {
					both(func(c *stack.Conn) { c.CloseWrite(now) })
				}
			},
		})
	})
}

// Over a network, too: a transfer is segment by segment, at every time and in every
// variable, what it is without.
func TestOffloadOverAnyNetwork(t *testing.T) {
	for seed := range uint64(100) {
		without, with := offloaded(seed, 0), offloaded(seed, 65000)
		for i, line := range without {
			if i == len(with) || line != with[i] {
				t.Fatalf("seed %d, without Offload (-), with it (+):\n%s", seed,
					cmp.Diff(without[max(i-5, 0):min(i+5, len(without))], with[max(i-5, 0):min(i+5, len(with))]))
			}
		}
		if len(with) > len(without) {
			t.Fatalf("seed %d: it goes on with %s", seed, with[len(without)])
		}
	}
}

// offloaded is what happens in a transfer both ways: each segment, and what A is like
// whenever it has changed.
func offloaded(seed uint64, offload int) (lines []string) {
	r := rand.New(rand.NewPCG(seed, 2))
	share := func(most float64) float64 { return max(r.Float64()*2-1, 0) * most } // half the time none
	var paths [2]netsim.Path
	var cfgs [2]stack.Config
	for i := range paths {
		paths[i] = netsim.Path{Delay: time.Duration(1+r.IntN(50)) * ms, Loss: share(0.1), Reorder: share(0.1), Duplicate: share(0.1)}
		cfgs[i] = stack.Config{
			ISS: stack.Seq(r.Uint32()), Offload: offload, SendBuffer: 20000 + r.IntN(300000), ReceiveBuffer: 20000 + r.IntN(300000),
			NoSACK: r.IntN(3) == 0, NoTimestamps: r.IntN(3) == 0, NoDelay: r.IntN(2) == 0, ECN: r.IntN(4) == 0,
			Congestion: stack.Congestion(r.IntN(2)), InitialWindow: 1 + r.IntN(60), UserTimeout: -1,
		}
	}
	if r.IntN(3) == 0 {
		paths[0].Rate, paths[0].Queue = 50_000+r.IntN(2<<20), 5+r.IntN(100)
	}
	n := netsim.New(seed, cfgs[0], cfgs[1], paths[0], paths[1])
	left, pause := [2]int{400_000, r.IntN(2) * 20_000}, time.Duration(r.IntN(3)*r.IntN(1000))*ms
	atOnce, awake := 1+r.IntN(100_000), [2]bool{true, true}
	zeros, buf := make([]byte, atOnce), make([]byte, 1<<20)
	for i, e := range []*netsim.End{n.A, n.B} {
		e.App = func(now time.Time) {
			if i == 0 {
				lines = append(lines, fmt.Sprintf("%+v, wrong: %v", e.Snapshot(), e.Check()))
			}
			if e.State() < stack.StateSynSent {
				return
			}
			k, _ := e.Write(now, zeros[:min(left[i], atOnce)])
			if left[i] -= k; left[i] == 0 && e.State().Synchronized() {
				e.CloseWrite(now)
			}
			if awake[i] {
				if k, _ := e.Read(now, buf); pause > 0 && k > 0 { // so that the window closes
					awake[i] = false
					n.At(now.Add(pause), func() { awake[i] = true })
				}
			}
		}
	}
	out := &n.Hosts[0].Out
	switch after := netsim.Start.Add(time.Duration(r.IntN(1000)) * ms); r.IntN(4) {
	case 0: // the path narrows, and says so or not
		mtu, mute := 600+r.IntN(800), r.IntN(2) == 0
		n.At(after, func() { out.MTU, out.Mute = mtu, mute })
	case 1: // nothing gets through for a while
		until := after.Add(time.Duration(r.IntN(5000)) * ms)
		out.Drop = func(int, *stack.Segment) bool { return n.Now.After(after) && n.Now.Before(until) }
	case 2: // all is late for a while
		n.At(after, func() { out.Delay *= 20 })
		n.At(after.Add(time.Second), func() { out.Delay /= 20 })
	}
	n.Connect()
	n.Run(20 * time.Minute)
	for _, p := range n.Log {
		if p.Reason.Kind == stack.ReasonFIN { // not each piece has it
			p.Reason.Kind = stack.ReasonData
		}
		lines = append(lines, show(n, p))
	}
	return lines
}
