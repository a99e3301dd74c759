package explain

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"
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
		{"the SYN's octet is not there to be sent again", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "abc")
			d.server(ack, 1, 4, "")
			d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "abc")
		}, []string{"", "", "spurious_retransmission"}},
		{"two segments change places", func(d *dialogue) {
			d.client(psh|ack, 4, 1, "def")
			d.client(psh|ack, 1, 1, "abc")
			d.server(ack, 1, 7, "")
		}, []string{"lost_segment", "out_of_order", ""}},
		{"a lost octet of one, which is no keep-alive", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "a")
			d.wait(200*time.Millisecond).client(psh|ack, 1, 1, "a")
		}, []string{"", "retransmission"}},
		{"a keep-alive with an octet of garbage", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "a")
			d.server(ack, 1, 2, "")
			d.wait(time.Hour).client(ack, 1, 1, "\x00")
			d.server(ack, 1, 2, "")
		}, []string{"", "", "keep_alive", "keep_alive_ack"}},
		{"the window is filled", func(d *dialogue) {
			d.server(ack, 1, 1, "").Segment.Window = 1 // 128 octets
			d.client(psh|ack, 1, 1, strings.Repeat("x", 128))
		}, []string{"window_update", "window_full"}},
		{"the octet of a window probe is taken", func(d *dialogue) {
			d.client(psh|ack, 1, 1, "abc")
			d.server(ack, 1, 4, "").Segment.Window = 0
			d.wait(time.Second).client(ack, 4, 1, "d")
			d.server(ack, 1, 5, "")
			d.client(psh|ack, 5, 1, "efg")
			d.server(ack, 1, 8, "")
		}, []string{"", "zero_window", "zero_window_probe", "", "", ""}},
		{"an ACK of what was not captured", func(d *dialogue) {
			d.server(ack, 1, 100, "")
			d.client(psh|ack, 100, 1, "abc")
			d.server(ack, 1, 103, "")
		}, []string{"ack_lost_segment", "", ""}},
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
		t.Errorf("got %+v, want 6 octets, 1 segment sent again", got)
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
	if got := len(c.ends[0].unacked); got > maxUnacked {
		t.Errorf("%d segments are kept, more than %d", got, maxUnacked)
	}
	a := n.Segment(*d.server(ack, 1, 10, "")) // the segments before are forgotten
	if a.Ack.Raw != d.clientISN+10 || a.AcksFrame != 0 {
		t.Errorf("Ack %v of #%d", a.Ack, a.AcksFrame)
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

func TestTextIsSafeAndFits(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "\x1b]0;title\a\x1b[2J\u202e\xff 你好，世界，你好，世界，你好，世界，你好，世界，你好，世界，你好，世界")
	d.server(ack, 1, 1, "").Segment.Options = stack.Options{
		SACKCount: 4, SACK: [4]stack.SACKBlock{{Left: 1, Right: 2}, {Left: 3, Right: 4}, {Left: 5, Right: 6}, {Left: 4e9, Right: 4e9 + 1}},
	}
	accounts, summary := d.tell()
	for level := range 3 {
		style := TextStyle{Width: 80, Level: level}
		text := style.Summary(summary)
		for _, a := range accounts {
			text += style.Format(a)
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if w := runewidth.StringWidth(line); w > 80 {
				t.Errorf("level %d: %d columns: %s", level, w, line)
			}
			if i := strings.IndexFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }); i >= 0 {
				t.Errorf("level %d: %q can do something to a terminal", level, line)
			}
		}
	}
	if lines := strings.Count(TextStyle{}.Format(accounts[3]), "\n"); lines != 1 {
		t.Errorf("level 0 is one line a segment, not %d", lines)
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	accounts, _ := article().tell()
	if s := (TextStyle{Level: 2}).Format(accounts[0]); strings.Contains(s, "\x1b") {
		t.Errorf("colour that nobody asked for: %q", s)
	}
	if s := (TextStyle{Color: true}).Format(accounts[0]); !strings.HasPrefix(s, green) || !strings.HasSuffix(s, reset+"\n") {
		t.Errorf("no colour: %q", s)
	}
}

// The fields of the JSON are a promise.
func TestJSONFields(t *testing.T) {
	accounts, _ := live().tell()
	dec := json.NewDecoder(strings.NewReader(string(JSON(accounts[0]))))
	var fields []string
	for depth, key := 0, true; ; {
		tok, err := dec.Token()
		if err != nil {
			break
		}
		switch tok := tok.(type) {
		case json.Delim:
			if strings.ContainsRune("{[", rune(tok)) {
				depth++
			} else {
				depth--
			}
			key = true
		default:
			if depth == 1 && key {
				fields = append(fields, tok.(string))
			}
			key = !key
		}
	}
	want := "frame time stream src src_port dst dst_port flags seq ack next_seq seq_raw ack_raw next_seq_raw " +
		"len window window_raw options acks_frame ack_rtt bytes_in_flight analysis checksum state why reason"
	if diff := cmp.Diff(strings.Fields(want), fields); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func FuzzNarrator(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x12\x00\x00\x01\x00\x00"))
	f.Add([]byte("\x04\x18\x05\x05\x03\x00\x01\x11\x05\x06\x00\x00\x04\x11\x05\x06\x00\x00\x01\x04\x05\x06\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDialogue()
		d.clientISN = 1<<32 - 3
		for ; len(data) >= 6; data = data[6:] {
			payload := strings.Repeat("\x1b", int(data[4]%8))
			seq, ackNo := int(int8(data[2])), int(int8(data[3]))
			end := d.client
			if data[0]&1 != 0 {
				end = d.server
			}
			in := end(stack.Flags(data[1]), seq, ackNo, payload)
			seg := in.Segment
			if data[0]&2 != 0 {
				seg.Seq <<= 7
				seg.Ack <<= 9
			}
			seg.Window = uint16(data[5])
			seg.Options.WindowScale = data[5]
			seg.Options.UserTimeout = uint16(data[5]) << 8
			seg.Options.SACKCount = int(data[4] % 5)
			in.Checksum = stack.Checksum(data[0] >> 2 & 3)
			if data[0]&16 != 0 {
				in.Live = &Live{
					Sent:    data[0]&32 != 0,
					Reason:  stack.Reason{Kind: stack.ReasonKind(data[5])},
					Verdict: &stack.Judgment{Verdict: stack.Verdict(data[4])},
				}
			}
			if data[0]&64 != 0 {
				d.wait(time.Second)
			}
		}
		tell := func() string {
			accounts, summary := d.tell()
			var b strings.Builder
			for _, a := range accounts {
				b.WriteString(TextStyle{Level: 2, Width: int(a.WindowRaw)}.Format(a))
				b.WriteString(Comment(a))
				if line := JSON(a); !json.Valid(line) {
					t.Errorf("not JSON: %s", line)
				} else {
					b.Write(line)
				}
			}
			if summary != nil {
				b.WriteString(TextStyle{}.Summary(summary))
			}
			return b.String()
		}
		once := tell()
		if once != tell() {
			t.Error("the same segments, and other words")
		}
		if strings.Contains(once, "%!") || strings.Contains(once, "\x1b") {
			t.Errorf("a sentence is broken, or the network reaches the terminal:\n%s", once)
		}
	})
}

func BenchmarkSegment(b *testing.B) {
	d := article()
	n := NewNarrator(language.English)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n.Segment(d.inputs[3+i%4])
	}
}

func BenchmarkJSON(b *testing.B) {
	accounts, _ := article().tell()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		JSON(accounts[i%len(accounts)])
	}
}
