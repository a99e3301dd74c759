package stack_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 9293, section 3.2; RFC 7323; RFC 2018.

// Each option is used only if both ends offer it, on either side of the open.
// MUST-5, MUST-65, RFC2018-2-a, RFC2018-4-a, RFC6691-2-a, RFC7323-2.2-a.
func TestEveryMixOfOptions(t *testing.T) {
	for mix := range 64 {
		has := func(bit int) bool { return mix>>bit&1 == 1 }
		cfg := stack.Config{NoTimestamps: !has(0), NoSACK: !has(1), NoWindowScale: !has(2)}
		var theirs []detail
		tsOn, sackOn, wsOn := has(0) && has(3), has(1) && has(4), has(2) && has(5)
		if has(3) {
			theirs = append(theirs, ts(77, 0))
		}
		if has(4) {
			theirs = append(theirs, sackOK())
		}
		if has(5) {
			theirs = append(theirs, ws(4))
		}
		stamped := func(d *dialogue, l ...detail) []detail {
			if tsOn {
				l = append(l, ts(78, d.tsval()))
			}
			return l
		}
		t.Run(fmt.Sprintf("%06b", mix), func(t *testing.T) {
			offered := func(d *dialogue, tsecr uint32, t, s, w bool) []detail {
				l := []detail{seq(0), exactly(), mss(1460)}
				if t {
					l = append(l, ts(d.tsval(), tsecr))
				}
				if s {
					l = append(l, sackOK())
				}
				if w {
					l = append(l, ws(5))
				}
				return l
			}
			use := func(d *dialogue) {
				d.state(stack.StateEstablished)
				s := d.c.Snapshot()
				d.same("timestamps", s.Timestamps, tsOn)
				d.same("SACK", s.SACK, sackOn)
				size, scale, shift := 1000, 0, 0
				if tsOn {
					size -= 12
				}
				if wsOn {
					scale, shift = 4, 5
				}
				d.send("ACK", stamped(d, seq(1), ack(1), win(3000))...)
				d.same("SND.WND", d.c.Snapshot().SndWnd, 3000<<scale)
				d.send("ACK", stamped(d, seq(3), ack(1), text("c"))...)
				l := []detail{ack(1), exactly(), win(min(1<<20>>shift, 65535))}
				if sackOn {
					l = append(l, sack(3, 4))
				}
				if tsOn {
					l = append(l, ts(d.tsval(), 78))
				}
				d.expect("ACK", l...)
				d.send("ACK", stamped(d, seq(1), ack(1), text("ab"))...)
				d.expect("ACK", ack(4))
				d.writeN(1000)
				if tsOn {
					d.expect("ACK", length(size), ts(d.tsval(), 78))
				} else {
					d.expect("PSH,ACK", length(size), exactly())
				}
			}

			d := dial(t, cfg)
			d.expect("SYN", offered(d, 0, has(0), has(1), has(2))...)
			d.send("SYN,ACK", append(theirs, seq(0), ack(1), mss(1000))...)
			d.expect("ACK", seq(1), ack(1))
			use(d)

			d = listen(t, cfg)
			d.send("SYN", append(theirs, seq(0), mss(1000))...)
			var echo uint32
			if tsOn {
				echo = 77
			}
			d.expect("SYN,ACK", offered(d, echo, tsOn, sackOn, wsOn)...)
			d.send("ACK", stamped(d, seq(1), ack(1))...)
			use(d)
		})
	}
}

