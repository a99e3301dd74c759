package stack

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// ISN computes an initial sequence number as RFC 6528, section 3, says: a
// clock that ticks every 4 microseconds plus a keyed hash of the connection's
// addresses, so that nobody who lacks the secret can guess it, and a new
// connection between the same ports starts behind the old one.
func ISN(secret [32]byte, local, remote netip.AddrPort, now time.Time) Seq {
	return Seq(now.UnixMicro()/4) + Seq(pairHash(secret, "isn", local, remote))
}

// TimestampOffset computes the offset of a connection's timestamp clock (RFC
// 7323, section 7.1).
func TimestampOffset(secret [32]byte, local, remote netip.AddrPort) uint32 {
	return pairHash(secret, "timestamp", local, remote)
}

// pairHash is SHA-256 over the secret and what it is for, cut so short that nobody
// can go on from it.
func pairHash(secret [32]byte, use string, local, remote netip.AddrPort) uint32 {
	b := append(make([]byte, 0, 128), secret[:]...)
	for _, a := range [2]netip.AddrPort{local, remote} {
		ip := a.Addr().As16()
		b = binary.BigEndian.AppendUint16(append(b, ip[:]...), a.Port())
	}
	sum := sha256.Sum256(append(b, use...))
	return binary.BigEndian.Uint32(sum[:])
}
