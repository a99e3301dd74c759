package stack

// frto finds out whether a timeout was spurious: whether the segments, or their
// ACKs, were only late (RFC 5682). It sends the first segment again and no more. An
// ACK lets two new segments go instead of old ones; if what comes then acknowledges
// still more of what went out before the timeout, that is on its way by itself.
type frto struct {
	step   frtoStep
	end    Seq // SND.NXT at the timeout
	before congestion
	flight int // FlightSize then
}

type frtoStep uint8

const (
	frtoOff   frtoStep = iota // the timeout was real, or there is none
	frtoWait                  // for the ACK of the first segment: step 2 of section 2.1 and 3.1
	frtoSend                  // new data: step 2b
	frtoSent                  // some of it: step 2b
	frtoJudge                 // the next ACK tells: step 3
)

// suspend reports whether a lost run must wait, for the timeout may prove spurious.
func (f *frto) suspend(s *sent, head Seq) bool {
	return f.step > frtoWait || f.step == frtoWait && s.seq != head
}

// doubtTimeout begins with a timeout, unless the connection was recovering from a
// loss before (step 1): then what arrives now may have been sent again.
func (c *Conn) doubtTimeout() {
	f := &c.loss.frto
	switch {
	case !c.state.Synchronized(), c.board.runs[0].sacked, c.loss.recovering,
		c.loss.timedOut && (f.step != frtoWait || c.loss.head != c.snd.una):
		f.step = frtoOff
	case !c.loss.timedOut: // else it is a further timeout of the same segment
		*f = frto{step: frtoWait, end: c.snd.nxt, before: c.cc, flight: c.flight()}
	}
}

// judgeTimeout takes an ACK that has acknowledged n more octets. duplicate says that it
// counts as a duplicate.
func (c *Conn) judgeTimeout(n int, d *delivered, duplicate bool) {
	f := &c.loss.frto
	switch f.step {
	case frtoWait, frtoSend:
		switch {
		case n > 0 && f.end.LessEq(c.snd.una), duplicate && !c.sack:
			f.step = frtoOff
		case n > 0:
			f.step = frtoSend
		}
	case frtoSent, frtoJudge:
		switch {
		case d.any && f.end.Less(d.highest), duplicate && !d.any: // what was lost, was lost
			f.step = frtoOff
			c.cc.cwnd = 3 * c.cc.mss
		case !d.once.IsZero():
			c.spuriousTimeout(n, d)
		}
	}
}

// spuriousTimeout takes back what the timeout did. The window is what it was, but is
// reached by slow start, so that an ACK of much lets go no burst (RFC 4015), and
// holds a segment: what showed it may have been smaller. That the round trip is
// longer, the samples say by themselves.
func (c *Conn) spuriousTimeout(n int, d *delivered) {
	f := &c.loss.frto
	c.board.unmarkLost()
	c.cc = f.before
	if c.cc.ssthresh > 0 {
		c.cc.ssthresh = max(c.cc.ssthresh, f.flight)
	}
	c.cc.cwnd = min(c.cc.cwnd, max(c.flight()+min(n, c.cc.initial), c.cc.mss))
	f.step = frtoOff
	c.loss.timedOut, c.loss.seenRecover = false, false
	c.loss.rack.order = d.latest.order // the retransmission overtook the rest, and proves nothing
	c.verdict = VerdictSpuriousTimeout
}

// tried notes whether one of two segments of new data could be sent. If none, the
// timeout counts as real: most are.
func (f *frto) tried(ok bool) {
	switch {
	case ok:
		f.step = frtoSent
	case f.step == frtoSent:
		f.step = frtoJudge
	default:
		f.step = frtoOff
	}
}
