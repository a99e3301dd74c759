package stack

import "time"

// A Report is something that the application is told without having asked (RFC
// 9293, section 3.9.1.8).
type Report struct {
	Kind ReportKind
	// Urgent, for ReportUrgent, is what Conn.Urgent returns now.
	Urgent int
	// Retransmissions, for ReportUnanswered, is how many there are of the segment.
	Retransmissions int
	// Err, for ReportICMP, is what SoftError returns now: an *ICMPError.
	Err error
	// UserTimeout, for ReportUserTimeout, is the peer's.
	UserTimeout time.Duration
}

// ReportKind is the kind of a Report.
type ReportKind uint8

// What is reported.
const (
	ReportUrgent      ReportKind = iota // the peer has urgent data, or more of them
	ReportUnanswered                    // a segment has been sent again R1 times; negative advice for IP
	ReportICMP                          // the network says that something is wrong; not that a packet is too big
	ReportUserTimeout                   // the peer announces a user timeout; UserTimeout is set and remains (RFC 5482)
)

func (c *Conn) report(r Report) {
	if c.cfg.Report != nil {
		c.cfg.Report(r)
	}
}
