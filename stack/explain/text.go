package explain

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"rawnc/stack"
	"rawnc/stack/explain/words"
)

// TextStyle is how accounts are written for people.
type TextStyle struct {
	Color bool
	Width int // columns of the terminal; 0: lines are not wrapped
	Level int // 0: one line a segment; 1: the arithmetic under it; 2: everything

	hidden string // the names of the numbers that a quiz asks for
}

const (
	indent = "     "
	later  = indent + "  " // before what does not fit on the line
	// preview is how many columns the payload gets where the width is not known.
	preview = 60
)

// The colours, as ANSI escape sequences.
const (
	reset   = "\x1b[0m"
	faint   = "\x1b[2m"
	bold    = "\x1b[1m"
	red     = "\x1b[31m"
	green   = "\x1b[32m"
	magenta = "\x1b[35m"
)

// Format writes an account: one line, and what Level adds under it. Every line
// ends with a newline. What came from the network is quoted.
func (s TextStyle) Format(a *Account) string {
	var b strings.Builder
	colour := magenta
	switch {
	case a.Problem():
		colour = red
	case a.Outward:
		colour = green
	}
	s.line(&b, colour, s.join(s.head(a)))
	for _, why := range a.Why {
		switch {
		case s.Level < 1, s.Level < 2 && why.Kind == Detail:
			continue
		}
		s.sentence(&b, why, a.Say(why))
	}
	return b.String()
}

// Summary writes the verdict on a conversation, in the same way.
func (s TextStyle) Summary(sum *Summary) string {
	var b strings.Builder
	ends := phrase(Meaning, "%v → %v: %s in %v", sum.Client, sum.Server, segments(sum.Segments), elapsed(sum.Lasted))
	s.line(&b, bold, words.Wrap(sum.Say(ends), s.Width, later))
	for _, why := range sum.Why {
		s.sentence(&b, why, sum.Say(why))
	}
	return b.String()
}

func (s TextStyle) sentence(b *strings.Builder, why Sentence, text string) {
	colour := ""
	switch why.Kind {
	case Unusual:
		colour = red
	case Change:
		colour = bold
	case Detail:
		colour = faint
	}
	s.line(b, colour, words.Wrap(indent+text, s.Width, later))
}

// head is the line of a segment, as the parts between which it may be wrapped.
func (s TextStyle) head(a *Account) []string {
	arrow := "←"
	if a.Outward {
		arrow = "→"
	}
	name := "-"
	if a.Frame != 0 {
		name = frame(a.Frame).String()
	}
	flags := a.Flags.String()
	if a.Stream > 0 {
		name += fmt.Sprintf(" [%d]", a.Stream)
	}
	parts := []string{
		fmt.Sprintf("%-4s %s %s %-7s", name, seconds(a.Since), arrow, flags),
		s.number("Seq", a.Seq),
	}
	switch {
	case a.Flags.Has(stack.ACK):
		parts = append(parts, s.number("Ack", a.Ack))
	case s.Level < 2:
		parts = append(parts, "     ")
	}
	if !a.Flags.Has(stack.RST) {
		parts = append(parts, s.number("Next", a.Next))
	}
	parts = append(parts,
		"Len "+strconv.Itoa(a.Len),
		"Win "+strconv.Itoa(a.Window))
	parts = append(parts, s.options(a)...)
	if len(a.Payload) > 0 {
		room := preview
		if used := runewidth.StringWidth(strings.Join(parts, "  ")) + 2; s.Width > 0 {
			room = s.Width - used
			if room < 16 {
				room = s.Width - len(indent) // on a line of its own
			}
		}
		parts = append(parts, quote(a.Payload, room))
	}
	if s.Level == 0 && len(a.Analysis) > 0 {
		parts = append(parts, "("+strings.ReplaceAll(strings.Join(a.Analysis, ", "), "_", " ")+")")
	}
	return parts
}

func (s TextStyle) number(name string, n Number) string {
	if strings.Contains(s.hidden, name) {
		return name + " ?"
	}
	if s.Level > 1 && n.Known {
		return fmt.Sprintf("%s %v (%v)", name, n.Rel, n.Raw)
	}
	return fmt.Sprintf("%s %v", name, n.shown())
}

// options lists the options; those that are the same matter in every segment
// only where everything is wanted.
func (s TextStyle) options(a *Account) []string {
	var list []string
	add := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	opt := &a.Options
	if opt.MSS != 0 {
		add("MSS %d", opt.MSS)
	}
	if opt.SACKPermitted {
		add("SACK permitted")
	}
	if opt.HasTimestamps && (s.Level > 1 || a.Flags.Has(stack.SYN)) {
		add("TSval %d TSecr %d", opt.TSVal, opt.TSEcr)
	}
	if opt.HasWindowScale {
		add("scale %d", opt.WindowScale)
	}
	if opt.UserTimeout != 0 {
		add("user timeout %#04x", opt.UserTimeout)
	}
	for _, r := range a.SACK {
		add("SACK %v-%v", r.Left.shown(), r.Right.shown())
	}
	return list
}

// join puts parts on a line, or on several where the width wants it.
func (s TextStyle) join(parts []string) string {
	const gap = "  "
	var b strings.Builder
	column := 0
	for i, part := range parts {
		w := runewidth.StringWidth(part)
		switch {
		case i == 0:
		case s.Width > 0 && column+len(gap)+w > s.Width:
			b.WriteString("\n" + later)
			column = len(later)
		default:
			b.WriteString(gap)
			column += len(gap)
		}
		b.WriteString(part)
		column += w
	}
	return b.String()
}

// line ends what is written in a colour; none: the terminal's own.
func (s TextStyle) line(b *strings.Builder, colour, text string) {
	if s.Color && colour != "" {
		text = colour + text + reset
	}
	b.WriteString(text)
	b.WriteByte('\n')
}

// quote shows octets as a Go string in at most room columns, cut if need be. No
// control character of theirs reaches the terminal.
func quote(octets []byte, room int) string {
	q := strconv.Quote(string(octets[:min(len(octets), max(room, 0))]))
	if len(octets) <= room && runewidth.StringWidth(q) <= room {
		return q
	}
	// An escape must not be cut in two: drop octets until it fits.
	for n := min(len(octets), max(room-3, 0)); ; n-- {
		q = strconv.Quote(string(octets[:n])) + "…"
		if n == 0 || runewidth.StringWidth(q) <= room {
			return q
		}
	}
}

// seconds is a time in seconds with microseconds.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }
