//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// flood sends SYNs to port 8113 of a host, from anywhere in 10.0.0.0/8. What is
// sent back there goes to the sender, who throws it away.
func flood(t *testing.T, from, to *lab.Host, count int) {
	t.Helper()
	f := labtest.NewForger(t, from)
	for range count {
		r := rand.Uint64()
		src := [4]byte{10}
		src[1], src[2], src[3] = byte(r), byte(r>>8), byte(r>>16)
		p := wire.Packet{
			Src: netip.AddrFrom4(src), Dst: to.IPv4, TTL: 64, ID: 1,
			Segment: stack.Segment{
				SrcPort: uint16(r>>24) | 1, DstPort: 8113, Seq: stack.Seq(r >> 32), Flags: stack.SYN, Window: 65535,
				Options: stack.Options{MSS: 1460, SACKPermitted: true, HasTimestamps: true, TSVal: 1, HasWindowScale: true, WindowScale: 7},
			},
		}
		packet, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		f.Send(packet)
	}
}

// newFlooded is a host under attack, a client and an attacker.
func newFlooded(t *testing.T) (host, client, attacker *lab.Host) {
	t.Helper()
	hosts := labtest.NewSwitch(t, 3).Hosts
	if _, err := hosts[0].Run("ip", "route", "add", "10.0.0.0/8", "via", hosts[2].IPv4.String()); err != nil {
		t.Fatal(err)
	}
	return hosts[0], hosts[1], hosts[2]
}

// A flood of SYNs comes to rawnc listen. A client gets in all the same, and is told
// apart by a cookie; the log and the capture say so.
func TestListenUnderAFloodOfSYNs(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "nc.openbsd", "ip", "tshark")
	host, client, attacker := newFlooded(t)
	file := filepath.Join(t.TempDir(), "flood.pcapng")
	rawnc := start(t, host.Command("rawnc", "listen", "-nv", "8113", "--pcap", file))
	rawnc.says("rawnc listens on port 8113")
	flood(t, attacker, host, 1000)
	rawnc.says("sent to answer the SYN with a cookie")
	peer := start(t, client.Command("nc.openbsd", "-N", "192.0.2.1", "8113"))
	peer.types("hello\n")
	rawnc.prints("hello\n")
	rawnc.types("welcome\n")
	peer.prints("welcome\n")
	peer.stdin.Close()
	rawnc.stdin.Close()
	peer.ends(0)
	rawnc.ends(0)
	rawnc.says("server LISTEN → SYN-RECEIVED: the Ack gives back the cookie, which tells of its SYN (RFC 4987)")
	comments := strings.Join(tshark(t, file, "frame.comment"), "\n")
	for _, want := range []string{"sent to answer the SYN with a cookie", "the Ack gives back the cookie"} {
		if !strings.Contains(comments, want) {
			t.Errorf("no comment in the capture says %q", want)
		}
	}
}

// A flood takes next to no memory: not half as much as the least that could be
// kept of each SYN.
func TestListenFloodTakesNoMemory(t *testing.T) {
	labtest.NeedPrograms(t, "ip", "nc.openbsd")
	host, client, attacker := newFlooded(t)
	rawnc := start(t, host.Command("rawnc", "listen", "--quiet", "8113"))
	listening(t, host, "8113")
	before := peakMemory(t, rawnc)
	const syns = 200_000
	flood(t, attacker, host, syns)
	peer := start(t, client.Command("nc.openbsd", "-N", "192.0.2.1", "8113"))
	peer.types("hello\n")
	rawnc.prints("hello\n")
	grown := peakMemory(t, rawnc) - before
	t.Logf("%d SYNs: from %d KiB by %d KiB more", syns, before, grown)
	if most := 48 << 10; grown > most {
		t.Errorf("%d KiB more, want at most %d", grown, most)
	}
}

// peakMemory is the most that a program has had in memory so far, in KiB.
func peakMemory(t *testing.T, p *program) (kib int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(peak, &kib); err != nil {
		t.Fatal(err)
	}
	return kib
}
