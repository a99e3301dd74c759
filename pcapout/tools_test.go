package pcapout_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"rawnc/pcapout"
)

// tool runs a program and returns its standard output, and whether it was
// content.
func tool(t *testing.T, name string, args ...string) (out string, err error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("%v: install tshark and tcpdump", err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TZ=UTC")
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%s: %w: %s", name, err, stderr.String())
	}
	return stdout.String(), nil
}

func mustTool(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := tool(t, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func write(t *testing.T, name string, b []byte) string {
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sampleFields is what tshark is to say of sample: time, direction, comments.
var sampleFields = [][3]string{
	{"1591776000.123456789", "2", "Seq 0: the ISN, 4216076034"},
	{"1591776000.123456790", "1", "one|第二条：三次握手"},
	{"1591779600.123456789", "", ""},
	{"1591779600.123456789", "1", "abc"},
}

func tsharkFields(t *testing.T, path string) (got [][3]string) {
	out := mustTool(t, "tshark", "-r", path, "-T", "fields", "-E", "separator=/t", "-E", "aggregator=|",
		"-e", "frame.time_epoch", "-e", "frame.packet_flags_direction", "-e", "frame.comment")
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		fields[1] = strings.TrimLeft(fields[1], "0x")
		got = append(got, [3]string(fields))
	}
	return got
}

func TestTsharkReads(t *testing.T) {
	path := write(t, "a.pcapng", capture(t, pcapout.PCAPNG, meta, sample))
	if diff := cmp.Diff(sampleFields, tsharkFields(t, path)); diff != "" {
		t.Error(diff)
	}
	classic := write(t, "a.pcap", capture(t, pcapout.PCAP, meta, sample))
	var want [][3]string
	for _, f := range sampleFields {
		want = append(want, [3]string{f[0]})
	}
	if diff := cmp.Diff(want, tsharkFields(t, classic)); diff != "" {
		t.Error(diff)
	}
	segments := write(t, "segments.pcapng", capture(t, pcapout.PCAPNG, meta, sample[:1]))
	out := mustTool(t, "tshark", "-r", segments, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", "_ws.malformed || _ws.expert.severity >= warning")
	if out != "" {
		t.Error("tshark complains:", out)
	}
}

// The longest comment that pcapng has room for, cut where a character ends.
func TestTsharkReadsLongComments(t *testing.T) {
	long := strings.Repeat("x", 65533) + "中文"
	path := write(t, "a.pcapng", capture(t, pcapout.PCAPNG, meta, []pcapout.Packet{
		{Time: start, Data: segment, Comments: []string{long, "and one that is not \xff UTF-8"}},
		sample[0],
	}))
	got := tsharkFields(t, path)
	if len(got) != 2 {
		t.Fatalf("%d packets", len(got))
	}
	comments := strings.Split(got[0][2], "|")
	if len(comments) != 2 || comments[0] != strings.Repeat("x", 65533) || comments[1] != "and one that is not "+string(utf8.RuneError)+" UTF-8" {
		t.Errorf("got comments of %d octets, the first %d", len(got[0][2]), len(comments[0]))
	}
	if got[1][2] != sampleFields[0][2] {
		t.Error("the packet after it:", got[1])
	}
}

func TestCapinfosReads(t *testing.T) {
	out := mustTool(t, "capinfos", write(t, "a.pcapng", capture(t, pcapout.PCAPNG, meta, sample)))
	for _, want := range []string{
		"pcapng", "nanoseconds (9)", "Number of packets:   4", "Raw IP", "rawnc connect --lab 120.77.204.248 8113",
		"rawnc 0.1", "Capture hardware:    amd64", "Capture oper-sys:    linux", "Name = raw",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("capinfos does not say %q:\n%s", want, out)
		}
	}
}

func TestTcpdumpReads(t *testing.T) {
	for name, format := range map[string]pcapout.Format{"a.pcapng": pcapout.PCAPNG, "a.pcap": pcapout.PCAP} {
		out := mustTool(t, "tcpdump", "--nano", "-tt", "-n", "-r", write(t, name, capture(t, format, meta, sample[:1])))
		const want = "1591776000.123456789 IP 10.0.0.1.50000 > 10.0.0.2.8113: Flags [S], seq 4216076034, win 64240, length 0\n"
		if out != want {
			t.Errorf("%s: got %s, want %s", name, out, want)
		}
	}
}

// tcpdump shows all whole packets of a file that ends anywhere, tshark too.
func TestToolsReadWhatIsThere(t *testing.T) {
	whole, ends := cuttable(t)
	for n := ends[0]; n <= len(whole); n += 3 {
		out, _ := tool(t, "tcpdump", "-n", "-r", write(t, "cut.pcapng", whole[:n])) // it complains of the cut
		if got, want := strings.Count(out, "\n"), wholePackets(ends, n); got != want {
			t.Fatalf("%d octets: tcpdump shows %d packets, want %d", n, got, want)
		}
	}
	for _, end := range ends {
		for _, n := range []int{end - 1, end, end + 5} {
			if n < ends[0] || n > len(whole) {
				continue
			}
			out, _ := tool(t, "tshark", "-n", "-r", write(t, "cut.pcapng", whole[:n]))
			if got, want := strings.Count(out, "\n"), wholePackets(ends, n); got != want {
				t.Fatalf("%d octets: tshark shows %d packets, want %d", n, got, want)
			}
		}
	}
}
