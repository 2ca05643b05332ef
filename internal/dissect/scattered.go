package dissect

import "slices"

// scattered hashes a file whose pieces may come out of order: those that come early wait, in a bounded buffer, for what
// lies before them. It counts each byte once.
type scattered struct {
	fileHash               // of what came in order from the beginning
	next      int64        // offset behind what was hashed
	top       int64        // highest offset behind anything announced
	early     []earlyPiece // by offset
	kept      int          // bytes that early holds, or will
	have      []extent     // what came, in order, none touching the next
	uncounted int64        // bytes of more extents than are kept
}

type earlyPiece struct {
	offset int64
	data   []byte // with room for all of the piece
}

// extent is the bytes of a file from start up to end.
type extent struct{ start, end int64 }

// Limits of one file.
const (
	maxEarlyBytes  = 192 << 10 // of pieces that wait; with more, the file has no hashes
	maxEarlyPieces = 32
	maxExtents     = 32
)

func newScattered() *scattered {
	h := &scattered{}
	h.reset()
	return h
}

// restart begins the hashes anew: the file comes from the beginning again.
func (h *scattered) restart(s *Session) {
	h.lose(s)
	h.reset()
	h.next = 0
}

// lose gives the hashes up.
func (h *scattered) lose(s *Session) {
	h.lost = true
	s.Hold(-h.kept)
	h.early, h.kept = nil, 0
}

// expect says that a piece of the file follows, so that there is room for it if it is early.
func (h *scattered) expect(s *Session, offset int64, size int) {
	h.top = max(h.top, offset+int64(size))
	if h.lost || offset <= h.next {
		return
	}
	if len(h.early) >= maxEarlyPieces || h.kept+size > maxEarlyBytes || !s.Hold(size) {
		h.lose(s)
		return
	}
	h.kept += size
	i, _ := slices.BinarySearchFunc(h.early, offset, func(p earlyPiece, at int64) int { return int(p.offset - at) })
	h.early = slices.Insert(h.early, i, earlyPiece{offset, make([]byte, 0, size)})
}

// at takes bytes of the file at an offset, of a piece that was expected.
func (h *scattered) at(s *Session, offset int64, b []byte) {
	if len(b) == 0 {
		return
	}
	h.note(extent{offset, offset + int64(len(b))})
	switch {
	case h.lost:
		if offset == int64(len(h.head)) { // the file's type can still be told
			h.head = append(h.head, b[:min(len(b), fileHeadBytes-len(h.head))]...)
		}
	case offset <= h.next:
		h.take(offset, b)
		for len(h.early) > 0 && h.early[0].offset <= h.next && !h.lost {
			p := h.early[0]
			h.early = h.early[1:]
			h.kept -= cap(p.data)
			s.Hold(-cap(p.data))
			h.take(p.offset, p.data)
		}
	default:
		for i := range h.early {
			p := &h.early[i]
			if p.offset+int64(len(p.data)) == offset && cap(p.data)-len(p.data) >= len(b) {
				p.data = append(p.data, b...)
				return
			}
		}
		h.lose(s)
	}
}

// take hashes what of the bytes is new.
func (h *scattered) take(offset int64, b []byte) {
	if skip := h.next - offset; skip < int64(len(b)) {
		h.write(b[skip:], fileHeadBytes)
		h.next += int64(len(b)) - skip
	}
}

// meets reports whether any of the bytes came before.
func (h *scattered) meets(offset int64, size int) bool {
	return slices.ContainsFunc(h.have, func(x extent) bool { return x.start < offset+int64(size) && offset < x.end })
}

// note counts what came.
func (h *scattered) note(in extent) {
	i, _ := slices.BinarySearchFunc(h.have, in.start, func(x extent, start int64) int {
		switch {
		case x.end < start:
			return -1
		case x.end > start:
			return 1
		}
		return 0
	})
	j := i
	for ; j < len(h.have) && h.have[j].start <= in.end; j++ {
		in = extent{min(in.start, h.have[j].start), max(in.end, h.have[j].end)}
	}
	if i == j && len(h.have) >= maxExtents {
		h.uncounted += in.end - in.start
		return
	}
	h.have = slices.Replace(h.have, i, j, in)
}

// size returns how many bytes of the file came.
func (h *scattered) size() int64 {
	n := h.uncounted
	for _, x := range h.have {
		n += x.end - x.start
	}
	return n
}
