package capture

import (
	"math"
	"math/bits"
	"time"
)

// Block types and option codes of pcapng (draft-ietf-opsawg-pcapng, section 4).
const (
	blockSection   = 0x0a0d0d0a
	blockInterface = 1
	blockOld       = 2 // packet block, obsolete
	blockSimple    = 3
	blockEnhanced  = 6
	blockJournal   = 9 // of systemd
	blockCustom    = 0xbad
	blockCustom2   = 0x40000bad // not to be copied

	optEnd            = 0
	optComment        = 1  // in any block
	optFlags          = 2  // enhanced packet
	optName           = 2  // interface
	optTimeResolution = 9  // interface
	optTimeOffset     = 14 // interface
)

// maxInterfaces bounds the memory that a section's interfaces take.
const maxInterfaces = 1 << 16

// described is an interface as a pcapng describes it.
type described struct {
	Interface
	snapLen uint32
	second  uint64 // units of time in a second; 0: 2^binary
	binary  uint
	offset  int64 // seconds to add
}

// blockHeader reads the type of the next block, and how many octets of it
// follow, without the length at its end.
func (r *Reader) blockHeader() (kind uint32, rest int, err error) {
	b, err := r.take(8)
	if err != nil {
		return 0, 0, err
	}
	if kind = u32(b, r.big); kind == blockSection {
		length := [4]byte(b[4:])
		order, err := r.within(4)
		switch {
		case err != nil:
			return 0, 0, err
		case u32(order, true) == 0x1a2b3c4d:
			r.big = true
		case u32(order, false) == 0x1a2b3c4d:
			r.big = false
		default:
			return 0, 0, damaged("a section of no byte order")
		}
		rest, err = blockRest(u32(length[:], r.big), 16)
		return kind, rest, err
	}
	rest, err = blockRest(u32(b[4:], r.big), 12)
	return kind, rest, err
}

func blockRest(length, overhead uint32) (int, error) {
	if length < overhead || uint64(length) > math.MaxInt32 {
		return 0, damaged("a block of %d octets", length)
	}
	return int(length - overhead), nil
}

// section reads a section header, which begins a capture.
func (r *Reader) section() error {
	_, rest, err := r.blockHeader()
	if err != nil {
		return cut(err)
	}
	return r.beginSection(rest)
}

func (r *Reader) beginSection(rest int) error {
	fixed, _, err := r.body(12, rest)
	if err != nil {
		return err
	}
	if major := u16(fixed, r.big); major != 1 {
		return damaged("pcapng of version %d is not known", major)
	}
	r.interfaces = r.interfaces[:0]
	return nil
}

// body reads a block's fixed part and its options, as far as they fit into the
// buffer, and the length at its end, which is not looked at.
func (r *Reader) body(fixed, rest int) (head, options []byte, err error) {
	if rest < fixed {
		return nil, nil, damaged("a block lacks %d octets", fixed-rest)
	}
	if rest+4 <= bufferSize {
		b, err := r.within(rest + 4)
		if err != nil {
			return nil, nil, err
		}
		return b[:fixed], b[fixed:rest], nil
	}
	b, err := r.within(fixed)
	if err != nil {
		return nil, nil, err
	}
	head = append(head, b...)
	return head, nil, r.skip(rest + 4 - fixed)
}

// nextBlock reads blocks up to the next packet.
func (r *Reader) nextBlock(p *Packet) error {
	for {
		kind, rest, err := r.blockHeader()
		if err != nil {
			return err
		}
		switch kind {
		case blockEnhanced, blockOld:
			return r.packet(p, kind, rest)
		case blockSimple:
			return r.simplePacket(p, rest)
		case blockSection:
			err = r.beginSection(rest)
		case blockInterface:
			err = r.describe(rest)
		case blockJournal, blockCustom, blockCustom2:
			r.frames++ // Wireshark counts them among the packets
			err = r.skip(rest + 4)
		default:
			err = r.skip(rest + 4)
		}
		if err != nil {
			return err
		}
	}
}

