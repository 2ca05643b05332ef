package dissect

import "wirelake/internal/spi"

// fbZero reads the first message of Facebook's Zero protocol, QUIC's handshake
// over TCP ("Building Zero protocol for fast, secure mobile connections"): the
// byte 0x31 and the version QTV0, the message's length in four bytes, little
// endian, and a CHLO.
type fbZero struct {
	Base
	quic *quic
}

const (
	fbZeroMagic  = "1QTV0"
	fbZeroHeader = len(fbZeroMagic) + 4
)

func newFBZero(r *spi.Registry) Protocol {
	q := newQUICFields(r)
	return Protocol{Name: "fbzero", Matchers: OnPrefixes(TCP, fbZeroMagic), New: func(*Session) Parser { return &fbZero{quic: q} }}
}

// Parse implements Parser.
func (p *fbZero) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if dir == Server {
		return 0, DirDone
	}
	if len(b) < fbZeroHeader {
		return 0, More
	}
	r := tlsReader{b: b[len(fbZeroMagic):]}
	size := int(r.uint8()) | int(r.uint8())<<8 | int(r.uint8())<<16 | int(r.uint8())<<24
	if size > maxGoogleHello {
		return 0, Done
	}
	if len(r.b) < size {
		return 0, More
	}
	if hello := r.b[:size]; size >= chloHeader && string(hello[:4]) == "CHLO" {
		p.quic.chlo(s, "", hello, true)
	}
	return len(b), Done
}
