//go:build linux

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"rawnc/pcapout"
	pcapin "rawnc/rawtcp/capture"
	"rawnc/rawtcp/wire"
	"rawnc/stack"
)

// writeCapture writes a capture of two short conversations, one of IPv4 and one
// of IPv6, and of things that are no TCP segments.
func writeCapture(t *testing.T) (name string) {
	t.Helper()
	var file bytes.Buffer
	w, err := pcapout.NewWriter(&file, pcapout.PCAPNG, pcapout.Meta{NoInterface: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, linkType := range []uint16{pcapout.LinkTypeRaw, 0, 189} {
		if n, err := w.AddInterface([]string{"tun0", "lo", ""}[i], linkType); n != i || err != nil {
			t.Fatal(n, err)
		}
	}
	at := time.Date(2020, 5, 1, 12, 0, 0, 1, time.UTC)
	add := func(iface int, data []byte, length int, comments ...string) {
		at = at.Add(time.Millisecond)
		if err := w.WritePacket(pcapout.Packet{Time: at, Interface: iface, Dir: pcapout.In, Data: data, Length: length, Comments: comments}); err != nil {
			t.Fatal(err)
		}
	}
	packet := func(src, dst string, srcPort, dstPort uint16, flags stack.Flags, seq, ack stack.Seq, payload string) []byte {
		p := wire.Packet{Src: netip.MustParseAddr(src), Dst: netip.MustParseAddr(dst), TTL: 64}
		p.Segment = stack.Segment{SrcPort: srcPort, DstPort: dstPort, Seq: seq, Ack: ack, Flags: flags, Window: 1000, Payload: []byte(payload)}
		b, err := wire.AppendHeaders(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		return append(b, payload...)
	}
	const us, peer = "192.0.2.1", "192.0.2.80"
	add(0, packet(us, peer, 5000, 80, stack.SYN, 100, 0, ""), 0, "a comment that was there")
	add(0, packet(peer, us, 80, 5000, stack.SYN|stack.ACK, 500, 101, ""), 0)
	add(0, packet(us, peer, 5000, 80, stack.ACK, 101, 501, ""), 0)
	add(1, append([]byte{30, 0, 0, 0}, packet("2001:db8::1", "2001:db8::2", 6000, 443, stack.SYN, 1, 0, "")...), 0)
	add(1, append([]byte{0, 0, 0, 30}, packet("2001:db8::2", "2001:db8::1", 443, 6000, stack.RST|stack.ACK, 0, 2, "")...), 0)
	add(0, packet(us, peer, 5000, 80, stack.PSH|stack.ACK, 101, 501, "hello")[:42], 45) // cut short
	fragment := packet(us, peer, 5000, 80, stack.ACK, 106, 501, "")
	fragment[6] |= 0x20
	add(0, fragment, 0)
	udp := packet(us, peer, 5000, 80, stack.ACK, 106, 501, "")
	udp[9] = 17
	add(0, udp, 0)
	add(0, udp[:10], 0)
	add(2, []byte("USB"), 0)
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	name = filepath.Join(t.TempDir(), "some.pcapng")
	if err := os.WriteFile(name, file.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// explained runs the command and returns what it writes and its exit code.
func explained(t *testing.T, stdin io.Reader, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.Command("rawnc", append([]string{"explain"}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "COLUMNS=")
	cmd.Stdin = stdin
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Run()
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

const passedOver = "rawnc: passed over 4 of 10 packets: 1 not TCP, 1 fragment, 1 cut short within its headers, 1 of an unknown link type (189)\n"

func TestExplainText(t *testing.T) {
	stdout, stderr, code := explained(t, nil, writeCapture(t))
	if code != 0 || stderr != passedOver {
		t.Errorf("exit code %d, stderr %q, want %q", code, stderr, passedOver)
	}
	for _, want := range []string{
		"SYN      Seq 0", // relative, where the SYN was seen
		"#5 [1] ",        // frame and stream
		"Len 5",          // the capture has but 2 octets of them
		"192.0.2.1:5000 → 192.0.2.80:80: 4 segments", // the verdicts
		"it was refused: a RST answered the SYN",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is missing in:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "Ack 101 = ") {
		t.Errorf("without -v there is no arithmetic:\n%s", stdout)
	}
	more, _, _ := explained(t, nil, "-v", writeCapture(t))
	all, _, _ := explained(t, nil, "-vv", writeCapture(t))
	if !strings.Contains(more, "Ack 1 = Seq 0 of #1 + 1 for the SYN") || strings.Contains(more, "never scaled") || !strings.Contains(all, "never scaled") {
		t.Errorf("-v:\n%s\n-vv:\n%s", more, all)
	}
}

func TestExplainLadder(t *testing.T) {
	stdout, _, code := explained(t, nil, "--format", "ladder", writeCapture(t))
	if code != 0 || !strings.Contains(stdout, "SYN-SENT     ├─ SYN Seq 0 (100) ──") {
		t.Errorf("exit code %d:\n%s", code, stdout)
	}
}

// lines are the objects of the JSON.
func lines(t *testing.T, stdout string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(stdout) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		all = append(all, o)
	}
	return all
}

func TestExplainFilters(t *testing.T) {
	name := writeCapture(t)
	for _, test := range []struct {
		args   []string
		frames []float64
	}{
		{nil, []float64{1, 2, 3, 4, 5, 6}},
		{[]string{"--stream", "1"}, []float64{4, 5}},
		{[]string{"--port", "80"}, []float64{1, 2, 3, 6}},
		{[]string{"--host", "2001:db8:0::2"}, []float64{4, 5}},
		{[]string{"--host", "192.0.2.80", "--stream", "0"}, []float64{1, 2, 3, 6}},
	} {
		stdout, stderr, code := explained(t, nil, append(test.args, "--format", "json", name)...)
		var frames []float64
		for _, o := range lines(t, stdout) {
			frames = append(frames, o["frame"].(float64))
		}
		if code != 0 || !slices.Equal(frames, test.frames) {
			t.Errorf("%q: exit code %d, frames %v, want %v\n%s", test.args, code, frames, test.frames, stderr)
		}
	}
}

// Everything that is wrong with the arguments or the file is said in a line.
func TestExplainFailures(t *testing.T) {
	name := writeCapture(t)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string, content []byte) string {
		name = filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(name, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 1, "explain takes one FILE"},
		{[]string{"a", "b"}, 1, "2 arguments were given"},
		{[]string{"/does/not/exist"}, 1, "no such file"},
		{[]string{t.TempDir()}, 1, "is a directory: give a capture file"},
		{[]string{"--format", "xml", name}, 1, "the formats are text, ladder and json"},
		{[]string{"--stream", "-1", name}, 1, "give a whole number"},
		{[]string{"--stream", "2", name}, 1, "has no stream 2: its conversations are numbered 0 to 1"},
		{[]string{"--host", "example.com", name}, 1, "is not an IP address"},
		{[]string{"--port", "81", name}, 1, "no segment"},
		{[]string{"--pcap", "-", name}, 1, "a file of its own"},
		{[]string{"--pcap", "x.pcap", name}, 1, "a classic pcap has no comments"},
		{[]string{"--pcap", name, name}, 1, "is the capture that is explained"},
		{[]string{"--pcap", "/does/not/exist.pcapng", name}, 1, "--pcap"},
		{[]string{file("text", []byte("hello, this is no capture"))}, 1, "text is not a capture: neither pcap nor pcapng"},
		{[]string{file("short", []byte("hello\n"))}, 1, "short is not a capture: neither pcap nor pcapng"},
		{[]string{"-"}, 1, "rawnc: standard input is empty"},
		{[]string{file("empty", nil)}, 1, "empty is empty"},
		{[]string{file("begun", whole[:20])}, 1, "begun ends before its first packet"},
		{[]string{file("head", whole[:200])}, 1, "head"},
		{[]string{file("cut", whole[:len(whole)-130])}, 0, "is cut short after packet 10: what came before is explained"},
		{[]string{file("damaged", append(bytes.Clone(whole), make([]byte, 12)...))}, 1, "after packet 10: the capture is damaged: a block of 0 octets"},
	} {
		_, stderr, code := explained(t, nil, test.args...)
		if code != test.code || !strings.Contains(stderr, test.want) || !strings.HasPrefix(stderr, "rawnc: ") {
			t.Errorf("%q: exit code %d, want %d; stderr %q, want %q", test.args, code, test.code, stderr, test.want)
		}
	}
	if again, _ := os.ReadFile(name); !bytes.Equal(again, whole) {
		t.Error("the capture was changed")
	}
}

func TestExplainStdinAndGzip(t *testing.T) {
	name := writeCapture(t)
	want, _, _ := explained(t, nil, name)
	file, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	z.Write(file)
	z.Close()
	if got, stderr, code := explained(t, &zipped, "-"); code != 0 || got != want {
		t.Errorf("exit code %d, %s\n%s", code, stderr, got)
	}
}

// What is known so far is written before explain waits for more: a capture may
// come from a running tcpdump.
func TestExplainFollows(t *testing.T) {
	file, err := os.ReadFile(writeCapture(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, format := range []string{"text", "json"} {
		p := start(t, exec.Command("rawnc", "explain", "--format", format, "-"))
		if _, err := p.stdin.Write(file[:len(file)/2]); err != nil {
			t.Fatal(err)
		}
		p.prints("\n")
		p.stdin.Close()
	}
}

// The capture of --pcap is the same one, with our comments; or what was chosen of
// it.
func TestExplainPcap(t *testing.T) {
	in := writeCapture(t)
	out := filepath.Join(t.TempDir(), "out.pcapng")
	if _, stderr, code := explained(t, nil, "--stream", "0", "--pcap", out, in); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	chosen, _, _ := explained(t, nil, "--format", "json", out)
	if n := strings.Count(chosen, "\n"); n != 4 || strings.Contains(chosen, `"stream":1`) {
		t.Errorf("stream 0 has 4 segments, and the capture %d:\n%s", n, chosen)
	}
	if _, stderr, code := explained(t, nil, "--pcap", out, in); code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	a, b := openCapture(t, in), openCapture(t, out)
	for {
		var p, q pcapin.Packet
		errA, errB := a.Next(&p), b.Next(&q)
		if errA == io.EOF && errB == io.EOF {
			return
		}
		if errA != nil || errB != nil {
			t.Fatalf("%v, %v", errA, errB)
		}
		if !bytes.Equal(p.Data, q.Data) || p.Length != q.Length || !p.Time.Equal(q.Time) || p.Interface != q.Interface || p.Dir != q.Dir {
			t.Errorf("packet %d is another: %+v, was %+v", p.Frame, q, p)
		}
		before, after := p.Comments(), q.Comments()
		if len(after) < len(before) || !slices.Equal(after[:len(before)], before) {
			t.Errorf("packet %d had the comments %q, and has %q", p.Frame, before, after)
		}
		told := p.Err == nil
		if ours := after[len(before):]; told != (len(ours) == 1) || told && !strings.Contains(ours[0], "Seq ") {
			t.Errorf("packet %d: our comments are %q", p.Frame, ours)
		}
	}
}

func openCapture(t *testing.T, name string) *pcapin.Reader {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	r, err := pcapin.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Who reads the output may go before its end.
func TestOutputIntoAClosedPipe(t *testing.T) {
	name := filepath.Join(t.TempDir(), "many.pcap")
	manyConnections(t, name, 2000, 7)
	for _, args := range [][]string{
		{"explain", name}, {"explain", "--format", "ladder", name}, {"explain", "--format", "json", name},
		{"demo"}, {"demo", "--format", "json"}, {"demo", "--pcap", "-"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		cmd := exec.Command("rawnc", args...)
		var stderr strings.Builder
		cmd.Stdout, cmd.Stderr = w, &stderr
		cmd.Run()
		w.Close()
		if code := cmd.ProcessState.ExitCode(); code != 141 || stderr.Len() > 0 {
			t.Errorf("%q: exit code %d, stderr %q", args, code, stderr.String())
		}
	}
}
