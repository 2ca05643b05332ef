package dissect

import (
	"cmp"
	"errors"
	"maps"
	"math"
	"slices"

	"golang.org/x/net/http2/hpack"
)

// Limits of reading HTTP/3, of a connection.
const (
	http3MaxStreams = 256       // of a direction that are known; with more the lowest is forgotten
	http3MaxSection = 64 << 10  // bytes of a field section
	http3MaxWaiting = 128 << 10 // bytes of a stream that wait for others
	http3MaxPieces  = 64        // of a stream
)

// The frames and streams that matter here (RFC 9114 sections 6.2 and 7.2, RFC 9204 section 4.2).
const (
	http3Data     = 0
	http3Headers  = 1
	http3Settings = 4

	http3Control      = 0
	http3QPACKEncoder = 2

	http3TableCapacity = 1 // a setting
)

// http3 reads HTTP/3 (RFC 9114) of the streams of a decrypted QUIC connection. Its requests and responses fill HTTP's fields, as
// those of HTTP/2 do, with whose messages it goes on where their heads are read.
type http3 struct {
	http2
	tables  [2]qpackTable // of what each side sends
	streams [2]map[uint64]*http3Stream
	blocked [2]int    // streams that wait for the table, or more
	floor   [2]uint64 // streams below it that are not known were forgotten
}

// http3Stream is one direction of a stream.
type http3Stream struct {
	next  uint64 // offset behind what was read
	buf   []byte // what follows, and could not be read yet
	early []quicPiece
	held  int    // bytes of both
	end   uint64 // where the stream ends, if that is known
	over  bool   // all was read, or nothing more is

	typed   bool // of a unidirectional stream: its type is known
	kind    uint64
	blocked bool   // a field section waits for entries of the table
	data    uint64 // bytes left of a DATA frame
	skip    uint64 // bytes left of another
}

// quicPiece is bytes of a stream that came before those in front of them.
type quicPiece struct {
	off uint64
	b   []byte
}

func newHTTP3(q *quic) *http3 {
	h := &http3{http2: http2{p: q.http, grpc: q.grpc}}
	for side := range h.tables {
		h.tables[side].static = q.static
		h.streams[side] = make(map[uint64]*http3Stream)
	}
	return h
}

// stream takes bytes of a stream, which may have come before.
func (h *http3) stream(s *Session, sender Dir, id, off uint64, b []byte, fin bool) {
	const most = 1 << 62 // RFC 9000 section 4.5
	if off+uint64(len(b)) >= most {
		return
	}
	st := h.known(s, sender, id)
	if st == nil || st.over {
		return
	}
	if fin {
		st.end = off + uint64(len(b))
	}
	at := st.next + uint64(len(st.buf))
	switch {
	case off > at:
		i, again := slices.BinarySearchFunc(st.early, off, func(p quicPiece, off uint64) int { return cmp.Compare(p.off, off) })
		if again && len(st.early[i].b) >= len(b) {
			return
		}
		if len(st.early) >= http3MaxPieces || !h.hold(s, st, len(b)) {
			h.lose(s, sender, id, st)
			return
		}
		st.early = slices.Insert(st.early, i, quicPiece{off, slices.Clone(b)})
		return
	case off+uint64(len(b)) > at:
		b = b[at-off:]
	default:
		b = nil
	}
	h.next(s, sender, id, st, b)
	for len(st.early) > 0 && !st.over {
		p := st.early[0]
		at := st.next + uint64(len(st.buf))
		if p.off > at {
			return
		}
		st.early = slices.Delete(st.early, 0, 1)
		h.let(s, st, len(p.b))
		if end := p.off + uint64(len(p.b)); end > at {
			h.next(s, sender, id, st, p.b[at-p.off:])
		}
	}
}

// known returns a stream's direction, nil for one that was forgotten.
func (h *http3) known(s *Session, sender Dir, id uint64) *http3Stream {
	all := h.streams[sender]
	if st := all[id]; st != nil || id < h.floor[sender] || id > math.MaxUint32 {
		return st
	}
	if len(all) >= http3MaxStreams {
		ids := slices.Sorted(maps.Keys(all))
		// Those that are over are remembered only so that what is sent again is known.
		i := max(slices.IndexFunc(ids, func(id uint64) bool { return all[id].over }), 0)
		h.lose(s, sender, ids[i], all[ids[i]])
		delete(all, ids[i])
		h.floor[sender] = max(h.floor[sender], ids[i]+1)
		if id < h.floor[sender] {
			return nil
		}
	}
	st := &http3Stream{end: math.MaxUint64}
	all[id] = st
	return st
}

// hold counts bytes that a stream keeps.
func (h *http3) hold(s *Session, st *http3Stream, n int) bool {
	if st.held+n > http3MaxWaiting || !s.Hold(n) {
		return false
	}
	st.held += n
	return true
}

func (h *http3) let(s *Session, st *http3Stream, n int) {
	st.held -= n
	s.Hold(-n)
}

// lose ends a stream's direction before its end.
func (h *http3) lose(s *Session, sender Dir, id uint64, st *http3Stream) {
	h.let(s, st, st.held)
	st.over, st.buf, st.early = true, nil, nil
	h.endBody(s, &h.dirs[sender], uint32(id), false) //nolint:gosec // known takes none that is larger
}

