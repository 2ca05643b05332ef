package dissect

// lz4Block appends to dst what the block b of LZ4 holds, at most limit bytes of it (LZ4 Block Format Description): what is
// cut off or damaged ends it there.
func lz4Block(dst, b []byte, limit int) []byte {
	w := wire{b: b}
	start := len(dst)
	length := func(n int) int { // of literals or of a match, of which more bytes may tell
		if n < 15 {
			return n
		}
		for !w.bad {
			c := w.be(1)
			if n += int(c); c != 255 || n > limit {
				break
			}
		}
		return n
	}
	for len(w.b) > 0 && len(dst)-start < limit {
		token := int(w.be(1))
		literals := length(token >> 4)
		literals = min(literals, len(w.b), limit-(len(dst)-start))
		dst = append(dst, w.take(literals)...)
		if len(w.b) < 2 {
			break // the last sequence has no match
		}
		offset := int(w.le(2))
		match := 4 + length(token&15)
		if offset == 0 || offset > len(dst)-start {
			break
		}
		match = min(match, limit-(len(dst)-start))
		for range match { // which may run into what it writes
			dst = append(dst, dst[len(dst)-offset])
		}
	}
	return dst
}
