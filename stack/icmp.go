package stack

import (
	"fmt"
	"net/netip"
	"time"
)

// ICMPKind is what an ICMP or ICMPv6 error says, where both have it.
type ICMPKind uint8

// The errors that concern TCP (RFC 792, RFC 4443).
const (
	ICMPNetUnreachable ICMPKind = iota
	ICMPHostUnreachable
	ICMPProtocolUnreachable
	ICMPPortUnreachable
	ICMPPacketTooBig // IPv4: fragmentation needed and DF set
	ICMPSourceRouteFailed
	ICMPAdminProhibited
	ICMPTimeExceeded
	ICMPParameterProblem
)

// An ICMPError is an ICMP error that quotes one of our segments. It satisfies
// error, and says what happened and who said so.
type ICMPError struct {
	Kind ICMPKind
	Seq  Seq        // of the quoted segment
	MTU  int        // of the next hop, for ICMPPacketTooBig; 0 where a router did not say
	Size int        // of the quoted packet, octets; 0: not known
	From netip.Addr // who sent it
}

var icmpNames = [...]string{
	"network unreachable", "host unreachable", "protocol unreachable", "port unreachable",
	"packet too big", "source route failed", "administratively prohibited", "time exceeded",
	"parameter problem",
}

// hard reports whether trying again is in vain (RFC 9293, section 3.9.2.2).
func (k ICMPKind) hard() bool {
	switch k {
	case ICMPProtocolUnreachable, ICMPPortUnreachable, ICMPAdminProhibited:
		return true
	}
	return false
}

func (k ICMPKind) String() string { return icmpNames[k] }

func (e *ICMPError) Error() string {
	what := e.Kind.String()
	if e.Kind == ICMPPacketTooBig && e.MTU > 0 {
		what = fmt.Sprintf("packet too big for a link of %d bytes", e.MTU)
	}
	return what + ", says " + e.From.String()
}

// ICMP takes an error that quotes a segment of this connection, and reports
// whether it is heeded. One whose sequence number was not in flight is forged or
// late, and is not (RFC 5927, section 4.1).
//
// A hard error ends an attempt to connect. A soft one never does (RFC 9293,
// section 3.9.2.2), and no error ends a connection that stands (RFC 5927,
// section 5.2): SoftError tells of it.
func (c *Conn) ICMP(now time.Time, e *ICMPError) bool {
	if c.state < StateSynSent {
		return false
	}
	seen := Judgment{Verdict: c.icmp(now, e), RcvNxt: c.rcv.nxt, RcvWnd: c.rcvWnd(), SndUna: c.snd.una, SndNxt: c.snd.nxt}
	if c.cfg.Watch != nil {
		c.cfg.Watch(Event{Verdict: &seen})
	}
	return seen.Verdict == VerdictAccepted || seen.Verdict == VerdictDoubtfulMTU
}

func (c *Conn) icmp(now time.Time, e *ICMPError) Verdict {
	switch {
	case !e.Seq.In(c.snd.una, c.snd.nxt):
		return VerdictForgedICMP
	case e.Kind == ICMPPacketTooBig:
		return c.packetTooBig(now, e)
	}
	err := *e
	c.soft = &err
	c.report(Report{Kind: ReportICMP, Err: c.soft})
	switch {
	case !e.Kind.hard():
	case c.state == StateSynSent, c.state == StateSynReceived && c.active:
		c.end(CauseICMP, c.soft)
	case c.state == StateSynReceived: // as a RST would
		c.relisten(CauseICMP)
	}
	return VerdictAccepted
}
