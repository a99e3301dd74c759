package explain

import (
	"time"

	"rawnc/stack"
)

// compare holds the segment against what its sender and the other end did
// before, and tells what a smooth conversation would not have. The tests and
// their order are Wireshark's, so that the names mean the same.
func (t *telling) compare() {
	from, to, seg := t.from, t.to, t.seg
	n := len(seg.Payload)
	t.fresh = n
	control := seg.Flags&(stack.SYN|stack.FIN|stack.RST) != 0
	known := from.nextFrame != 0
	inOrder := known && seg.Seq == from.next
	sameAck := t.is(stack.ACK) && from.ackFrame != 0 && seg.Ack == from.ack
	sameWindow := from.winFrame != 0 && t.Window == from.window
	idle := n == 0 && inOrder && sameAck && !control // a bare ACK that acknowledges nothing new
	closed := to.winFrame != 0 && to.window == 0

	if t.Checksum == stack.ChecksumPartial {
		t.add(Detail, "the checksum is only begun: the network card finishes it, or nobody needs to, where nothing goes over a wire. That is no error")
	}
	if t.to.mss > 0 && n > t.to.mss {
		t.add(Detail, "%s are more than the MSS of %v: several segments in one, joined on receipt (GRO) or not yet cut up (TSO)", octets(n), plain(t.to.mss))
	}
	switch {
	case n == 1 && inOrder && closed && !control:
		t.probe = probeWindow
		t.note("zero_window_probe", "a window probe: the window of %s is closed, and one octet asks whether it still is", t.receiver())
		return
	case !control && known && seg.Seq == from.next-1 && (n == 0 || n == 1 && from.outstanding() == 0):
		t.probe = probeKeepAlive
		if closed {
			t.note("keep_alive", "asks whether the window of %s is still closed", t.receiver())
		} else {
			t.note("keep_alive", "keep-alive: asks whether %s is still there", t.receiver())
		}
		return
	case known && from.next.Less(seg.Seq) && !t.is(stack.RST):
		t.note("lost_segment", "%s before this segment are missing: lost, late, or not captured", octets(seg.Seq.Sub(from.next)))
	}
	switch {
	case t.Window != 0 || control:
	case sameWindow:
		t.note("zero_window", "the window of %s is still closed", t.sender())
	default:
		t.note("zero_window", "the window is closed: %s has no room, and %s must stop", t.sender(), t.receiver())
	}
	switch {
	case idle && !sameWindow:
		t.Analysis = append(t.Analysis, "window_update")
		t.add(Meaning, "window update: %s has room for %s now", t.sender(), octets(t.Window))
	case n > 0 && !control && to.scale >= 0 && to.ackFrame != 0 && seg.Next() == to.ack.Add(to.window):
		t.note("window_full", "this fills the window of %s: %s must wait now", t.receiver(), t.sender())
	case idle && to.probe == probeKeepAlive:
		t.Analysis = append(t.Analysis, "keep_alive_ack")
		if t.Window > 0 {
			t.add(Meaning, "this answers the keep-alive: %s is still there", t.sender())
		} else {
			t.add(Meaning, "this answers the probe")
		}
	case n == 0 && inOrder && !control && t.Window == 0 && sameWindow && to.probe == probeWindow:
		t.Analysis = append(t.Analysis, "zero_window_probe_ack")
		t.add(Meaning, "this answers the probe")
	case idle:
		t.duplicateACK()
	}
	if (n > 0 || control && !t.is(stack.RST)) && known && seg.Seq.Less(from.next) {
		t.repeated()
	}
}

func (t *telling) duplicateACK() {
	t.from.dups++
	if t.to.outstanding() == 0 {
		t.note("duplicate_ack", "the same ACK again; nothing is outstanding, so it reports no loss")
		return
	}
	t.note("duplicate_ack", "duplicate ACK number %d of %v: something arrived, but not what %s waits for, which begins with %v",
		t.from.dups, frame(t.from.ackFrame), t.sender(), t.Ack.shown())
}

// reordering is within what time a segment that comes late was overtaken, and
// was not sent again: Wireshark's 3 ms.
const reordering = 3 * time.Millisecond

// fast is how soon after the duplicate ACK a fast retransmission is sent:
// Wireshark's 20 ms.
const fast = 20 * time.Millisecond

// repeated tells of a segment that begins before what was sent already.
func (t *telling) repeated() {
	from, to, seg := t.from, t.to, t.seg
	n := len(seg.Payload)
	old := from.holding(seg.Seq)
	acknowledged := from.unaKnown && seg.Next().LessEq(from.una)
	if old != nil || acknowledged {
		t.fresh = min(max(seg.Seq.Add(n).Sub(from.next), 0), n)
	}
	switch {
	case to.dups >= 2 && from.unaKnown && from.una == seg.Seq && t.Time.Sub(to.ackTime) < fast:
		t.note("fast_retransmission", "fast retransmission: the duplicate ACKs say that this is missing")
	case acknowledged && n > 0:
		t.note("spurious_retransmission", "a spurious retransmission: %s acknowledged these octets already, but the ACK was lost or is late", t.receiver())
	case acknowledged:
		t.note("retransmission", "a retransmission: %s acknowledged it already, but the ACK was lost or is late", t.receiver())
	case old == nil && t.Time.Sub(from.nextTime) < reordering:
		t.note("out_of_order", "out of order: this belongs before %v, which overtook it", frame(from.nextFrame))
		return
	case old == nil:
		t.note("retransmission", "a retransmission: what it carries was lost before it got here")
	default:
		t.note("retransmission", "a retransmission of %v, %v later: no acknowledgment has come", frame(old.frame), elapsed(t.Time.Sub(old.at)))
	}
	from.tally.Retransmitted++
}
