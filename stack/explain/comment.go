package explain

// Comment is what there is to say of a segment as plain text, a sentence a
// line, for the comment of a packet in a capture.
func Comment(a *Account) string { return string(AppendComment(make([]byte, 0, 512), a)) }

// AppendComment appends the Comment to b.
func AppendComment(b []byte, a *Account) []byte {
	var sp speech
	start := len(b)
	for i := range a.Why {
		why := &a.Why[i]
		if why.Kind == Detail {
			continue
		}
		if len(b) > start {
			b = append(b, '\n')
		}
		b = sp.append(b, a.voice, why.Format, why.Args)
	}
	return b
}
