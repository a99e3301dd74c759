//go:build linux

package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"rawnc/rawtcp/lab/labtest"
)

// What --fault hits is told, in the log, in the capture and at the end.
func TestFaultsAreTold(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "tshark")
	file := filepath.Join(t.TempDir(), "x.pcapng")
	rawnc, peer, _ := connectTo(t, "--pcap", file, "--fault", "drop out data 1", "--fault", "duplicate out data 3",
		"--fault", "drop in data 1", "--fault", "duplicate in data 3")
	rawnc.types("hello\n")
	reads(t, peer, "hello\n")
	rawnc.says(`"hello\n"  (✗ lost on the way)`)
	rawnc.types("world\n")
	reads(t, peer, "world\n")
	rawnc.says(`arrives twice`)
	io.WriteString(peer, "welcome\n")
	rawnc.prints("welcome\n")
	rawnc.says(`"welcome\n"  (✗ lost on the way)`)
	io.WriteString(peer, "again\n")
	rawnc.prints("again\n")
	rawnc.says(`copy made by the network`)
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(0)
	for _, who := range []string{"client", "server"} {
		rawnc.says("lost on the way: 1 of the segments that the " + who + " sent")
		rawnc.says("copied on the way: 1 of the segments that the " + who + " sent")
	}
	comments := strings.Join(tshark(t, file, "frame.comment"), "\n")
	for _, want := range []string{"does not reach the server", "does not reach the client", "it arrives twice", "it was sent once"} {
		if strings.Count(comments, want) != 1 {
			t.Errorf("%q is not said once in the capture:\n%s", want, comments)
		}
	}
}
