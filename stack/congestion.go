package stack

// congestion is the congestion window: slow start and congestion avoidance
// (RFC 5681, section 3.1). What to do about a loss stands in recovery.go.
type congestion struct {
	mss      int // SMSS
	cwnd     int // octets
	ssthresh int // octets; 0: not set yet, arbitrarily high
	acked    int // octets acknowledged since cwnd last grew in congestion avoidance
	initial  int // the initial window
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

// grow takes n newly acknowledged octets. flight is FlightSize before them: a
// window that was not in use does not grow, for nothing was learned about it.
func (cc *congestion) grow(n, flight int) {
	switch {
	case cc.slowStart():
		if 2*flight >= cc.cwnd {
			// RFC 5681 counts one SMSS an ACK at most; an ACK of ours to GRO's
			// super-segments covers many, so count octets (RFC 3465, L unlimited
			// within the window).
			cc.cwnd += min(n, cc.cwnd)
		}
	case flight+cc.mss > cc.cwnd:
		if cc.acked += n; cc.acked >= cc.cwnd {
			cc.acked -= cc.cwnd
			cc.cwnd += cc.mss
		}
	}
	cc.cwnd = min(cc.cwnd, 1<<30)
}

// halve sets ssthresh after a loss (RFC 5681, equation 4).
func (cc *congestion) halve(flight int) {
	cc.ssthresh = max(flight/2, 2*cc.mss)
	cc.acked = 0
}

// setMSS follows a change of the path MTU.
func (cc *congestion) setMSS(mss int) {
	cc.mss = mss
	cc.cwnd = max(cc.cwnd, mss)
}
