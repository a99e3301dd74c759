package explain

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"golang.org/x/text/language"

	"rawnc/stack"
)

func FuzzNarrator(f *testing.F) {
	f.Add([]byte("\x00\x02\x00\x00\x00\x00\x00\x00\x00\x01\x12\x00\x00\x01\x00\x00"))
	f.Add([]byte("\x04\x18\x05\x05\x03\x00\x01\x11\x05\x06\x00\x00\x04\x11\x05\x06\x00\x00\x01\x04\x05\x06\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		d := newDialogue()
		d.clientISN = 1<<32 - 3
		data = data[:min(len(data), 6*256)]
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
