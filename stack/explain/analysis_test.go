package explain

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"

	"rawnc/stack"
)

// names are what each segment is called, in Wireshark's words.
func names(accounts []*Account) []string {
	var all []string
	for _, a := range accounts {
		all = append(all, strings.Join(a.Analysis, " "))
	}
	return all
}

func TestAnalysis(t *testing.T) {
	for _, test := range []struct {
		name     string
		dialogue func(d *dialogue)
		want     []string // after the handshake
	}{
		{"a retransmission after a timeout", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "abc")
			d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "abc")
		}, []string{"", "retransmission"}},
		{"a retransmission of what was acknowledged", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "abc")
			d.server(ack, 1, 4, "")
			d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "abc")
		}, []string{"", "", "retransmission spurious_retransmission"}},
		{"two segments change places", func(d *dialogue) {
			d.client(psh|ack, 4, 1, "def")
			d.client(psh|ack, 1, 1, "abc")
			d.server(ack, 1, 7, "")
		}, []string{"lost_segment", "out_of_order", ""}},
		{"a lost byte of one, which is no keep-alive", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "a")
			d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "a")
		}, []string{"", "keep_alive"}}, // says Wireshark; what we say is below
		{"a keep-alive with a byte of garbage", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "a")
			d.server(ack, 1, 2, "")
			d.wait(time.Hour).client(ack, 1, 1, "\x00")
			d.server(ack, 1, 2, "")
		}, []string{"", "", "keep_alive", "keep_alive_ack"}},
		{"the window is filled", func(d *dialogue) {
			d.server(ack, 1, 1, "").Segment.Window = 1 // 128 octets
			d.client(psh|ack, 1, 1, strings.Repeat("x", 128))
		}, []string{"window_update", "window_full"}},
		{"the byte of a window probe is taken", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "abc")
			d.server(ack, 1, 4, "").Segment.Window = 0
			d.wait(time.Second).client(ack, 4, 1, "d")
			d.server(ack, 1, 5, "")
			d.client(psh|ack, 5, 1, "efg")
			d.server(ack, 1, 8, "")
		}, []string{"", "zero_window", "zero_window_probe", "ack_lost_segment", "lost_segment", "ack_lost_segment"}},
		{"an ACK of what was not captured", func(d *dialogue) {
			d.server(ack, 1, 100, "")
			d.client(psh|ack, 100, 1, "abc")
			d.server(ack, 1, 103, "")
		}, []string{"ack_lost_segment", "lost_segment", "ack_lost_segment"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDialogue()
			d.handshake()
			test.dialogue(d)
			accounts, _ := d.tell()
			if diff := cmp.Diff(test.want, names(accounts[3:])); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Wireshark's names are guesses, and the same for everybody; the words are true.
func TestWordsKnowBetter(t *testing.T) {
	for _, test := range []struct {
		name     string
		dialogue func(d *dialogue)
		analysis string // of the last segment
		says     string
		not      string
	}{
		{"a lost segment of one byte", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "a")
			d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "a")
		}, "keep_alive", "a retransmission of #4, 200.200 ms after #4", "keep-alive"},
		{"our own stack acknowledges something doubtful", func(d *dialogue) {
			d.server(psh|ack, 1, 1, "abc")
			d.client(ack, 1, 4, "")
			d.client(psh|ack, 1, 4, "def")
			d.client(ack, 4, 4, "")
			in := d.client(ack, 4, 4, "")
			in.Live = &Live{Sent: true, Reason: stack.Reason{Kind: stack.ReasonChallengeACK}}
		}, "duplicate_ack", "a doubtful segment arrived", "same ACK again"},
		{"our own stack's timer ran out within the round trip", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "abc")
			d.client(psh|ack, 4, 1, "def")
			in := d.client(psh|ack, 1, 1, "abc")
			in.Live = &Live{Sent: true, Reason: stack.Reason{Kind: stack.ReasonRetransmitTimeout, N: 1}}
		}, "out_of_order", "a retransmission of #4, 0.400 ms after #4", "doubled on the way"},
		{"the capture lacks what was acknowledged", func(d *dialogue) {
			d.server(ack, 1, 100, "")
			d.client(psh|ack, 100, 1, "abc")
		}, "lost_segment", "#4 acknowledges it", "missing"},
		{"the capture has an ACK before its data", func(d *dialogue) {
			d.server(ack, 1, 4, "")
			d.client(psh|ack, 1, 1, "abc")
		}, "retransmission spurious_retransmission", "acknowledged before it came by here", "sent again"},
		{"a server that has forgotten sends another initial number", func(d *dialogue) {
			d.serverISN = 77
			d.server(syn|ack, 0, 1, "")
		}, "reused_ports retransmission", "another initial sequence number", "missing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDialogue()
			d.handshake()
			test.dialogue(d)
			accounts, _ := d.tell()
			last := accounts[len(accounts)-1]
			if got := strings.Join(last.Analysis, " "); got != test.analysis {
				t.Errorf("analysis %q, want %q", got, test.analysis)
			}
			words := said(last)
			if !strings.Contains(words, test.says) || strings.Contains(words, test.not) {
				t.Errorf("it should say %q, and not %q:\n%s", test.says, test.not, words)
			}
		})
	}
}

func TestSimultaneousOpen(t *testing.T) {
	d := newDialogue()
	d.client(syn, 0, 0, "")
	d.server(syn, 0, 0, "") // left before the client's SYN arrived
	d.client(syn|ack, 0, 1, "")
	d.server(syn|ack, 0, 1, "")
	accounts, summary := d.tell()
	last := accounts[3]
	if !last.SrcState.Known || last.SrcState.State != stack.StateEstablished || last.DstState != last.SrcState {
		t.Errorf("both ends are established after four segments, not %v and %v", last.SrcState, last.DstState)
	}
	if summary.Opening != OpenSimultaneous {
		t.Errorf("opening is %v", summary.Opening)
	}
}

