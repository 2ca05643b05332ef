package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// dtls reads the handshake of DTLS 1.0, 1.2 and 1.3 as far as it is in the clear
// (RFC 4347, 6347, 9147), over UDP and SCTP (RFC 6083): server name, versions,
// cipher suite, JA4 and certificates.
type dtls struct{ tls *tls }

const (
	dtlsRecordHeader    = 13
	dtlsHandshakeHeader = 12
	maxDTLSMessages     = 16  // handshake messages of a direction that are looked at
	maxDTLSDatagrams    = 256 // of a session
)

func newDTLS(r *spi.Registry) Protocol {
	d := &dtls{tls: newTLSFields(r)}
	hello := func(s *Session, _ Dir, b []byte) bool {
		return isDTLS(b) && (!s.Reference || dtlsLongHello(b))
	}
	return Protocol{
		Name: "dtls",
		Matchers: []Matcher{
			{On: UDP, Bytes: "\x16\xfe", MinLen: dtlsRecordHeader + 1, Func: hello}, {On: SCTP, Bytes: "\x16\xfe", MinLen: dtlsRecordHeader + 1, Func: hello},
			{On: UDP, Bytes: "\x16\x01\x00\x00\x00\x00\x00\x00\x00\x00", MinLen: dtlsRecordHeader + dtlsHandshakeHeader, Func: draftHello}},
		New: func(*Session) Parser { return &dtlsParser{dtls: d} },
	}
}

// isDTLS reports whether b begins with a handshake record of epoch 0, where
// handshakes begin.
func isDTLS(b []byte) bool {
	return len(b) > dtlsRecordHeader && b[0] == tlsHandshake && b[1] == 0xfe && b[2] >= 0xfc && b[3]|b[4] == 0
}

// dtlsLongHello is what the reference wants to see first: a ClientHello, in a datagram that the hellos of clients with
// many cipher suites and extensions fill, and those of the smallest devices do not.
func dtlsLongHello(b []byte) bool {
	const shortest = 100
	return len(b) >= shortest && b[dtlsRecordHeader] == tlsClientHello
}

// draftHello accepts the first ClientHello in the version of the drafts, which AnyConnect and OpenSSL before 1.0 speak
// (DTLS1_BAD_VER).
func draftHello(s *Session, _ Dir, b []byte) bool {
	size := int(binary.BigEndian.Uint16(b[11:]))
	return b[dtlsRecordHeader] == tlsClientHello && b[dtlsRecordHeader+1] == 0 && size == len(b)-dtlsRecordHeader && (!s.Reference || dtlsLongHello(b))
}

type dtlsParser struct {
	*dtls
	Base
	datagrams int
	sealed    [2]bool // the direction sends what is encrypted
	seen      [2]uint // messages that were read, by their number
	messages  [2]map[uint16]*dtlsMessage
}

// dtlsMessage is a handshake message that comes in fragments.
type dtlsMessage struct {
	kind byte
	size int
	body sparse
}

// Datagram implements Parser. A datagram holds one or more records.
func (p *dtlsParser) Datagram(s *Session, dir Dir, b []byte) Status {
	if p.datagrams++; p.datagrams > maxDTLSDatagrams {
		return p.finish(s)
	}
	for len(b) >= dtlsRecordHeader && (b[1] == 0xfe || b[1] == 1 && b[2] == 0) {
		kind, epoch, size := b[0], binary.BigEndian.Uint16(b[3:]), int(binary.BigEndian.Uint16(b[11:]))
		record := b[dtlsRecordHeader:]
		record = record[:min(size, len(record))] // of a cut datagram what is there
		b = b[dtlsRecordHeader+len(record):]
		switch {
		case epoch > 0:
			p.sealed[dir] = true
		case kind == tlsHandshake:
			p.handshake(s, dir, record)
		}
	}
	if len(b) > 0 && b[0]>>5 == 1 { // a record with the header of DTLS 1.3 is encrypted
		p.sealed[dir] = true
	}
	if p.sealed[Client] && p.sealed[Server] {
		return p.finish(s)
	}
	return More
}

// finish lets go of messages that did not become whole.
func (p *dtlsParser) finish(s *Session) Status {
	for dir := range p.messages {
		for _, m := range p.messages[dir] {
			m.body.release(s)
		}
		p.messages[dir] = nil
	}
	return Done
}

// handshake reads the fragments in a record (RFC 6347 section 4.2.2).
func (p *dtlsParser) handshake(s *Session, dir Dir, b []byte) {
	for len(b) >= dtlsHandshakeHeader {
		r := tlsReader{b: b}
		kind := byte(r.uint8()) //nolint:gosec // one byte
		size := r.uint24()
		number := uint16(r.uint16()) //nolint:gosec // two bytes
		off, n := r.uint24(), r.uint24()
		fragment := r.b[:min(n, len(r.b))]
		b = r.b[len(fragment):]
		if size > maxTLSHandshake || number >= maxDTLSMessages || p.seen[dir]>>number&1 != 0 {
			continue
		}
		if kind != tlsClientHello && kind != tlsServerHello && kind != tlsCertificate {
			continue
		}
		if off == 0 && len(fragment) == size {
			p.message(s, dir, number, kind, fragment)
			continue
		}
		m := p.messages[dir][number]
		if m == nil {
			if p.messages[dir] == nil {
				p.messages[dir] = make(map[uint16]*dtlsMessage)
			}
			m = &dtlsMessage{kind: kind, size: size}
			p.messages[dir][number] = m
		}
		if m.kind == kind && m.size == size && m.body.add(s, uint64(off), fragment, size) && len(m.body.prefix()) == size { //nolint:gosec // three bytes
			p.message(s, dir, number, kind, m.body.prefix())
		}
	}
}

// message reads a whole message, once.
func (p *dtlsParser) message(s *Session, dir Dir, number uint16, kind byte, b []byte) {
	p.seen[dir] |= 1 << number
	switch kind {
	case tlsClientHello:
		if h, ok := parseDTLSClientHello(b); ok {
			p.tls.clientHello(s, &h, 'd')
		}
	case tlsServerHello:
		if !s.Reference {
			p.tls.serverHello(s, b)
		}
	case tlsCertificate:
		if dir == Server || !s.Reference {
			p.tls.certificate.chain(s, b)
		}
	}
	if m := p.messages[dir][number]; m != nil {
		m.body.release(s)
		delete(p.messages[dir], number)
	}
}

// parseDTLSClientHello reads the body of a ClientHello, which has a cookie behind
// the session id (RFC 6347 section 4.2.1).
func parseDTLSClientHello(b []byte) (h clientHello, ok bool) {
	r := tlsReader{b: b}
	h.version = uint16(r.uint16()) //nolint:gosec // two bytes
	h.random = r.take(tlsRandom)
	h.sessionID = r.vector8()
	r.vector8() // cookie
	return h, h.finish(&r)
}
