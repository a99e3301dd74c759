package explain

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/mattn/go-runewidth"

	"rawnc/stack"
)

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

func TestSummaryOfOne(t *testing.T) {
	d := newDialogue()
	d.client(syn, 0, 0, "")
	_, summary := d.tell()
	if got, want := (TextStyle{}).Summary(summary), ": 1 segment in 0.000 ms\n"; !strings.Contains(got, want) {
		t.Errorf("%q lacks %q", got, want)
	}
	if got, want := d.inChinese(TextStyle{}), "1 个报文段，历时 0.000 ms\n"; !strings.Contains(got, want) {
		t.Errorf("%q lacks %q", got, want)
	}
}

func TestColourOnlyWhenAsked(t *testing.T) {
	accounts, _ := article().tell()
	if s := (TextStyle{Level: 2}).Format(accounts[0]); strings.Contains(s, "\x1b") {
		t.Errorf("colour that nobody asked for: %q", s)
	}
	if s := (TextStyle{Color: true}).Format(accounts[1]); !strings.HasPrefix(s, magenta) || !strings.HasSuffix(s, reset+"\n") {
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
