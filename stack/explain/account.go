package explain

import (
	"net/netip"
	"time"

	"golang.org/x/text/message"

	"rawnc/stack"
)

// Input is one TCP segment as it crossed the capture point.
type Input struct {
	Time     time.Time
	Src, Dst netip.AddrPort
	Segment  *stack.Segment
	Checksum stack.Checksum
	Frame    int   // its number in a capture file; 0: the narrator counts
	Live     *Live // what our own stack says of it; nil for a capture file
}

// Live is what our own stack says of a segment that it sent or received.
type Live struct {
	Sent        bool               // we sent it
	Reason      stack.Reason       // why (Sent)
	Verdict     *stack.Judgment    // what became of it (received); nil: nothing to say
	Transitions []stack.Transition // of our end, caused by it or since the last segment
	State       stack.State        // of our end, after it
	SendError   error              // the system refused to send it: it never crossed
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

	Src, Dst netip.AddrPort
	// Outward tells which way to draw the arrow: we sent it or, in a capture
	// file, the client did.
	Outward bool

	Flags          stack.Flags
	Seq, Ack, Next Number // Ack counts only with the ACK flag
	Payload        []byte
	WindowRaw      uint16 // as on the wire
	Window         int    // octets: scaled, if both SYNs were seen to agree on it
	Options        stack.Options
	SACK           []Range // the SACK blocks, as numbers of the receiver of this segment

	AcksFrame     int           // the newest segment that it acknowledges for the first time; 0: none
	AckRTT        time.Duration // how long after that segment; counts only with AcksFrame
	BytesInFlight int           // sent and not acknowledged, after it; 0 if it carries no data
	Analysis      []string      // what is unusual, in Wireshark's names without "tcp.analysis."
	Checksum      stack.Checksum
	SrcState      State // of the sender, after it
	DstState      State // of the receiver, once it has arrived

	Why      []Sentence // where each number comes from
	Live     *Live
	Previous *Summary // of the conversation whose ports this SYN uses again

	say *message.Printer
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
func (a *Account) Say(s Sentence) string { return s.render(a.say) }
