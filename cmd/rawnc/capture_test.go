//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// What the flags say is what crosses the wire.
func TestKnobs(t *testing.T) {
	for flags, want := range map[string]struct{ fields, values string }{
		"--isn 0xfb4c3502":   {"tcp.seq_raw", "4216075522"},
		"--isn 4294967295":   {"tcp.seq_raw", "4294967295"},
		"--mss 512":          {"tcp.options.mss_val", "512"},
		"--window 4096":      {"tcp.window_size_value,tcp.options.wscale.shift", "4096\t0"},
		"--window 1000000":   {"tcp.window_size_value,tcp.options.wscale.shift", "65535\t4"},
		"--ttl 3":            {"ip.ttl", "3"},
		"--no-timestamps":    {"tcp.options.timestamp.tsval", ""},
		"--no-sack":          {"tcp.options.sack_perm", ""},
		"--no-window-scale":  {"tcp.options.wscale.shift", ""},
		"":                   {"ip.ttl,tcp.options.mss_val,tcp.options.sack_perm,tcp.options.wscale.shift", "64\t1460\t0402\t5"},
		"--ecn":              {"tcp.flags.ece,tcp.flags.cwr", "1\t1"},
		"-p 4321 --no-delay": {"tcp.srcport", "4321"},
	} {
		t.Run(flags, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "x.pcapng")
			rawnc, peer, _ := connectTo(t, append(strings.Fields(flags), "--pcap", file, "--send", "hello", "--quiet")...)
			reads(t, peer, "hello")
			peer.Close()
			rawnc.ends(0)
			if got := tshark(t, file, strings.Split(want.fields, ",")...)[0]; got != want.values {
				t.Errorf("%s of the SYN: got %q, want %q", want.fields, got, want.values)
			}
		})
	}
}

// Segments keep to --mss and to --window, both ways.
func TestSizes(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "x.pcap") // classic
	rawnc, peer, pair := connectTo(t, "--mss", "500", "--window", "2000", "--pcap", file, "--quiet")
	for _, host := range []*lab.Host{pair.A, pair.B} {
		if err := host.Offloads(false); err != nil {
			t.Fatal(err)
		}
	}
	text := strings.Repeat("0123456789", 1000)
	rawnc.types(text)
	reads(t, peer, text)
	io.WriteString(peer, text)
	rawnc.prints(text)
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(0)
	for _, line := range tshark(t, file, "ip.src", "tcp.len", "tcp.window_size") {
		var src string
		var length, window int
		fmt.Sscan(line, &src, &length, &window)
		if length > 500 || src == "192.0.2.1" && window > 2000 {
			t.Errorf("%s", line)
		}
	}
}

// With --format json stderr has one object a line, and nothing else.
func TestJSON(t *testing.T) {
	t.Parallel()
	rawnc, peer, _ := connectTo(t, "--format", "json")
	rawnc.types("hello\n")
	reads(t, peer, "hello\n")
	peer.CloseWrite()
	rawnc.stdin.Close()
	rawnc.ends(0)
	lines := strings.Split(strings.TrimSuffix(rawnc.stderr.text(), "\n"), "\n")
	for i, line := range lines {
		var object struct {
			Frame int
			Flags []string
			Seq   *uint32
			Why   []string
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil || object.Frame != i+1 || object.Flags == nil || object.Why == nil {
			t.Errorf("%v: %s", err, line)
		}
	}
	if len(lines) < 7 {
		t.Errorf("%d lines", len(lines))
	}
}

// An ICMP error has its own object.
func TestJSONOfICMP(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "nft")
	pair := labtest.NewPair(t)
	if err := pair.B.Nft("table inet f { chain in { type filter hook input priority 0; tcp dport 8113 reject with icmpx host-unreachable; }; }"); err != nil {
		t.Fatal(err)
	}
	rawnc := start(t, pair.A.Command("rawnc", "connect", "-w1", "192.0.2.2", "8113", "--isn", "7", "--format", "json"))
	rawnc.ends(1)
	lines := strings.Split(rawnc.stderr.text(), "\n")
	var object struct {
		Frame, Seq_raw int
		Time           *float64
		ICMP, From     string
		Why            []string
	}
	if err := json.Unmarshal([]byte(lines[1]), &object); err != nil {
		t.Fatalf("%v: %s", err, lines[1])
	}
	if object.Frame != 2 || object.Seq_raw != 7 || object.Time == nil || object.ICMP != "host unreachable" || object.From != "192.0.2.2" || len(object.Why) == 0 {
		t.Errorf("got %s", lines[1])
	}
}

