package rawtcp

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// Looking is worth it where answers come soon, one by one, and not where it was in
// vain.
func TestSpin(t *testing.T) {
	var s spin
	wait := func(times int, d time.Duration, packets int) {
		for range times {
			s.waited(d, packets)
		}
	}
	wait(leastSoon-1, 0, 1)
	if s.worth() {
		t.Error("worth it after too few short waits")
	}
	wait(1, 0, 1)
	if !s.worth() {
		t.Error("not worth it after short waits")
	}
	s.spun(1)
	if !s.worth() {
		t.Error("not worth it after it was")
	}
	for _, spoil := range []func(){func() { wait(1, soon, 1) }, func() { wait(1, 0, 2) }, func() { s.spun(2) }, func() { s.spun(0) }} {
		wait(mostSoon, 0, 1)
		spoil()
		if s.worth() {
			t.Error("worth it after a long wait, or several packets, or in vain")
		}
	}
	// In vain again and again: tried the more seldom, but tried.
	tries := 0
	for range 10 * mostSoon {
		if wait(1, 0, 1); s.worth() {
			tries++
			s.spun(0)
		}
	}
	if tries < 10 || tries > 10+20 {
		t.Errorf("tried %d times, want about once in %d waits", tries, mostSoon)
	}
}

// A link that is closed has no sockets any more, even where a packet came last.
func TestNoLookAfterClose(t *testing.T) {
	needRoot(t)
	link, err := newRawLink()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := link.Route(netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Fatal(err)
	}
	l := link.(*rawLink)
	l.last = &l.families[0].Load().tcp
	l.Close()
	if _, err := l.ReadBatch(newBuffers()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ReadBatch after Close: %v, want %v", err, net.ErrClosed)
	}
}
