package dissect

import "encoding/binary"

// The hellos of SSL 2.0 (Hickman, "The SSL Protocol", 1995), with which clients also asked for SSL 3.0 and TLS (RFC 5246
// appendix E.2): a length of two bytes whose top bit is set, the message's type, and a version. The reference reads none.

const (
	sslV2Client = 1
	sslV2Server = 4
	sslV2Head   = 11 // of a client's hello, up to its lists
	sslV2Answer = 13 // of a server's
)

// sslV2Size returns the length of the record at the front of b, 0 when it is not of the type.
func sslV2Size(b []byte, kind byte) int {
	if len(b) < 3 || b[0]&0x80 == 0 || b[2] != kind {
		return 0
	}
	return 2 + (int(b[0]&0x7f)<<8 | int(b[1]))
}

// sslV2Hello accepts a client's hello whose lengths add up.
func sslV2Hello(s *Session, _ Dir, b []byte) bool {
	u16 := binary.BigEndian.Uint16
	size, version, specs, id, challenge := sslV2Size(b, sslV2Client), u16(b[3:]), u16(b[5:]), u16(b[7:]), u16(b[9:])
	return !s.Reference && (version == 2 || version >= 0x0300 && version <= 0x0303) && specs > 0 && specs%3 == 0 && (id == 0 || id == 16 || id == 32) &&
		challenge >= 16 && challenge <= 32 && size == sslV2Head+int(specs)+int(id)+int(challenge)
}

// sslV2 reads a hello of SSL 2.0 at the front of b, and returns its length: 0 when there is none, -1 when it is not whole.
func (p *tlsParser) sslV2(s *Session, dir Dir, b []byte) int {
	kind := byte(sslV2Client)
	if dir == Server {
		kind = sslV2Server
	}
	size := sslV2Size(b, kind)
	switch {
	case s.Reference || size < sslV2Head:
		return 0
	case len(b) < size:
		return -1
	}
	u16 := binary.BigEndian.Uint16
	r := tlsReader{b: b[3:size]}
	if dir == Server { // hit, kind of certificate, version, then three lengths
		if size < sslV2Answer {
			return 0
		}
		version, n := u16(r.b[2:]), int(u16(r.b[4:]))
		r.take(10)
		if der := r.take(n); len(der) > 0 {
			p.certificate.add(s, der)
		}
		s.Doc.AddString(p.version, tlsVersionName(version))
		return size
	}
	h := clientHello{version: u16(r.b)}
	specs, id := int(u16(r.b[2:])), int(u16(r.b[4:]))
	r.take(8)
	for list := r.take(specs); len(list) >= 3; list = list[3:] {
		if list[0] == 0 { // those of SSL 3.0 and later; others have numbers of their own
			h.ciphers = append(h.ciphers, u16(list[1:]))
		}
	}
	if h.sessionID = r.take(id); !r.bad {
		p.clientHello(s, &h, 't')
	}
	return size
}
