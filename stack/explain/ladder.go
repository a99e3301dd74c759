package explain

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/mattn/go-runewidth"

	"rawnc/stack"
)

// A Ladder draws segments as arrows between two columns, the states of both
// ends beside them. It remembers what the line before showed, so that it says a
// state only where it changes.
type Ladder struct {
	TextStyle // Width 0 is 80 columns

	stream int // of the line before, + 1
	states [2]string
}

const (
	stateColumns = len("SYN-RECEIVED") + 1
	// leastArrow is how many columns an arrow needs. Where they are not there,
	// what stands left of it gives way.
	leastArrow = 24
)

// Format draws a segment: a header where the conversation is not that of the
// line before, what the segment says, and the arrow. Level adds the sentences
// under it. Every line ends with a newline.
func (l *Ladder) Format(a *Account) string {
	width := l.Width
	if width <= 0 {
		width = 80
	}
	margin := fmt.Sprintf("%-6s %s ", a.name(), seconds(a.Since))
	between := width - len(margin) - 2*stateColumns - 2 // without the columns themselves
	if between < leastArrow {
		margin = ""
		between = max(width-2*stateColumns-2, leastArrow)
	}
	var b strings.Builder
	left, right := a.Src, a.Dst
	states := [2]string{a.SrcState.shown(), a.DstState.shown()}
	if !l.fromLeft(a) {
		left, right = right, left
		states[0], states[1] = states[1], states[0]
	}
	if l.stream != a.Stream+1 {
		l.header(&b, left, right, a.Stream, len(margin), between)
		l.stream, l.states = a.Stream+1, [2]string{}
	}
	for i, s := range states {
		if s == l.states[i] {
			states[i] = ""
		} else {
			l.states[i] = s
		}
	}
	lines := wrapLabel(l.label(a), between-5)
	blank := strings.Repeat(" ", len(margin)+stateColumns)
	for _, line := range lines[:len(lines)-1] {
		fmt.Fprintf(&b, "%s│ %s │\n", blank, fill(line, between-2, " "))
	}
	arrow := l.arrow(a, lines[len(lines)-1], between)
	fmt.Fprintf(&b, "%s%s%s%s\n", margin, fill(states[0], stateColumns, " "), l.colour(a, arrow), strings.TrimRight(" "+states[1], " "))
	l.sentences(&b, a)
	return l.ascii(b.String())
}

// arrow is the line between the columns, with a label. A segment that is known to
// be lost does not reach the other one.
func (l *Ladder) arrow(a *Account, label string, between int) string {
	lost := a.Fate != nil && a.Fate.Lost
	line := fill(label+" ", between-3, "─")
	switch {
	case lost && l.fromLeft(a):
		return "├─ " + fill(label+" ", between-4, "─") + "✗ │"
	case lost:
		return "│ ✗ " + line + "┤"
	case l.fromLeft(a):
		return "├─ " + line + "▶│"
	}
	return "│◀─ " + line + "┤"
}

// fromLeft reports whether the sender stands on the left: the client does, and in
// a live connection we do.
func (l *Ladder) fromLeft(a *Account) bool {
	if a.Live != nil {
		return a.Live.Sent
	}
	return a.FromClient
}

// Summary writes the verdict on a conversation.
func (l *Ladder) Summary(s *Summary) string {
	l.stream = 0 // the next segment needs a header
	return l.TextStyle.Summary(s)
}

// header names the ends above their columns.
func (l *Ladder) header(b *strings.Builder, leftEnd, rightEnd netip.AddrPort, stream, margin, between int) {
	left, right := leftEnd.String(), rightEnd.String()
	number := "[" + strconv.Itoa(stream) + "]"
	from := margin + stateColumns // where the left column is
	start := max(0, from-len(left)/2)
	end := max(start+len(left)+2, min(from+1+between-len(right)/2, from+between+stateColumns-len(right)))
	line := strings.Repeat(" ", start) + left + strings.Repeat(" ", max(end-start-len(left), 2)) + right
	if start > len(number) {
		line = number + line[len(number):]
	}
	if l.Color {
		line = bold + line + reset
	}
	fmt.Fprintf(b, "%s\n", line)
}

// label is what stands at the arrow, as the parts between which it may be wrapped.
func (l *Ladder) label(a *Account) []string {
	parts := []string{a.Flags.String(), l.number("Seq", a.Seq)}
	if a.Flags.Has(stack.ACK) {
		parts = append(parts, l.number("Ack", a.Ack))
	}
	if a.Len > 0 || l.Level > 0 {
		parts = append(parts, "Len "+strconv.Itoa(a.Len))
	}
	if l.Level > 0 && !a.Flags.Has(stack.RST) {
		parts = append(parts, l.window(a))
	}
	if l.Level > 0 {
		parts = append(parts, l.options(a)...)
	}
	for _, m := range a.Marks {
		parts = append(parts, "("+a.Say(m)+")")
	}
	return parts
}

func (l *Ladder) colour(a *Account, arrow string) string {
	switch {
	case !l.Color:
		return arrow
	case a.Problem():
		return red + arrow + reset
	case l.fromLeft(a):
		return green + arrow + reset
	}
	return magenta + arrow + reset
}

// columns counts without regard to the locale: a box drawing character takes
// one, in East Asian terminals too.
var columns = runewidth.Condition{}

// fill brings s to n columns with repetitions of a character of one column.
func fill(s string, n int, with string) string {
	return s + strings.Repeat(with, max(n-columns.StringWidth(s), 0))
}

// wrapLabel puts parts onto lines of at most n columns, but never less than one part
// on a line.
func wrapLabel(parts []string, n int) []string {
	lines := []string{parts[0]}
	for _, part := range parts[1:] {
		last := &lines[len(lines)-1]
		if columns.StringWidth(*last)+1+columns.StringWidth(part) <= n {
			*last += " " + part
		} else {
			lines = append(lines, part)
		}
	}
	return lines
}

// shown is the state's name; nothing if it is not known.
func (s State) shown() string {
	if !s.Known {
		return ""
	}
	return s.String()
}