// A capture on standard output is read as it comes.
func TestCaptureToPipe(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "tshark", "bash")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	output := filepath.Join(t.TempDir(), "out")
	p := start(t, pair.A.Command("bash", "-c", "set -o pipefail; rawnc connect 192.0.2.2 8113 --pcap - --output "+output+" --quiet | tshark -l -r - -T fields -e tcp.flags.str -e frame.comment"))
	peer := accept()
	io.WriteString(peer, "payload\n")
	p.types("x\n")
	reads(t, peer, "x\n")
	peer.Close()
	p.stdin.Close()
	p.ends(0)
	p.prints("S·\tSeq 0 stands for")
	p.prints("F\t")
	if got, err := os.ReadFile(output); err != nil || string(got) != "payload\n" {
		t.Errorf("--output has %q, %v", got, err)
	}
}

// A disk that fills up ends the capture, and is said, but not the connection.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "unshare", "mount")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("unshare", "--mount", "sh", "-c",
		"mount -t tmpfs -o size=8k tmpfs /mnt && exec rawnc connect --quiet --pcap /mnt/full.pcapng 192.0.2.2 8113"))
	peer := accept()
	long := strings.Repeat("x", 1000) + "\n"
	for range 20 {
		rawnc.types(long)
		reads(t, peer, long)
	}
	rawnc.says("rawnc: the capture /mnt/full.pcapng ends here: write /mnt/full.pcapng: no space left on device; the connection goes on without it")
	rawnc.types("still here\n")
	reads(t, peer, "still here\n")
	rawnc.stdin.Close()
	peer.Close()
	rawnc.ends(1)
}

// SIGKILL in the middle of a transfer leaves a capture that can be read, and
// nothing else: no firewall rule, no namespace, no socket.
func TestKill(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "tshark", "ss", "nft")
	file := filepath.Join(t.TempDir(), "killed.pcapng")
	pair := labtest.NewPair(t)
	look := func() string {
		out, err := pair.A.Run("sh", "-c", "nft list ruleset; ip rule; ip route; ip address; ss -Htanp; ss -Hwanp")
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := look()
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("sh", "-c", "exec rawnc connect --quiet --pcap "+file+" 192.0.2.2 8113 </dev/zero"))
	peer := accept()
	go io.Copy(io.Discard, peer)
	eventually(t, "nothing is captured", func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 1<<20
	})
	if during := look(); !strings.Contains(during, "LISTEN") { // the guard
		t.Errorf("no guard: %s", during)
	}
	rawnc.cmd.Process.Kill()
	<-rawnc.ended
	if after := look(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
	// The kernel may stop in the middle of a write, and so of a record. What stands
	// before it is read all the same.
	frames, err := exec.Command("tshark", "-r", file, "-T", "fields", "-e", "frame.number").Output()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && bytes.Contains(exit.Stderr, []byte("cut short in the middle of a packet"))) {
		t.Fatal(err)
	}
	if n := bytes.Count(frames, []byte("\n")); n < 100 {
		t.Errorf("%d packets in the capture", n)
	}
	// The kernel knows nothing of the connection, and tells the peer.
	eventually(t, "the peer learns nothing", func() bool {
		_, err := peer.Write([]byte("x"))
		return err != nil
	})
}

// Ctrl+C again and again ends the program at once, in the middle of a transfer,
// and leaves a capture that is whole.
func TestInterruptedCapture(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "capinfos")
	file := filepath.Join(t.TempDir(), "interrupted.pcapng")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("sh", "-c", "exec rawnc connect --quiet --pcap "+file+" 192.0.2.2 8113 </dev/zero"))
	go io.Copy(io.Discard, accept())
	eventually(t, "nothing is captured", func() bool {
		info, err := os.Stat(file)
		return err == nil && info.Size() > 1<<20
	})
	for ended := false; !ended; {
		rawnc.cmd.Process.Signal(os.Interrupt)
		select {
		case <-rawnc.ended:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	rawnc.ends(130)
	if out, err := exec.Command("capinfos", "-c", file).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The section comment has the command as a shell takes it.
func TestSectionComment(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "capinfos")
	file := filepath.Join(t.TempDir(), "x.pcapng")
	rawnc, peer, _ := connectTo(t, "--pcap", file, "--send", `it's\n`)
	reads(t, peer, "it's\n")
	peer.Close()
	rawnc.ends(0)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := `--send 'it'\''s\n'`; !bytes.Contains(b[:1000], []byte(want)) {
		t.Errorf("%q lacks %q", b[:200], want)
	}
	out, err := exec.Command("capinfos", file).CombinedOutput()
	if err != nil {
		t.Errorf("capinfos: %v: %s", err, out)
	}
}
