//go:build linux

package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rawnc/rawtcp/lab"
	"rawnc/rawtcp/lab/labtest"
	"rawnc/stack"
	"rawnc/stack/explain"
)

// asked is the question of --step.
const asked = "r runs on"

// stepTo starts rawnc connect --step to a kernel, with "hello" to send, and
// answers are what is typed.
func stepTo(t *testing.T, flags ...string) (rawnc *program, accept func() *net.TCPConn, pair *lab.Pair) {
	t.Helper()
	pair = labtest.NewPair(t)
	serving := serve(t, pair.B)
	args := append([]string{"connect", "--step", "--send", "hello", pair.B.IPv4.String(), "8113"}, flags...)
	return start(t, pair.A.Command("rawnc", args...)), serving, pair
}

// One is skipped, and sent again edited: the kernel receives what the log says.
func TestStep(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "tshark")
	file := filepath.Join(t.TempDir(), "step.pcapng")
	rawnc, accept, _ := stepTo(t, "--pcap", file)
	rawnc.says("-    0.000000 → SYN")
	rawnc.says(asked)
	rawnc.types("what\ne\ne wind=1\n\n") // the SYN, after some nonsense
	rawnc.says(`"what" is none of the answers`)
	rawnc.says("say what to edit")
	rawnc.says(`"wind" cannot be edited`)
	rawnc.types("\n") // the ACK
	peer := accept()
	rawnc.says("sent because the application wrote")
	rawnc.types("s\n")
	rawnc.says("dropped by hand")
	rawnc.says("the retransmission timer would have run out now, but a probe comes first")
	rawnc.types("e window=7\n")
	rawnc.says("the window was edited by hand")
	rawnc.types("\n")
	reads(t, peer, "hello")
	rawnc.types("\n") // the FIN
	readsEnd(t, peer)
	peer.Close()
	rawnc.types("\n") // the last ACK
	rawnc.ends(0)
	var data []string
	for _, line := range tshark(t, file, "tcp.len", "tcp.window_size_value", "frame.comment") {
		if strings.HasPrefix(line, "5\t") {
			data = append(data, line)
		}
	}
	if len(data) != 1 || !strings.HasPrefix(data[0], "5\t7\t") || !strings.Contains(data[0], "edited by hand") {
		t.Errorf("the segments with data in the capture: %q", data)
	}
}

// A peer that cannot wait: what it sends meanwhile is told, and in the end that
// it has given up.
func TestStepTooSlow(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "ss")
	rawnc, _, pair := stepTo(t)
	if err := pair.B.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv4/tcp_synack_retries", []byte("1"), 0)
	}); err != nil {
		labtest.Missing(t, err.Error())
	}
	rawnc.types("\n")
	rawnc.says("#3 ") // the SYN,ACK again
	eventually(t, "the kernel does not give up", func() bool {
		out, err := pair.B.Run("ss", "-Htn", "state", "syn-recv")
		if err != nil {
			t.Fatal(err)
		}
		return out == ""
	})
	rawnc.types("\n")
	rawnc.says("it was reset")
	rawnc.ends(1)
	rawnc.says("the peer does not wait for ever")
}

// A connection that ends while a question is open.
func TestStepPeerResets(t *testing.T) {
	t.Parallel()
	rawnc, accept, _ := stepTo(t)
	rawnc.types("\n\n")
	peer := accept()
	rawnc.says("sent because the application wrote")
	peer.SetLinger(0)
	peer.Close()
	rawnc.ends(1)
	rawnc.says("the connection ended while rawnc waited for an answer: this segment is not sent")
	rawnc.says("the peer reset the connection")
}

// Without a further answer everything goes on.
func TestStepAnswersEnd(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		end  func(*program)
		code int
	}{
		"run on": {func(p *program) { p.types("r\n") }, 0},
		"end":    {func(p *program) { p.stdin.Close() }, 0},
		"Ctrl+C": {func(p *program) { p.signal(os.Interrupt) }, 130},
		"ended":  {func(p *program) { p.signal(syscall.SIGTERM) }, 143},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rawnc, accept, _ := stepTo(t)
			rawnc.types("\n\n")
			peer := accept()
			rawnc.says("sent because the application wrote")
			end.end(rawnc)
			reads(t, peer, "hello")
			readsEnd(t, peer)
			peer.Close()
			rawnc.ends(end.code)
			rawnc.says("rawnc runs on without asking")
		})
	}
}

// Ctrl+C before the SYN: nothing is sent.
func TestStepNotEvenSYN(t *testing.T) {
	t.Parallel()
	rawnc, _, _ := stepTo(t)
	rawnc.says(asked)
	rawnc.signal(os.Interrupt)
	rawnc.ends(130)
	if strings.Contains(rawnc.stderr.text(), "#1") {
		t.Error("something was sent")
	}
}

