package stack

// reno is the congestion avoidance of RFC 5681, section 3.1: a segment more for
// every window acknowledged.
type reno struct {
	acked int // octets acknowledged since cwnd last grew
}

func (r *reno) grow(cc *congestion, n int) {
	if r.acked += n; r.acked >= cc.cwnd {
		r.acked -= cc.cwnd
		cc.cwnd += cc.mss
	}
}

// reduce returns ssthresh (RFC 5681, equation 4).
func (r *reno) reduce(window int) int {
	r.acked = 0
	return window / 2
}
