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
		Stream: c.stream, Client: c.ends[0].addr, Server: c.ends[1].addr, Roles: c.roles,
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
		s.sent(c.name(&c.ends[i]), s.Sent[i])
	}
	s.closed(c)
	return s
}

func (s *Summary) add(kind Kind, format string, args ...any) {
	s.Why = append(s.Why, phrase(kind, format, args...))
}

func (s *Summary) opened() {
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

func (s *Summary) sent(who any, t Tally) {
	if t.Segments == 0 {
		s.add(Meaning, "%s sent nothing", who)
		return
	}
	if t.Octets > 0 && t.WithData < t.Segments {
		s.add(Meaning, "%s sent %s in %v of its %v segments", who, octets(t.Octets), plain(t.WithData), plain(t.Segments))
	} else {
		s.add(Meaning, "%s sent %s in %s", who, octets(t.Octets), segments(t.Segments))
	}
	if t.Retransmitted > 0 {
		s.add(Unusual, "%s sent %d of its segments again", who, t.Retransmitted)
	}
	switch r := t.RTT; {
	case r.Samples > 0 && r.Min == r.Max:
		s.add(Meaning, "round trip seen by %s: %v", who, elapsed(r.Min))
	case r.Samples > 0:
		s.add(Meaning, "round trip seen by %s: %v on average (%v to %v)", who,
			elapsed(r.Sum/time.Duration(r.Samples)), elapsed(r.Min), elapsed(r.Max))
	}
}

func (s *Summary) closed(c *conversation) {
	if c.resetAt != 0 {
		if c.opening != OpenRefused {
			s.add(Unusual, "it was reset by %s in %v", c.name(c.resetter), frame(c.resetAt))
		}
		return
	}
	switch s.Closing {
	case CloseNot:
		if s.Opening != OpenAsked {
			s.add(Meaning, "it was not closed, as far as was seen")
		}
		return
	case CloseHalf:
		s.add(Meaning, "it was closed by %s alone; the other direction is still open", c.name(c.closer))
		return
	case CloseThree:
		s.add(Meaning, "%s closed first, and three segments did it: FIN; ACK and FIN in one; ACK", c.name(c.closer))
	case CloseFour:
		s.add(Meaning, "%s closed first, and four segments did it: FIN; ACK; FIN; ACK", c.name(c.closer))
	case CloseSimultaneous:
		s.add(Meaning, "both sides closed at once: each sent its FIN before it had the other's")
	}
	if !c.complete {
		s.add(Unusual, "the last ACK is missing")
	}
}
