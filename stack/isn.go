package stack

import (
	"crypto/hmac"
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

func pairHash(secret [32]byte, use string, local, remote netip.AddrPort) uint32 {
	h := hmac.New(sha256.New, secret[:])
	h.Write([]byte(use))
	for _, a := range []netip.AddrPort{local, remote} {
		ip := a.Addr().As16()
		h.Write(ip[:])
		h.Write(binary.BigEndian.AppendUint16(nil, a.Port()))
	}
	return binary.BigEndian.Uint32(h.Sum(nil))
}
