package explain

import (
	"net/netip"
	"time"

	"rawnc/stack"
)

// Input is one TCP segment as it crossed the capture point.
type Input struct {
	Time     time.Time
	Src, Dst netip.AddrPort
	Segment  *stack.Segment
	Checksum stack.Checksum
	Frame    int // its number in a capture file; 0: the narrator counts
	Cut      int // octets at the payload's end that the capture lacks
	Dir      Direction
	Live     *Live // what our own stack says of it; nil for a capture file
	Fate     *Fate // what becomes of it behind the capture point; nil: nobody knows
}

// A Fate is what a network does to a segment, where it is known because the
// network is simulated, or our own link does it.
type Fate struct {
	Ours    bool // our own link does it: nobody knows of the network behind
	Lost    bool // it will not arrive
	Corrupt bool // it will arrive with a wrong checksum
	Copies  int  // of it that the network makes
	Copy    bool // it is such a copy itself
}

// Direction is which way a segment went, if the capture tells. The numbers are
// pcapng's.
type Direction uint8

// The directions.
const (
	DirUnknown Direction = iota
	DirIn
	DirOut
)

// Live is what our own stack says of a segment that it sent or received.
type Live struct {
	Sent        bool               // we sent it
	Reason      stack.Reason       // why (Sent)
	Verdict     *stack.Judgment    // what became of it (received); nil: nothing to say
	Transitions []stack.Transition // of our end, caused by it or since the last segment
	State       stack.State        // of our end, after it
	SendError   error              // the system refused to send it: it never crossed
	Dropped     bool               // someone dropped it before it was sent: it never crossed
	Edited      *stack.Segment     // what our stack had made of it, before someone changed it
}

func (in *Input) verdict() *stack.Judgment {
	if in.Live == nil {
		return nil
	}
	return in.Live.Verdict
}

// An Account is everything that can be told of one segment. It belongs to the
// caller, except that Payload is the slice of the segment it tells of.
type Account struct {
	Frame  int           // from 1; 0 if the segment never crossed
	Time   time.Time     // absolute
	Since  time.Duration // since the first segment that the narrator saw
	Stream int           // number of the conversation, from 0, as Wireshark counts
	First  bool          // the first segment of its conversation

	Src, Dst   netip.AddrPort
	Dir        Direction
	FromClient bool // the sender opened the conversation or, if that was not seen, was heard first
	Roles      bool // it is known who opened it
	// Outward tells which way to draw the arrow: we sent it or, where the capture
	// does not tell, the client did.
	Outward bool

	Flags          stack.Flags
	ECN            stack.ECN
	Seq, Ack, Next Number // Ack counts only with the ACK flag
	Payload        []byte // as much as was captured
	Len            int    // octets of payload on the wire
	WindowRaw      uint16 // as on the wire
	Window         int    // octets: scaled, if both SYNs were seen to agree on it
	Unscaled       bool   // Window is as on the wire, and how it is scaled is not known
	Options        stack.Options
	SACK           []Range // the SACK blocks, as numbers of the receiver of this segment

	// What Wireshark's fields tcp.analysis.* say, with their names.
	AcksFrame     int           // the segment that its Ack is the end of; 0: none
	AckRTT        time.Duration // how long after that segment; counts only with AcksFrame
	BytesInFlight int           // sent and not acknowledged, after it; 0: not known, or it carries no data
	DupAckNum     int           // which duplicate of the ACK in DupAckFrame it is; 0: none
	DupAckFrame   int
	RTO           time.Duration // how long after RTOFrame it is sent again; counts only with RTOFrame
	RTOFrame      int           // 0: it is no retransmission
	Analysis      []string      // what is unusual, without "tcp.analysis."

	Checksum stack.Checksum
	SrcState State // of the sender, after it
	DstState State // of the receiver, once it has arrived

	// AckOf is the segment whose Next its Ack is, if that says something new.
	AckOf    int
	Why      []Sentence // where each number comes from
	Marks    []Sentence // in a few words, what is unusual: for the segment's line
	Live     *Live
	Fate     *Fate
	Previous *Summary // of the conversation whose ports this SYN uses again

	voice *voice
	args  []Arg // of the sentences in Why and Marks
	sack  bool  // both ends understand SACK
}

// A Number is a sequence number, as it is on the wire and, where the initial
// sequence number is known, counted from that.
type Number struct {
	Raw   stack.Seq
	Rel   uint32
	Known bool // Rel counts
}

// A Range is a run of octets: [Left, Right).
type Range struct{ Left, Right Number }

// A State is the state of an end, where it can be known.
type State struct {
	stack.State
	Known bool
}

// Problem reports whether something about the segment is amiss.
func (a *Account) Problem() bool {
	for _, s := range a.Why {
		if s.Kind == Unusual {
			return true
		}
	}
	return false
}

// Say renders a sentence in the narrator's language.
func (a *Account) Say(s Sentence) string { return a.voice.say(s) }
