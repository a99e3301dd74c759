package stack_test

import (
	"strings"
	"testing"
	"time"

	"rawnc/stack"
)

// Peers, and others in their name, who want to be a burden. What is forged and
// answered by a challenge stands in reset_test.go.

// What arrived first stays, whatever comes with the same numbers later.
func TestFirstOctetsStay(t *testing.T) {
	d := established(t, stack.Config{}, sackOK())
	d.send("ACK", seq(5), ack(1), text("FIRST"))
	d.expect("ACK", ack(1), sack(5, 10))
	d.send("ACK", seq(3), ack(1), text("second")) // reaches over what is held
	d.expect("ACK", ack(1), sack(5, 9, 3, 10))
	d.send("ACK", seq(8), ack(1), text("third"))
	d.expect("ACK", ack(1), sack(8, 10, 3, 13))
	d.send("ACK", seq(12), ack(1), text("d!"))
	d.expect("ACK", ack(1), sack(12, 13, 3, 14))
	d.send("ACK", seq(1), ack(1), text("in order, at last"))
	d.expect("ACK", ack(18), sack(3, 14))
	d.read(100, "inseFIRSTird!last")
	d.send("ACK", seq(1), ack(1), text("again"))
	d.expect("ACK", ack(18), sack(1, 6))
	d.read(100, "")
}

// Single octets with holes between them, 2^16 of them: few are held, each is
// answered once at most, and what they take has a bound.
func TestOctetsWithHoles(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1 << 20}, ws(7), sackOK())
	const octets = 1 << 16
	answers := 0
	for i := range octets {
		d.send("ACK", seq(2+2*i), ack(1), text("x"))
		answers += len(d.out)
		d.out = nil
	}
	if answers > octets {
		t.Errorf("%d segments for %d", answers, octets)
	}
	d.same("octets held", d.c.Snapshot().Held, 256)
	d.same("memory", d.c.BufferMemory(), 4096)
	// They are good.
	d.send("ACK", seq(1), ack(1), text(strings.Repeat("y", 513)))
	d.readN(513)
	d.same("memory", d.c.BufferMemory(), 0)

	// As far from each other as can be.
	for i := range 256 {
		d.send("ACK", seq(514+4096*i+1), ack(1), text("x"))
	}
	d.out = nil
	if m := d.c.BufferMemory(); m > 1<<20+4096 {
		t.Errorf("%d octets of memory", m)
	}
	d.send("RST", seq(514))
	d.same("memory", d.c.BufferMemory(), 0)
}

// One octet at the window's end takes one page.
func TestOctetFarAhead(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 1 << 20}, ws(7))
	d.send("ACK", seq(1+d.c.Snapshot().RcvWnd-1), ack(1), text("x"))
	d.same("octets held", d.c.Snapshot().Held, 1)
	d.same("memory", d.c.BufferMemory(), 4096)
}

// Buffers that are empty take nothing, whatever they held.
func TestEmptyBuffersTakeNothing(t *testing.T) {
	d := established(t, stack.Config{NoDelay: true}, ws(7))
	for i := range 5 {
		d.writeN(8000)
		d.data(1+3000*i, 3000, 1+8000*i)
		if m := d.c.BufferMemory(); m < 11_000 || m > 2*8000+3000+2*4096 {
			t.Errorf("%d octets of memory for 11000", m)
		}
		d.out = nil
		d.send("ACK", seq(1+3000*(i+1)), ack(1+8000*(i+1)))
		d.readN(3000)
		d.out = nil
		d.same("memory", d.c.BufferMemory(), 0)
	}
}

