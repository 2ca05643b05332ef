package dissect

// frames cuts both directions of a stream into messages that begin with their length. Of a long message only the
// beginning is read.
type frames struct {
	skip [2]int
	lost [2]bool // where the next message begins is not known
	// begins, which may be nil, reports whether b seems to begin with a message: behind missing bytes they are looked for
	// where segments begin. Without it, what is missing ends the parser.
	begins func(dir Dir, b []byte) bool
}

// each calls message for the messages in b, cut to at most longest bytes, until it returns false. size returns a
// message's whole length by its first head bytes, 0 when they begin none. It returns how many bytes of b
// are done with, and what the parser wants next.
func (f *frames) each(dir Dir, b []byte, head, longest int, size func([]byte) int, message func([]byte) bool) (int, Status) {
	n := 0
	if f.lost[dir] {
		if len(b) < head || !f.begins(dir, b) {
			return len(b), More
		}
		f.lost[dir] = false
	}
	for {
		m := min(f.skip[dir], len(b)-n)
		f.skip[dir] -= m
		n += m
		if len(b)-n < head {
			return n, More
		}
		whole := size(b[n : n+head])
		if whole <= 0 {
			return n, Done
		}
		need := min(whole, longest)
		if len(b)-n < need {
			return n, More
		}
		f.skip[dir] = whole - need
		n += need
		if !message(b[n-need : n]) {
			return n, Done
		}
	}
}

// gap says that bytes are missing: a message that is skipped survives it.
func (f *frames) gap(dir Dir, missing int) Status {
	if missing > f.skip[dir] {
		if f.begins == nil {
			return Done
		}
		f.skip[dir], f.lost[dir] = 0, true
		return More
	}
	f.skip[dir] -= missing
	return More
}

// wire takes fields off the front of a message. Once one is missing, all that follow are zero, and bad says so.
type wire struct {
	b   []byte
	bad bool
}

// take returns the next n bytes, nil when there are fewer.
func (w *wire) take(n int) []byte {
	if n < 0 || n > len(w.b) {
		w.bad, w.b = true, nil
		return nil
	}
	out := w.b[:n]
	w.b = w.b[n:]
	return out
}

// be returns the next n bytes, at most 8, as a number in network byte order.
func (w *wire) be(n int) uint64 {
	var v uint64
	for _, c := range w.take(n) {
		v = v<<8 | uint64(c)
	}
	return v
}

// le returns the next n bytes, at most 8, as a number in little endian.
func (w *wire) le(n int) uint64 {
	var v uint64
	for i, c := range w.take(n) {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// text returns the bytes behind a length of n bytes in network byte order.
func (w *wire) text(n int) []byte { return w.take(int(min(w.be(n), 1<<31))) }

// beginning is text, of which what is there is returned where the rest is missing, as in a message that was not read whole.
func (w *wire) beginning(n int) []byte {
	size := w.be(n)
	return w.take(int(min(size, uint64(len(w.b)))))
}

// cstring returns the bytes before the next zero byte, which it takes too.
func (w *wire) cstring() []byte {
	for i, c := range w.b {
		if c == 0 {
			return w.take(i + 1)[:i]
		}
	}
	w.take(len(w.b) + 1)
	return nil
}
