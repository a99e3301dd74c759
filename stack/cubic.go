package stack

import (
	"math"
	"time"
)

// cubic is the congestion avoidance of RFC 9438, section 4: the window is a cubic
// function of the time since the last loss, flat where that loss was. It counts
// in octets and milliseconds, in whole numbers, so that every machine finds the
// same.
type cubic struct {
	running bool      // a stage of congestion avoidance; false until its first ACK
	at      time.Time // of the last ACK, or when sending began again after an idle time
	t       time.Duration
	k       time.Duration // the time at which the window is at max again
	max     int           // W_max; 0: nothing is known of it
	prior   int           // cwnd_prior, of the last reduction
	est     int           // W_est, the window that Reno would have
	part    int64         // of an octet of est, in units of 1/cwnd
}

// beta_cubic is 7/10, C 4/10 of a segment per second³ (RFC 9438, section 4.6,
// 5.1), and alpha_cubic 3(1-beta)/(1+beta) = 9/17 (section 4.3).

// begin is the first ACK of a stage (RFC 9438, section 4.2). Without a loss to
// come back to, the function starts at its flat place (section 4.8 and 4.10).
func (q *cubic) begin(cc *congestion, now time.Time) {
	q.running, q.at, q.t, q.k = true, now, 0, 0
	q.est, q.part = cc.cwnd, 0
	if q.max <= cc.cwnd {
		q.max = cc.cwnd
		return
	}
	cube := float64(q.max-cc.cwnd) * 2.5e9 / float64(cc.mss) // milliseconds³
	q.k = time.Duration(math.Round(math.Cbrt(cube))) * time.Millisecond
}

// window is W_cubic after a time.
func (q *cubic) window(t time.Duration, mss int) int {
	d := min(max((t-q.k).Milliseconds(), -1<<20), 1<<20)
	thousandths := d * d * d / 2_500_000 // of a segment: 0.4 a second³
	return int(min(int64(q.max)+thousandths*int64(mss)/1000, 1<<30))
}

// grow takes an ACK. full says that the window was in use; the time in which it was not
// does not count (RFC 9438, section 4.2 and 5.8).
func (q *cubic) grow(cc *congestion, a advance, full bool) {
	if !q.running {
		q.begin(cc, a.now)
	}
	since := a.now.Sub(q.at)
	q.at = a.now
	if !full {
		return
	}
	q.t += since

	// W_est grows as Reno would, more slowly until it is where the window was
	// before the loss, to make up for the smaller reduction.
	gain := int64(a.n) * int64(cc.mss)
	if q.est < q.prior {
		gain = gain * 9 / 17
	}
	q.part += gain
	q.est += int(q.part / int64(cc.cwnd))
	q.part %= int64(cc.cwnd)

	if q.window(q.t, cc.mss) < q.est { // section 4.3: the Reno-friendly region
		cc.cwnd = max(cc.cwnd, q.est)
		return
	}
	target := min(max(q.window(q.t+a.srtt, cc.mss), cc.cwnd), cc.cwnd+cc.cwnd/2)
	cc.cwnd += int(int64(target-cc.cwnd) * int64(a.n) / int64(cc.cwnd))
}

// resume is the first segment after an idle time.
func (q *cubic) resume(now time.Time) { q.at = now }

// reduce returns ssthresh (RFC 9438, section 4.6). A window that is smaller than
// that of the loss before makes room for a newcomer (section 4.7).
func (q *cubic) reduce(cwnd, window int) int {
	q.running, q.prior = false, cwnd
	if cwnd < q.max {
		q.max = cwnd * 17 / 20
	} else {
		q.max = cwnd
	}
	return window * 7 / 10
}

// timeout forgets where the loss was (RFC 9438, section 4.8).
func (q *cubic) timeout() { q.running, q.max = false, 0 }
