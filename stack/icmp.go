package stack

import (
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

// ICMP takes an error that quotes a segment of this connection. One whose
// sequence number was not in flight is forged or late (RFC 5927, section 4.1):
// it is not heeded, and ICMP reports false.
//
// A hard error ends an attempt to connect. A soft one never does (MUST-56), and
// no error ends a connection that stands (RFC 5927, section 5.2): SoftError
// tells of it.
func (c *Conn) ICMP(_ time.Time, e *ICMPError) bool {
	if c.state < StateSynSent || !e.Seq.In(c.snd.una, c.snd.nxt) {
		return false
	}
	if e.Kind == ICMPPacketTooBig {
		c.packetTooBig(e.MTU)
		return true
	}
	err := *e
	c.soft = &err
	if c.state == StateSynSent && e.Kind.hard() {
		c.end(CauseICMP, c.soft)
	}
	return true
}

// leastMTU has room for the headers and a little data; RFC 1191's 68 octets have
// not.
const leastMTU = 128

// packetTooBig believes a router, down to what every path must carry; less
// would be an attack (RFC 5927, section 7.2).
func (c *Conn) packetTooBig(mtu int) {
	least := 552 // as Linux
	if c.cfg.IPv6 {
		least = 1280
	}
	if mtu == 0 { // an older router does not say: RFC 1191, section 5
		mtu = 576
	}
	c.LowerMTU(max(mtu, least))
}

// LowerMTU tells the connection that the path carries packets of at most mtu
// octets (RFC 1191, RFC 8201). What was too large goes out again in smaller
// pieces. It reports false where nothing changes.
func (c *Conn) LowerMTU(mtu int) bool {
	mss := max(mtu, leastMTU) - c.cfg.ipHeaderLen() - headerLen
	if c.ts.on {
		mss -= timestampsLen
	}
	if mss >= c.snd.mss {
		return false
	}
	c.snd.mss = mss
	c.cc.setMSS(mss)
	c.loss.again = ReasonRecovery
	for i := range c.board.runs {
		if s := &c.board.runs[i]; s.len() > mss {
			c.board.markLost(s)
		}
	}
	return true
}
