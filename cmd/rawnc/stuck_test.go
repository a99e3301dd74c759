//go:build linux

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rawnc/rawtcp/lab/labtest"
)

// fifo makes a pipe with a name, and holds it open without reading it.
func fifo(t *testing.T) (name string, f *os.File) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return name, f
}

// fill fills a pipe.
func fill(t *testing.T, f *os.File) {
	t.Helper()
	f.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
	if _, err := f.Write(make([]byte, 2<<20)); !os.IsTimeout(err) {
		t.Fatalf("the pipe is not full: %v", err)
	}
}

// Where nobody reads what rawnc writes, signals end it all the same: one more
// than those that end the connection.
func TestSignalsWhereNobodyReads(t *testing.T) {
	logs := func(t *testing.T) string {
		name, f := fifo(t)
		fill(t, f)
		return "2>" + name
	}
	for name, test := range map[string]struct {
		flags func(*testing.T) string
		sig   syscall.Signal
		code  int
	}{
		"the log, interrupted":   {logs, syscall.SIGINT, 130},
		"the log, terminated":    {logs, syscall.SIGTERM, 143},
		"questions, interrupted": {func(t *testing.T) string { return "--step --send x " + logs(t) }, syscall.SIGINT, 130},
		"the capture, terminated": {func(t *testing.T) string {
			name, _ := fifo(t)
			return "--quiet --pcap " + name
		}, syscall.SIGTERM, 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := labtest.NewPair(t)
			l := listenKernel(t, pair.B, ":8113")
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go io.Copy(io.Discard, c)
				}
			}()
			flags := test.flags(t)
			rawnc := start(t, pair.A.Command("sh", "-c", "exec rawnc connect -p 4321 192.0.2.2 8113 "+flags))
			listening(t, pair.A, "4321") // the guard is there, and so are those who catch the signals
			if strings.Contains(flags, "--pcap") {
				rawnc.types(string(make([]byte, 1<<20))) // more than a pipe holds
			}
			sent := 0
			for ended := false; !ended && sent < 10; sent++ {
				rawnc.cmd.Process.Signal(test.sig)
				select {
				case <-rawnc.ended:
					ended = true
				case <-time.After(2 * patience):
				}
			}
			rawnc.ends(test.code)
			if sent > 3 {
				t.Errorf("it took %d signals", sent)
			}
		})
	}
}

// Who reads the capture from a pipe with a name goes: that ends the capture, and
// is said, but not the connection.
func TestCaptureReaderGoes(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	reader := start(t, labtest.NewPair(t).A.Command("head", "-c100", name))
	rawnc, peer, _ := connectTo(t, "--quiet", "--pcap", name)
	reader.ends(0)
	for range 10 {
		rawnc.types("line\n")
		reads(t, peer, "line\n")
	}
	rawnc.says("rawnc: the capture " + name + " ends here: write " + name + ": broken pipe; the connection goes on without it")
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(1)
}