func TestStepListen(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	rawnc := start(t, pair.A.Command("rawnc", "listen", "--step", "--send", "hello", "8113"))
	rawnc.says("rawnc listens")
	rawnc.types("\n\n") // the SYN,ACK and the data
	peer := dialKernel(t, pair.B, pair.A.IPv4.String()+":8113")
	reads(t, peer, "hello")
	rawnc.types("r\n")
	readsEnd(t, peer)
	peer.Close()
	rawnc.ends(0)
	rawnc.says("sent to answer the SYN")
}

// At a terminal, what is typed answers while a question is open, and is sent
// otherwise.
func TestStepTerminal(t *testing.T) {
	t.Parallel()
	labtest.NeedPrograms(t, "script")
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("script", "-qec", "rawnc connect --step "+pair.B.IPv4.String()+" 8113", "/dev/null"))
	rawnc.prints(asked)
	rawnc.types("\n") // the SYN
	rawnc.prints("sent to complete the three-way handshake")
	rawnc.types("\n")
	peer := accept()
	rawnc.prints("#3 ")
	rawnc.types("hello\n")
	rawnc.prints("sent because the application wrote")
	rawnc.types("\n")
	reads(t, peer, "hello\n")
	rawnc.prints("#5 ")      // its ACK: no question is open
	rawnc.types("\x04")      // the end of what is to be sent
	rawnc.prints("FIN,ACK ") // is asked about
	rawnc.types("\x04")      // the end of answers
	readsEnd(t, peer)
	peer.Close()
	rawnc.ends(0)
}

// The quiz holds up the log, and not the connection.
func TestQuiz(t *testing.T) {
	t.Parallel()
	pair := labtest.NewPair(t)
	accept := serve(t, pair.B)
	rawnc := start(t, pair.A.Command("rawnc", "connect", "--quiz", "--send", "hello", pair.B.IPv4.String(), "8113"))
	peer := accept()
	reads(t, peer, "hello")
	readsEnd(t, peer)
	peer.Close()
	rawnc.says("Next: which number")
	rawnc.types("one\n1\n") // of the SYN
	rawnc.says("that is no number")
	rawnc.says("right")
	rawnc.types("2\n") // the Ack of the SYN,ACK
	rawnc.says("no, it is 1:\n     Ack 1 = Seq 0 of #1 + 1 for the SYN\n")
	rawnc.types("open\n\n") // the server's state after the ACK: not known
	rawnc.says("that is none of the states")
	rawnc.says("no, it is ESTABLISHED:\n     server SYN-RECEIVED → ESTABLISHED, if this arrives: its SYN is acknowledged\n")
	rawnc.types("6\nq\n") // the Next of the data
	rawnc.ends(0)
	rawnc.says("no more questions")
	rawnc.says("the quiz: 2 of 4 right")
	rawnc.says("segments in") // all is told nevertheless
}

// What can be edited, by the numbers of the log.
func TestEdit(t *testing.T) {
	seg := stack.Segment{Seq: 1001, Ack: 4294967295, Flags: stack.ACK, Window: 100}
	account := &explain.Account{
		Seq: explain.Number{Raw: 1001, Rel: 1, Known: true},       // the ISN is 1000
		Ack: explain.Number{Raw: 4294967295, Rel: 5, Known: true}, // and the peer's 4294967290
	}
	unknown := &explain.Account{Seq: explain.Number{Raw: 1001}, Ack: explain.Number{Raw: 4294967295}}
	for _, test := range []struct {
		account *explain.Account
		text    string
		want    stack.Segment
	}{
		{account, "seq=5", stack.Segment{Seq: 1005, Ack: 4294967295, Flags: stack.ACK, Window: 100}},
		{account, "SEQ=0 ack=7", stack.Segment{Seq: 1000, Ack: 1, Flags: stack.ACK, Window: 100}}, // round the circle
		{account, "seq=4294967295", stack.Segment{Seq: 999, Ack: 4294967295, Flags: stack.ACK, Window: 100}},
		{unknown, "seq=5 ack=6", stack.Segment{Seq: 5, Ack: 6, Flags: stack.ACK, Window: 100}},
		{account, "flags=fin,ACK window=0", stack.Segment{Seq: 1001, Ack: 4294967295, Flags: stack.FIN | stack.ACK}},
		{account, "flags=none", stack.Segment{Seq: 1001, Ack: 4294967295, Window: 100}},
	} {
		got := seg
		if err := edit(&got, test.account, test.text); err != nil {
			t.Errorf("%q: %v", test.text, err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", test.text, diff)
		}
	}
	for _, text := range []string{
		"", "seq", "seq=", "seq=-1", "seq=4294967296", "ack=x", "flags=SYN;ACK", "flags=SYN,,ACK", "window=65536", "len=5", "=", "seq 5",
	} {
		if err := edit(&stack.Segment{}, account, text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
