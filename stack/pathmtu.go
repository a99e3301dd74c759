package stack

import (
	"slices"
	"time"
)

// pathMTU is how large a packet may be on its way to the peer: what routers say
// (RFC 1191, RFC 8201), and what becomes of large packets where they say
// nothing (RFC 4821). Sizes are those of IP packets, in octets.
type pathMTU struct {
	mtu  int       // no packet is larger, except a probe (eff_pmtu)
	most int       // what both ends allow
	low  int       // the largest packet that has arrived (search_low; RFC 5927: maxsizeacked)
	high int       // a larger one would not (search_high)
	next int       // the size to try next; 0: the search is over
	due  time.Time // when to try it or, the search being over, to begin a new one

	probe    int // the size of the probe in flight; 0: none
	probeEnd Seq // SND.NXT behind it

	stuckAt  Seq  // SND.UNA at the last timeout,
	timeouts int  // and how many came there
	survived int  // the most of them after which a packet of that size got through
	doubt    bool // they may have had another cause: soon to be tried
}

const (
	// leastMTU has room for the headers, the options and a little data; RFC
	// 1191's 68 octets have not.
	leastMTU = 128

	// What every path of today carries, and a forger can do little harm with: what
	// RFC 1191, section 7, has below are the serial lines of its time.
	saneMTUIPv4 = 508
	leastIPv6   = 1280 // RFC 8200, section 5

	// How many timeouts in a row make a black hole: R1 (RFC 4821, section 7.7). Where
	// so many are mere loss, for packets of that size got through after them, it takes
	// more.
	blackHoleTimeouts     = 3
	mostBlackHoleTimeouts = 6

	// A search ends where less is to be gained: it costs segments.
	searchEnd = 8
)

// plateaus are the MTUs to try where a router does not say its own (RFC 1191,
// section 7).
var plateaus = [...]int{32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296}

// plateauBelow is the largest plateau that is less than size.
func plateauBelow(size int) int {
	for _, p := range plateaus {
		if p < size {
			return p
		}
	}
	return leastMTU
}

func (c *Conn) saneMTU() int {
	if c.cfg.IPv6 {
		return leastIPv6
	}
	return saneMTUIPv4
}

// overhead is what a packet has beside payload and SACK blocks.
func (c *Conn) overhead() int {
	n := c.cfg.ipHeaderLen() + headerLen
	if c.ts.on {
		n += timestampsLen
	}
	return n
}

// packetLen is the length of the packet that carries a segment of the scoreboard, if
// it goes out now: with the SACK blocks of now.
func (c *Conn) packetLen(s *sent) uint16 {
	return uint16(c.overhead() + c.snd.mss - c.room() + min(s.first(), c.sendEnd().Sub(s.seq)))
}

// openPath begins with what the handshake agreed on.
func (c *Conn) openPath() {
	most := c.snd.mss + c.overhead()
	c.path = pathMTU{mtu: most, most: most, high: most}
}

func (c *Conn) setMTU(mtu int) {
	c.path.mtu = mtu
	c.snd.mss = mtu - c.overhead()
	c.cc.setMSS(c.snd.mss)
	c.loss.frto.before.setMSS(c.snd.mss)
}

// LowerMTU tells the connection that the path carries packets of at most mtu
// octets: the system knows. What was too large goes out again in smaller
// pieces. It reports false where nothing changes.
func (c *Conn) LowerMTU(now time.Time, mtu int) bool {
	return c.state.Synchronized() && c.lowerMTU(now, mtu)
}

func (c *Conn) lowerMTU(now time.Time, mtu int) bool {
	mtu = max(mtu, leastMTU)
	p := &c.path
	switch {
	case mtu < p.mtu:
		c.setMTU(mtu)
		p.low = min(p.low, mtu)
		p.probe = 0
		c.searchOver(now)
	case mtu < p.probe: // said of the probe: it is as well to try that size
		p.probe, p.high, p.next, p.due = 0, mtu, mtu, now
		if mtu-p.mtu < searchEnd {
			c.searchOver(now)
		}
	default:
		return false
	}
	c.loss.again = ReasonTooBig
	c.loss.frto.step = frtoOff // now it is known why nothing came
	c.board.apart()
	for i := range c.board.runs {
		if s := &c.board.runs[i]; int(s.size) > mtu {
			c.board.markLost(s)
		}
	}
	return true
}

