package explain

import (
	"strings"
	"testing"
	"time"
)

func drawn(l *Ladder, d *dialogue) string {
	var b strings.Builder
	accounts, summary := d.tell()
	for _, a := range accounts {
		b.WriteString(l.Format(a))
	}
	b.WriteString(l.Summary(summary))
	return b.String()
}

func TestLadder(t *testing.T) {
	d := newDialogue()
	d.handshake()
	d.client(psh|ack, 1, 1, "hello2020\n")
	d.wait(time.Second).client(psh|ack, 1, 1, "hello2020\n")
	golden(t, "ladder.txt", drawn(&Ladder{TextStyle: TextStyle{Width: 100}}, article()))
	golden(t, "ladder.ascii.txt", drawn(&Ladder{TextStyle: TextStyle{Width: 80, Level: 1, ASCII: true}}, d))
}

// However narrow the terminal, every line of arrows is as wide as the others, and
// no state is lost.
func TestLadderWidth(t *testing.T) {
	for _, width := range []int{0, 1, 40, 60, 79, 80, 81, 132, 300} {
		text := drawn(&Ladder{TextStyle: TextStyle{Width: width}}, article())
		right := -1
		for line := range strings.Lines(text) {
			end := strings.LastIndexAny(line, "│┤")
			if end < 0 {
				continue
			}
			if n := columns.StringWidth(line[:end]); right < 0 {
				right = n
			} else if n != right {
				t.Errorf("width %d: the right column is at %d, and before it was at %d: %s", width, n, right, line)
			}
			if n := columns.StringWidth(strings.TrimSuffix(line, "\n")); width >= 60 && n > width {
				t.Errorf("width %d: a line of %d: %s", width, n, line)
			}
		}
		for _, state := range []string{"SYN-SENT", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "CLOSE-WAIT", "LAST-ACK", "TIME-WAIT", "CLOSED"} {
			if !strings.Contains(text, state) {
				t.Errorf("width %d: %s is not shown", width, state)
			}
		}
	}
}

func TestLadderASCII(t *testing.T) {
	for _, level := range []int{0, 1, 2} {
		for _, r := range drawn(&Ladder{TextStyle: TextStyle{Level: level, ASCII: true}}, eventful()) {
			if r > '~' {
				t.Errorf("level %d: %q is no ASCII", level, r)
			}
		}
	}
}
