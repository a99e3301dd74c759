package reference_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/xml"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"

	"rawnc/pcapout/reference"
	"rawnc/stack/explain"
	"rawnc/stack/netsim"
	"rawnc/stack/netsim/script"
)

var update = flag.Bool("update", false, "write SHA256SUMS anew")

// each runs a test for every scenario of the catalogue.
func each(t *testing.T, test func(t *testing.T, name string, s *script.Script)) {
	for _, g := range reference.Catalogue() {
		for _, name := range g.Names {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, err := reference.Load(name)
				if err != nil {
					t.Fatal(err)
				}
				test(t, name, s)
			})
		}
	}
}

// needTool skips a test that a program is missing for, but not in CI.
func needTool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skipf("install %s", name)
	}
}

// play plays a scenario and returns its capture at a point.
func play(t *testing.T, s *script.Script, at netsim.Point) *reference.Capture {
	t.Helper()
	run, err := s.Run(reference.Seed)
	capture, takeErr := reference.Take(run, at, language.English)
	if takeErr != nil {
		t.Fatal(takeErr)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, text(capture))
	}
	return capture
}

func text(c *reference.Capture) string {
	var b strings.Builder
	for i, r := range c.Records {
		if r.Account == nil {
			fmt.Fprintf(&b, "#%d %s\n", i+1, r.Comments[0])
		} else {
			b.WriteString(explain.TextStyle{}.Format(r.Account))
		}
	}
	return b.String()
}

// Every scenario does what it says it expects: they are tests of the stack.
func TestScenarios(t *testing.T) {
	each(t, func(t *testing.T, name string, s *script.Script) {
		for _, at := range []netsim.Point{netsim.AtA, netsim.AtB, netsim.Middle} {
			play(t, s, at)
		}
		if s.About["en"] == "" || s.About["zh"] == "" || s.Title["zh"] == "" {
			t.Error("title and about are wanted in English and Chinese")
		}
	})
}

// Whatever lies in scenarios/ is in the catalogue.
func TestCatalogueIsComplete(t *testing.T) {
	listed := map[string]bool{}
	for _, g := range reference.Catalogue() {
		for _, name := range g.Names {
			listed[name] = true
		}
	}
	found, err := filepath.Glob("scenarios/*.rawnc")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range found {
		if name := strings.TrimSuffix(filepath.Base(path), ".rawnc"); !listed[name] {
			t.Errorf("catalogue.txt lacks %s", name)
		}
	}
}

// tshark finds in every capture what the scenario says, and nothing else.
func TestTsharkAgrees(t *testing.T) {
	needTool(t, "tshark")
	each(t, func(t *testing.T, name string, s *script.Script) {
		capture := play(t, s, s.Capture)
		want := map[int][]string{}
		for _, c := range s.Claims {
			want[c.Frame] = append(want[c.Frame], c.Names...)
			slices.Sort(want[c.Frame])
		}
		packets := dissect(t, name, capture)
		got, completeness := map[int][]string{}, map[int]int{}
		for i, p := range packets {
			if len(p.expert) > 0 {
				got[i+1] = p.expert
			}
			if p.completeness >= 0 {
				completeness[p.stream] = p.completeness
			}
		}
		diff := cmp.Diff(want, got) + cmp.Diff(s.Completeness, completeness)
		if diff != "" {
			t.Errorf("the scenario says (-), tshark says (+):\n%s\nso that the scenario should say, if tshark is right:\n%s\n%s",
				diff, claims(got, completeness), text(capture))
		}
	})
}

