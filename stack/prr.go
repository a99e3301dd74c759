package stack

// prr is Proportional Rate Reduction (RFC 6937): in recovery, what is sent follows
// what is delivered, so that the window shrinks evenly over a round trip, and is
// ssthresh at its end, whatever was lost.
type prr struct {
	delivered int // octets, since recovery began
	out       int // octets sent since then
	flight    int // RecoverFS: what of FlightSize had not arrived before; 0: not known yet
}

// room is sndcnt: what may be sent now that delivered more octets have arrived.
func (p *prr) room(delivered, pipe, ssthresh, mss int) int {
	p.delivered += delivered
	var n int
	if pipe > ssthresh {
		n = roundUp(int(int64(p.delivered)*int64(ssthresh)/int64(p.flight)), mss) - p.out
	} else { // no slower than slow start: PRR-SSRB
		n = min(ssthresh-pipe, max(p.delivered-p.out, delivered)+mss)
	}
	if p.out == 0 { // the fast retransmit
		n = max(n, mss)
	}
	return max(n, 0)
}

// roundUp is the least multiple of m that is not below n: the RFC's examples count in
// segments.
func roundUp(n, m int) int { return (n + m - 1) / m * m }