// packetTooBig takes a router's word for the MTU of its link (RFC 1191, RFC
// 8201), with the cautions of RFC 5927, section 7.2: at once only where nothing
// larger has arrived so far; else not before the segment in question has to go
// out again, for while the peer acknowledges, the word is false. One that no
// router can have said of that segment is not believed at all.
func (c *Conn) packetTooBig(now time.Time, e *ICMPError) Verdict {
	if !c.state.Synchronized() { // no SYN is too big
		return VerdictWrongMTU
	}
	c.board.apart()
	i := c.board.find(e.Seq)
	s := &c.board.runs[i] // there is one, for the number is in flight
	p, mtu := &c.path, e.MTU
	if mtu < 68 && !c.cfg.IPv6 { // an old router does not say (RFC 1191, section 5)
		mtu = plateauBelow(int(s.size))
		if s.probe {
			mtu = max(mtu, p.mtu)
		}
	}
	switch {
	case c.cfg.IPv6 && mtu < leastIPv6: // RFC 8201, section 4
		return VerdictWrongMTU
	case int(s.size) <= mtu:
		return VerdictWrongMTU
	case s.seq != e.Seq, e.Size != 0 && e.Size < int(s.size): // larger: GRO has joined some
		return VerdictForgedICMP
	case mtu < p.low || mtu < c.saneMTU():
		s.tooBig = uint16(mtu)
		return VerdictDoubtfulMTU
	}
	c.lowerMTU(now, mtu)
	return VerdictAccepted
}

// believeTooBig is called when run s has to go out again: what a router has said
// of it must be true. Less than any path of today carries takes a second loss.
func (c *Conn) believeTooBig(now time.Time, s *sent) {
	mtu := int(s.tooBig)
	if mtu != 0 && (mtu >= c.saneMTU() || s.times > 1) {
		s.tooBig = 0
		c.lowerMTU(now, mtu)
	}
}

// pathTimeout reports whether a timeout shows a black hole: large packets vanish
// again and again, and nobody says why. Then what goes out again is smaller (RFC
// 4821, section 7.7), and the search for the right size begins, above all with
// the size that there was: it may have been another disturbance.
func (c *Conn) pathTimeout(now time.Time) bool {
	p, head := &c.path, &c.board.runs[0]
	switch {
	case p.probe == 0:
	case head.probe:
		c.probeFailed(now, 5) // RFC 4821, section 7.6.3
	default:
		p.probe = 0 // other losses too: it tells nothing
	}
	if !c.state.Synchronized() || c.cfg.BaseMTU < 0 {
		return false
	}
	if p.stuckAt != head.seq {
		p.survived = max(p.survived, p.timeouts)
		p.stuckAt, p.timeouts = head.seq, 0
	}
	if p.timeouts++; p.timeouts < min(blackHoleTimeouts+p.survived, mostBlackHoleTimeouts) {
		return false
	}
	mtu, size := max(p.low, c.cfg.BaseMTU), int(head.size)
	if size <= mtu {
		mtu = c.cfg.BaseMTU
	}
	if size <= mtu && p.mtu < p.most { // it has fallen before
		mtu = c.saneMTU()
	}
	if size <= mtu || slices.ContainsFunc(c.board.runs, func(s sent) bool { return s.sacked && int(s.size) > mtu }) {
		return false
	}
	c.setMTU(mtu)
	p.low, p.timeouts = min(p.low, mtu), 0
	p.high, p.next, p.due, p.doubt = p.most, p.most, now, true
	return true
}