// What lies more than a window back nobody sent now: it is no reason for an ACK
// without bound, and its ACK is not taken.
func TestOldDataFromFarBack(t *testing.T) {
	d := established(t, stack.Config{ReceiveBuffer: 10_000})
	d.write("hello")
	d.expect("PSH,ACK", text("hello"))
	for i := range 100 {
		d.send("ACK", seq(-20_000-1000*i), ack(3), text("forged"))
	}
	d.same("answers", len(d.out), 10)
	d.expect("ACK", seq(6), ack(1), why(stack.ReasonUnacceptableACK))
	d.out = nil
	d.same("SND.UNA", d.c.Snapshot().SndUna, iss.Add(1))
}

// A peer with a tiny MSS gets no more segments in flight than any other, and
// neither does an application that writes single octets.
func TestSegmentsInFlightAreBounded(t *testing.T) {
	const most = 2 << 20 / 536
	for _, tc := range []struct{ mss, write, offload int }{{48, 1 << 20, 0}, {48, 1 << 20, 60000}, {1460, 1, 0}} {
		d := dial(t, stack.Config{NoDelay: true, InitialWindow: 100_000, Offload: tc.offload})
		d.expect("SYN")
		d.send("SYN,ACK", seq(0), ack(1), win(60000), mss(tc.mss), ws(14))
		d.expect("ACK")
		d.acks(1)
		for d.c.Snapshot().Segments < most {
			n, err := d.c.Write(d.now, make([]byte, tc.write))
			if n == 0 || err != nil {
				t.Fatalf("Write: %d, %v", n, err)
			}
			d.flush()
		}
		d.c.Write(d.now, make([]byte, tc.write))
		d.flush()
		d.same("segments in flight", d.c.Snapshot().Segments, most)
		octets := 0
		for _, o := range d.out {
			octets += len(o.seg.Payload)
		}
		d.out = nil
		d.acks(1 + octets) // and on it goes
		d.same("something was sent", len(d.out) > 0, true)
	}
}

// Somebody has put octets between two ends, which from then on disagree: each
// answers the other's ACKs, but not without end (RFC 5961, section 7).
func TestACKStorm(t *testing.T) {
	now := start
	a, b := stack.New(stack.Config{ISS: 1000}), stack.New(stack.Config{ISS: 2000})
	ends := [2]*stack.Conn{a, b}
	count := 0
	carry := func() {
		for busy := true; busy; {
			busy = false
			for i, c := range ends {
				var seg stack.Segment
				for {
					if _, ok := c.Next(now, &seg); !ok {
						break
					}
					ends[1-i].Receive(now, &seg)
					busy = true
					if count++; count > 100_000 {
						t.Fatal("it does not end")
					}
				}
			}
		}
	}
	b.Listen(80)
	a.Open(now, 1000, 80)
	carry()
	s := a.Snapshot()
	a.Receive(now, &stack.Segment{Seq: s.RcvNxt, Ack: s.SndNxt, Flags: stack.ACK, Window: 1000, Payload: []byte("forged"),
		Options: stack.Options{HasTimestamps: true, TSVal: uint32(now.UnixMilli())}})
	b.Write(now, []byte("true")) // and a takes it for old
	count = 0
	const seconds = 100
	for end := now.Add(seconds * time.Second); now.Before(end); now = now.Add(10 * ms) {
		for _, c := range ends {
			c.Advance(now)
		}
		carry()
	}
	if most := 2 * 10 * (seconds + 1); count > most {
		t.Errorf("%d segments in %d seconds, want at most %d", count, seconds, most)
	}
	t.Logf("%d segments in %d seconds", count, seconds)
}

// RFC5961-7-a: what one connection is provoked to send says nothing of another. If
// they shared a limit, an attacker with a connection of its own could count how
// many of its challenges are missing, and so learn which guess at another was right.
func TestChallengesAreEachConnectionsOwn(t *testing.T) {
	attackers, victims := established(t, stack.Config{}), established(t, stack.Config{})
	for range 100 {
		victims.send("RST", seq(1000))
		attackers.send("RST", seq(1000))
	}
	attackers.same("challenges of the attacker's connection", len(attackers.out), 10)
	victims.same("challenges of the victim's", len(victims.out), 10)
}