// claims are what a scenario would have to say.
func claims(got map[int][]string, completeness map[int]int) string {
	var b strings.Builder
	for _, frame := range slices.Sorted(maps.Keys(got)) {
		fmt.Fprintf(&b, "tshark %d", frame)
		for _, name := range got[frame] {
			b.WriteString(" " + strings.TrimPrefix(name, "tcp.analysis."))
		}
		b.WriteByte('\n')
	}
	for _, stream := range slices.Sorted(maps.Keys(completeness)) {
		fmt.Fprintf(&b, "tshark completeness %d", completeness[stream])
		if stream > 0 {
			fmt.Fprintf(&b, " in stream %d", stream)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// A dissection is what tshark says of a packet.
type dissection struct {
	stream, completeness int
	expert               []string // analysis flags, and fields of warnings and errors
}

// An element is a field of tshark's PDML.
type element struct {
	Name   string    `xml:"name,attr"`
	Show   string    `xml:"show,attr"`
	Fields []element `xml:"field"`
	Protos []element `xml:"proto"` // what an ICMP error quotes
}

// save writes a capture to a file of its own.
func save(t *testing.T, name string, c *reference.Capture) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name+".pcapng")
	var file bytes.Buffer
	if err := c.Write(&file, 0, reference.Meta(name)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func dissect(t *testing.T, name string, c *reference.Capture) []dissection {
	t.Helper()
	path := save(t, name, c)
	cmd := exec.Command("tshark", "-2", "-n", "-r", path, "-T", "pdml", "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("tshark: %v: %s", err, stderr.String())
	}
	var doc struct {
		Packets []struct {
			Protos []element `xml:"proto"`
		} `xml:"packet"`
	}
	pdml := bytes.ToValidUTF8(stdout.Bytes(), []byte("?")) // it cuts long comments anywhere
	if err := xml.Unmarshal(pdml, &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Packets) != len(c.Records) {
		t.Fatalf("tshark reads %d packets of %d", len(doc.Packets), len(c.Records))
	}
	all := make([]dissection, len(doc.Packets))
	for i, p := range doc.Packets {
		d := &all[i]
		d.completeness = -1
		for _, proto := range p.Protos {
			if proto.Name == "_ws.malformed" {
				d.expert = append(d.expert, proto.Name)
			}
			d.read(proto.Fields)
			for _, quoted := range proto.Protos { // by an ICMP error
				d.read(quoted.Fields)
			}
		}
		slices.Sort(d.expert)
		d.expert = slices.Compact(d.expert)
	}
	return all
}

const (
	severityWarning = 6 << 20
	checksumGood    = "1"
)

func (d *dissection) read(fields []element) {
	for _, f := range fields {
		n, _ := strconv.Atoi(f.Show)
		switch f.Name {
		case "tcp.stream":
			d.stream = n
		case "tcp.completeness":
			d.completeness = n
		case "_ws.expert":
			d.judge(f.Fields)
		}
		if f.Name != "tcp.payload" {
			d.read(f.Fields)
		}
	}
}

// judge takes an expert item: first the field that it is, then its severity.
func (d *dissection) judge(fields []element) {
	severity := 0
	for _, f := range fields {
		if f.Name == "_ws.expert.severity" {
			severity, _ = strconv.Atoi(f.Show)
		}
	}
	if name := fields[0].Name; strings.HasPrefix(name, "tcp.analysis.") || severity >= severityWarning {
		d.expert = append(d.expert, name)
	}
}

// The whole catalogue is the same octets on every machine and in every year.
// After a change that is meant, go test ./pcapout/reference -update.
func TestSums(t *testing.T) {
	dir := t.TempDir()
	if err := reference.WriteAll(dir, reference.Seed, language.English); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	var sums strings.Builder
	for _, path := range files {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(b), filepath.Base(path))
	}
	if *update {
		if err := os.WriteFile("SHA256SUMS", []byte(sums.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), sums.String()); diff != "" {
		t.Errorf("captures differ from those of SHA256SUMS (-want +got):\n%s", diff)
	}
}

// Together the scenarios show every flag of tcp.analysis and every value of
// tcp.completeness that tshark 4.0 has. Missing are the sums with a FIN alone, or
// with SYN or RST: it counts a FIN only with the ACK flag, and then also counts
// an ACK, data, or a SYN,ACK.
func TestEverythingIsShown(t *testing.T) {
	missing := map[string]bool{}
	for _, flag := range []string{
		"retransmission", "fast_retransmission", "spurious_retransmission", "out_of_order", "reused_ports",
		"lost_segment", "ack_lost_segment", "duplicate_ack", "window_update", "window_full", "keep_alive", "keep_alive_ack",
		"zero_window", "zero_window_probe", "zero_window_probe_ack", "tfo_syn", "tfo_ack", "tfo_ignored",
	} {
		missing["tcp.analysis."+flag] = true
	}
	for n := range 64 {
		if n&16 == 0 || n&(2|4|8) != 0 {
			missing[fmt.Sprint("completeness ", n)] = true
		}
	}
	for _, g := range reference.Catalogue() {
		for _, name := range g.Names {
			s, err := reference.Load(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range s.Claims {
				for _, name := range c.Names {
					delete(missing, name)
				}
			}
			for _, value := range s.Completeness {
				delete(missing, fmt.Sprint("completeness ", value))
			}
		}
	}
	if len(missing) > 0 {
		t.Errorf("no scenario shows %v", slices.Sorted(maps.Keys(missing)))
	}
}
