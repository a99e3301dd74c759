package explain

import (
	"rawnc/stack"
	"rawnc/stack/explain/words"
)

// ICMP is what there is to tell of an ICMP error that quotes a segment of our own
// stack: what it says and, unless that is simply taken, what becomes of it. j is
// the stack's word on it, or nil.
func ICMP(e *stack.ICMPError, j *stack.Judgment, say *words.Language) []string {
	why := []string{say.Error(e)}
	if j == nil {
		return why
	}
	switch j.Verdict {
	case stack.VerdictForgedICMP:
		return append(why, say.Text("our stack does not believe it: no segment that it could be about is in flight, so it is forged or late (RFC 5927)"))
	case stack.VerdictWrongMTU:
		return append(why, say.Text("our stack changes nothing: it sends that segment in no larger packets, or no link may carry so little"))
	case stack.VerdictDoubtfulMTU:
		return append(why, say.Text("our stack believes it once the segment has to be sent again: until now, larger packets have arrived, or no path carries so little (RFC 5927)"))
	}
	return why
}
