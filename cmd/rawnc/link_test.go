//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rawnc/rawtcp/lab/labtest"
)

// What the packet link leaves to the network card to cut stands in the capture
// as the wire sees it.
func TestCaptureOfThePacketLink(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "tshark")
	file := filepath.Join(t.TempDir(), "x.pcapng")
	rawnc, peer, _ := connectTo(t, "--link", "packet", "--pcap", file, "--quiet")
	text := strings.Repeat("0123456789", 100000)
	rawnc.types(text)
	reads(t, peer, text)
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(0)
	out, err := exec.Command("tshark", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE",
		"-Y", "_ws.malformed || ip.src == 192.0.2.1 && (tcp.checksum.status != 1 || ip.checksum.status != 1 || tcp.len > 1448)").Output()
	if err != nil || len(out) > 0 {
		t.Errorf("%v: %s", err, out[:min(len(out), 1000)])
	}
	if n := len(tshark(t, file, "frame.number")); n < len(text)/1448 {
		t.Errorf("%d packets carry %d octets", n, len(text))
	}
}
