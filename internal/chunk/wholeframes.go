package chunk

// WholeFrames returns how many bytes at the start of b are whole frames, and how many raw
// bytes they hold: for who fetches a long range piece by piece. Decoder.Range says what is wrong
// with a frame that is not whole because it is damaged.
func WholeFrames(b []byte) (compressed, content int) {
	for compressed < len(b) {
		f, reason := parseFrame(b[compressed:])
		if reason != "" {
			break
		}
		compressed += f.compressed
		content += f.content
	}
	return compressed, content
}