// reset takes a RESET_STREAM: what comes behind it, or came before and was not captured, is missing.
func (h *http3) reset(s *Session, sender Dir, id uint64) {
	if st := h.streams[sender][id]; st != nil && !st.over {
		h.lose(s, sender, id, st)
	}
}

// next takes the bytes that follow those of a stream so far.
func (h *http3) next(s *Session, sender Dir, id uint64, st *http3Stream, b []byte) {
	kept := len(st.buf)
	if kept > 0 {
		if !h.hold(s, st, len(b)) {
			h.lose(s, sender, id, st)
			return
		}
		st.buf = append(st.buf, b...)
		kept, b = len(st.buf), st.buf
	}
	n, ok := h.read(s, sender, id, st, b)
	if !ok {
		h.lose(s, sender, id, st)
		return
	}
	st.next += uint64(n) //nolint:gosec // not negative
	rest := b[n:]
	if kept == 0 && !h.hold(s, st, len(rest)) {
		h.lose(s, sender, id, st)
		return
	}
	if kept > 0 {
		h.let(s, st, n)
	}
	st.buf = append(st.buf[:0], rest...)
	if st.next < st.end {
		return
	}
	h.endBody(s, &h.dirs[sender], uint32(id), st.data == 0 && st.skip == 0) //nolint:gosec // known takes none that is larger
	h.lose(s, sender, id, st)
}

// read reads what it can of a stream's bytes, and returns how much; false when nothing more of the stream can be.
func (h *http3) read(s *Session, sender Dir, id uint64, st *http3Stream, b []byte) (int, bool) {
	const serverInitiated, unidirectional = 1, 2
	n := 0
	switch {
	case id&unidirectional == 0:
		if id&serverInitiated != 0 {
			return 0, false // there are none
		}
	case !st.typed:
		r := tlsReader{b: b}
		if st.kind = r.varint(); r.bad {
			return 0, true
		}
		st.typed = true
		n = len(b) - len(r.b)
	}
	if st.typed && st.kind == http3QPACKEncoder {
		used, err := h.tables[sender].instructions(b[n:])
		if used > 0 {
			h.unblock(s, sender)
		}
		return n + used, err == nil
	}
	if st.typed && st.kind != http3Control {
		return len(b), true // the decoder's stream, pushes, those of extensions
	}
	for {
		if m := min(st.data, uint64(len(b)-n)); m > 0 { //nolint:gosec // not negative
			if body := h.dirs[sender].bodies[uint32(id)]; body != nil { //nolint:gosec // known takes none that is larger
				body.write(s, b[n:n+int(m)])
			}
			st.data -= m
			n += int(m)
		}
		if m := min(st.skip, uint64(len(b)-n)); m > 0 { //nolint:gosec // not negative
			st.skip -= m
			n += int(m)
		}
		if n == len(b) {
			return n, true
		}
		r := tlsReader{b: b[n:]}
		kind, size := r.varint(), r.varint()
		if r.bad {
			return n, true
		}
		head := len(b) - n - len(r.b)
		switch {
		case kind == http3Data && !st.typed:
			st.data = size
			n += head
			continue
		case kind != http3Headers && kind != http3Settings, (kind == http3Settings) != st.typed:
			st.skip = size
			n += head
			continue
		case size > http3MaxSection:
			return n, false
		case size > uint64(len(r.b)):
			return n, true
		}
		payload := r.b[:size]
		if kind == http3Settings {
			h.settings(s, sender, payload)
		} else if err := h.section(s, sender, id, st, payload, n+head+len(payload)); errors.Is(err, errQPACKBlocked) {
			st.blocked = true
			h.blocked[sender]++
			return n, true
		} else if err != nil {
			return n, false
		}
		n += head + len(payload)
	}
}

// settings takes what a side allows the other: the size of its table (RFC 9204 section 5).
func (h *http3) settings(s *Session, sender Dir, b []byte) {
	t := &h.tables[sender.Other()]
	if t.settled { // there are no others (RFC 9114 section 7.2.4)
		return
	}
	for r := (tlsReader{b: b}); len(r.b) > 0 && !r.bad; {
		if id, v := r.varint(), r.varint(); id == http3TableCapacity && !r.bad {
			t.most = v
		}
	}
	t.settled = true
	h.unblock(s, sender.Other())
}

// unblock reads on where field sections waited for the table of the sender.
func (h *http3) unblock(s *Session, sender Dir) {
	if h.blocked[sender] == 0 {
		return
	}
	all := h.streams[sender]
	var ids []uint64
	for id, st := range all {
		if st.blocked && !st.over {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids) // so that the same packets give the same document
	h.blocked[sender] = 0
	for _, id := range ids {
		all[id].blocked = false
		h.next(s, sender, id, all[id], nil)
	}
}

// section reads the head of a message, or trailers. Behind it the stream's bytes are at used.
func (h *http3) section(s *Session, sender Dir, id uint64, st *http3Stream, b []byte, used int) error {
	d := &h.dirs[sender]
	d.message = http2Message{}
	d.stream = uint32(id) //nolint:gosec // known takes none that is larger
	d.end = st.next+uint64(used) >= st.end
	count := 0
	if err := h.tables[sender].section(b, func(f hpack.HeaderField) {
		if count++; count <= httpMaxHeaders {
			h.field(s, sender, f)
		}
	}); err != nil {
		return err
	}
	h.head(s, d)
	return nil
}
