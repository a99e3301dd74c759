package stack

import "time"

// limiter bounds how many ACKs may be provoked by segments that are not what
// the connection expects (RFC 5961, section 7), which also ends any war of
// ACKs. It is the connection's own: a shared one could be probed from outside.
type limiter struct {
	from time.Time
	used int
}

const (
	limiterBurst  = 10
	limiterPeriod = time.Second
)

func (l *limiter) allow(now time.Time) bool {
	if now.Sub(l.from) >= limiterPeriod {
		l.from, l.used = now, 0
	}
	l.used++
	return l.used <= limiterBurst
}
