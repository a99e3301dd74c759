package stack_test

import (
	"testing"
	"time"

	"rawnc/stack"
)

// RFC 5482: the User Timeout option.

var withUTO = stack.Config{UserTimeoutOption: true}

// givenUp expects the connection to end after the user timeout, and not before.
func (d *dialogue) givenUp(after time.Duration) {
	d.t.Helper()
	d.out = nil
	d.write("x")
	d.advance(d.now.Add(after - 1))
	d.state(stack.StateEstablished)
	d.out = nil
	d.advance(d.now.Add(1))
	d.expect("RST,ACK", why(stack.ReasonTimeoutAbort))
	d.ended(stack.ErrTimeout)
}

// RFC5482-4.1-a: who has not asked for it neither sends nor heeds it.
func TestUserTimeoutOptionIsOff(t *testing.T) {
	d := dial(t, stack.Config{})
	d.expect("SYN", uto(0))
	d.wait(rtt)
	d.send("SYN,ACK", seq(0), ack(1), uto(600))
	d.expect("ACK", uto(0))
	d.acks(1, uto(700))
	d.told()
	d.givenUp(5 * time.Minute)
}

// Section 3: in the SYN, and once more behind it, for which that segment has four
// octets less; then only when there is news.
func TestUserTimeoutOptionIsSent(t *testing.T) {
	d := dial(t, withUTO)
	d.expect("SYN", uto(300))
	d.expectAfter(time.Second, "SYN", uto(300)) // lost, perhaps: RFC 5482, section 3.2
	d.send("SYN,ACK", seq(0), ack(1), mss(1000), ts(1, 0))
	d.expect("ACK", uto(300))
	d.writeN(2000)
	d.expect("ACK", uto(0), length(988))

	d = listen(t, withUTO)
	d.send("SYN", seq(0), mss(1000))
	d.expect("SYN,ACK", uto(300))
	d.send("ACK", seq(1), ack(1))
	d.writeN(2000)
	d.expect("ACK", uto(300), length(996))
	d.expect("ACK", uto(0), length(1000))
}

// SACK blocks tell more, and leave no room.
func TestUserTimeoutOptionWaitsForSACK(t *testing.T) {
	d := listen(t, withUTO)
	d.send("SYN", seq(0), sackOK(), ts(1, 0))
	d.expect("SYN,ACK")
	d.send("ACK", seq(1), ack(1), ts(2, 0))
	d.send("ACK", seq(2), ack(1), ts(2, 0), text("b"))
	d.expect("ACK", uto(0), sack(2, 3))
	d.send("ACK", seq(1), ack(1), ts(2, 0), text("a"))
	d.expect("ACK", uto(300), ack(3))
}

func TestUserTimeoutOptionInUnits(t *testing.T) {
	for timeout, want := range map[time.Duration]int{
		time.Millisecond:        1,
		time.Second:             1,
		1500 * time.Millisecond: 2,
		32767 * time.Second:     32767,
		32768 * time.Second:     0x8000 | 547, // 546.13 minutes
		1000 * 24 * time.Hour:   0xffff,       // as much as it can say
		-1:                      0xffff,
	} {
		d := dial(t, stack.Config{UserTimeoutOption: true, UserTimeout: timeout})
		d.expect("SYN", uto(want))
	}
}

// Section 3.1: the longer of the two counts, RFC5482-3.1-b: between our limits. Our
// own wish is there even if the peer never says a word (RFC5482-3.2-a).
func TestUserTimeoutOfThePeer(t *testing.T) {
	for _, tc := range []struct {
		option  int
		timeout time.Duration
	}{
		{0, 5 * time.Minute},
		{0x8000, 5 * time.Minute}, // both reserved: section 3.4
		{1, 5 * time.Minute},      // our own is longer
		{600, 10 * time.Minute},
		{0x8000 | 7, 7 * time.Minute},
		{0xffff, time.Hour}, // 22 days
	} {
		d := established(t, withUTO, uto(tc.option))
		d.same("user timeout", d.c.Snapshot().UserTimeout, tc.timeout)
		d.told()
		d.givenUp(tc.timeout)
	}
	d := established(t, stack.Config{UserTimeoutOption: true, MaxRTO: 20 * time.Minute}, uto(1))
	d.same("user timeout, longer than any RTO", d.c.Snapshot().UserTimeout, 20*time.Minute+time.Second)
}

// In any segment, for what is not delivered yet too; and the peer learns of what is
// in use from then on.
func TestUserTimeoutChangesOnTheWay(t *testing.T) {
	d := established(t, withUTO)
	d.write("x")
	d.expect("PSH,ACK", text("x"), uto(0))
	d.wait(4 * time.Minute)
	d.out = nil
	d.send("ACK", seq(1), ack(1), uto(0x8000|10))
	d.wait(6*time.Minute - 1)
	if got := d.out[0].seg.Options.UserTimeout; got != 600 {
		t.Errorf("the next segment says %d", got)
	}
	d.out = nil
	d.state(stack.StateEstablished)
	d.wait(1)
	d.expect("RST,ACK")
	d.ended(stack.ErrTimeout)
}

// What is not acceptable otherwise is no advice either.
func TestUserTimeoutOfAStranger(t *testing.T) {
	d := established(t, withUTO)
	d.send("ACK", seq(100000), ack(1), uto(600))
	d.expect("ACK")
	d.same("user timeout", d.c.Snapshot().UserTimeout, 5*time.Minute)
}

// RFC5482-3.1-a: what the application has set stays, and it is told. MUST-21.
func TestUserTimeoutOfTheApplication(t *testing.T) {
	d := established(t, stack.Config{UserTimeoutOption: true, UserTimeout: 10 * time.Second}, uto(600))
	d.told(stack.Report{Kind: stack.ReportUserTimeout, UserTimeout: 10 * time.Minute})
	d.acks(1, uto(600))
	d.told()
	d.acks(1, uto(601))
	d.told(stack.Report{Kind: stack.ReportUserTimeout, UserTimeout: 601 * time.Second})
	d.givenUp(10 * time.Second)
}

// RFC5482-4.2-a.
func TestKeepAliveWaitsForTheUserTimeout(t *testing.T) {
	d := established(t, stack.Config{UserTimeoutOption: true, KeepAlive: true, KeepAliveIdle: time.Minute}, uto(600))
	d.expectAfter(10*time.Minute+time.Second, "ACK", seq(0), why(stack.ReasonKeepAlive, 1))
}

// MUST-22, MUST-23: a SYN has an R2 of its own, of three minutes at least.
func TestSYNTimeout(t *testing.T) {
	for _, passive := range []bool{false, true} {
		d := dial(t, stack.Config{UserTimeout: time.Second})
		flags := "SYN"
		if passive {
			d = listen(t, stack.Config{UserTimeout: time.Second})
			d.arrive("SYN", seq(0))
			flags = "SYN,ACK"
		}
		d.flush()
		for at, gap := 0*time.Second, time.Second; at < 3*time.Minute; at, gap = at+gap, min(2*gap, time.Minute) {
			d.expect(flags)
			d.wait(gap)
		}
		d.out = nil
		d.wait(5*time.Minute - d.now.Sub(start) - 1)
		d.out = nil
		d.wait(1)
		if passive {
			d.expect("RST,ACK")
		}
		d.ended(stack.ErrTimeout)
	}
}