// What is written down twice is counted once.
func TestSummaryCountsOctetsOnce(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "abc")
	d.wait(time.Second).client(psh|ack, 1, 1, "abcdef") // the same again, with three more
	d.server(ack, 1, 7, "")
	_, summary := d.tell()
	if got := summary.Sent[0]; got.Octets != 6 || got.Retransmitted != 1 {
		t.Errorf("got %+v, want 6 bytes, 1 segment sent again", got)
	}
}

// A FIN behind a gap does not count before what is missing has come. Where it
// never comes, another FIN is the end.
func TestCloseBeforeAnotherFIN(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(fin|ack, 100, 1, "") // somebody made it
	d.server(ack, 1, 1, "")
	d.client(psh|ack, 1, 1, "hello\n")
	d.client(fin|ack, 7, 1, "")
	d.server(fin|ack, 1, 8, "")
	d.client(ack, 8, 2, "")
	accounts, summary := d.tell()
	said := TextStyle{}.Summary(summary)
	if summary.Closing != CloseThree || strings.Contains(said, "missing") {
		t.Errorf("the close took three segments:\n%s", said)
	}
	if last := accounts[8]; last.SrcState != (State{stack.StateTimeWait, true}) || last.DstState != (State{stack.StateClosed, true}) {
		t.Errorf("in the end the client is in %v, the server in %v", last.SrcState, last.DstState)
	}
}

// An Ack that ends within a segment.
func TestPartOfASegmentIsAcknowledged(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "hello\n")
	d.client(psh|ack, 7, 1, "world\n")
	d.server(ack, 1, 3, "")
	d.server(ack, 1, 9, "")
	d.wait(time.Second).client(psh|ack, 9, 1, "rld\n")
	d.server(ack, 1, 10, "")
	accounts, _ := d.tell()
	for i, want := range map[int]string{
		5: "acknowledges a part of #4 after 0.400 ms; 10 bytes are still unacknowledged",
		6: "acknowledges #4 after 0.600 ms; 4 bytes are still unacknowledged",
		8: "acknowledges a part of #5 or of its repetition #8, one cannot tell which; 3 bytes are still unacknowledged",
	} {
		if got := said(accounts[i]); !strings.Contains(got, want) {
			t.Errorf("#%d does not say %q:\n%s", i+1, want, got)
		}
	}
}

func TestReusedPorts(t *testing.T) {
	d := article()
	d.clientISN, d.serverISN = 7_000_000, 9_000_000
	d.wait(time.Minute).client(syn, 0, 0, "")
	d.server(syn|ack, 0, 1, "")
	accounts, _ := d.tell()
	again := accounts[10]
	if again.Stream != 1 || !again.First || again.Seq.Rel != 0 {
		t.Errorf("a SYN with a new number begins stream 1 at Seq 0, not stream %d at %v", again.Stream, again.Seq)
	}
	if again.Previous == nil || again.Previous.Closing != CloseThree {
		t.Errorf("the first conversation was closed by three segments, but its summary is %+v", again.Previous)
	}
	if accounts[11].Ack.Rel != 1 {
		t.Errorf("the answer acknowledges %v, not 1", accounts[11].Ack)
	}
}

// Nobody acknowledges anything: memory must not grow with it.
func TestMemoryIsBounded(t *testing.T) {
	n := NewNarrator(language.English)
	d := newDialogue()
	for i := range 3 * maxUnacked {
		n.Segment(*d.client(ack, i, 1, "x"))
	}
	c := n.conversations[pairOf(clientAddr, serverAddr)]
	if own, wireshark := len(c.ends[0].unacked), len(c.flows[0].unacked.list); own > maxUnacked || wireshark > maxUnacked {
		t.Errorf("%d and %d segments are kept, more than %d", own, wireshark, maxUnacked)
	}
	a := n.Segment(*d.server(ack, 1, 3*maxUnacked, "")) // of the last segment, which is forgotten
	if a.Ack.Raw != d.clientISN.Add(3*maxUnacked) || a.AcksFrame != 0 {
		t.Errorf("Ack %v of #%d", a.Ack, a.AcksFrame)
	}
}

// A corrupted SACK block tells nothing of what is in flight: Wireshark does not
// believe in 2^31 octets either.
func TestSACKBlockThatMakesNoSense(t *testing.T) {
	for _, test := range []struct{ left, right, want int }{
		{9, 12, 8}, // of 11 octets three have arrived
		{9, 12 - 1<<31, 0},
		{9, 40, 0},
	} {
		d := newDialogue()
		d.handshake()
		d.client(psh|ack, 1, 1, "12345678")
		block := stack.SACKBlock{Left: d.clientISN.Add(test.left), Right: d.clientISN.Add(test.right)}
		o := &d.server(ack, 1, 1, "").Segment.Options
		o.SACK, o.SACKCount = [4]stack.SACKBlock{block}, 1
		d.client(psh|ack, 9, 1, "abc")
		accounts, _ := d.tell()
		if got := accounts[len(accounts)-1].BytesInFlight; got != test.want {
			t.Errorf("SACK %d to %d: %d octets in flight, want %d", test.left, test.right, got, test.want)
		}
	}
}

func TestWrongChecksum(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "abd").Checksum = stack.ChecksumWrong
	d.wait(time.Second).client(psh|ack, 1, 1, "abc")
	accounts, _ := d.tell()
	if got := accounts[4]; got.Problem() {
		t.Errorf("what is thrown away was never sent, so nothing is sent again:\n%s", said(got))
	}
	if !accounts[3].Problem() {
		t.Error("a wrong checksum is a problem")
	}
}
