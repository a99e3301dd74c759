package stack_test

import (
	"fmt"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 1191 and RFC 8201: the path MTU, as routers tell it. Without timestamps a
// packet is 40 octets longer than its payload, with IPv6 60.

// full is a Conn with a window of ten packets of 1500 octets in flight, and much
// more to send.
func full(t *testing.T, cfg stack.Config, opts ...detail) *dialogue {
	t.Helper()
	d := established(t, cfg, append([]detail{mss(1500)}, opts...)...)
	d.writeN(1 << 20)
	d.packets(1, 10, d.c.Snapshot().SendMSS)
	d.wait(rtt)
	return d
}

// packets expects n segments of size octets in a row.
func (d *dialogue) packets(from, n, size int) {
	d.t.Helper()
	for i := range n {
		d.expect("ACK", seq(from+size*i), length(size))
	}
	d.expectNothing()
}

func (d *dialogue) tooBig(seq, mtu int) bool { return d.icmp(stack.ICMPPacketTooBig, seq, mtu) }

// silence lets time pass until the Conn sends something.
func (d *dialogue) silence() {
	d.t.Helper()
	d.expectNothing()
	for len(d.out) == 0 {
		at, ok := d.c.Deadline()
		if !ok {
			d.t.Fatal("the Conn will send nothing more")
		}
		d.advance(at)
	}
}

func (d *dialogue) mtu(want int) {
	d.t.Helper()
	d.same("path MTU", d.c.Snapshot().PathMTU, want)
}

// What was too large goes out again in smaller pieces, at once, and it is no sign
// of congestion (RFC 1191, section 6.4).
// RFC7323-5.7-a.
func TestPacketTooBig(t *testing.T) {
	d := established(t, stack.Config{}, mss(1460))
	d.writeN(2920)
	d.expect("ACK", seq(1), length(1460))
	d.expect("PSH,ACK", seq(1461), length(1460))
	was := cwnd(d)
	d.same("heeded", d.tooBig(1, 1040), true)
	d.expect("ACK", seq(1), length(1000), why(stack.ReasonTooBig, 1040))
	d.expect("ACK", seq(1001), length(1000), why(stack.ReasonTooBig))
	d.expect("PSH,ACK", seq(2001), length(920), why(stack.ReasonTooBig))
	d.same("cwnd", cwnd(d), was)
	d.mtu(1040)
	d.tooBig(1461, 1040) // of the second one as well: known already
	d.expectNothing()
	d.acks(2921)
	d.writeN(2000)
	d.expect("ACK", length(1000))
	d.expect("PSH,ACK", length(1000))
}

// RFC1191-3-a: never below what IP promises, never above what it is; raised again
// after ten minutes: TestPathMTUIsRaised.
func TestPacketTooBigLimits(t *testing.T) {
	for _, tc := range []struct {
		ipv6      bool
		says, mtu int
	}{
		{false, 1500, 1500}, {false, 9000, 1500}, {false, 1499, 1499}, {false, 508, 508},
		{true, 1500, 1500}, {true, 1280, 1280},
		{true, 1279, 1500}, {true, 0, 1500}, // RFC 8201, section 4: discarded
		{true, 1<<31 - 1, 1500},
	} {
		d := full(t, stack.Config{IPv6: tc.ipv6})
		d.same(fmt.Sprintf("%+v: heeded", tc), d.tooBig(1, tc.says), tc.mtu < 1500)
		d.mtu(tc.mtu)
	}
	// Smaller ones are believed after two losses, but not below what leaves room for data.
	d := full(t, stack.Config{BaseMTU: -1})
	d.same("heeded", d.tooBig(1, 68), true)
	d.mtu(1500)
	d.expectAfter(firstRTO-rtt, "ACK", seq(1), length(1460), why(stack.ReasonRetransmitTimeout))
	d.mtu(1500)
	d.expectAfter(2*firstRTO, "ACK", seq(1), length(128-40), why(stack.ReasonTooBig, 128))
	d.mtu(128)
}

// RFC 1191, section 5: a router from before does not say.
func TestPlateaus(t *testing.T) {
	d := full(t, stack.Config{BaseMTU: -1})
	d.tooBig(1, 0)
	d.mtu(1492)
	d.expect("ACK", seq(1), length(1452), why(stack.ReasonTooBig, 1492))
	d.tooBig(1, 0)
	d.mtu(1006)
	d.tooBig(1, 0)
	d.mtu(508)
	d.out = nil
	d.tooBig(1, 0)
	d.mtu(508) // less is not believed at once
	d.silence()
	d.expect("ACK", seq(1), length(296-40), why(stack.ReasonTooBig, 296)) // it went out four times before
	d.mtu(296)
}

// RFC 5927, section 4.1, and what no router can have said of the segment.
func TestForgedPacketTooBig(t *testing.T) {
	for _, tc := range []struct {
		name           string
		seq, mtu, size int
		heeded         bool
	}{
		{"before SND.UNA", 0, 1000, 1500, false},
		{"at SND.NXT", 14601, 1000, 1500, false},
		{"no segment begins there", 2, 1000, 1500, false},
		{"the packet quoted is too short", 1, 1000, 1499, false},
		{"the packet fits", 1461, 1500, 1500, false},
		{"GRO has joined packets", 1461, 1000, 2960, true},
		{"the packet's length is not known", 1461, 1000, 0, true},
	} {
		d := full(t, stack.Config{})
		e := stack.ICMPError{Kind: stack.ICMPPacketTooBig, Seq: iss.Add(tc.seq), MTU: tc.mtu, Size: tc.size}
		d.same(tc.name, d.c.ICMP(d.now, &e), tc.heeded)
		d.mtu(map[bool]int{true: 1000, false: 1500}[tc.heeded])
	}
	// No SYN is too big.
	d := dial(t, stack.Config{})
	d.expect("SYN")
	d.same("heeded", d.tooBig(0, 40), false)
}

// RFC5927-7.2-a: packets as large have arrived. So it is false as long as the
// peer acknowledges.
func TestDoubtfulPacketTooBig(t *testing.T) {
	d := full(t, stack.Config{})
	d.acks(1461)
	d.out = nil
	d.same("heeded", d.tooBig(1461, 1000), true)
	d.expectNothing()
	d.mtu(1500)
	d.acks(2921)
	d.out = nil
	d.mtu(1500)

	d.tooBig(2921, 1000)
	d.silence() // it is true
	d.expect("ACK", seq(2921), length(960), why(stack.ReasonTooBig, 1000))
	d.mtu(1000)
}

// The same where SACK shows the loss.
func TestDoubtfulPacketTooBigIsLost(t *testing.T) {
	d := full(t, stack.Config{}, sackOK())
	d.acks(1461)
	d.out = nil
	d.tooBig(1461, 1300)
	d.acks(1461, sack(2921, 14601))
	d.expect("ACK", seq(1461), length(1260), why(stack.ReasonTooBig, 1300))
	d.expect("ACK", seq(2721), length(200))
	d.mtu(1300)
}

// It explains the timeout: F-RTO need not look for another reason (RFC 5682).
func TestPacketTooBigAfterTimeout(t *testing.T) {
	d := full(t, stack.Config{})
	d.silence()
	d.expect("ACK", seq(1), length(1460), why(stack.ReasonRetransmitTimeout, 1))
	d.tooBig(1, 1300)
	d.expect("ACK", seq(1), length(1260), why(stack.ReasonTooBig, 1300))
	d.expectNothing()
	d.acks(1261)
	d.expect("ACK", seq(1261), length(1260), why(stack.ReasonTooBig, 1300))
}

// The system knows that its own link carries less.
func TestLowerMTU(t *testing.T) {
	d := full(t, stack.Config{})
	d.acks(1461)
	d.out = nil
	d.same("changed", d.c.LowerMTU(d.now, 1400), true)
	d.flush()
	d.expect("ACK", seq(1461), length(1360), why(stack.ReasonTooBig, 1400))
	d.same("changed", d.c.LowerMTU(d.now, 1400), false)
	d.same("changed", dial(t, stack.Config{}).c.LowerMTU(start, 500), false)
}

// RFC 4821: the path MTU, where nobody says anything.

// blackHole is a Conn whose path begins to swallow large packets, once it has
// found out.
func blackHole(t *testing.T, cfg stack.Config, opts ...detail) *dialogue {
	t.Helper()
	d := full(t, cfg, opts...)
	d.silence()
	d.expect("ACK", seq(1), length(1460), why(stack.ReasonRetransmitTimeout, 1))
	d.silence()
	d.expect("ACK", seq(1), length(1460), why(stack.ReasonRetransmitTimeout, 2))
	d.silence()
	d.expect("ACK", seq(1), length(1160), why(stack.ReasonBlackHole, 1200))
	d.same("cwnd", cwnd(d), 1160)
	return d
}

// carries acknowledges what comes in packets of up to size octets, until the Conn
// tries a larger size; that segment is returned. What went before it is
// acknowledged.
func (d *dialogue) carries(size int) (probe output) {
	d.t.Helper()
	for range 1000 {
		if len(d.out) == 0 {
			d.silence()
		}
		sent := d.out
		d.out = nil
		next := stack.Seq(0)
		for _, o := range sent {
			if o.why.Kind == stack.ReasonPathProbe {
				return o
			}
			if n := len(o.seg.Payload) + 40; n > size {
				d.t.Fatalf("a packet of %d octets: %s", n, d.show(o))
			}
			next = o.seg.Next()
		}
		d.now = d.now.Add(rtt)
		d.acks(next.Sub(iss))
	}
	d.t.Fatal("the Conn tries no larger size")
	panic("not reached")
}

// What was lost may have been lost for another reason: the size that there was is
// tried at once.
func TestBlackHoleThatWasNone(t *testing.T) {
	d := blackHole(t, stack.Config{})
	probe := d.carries(1200)
	d.same("tries", probe.why.N, 1500)
	d.same("tries with octets", len(probe.seg.Payload), 1460)
	d.expectNothing()
	d.wait(rtt)
	d.acks(probe.seg.Next().Sub(iss))
	d.mtu(1500)
}

// It is smaller: that is no congestion, and the search goes on in between.
func TestBlackHole(t *testing.T) {
	d := blackHole(t, stack.Config{})
	probe := d.carries(1200)
	first := probe.seg.Seq.Sub(iss)
	before := d.c.Snapshot()
	for range 3 {
		d.acks(first)
	}
	for d.out[0].why.Kind == stack.ReasonData { // limited transmit
		d.out = d.out[1:]
	}
	d.expect("ACK", seq(first), length(1160), why(stack.ReasonProbeLost, 1200))
	d.expect("ACK", seq(first+1160), length(300), why(stack.ReasonProbeLost, 1200))
	d.expectNothing()
	after := d.c.Snapshot()
	d.same("cwnd", after.Cwnd, before.Cwnd)
	d.same("ssthresh", after.Ssthresh, before.Ssthresh)
	d.same("recovering", after.Recovering, false)
}

// raised is a Conn to which a router said, ten minutes ago, that the path carries
// 1200 octets.
func raised(t *testing.T, cfg stack.Config) *dialogue {
	t.Helper()
	d := established(t, cfg, mss(1460), sackOK())
	d.writeN(14600)
	d.tooBig(1, 1200)
	d.out = nil
	d.acks(14601)
	d.now = d.now.Add(10*time.Minute - 1) // not yet
	d.writeN(5 * 1160)
	d.expect("ACK", length(1160), why(stack.ReasonData))
	d.out = nil
	d.acks(14601 + 5*1160)
	d.now = d.now.Add(time.Minute)
	return d
}

// RFC 1191, section 6.3, and RFC 8201, section 5.3: the path may carry more by now.
func TestPathMTUIsRaised(t *testing.T) {
	d := raised(t, stack.Config{})
	n := d.c.Snapshot().SndNxt.Sub(iss)
	d.writeN(1460 + 4*1160)
	d.expect("ACK", seq(n), length(1460), why(stack.ReasonPathProbe, 1500))
	for i := range 3 {
		d.expect("ACK", seq(n+1460+1160*i), length(1160), why(stack.ReasonData))
	}
	d.expect("PSH,ACK", length(1160))
	d.mtu(1200)
	d.acks(n + 1460 + 4*1160)
	d.mtu(1500)
	d.writeN(1460)
	d.expect("PSH,ACK", length(1460), why(stack.ReasonData))
}

// It does not: what the probe carried goes out again, and nothing else changes.
func TestPathMTUIsNotRaised(t *testing.T) {
	d := raised(t, stack.Config{})
	n := d.c.Snapshot().SndNxt.Sub(iss)
	d.writeN(1460 + 5*1160)
	d.expect("ACK", seq(n), length(1460), why(stack.ReasonPathProbe, 1500))
	d.out = nil
	before := d.c.Snapshot()
	d.now = d.now.Add(rtt)
	d.acks(n, sack(n+1460, n+1460+5*1160))
	d.expect("ACK", seq(n), length(1160), why(stack.ReasonProbeLost, 1200))
	d.expect("ACK", seq(n+1160), length(300), why(stack.ReasonProbeLost, 1200))
	d.expectNothing()
	after := d.c.Snapshot()
	d.same("cwnd", after.Cwnd, before.Cwnd)
	d.same("ssthresh", after.Ssthresh, before.Ssthresh)
	d.same("recovering", after.Recovering, false)
	n += 1460 + 5*1160
	d.acks(n)
	// Congestion would leave a round trip for each segment of the window between
	// two losses; then the middle is tried.
	d.writeN(9 * 1160)
	d.expect("ACK", length(1160), why(stack.ReasonData))
	d.out = nil
	d.now = d.now.Add(5 * time.Second)
	d.acks(n + 9*1160)
	d.writeN(11600)
	d.expect("ACK", length(1350-40), why(stack.ReasonPathProbe, 1350))
}

// A router says how much it carries.
func TestPathMTUIsRaisedALittle(t *testing.T) {
	d := raised(t, stack.Config{})
	n := d.c.Snapshot().SndNxt.Sub(iss)
	d.writeN(30000)
	d.expect("ACK", seq(n), length(1460), why(stack.ReasonPathProbe, 1500))
	d.out = nil
	d.tooBig(n, 1400)
	d.expect("ACK", seq(n), length(1160), why(stack.ReasonTooBig, 1200))
	d.expect("ACK", seq(n+1160), length(300), why(stack.ReasonTooBig))
	d.expectNothing()
	d.mtu(1200)
	next := d.c.Snapshot().SndNxt.Sub(iss)
	d.now = d.now.Add(rtt)
	d.acks(next)
	d.expect("ACK", seq(next), length(1360), why(stack.ReasonPathProbe, 1400))
	d.out = nil
	d.acks(next + 1360)
	d.mtu(1400)
}

// A probe needs company, so that its loss is noticed for what it is (RFC 4821,
// section 7.4).
func TestNoProbeAlone(t *testing.T) {
	d := raised(t, stack.Config{})
	d.writeN(1460 + 3*1160 - 1)
	d.expect("ACK", length(1160), why(stack.ReasonData))
}

func TestNeverRaise(t *testing.T) {
	d := raised(t, stack.Config{RaiseMTU: -1})
	d.writeN(20000)
	d.expect("ACK", length(1160), why(stack.ReasonData))
}

// RFC 4821, section 7.7: what IPv6 promises is never given up. With IPv4, less is
// tried when that vanishes too.
func TestBlackHoleAgain(t *testing.T) {
	for _, tc := range []struct {
		cfg  stack.Config
		mtus []int // of the packets that time out
	}{
		{stack.Config{}, []int{1500, 1500, 1500, 1200, 1200, 1200, 508, 508, 508, 508}},
		{stack.Config{IPv6: true}, []int{1500, 1500, 1500, 1280, 1280, 1280, 1280, 1280}},
		{stack.Config{BaseMTU: 1400}, []int{1500, 1500, 1500, 1400, 1400}},
		{stack.Config{BaseMTU: -1}, []int{1500, 1500, 1500, 1500, 1500, 1500, 1500}},
		{stack.Config{MSS: 1000}, []int{1040, 1040, 1040, 1040, 1040, 1040, 1040}}, // any path carries that
	} {
		d := established(t, tc.cfg, mss(1460))
		d.writeN(20000)
		d.out = d.out[:1]
		var got []int
		for range tc.mtus {
			overhead := 40
			if tc.cfg.IPv6 {
				overhead = 60
			}
			got = append(got, len(d.out[0].seg.Payload)+overhead)
			d.out = nil
			d.silence()
		}
		d.same("packets", fmt.Sprint(got), fmt.Sprint(tc.mtus))
	}
}

// RFC 4821, section 7.7: where as many timeouts were mere loss before, it takes more
// to show a black hole, up to six.
func TestLossIsNoBlackHole(t *testing.T) {
	d := full(t, stack.Config{UserTimeout: -1})
	for _, timeouts := range []int{1, 2, 4, 5, 5} {
		for range timeouts {
			d.out = nil
			d.silence()
		}
		d.mtu(1500)
		d.out = nil
		d.acks(d.c.Snapshot().SndNxt.Sub(iss))
		if len(d.out) == 0 {
			t.Fatal("nothing is in flight")
		}
	}
	for range 5 {
		d.out = nil
		d.silence()
	}
	d.mtu(1500)
	d.out = nil
	d.silence()
	d.mtu(1200)
}

// What a router said holds: a black hole behind it makes nothing larger.
func TestBlackHoleBehindRouter(t *testing.T) {
	d := full(t, stack.Config{})
	d.tooBig(1, 1000)
	d.out = nil
	for range 6 {
		d.silence()
		for _, o := range d.out {
			if len(o.seg.Payload) > 960 {
				t.Fatalf("larger than the router said: %s", d.show(o))
			}
		}
		d.out = nil
	}
	d.mtu(508)
}

// Large packets arrive: whatever it is, it is no black hole.
func TestNoBlackHole(t *testing.T) {
	d := full(t, stack.Config{}, sackOK())
	d.acks(1, sack(1461, 2921))
	for range 6 {
		d.out = nil
		d.silence()
	}
	d.mtu(1500)
}

// What a router dropped for its size is no sign of
// congestion, though later segments arrive.
func TestPacketTooBigIsNoCongestion(t *testing.T) {
	d := window(t, sackOK())
	d.c.LowerMTU(d.now, 540)
	d.acks(1, sack(9001, 10001))
	s := d.c.Snapshot()
	d.same("recovering", s.Recovering, false)
	d.same("ssthresh", s.Ssthresh, 0)
	d.same("cwnd", s.Cwnd, 10000)
	d.expect("ACK", seq(1), length(500))
}
