package explain

// Comment is what there is to say of a segment as plain text, a sentence a
// line, for the comment of a packet in a capture.
func Comment(a *Account) string {
	var sp speech
	text := make([]byte, 0, 512)
	for _, why := range a.Why {
		if why.Kind == Detail {
			continue
		}
		if len(text) > 0 {
			text = append(text, '\n')
		}
		text = sp.append(text, a.voice, why.Format, why.Args)
	}
	return string(text)
}
