package words

import (
	"strings"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// Wrap breaks a text into lines of at most so many columns, where its language
// breaks lines; 0: nowhere. Later lines begin with indent.
func Wrap(text string, columns int, indent string) string {
	if columns <= 0 {
		return text
	}
	var b strings.Builder
	column := 0
	for i, piece := range pieces(text) {
		n := runewidth.StringWidth(piece)
		if i > 0 && column+n > columns {
			piece = strings.TrimLeft(piece, " ")
			b.WriteString("\n" + indent)
			column, n = runewidth.StringWidth(indent), runewidth.StringWidth(piece)
		}
		b.WriteString(piece)
		column += n
	}
	return b.String()
}

// pieces are what a line break may part: words, each with the space before it,
// and single Chinese characters.
func pieces(text string) []string {
	var list []string
	start := 0
	before := ' '
	for i, r := range text {
		if mayBreak(before, r) {
			list = append(list, text[start:i])
			start = i
		}
		before = r
	}
	return append(list, text[start:])
}

// mayBreak reports whether a line may end before r. A Chinese line breaks
// between any two characters, but none begins with a mark that closes, and none
// ends with one that opens.
func mayBreak(before, r rune) bool {
	switch {
	case before == ' ':
		return false
	case r == ' ':
		return true
	}
	return (isChinese(before) || isChinese(r)) &&
		!strings.ContainsRune("，。；：、！？）》」』”’,.;:!?)]}%", r) &&
		!strings.ContainsRune("（《「『“‘([{", before)
}

// isChinese includes the punctuation and the wide forms.
func isChinese(r rune) bool {
	return unicode.Is(unicode.Han, r) || r >= 0x3000 && r <= 0x303f || r >= 0xff00 && r <= 0xffef
}
