package rawtcp

import (
	"io"
	"net/netip"
)

// A Link carries IP packets to and from a Host. It is shaped for batches,
// because a packet's cost is the crossing, not its octets. The raw sockets are
// one, an in-memory pair is another, and a link with faults wraps any.
type Link interface {
	// ReadBatch waits until at least one packet is there, or Wake is called, and
	// reads as many as bufs has room for. It re-slices bufs[i] to the packet's
	// length, up to its capacity, and returns how many it filled. A packet starts
	// with its IP header; it may be TCP, or an ICMP error. After Close it returns
	// net.ErrClosed. One goroutine at a time may call it.
	ReadBatch(bufs [][]byte) (int, error)
	// Wake makes a waiting ReadBatch, or else the next, return at once, perhaps
	// with no packet.
	Wake()
	// WriteBatch sends packets in order and returns how many it took. The
	// error, if any, concerns packet n: it was not sent, and the caller goes on
	// behind it. It does not keep the slices. Several goroutines may call it.
	WriteBatch(pkts []Outgoing) (n int, err error)
	// Route asks for the way to dst: the source address to use and the largest
	// packet that the path is known to carry.
	Route(dst netip.Addr) (Route, error)
	// Reserve takes a local port for the host, so that nobody else on the
	// machine answers segments for it. Port 0 takes any free one; an
	// unspecified address, all addresses of its family. reserved.Port() tells
	// which. Closing it frees the port.
	Reserve(local netip.AddrPort) (reserved netip.AddrPort, guard io.Closer, err error)
	// Close ends the link and wakes a waiting ReadBatch.
	Close() error
}

// A roomy link holds what has come until it is read. It is told how many octets
// all peers together may send at once.
type roomy interface{ room(octets int) }

// Outgoing is a packet to send: the headers and the payload apart, so that a
// payload goes out of the send buffer without a copy.
type Outgoing struct {
	Dst     netip.Addr // the destination, with the zone of a link-local address
	Header  []byte     // the IP and TCP headers
	Payload []byte
	// GSOSize is that of the segment: not 0 only where the Route has Offload.
	// The checksum is partial then, and the link sends wire.Pieces.
	GSOSize int
}

// A Route is the way to a destination.
type Route struct {
	Src netip.Addr // our address, with a zone if it is link-local
	MTU int        // octets
	// Offload is how much payload a packet may have that the link cuts into
	// segments; 0: the link does not cut.
	Offload int
}

// RawLink returns the link over this machine's raw sockets, for a Host of one's
// own. It needs the capability CAP_NET_RAW, and Linux.
func RawLink() (Link, error) { return newRawLink() }

// PacketLink returns a link that receives as RawLink does and sends through a
// packet socket (AF_PACKET), which leaves to the network device to cut large
// segments and to compute checksums. That is much faster for bulk data.
//
// It is for Ethernet: Route fails where another kind of interface leads to the
// destination. What stays on the machine takes the raw socket. It goes past the
// machine's own filter for what leaves (nftables, iptables), and so past its
// connection tracking, and past IPsec. It needs CAP_NET_RAW, and Linux.
func PacketLink() (Link, error) { return newPacketLink() }
