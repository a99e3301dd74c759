//go:build linux

package labtest

import (
	"testing"

	"golang.org/x/sys/unix"

	"rawnc/rawtcp/lab"
)

// A Forger sends packets in anybody's name.
type Forger struct {
	t      testing.TB
	v4, v6 int // raw sockets
}

// NewForger opens a forger at a host until the test ends.
func NewForger(t testing.TB, at *lab.Host) *Forger {
	t.Helper()
	f := &Forger{t: t}
	err := at.Do(func() (err error) {
		// With this protocol the IP header is the sender's own.
		if f.v4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		f.v6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(f.v4)
		unix.Close(f.v6)
	})
	return f
}

// Send sends an IP packet, header and all.
func (f *Forger) Send(packet []byte) {
	f.t.Helper()
	var err error
	if packet[0]>>4 == 4 {
		err = unix.Sendto(f.v4, packet, 0, &unix.SockaddrInet4{Addr: [4]byte(packet[16:20])})
	} else {
		err = unix.Sendto(f.v6, packet, 0, &unix.SockaddrInet6{Addr: [16]byte(packet[24:40])})
	}
	if err != nil && err != unix.ENOBUFS { // a full queue loses packets, as any
		f.t.Fatalf("send a forged packet: %v", err)
	}
}
