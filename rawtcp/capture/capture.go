// Package capture reads captures: pcap and pcapng, of any byte order, perhaps
// under gzip. It finds the TCP segment in every packet, or says why there is
// none.
//
// It trusts nothing in the file. Memory is bounded by one buffer whatever the
// lengths in it say. gopacket's readers are not used: they allocate up to 4 GiB
// because a length field says so, and divide by zero where an interface's time
// resolution is absurd. They judge this package in its tests.
package capture

import (
	"bufio"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"rawnc/rawtcp/wire"
)

// Why a capture cannot be read, or no further.
var (
	ErrFormat  = errors.New("this is no capture: neither pcap nor pcapng")
	ErrCut     = errors.New("the capture ends within a record")
	ErrDamaged = errors.New("the capture is damaged")
)

// ErrLinkType is why a packet has no TCP segment to show: nothing is known of
// what lies below its IP header. The other reasons are wire's.
var ErrLinkType = errors.New("the packet is of an unknown link type")

// An Interface is where packets were captured.
type Interface struct {
	LinkType uint16 // LINKTYPE_* number
	Name     string // empty if the capture does not tell
}

// A Direction is which way a packet went, with pcapng's numbers.
type Direction uint8

// The directions.
const (
	Unknown Direction = iota
	In
	Out
)

// A Packet is a record of a capture. Its slices are valid until the next one is
// read.
type Packet struct {
	Frame     int       // its number in the capture, from 1
	Time      time.Time // 1970 where the capture has no time for it
	Interface Interface
	Dir       Direction
	Data      []byte // as captured, from the link layer on
	Length    int    // on the wire: at least len(Data)

	IP  []byte      // the part of Data that begins with an IP header; nil if there is none
	TCP wire.Packet // counts if Err is nil
	Err error       // why there is no segment: ErrLinkType, wire.ErrNotTCP, ErrFragment, ErrTruncated or ErrMalformed

	options []byte // of its pcapng block
	big     bool   // their byte order
}

const (
	// maxPacket is the longest packet that Wireshark takes. What claims to be
	// longer is damage.
	maxPacket = 262144
	// bufferSize must hold the longest packet and its headers. A larger block
	// loses its options.
	bufferSize = 1 << 20
)

// A Reader reads a capture.
type Reader struct {
	in     *bufio.Reader
	big    bool // the byte order: most significant octet first
	record func(*Packet) error
	frames int

	fraction   uint32      // pcap: nanoseconds in a unit of time
	interfaces []described // pcapng: of this section. pcap: the one
}

// NewReader reads the head of a capture. It returns ErrFormat if r holds none,
// ErrCut if it ends within the head, and else the error of r.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: bufio.NewReaderSize(in, bufferSize)}
	if magic, _ := r.in.Peek(2); string(magic) == "\x1f\x8b" {
		unzip, err := gzip.NewReader(r.in)
		if err != nil {
			return nil, cut(err)
		}
		r.in = bufio.NewReaderSize(unzip, bufferSize)
	}
	magic, err := r.in.Peek(4)
	switch {
	case err == io.EOF:
		return nil, ErrFormat
	case err != nil:
		return nil, cut(err)
	}
	if binary.BigEndian.Uint32(magic) == blockSection { // the same both ways round
		r.record = r.nextBlock
		return r, r.section()
	}
	r.record = r.nextRecord
	return r, r.fileHeader()
}

// Next reads the next packet into p. It returns io.EOF at the end, ErrCut where
// the capture ends too soon, an error that is ErrDamaged where it makes no
// sense, and else the error of the underlying reader. There is no going on after
// an error.
func (r *Reader) Next(p *Packet) error {
	if err := r.record(p); err != nil {
		return err
	}
	r.frames++
	p.Frame = r.frames
	p.big = r.big
	p.Length = max(p.Length, len(p.Data))
	p.IP, p.Err = network(p.Interface.LinkType, p.Data)
	if p.Err == nil {
		p.Err = wire.Parse(p.IP, &p.TCP)
		// An IP header may claim more than there was on the wire.
		p.TCP.Cut = min(p.TCP.Cut, p.Length-len(p.Data))
	}
	return nil
}

// Comments are those that a pcapng has for the packet.
func (p *Packet) Comments() []string {
	var comments []string
	eachOption(p.options, p.big, func(code uint16, value []byte) {
		if code == optComment {
			comments = append(comments, string(value))
		}
	})
	return comments
}

// take returns the next n octets, at most bufferSize, which are valid until the
// next call. It returns io.EOF only if there is not one of them.
func (r *Reader) take(n int) ([]byte, error) {
	b, err := r.in.Peek(n)
	if err != nil {
		if len(b) > 0 || err != io.EOF {
			err = cut(err)
		}
		return nil, err
	}
	r.in.Discard(n)
	return b, nil
}

// within takes what must be there, for a record has begun.
func (r *Reader) within(n int) ([]byte, error) {
	b, err := r.take(n)
	return b, cut(err)
}

// skip passes over n octets of a record.
func (r *Reader) skip(n int) error {
	_, err := r.in.Discard(n)
	return cut(err)
}

func cut(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return ErrCut
	}
	return err
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

func u16(b []byte, big bool) uint16 {
	if big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func u32(b []byte, big bool) uint32 {
	if big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}
