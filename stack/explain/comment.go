package explain

import "strings"

// Comment is what there is to say of a segment as plain text, a sentence a
// line, for the comment of a packet in a capture.
func Comment(a *Account) string {
	var lines []string
	for _, why := range a.Why {
		if why.Kind != Detail {
			lines = append(lines, a.Say(why))
		}
	}
	return strings.Join(lines, "\n")
}
