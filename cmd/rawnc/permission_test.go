//go:build linux

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
)

// everybodysProgram is a copy of rawnc that any user may run.
func everybodysProgram(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("rawnc")
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rawnc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "rawnc")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return name
}

// asNobody is the command line of a program that nobody runs, who has no
// capability.
func asNobody(program string, args ...string) []string {
	return append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--", program}, args...)
}

// Without the capability rawnc says which line mends it. That line mends it,
// and no other capability is needed, for connect and listen, over IPv4 and
// IPv6. The kernel sends no RST meanwhile.
func TestCapability(t *testing.T) {
	t.Parallel()
	labtest.NeedRoot(t)
	labtest.NeedPrograms(t, "setpriv", "setcap", "tcpdump", "nc.openbsd")
	exe := everybodysProgram(t)
	pair := labtest.NewPair(t)
	run := func(host *lab.Host, args ...string) *program {
		args = asNobody(exe, args...)
		return start(t, host.Command(args[0], args[1:]...))
	}

	for _, args := range [][]string{{"connect", "192.0.2.2", "8113"}, {"connect", "2001:db8::2", "8113"}, {"listen", "8113"}} {
		p := run(pair.A, args...)
		p.ends(1)
		p.says("rawnc: no permission to open a raw socket")
	}
	refused := run(pair.A, "connect", "192.0.2.2", "8113")
	refused.ends(1)
	remedy := regexp.MustCompile(`'(setcap [^']*)'`).FindStringSubmatch(refused.stderr.text())
	if remedy == nil || remedy[1] != "setcap cap_net_raw+ep "+exe {
		t.Fatalf("no remedy in %q", refused.stderr.text())
	}
	if out, err := exec.Command("sh", "-c", remedy[1]).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", remedy[1], err, out)
	}

	tcpdump := start(t, pair.A.Command("tcpdump", "--immediate-mode", "-l", "-n", "-i", lab.Interface, "tcp"))
	tcpdump.says("listening on")
	v4, v6 := [2]string{pair.A.IPv4.String(), pair.B.IPv4.String()}, [2]string{pair.A.IPv6.String(), pair.B.IPv6.String()}
	for _, family := range []struct {
		flag, link     string
		client, server string
	}{{"-4", "raw", v4[0], v4[1]}, {"-6", "raw", v6[0], v6[1]}, {"-4", "packet", v4[0], v4[1]}, {"-6", "packet", v6[0], v6[1]}} {
		peer := start(t, pair.B.Command("nc.openbsd", family.flag, "-l", "8113"))
		listening(t, pair.B, "8113")
		rawnc := run(pair.A, "connect", "--link", family.link, family.server, "8113")
		rawnc.types("hello\n")
		peer.prints("hello\n")
		if got := capabilities(t, rawnc); got != 1<<13 { // CAP_NET_RAW
			t.Errorf("capabilities %#x", got)
		}
		peer.types("welcome\n")
		rawnc.prints("welcome\n")
		peer.stdin.Close()
		rawnc.stdin.Close()
		rawnc.ends(0)
		peer.ends(0)

		rawnc = run(pair.A, "listen", "--link", family.link, family.flag, "8114")
		rawnc.says("rawnc listens")
		peer = start(t, pair.B.Command("nc.openbsd", "-N", family.client, "8114"))
		peer.types("hello\n")
		rawnc.prints("hello\n")
		peer.stdin.Close()
		rawnc.says("the peer has closed")
		rawnc.stdin.Close()
		rawnc.ends(0)
		peer.ends(0)
	}
	eventually(t, "two FINs for each of eight connections", func() bool {
		return strings.Count(tcpdump.stdout.text(), "Flags [F") >= 16 // one may have been sent again
	})
	if strings.Contains(tcpdump.stdout.text(), "Flags [R") {
		t.Error("there is a RST")
	}
}

