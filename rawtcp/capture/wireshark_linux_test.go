package capture_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"rawnc/pcapout"
	"rawnc/rawtcp"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack/explain"
)

var folder = flag.String("captures", "", "a folder with more captures to compare")

// Whatever the capture, our JSON says what Wireshark says. The captures were
// made between kernels, by kernel_linux_test.go.
func TestAgreesWithWireshark(t *testing.T) {
	files, err := filepath.Glob("testdata/kernel/*.pcap")
	if err != nil || len(files) == 0 {
		t.Fatal("no captures in testdata/kernel", err)
	}
	if *folder != "" {
		more, err := filepath.Glob(filepath.Join(*folder, "*"))
		if err != nil || len(more) == 0 {
			t.Fatal("no captures in ", *folder, err)
		}
		files = append(files, more...)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) { agrees(t, file) })
	}
}

// Captures from elsewhere, which come with gopacket (and with Debian's
// golang-github-google-gopacket-dev).
func TestAgreesWithWiresharkOnGopackets(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/google/gopacket").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"test_ethernet.pcap", "test_loopback.pcap"} {
		t.Run(name, func(t *testing.T) { agrees(t, filepath.Join(strings.TrimSpace(string(dir)), "pcap", name)) })
	}
}

// Our own stack over a link with faults, captured where they have happened.
func TestAgreesWithWiresharkOnFaults(t *testing.T) {
	for name, faults := range map[string]rawtcp.Faults{
		"reordered":  {Reorder: 0.1},
		"duplicated": {Duplicate: 0.2},
		"corrupted":  {Corrupt: 0.1},
		"dropped":    {Drop: 0.05},
		"everything": {Drop: 0.02, Duplicate: 0.05, Reorder: 0.05, Corrupt: 0.02},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, atReceiver := range []bool{true, false} {
				agrees(t, faulty(t, faults, atReceiver, writePacket))
			}
		})
	}
}

func writePacket(w *pcapout.Writer, e *rawtcp.Event) {
	if e.Packet != nil && e.Err == nil {
		w.WritePacket(pcapout.Packet{Time: e.Time, Data: e.Packet})
	}
}

// agrees explains a capture and has Wireshark explain it too.
func agrees(t *testing.T, file string) {
	t.Helper()
	labtest.NeedPrograms(t, "tshark")
	got, want := explained(t, file), tshark(t, file)
	if len(got) == 0 {
		t.Errorf("%s: no segments", file)
	}
	differences := 0
	excuses := excuses{isn: map[string]bool{}, below: map[string]bool{}, unseen: map[string]bool{}, next: map[string]uint64{}}
	for _, frame := range frames(got, want) {
		ours, theirs := got[frame], want[frame]
		excuses.see(ours, theirs)
		for _, field := range fields {
			name := field.json
			if ours[name] == theirs[name] || excuses.accept(name, ours, theirs) {
				continue
			}
			if differences++; differences <= 40 {
				t.Errorf("frame %d %s: ours %q, tshark's %q", frame, name, ours[name], theirs[name])
			}
		}
	}
	if differences > 40 {
		t.Errorf("and %d more", differences-40)
	}
}

// excuses are the differences that docs/wireshark.md lists. They go by streams,
// and where the initial sequence number matters by ends, "stream port".
type excuses struct {
	isn    map[string]bool   // it was seen
	below  map[string]bool   // there are numbers below the first
	unseen map[string]bool   // there was an ACK of what was not seen
	next   map[string]uint64 // the highest number that an end has come to
}

func (e *excuses) see(ours, theirs segmentFields) {
	stream := theirs["stream"]
	if strings.Contains(ours["flags"], "SYN") {
		e.isn[stream+" "+ours["src_port"]] = true
		if strings.Contains(ours["flags"], "ACK") {
			e.isn[stream+" "+ours["dst_port"]] = true
		}
	}
	if seq, _ := strconv.ParseUint(theirs["seq"], 10, 32); seq >= 1<<31 {
		e.below[stream] = true
	}
	// It says so only where no duplicate ACKs went before.
	if ack, _ := strconv.ParseUint(theirs["ack"], 10, 32); ack > e.next[stream+" "+ours["dst_port"]] {
		e.unseen[stream] = true
	}
	next, _ := strconv.ParseUint(theirs["next_seq"], 10, 32)
	e.next[stream+" "+ours["src_port"]] = max(e.next[stream+" "+ours["src_port"]], next)
}