func (r *Reader) describe(rest int) error {
	fixed, options, err := r.body(8, rest)
	if err != nil {
		return err
	}
	if len(r.interfaces) == maxInterfaces {
		return damaged("more than %d interfaces", maxInterfaces)
	}
	d := described{
		Interface: Interface{LinkType: u16(fixed, r.big)},
		snapLen:   u32(fixed[4:], r.big),
		second:    1e6,
	}
	resolution := byte(6)
	eachOption(options, r.big, func(code uint16, value []byte) {
		switch {
		case code == optName:
			d.Name = string(value)
		case code == optTimeResolution && len(value) == 1:
			resolution = value[0]
		case code == optTimeOffset && len(value) == 8:
			high, low := u32(value, r.big), u32(value[4:], r.big)
			if !r.big {
				high, low = low, high
			}
			d.offset = int64(uint64(high)<<32 | uint64(low))
		}
	})
	switch exponent := uint(resolution &^ 0x80); {
	case resolution >= 0x80 && exponent < 64:
		d.second, d.binary = 0, exponent
	case exponent > 19:
		return damaged("an interface whose clock has a resolution of %#x", resolution)
	default:
		d.second = 1
		for range exponent {
			d.second *= 10
		}
	}
	r.interfaces = append(r.interfaces, d)
	return nil
}

// packet reads an enhanced packet block or the packet block that went before it,
// which differ in the size of the interface's number.
func (r *Reader) packet(p *Packet, kind uint32, rest int) error {
	if rest < 20 {
		return damaged("a packet's block lacks %d octets", 20-rest)
	}
	b, err := r.within(20)
	if err != nil {
		return err
	}
	n := u32(b, r.big)
	if kind == blockOld {
		n = uint32(u16(b, r.big))
	}
	if n >= uint32(len(r.interfaces)) {
		return damaged("a packet of interface %d, and there are %d", n, len(r.interfaces))
	}
	d := &r.interfaces[n]
	p.Time = d.time(uint64(u32(b[4:], r.big))<<32 | uint64(u32(b[8:], r.big)))
	p.Interface = d.Interface
	p.Length = int(u32(b[16:], r.big))
	return r.data(p, u32(b[12:], r.big), rest-20)
}

// simplePacket reads a packet that has neither a time nor an interface but the
// first.
func (r *Reader) simplePacket(p *Packet, rest int) error {
	if rest < 4 || len(r.interfaces) == 0 {
		return damaged("a simple packet without a length or an interface")
	}
	b, err := r.within(4)
	if err != nil {
		return err
	}
	d := &r.interfaces[0]
	p.Time, p.Interface = time.Unix(0, 0), d.Interface
	length := u32(b, r.big)
	p.Length = int(length)
	if d.snapLen != 0 {
		length = min(length, d.snapLen)
	}
	return r.data(p, min(length, uint32(rest-4)), rest-4)
}

// data reads a packet's octets and options, and what is left of its block.
func (r *Reader) data(p *Packet, captured uint32, rest int) error {
	if captured > maxPacket || int(captured) > rest {
		return damaged("a packet of %d octets in a block with %d", captured, rest)
	}
	n := int(captured)
	p.Dir, p.options = Unknown, nil
	whole := min(rest+4, bufferSize) // with the length at the end, as a rule
	b, err := r.within(whole)
	if err != nil {
		return err
	}
	p.Data = b[:n]
	if whole < rest+4 {
		// The rest is not kept, and skipping it would overwrite the packet.
		p.Data = append([]byte(nil), p.Data...)
		return r.skip(rest + 4 - whole)
	}
	if options := (n + 3) &^ 3; options < rest {
		p.options = b[options:rest]
		eachOption(p.options, r.big, func(code uint16, value []byte) {
			if code == optFlags && len(value) == 4 {
				p.Dir = Direction(u32(value, r.big) & 3)
			}
		})
	}
	return nil
}

// eachOption calls f for each option in b, as far as they make sense.
func eachOption(b []byte, big bool, f func(code uint16, value []byte)) {
	for len(b) >= 4 {
		code, n := u16(b, big), int(u16(b[2:], big))
		if code == optEnd || 4+n > len(b) {
			return
		}
		f(code, b[4:4+n])
		b = b[min((4+n+3)&^3, len(b)):]
	}
}

// time converts a time in the interface's units.
func (d *described) time(t uint64) time.Time {
	var sec, ns uint64
	switch {
	case d.second == 0:
		sec = t >> d.binary
		high, low := bits.Mul64(t&(1<<d.binary-1), 1e9)
		ns = high<<(64-d.binary) | low>>d.binary
	case d.second <= 1e9:
		sec, ns = t/d.second, t%d.second*(1e9/d.second)
	default:
		sec, ns = t/d.second, t%d.second/(d.second/1e9)
	}
	return time.Unix(int64(sec)+d.offset, int64(ns))
}
