package stack

import (
	"net/netip"
	"strconv"
	"time"
)

// A Cookie lets a listener answer a SYN and keep nothing of it (RFC 4987,
// section 3.6). What it must know when the ACK comes stands in the SYN,ACK, and
// the ACK brings it back: in the acknowledgment number that the peer knows our
// SYN,ACK, and about what its MSS is; in the echoed timestamp, if there is one, its
// window scale and whether it does SACK and ECN. Without timestamps there is none
// of these.
//
// Whoever has not seen the SYN,ACK must guess: one number in 2^28 passes.
type Cookie struct {
	Secret        [32]byte
	Local, Remote netip.AddrPort
}

const (
	cookiePeriod  = 64 * time.Second
	cookiePeriods = 2 // for which a cookie is good
)

// CookieLife is how long a cookie is good, at most.
const CookieLife = cookiePeriods * cookiePeriod

// cookieMSS are the sizes that a cookie can tell of. The peer's, rounded down to
// one of them, is never more than it takes.
var cookieMSS = [...]int{leastMSS, 536, 1220, 1300, 1400, 1440, 1460, 8940}

// isn is the initial sequence number for a SYN with the number irs: one that
// grows with the time, as it should, plus what nobody can guess.
func (k *Cookie) isn(now time.Time, irs Seq, mss int) Seq {
	i := 0
	for i+1 < len(cookieMSS) && cookieMSS[i+1] <= mss {
		i++
	}
	period := k.period(now)
	return irs + k.hash("cookie") + period<<24 + (k.hashOf(period)+Seq(i))&(1<<24-1)
}

// check reports whether isn made the number iss, and what MSS it stands for.
func (k *Cookie) check(now time.Time, iss, irs Seq) (mss int, ok bool) {
	n := iss - irs - k.hash("cookie")
	period := k.period(now)
	age := (period - n>>24) & 0xff
	i := (n - k.hashOf(period-age)) & (1<<24 - 1)
	if age >= cookiePeriods || int(i) >= len(cookieMSS) {
		return 0, false
	}
	return cookieMSS[i], true
}

func (k *Cookie) period(now time.Time) Seq { return Seq(now.Unix() / int64(cookiePeriod/time.Second)) }
func (k *Cookie) hashOf(period Seq) Seq    { return k.hash("cookie " + strconv.Itoa(int(period))) }
func (k *Cookie) hash(use string) Seq      { return Seq(pairHash(k.Secret, use, k.Local, k.Remote)) }

// The lowest bits of the timestamp in the SYN,ACK: the peer's window scale, whether
// it does SACK, and whether it offers ECN. The clock lags by up to 63 ms for it.
const (
	tsNoScale = 15
	tsSACK    = 16
	tsECN     = 32
	tsBits    = 63
)

func cookieTimestamp(now uint32, syn *Segment) uint32 {
	bits := uint32(tsNoScale)
	if o := &syn.Options; o.HasWindowScale {
		bits = uint32(min(o.WindowScale, 14))
	}
	if syn.Options.SACKPermitted {
		bits |= tsSACK
	}
	if syn.Flags.Has(ECE | CWR) {
		bits |= tsECN
	}
	val := now&^tsBits | bits
	if int32(val-now) > 0 {
		val -= tsBits + 1
	}
	return val
}

// answerWithCookie answers a SYN as a connection with the cookie for its
// initial sequence number would, and stays in LISTEN.
func (c *Conn) answerWithCookie(now time.Time, seg *Segment) {
	syn := *seg
	o := &syn.Options
	if !o.HasTimestamps || c.cfg.NoTimestamps {
		// There is no place to remember these.
		o.HasWindowScale, o.SACKPermitted = false, false
		syn.Flags &^= ECE | CWR
	}
	_, answer := c.passive(now, &syn, c.cfg.Cookie.isn(now, syn.Seq, c.peerMSS(o)))
	if a := &answer.Options; a.HasTimestamps {
		a.TSVal = cookieTimestamp(a.TSVal, &syn)
	}
	c.owed.reply, c.owed.replyReason = &answer, ReasonSYNCookie
}

// cookieReturned reports whether an ACK brings a cookie back. If so the
// connection is what it would be had it kept the SYN, and the ACK can be taken.
func (c *Conn) cookieReturned(now time.Time, seg *Segment) bool {
	iss := seg.Ack.Add(-1)
	syn := Segment{SrcPort: seg.SrcPort, DstPort: seg.DstPort, Seq: seg.Seq.Add(-1), Flags: SYN, Window: seg.Window}
	mss, ok := c.cfg.Cookie.check(now, iss, syn.Seq)
	if !ok {
		return false
	}
	o := &syn.Options
	o.MSS = uint16(mss)
	if ts := seg.Options; ts.HasTimestamps && c.tsCookieAge(now, ts.TSEcr) <= CookieLife {
		o.HasTimestamps, o.TSVal = true, ts.TSVal
		o.WindowScale, o.HasWindowScale = uint8(ts.TSEcr&tsNoScale), ts.TSEcr&tsNoScale != tsNoScale
		o.SACKPermitted = ts.TSEcr&tsSACK != 0
		if ts.TSEcr&tsECN != 0 {
			syn.Flags |= ECE | CWR
		}
	}
	watch := c.cfg.Watch
	opened, _ := c.passive(now, &syn, iss)
	opened.board.runs[0].times = 2 // Karn's rule: when the SYN,ACK went out is forgotten
	*c = *opened
	c.cfg.Watch, c.state = watch, StateListen
	c.setState(StateSynReceived, CauseCookie)
	return true
}

// tsCookieAge is how long ago our clock showed the timestamp; one that it never
// showed is very old.
func (c *Conn) tsCookieAge(now time.Time, val uint32) time.Duration {
	return time.Duration(uint32(now.UnixMilli())+c.cfg.TSOffset-val) * time.Millisecond
}

// passive is what a connection with an initial sequence number makes of a SYN,
// and its SYN,ACK.
func (c *Conn) passive(now time.Time, syn *Segment, iss Seq) (*Conn, Segment) {
	cfg := c.cfg
	cfg.ISS, cfg.Cookie, cfg.Watch = iss, nil, nil
	p := New(cfg)
	p.localPort, p.state = c.localPort, StateListen
	p.arrivesListen(now, syn)
	var answer Segment
	p.next(now, &answer)
	return p, answer
}
