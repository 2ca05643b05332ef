package dissect

import (
	"encoding/binary"

	"github.com/klauspost/compress/s2"
)

// cassandraSegments reads the segments that carry version 5's messages behind the start of a connection
// (native_protocol_v5.spec, section 2): a header with a checksum, several messages or a part of one, a checksum. They may be
// compressed by LZ4.
type cassandraSegments struct {
	frames   frames
	messages frames // within the segments
	known    bool
	packed   bool // the segments have the header of compressed ones
}

const (
	cassandraSegmentRead = 32 << 10 // of a segment, and of what it holds; it has up to 128 KiB
	cassandraLength      = 1<<17 - 1
)

func newCassandraSegments() *cassandraSegments {
	p := &cassandraSegments{messages: frames{begins: func(dir Dir, b []byte) bool { return cassandraEnvelope(dir, b, 5, 6) }}}
	p.frames.begins = func(_ Dir, b []byte) bool { return p.size(b) > 0 }
	return p
}

// cassandraCRC returns the checksum of a segment's header (section 2.2.1): CRC-24 of the polynomial and the initial value that
// the specification names.
func cassandraCRC(b []byte) uint32 {
	const initial, polynomial = 0x875060, 0x1974f0b
	crc := uint32(initial)
	for _, c := range b {
		crc ^= uint32(c) << 16
		for range 8 {
			if crc <<= 1; crc&0x1000000 != 0 {
				crc ^= polynomial
			}
		}
	}
	return crc & 0xffffff
}

// size returns the length of the segment that begins with h, 0 for none. The first header tells which form all have.
func (p *cassandraSegments) size(h []byte) int {
	const trailer = 4
	right := func(n int) bool {
		sum := wire{b: h[n:]}
		return cassandraCRC(h[:n]) == uint32(sum.le(3)) //nolint:gosec // three bytes
	}
	plain, packed := len(h) >= 6 && right(3), len(h) >= 8 && right(5)
	if !p.known && (plain || packed) {
		p.known, p.packed = true, !plain
	}
	payload := int(binary.LittleEndian.Uint32(h) & cassandraLength)
	switch {
	case p.packed && packed:
		return 8 + payload + trailer
	case !p.packed && plain:
		return 6 + payload + trailer
	}
	return 0
}

// parse is Parse of the connection's parser. No segment is shorter than the longer of the two headers.
func (p *cassandraSegments) parse(c *cassandra, s *Session, dir Dir, b []byte) (int, Status) {
	return p.frames.each(dir, b, 8, cassandraSegmentRead, p.size, func(m []byte) bool {
		w := wire{b: m}
		var header uint64
		if p.packed {
			header = w.le(5)
		} else {
			header = w.le(3)
		}
		w.take(3)
		payload := w.b[:min(len(w.b), int(header&cassandraLength))]
		whole := int(header & cassandraLength)
		if p.packed && header>>17&cassandraLength != 0 { // else it is not compressed
			whole = int(header >> 17 & cassandraLength)
			payload = lz4Block(nil, payload, min(whole, cassandraSegmentRead))
		}
		n, st := p.messages.each(dir, payload, 9, cassandraMaxRead, cassandraSize, func(m []byte) bool { return c.message(s, m) })
		if rest := whole - n; rest > 0 {
			st = p.messages.gap(dir, rest) // it was not read, and belongs to a long message, or is not looked for
		}
		return st != Done
	})
}

// unpack returns the body of a message of version 3 or 4, or its beginning, as it was before it was compressed; nil when that
// cannot be told (native_protocol_v4.spec, section 5).
func (p *cassandra) unpack(body []byte) []byte {
	if len(body) < 4 {
		return nil
	}
	if p.lz4 || body[0]|body[1] == 0 { // a length of four bytes, which Snappy has not
		return lz4Block(nil, body[4:], cassandraMaxRead)
	}
	if n, err := s2.DecodedLen(body); err != nil || n > 4*cassandraMaxRead {
		return nil
	}
	out, err := s2.Decode(nil, body)
	if err != nil {
		return nil
	}
	return out
}