func (e *excuses) accept(field string, ours, theirs segmentFields) bool {
	stream, hasACK := theirs["stream"], strings.Contains(ours["flags"], "ACK")
	switch field {
	case "flags":
		return true
	case "seq", "next_seq":
		return ours[field] == "" && !e.isn[stream+" "+ours["src_port"]]
	case "ack":
		return ours[field] == "" && (!hasACK || !e.isn[stream+" "+ours["dst_port"]])
	case "ack_raw", "acks_frame", "ack_rtt":
		return ours[field] == "" && !hasACK
	case "bytes_in_flight":
		return e.below[stream]
	case "analysis", "rto", "rto_frame":
		// It takes -1 duplicate ACKs for more than two.
		const fast = "fast_retransmission"
		return e.unseen[stream] && strings.Contains(theirs["analysis"], fast) && !strings.Contains(ours["analysis"], fast)
	}
	return false
}

// A segment's fields, by the names they have in our JSON.
type segmentFields map[string]string

// fields are what both know, by our name and Wireshark's.
var fields = []struct{ json, wireshark string }{
	{"flags", ""},
	{"stream", "tcp.stream"},
	{"src_port", "tcp.srcport"},
	{"dst_port", "tcp.dstport"},
	{"seq", "tcp.seq"},
	{"ack", "tcp.ack"},
	{"next_seq", "tcp.nxtseq"},
	{"seq_raw", "tcp.seq_raw"},
	{"ack_raw", "tcp.ack_raw"},
	{"len", "tcp.len"},
	{"window", "tcp.window_size"},
	{"window_raw", "tcp.window_size_value"},
	{"acks_frame", "tcp.analysis.acks_frame"},
	{"ack_rtt", "tcp.analysis.ack_rtt"},
	{"bytes_in_flight", "tcp.analysis.bytes_in_flight"},
	{"duplicate_ack_num", "tcp.analysis.duplicate_ack_num"},
	{"duplicate_ack_frame", "tcp.analysis.duplicate_ack_frame"},
	{"rto", "tcp.analysis.rto"},
	{"rto_frame", "tcp.analysis.rto_frame"},
	{"analysis", ""},
}

// analysisNames are Wireshark's fields for what goes into our "analysis".
var analysisNames = []string{
	"retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "lost_segment",
	"ack_lost_segment", "duplicate_ack", "zero_window", "zero_window_probe", "zero_window_probe_ack",
	"window_full", "window_update", "keep_alive", "keep_alive_ack", "reused_ports",
}

func frames(a, b map[int]segmentFields) []int {
	all := map[int]bool{}
	for frame := range a {
		all[frame] = true
	}
	for frame := range b {
		all[frame] = true
	}
	var list []int
	for frame := range all {
		list = append(list, frame)
	}
	slices.Sort(list)
	return list
}

// explained is what our JSON says of a capture, by frame.
func explained(t *testing.T, file string) map[int]segmentFields {
	t.Helper()
	all := map[int]segmentFields{}
	for _, account := range accounts(t, file) {
		var o map[string]any
		dec := json.NewDecoder(bytes.NewReader(explain.JSON(account)))
		dec.UseNumber()
		if err := dec.Decode(&o); err != nil {
			t.Fatal(err)
		}
		all[account.Frame] = textual(o)
	}
	return all
}

func textual(o map[string]any) segmentFields {
	s := segmentFields{}
	for _, field := range fields {
		switch v := o[field.json].(type) {
		case json.Number:
			s[field.json] = v.String()
		case []any:
			var names []string
			for _, name := range v {
				names = append(names, name.(string))
			}
			slices.Sort(names)
			s[field.json] = strings.Join(names, " ")
		}
	}
	// Wireshark leaves out times of zero.
	if s["ack_rtt"] == "0.000000000" {
		s["ack_rtt"] = ""
	}
	if s["rto"] == "0.000000000" {
		s["rto"], s["rto_frame"] = "", ""
	}
	return s
}

// tshark is what Wireshark says of a capture, by frame.
func tshark(t *testing.T, file string) map[int]segmentFields {
	t.Helper()
	args := []string{"-n", "-2", "-r", file, "-o", "tcp.relative_sequence_numbers:TRUE",
		// A TCP header that an ICMP error quotes is no segment.
		"-Y", "tcp && !icmp && !icmpv6", "-T", "fields", "-E", "occurrence=f", "-e", "frame.number"}
	for _, field := range fields {
		if field.wireshark != "" {
			args = append(args, "-e", field.wireshark)
		}
	}
	for _, name := range analysisNames {
		args = append(args, "-e", "tcp.analysis."+name)
	}
	cmd := exec.Command("tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir(), "TZ=UTC") // nobody's preferences
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v: %s", err, stderr.String())
	}
	all := map[int]segmentFields{}
	for line := range strings.Lines(string(out)) {
		values := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		frame, err := strconv.Atoi(values[0])
		if err != nil {
			t.Fatalf("tshark says %q", line)
		}
		s, values := segmentFields{}, values[1:]
		for _, field := range fields {
			if field.wireshark != "" {
				s[field.json], values = values[0], values[1:]
			}
		}
		var names []string
		for i, name := range analysisNames {
			if values[i] != "" {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		s["analysis"] = strings.Join(names, " ")
		all[frame] = s
	}
	return all
}
