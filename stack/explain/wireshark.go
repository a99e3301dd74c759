package explain

import (
	"time"

	"rawnc/stack"
)

// This file names what is unusual about a segment as Wireshark 4.0 names it,
// and finds the segment that an Ack is for as Wireshark does: two programs that
// look at the same capture should use the same words for it. The names are
// guesses from outside; where the narrator knows better, its sentences say so
// (unusual.go). docs/wireshark.md lists where this differs from Wireshark, and
// why.

// findings is a set of Wireshark's names.
type findings uint32

const (
	foundReusedPorts findings = 1 << iota
	foundRetransmission
	foundFastRetransmission
	foundSpuriousRetransmission
	foundOutOfOrder
	foundLostSegment
	foundAckLostSegment
	foundWindowUpdate
	foundWindowFull
	foundKeepAlive
	foundKeepAliveAck
	foundDuplicateAck
	foundZeroWindowProbe
	foundZeroWindow
	foundZeroWindowProbeAck
)

// findingNames are Wireshark's fields tcp.analysis.*, in the order of the bits.
var findingNames = [...]string{
	"reused_ports", "retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order",
	"lost_segment", "ack_lost_segment", "window_update", "window_full", "keep_alive", "keep_alive_ack",
	"duplicate_ack", "zero_window_probe", "zero_window", "zero_window_probe_ack",
}

func (f findings) has(any findings) bool { return f&any != 0 }

func (f findings) names() []string {
	if f == 0 { // as nearly always
		return nil
	}
	var names []string
	for i, name := range findingNames {
		if f.has(1 << i) {
			names = append(names, name)
		}
	}
	return names
}

const (
	// reordering is within what time a segment that comes late was overtaken,
	// and not sent again, as long as the handshake has not told the round trip.
	reordering = 3 * time.Millisecond
	// fast is how soon after a duplicate ACK a fast retransmission comes.
	fast = 20 * time.Millisecond
)

// A flow is one direction of a conversation, as Wireshark's analysis follows it.
type flow struct {
	base      stack.Seq // the initial sequence number, seen or guessed; counts with baseKnown
	baseKnown bool

	next      stack.Seq // the highest Next
	nextFrame int       // the segment that it is of; 0: none yet
	nextTime  time.Time

	whole stack.Seq // the Next of what was seen without a hole; counts with nextFrame

	ack      stack.Seq // of the last segment, even without the ACK flag
	ackFrame int       // the first segment in a row with that ack
	ackTime  time.Time // of the last segment
	dups     int       // duplicate ACKs so far; -1: what they acknowledge was not seen

	window   int  // in the last segment, as on the wire; -1: none yet
	scale    int  // the shift of its windows; or scaleUnknown, scaleNone
	unscaled bool // nothing but its SYN was seen, whose window is not scaled

	found   findings // of the last segment
	unacked waiting
	hole    bool // until the next Ack one cannot tell what is in flight
	sacked  int  // octets that its last segment says have arrived beyond a hole
}

const (
	scaleUnknown = -1
	scaleNone    = -2
)

func newFlow() flow { return flow{window: -1, scale: scaleUnknown} }

// mostInFlight is where Wireshark does not believe that so much is in flight.
const mostInFlight = 2_000_000_000

// maxSACK is how many SACK blocks of a segment Wireshark takes into account.
const maxSACK = 3

// analyse compares the segment with those that were seen before it.
func (t *telling) analyse() {
	from, to, seg := t.flow, t.reverse, t.seg
	n := t.Len
	numbered := n > 0 || seg.Flags&(stack.SYN|stack.FIN) != 0
	if t.is(stack.ACK) {
		to.hole = false
	}
	t.analyseBase()
	t.analyseWindow()
	if seg.Ack != from.ack {
		from.ackFrame, from.dups = t.Frame, 0
	}
	if t.is(stack.ACK) && to.nextFrame != 0 && to.whole.Less(seg.Ack) {
		t.analyseUnseen()
	}
	if numbered && !t.found.has(foundKeepAlive) {
		t.analyseAgain()
	}
	if numbered {
		from.unacked.add(waits{frame: t.Frame, seq: seg.Seq, next: t.Next.Raw, at: t.Time})
	}
	t.analyseNext()
	from.window, from.ack, from.ackTime, from.found = int(seg.Window), seg.Ack, t.Time, t.found
	if w := to.unacked.acknowledge(seg.Ack); w != nil && t.is(stack.ACK) {
		t.AcksFrame, t.AckRTT = w.frame, t.Time.Sub(w.at)
	}
	if n > 0 && !from.hole {
		// With SACK blocks that make no sense it may be anything.
		if octets := uint32(from.unacked.octets() - to.sacked); octets < mostInFlight {
			t.BytesInFlight = int(octets)
		}
		if t.BytesInFlight > 0 && seg.Flags&(stack.SYN|stack.FIN) != 0 {
			t.BytesInFlight--
		}
	}
	t.analyseOptions()
	if t.found.has(foundFastRetransmission | foundSpuriousRetransmission) {
		t.found |= foundRetransmission
	}
	t.Analysis = t.found.names()
}

// analyseBase guesses the initial sequence numbers that were not seen.
func (t *telling) analyseBase() {
	from, to, seg := t.flow, t.reverse, t.seg
	base := seg.Seq - 1
	if t.is(stack.SYN) {
		base = seg.Seq
	}
	switch {
	case !from.baseKnown:
		from.base, from.baseKnown = base, true
	case t.is(stack.SYN|stack.ACK) && base != from.base: // without ACK, it would begin a stream
		from.base = base
		t.found |= foundReusedPorts
	}
	if t.is(stack.ACK) && !to.baseKnown {
		to.base, to.baseKnown = seg.Ack-1, true
	}
}

