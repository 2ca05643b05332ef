package dissect

import "slices"

// scattered hashes a file whose pieces may come out of order: those that come early wait, in a bounded buffer, for what
// lies before them. It counts each byte once.
type scattered struct {
	fileHash               // of what came in order from the beginning
	next      int64        // offset behind what was hashed
	top       int64        // highest offset behind anything announced
	early     []earlyPiece // by offset
	kept      int          // bytes of the pieces that wait, when they are whole
	held      int          // bytes of the blocks that they are in
	have      []extent     // what came, in order, none touching the next
	uncounted int64        // bytes of more extents than are kept
}

// earlyPiece is a piece that came before what lies in front of it.
type earlyPiece struct {
	offset int64
	size   int      // when it is whole
	n      int      // of what came
	blocks [][]byte // made as the bytes come: what announces a piece need not keep its word
}

// extent is the bytes of a file from start up to end.
type extent struct{ start, end int64 }

// Limits of one file.
const (
	maxEarlyPieces  = 64
	maxExtents      = 64
	earlyBlockBytes = 64 << 10
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
	s.holdEarly(-h.held)
	h.early, h.kept, h.held = nil, 0, 0
}

// expect says that a piece of the file follows, which is kept if it is early: where it would be too much, the file has no hashes.
func (h *scattered) expect(s *Session, offset int64, size int) {
	h.top = max(h.top, offset+int64(size))
	if h.lost || offset <= h.next {
		return
	}
	if len(h.early) >= maxEarlyPieces || h.kept+size > s.maxEarly() {
		h.lose(s)
		return
	}
	h.kept += size
	i, _ := slices.BinarySearchFunc(h.early, offset, func(p earlyPiece, at int64) int { return int(p.offset - at) })
	h.early = slices.Insert(h.early, i, earlyPiece{offset: offset, size: size})
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
			h.kept -= p.size
			for _, block := range p.blocks {
				h.take(p.offset, block)
				p.offset += int64(len(block))
				h.held -= cap(block)
				s.holdEarly(-cap(block))
			}
		}
	default:
		for i := range h.early {
			if p := &h.early[i]; p.offset+int64(p.n) == offset && p.size-p.n >= len(b) {
				if !h.keep(s, p, b) {
					h.lose(s)
				}
				return
			}
		}
		h.lose(s)
	}
}

// keep keeps the next bytes of a piece that is early.
func (h *scattered) keep(s *Session, p *earlyPiece, b []byte) bool {
	for len(b) > 0 {
		last := len(p.blocks) - 1
		if last < 0 || len(p.blocks[last]) == cap(p.blocks[last]) {
			block := make([]byte, 0, min(earlyBlockBytes, p.size-p.n))
			if !s.holdEarly(cap(block)) {
				return false
			}
			h.held += cap(block)
			p.blocks = append(p.blocks, block)
			last++
		}
		m := min(len(b), cap(p.blocks[last])-len(p.blocks[last]))
		p.blocks[last] = append(p.blocks[last], b[:m]...)
		p.n += m
		b = b[m:]
	}
	return true
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
