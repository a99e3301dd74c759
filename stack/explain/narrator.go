// Package explain tells of every TCP segment where its numbers come from.
//
// A Narrator is given segments in the order in which they crossed the capture
// point, and keeps the sequence spaces of both ends from the outside (half.go).
// So what it says of a live connection and of a capture file is the same; of a
// live one it also passes on what our own stack says. An Account holds it all,
// and can be had as text, as the comment of a packet and as JSON.
package explain

import (
	"net/netip"
	"slices"
	"time"

	"golang.org/x/text/language"

	"rawnc/stack"
	"rawnc/stack/explain/words"
)

// A Narrator explains segments, one after the other. The same segments always
// give the same words. It is not safe for use by several goroutines at once.
// Its memory grows with the conversations that are open at once, and for
// each of them with what is in flight, up to a bound.
type Narrator struct {
	// Forgotten, if set, is given the summary of a conversation that the narrator
	// forgets before its End, to bound its memory.
	Forgotten func(*Summary)
	// Brief leaves the sentences of the kind Detail out of the accounts, for
	// whoever shows none: they are a third of all, and of the time that they take.
	Brief bool

	voice         *voice
	telling       telling // of the segment at hand
	conversations map[pair]*conversation
	latest        *conversation // that of the last segment, if it is still among them
	streams       int
	frames        int // counted where Input has none
	segments      int
	nextTidy      int // the count of segments at which it is due
	bounds        bounds
	start         time.Time
}

// A pair names a conversation: its two ends, the lesser first.
type pair [2]netip.AddrPort

func pairOf(a, b netip.AddrPort) pair {
	if b.Compare(a) < 0 {
		return pair{b, a}
	}
	return pair{a, b}
}

// A conversation is one TCP connection, seen from outside. The first of its
// ends is the client, if that is known, and else whoever was heard first.
type conversation struct {
	stream int
	ends   [2]half
	flows  [2]flow // what each of them sends, as Wireshark sees it
	roles  bool    // the first is known to be the client
	start  time.Time
	last   time.Time
	frames int
	seen   int // the narrator's count of segments, at its last one
	ecn    consent
	taught bool // that only SYN and FIN take a number of their own
	// taughtACK: that an ACK alone takes none.
	taughtACK bool
	opening   Opening
	before    before
	closing   Closing
	synTime   time.Time
	firstRTT  time.Duration // from the last SYN to the next ACK; 0: not known
	closer    *half         // sent its FIN first
	closeGap  time.Duration // from its last FIN to that of the other end
	resetter  *half
	resetAt   int
	complete  bool // both directions were closed and acknowledged
}

// before is where the sequence spaces stood in the conversation that a SYN with
// another number made an end of, if it was not over.
type before struct {
	alive bool
	next  [2]stack.Seq // of the ends of the new conversation
}

// NewNarrator returns a narrator that speaks the language.
func NewNarrator(lang language.Tag) *Narrator {
	return &Narrator{voice: newVoice(words.In(lang).Printer()), bounds: usualBounds, conversations: map[pair]*conversation{}}
}

// Segment takes the next segment and tells of it. It keeps nothing of in, but
// the account shares the payload with it.
func (n *Narrator) Segment(in Input) *Account {
	a := new(Account)
	n.SegmentInto(a, in)
	return a
}

// SegmentInto tells of the next segment in a, in place of what it held. Whoever
// needs an account no longer than until the next segment saves its memory so.
func (n *Narrator) SegmentInto(a *Account, in Input) {
	seg := in.Segment
	in.Time = in.Time.Round(0) // as a capture has it: the wall clock alone
	n.segments++
	n.tidy(in.Time)
	if n.start.IsZero() {
		n.start = in.Time
	}
	crossed := in.Live == nil || in.Live.SendError == nil && !in.Live.Dropped
	frameNo := in.Frame
	if crossed && frameNo == 0 {
		n.frames++
		frameNo = n.frames
	}
	c, previous := n.conversation(in)
	side := c.side(in.Src)
	from, to := &c.ends[side], &c.ends[1-side]
	if c.self() {
		to = from
	}
	c.seen = n.segments
	*a = Account{
		Frame: frameNo, Time: in.Time, Since: in.Time.Sub(n.start),
		Stream: c.stream, First: c.frames == 0,
		Src: in.Src, Dst: in.Dst,
		Flags: seg.Flags, Payload: seg.Payload, Len: len(seg.Payload) + max(in.Cut, 0),
		WindowRaw: seg.Window, Options: seg.Options, ECN: seg.ECN,
		Checksum: in.Checksum, Live: in.Live, Fate: in.Fate, Dir: in.Dir,
		sack: from.sack && to.sack, FromClient: side == 0, Roles: c.roles, Outward: side == 0, voice: n.voice,
		SACK: a.SACK[:0], Why: a.Why[:0], Marks: a.Marks[:0], args: a.args[:0],
	}
	switch {
	case in.Live != nil:
		a.Outward = in.Live.Sent
	case in.Dir != DirUnknown:
		a.Outward = in.Dir == DirOut
	}
	t := &n.telling
	*t = telling{Account: a, brief: n.Brief, c: c, seg: seg, from: from, to: to, flow: &c.flows[side], reverse: &c.flows[1-side]}
	t.numbers()
	if !crossed {
		t.refused(in.Live.SendError)
	} else {
		if previous != nil {
			a.Previous = previous
			t.found |= foundReusedPorts
			t.mark("new connection, same ports")
			t.note("a new SYN with another initial sequence number: a new connection between the same ports")
		}
		t.tell()
	}
	a.SrcState, a.DstState = from.state, to.state
	if in.Live != nil {
		ours := &a.DstState
		if in.Live.Sent {
			ours = &a.SrcState
		}
		if !ours.Known {
			*ours = State{in.Live.State, true}
		}
	}
}