// analyseWindow looks at the window, at probes and their answers, and at ACKs
// that acknowledge nothing new.
func (t *telling) analyseWindow() {
	from, to, seg := t.flow, t.reverse, t.seg
	n, window := t.Len, int(seg.Window)
	known := from.nextFrame != 0
	inOrder := known && seg.Seq == from.next
	control := seg.Flags&(stack.SYN|stack.FIN|stack.RST) != 0
	again := n == 0 && inOrder && seg.Ack == from.ack && !control

	if n == 1 && inOrder && to.window == 0 {
		t.found |= foundZeroWindowProbe
		return
	}
	if window == 0 && !control {
		t.found |= foundZeroWindow
	}
	if known && from.next.Less(seg.Seq) && !t.is(stack.RST) {
		t.found |= foundLostSegment
		from.hole = true
	}
	if n <= 1 && known && seg.Seq == from.next-1 && !control {
		t.found |= foundKeepAlive
	}
	if again && window != 0 && window != from.window {
		t.found |= foundWindowUpdate
	}
	if n > 0 && !control && to.scale != scaleUnknown && t.Next.Raw == to.edge() {
		t.found |= foundWindowFull
	}
	switch again = again && window == from.window; {
	case again && window != 0 && to.found.has(foundKeepAlive):
		t.found |= foundKeepAliveAck
	case again && window == 0 && to.found.has(foundZeroWindowProbe):
		t.found |= foundZeroWindowProbeAck
	case again && window != 0:
		from.dups = max(from.dups, 0) + 1
		t.found |= foundDuplicateAck
		t.DupAckNum, t.DupAckFrame = from.dups, from.ackFrame
	}
}

// edge is the end of the window that the flow has offered.
func (f *flow) edge() stack.Seq {
	shift := max(f.scale, 0)
	if f.unscaled {
		shift = 0
	}
	return f.ack.Add(f.window << shift)
}

// analyseUnseen looks at an ACK of more than was seen.
func (t *telling) analyseUnseen() {
	to := t.reverse
	if to.whole.Less(to.next) {
		to.whole = to.next // said once for a hole
		t.found |= foundAckLostSegment
		return
	}
	if to.dups == 0 {
		t.found |= foundAckLostSegment
	}
	to.dups = -1
}

// analyseAgain looks at a segment with octets or flags that may have been seen
// before.
func (t *telling) analyseAgain() {
	from, to, seg := t.flow, t.reverse, t.seg
	n := t.Len
	if n > 0 && to.ack != 0 && seg.Seq.Add(n).LessEq(to.ack) {
		t.found |= foundSpuriousRetransmission
		return
	}
	if from.nextFrame == 0 || !seg.Seq.Less(from.next) || n > 1 && seg.Seq == from.next-1 {
		return
	}
	soon := func(since time.Time, limit time.Duration) bool {
		d := t.Time.Sub(since)
		return d >= 0 && d < limit
	}
	limit := t.c.firstRTT
	if limit == 0 {
		limit = reordering
	}
	switch {
	case to.dups >= 2 && to.ack == seg.Seq && soon(to.ackTime, fast):
		t.found |= foundFastRetransmission
	case soon(from.nextTime, limit) && t.Next.Raw != from.next:
		t.found |= foundOutOfOrder
	default:
		t.found |= foundRetransmission
		t.RTOFrame, t.RTO = from.nextFrame, t.Time.Sub(from.nextTime)
		if list := from.unacked.list; len(list) > 0 {
			t.RTOFrame, t.RTO = list[0].frame, t.Time.Sub(list[0].at)
		}
	}
}

// analyseNext follows how far the flow has come.
func (t *telling) analyseNext() {
	from, seg := t.flow, t.seg
	next, first := t.Next.Raw, from.nextFrame == 0
	if t.found.has(foundZeroWindowProbe) {
		return
	}
	if first || from.next.Less(next) {
		from.next, from.nextFrame, from.nextTime = next, t.Frame, t.Time
	}
	if first || seg.Seq == from.whole {
		from.whole = from.next
	}
}

// analyseOptions takes the options, and what the handshake tells, for the
// segments to come.
func (t *telling) analyseOptions() {
	from, to, opt := t.flow, t.reverse, &t.seg.Options
	from.sacked = 0
	for _, b := range opt.SACK[:min(opt.SACKCount, maxSACK)] {
		from.sacked += b.Right.Sub(b.Left)
	}
	if opt.HasWindowScale && t.is(stack.SYN) { // RFC 7323, section 2.2
		from.scale = min(int(opt.WindowScale), 14)
	}
	switch t.seg.Flags & (stack.SYN | stack.ACK) {
	case stack.ACK:
		from.unscaled = false
		if t.c.firstRTT == 0 && !t.c.synTime.IsZero() {
			t.c.firstRTT = t.Time.Sub(t.c.synTime)
		}
	case stack.SYN:
		t.c.synTime = t.Time
		fallthrough
	case stack.SYN | stack.ACK:
		from.unscaled = true
		switch {
		case from.scale == scaleUnknown:
			from.scale, to.scale = scaleNone, scaleNone
		case t.is(stack.ACK) && to.scale == scaleNone:
			from.scale = scaleNone
		}
	}
}
