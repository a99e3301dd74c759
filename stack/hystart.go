package stack

import "time"

// hystart ends the first slow start where the round trips grow longer, before the queue
// overflows (RFC 9406).
type hystart struct {
	end      Seq           // of the round: SND.NXT when it began
	samples  int           // in this round
	least    time.Duration // of them
	last     time.Duration // the least of the round before; 0: there was none
	baseline time.Duration // the least when the growth was slowed down
	rounds   int           // of conservative slow start, this one included; 0: not in it
	begun    bool
}

// RFC 9406, section 4.3.
const (
	minRTTThresh     = 4 * time.Millisecond
	maxRTTThresh     = 16 * time.Millisecond
	minRTTDivisor    = 8
	nRTTSample       = 8
	cssGrowthDivisor = 4
	cssRounds        = 5
)

type pace uint8

const (
	exponential pace = iota
	conservative
	tooFast // slow start is over
)

// onACK takes an ACK in slow start and says how fast to go on.
func (h *hystart) onACK(a advance) pace {
	if !h.begun || h.end.Less(a.una) {
		h.last = h.least
		h.end, h.samples, h.least, h.begun = a.nxt, 0, 0, true
		if h.rounds > 0 {
			if h.rounds++; h.rounds > cssRounds {
				return tooFast
			}
		}
	}
	if a.rtt > 0 {
		h.samples++
		if h.least == 0 || a.rtt < h.least {
			h.least = a.rtt
		}
	}
	if h.samples >= nRTTSample && h.last > 0 {
		switch {
		case h.rounds == 0 && h.least >= h.last+min(max(h.last/minRTTDivisor, minRTTThresh), maxRTTThresh):
			h.baseline, h.rounds = h.least, 1
		case h.rounds > 0 && h.least < h.baseline: // it was jitter
			h.rounds = 0
		}
	}
	if h.rounds > 0 {
		return conservative
	}
	return exponential
}
