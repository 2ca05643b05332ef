package dissect

import "slices"

// sparse puts pieces of a message in order by their offsets. Of bytes that come
// twice the first win. The zero value is ready for use.
type sparse struct {
	buf  []byte
	have []span // parts of buf that are filled, in order, none touching the next
}

// span is the bytes from start up to end.
type span struct{ start, end int }

// maxSpans bounds the pieces that wait for what lies between them: senders cut a
// message in a few dozen pieces at most.
const maxSpans = 256

// add takes a piece. It returns false when the piece passes limit, the session's
// buffer is full, or there are too many pieces; the piece is then not kept.
func (p *sparse) add(s *Session, off uint64, b []byte, limit int) bool {
	if off > uint64(limit) || len(b) > limit-int(off) {
		return false
	}
	in := span{int(off), int(off) + len(b)}
	if len(b) == 0 {
		return true
	}
	if grow := in.end - len(p.buf); grow > 0 {
		if !s.Hold(grow) {
			return false
		}
		p.buf = append(p.buf, make([]byte, grow)...)
	}
	// The spans from i up to j meet the piece: fill what is free between them, and make one of all.
	i, _ := slices.BinarySearchFunc(p.have, in.start, func(h span, start int) int { return h.end - start })
	j, at, joined := i, in.start, in
	for ; j < len(p.have) && p.have[j].start <= in.end; j++ {
		h := p.have[j]
		if at < h.start {
			copy(p.buf[at:h.start], b[at-in.start:])
		}
		at = max(at, h.end)
		joined = span{min(joined.start, h.start), max(joined.end, h.end)}
	}
	if at < in.end {
		copy(p.buf[at:in.end], b[at-in.start:])
	}
	if i == j && len(p.have) >= maxSpans {
		return false
	}
	p.have = slices.Replace(p.have, i, j, joined)
	return true
}

// prefix returns the bytes from offset 0 on that are complete.
func (p *sparse) prefix() []byte {
	if len(p.have) == 0 || p.have[0].start != 0 {
		return nil
	}
	return p.buf[:p.have[0].end]
}

// release lets go of what is kept.
func (p *sparse) release(s *Session) {
	s.Hold(-len(p.buf))
	*p = sparse{}
}
