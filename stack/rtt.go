package stack

import "time"

// rttEstimator computes the retransmission timeout (RFC 6298).
type rttEstimator struct {
	initial, min, max time.Duration
	srtt, rttvar      time.Duration
	least             time.Duration // smallest sample, for RACK (RFC 8985)
	backoff           int           // timeouts in a row
}

// granularity is G, the clock's tick.
const granularity = time.Millisecond

// sample takes a measured round trip (RFC 6298, 2.2 and 2.3). Karn's rule, no
// sample from a segment sent twice, is the caller's.
func (r *rttEstimator) sample(rtt time.Duration) {
	rtt = max(rtt, time.Microsecond)
	if r.srtt == 0 {
		r.srtt, r.rttvar, r.least = rtt, rtt/2, rtt
	} else {
		r.rttvar += ((r.srtt - rtt).Abs() - r.rttvar) / 4
		r.srtt += (rtt - r.srtt) / 8
		r.least = min(r.least, rtt)
	}
	r.backoff = 0
}

// rto is the timeout now in force: doubled for each timeout in a row (5.5).
func (r *rttEstimator) rto() time.Duration { return r.backedOff(r.backoff) }

// timing describes a timer that ran for so long.
func (r *rttEstimator) timing(waited time.Duration) Timing {
	return Timing{Waited: waited, SRTT: r.srtt, RTTVar: r.rttvar}
}

// backedOff is the timeout after n doublings.
func (r *rttEstimator) backedOff(n int) time.Duration {
	rto := r.initial
	if r.srtt > 0 {
		rto = max(r.srtt+max(granularity, 4*r.rttvar), r.min)
	}
	for ; n > 0 && rto < r.max; n-- {
		rto *= 2
	}
	return min(rto, r.max)
}
