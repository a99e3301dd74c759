package explain

import (
	"regexp"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"
	"golang.org/x/text/language"
)

// inChinese has the dialogue explained in Chinese, in a terminal of so many columns.
func (d *dialogue) inChinese(style TextStyle) string {
	n := NewNarrator(language.Chinese)
	var b strings.Builder
	for _, in := range d.inputs {
		b.WriteString(style.Format(n.Segment(in)))
	}
	b.WriteString(style.Summary(n.End(clientAddr, serverAddr)))
	return b.String()
}

// The golden files are there to be read by people.
func TestGoldenChinese(t *testing.T) {
	golden(t, "article.zh.txt", article().inChinese(TextStyle{Level: 1, Width: 100}))
	golden(t, "live.zh.txt", live().inChinese(TextStyle{Level: 2, Width: 100}))
}

// What is told in Chinese has no English left in it but the fields, flags,
// states and names, and fits a terminal in which most characters are wide.
func TestChineseIsWholeAndFits(t *testing.T) {
	english := regexp.MustCompile(`\b(the|of|is|a|an|and|that|it|to|this|in|sent|not|for)\b`)
	payload := regexp.MustCompile(`".*"`)
	for _, d := range []*dialogue{
		article(), fourSegmentClose(), simultaneousClose(), retransmission(), refused(), resetInTheMiddle(), wrap(),
		withoutHandshake(), closedWindow(), live(),
	} {
		text := d.inChinese(TextStyle{Level: 2, Width: 72})
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			if w := runewidth.StringWidth(line); w > 72 {
				t.Errorf("%d columns: %s", w, line)
			}
			line = strings.ReplaceAll(line, "operation not permitted", "") // the system's words
			if english.MatchString(payload.ReplaceAllString(line, "")) {
				t.Errorf("in English: %s", line)
			}
		}
	}
}
