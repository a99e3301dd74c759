package explain

import (
	"rawnc/stack"
)

// whyWindow tells how many octets the window stands for.
func (t *telling) whyWindow() {
	from, raw := t.from, int(t.seg.Window)
	switch {
	case t.is(stack.RST):
	case t.is(stack.SYN):
		t.add(Detail, "Window %d: as it is, for the window of a SYN is never scaled", raw)
	case t.flow.scale > 0:
		kind := Detail
		if !from.scaleTold {
			kind, from.scaleTold = Arithmetic, true
		}
		t.add(kind, "Window %d = %d × 2^%d: %v announced the scale %d", t.Window, raw, t.flow.scale, frame(from.synFrame), t.flow.scale)
	case t.flow.scale != scaleUnknown:
		kind := Detail
		if !from.scaleTold {
			kind, from.scaleTold = Arithmetic, true
		}
		t.add(kind, "Window %d: as it is, for not both sides offered a scale", raw)
	default:
		t.add(Detail, "Window %d on the wire; how it is scaled is not known, for the SYNs were not both captured", raw)
	}
}

// whyOptions tells what the flags that take no number and the options mean.
func (t *telling) whyOptions() {
	opt := &t.seg.Options
	if t.is(stack.PSH) {
		t.add(Detail, "PSH: %s has nothing more to send for now, so %s should hand on the data at once", t.sender(), t.receiver())
	}
	if t.is(stack.URG) {
		t.add(Meaning, "URG: what lies before %v = Seq %v + %v, the urgent pointer, is urgent",
			t.from.number(t.seg.Seq.Add(int(t.seg.Urgent))).shown(), t.Seq.shown(), plain(t.seg.Urgent))
	}
	if opt.MSS != 0 {
		t.add(Detail, "MSS %v: the most bytes of payload that %s takes in one segment", plain(opt.MSS), t.sender())
	}
	if opt.HasWindowScale {
		t.add(Detail, "window scale %d: after the handshake its windows count in units of 2^%d = %d bytes, if both sides offer a scale",
			int(opt.WindowScale), min(int(opt.WindowScale), 14), 1<<min(opt.WindowScale, 14))
	}
	if opt.SACKPermitted {
		t.add(Detail, "SACK permitted: %s understands acknowledgments that name what arrived beyond a hole", t.sender())
	}
	switch {
	case opt.HasTimestamps && t.is(stack.RST) && opt.TSVal == 0:
		t.add(Detail, "timestamps: %s has no clock for a connection that it does not know; it gives %v back, to show what it answers", t.sender(), plain(opt.TSEcr))
	case opt.HasTimestamps && (opt.TSEcr == 0 || !t.is(stack.ACK)):
		t.add(Detail, "timestamps: the clock of %s says %v; it has none of the other side to give back yet", t.sender(), plain(opt.TSVal))
	case opt.HasTimestamps:
		t.add(Detail, "timestamps: the clock of %s says %v, and it gives %v back, for measuring the round trip", t.sender(), plain(opt.TSVal), plain(opt.TSEcr))
	}
	if opt.UserTimeout != 0 {
		t.add(Detail, "user timeout: %s will wait %d %s for an acknowledgment before it gives up",
			t.sender(), int(opt.UserTimeout&0x7fff), [...]word{"seconds", "minutes"}[opt.UserTimeout>>15])
	}
	for i, b := range opt.Blocks() {
		left, right := t.SACK[i].Left.shown(), t.SACK[i].Right.shown()
		switch {
		case i == 0 && t.duplicateSACK(b):
			t.mark("bytes %v to %v arrived twice", left, right-1)
			t.add(Meaning, "SACK %v to %v: these bytes arrived twice (D-SACK, RFC 2883)", left, right)
		default:
			t.add(Meaning, "SACK %v to %v: these bytes have arrived, though not all before them", left, right)
		}
	}
}

// duplicateSACK reports whether the first block is a D-SACK: it lies below the
// Ack, or within the second block (RFC 2883, section 4).
func (t *telling) duplicateSACK(b stack.SACKBlock) bool {
	if b.Right.LessEq(t.seg.Ack) {
		return true
	}
	blocks := t.seg.Options.Blocks()
	return len(blocks) > 1 && blocks[1].Left.LessEq(b.Left) && b.Right.LessEq(blocks[1].Right)
}