// capabilities are those in effect in a running program.
func capabilities(t *testing.T, p *program) uint64 {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "CapEff:\t")
	hex, _, _ := strings.Cut(rest, "\n")
	n, err := strconv.ParseUint(hex, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// The lab needs no privilege at all.
func TestArticleAsNobody(t *testing.T) {
	t.Parallel()
	labtest.NeedRoot(t)
	labtest.NeedPrograms(t, "setpriv", "unshare", "tshark")
	if out, err := exec.Command("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", "unshare", "-Urn", "true").CombinedOutput(); err != nil {
		labtest.Missing(t, "user namespaces are not allowed here: "+string(out))
	}
	dir, err := os.MkdirTemp("", "article")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "article.pcapng")
	args := asNobody(everybodysProgram(t), "connect", "--lab", "--isn", "4216076034",
		"--send", `hello2020\n`, "--send", `world\n`, "--pcap", file, "120.77.204.248", "8113")
	rawnc := start(t, exec.Command(args[0], args[1:]...))
	rawnc.ends(0)
	rawnc.says(`lab: 120.77.204.248 received "hello2020\n"`)
	rawnc.says(`lab: 120.77.204.248 received "world\n"`)
	checkArticle(t, file)
}

// checkArticle holds a capture against the article's ten segments.
func checkArticle(t *testing.T, file string) {
	t.Helper()
	want := []string{
		"1\t4216076034\t0\t··········S·",
		"0\t\t4216076035\t·······A··S·",
		"1\t4216076035\t\t·······A····",
		"1\t4216076035\t\t·······AP···",
		"0\t\t4216076045\t·······A····",
		"1\t4216076045\t\t·······AP···",
		"0\t\t4216076051\t·······A····",
		"1\t4216076051\t\t·······A···F",
		"0\t\t4216076052\t·······A···F",
		"1\t4216076052\t\t·······A····",
	}
	got := tshark(t, file, "ip.dst", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags.str", "tcp.completeness",
		"_ws.expert.severity", "_ws.malformed", "frame.comment")
	if len(got) != len(want) {
		t.Fatalf("%d packets, want %d", len(got), len(want))
	}
	for i, line := range got {
		f := strings.Split(line, "\t")
		out, seq, ack := "0", f[1], f[2]
		if f[0] == "120.77.204.248" {
			out = "1"
			if i > 0 {
				ack = ""
			}
		} else {
			seq = ""
		}
		if line := strings.Join([]string{out, seq, ack, f[3]}, "\t"); line != want[i] {
			t.Errorf("#%d: got %q, want %q", i+1, line, want[i])
		}
		if f[4] != "31" {
			t.Errorf("#%d: tcp.completeness %s, want 31: complete, with data", i+1, f[4])
		}
		const warning = 6291456
		for s := range strings.SplitSeq(f[5], ",") {
			if n, _ := strconv.Atoi(s); n >= warning {
				t.Errorf("#%d: an expert item of severity %s", i+1, s)
			}
		}
		if f[6] != "" || f[7] == "" {
			t.Errorf("#%d: malformed %q, comment %q", i+1, f[6], f[7])
		}
	}
}

// What the far side of the lab can do.
func TestLabServers(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]string{"sink": "", "echo": "hello\n", "chat": "you said: hello\n"} {
		rawnc := start(t, exec.Command("rawnc", "connect", "--lab", "--lab-server", mode, "2001:db8:5::1", "80", "--send", `hello\n`))
		rawnc.ends(0)
		if !strings.HasSuffix(rawnc.stdout.text(), want) {
			t.Errorf("%s: stdout is %q", mode, rawnc.stdout.text())
		}
	}
}

// Every line of the far side's and of the log is whole, however they fall, and
// none is received before the log has it sent.
func TestLabLines(t *testing.T) {
	t.Parallel()
	args := []string{"connect", "--lab", "192.0.2.80", "80"}
	for range 200 {
		args = append(args, "--send", `one\ntwo\n`)
	}
	rawnc := start(t, exec.Command("rawnc", args...))
	rawnc.ends(0)
	sent, lab := 0, 0
	carries := regexp.MustCompile(`→ .* Len (\d+)`)
	for line := range strings.Lines(rawnc.stderr.text()) {
		if m := carries.FindStringSubmatch(line); m != nil {
			n, _ := strconv.Atoi(m[1])
			sent += n
		}
		switch {
		case line == "lab: 192.0.2.80 received \"one\\n\"\n", line == "lab: 192.0.2.80 received \"two\\n\"\n":
			lab++
		case strings.Contains(line, "lab:"):
			t.Errorf("torn: %q", line)
		}
		if lab*len("one\n") > sent {
			t.Fatalf("line %d is received before it is sent", lab)
		}
	}
	if lab != 400 {
		t.Errorf("%d lines, want 400", lab)
	}
}
