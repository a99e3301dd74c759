package stack

import "time"

// Congestion names an algorithm of congestion control.
type Congestion uint8

// The algorithms. They differ in congestion avoidance and in how far a loss
// makes the window smaller.
const (
	CUBIC   Congestion = iota // RFC 9438
	NewReno                   // RFC 5681, RFC 6582
)

// congestion is the congestion window: slow start (RFC 5681, section 3.1; RFC
// 9406), and congestion avoidance by one of two algorithms, each in its file.
// What to do about a loss stands in recovery.go.
type congestion struct {
	algorithm Congestion
	mss       int  // SMSS
	cwnd      int  // octets
	ssthresh  int  // octets; 0: not set yet, arbitrarily high
	initial   int  // the initial window
	careful   bool // slow start after a timeout
	used      int  // the most that was in flight at once since a round trip
	usedEnd   Seq  // SND.NXT when that round trip began
	hystart   hystart
	reno      reno
	cubic     cubic
}

// open sets the initial window (RFC 6928, section 2): one segment where the
// SYN or the SYN,ACK had to be sent again.
func (cc *congestion) open(mss, segments int, synLost bool) {
	cc.mss = mss
	cc.initial = min(segments*mss, max(2*mss, 14600*segments/10))
	cc.cwnd = cc.initial
	if synLost {
		cc.cwnd = mss
	}
}

// restart is for the first segment after an idle time: what cwnd was learned
// from has passed (RFC 5681, section 4.1).
func (cc *congestion) restart() { cc.cwnd = min(cc.cwnd, cc.initial) }

func (cc *congestion) slowStart() bool { return cc.ssthresh == 0 || cc.cwnd < cc.ssthresh }

// An advance is an ACK that acknowledges new data.
type advance struct {
	now    time.Time
	n      int // octets that it acknowledges
	flight int // FlightSize before it
	una    Seq // SND.UNA after it
	nxt    Seq
	rtt    time.Duration // the sample that it brought; 0: none
	srtt   time.Duration
}

// grow opens the window. One that was not in use does not grow, for nothing was
// learned about it. It was where a round trip began with so much in flight, though the
// application may have had nothing to add to it since.
func (cc *congestion) grow(a advance) {
	if a.flight >= cc.used || cc.usedEnd.LessEq(a.una.Add(-a.n)) {
		cc.used, cc.usedEnd = a.flight, a.nxt
	}
	full := cc.used+cc.mss > cc.cwnd
	switch {
	case !cc.slowStart() && cc.algorithm == NewReno:
		if full {
			cc.reno.grow(cc, a.n)
		}
	case !cc.slowStart():
		cc.cubic.grow(cc, a, full)
	case 2*cc.used > cc.cwnd:
		cc.cwnd += cc.slowStartGain(a)
	}
	cc.cwnd = min(cc.cwnd, 1<<30)
}

// slowStartGain counts octets, and all those of an ACK (RFC 3465, section 2.2,
// without a limit L): a peer that takes in super-segments acknowledges forty at
// once, and no ACK lets go more than twice what it covers. But after a timeout an
// ACK may cover what arrived long ago, and counts as one segment (section 2.3), as
// RFC 5681 would have it always.
func (cc *congestion) slowStartGain(a advance) int {
	gain := min(a.n, cc.cwnd)
	if cc.careful || cc.algorithm == NewReno {
		gain = min(gain, cc.mss)
	}
	if cc.ssthresh > 0 {
		return min(gain, cc.ssthresh-cc.cwnd)
	}
	switch cc.hystart.onACK(a) {
	case exponential:
		return gain
	case tooFast:
		cc.ssthresh = cc.cwnd
	}
	return gain / cssGrowthDivisor
}

// reduce sets ssthresh, and forgets what of the path is no longer true, after a
// loss or what stands for one, and returns how much is left of window, the part of
// cwnd that was in use.
func (cc *congestion) reduce(window int) (left int) {
	cc.careful = false
	if cc.algorithm == NewReno {
		left = cc.reno.reduce(window)
	} else {
		left = cc.cubic.reduce(cc.cwnd, window)
	}
	cc.ssthresh = max(left, 2*cc.mss)
	return left
}

// marked reduces cwnd too, for a mark of ECN, and down to one segment (RFC 3168,
// section 6.1.2; RFC 9438, section 4.6).
func (cc *congestion) marked(window int) {
	cc.cwnd = min(cc.cwnd, max(cc.reduce(window), cc.mss))
}

// timeout is slow start from one segment (RFC 5681, section 3.1).
func (cc *congestion) timeout() {
	cc.cwnd = cc.mss
	cc.careful = true
	cc.cubic.timeout()
}

// setMSS follows a change of the path MTU.
func (cc *congestion) setMSS(mss int) {
	cc.mss = mss
	cc.cwnd = max(cc.cwnd, mss)
}