// MUST-15, MUST-16, and what SYNs say.
// MUST-14, MUST-67, SHLD-5, MAY-3, RFC6691-2-a.
func TestMSS(t *testing.T) {
	for _, tc := range []struct {
		cfg           stack.Config
		theirs        int // 0: none
		offered, used int
	}{
		{stack.Config{}, 1460, 1460, 1460},
		{stack.Config{}, 9000, 1460, 1460},
		{stack.Config{}, 0, 1460, 536},
		{stack.Config{IPv6: true}, 0, 1440, 1220},
		{stack.Config{IPv6: true}, 1440, 1440, 1440},
		{stack.Config{MTU: 9000}, 8960, 8960, 8960},
		{stack.Config{MTU: 576}, 0, 536, 536},
		{stack.Config{MSS: 700}, 1460, 700, 700},
		{stack.Config{MSS: 9000}, 9000, 1460, 1460},
		{stack.Config{MTU: 65536}, 65495, 65496, 65495},
		{stack.Config{MTU: 1 << 20}, 65535, 65535, 65535},
		{stack.Config{}, 1, 1460, 48},
		{stack.Config{MSS: 1}, 1460, 48, 48},
	} {
		d := dial(t, tc.cfg)
		d.expect("SYN", mss(tc.offered))
		d.send("SYN,ACK", seq(0), ack(1), mss(tc.theirs))
		d.expect("ACK")
		d.same(fmt.Sprintf("%+v with %d", tc.cfg, tc.theirs), d.c.Snapshot().SendMSS, tc.used)
	}
}

// Even the smallest segment has room for data beside every option.
func TestTheSmallestSegments(t *testing.T) {
	d := established(t, stack.Config{MSS: 48}, mss(1), ts(1, 0), sackOK())
	for at := 3; at < 20; at += 3 {
		d.send("ACK", seq(at), ack(1), text("x"), ts(2, 0))
	}
	d.out = nil
	d.writeN(100)
	d.expect("ACK", length(48-12-28), sack(18, 19, 15, 16, 12, 13))
}

// RFC 7323, section 2.3.
// RFC7323-2.3-a.
func TestTheLargestWindowScale(t *testing.T) {
	d := established(t, stack.Config{}, ws(200))
	d.same("shift", d.c.Snapshot().SndShift, uint8(14))
}

// RFC7323-2.2-a: the option means nothing but in a SYN.
func TestWindowScaleBehindTheSYN(t *testing.T) {
	d := established(t, stack.Config{})
	d.acks(1, ws(7), win(100))
	d.same("SND.WND", d.c.Snapshot().SndWnd, 100)
	d.acks(1, win(200))
	d.same("SND.WND", d.c.Snapshot().SndWnd, 200)
}

// RFC7323-2.2-b.
func TestOurWindowScale(t *testing.T) {
	for size, shift := range map[int]int{1: 0, 65535: 0, 65536: 1, 1 << 20: 5, 1 << 30: 14, math.MaxInt: 14} {
		d := dial(t, stack.Config{ReceiveBuffer: size})
		d.expect("SYN", ws(shift), win(min(size, 65535)))
	}
}

// Timestamps (RFC 7323, section 4.3): which is echoed.

// RFC7323-4.3-a.
func TestTheEarliestTimestampIsEchoed(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.send("ACK", seq(1), ack(1), text("a"), ts(101, 0))
	d.send("ACK", seq(2), ack(1), text("b"), ts(105, 0))
	d.expectAfter(delayedACK, "ACK", ack(3), ts(d.tsval()+40, 101))
}

// When our ACK was lost, its repetition tells when the data came again.
// RFC7323-4.3-a.
func TestARetransmissionIsEchoed(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.send("ACK", seq(1), ack(1), text("a"), ts(101, 0))
	d.send("ACK", seq(2), ack(1), text("b"), ts(101, 0))
	d.expectAfter(delayedACK, "ACK", ack(3), ts(d.tsval()+40, 101))
	d.send("ACK", seq(1), ack(1), text("a"), ts(500, 0))
	d.expect("ACK", ack(3), ts(d.tsval(), 500))
}

// RFC7323-4.3-a.
func TestAHoleKeepsTheEcho(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.send("ACK", seq(2), ack(1), text("b"), ts(105, 0))
	d.expect("ACK", ack(1), ts(d.tsval(), 100))
	d.send("ACK", seq(1), ack(1), text("a"), ts(110, 0))
	d.expect("ACK", ack(3), ts(d.tsval(), 110))
}

