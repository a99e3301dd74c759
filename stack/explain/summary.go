package explain

import (
	"net/netip"
	"time"
)

// A Summary is the verdict on a conversation.
type Summary struct {
	Stream         int
	Client, Server netip.AddrPort // if Roles: else whoever was heard first, and the other
	Roles          bool
	Self           bool // both ends are one, which has connected to itself
	Segments       int
	Lasted         time.Duration
	Opening        Opening
	Closing        Closing
	Sent           [2]Tally // by the client, by the server
	Why            []Sentence

	voice *voice
}

// Opening is how a conversation began.
type Opening uint8

// How a conversation began.
const (
	OpenUnseen       Opening = iota // the capture begins later
	OpenAsked                       // SYN, and no answer
	OpenAnswered                    // SYN and SYN,ACK, but no ACK
	OpenThree                       // the three-way handshake
	OpenSimultaneous                // both sent a SYN
	OpenRefused                     // RST answered the SYN
	OpenChallenged                  // the SYN found an older connection
	OpenNothing                     // the SYN began nothing: the conversation before it went on
)

// Closing is how a conversation ended.
type Closing uint8

// How a conversation ended.
const (
	CloseNot          Closing = iota // it did not, as far as was seen
	CloseHalf                        // only one side sent a FIN
	CloseThree                       // FIN; ACK and FIN in one; ACK
	CloseFour                        // FIN, ACK, FIN, ACK
	CloseSimultaneous                // both sent a FIN before they had the other's
	CloseReset                       // a RST
)

// Say renders a sentence in the narrator's language.
func (s *Summary) Say(w Sentence) string { return s.voice.say(w) }

func (n *Narrator) summary(c *conversation) *Summary {
	s := &Summary{
		Stream: c.stream, Client: c.ends[0].addr, Server: c.ends[1].addr, Roles: c.roles, Self: c.self(),
		Segments: c.frames, Lasted: c.last.Sub(c.start),
		Opening: c.opening, Closing: c.closing,
		Sent:  [2]Tally{c.ends[0].tally, c.ends[1].tally},
		voice: n.voice,
	}
	if c.resetAt != 0 {
		s.Closing = CloseReset
	}
	s.opened()
	for i := range c.ends {
		if i == 0 || !s.Self {
			s.sent(c, i)
		}
	}
	s.closed(c)
	return s
}

func (s *Summary) add(kind Kind, format string, args ...any) {
	s.Why = append(s.Why, phrase(kind, format, args...))
}

func (s *Summary) opened() {
	if s.Self {
		s.add(Meaning, "it is a connection with itself: both ends have the same address and port, so there is one end, which receives its own segments")
		return
	}
	switch s.Opening {
	case OpenUnseen:
		s.add(Meaning, "how it opened was not captured")
	case OpenAsked:
		s.add(Unusual, "it did not open: the client asked with SYN, and nobody answered")
	case OpenAnswered:
		s.add(Unusual, "it opened only half: SYN and SYN,ACK, but no ACK to complete the handshake")
	case OpenThree:
		s.add(Meaning, "it opened with three segments: SYN; SYN,ACK; ACK")
	case OpenSimultaneous:
		s.add(Meaning, "it was opened by both sides at once: each sent a SYN before it had the other's")
	case OpenChallenged:
		s.add(Unusual, "it did not open: the client asked with SYN, and the server answered for a connection that it had already")
	case OpenNothing:
		s.add(Unusual, "the SYN began no connection: the one before it goes on")
	case OpenRefused:
		s.add(Unusual, "it was refused: a RST answered the SYN")
	}
}

// segments is a count of segments, in words.
func segments(n int) Sentence {
	if n == 1 {
		return Sentence{Format: "1 segment"}
	}
	return phrase(Meaning, "%d segments", n)
}

func (s *Summary) sent(c *conversation, i int) {
	t, who, other := s.Sent[i], c.name(&c.ends[i]), c.name(&c.ends[1-i])
	if t.Segments == 0 {
		s.add(Meaning, "%s sent nothing", who)
		return
	}
	if t.Octets > 0 && t.WithData < t.Segments {
		s.add(Meaning, "%s sent %s; %v of its %v segments carried data", who, octets(t.Octets), plain(t.WithData), plain(t.Segments))
	} else {
		s.add(Meaning, "%s sent %s in %s", who, octets(t.Octets), segments(t.Segments))
	}
	if t.Retransmitted > 0 {
		s.add(Unusual, "%s sent %d of its segments again (retransmissions)", who, t.Retransmitted)
	}
	if t.Lost > 0 {
		s.add(Unusual, "lost on the way: %d of the segments that %s sent", t.Lost, who)
	}
	if t.Corrupted > 0 {
		s.add(Unusual, "corrupted on the way: %d of the segments that %s sent", t.Corrupted, who)
	}
	if t.Copied > 0 {
		s.add(Unusual, "copied on the way: %d of the segments that %s sent", t.Copied, who)
	}
	switch r := t.RTT; {
	case r.Max == 0: // captured at the other end of a simulated network
	case r.Samples > 0 && r.Min == r.Max:
		s.add(Meaning, "round trip from here to %s and back: %v", other, elapsed(r.Min))
	case r.Samples > 0:
		s.add(Meaning, "round trip from here to %s and back: %v on average of %d ACKs (%v to %v)", other,
			elapsed(r.Sum/time.Duration(r.Samples)), r.Samples, elapsed(r.Min), elapsed(r.Max))
	}
}

func (s *Summary) closed(c *conversation) {
	if c.resetAt != 0 {
		if c.opening != OpenRefused {
			s.add(Unusual, "it was reset by %s in %v", c.name(c.resetter), frame(c.resetAt))
		}
		return
	}
	if s.Self && s.Closing == CloseHalf {
		s.add(Meaning, "one FIN closed both directions, for they are one")
		return
	}
	switch s.Closing {
	case CloseNot:
		if s.Opening != OpenAsked && s.Opening != OpenChallenged && s.Opening != OpenNothing {
			s.add(Meaning, "it was not closed, as far as was seen")
		}
		return
	case CloseHalf:
		s.add(Meaning, "it was closed by %s alone; the other direction is still open", c.name(c.closer))
		return
	case CloseThree:
		s.add(Meaning, "%s closed first, and three segments did it: FIN; ACK and FIN in one, because %s closed %v later, when its ACK was not yet sent; ACK",
			c.name(c.closer), c.name(c.other(c.closer)), elapsed(c.closeGap))
	case CloseFour:
		s.add(Meaning, "%s closed first, and four segments did it: FIN; ACK; FIN; ACK, because %s closed only %v later, when its ACK was sent already",
			c.name(c.closer), c.name(c.other(c.closer)), elapsed(c.closeGap))
	case CloseSimultaneous:
		s.add(Meaning, "both sides closed at once: each sent its FIN before it had the other's")
	}
	if !c.complete {
		s.add(Unusual, "the last ACK is missing")
	}
}
