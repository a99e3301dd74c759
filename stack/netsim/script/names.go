package script

import (
	"rawnc/stack"
	"rawnc/stack/fault"
)

// names is a table of words for values.
type names[T comparable] []struct {
	name  string
	value T
}

func (t names[T]) read(w *fault.Words) (value T, err error) {
	var all []string
	for _, n := range t {
		if w.Take(n.name) {
			return n.value, nil
		}
		all = append(all, n.name)
	}
	return value, w.Expected("%s", fault.List(all))
}

func (t names[T]) of(value T) string {
	for _, n := range t {
		if n.value == value {
			return n.name
		}
	}
	return ""
}

var reasons = names[stack.ReasonKind]{
	{"open", stack.ReasonSYN},
	{"answer", stack.ReasonSYNACK},
	{"handshake", stack.ReasonHandshakeACK},
	{"data", stack.ReasonData},
	{"close", stack.ReasonFIN},
	{"timeout", stack.ReasonRetransmitTimeout},
	{"fast-retransmit", stack.ReasonFastRetransmit},
	{"recovery", stack.ReasonRecovery},
	{"forward-RTO", stack.ReasonForwardRTO},
	{"tail-probe", stack.ReasonTailProbe},
	{"too-big", stack.ReasonTooBig},
	{"black-hole", stack.ReasonBlackHole},
	{"path-probe", stack.ReasonPathProbe},
	{"probe-lost", stack.ReasonProbeLost},
	{"window-probe", stack.ReasonWindowProbe},
	{"keep-alive", stack.ReasonKeepAlive},
	{"acknowledgment", stack.ReasonACK},
	{"delayed-ACK", stack.ReasonDelayedACK},
	{"FIN", stack.ReasonFINACK},
	{"duplicate-ACK", stack.ReasonDuplicateACK},
	{"old-data", stack.ReasonOldDataACK},
	{"window-update", stack.ReasonWindowUpdate},
	{"challenge", stack.ReasonChallengeACK},
	{"unacceptable", stack.ReasonUnacceptableACK},
	{"urgent", stack.ReasonUrgent},
	{"abort", stack.ReasonAbort},
	{"unread-data", stack.ReasonUnreadData},
	{"data-after-close", stack.ReasonDataAfterClose},
	{"no-connection", stack.ReasonNoConnection},
	{"bad-handshake-ACK", stack.ReasonBadHandshakeACK},
	{"given-up", stack.ReasonTimeoutAbort},
	{"cookie", stack.ReasonSYNCookie},
}

func reasonName(kind stack.ReasonKind) string { return reasons.of(kind) }

func readReason(w *fault.Words) (stack.Reason, error) {
	kind, err := reasons.read(w)
	if err != nil || !w.AtNumber() {
		return stack.Reason{Kind: kind}, err
	}
	n, err := w.Number("how often", 1, 1e6)
	return stack.Reason{Kind: kind, N: int(n)}, err
}

var verdicts = names[stack.Verdict]{
	{"accepted", stack.VerdictAccepted},
	{"out-of-order", stack.VerdictOutOfOrder},
	{"too-many-gaps", stack.VerdictTooManyGaps},
	{"old-data", stack.VerdictOldData},
	{"outside-window", stack.VerdictOutsideWindow},
	{"PAWS", stack.VerdictPAWS},
	{"no-timestamp", stack.VerdictNoTimestamp},
	{"bad-ack", stack.VerdictBadAck},
	{"blind-RST", stack.VerdictBlindRST},
	{"blind-SYN", stack.VerdictBlindSYN},
	{"no-ACK", stack.VerdictNoACK},
	{"after-close", stack.VerdictAfterClose},
	{"window-closed", stack.VerdictWindowClosed},
	{"ignored", stack.VerdictIgnored},
	{"reset", stack.VerdictReset},
	{"no-connection", stack.VerdictNoConnection},
	{"spurious-timeout", stack.VerdictSpuriousTimeout},
	{"forged-ICMP", stack.VerdictForgedICMP},
	{"wrong-MTU", stack.VerdictWrongMTU},
	{"doubtful-MTU", stack.VerdictDoubtfulMTU},
}

var failures = names[error]{
	{"refused", stack.ErrRefused},
	{"reset", stack.ErrReset},
	{"timeout", stack.ErrTimeout},
	{"aborted", stack.ErrAborted},
	{"idle", stack.ErrIdle},
}
