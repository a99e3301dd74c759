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
	ASCII bool // the terminal has no Unicode
	Width int  // columns of the terminal; 0: lines are not wrapped
	Level int  // 0: one line a segment; 1: the arithmetic under it; 2: everything

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

// Legend tells how to read the numbers of the lines that follow.
func (s TextStyle) Legend(lang *words.Language) string {
	var b strings.Builder
	s.line(&b, faint, words.Wrap(lang.Text("Seq, Ack and Next count from the first Seq of each side; the number in brackets is the one on the wire (-v: all of them)"), s.Width, later))
	return s.ascii(b.String())
}

// Format writes an account: one line, and what Level adds under it; before the
// first of a conversation, who its ends are. Every line ends with a newline. What
// came from the network is quoted.
func (s TextStyle) Format(a *Account) string {
	var b strings.Builder
	if a.First {
		s.line(&b, bold, words.Wrap(a.Say(a.ends()), s.Width, later))
	}
	colour := magenta
	switch {
	case a.Problem():
		colour = red
	case a.Outward:
		colour = green
	}
	s.line(&b, colour, s.join(s.head(a)))
	s.sentences(&b, a)
	return s.ascii(b.String())
}

// sentences writes as many of them as Level wants.
func (s TextStyle) sentences(b *strings.Builder, a *Account) {
	for _, why := range a.Why {
		if s.Level > 1 || s.Level == 1 && why.Kind != Detail {
			s.sentence(b, why, a.Say(why))
		}
	}
}

