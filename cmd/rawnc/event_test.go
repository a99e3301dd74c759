package main

import (
	"bytes"
	"io"
	"net/netip"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"rawnc/rawtcp"
	"rawnc/stack"
)

// An event that has waited as octets is the one that was put in.
func TestEventsAsOctets(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		us, them := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		if v6 {
			us, them = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
		}
		var mu sync.Mutex // there are two hosts
		all, octets := 0, 0
		tap := func(told *rawtcp.Event) {
			mu.Lock()
			defer mu.Unlock()
			e := new(*told)
			if all++; v6 {
				e.Local = netip.AddrPortFrom(e.Local.Addr().WithZone("eth0"), e.Local.Port())
			}
			if !plain(e) {
				return
			}
			octets++
			b := appendEvent(nil, e)
			if n := len(b) - len(e.Packet); n > eventOctets {
				t.Errorf("%d octets", n)
			}
			var got rawtcp.Event
			var j stack.Judgment
			parseEvent(b, &got, &j)
			want := *e
			want.Time = want.Time.Round(0)
			if d := cmp.Diff(want, got, cmpopts.EquateComparable(netip.AddrPort{}), cmp.Comparer(bytes.Equal),
				cmpopts.IgnoreFields(stack.Options{}, "Order")); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		}
		linkA, linkB := rawtcp.MemoryPair(us, them, 1500)
		faults := rawtcp.Faults{Duplicate: 0.02, Reorder: 0.05}
		client, server := rawtcp.NewHost(rawtcp.WithFaults(linkA, faults, faults)), rawtcp.NewHost(linkB)
		defer client.Close()
		defer server.Close()
		l, err := (&rawtcp.ListenConfig{Host: server, Tap: tap}).Listen(t.Context(), "tcp", netip.AddrPortFrom(them, 7).String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			c, err := l.Accept()
			if err == nil {
				io.Copy(c, c)
				c.Close()
			}
		}()
		c, err := (&rawtcp.Dialer{Host: client, Tap: tap}).Dial("tcp", netip.AddrPortFrom(them, 7).String())
		if err != nil {
			t.Fatal(err)
		}
		text := bytes.Repeat([]byte("0123456789"), 20000)
		go func() {
			c.Write(text)
			c.(*rawtcp.Conn).CloseWrite()
		}()
		if got, err := io.ReadAll(c); !bytes.Equal(got, text) {
			t.Errorf("%d octets came back, %v", len(got), err)
		}
		c.Close()
		mu.Lock()
		if octets < all*3/4 || all < 100 {
			t.Errorf("of %d events %d are octets", all, octets)
		}
		mu.Unlock()
	}
}
