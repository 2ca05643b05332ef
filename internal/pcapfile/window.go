package pcapfile

import "io"

const (
	// windowBytes is the buffer's size: large enough that a read costs little beside its copy, small
	// enough for the second-level cache.
	windowBytes = 512 << 10
	// maxEmptyReads is how often a reader may return nothing at all.
	maxEmptyReads = 100
)

// window is a buffered look at a stream, from which records are taken as slices, without a copy.
type window struct {
	r          io.Reader
	buf        []byte
	start, end int
	base       int64 // offset in the stream of buf[0]
	err        error // why the stream ended; io.EOF at its end
}

// offset returns the position in the stream of the next byte.
func (w *window) offset() int64 { return w.base + int64(w.start) }

// peek returns the bytes at hand, at least n of them unless the stream ends before. They are valid until
// the next peek.
func (w *window) peek(n int) []byte {
	if w.end-w.start < n && w.err == nil {
		w.fill(n)
	}
	return w.buf[w.start:w.end]
}

// skip drops n of the bytes that peek returned.
func (w *window) skip(n int) { w.start += n }

// fill reads until n bytes are at hand or the stream ends. It does not wait for more than n, so that a
// live stream is read as it comes.
func (w *window) fill(n int) {
	if w.start > 0 {
		copy(w.buf, w.buf[w.start:w.end])
		w.base += int64(w.start)
		w.start, w.end = 0, w.end-w.start
	}
	if n > len(w.buf) {
		size := max(len(w.buf), windowBytes)
		for size < n {
			size *= 2
		}
		buf := make([]byte, size)
		copy(buf, w.buf[:w.end])
		w.buf = buf
	}
	for empty := 0; w.end < n && w.err == nil; {
		m, err := w.r.Read(w.buf[w.end:])
		w.end += m
		w.err = err
		if m > 0 {
			empty = 0
		} else if empty++; empty >= maxEmptyReads && err == nil {
			w.err = io.ErrNoProgress
		}
	}
}
