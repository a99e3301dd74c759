package rawtcp

import (
	"encoding/binary"
	"unsafe"

	"golang.org/x/sys/unix"
)

// frames are the arrays to send through a packet socket with sendmmsg(2).
type frames struct {
	hdr   [writeBatch]unix.Mmsghdr
	iov   [writeBatch][3]unix.Iovec
	front [writeBatch][vnetLen + ethernetLen]byte
	name  unix.RawSockaddrLinklayer
}

const (
	vnetLen     = 10 // struct virtio_net_hdr of linux/virtio_net.h
	ethernetLen = 14
)

// send sends as many of pkts as one call can, all the same way, and returns how
// many. The error concerns the first only.
func (f *frames) send(fd int, way *way, pkts []Outgoing) (int, error) {
	pkts = pkts[:min(len(pkts), writeBatch)]
	protocol := uint16(unix.ETH_P_IP)
	if pkts[0].Dst.Is6() {
		protocol = unix.ETH_P_IPV6
	}
	f.name = unix.RawSockaddrLinklayer{Family: unix.AF_PACKET, Protocol: bigEndian(protocol), Ifindex: int32(way.index)}
	for i, p := range pkts {
		front := f.front[i][:]
		putVnet(front, &p)
		ethernet := front[vnetLen:]
		copy(ethernet, way.neighbour)
		copy(ethernet[6:], way.own)
		binary.BigEndian.PutUint16(ethernet[12:], protocol)
		for k, part := range [3][]byte{front, p.Header, p.Payload} {
			f.iov[i][k].Base = unsafe.SliceData(part)
			f.iov[i][k].SetLen(len(part))
		}
		hdr := &f.hdr[i].Hdr
		hdr.Name, hdr.Namelen = (*byte)(unsafe.Pointer(&f.name)), unix.SizeofSockaddrLinklayer
		hdr.Iov = &f.iov[i][0]
		hdr.SetIovlen(3)
	}
	defer clear(f.iov[:len(pkts)])
	return mmsg(unix.SYS_SENDMMSG, fd, f.hdr[:len(pkts)])
}

// putVnet writes what the device is to do for a packet.
func putVnet(b []byte, p *Outgoing) {
	const (
		needsChecksum = 1
		tcp4, tcp6    = 1, 4
		checksumAt    = 16 // in the TCP header
	)
	clear(b[:vnetLen])
	if p.GSOSize == 0 {
		return
	}
	ip, gso := ipv6HeaderLen, byte(tcp6)
	if p.Header[0]>>4 == 4 {
		ip, gso = 20, tcp4
	}
	b[0] = needsChecksum
	binary.NativeEndian.PutUint16(b[6:], uint16(ethernetLen+ip))
	binary.NativeEndian.PutUint16(b[8:], checksumAt)
	if len(p.Payload) > p.GSOSize {
		b[1] = gso
		binary.NativeEndian.PutUint16(b[2:], uint16(ethernetLen+len(p.Header)))
		binary.NativeEndian.PutUint16(b[4:], uint16(p.GSOSize))
	}
}

// bigEndian is v as it must stand in memory.
func bigEndian(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}