// conversation finds the conversation of a segment, or begins one. A SYN with
// another initial sequence number begins one on the same ports, as Wireshark
// has it, unless our own stack knows better; previous sums up the one before.
func (n *Narrator) conversation(in Input) (c *conversation, previous *Summary) {
	old := n.latest
	if old == nil || !old.between(in.Src, in.Dst) {
		old = n.conversations[pairOf(in.Src, in.Dst)]
		n.latest = old
	}
	if old != nil {
		if !old.reopenedBy(in) {
			return old, nil
		}
		previous = n.summary(old)
	}
	c = &conversation{stream: n.streams, start: in.Time}
	n.streams++
	n.conversations[pairOf(in.Src, in.Dst)], n.latest = c, c
	client, server := in.Src, in.Dst
	if in.Segment.Flags.Has(stack.SYN | stack.ACK) {
		client, server = server, client
	}
	c.roles = in.Segment.Flags.Has(stack.SYN)
	c.ends[0].addr, c.ends[1].addr = client, server
	c.flows = [2]flow{newFlow(), newFlow()}
	if old != nil && !old.complete && old.resetAt == 0 {
		c.before = before{true, [2]stack.Seq{old.ends[old.side(client)].next, old.ends[old.side(server)].next}}
	}
	return c, previous
}

func (c *conversation) reopenedBy(in Input) bool {
	if in.Segment.Flags&(stack.SYN|stack.ACK) != stack.SYN {
		return false
	}
	if v := in.verdict(); v != nil && v.Verdict == stack.VerdictBlindSYN {
		return false
	}
	flow := &c.flows[c.side(in.Src)]
	return flow.baseKnown && flow.base != in.Segment.Seq
}

// between reports whether the conversation is the one between a and b.
func (c *conversation) between(a, b netip.AddrPort) bool {
	return c.ends[0].addr == a && c.ends[1].addr == b || c.ends[0].addr == b && c.ends[1].addr == a
}

// side is the index of the end with the address.
func (c *conversation) side(addr netip.AddrPort) int {
	if addr == c.ends[0].addr {
		return 0
	}
	return 1
}

// other is the end that h is not.
func (c *conversation) other(h *half) *half {
	if h == &c.ends[0] {
		return &c.ends[1]
	}
	return &c.ends[0]
}

// self reports whether both ends are one, which has connected to itself. Only
// the first counts then, except for Wireshark.
func (c *conversation) self() bool { return c.ends[0].addr == c.ends[1].addr }

// role is what an end is called in a table, name in a sentence.
func (c *conversation) role(h *half) any {
	switch {
	case c.self():
		return word("the one end")
	case !c.roles:
		return h.addr
	case h == &c.ends[0]:
		return word("client")
	}
	return word("server")
}

func (c *conversation) name(h *half) any {
	switch {
	case c.self():
		return word("the one end")
	case !c.roles:
		return h.addr
	case h == &c.ends[0]:
		return word("the client")
	}
	return word("the server")
}

// End sums up the conversation between two ends, in either order, and forgets
// it. It returns nil if there is none.
func (n *Narrator) End(a, b netip.AddrPort) *Summary {
	key := pairOf(a, b)
	c := n.conversations[key]
	if c == nil {
		return nil
	}
	delete(n.conversations, key)
	n.latest = nil
	return n.summary(c)
}

// EndAll sums up the conversations that are left, in the order in which they
// began, and forgets them.
func (n *Narrator) EndAll() []*Summary {
	var all []*Summary
	for _, c := range n.conversations {
		all = append(all, n.summary(c))
	}
	clear(n.conversations)
	n.latest = nil
	slices.SortFunc(all, func(a, b *Summary) int { return a.Stream - b.Stream })
	return all
}
