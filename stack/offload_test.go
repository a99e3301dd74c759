package stack_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"rawnc/stack"
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
					sent[i] = append(sent[i], cut(seg)...)
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

// cut is what a link makes of a segment.
func cut(seg stack.Segment) (pieces []stack.Segment) {
	size, rest := seg.GSOSize, bytes.Clone(seg.Payload)
	seg.GSOSize = 0
	for ; size > 0 && len(rest) > size; rest = rest[size:] {
		p := seg
		p.Payload = rest[:size]
		p.Flags &^= stack.PSH | stack.FIN
		pieces = append(pieces, p)
		seg.Seq = seg.Seq.Add(size)
	}
	seg.Payload = rest
	return append(pieces, seg)
}
