package stack

import "time"

// A Reason is why the stack sends a segment, chosen where the decision is made.
type Reason struct {
	Kind ReasonKind
	// N counts, from 1, where the kind repeats: the timeout, the probe, the
	// retransmission of the same octets. It is a number of octets where the kind
	// is about the size of packets.
	N int
	// Timer is the one that ran out, for ReasonRetransmitTimeout and ReasonTailProbe.
	Timer Timing
}

// Timing is how long a timer ran, and what that followed from (RFC 6298, section 2;
// RFC 8985, section 7.2). SRTT is zero where no round trip has been measured.
type Timing struct {
	Waited, SRTT, RTTVar time.Duration
	InPlace              bool // the tail loss probe, of the timeout, which would have come first
}

// ReasonKind is the kind of a Reason.
type ReasonKind uint8

// Why a segment is sent.
const (
	ReasonNone              ReasonKind = iota // not known: not sent by this stack
	ReasonSYN                                 // active open
	ReasonSYNACK                              // the answer to a SYN
	ReasonHandshakeACK                        // completes the three-way handshake
	ReasonData                                // new data of the application
	ReasonFIN                                 // the application closed; may carry the last data
	ReasonRetransmitTimeout                   // the retransmission timer ran out, the Nth time (RFC 6298)
	ReasonFastRetransmit                      // three duplicate ACKs, or SACK, show a loss (RFC 5681, 8985)
	ReasonRecovery                            // a further hole of the same loss (RFC 5681, 6582, 6675)
	ReasonForwardRTO                          // new data after a timeout: was it spurious (RFC 5682)?
	ReasonTailProbe                           // the tail may be lost: ask for an ACK (RFC 8985)
	ReasonTooBig                              // a router says that the path carries packets of N octets at most (RFC 1191)
	ReasonBlackHole                           // larger packets vanish again and again: N octets at most (RFC 4821)
	ReasonPathProbe                           // new data in a packet of N octets: does the path carry it (RFC 4821)?
	ReasonProbeLost                           // it does not: again, in packets of N octets at most
	ReasonWindowProbe                         // the peer's window is closed: ask, the Nth time
	ReasonKeepAlive                           // the connection is idle: is the peer there? The Nth time
	ReasonACK                                 // every second full-sized segment, or at once because asked for
	ReasonDelayedACK                          // the delayed-ACK timer ran out
	ReasonFINACK                              // acknowledges the peer's FIN
	ReasonDuplicateACK                        // something arrived out of order: says what is missing
	ReasonOldDataACK                          // something arrived that was received before
	ReasonWindowUpdate                        // the application has read: there is room again
	ReasonChallengeACK                        // RFC 5961: a doubtful SYN, RST or ACK; the true peer will know
	ReasonUnacceptableACK                     // the segment lies outside the window
	ReasonUrgent                              // tells of urgent data that the window does not let through
	ReasonAbort                               // RST: the application aborted
	ReasonUnreadData                          // RST: the application closed without reading everything
	ReasonDataAfterClose                      // RST: data came for an application that has gone
	ReasonNoConnection                        // RST: no such connection
	ReasonBadHandshakeACK                     // RST: acknowledges a SYN that was never sent
	ReasonTimeoutAbort                        // RST: the peer has not answered for too long
	ReasonSYNCookie                           // the answer to a SYN that is not kept (RFC 4987)
)

// Verdict is what became of a segment that arrived.
type Verdict uint8

// What becomes of a segment.
const (
	VerdictAccepted        Verdict = iota
	VerdictOutOfOrder              // held until what lies before it arrives
	VerdictTooManyGaps             // as VerdictOutOfOrder, but more runs are not held: discarded
	VerdictOldData                 // received before: discarded, acknowledged again
	VerdictOutsideWindow           // discarded, answered with an ACK
	VerdictPAWS                    // an old duplicate, by its timestamp (RFC 7323)
	VerdictNoTimestamp             // timestamps were agreed on and it has none (RFC 7323)
	VerdictBadAck                  // acknowledges what was never sent
	VerdictBlindRST                // RST in the window but not at RCV.NXT (RFC 5961)
	VerdictBlindSYN                // SYN on a synchronized connection (RFC 5961)
	VerdictNoACK                   // no ACK flag where every segment must have one
	VerdictAfterClose              // data for an application that has gone
	VerdictWindowClosed            // data while the receive window is zero
	VerdictIgnored                 // means nothing in this state
	VerdictReset                   // a RST that ends the connection
	VerdictNoConnection            // no such connection
	VerdictSpuriousTimeout         // acknowledges what a timeout took for lost: it was only late (RFC 5682)
	VerdictForgedICMP              // an ICMP error quotes what is not in flight: forged or late (RFC 5927)
	VerdictWrongMTU                // an ICMP error cannot be true of the packet that it quotes
	VerdictDoubtfulMTU             // believed once the segment has to go out again (RFC 5927)
)

// An Event is something that happened inside a Conn, for whoever watches. One
// field is set.
type Event struct {
	Transition *Transition
	Verdict    *Judgment
}

// A Judgment is the verdict on a segment that arrived, with the numbers that
// the decision used.
type Judgment struct {
	Verdict Verdict
	RcvNxt  Seq // RCV.NXT when the segment arrived
	RcvWnd  int // RCV.WND, octets
	SndUna  Seq
	SndNxt  Seq
}
