package dissect

import (
	"encoding/binary"
	"strconv"
)

// quicVersion is what differs between versions.
type quicVersion struct {
	number    uint32
	name      string
	google    bool   // Google's frames and handshake (gquic.go)
	nibbles   bool   // the lengths of both connection ids share a byte (before draft 22)
	protected bool   // Initial packets are encrypted, and have a token and a length
	salt      string // for the keys of Initial packets
	labels    string // prefix of the key labels, "quic" or "quicv2"
	v2        bool   // the packet types of RFC 9369
}

// The salts that Initial keys are derived with (RFC 9001 section 5.2, RFC 9369 section
// 3.3.1, and the same section of the drafts).
const (
	quicSalt17 = "\xef\x4f\xb0\xab\xb4\x74\x70\xc4\x1b\xef\xcf\x80\x31\x33\x4f\xae\x48\x5e\x09\xa0"
	quicSalt21 = "\x7f\xbc\xdb\x0e\x7c\x66\xbb\xe9\x2a\x96\xcd\x21\x51\x9e\xbd\x7a\x02\x64\x41\x90"
	quicSalt23 = "\xc3\xee\xf7\x12\xc7\x2e\xbb\x5a\x11\xa7\xd2\x43\x2b\xb4\x63\x65\xbe\xf9\xf5\x02"
	quicSalt29 = "\xaf\xbf\xec\x28\x99\x93\xd2\x4c\x9e\x97\x86\xf1\x9c\x61\x11\xe0\x43\x90\xa8\x99"
	quicSalt1  = "\x38\x76\x2c\xf7\xf5\x59\x34\xb3\x4d\x17\x9a\xe6\xa4\xc8\x0c\xad\xcc\xbb\x7f\x0a"
	quicSalt2  = "\x0d\xed\xe3\xde\xf7\x00\xa6\xdb\x81\x93\x81\xbe\x6e\x26\x9d\xcb\xf9\xbd\x2e\xd9"
	saltQ050   = "\x50\x45\x74\xef\xd0\x66\xfe\x2f\x9d\x94\x5c\xfc\xdb\xd3\xa7\xf0\xd3\xb5\x6b\x45"
	saltT050   = "\x7f\xf5\x79\xe5\xac\xd0\x72\x91\x55\x80\x30\x4c\x43\xa2\x36\x7c\x60\x48\x83\x10"
	saltT051   = "\x7a\x4e\xde\xf4\xe7\xcc\xee\x5f\xa4\x50\x6c\x19\x12\x4f\xc8\xcc\xda\x6e\x03\x3d"
)

// quicVersionOf returns what is known of a version that has long headers.
func quicVersionOf(n uint32) (quicVersion, bool) {
	v := quicVersion{number: n, protected: true, labels: "quic"}
	switch {
	case n == 1:
		v.name, v.salt = "v1", quicSalt1
	case n == 0x6b3343cf, n == 0x709a50c4: // RFC 9369, and its drafts
		v.name, v.salt, v.labels, v.v2 = "v2", quicSalt2, "quicv2", true
	case n>>8 == 0xff0000 && n&0xff >= 17 && n&0xff <= 34:
		draft := n & 0xff
		v.name = "draft-" + strconv.Itoa(int(draft))
		v.nibbles = draft < 22
		v.salt = quicDraftSalt(draft)
	case n == 0xfaceb00e: // mvfst's for experiments
		v.name, v.salt = "mvfst-exp", quicDraftSalt(27)
	case n == 0xfaceb001, n == 0xfaceb002: // mvfst, of drafts 22 and 27
		v.name, v.salt = "mvfst-"+strconv.Itoa(int(n&0xff)), quicDraftSalt(17+5*(n&0xff))
	case n == 0x54303530: // T050
		v.name, v.salt = "T050", saltT050
	case n == 0x54303531:
		v.name, v.salt = "T051", saltT051
	case isGoogleVersion(n):
		v.name, v.google = googleVersionName(n), true
		number := googleVersionNumber(n)
		v.nibbles = number < 49
		v.protected = number >= 49
		v.salt = saltQ050
	default:
		return v, false
	}
	return v, true
}

func quicDraftSalt(draft uint32) string {
	switch {
	case draft < 21:
		return quicSalt17
	case draft < 23:
		return quicSalt21
	case draft < 29:
		return quicSalt23
	case draft < 33:
		return quicSalt29
	}
	return quicSalt1
}

// Packet types of a long header, as in version 1.
const (
	quicInitial   = 0
	quicZeroRTT   = 1
	quicHandshake = 2
	quicRetry     = 3
)

// quicHeader is a long header (RFC 9000 section 17.2). Its connection ids point
// into the packet.
type quicHeader struct {
	version quicVersion
	kind    byte
	dcid    []byte
	scid    []byte
	pn      int // where the packet number stands, still protected where the version protects it
	pnLen   int // only without protection
	end     int // of the packet
}

// parseQUICHeader reads the long header at the start of b. It is false for
// versions that are not known and for what the datagram does not hold whole.
func parseQUICHeader(b []byte) (h quicHeader, ok bool) {
	if len(b) < 7 || b[0]&0x80 == 0 {
		return h, false
	}
	h.version, ok = quicVersionOf(binary.BigEndian.Uint32(b[1:]))
	if !ok || b[0]&0x40 == 0 {
		return h, false
	}
	r := tlsReader{b: b[5:]}
	if h.version.nibbles {
		sizes := r.uint8()
		h.dcid = r.take(nibbleSize(sizes >> 4))
		h.scid = r.take(nibbleSize(sizes & 15))
	} else {
		h.dcid = r.vector8()
		h.scid = r.vector8()
		if len(h.dcid) > 20 || len(h.scid) > 20 {
			return h, false
		}
	}
	h.end = len(b)
	h.kind = b[0] >> 4 & 3
	if h.version.v2 {
		h.kind = (h.kind + 3) & 3
	}
	if !h.version.protected {
		h.pnLen = int(b[0]&3) + 1
		if n := googleVersionNumber(h.version.number); n < 46 {
			// Q044 and Q045 have the types of draft 11, in seven bits, and packet numbers of four bytes.
			h.pnLen = 4
			h.kind = quicHandshake
			if b[0] == 0xff {
				h.kind = quicInitial
			}
		}
		h.pn = len(b) - len(r.b)
		return h, !r.bad && len(r.b) > h.pnLen
	}
	if h.kind == quicRetry {
		return h, !r.bad
	}
	if h.kind == quicInitial {
		token := r.varint()
		if token > uint64(len(r.b)) {
			return h, false
		}
		r.take(int(token))
	}
	size := r.varint()
	if r.bad || size > uint64(len(r.b)) {
		return h, false
	}
	h.pn = len(b) - len(r.b)
	h.end = h.pn + int(size)
	return h, true
}

// nibbleSize is the length of a connection id that four bits tell (draft-ietf-quic-transport-17 section 17.2).
func nibbleSize(n int) int {
	if n == 0 {
		return 0
	}
	return n + 3
}

// varint reads a variable-length integer (RFC 9000 section 16).
func (r *tlsReader) varint() uint64 {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	b := r.take(1 << (r.b[0] >> 6))
	if b == nil {
		return 0
	}
	v := uint64(b[0] & 0x3f)
	for _, c := range b[1:] {
		v = v<<8 | uint64(c)
	}
	return v
}
