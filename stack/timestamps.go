package stack

import "time"

// timestamps is the state of the timestamps option (RFC 7323, sections 3 to 5).
type timestamps struct {
	on          bool
	offset      uint32
	recent      uint32    // TS.Recent: to be echoed
	recentAt    time.Time // when it was set
	lastAckSent Seq       // Last.ACK.sent
}

// val is the timestamp clock, in milliseconds (RFC 7323, section 5.4).
func (ts *timestamps) val(now time.Time) uint32 { return uint32(now.UnixMilli()) + ts.offset }

// stamp sets the option, if it was agreed on: in every segment (RFC 7323, section 3.2).
func (c *Conn) stamp(now time.Time, o *Options) {
	if c.ts.on {
		o.HasTimestamps, o.TSVal, o.TSEcr = true, c.ts.val(now), c.ts.recent
	}
}

// staleAfter is when TS.Recent is too old to compare with: half a turn of a
// millisecond clock (RFC 7323, section 5.5).
const staleAfter = 24 * 24 * time.Hour

// old reports whether a timestamp lies before TS.Recent: PAWS (RFC 7323,
// section 5.3, R1).
func (ts *timestamps) old(val uint32, now time.Time) bool {
	return int32(val-ts.recent) < 0 && now.Sub(ts.recentAt) < staleAfter
}

// update takes the timestamp of an acceptable segment (RFC 7323, section 4.3).
func (ts *timestamps) update(seg *Segment, now time.Time) {
	if seg.Options.HasTimestamps && seg.Seq.LessEq(ts.lastAckSent) && !ts.old(seg.Options.TSVal, now) {
		ts.recent, ts.recentAt = seg.Options.TSVal, now
	}
}

// GivesWay reports whether Open may take the ports of this connection, which is in
// TIME-WAIT, before its time is over. That time keeps old duplicates from being
// taken for new segments. Timestamps can do that too, if the peer's clock has
// ticked (RFC 7323, appendix B.2): the connection that Follows this one makes sure.
func (c *Conn) GivesWay() bool { return c.state == StateTimeWait && c.ts.on }

// Supersedes reports whether a SYN that arrives may open a new connection in place
// of this one, which is in TIME-WAIT (RFC 9293, MAY-2; RFC 6191, section 2): by its
// timestamp, or else its sequence number, it is no old duplicate.
func (c *Conn) Supersedes(syn *Segment) bool {
	switch stamped := syn.Options.HasTimestamps && !c.cfg.NoTimestamps; {
	case stamped && !c.ts.on: // what is left of this one has no timestamps, and will not be taken
		return true
	case stamped && syn.Options.TSVal != c.ts.recent:
		return int32(syn.Options.TSVal-c.ts.recent) > 0
	}
	return c.rcv.nxt.Less(syn.Seq)
}
