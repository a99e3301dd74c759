package pcapout

// appendFileHeader writes the header of a classic pcap file whose times have
// nanoseconds (draft-ietf-opsawg-pcap, section 4).
func appendFileHeader(b []byte, linkType uint16) []byte {
	b = le.AppendUint32(b, 0xa1b23c4d)
	b = le.AppendUint16(b, 2) // version 2.4
	b = le.AppendUint16(b, 4)
	b = le.AppendUint64(b, 0) // reserved
	b = le.AppendUint32(b, maxPacket)
	return le.AppendUint32(b, uint32(linkType))
}

func appendRecord(b []byte, p *Packet) []byte {
	b = le.AppendUint32(b, uint32(p.Time.Unix()))
	b = le.AppendUint32(b, uint32(p.Time.Nanosecond()))
	b = appendLengths(b, p)
	return append(b, p.Data...)
}
