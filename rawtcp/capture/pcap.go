package capture

import (
	"encoding/binary"
	"time"
)

// fileHeader reads the head of a classic pcap (draft-ietf-opsawg-pcap, section 4).
func (r *Reader) fileHeader() error {
	magic, err := r.in.Peek(4)
	if err != nil {
		return cut(err)
	}
	big, little := binary.BigEndian.Uint32(magic), binary.LittleEndian.Uint32(magic)
	switch {
	case big == 0xa1b2c3d4 || little == 0xa1b2c3d4:
		r.fraction = 1000
	case big == 0xa1b23c4d || little == 0xa1b23c4d:
		r.fraction = 1
	default:
		return ErrFormat
	}
	r.big = big>>24 == 0xa1
	b, err := r.within(24)
	if err != nil {
		return err
	}
	if major := u16(b[4:], r.big); major != 2 {
		return damaged("pcap of version %d is not known", major)
	}
	r.interfaces = []described{{Interface: Interface{LinkType: uint16(u32(b[20:], r.big))}}} // above: the FCS
	return nil
}

// nextRecord reads a record of a classic pcap (section 5).
func (r *Reader) nextRecord(p *Packet) error {
	b, err := r.take(16)
	if err != nil {
		return err
	}
	p.Time = time.Unix(int64(u32(b, r.big)), int64(u32(b[4:], r.big))*int64(r.fraction))
	captured := u32(b[8:], r.big)
	p.Length = int(u32(b[12:], r.big))
	p.Interface = r.interfaces[0].Interface
	if captured > maxPacket {
		return damaged("a packet of %d octets", captured)
	}
	p.Data, err = r.within(int(captured))
	return err
}