// Summary writes the verdict on a conversation, in the same way.
func (s TextStyle) Summary(sum *Summary) string {
	var b strings.Builder
	ends := phrase(Meaning, "%v → %v: %s in %v", sum.Client, sum.Server, segments(sum.Segments), elapsed(sum.Lasted))
	s.line(&b, bold, words.Wrap(sum.Say(ends), s.Width, later))
	for _, why := range sum.Why {
		s.sentence(&b, why, sum.Say(why))
	}
	return s.ascii(b.String())
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

// ends says which arrow is whose.
func (a *Account) ends() Sentence {
	left, right := a.Src, a.Dst
	client, server := word("the client"), word("the server")
	if !a.Outward {
		left, right = right, left
	}
	if a.Outward != a.FromClient {
		client, server = server, client
	}
	switch {
	case a.Src == a.Dst:
		return phrase(Meaning, "[%d] %v is connected with itself: all segments are from it and for it", a.Stream, a.Src)
	case a.Live != nil && (a.Fate == nil || a.Fate.Ours):
		return phrase(Meaning, "[%d] → from us, %s, %v; ← from %s, %v", a.Stream, client, left, server, right)
	case a.Roles:
		return phrase(Meaning, "[%d] → from %s, %v; ← from %s, %v", a.Stream, client, left, server, right)
	}
	return phrase(Meaning, "[%d] → from %v; ← from %v", a.Stream, left, right)
}

// head is the line of a segment, as the parts between which it may be wrapped.
func (s TextStyle) head(a *Account) []string {
	arrow := "←"
	if a.Outward {
		arrow = "→"
	}
	name := a.name()
	if a.Stream > 0 {
		name += fmt.Sprintf(" [%d]", a.Stream)
	}
	parts := []string{
		fmt.Sprintf("%-4s %s %s %-7s", name, seconds(a.Since), arrow, a.Flags.String()),
		s.sum(a),
	}
	if a.Flags.Has(stack.ACK) {
		parts = append(parts, s.ack(a))
	}
	if !a.Flags.Has(stack.RST) {
		parts = append(parts, s.window(a))
	}
	parts = append(parts, s.options(a)...)
	marks := s.marks(a)
	if len(a.Payload) > 0 {
		room := preview
		if used := runewidth.StringWidth(strings.Join(parts, "  ")) + 2; s.Width > 0 {
			room = s.Width - used
			if room < 16 {
				room = s.Width - len(indent) // on a line of its own
			}
		}
		parts = append(parts, s.quote(a.Payload, room))
	}
	if s.Level == 0 && marks != "" && s.hidden == "" {
		parts = append(parts, marks)
	}
	return parts
}

// name is the number of the segment.
func (a *Account) name() string {
	if a.Frame == 0 {
		return "-"
	}
	return frame(a.Frame).String()
}

// marks is what is unusual, in brackets.
func (s TextStyle) marks(a *Account) string {
	if len(a.Marks) == 0 {
		return ""
	}
	var all []string
	for _, m := range a.Marks {
		all = append(all, a.Say(m))
	}
	return "(" + strings.Join(all, ", ") + ")"
}

// sum is Seq and what the segment adds to it, which is Next. While a quiz asks
// for one of them, they stand apart.
func (s TextStyle) sum(a *Account) string {
	seq, next, n := s.number("Seq", a.Seq), s.number("Next", a.Next), fmt.Sprintf("Len %d", a.Len)
	switch {
	case s.hidden != "":
		return seq + "  " + n + "  " + next
	case a.Flags.Has(stack.RST) && a.Len > 0:
		return seq + "  " + n
	case a.Flags.Has(stack.RST):
		return seq
	}
	terms := []string{seq}
	if a.Len > 0 || a.Flags&(stack.SYN|stack.FIN) == 0 {
		terms = append(terms, n)
	}
	if a.Flags.Has(stack.SYN) {
		terms = append(terms, "SYN 1")
	}
	if a.Flags.Has(stack.FIN) {
		terms = append(terms, "FIN 1")
	}
	return strings.Join(terms, " + ") + " = " + next
}

// ack is Ack and, where it says something new, which segment's Next it is.
func (s TextStyle) ack(a *Account) string {
	ack := s.number("Ack", a.Ack)
	if a.AckOf == 0 || s.hidden != "" {
		return ack
	}
	return a.Say(phrase(Arithmetic, "%s = Next of %v", ack, frame(a.AckOf)))
}

func (s TextStyle) window(a *Account) string {
	if a.Unscaled && a.Window > 0 {
		return fmt.Sprintf("Win %d × ?", a.Window)
	}
	return fmt.Sprintf("Win %d", a.Window)
}

// number shows a number, with the one on the wire where the others count from it.
func (s TextStyle) number(name string, n Number) string {
	switch {
	case strings.Contains(s.hidden, name):
		return name + " ?"
	case n.Known && n.Rel >= 1<<31: // it lies before the first, and so counts from another
		return fmt.Sprintf("%s (%v)", name, n.Raw)
	case name == "Seq" && n.Known && n.Rel == 0:
		return fmt.Sprintf("%s %v (%v)", name, n.Rel, n.Raw)
	}
	return fmt.Sprintf("%s %v", name, n.shown())
}

// options lists the options: those of a SYN, and those that tell of a loss. The
// others are the same in every segment, and there only where everything is wanted.
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
	switch {
	case !opt.HasTimestamps:
	case s.Level > 1, s.Level > 0 && a.Flags.Has(stack.SYN):
		add("TSval %d TSecr %d", opt.TSVal, opt.TSEcr)
	case a.Flags.Has(stack.SYN):
		add("timestamps")
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
func (s TextStyle) quote(octets []byte, room int) string {
	quoted, cut := strconv.Quote, "…"
	if s.ASCII {
		quoted, cut = strconv.QuoteToASCII, "..."
	}
	q := quoted(string(octets[:min(len(octets), max(room, 0))]))
	if len(octets) <= room && runewidth.StringWidth(q) <= room {
		return q
	}
	// An escape must not be cut in two: drop octets until it fits.
	for n := min(len(octets), max(room-3, 0)); ; n-- {
		q = quoted(string(octets[:n])) + cut
		if n == 0 || runewidth.StringWidth(q) <= room {
			return q
		}
	}
}

// asciiOf is how a terminal without Unicode shows what we use of it.
var asciiOf = strings.NewReplacer("│", "|", "├", "|", "┤", "|", "─", "-", "▶", ">", "◀", "<", "→", "->", "←", "<-",
	"×", "x", "✗", "x", "…", "...")

func (s TextStyle) ascii(text string) string {
	if s.ASCII {
		return asciiOf.Replace(text)
	}
	return text
}

// seconds is a time in seconds with microseconds.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 6, 64) }