// RFC7323-5.3-a.
func TestPAWS(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.send("ACK", seq(1), ack(1), text("old"), ts(99, 0))
	d.expect("ACK", ack(1), ts(d.tsval(), 100), why(stack.ReasonUnacceptableACK))
	d.send("ACK", seq(1), ack(1), text("new"), ts(100, 0))
	d.expectAfter(delayedACK, "ACK", ack(4))
	d.read(10, "new")

	// The clock of 32 bits wraps.
	d = established(t, stack.Config{}, ts(1<<32-1, 0))
	d.send("ACK", seq(1), ack(1), text("a"), ts(3, 0))
	d.expectAfter(delayedACK, "ACK", ack(2), ts(d.tsval()+40, 3))
	d.send("ACK", seq(2), ack(1), text("b"), ts(1<<32-1, 0))
	d.expect("ACK", ack(2))
}

// RFC 7323, section 5.5: after 24 days of silence the clock may be anywhere.
// RFC7323-5.5-a.
func TestPAWSAfterALongTime(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.wait(25 * 24 * time.Hour)
	d.send("ACK", seq(1), ack(1), text("a"), ts(99, 0))
	d.expectAfter(delayedACK, "ACK", ack(2), ts(d.tsval()+40, 99))
}

// RFC 7323, section 5.2 and 3.2.
// RFC7323-5.2-a.
func TestResetNeedsNoTimestamp(t *testing.T) {
	for _, opts := range [][]detail{{}, {ts(1, 0)}} {
		d := established(t, stack.Config{}, ts(100, 0))
		d.send("RST", append(opts, seq(1))...)
		d.ended(stack.ErrReset)
	}
}

// RFC7323-5.2-b.
func TestAResetHasATimestamp(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.wait(time.Second)
	d.abort()
	d.expect("RST,ACK", exactly(), ts(d.tsval(), 100))
	d.send("ACK", seq(1), ack(1), ts(101, d.tsval()))
	d.expect("RST", seq(1), exactly(), ts(0, 101)) // its connection is forgotten, and so is the clock
	d.send("ACK", seq(1), ack(1))
	d.expect("RST", seq(1), exactly())

	d = established(t, stack.Config{NoTimestamps: true}, ts(100, 0))
	d.abort()
	d.expect("RST,ACK", exactly())

	d = dial(t, stack.Config{})
	d.expect("SYN")
	d.send("SYN,ACK", seq(0), ack(77), ts(100, d.tsval()))
	d.expect("RST", seq(77), exactly(), ts(0, 100))
}

// Who hits upon the sequence number has still to hit upon the ACK, or else
// PAWS would drop what the true peer sends.
// RFC7323-4.3-a, RFC5961-5.2-a.
func TestAForgedTimestampDoesNotCount(t *testing.T) {
	for _, a := range []int{2, -60001} {
		d := established(t, stack.Config{}, ts(100, 0))
		d.data(1, 1, 1, ts(101, d.tsval()))
		d.wait(delayedACK)
		d.expect("ACK", ack(2))
		d.data(2, 1, a, ts(1<<30, d.tsval()))
		d.expect("ACK", ack(2), why(stack.ReasonChallengeACK), ts(d.tsval(), 101))
		d.data(1, 1, a, ts(1<<30, d.tsval())) // what was received before
		d.expect("ACK", ack(2), why(stack.ReasonOldDataACK), ts(d.tsval(), 101))
		d.wait(rtt)
		d.data(2, 1, 1, ts(102, d.tsval()))
		d.wait(delayedACK)
		d.expect("ACK", ack(3), ts(d.tsval(), 102))
	}
}

// RFC7323-3.2-b.
func TestASegmentWithoutTimestampIsDropped(t *testing.T) {
	d := established(t, stack.Config{}, ts(100, 0))
	d.send("ACK", seq(1), ack(1), text("x"))
	d.wait(time.Minute)
	d.expectNothing()
	d.state(stack.StateEstablished)
}

// RFC7323-3.2-c.
func TestATimestampNotAgreedOnIsIgnored(t *testing.T) {
	d := established(t, stack.Config{})
	d.send("ACK", seq(1), ack(1), text("x"), ts(5, 5))
	d.expectAfter(delayedACK, "ACK", ack(2), exactly())
}

// RFC7323-3.2-a: in every segment, whatever it is.
func TestEverySegmentIsStamped(t *testing.T) {
	d := established(t, stack.Config{KeepAlive: true, KeepAliveIdle: time.Hour}, ts(1, 0), sackOK())
	var all []output
	next := func() {
		all = append(all, d.out...)
		d.out = nil
	}
	d.write("hello")
	next()
	d.wait(firstRTO) // a tail loss probe
	next()
	d.wait(firstRTO) // a retransmission
	next()
	d.acks(6, ts(2, d.tsval()), win(0))
	d.write("world")
	d.wait(time.Minute) // window probes
	next()
	d.acks(6, ts(3, d.tsval()))
	next()
	d.acks(11, ts(3, d.tsval()))
	d.wait(time.Hour) // a keep-alive
	next()
	d.send("SYN", seq(1)) // a challenge
	d.send("ACK", seq(3), ack(11), text("x"), ts(4, 0))
	d.send("ACK", seq(1), ack(11), text("abx"), ts(5, 0))
	next()
	d.closeWrite()
	next()
	for _, o := range all {
		if !o.seg.Options.HasTimestamps && !o.seg.Flags.Has(stack.RST) {
			t.Errorf("no timestamps: %s", d.show(o))
		}
	}
	kinds := map[stack.ReasonKind]bool{}
	for _, o := range all {
		kinds[o.why.Kind] = true
	}
	for _, kind := range []stack.ReasonKind{stack.ReasonData, stack.ReasonRetransmitTimeout, stack.ReasonWindowProbe,
		stack.ReasonKeepAlive, stack.ReasonChallengeACK, stack.ReasonDuplicateACK, stack.ReasonFIN} {
		if !kinds[kind] {
			t.Errorf("nothing was sent for reason %d", kind)
		}
	}
}

// RFC7323-7.1-a.
func TestTimestampOffset(t *testing.T) {
	d := dial(t, stack.Config{TSOffset: 5})
	d.expect("SYN", ts(d.tsval()+5, 0))
}

// SACK (RFC 2018, section 4): the block that grew last comes first, then the one that
// did so before.

// RFC2018-4-b, RFC2018-4-c.
func TestSACKBlocks(t *testing.T) {
	d := established(t, stack.Config{}, sackOK())
	at := func(n int, blocks ...int) {
		d.t.Helper()
		d.send("ACK", seq(n), ack(1), text("xx"))
		d.expect("ACK", ack(1), sack(blocks...))
	}
	at(11, 11, 13)
	at(21, 21, 23, 11, 13)
	at(13, 11, 15, 21, 23)
	at(31, 31, 33, 11, 15, 21, 23)
	at(41, 41, 43, 31, 33, 11, 15, 21, 23)
	at(51, 51, 53, 41, 43, 31, 33, 11, 15) // four at most
	at(32, 32, 33, 31, 34, 51, 53, 41, 43) // the first is a D-SACK (RFC 2883)
	at(23, 21, 25, 31, 34, 51, 53, 41, 43)
	d.send("ACK", seq(1), ack(1), text("0123456789"))
	d.expect("ACK", ack(15), sack(21, 25, 31, 34, 51, 53, 41, 43))
}

// RFC2018-4-c.
func TestThreeSACKBlocksBesideTimestamps(t *testing.T) {
	d := established(t, stack.Config{}, sackOK(), ts(1, 0))
	for at := 11; at <= 41; at += 10 {
		d.send("ACK", seq(at), ack(1), text("xx"), ts(2, 0))
	}
	d.out = d.out[3:]
	d.expect("ACK", ack(1), sack(41, 43, 31, 33, 21, 23))
}

// Nothing above the segment size, whatever stands in the options.
func TestSACKBlocksTakeRoom(t *testing.T) {
	d := established(t, stack.Config{}, sackOK())
	d.send("ACK", seq(11), ack(1), text("xx"))
	d.expect("ACK", ack(1), sack(11, 13))
	d.writeN(1000)
	d.expect("ACK", seq(1), length(988), sack(11, 13))
}
