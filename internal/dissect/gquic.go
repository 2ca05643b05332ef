package dissect

import (
	"encoding/binary"
)

// Google's QUIC before TLS 1.3 ("QUIC Wire Layout Specification", "QUIC Crypto"):
// the client's first message, CHLO, is a list of tags in clear.

const (
	googleHash      = 12 // in front of the frames of a packet without encryption
	googleStream    = 1  // the stream of the handshake
	maxGoogleTags   = 128
	maxGoogleHello  = 32 << 10
	chloHeader      = 8
	chloEntry       = 8
	googleBigEndian = 39 // from here on numbers are in network order
)

// isGoogleVersion reports whether the number reads Q001 to Q099.
func isGoogleVersion(n uint32) bool {
	digit := func(c uint32) bool { return c&0xff >= '0' && c&0xff <= '9' }
	return n>>16 == 'Q'<<8|'0' && digit(n>>8) && digit(n)
}

func googleVersionNumber(n uint32) int { return int(n>>8&0x0f*10 + n&0x0f) }

func googleVersionName(n uint32) string { return string(binary.BigEndian.AppendUint32(nil, n)) }

// googleHeader is the public header of versions before Q044.
type googleHeader struct {
	version quicVersion
	payload int // where the frames begin
}

// Flags of the public header.
const (
	googleFlagVersion = 0x01
	googleFlagReset   = 0x02
	googleFlagID      = 0x08 // 8 bytes of connection id; with 0x04 in early versions, 4 bytes without
	googleFlagNonce   = 0x04
)

// parseGoogleHeader reads the public header of a packet that a client sent before
// the version was agreed on: only such name their version.
func parseGoogleHeader(b []byte) (h googleHeader, ok bool) {
	if len(b) < 1 || b[0]&(0x80|googleFlagReset|googleFlagVersion) != googleFlagVersion {
		return h, false
	}
	flags := b[0]
	for _, size := range googleIDSizes(flags) {
		at := 1 + size
		if size < 0 || len(b) < at+4 {
			continue
		}
		n := binary.BigEndian.Uint32(b[at:])
		if !isGoogleVersion(n) || googleVersionNumber(n) >= 44 {
			continue
		}
		h.version = quicVersion{number: n, name: googleVersionName(n), google: true}
		h.payload = at + 4 + [4]int{1, 2, 4, 6}[flags>>4&3] + googleHash
		if googleVersionNumber(n) < 34 {
			h.payload++ // private flags
		}
		return h, h.payload < len(b)
	}
	return h, false
}

// googleIDSizes returns the lengths that the connection id can have, by version; -1 for none.
func googleIDSizes(flags byte) [2]int {
	switch flags & (googleFlagID | googleFlagNonce) {
	case googleFlagID | googleFlagNonce:
		return [2]int{8, -1}
	case googleFlagID:
		return [2]int{8, 4}
	case googleFlagNonce:
		return [2]int{1, 0}
	}
	return [2]int{0, -1}
}

// googleChlo puts a CHLO in order.
type googleChlo struct {
	stream sparse
	packet quicVersion // of the packets that it came in
}

// googleFrames reads the frames of a packet without encryption.
func (p *quicParser) googleFrames(s *Session, v quicVersion, b []byte) Status {
	big := googleVersionNumber(v.number) >= googleBigEndian
	number := func(b []byte) (n uint64) {
		for i := range b {
			if big {
				n = n<<8 | uint64(b[i])
			} else {
				n |= uint64(b[i]) << (8 * i)
			}
		}
		return n
	}
	for r := (tlsReader{b: b}); len(r.b) > 0 && !r.bad; {
		kind := r.uint8()
		switch {
		case kind&0x80 != 0: // STREAM: 1FDOOOSS
			stream := number(r.take(kind&3 + 1))
			var off uint64
			if o := kind >> 2 & 7; o > 0 {
				off = number(r.take(o + 1))
			}
			data := r.b
			if kind&0x20 != 0 {
				data = r.take(int(number(r.take(2)))) //nolint:gosec // two bytes
			} else {
				r.b = nil
			}
			if r.bad || stream != googleStream {
				continue
			}
			p.google.packet = v
			if !p.google.stream.add(s, off, data, maxGoogleHello) {
				return Done
			}
			if hello := p.google.stream.prefix(); len(hello) >= chloHeader && (string(hello[:4]) != "CHLO" || p.chlo(s, v.name, hello, false)) {
				p.google.stream.release(s)
				return Done
			}
		case kind == 0x00, kind == 0x07: // PADDING, PING
		case kind == 0x04: // WINDOW_UPDATE: stream and offset
			r.take(12)
		case kind == 0x05: // BLOCKED
			r.take(4)
		case kind&0xc0 == 0x40: // ACK
			if !skipGoogleAck(&r, kind, big) {
				return More
			}
		default: // what the client's first packets do not hold
			return More
		}
	}
	return More
}

// skipGoogleAck passes an ACK frame of Q034 and later: 01NULLMM.
func skipGoogleAck(r *tlsReader, kind int, big bool) bool {
	size := func(n int) int { return []int{1, 2, 4, 6}[n&3] }
	if !big {
		return false // earlier frames have other forms
	}
	largest, block := size(kind>>2), size(kind)
	r.take(largest + 2) // largest acknowledged, delay
	blocks := 0
	if kind&0x20 != 0 {
		blocks = r.uint8()
	}
	r.take(block)
	r.take(blocks * (1 + block))
	if stamps := r.uint8(); stamps > 0 {
		r.take(5 + 3*(stamps-1))
	}
	return !r.bad
}

// End implements Parser: of a CHLO whose end was not captured what is there is read. Where no hello was, as in one
// direction alone, the version is what can be told.
func (p *quicParser) End(s *Session, final bool) {
	if p.seen != "" && !s.Reference && !s.Doc.Has(p.version) {
		s.Doc.AddString(p.version, p.seen)
	}
	if hello := p.google.stream.prefix(); final && len(hello) > 0 {
		p.chlo(s, p.google.packet.name, hello, true)
	}
	if p.secret != nil && p.secret.http != nil {
		p.secret.http.End(s, final)
	}
}

// chlo reads a CHLO: tag, number of entries, then tag and end of each value, then
// the values, all numbers little endian. It returns false when b is not all of
// it, unless cut says that no more will come. A version of "" is not filed.
func (q *quic) chlo(s *Session, version string, b []byte, cut bool) bool {
	if len(b) < chloHeader {
		return false
	}
	count := int(binary.LittleEndian.Uint16(b[4:]))
	if count > maxGoogleTags {
		return true
	}
	values := chloHeader + chloEntry*count
	if len(b) < values {
		return false
	}
	if count > 0 && !cut && int64(len(b)-values) < int64(binary.LittleEndian.Uint32(b[values-4:])) {
		return false
	}
	s.AddProtocol("quic")
	start := 0
	for i := range count {
		entry := b[chloHeader+chloEntry*i:]
		end := int(binary.LittleEndian.Uint32(entry[4:]))
		if end < start || end > len(b)-values {
			break
		}
		value := b[values+start : values+end]
		start = end
		if len(value) == 0 {
			continue
		}
		switch string(entry[:4]) {
		case "SNI\x00":
			s.Doc.AddBytes(q.host, value)
		case "UAID":
			s.Doc.AddBytes(q.userAgent, value)
		}
	}
	if version != "" {
		s.Doc.AddString(q.version, version)
	}
	return true
}
