package stack

import "net/netip"

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

func (e *ICMPError) Error() string { return e.Kind.String() + ", says " + e.From.String() }