// searchOver: the next search begins when the path may have changed (RFC 1191,
// section 6.3; RFC 8201, section 5.3; RFC 4821, section 7.3).
func (c *Conn) searchOver(now time.Time) {
	c.path.next = 0
	c.path.due = now.Add(c.cfg.RaiseMTU)
}

// pathProbe is how much payload a segment would have that tries a larger size, if
// this is the time for it: nothing is lost, and so much is there to follow it
// that its loss will be noticed as such (RFC 4821, section 7.4). Where a black
// hole may have been mere loss, it does not wait for that.
func (c *Conn) pathProbe(now time.Time) int {
	p := &c.path
	if p.mtu >= p.most || p.probe != 0 || now.Before(p.due) || c.cfg.BaseMTU < 0 ||
		p.next == 0 && c.cfg.RaiseMTU < 0 || c.loss.recovering || c.loss.timedOut ||
		c.board.lostBytes > 0 || c.board.sackedBytes > 0 || c.owed.tailProbe {
		return 0
	}
	if p.next == 0 {
		p.high, p.next = p.most, p.most
	}
	size, behind := c.room()+p.next-p.mtu, dupThresh*c.room()
	if p.doubt {
		behind = 0
	}
	usable := min(c.sendEnd().Sub(c.snd.nxt), c.snd.una.Add(c.snd.wnd).Sub(c.snd.nxt), c.cc.cwnd)
	if size+behind > usable {
		return 0
	}
	return size
}

// sendPathProbe sends new data in a larger packet than the others, or nothing
// before there is room for it in cwnd.
func (c *Conn) sendPathProbe(now time.Time, seg *Segment, size int) (Reason, bool) {
	if c.board.pipe(c.flight())+size > c.cc.cwnd {
		return Reason{}, false
	}
	p, from := &c.path, c.snd.nxt
	c.push(now, from.Add(size), 1)
	c.board.runs[len(c.board.runs)-1].probe = true
	p.probe, p.probeEnd, p.doubt = p.next, c.snd.nxt, false
	c.fill(now, seg, from, c.snd.nxt)
	seg.GSOSize = 0
	return Reason{Kind: ReasonPathProbe, N: p.probe}, true
}

// pathDelivered learns from what has arrived.
func (c *Conn) pathDelivered(now time.Time, d *delivered) {
	p := &c.path
	p.low = min(max(p.low, d.size), p.mtu)
	switch {
	case p.probe == 0:
	case d.probe == p.probe:
		c.setMTU(p.probe)
		p.low, p.probe = p.mtu, 0
		c.searchOn(now, 0)
	case p.probeEnd.LessEq(c.snd.una): // but not as it was sent first
		p.probe = 0
	}
}

// searchOn sets the size to try next: in the middle of what is left.
func (c *Conn) searchOn(now time.Time, wait time.Duration) {
	p := &c.path
	if p.high-p.mtu < searchEnd {
		c.searchOver(now)
		return
	}
	p.next, p.due = p.mtu+(p.high-p.mtu+1)/2, now.Add(wait)
}

// probeFailed: no packet of that size gets through. The next waits for as long as
// congestion would leave between two losses: a round trip for each segment of
// the window (RFC 4821, section 7.6.2).
func (c *Conn) probeFailed(now time.Time, times int) {
	p := &c.path
	p.high, p.probe = p.probe-1, 0
	c.searchOn(now, time.Duration(times*(c.cc.cwnd/c.cc.mss+1))*c.rtt.srtt)
}

// probeLost reports whether a loss is that of the probe alone, which is no sign
// of congestion (RFC 4821, section 7.6.2). What it carried goes out again.
func (c *Conn) probeLost(now time.Time) bool {
	p := &c.path
	if p.probe == 0 {
		return false
	}
	i := slices.IndexFunc(c.board.runs, func(s sent) bool { return s.probe })
	if i < 0 {
		return false
	}
	if s := &c.board.runs[i]; s.len() != c.board.lostBytes && (c.sack || i > 0) || c.sack && !s.lost {
		return false
	}
	c.probeFailed(now, 1)
	c.loss.again = ReasonProbeLost
	return true
}
