package dissect

import (
	"encoding/binary"
	"slices"

	"golang.org/x/net/http2/hpack"

	"wirelake/internal/spi"
)

// quic reads QUIC versions 1 and 2 and the drafts from 17 on (RFC 9000, 9001,
// 9369) as far as anyone can: Initial packets, whose keys follow from the
// connection id, and the ClientHello and ServerHello in them; and Google's own
// versions before those, whose first messages are in clear (gquic.go).
type quic struct {
	host, userAgent, version spi.FieldID
	tls                      *tls
	http                     *httpProtocol
	grpc                     *grpc
	static                   []hpack.HeaderField // see qpackStatic
}

const (
	maxQUICHello   = 64 << 10 // bytes of a side's CRYPTO stream that are put in order
	maxQUICInitial = 64       // Initial packets of a session that are decrypted
	maxQUICPackets = 128      // datagrams of a session that are looked at
	maxQUICEarly   = 6        // Initial packets that wait for keys: a server sends a few before it hears of the client again
)

func newQUICFields(r *spi.Registry) *quic {
	return &quic{
		host:      r.Declare(spi.Field{Path: "quic.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.quic"}, Hot: true, Bloom: true, Name: "Host", Help: "server name"}),
		userAgent: r.Declare(spi.Field{Path: "quic.useragent", Type: spi.Term, List: true, Exprs: []string{"quic.user-agent"}, Name: "User agent", Help: "user agent in early QUIC"}),
		version:   r.Declare(spi.Field{Path: "quic.version", Type: spi.Term, List: true, Exprs: []string{"quic.version"}, Name: "Version", Help: "version: Q043 and the like of Google's, draft-29, v1, v2"}),
		tls:       newTLSFields(r),
		http:      declareHTTP(r),
		grpc:      declareGRPC(r),
		static:    qpackStatic(),
	}
}

func newQUIC(r *spi.Registry) Protocol {
	q := newQUICFields(r)
	return Protocol{
		Name: "quic",
		Matchers: []Matcher{
			{On: UDP, MinLen: 20, Func: func(s *Session, _ Dir, b []byte) bool { return quicLong(b) || !s.Reference && quicReserved(b) }},
			{On: UDP, MinLen: 14, Func: func(_ *Session, _ Dir, b []byte) bool { _, ok := parseGoogleHeader(b); return ok }},
		},
		New: func(s *Session) Parser {
			if !s.Reference { // the reference marks sessions whose first message it could read
				s.AddProtocol("quic")
			}
			return &quicParser{quic: q}
		},
		Quiet: true,
	}
}

// quicLong reports whether b begins with a long header of a version that is
// known, or with a version negotiation (RFC 8999).
func quicLong(b []byte) bool {
	if b[0]&0x80 == 0 {
		return false
	}
	if version := binary.BigEndian.Uint32(b[1:]); version != 0 {
		_, ok := parseQUICHeader(b)
		return ok
	}
	r := tlsReader{b: b[5:]}
	dst, src := r.vector8(), r.vector8()
	if r.bad || len(dst) > 20 || len(src) > 20 || len(dst)+len(src) == 0 || len(r.b) == 0 || len(r.b)%4 != 0 || len(r.b) > 256 {
		return false
	}
	for ; len(r.b) > 0; r.take(4) {
		v := binary.BigEndian.Uint32(r.b)
		if _, known := quicVersionOf(v); known {
			return true
		}
	}
	return false
}

// quicReserved reports whether b is the first datagram of a client that asks for a version negotiation: a version of the
// form that is reserved for it (RFC 9000 section 15), in a datagram as long as they are.
func quicReserved(b []byte) bool {
	const shortest = 1200
	if len(b) < shortest || b[0]&0xc0 != 0xc0 || binary.BigEndian.Uint32(b[1:])&0x0f0f0f0f != 0x0a0a0a0a {
		return false
	}
	r := tlsReader{b: b[5:]}
	dst, src := r.vector8(), r.vector8()
	return !r.bad && len(dst) >= 8 && len(dst) <= 20 && len(src) <= 20
}

type quicParser struct {
	*quic
	Base
	packets, initials int
	seen              string // version of the last long header

	// Of the connection whose client sent the first Initial that could be opened:
	begun  bool
	client Dir
	dcid   []byte // destination connection id of that Initial
	keys   quicInitialKeys
	fresh  bool        // the keys are new
	early  []quicEarly // what none opened so far, such as packets of the server that were captured before the client's first

	crypto [2]sparse // CRYPTO streams of client and server
	done   [2]bool

	google googleChlo

	secret *quicDecryption // nil without keys
}

// quicEarly is an Initial packet that waits for its keys.
type quicEarly struct {
	dir    Dir
	packet []byte
}

// Datagram implements Parser. A datagram may hold several packets (RFC 9000 section 12.2).
func (p *quicParser) Datagram(s *Session, dir Dir, b []byte) Status {
	if p.packets++; p.packets > maxQUICPackets || p.initials > maxQUICInitial {
		if p.secret == nil || !p.secret.known {
			return Done
		}
	}
	if len(b) > 0 && b[0]&0x80 == 0 {
		if h, ok := parseGoogleHeader(b); ok {
			return p.googleFrames(s, h.version, b[h.payload:])
		}
		p.protected(s, dir, nil, b)
		return More
	}
	for len(b) > 0 {
		h, ok := parseQUICHeader(b)
		if !ok {
			break
		}
		packet := b[:h.end]
		b = b[h.end:]
		p.seen = h.version.name
		switch {
		case h.kind != quicInitial:
			p.protected(s, dir, &h, packet)
		case !h.version.protected:
			if st := p.googleFrames(s, h.version, packet[min(h.pn+h.pnLen+googleHash, h.end):]); st != More {
				return st
			}
		case p.initials > maxQUICInitial:
		default:
			p.initials++
			p.initial(s, dir, &h, packet)
		}
		if p.done[Client] && (p.done[Server] || s.Reference) && p.secret == nil {
			return Done
		}
	}
	if len(b) > 0 && b[0]&0x80 == 0 { // one with a short header may stand behind
		p.protected(s, dir, nil, b)
	}
	return More
}

// initial opens an Initial packet and reads its frames, and with new keys what came before them.
func (p *quicParser) initial(s *Session, dir Dir, h *quicHeader, packet []byte) {
	payload, sender, ok := p.open(dir, h, packet)
	if !ok {
		if !s.Reference && len(p.early) < maxQUICEarly && s.Hold(len(packet)) {
			p.early = append(p.early, quicEarly{dir, slices.Clone(packet)})
		}
		return
	}
	p.hellos(s, h.version, sender, payload)
	if p.secret != nil {
		p.secret.identify(sender, h.scid)
		p.replay(s)
	}
	if !p.fresh {
		return
	}
	early := p.early
	p.fresh, p.early = false, nil
	for _, e := range early { // those that still do not open wait again
		s.Hold(-len(e.packet))
		if h, ok := parseQUICHeader(e.packet); ok {
			p.initial(s, e.dir, &h, e.packet)
		}
	}
}

// hellos reads the frames of an Initial packet, and the message that their CRYPTO stream begins with.
func (p *quicParser) hellos(s *Session, v quicVersion, sender Dir, payload []byte) {
	if p.done[sender] || sender == Server && s.Reference {
		return
	}
	stream := &p.crypto[sender]
	for off, data := range quicCryptoFrames(payload, v.google) {
		if !stream.add(s, off, data, maxQUICHello) {
			p.done[sender] = true
			stream.release(s)
			return
		}
	}
	hello := stream.prefix()
	if len(hello) < tlsHandshakeHeader {
		return
	}
	if v.google && string(hello[:4]) == "CHLO" {
		if p.done[sender] = p.chlo(s, v.name, hello, false); p.done[sender] {
			stream.release(s)
		}
		return
	}
	size := int(hello[1])<<16 | int(hello[2])<<8 | int(hello[3])
	if len(hello) < tlsHandshakeHeader+size && size <= maxQUICHello {
		return
	}
	p.done[sender] = true
	if size <= maxQUICHello {
		p.hello(s, v, hello[0], hello[tlsHandshakeHeader:tlsHandshakeHeader+size])
	}
	stream.release(s)
}

// open opens an Initial packet. The keys of both sides follow from the
// destination connection id that the client chose first, or from the server's
// choice after a Retry (RFC 9001 section 5.2); with compatible version
// negotiation the version may change on the way (RFC 9368).
func (p *quicParser) open(dir Dir, h *quicHeader, packet []byte) (payload []byte, sender Dir, ok bool) {
	if p.begun {
		sender = dir ^ p.client // the client's direction is usually Client
		if h.version.number != p.keys.version {
			p.keys = newQUICInitialKeys(h.version, p.dcid)
		}
		if payload, ok = p.keys.side[sender].open(packet, h.pn); ok || sender == Server {
			return payload, sender, ok
		}
	}
	keys := newQUICInitialKeys(h.version, h.dcid)
	if payload, ok = keys.side[Client].open(packet, h.pn); ok {
		p.begun, p.client, p.keys, p.fresh = true, dir, keys, true
		p.dcid = append(p.dcid[:0], h.dcid...)
	}
	return payload, Client, ok
}

func (p *quicParser) hello(s *Session, v quicVersion, kind byte, b []byte) {
	switch kind {
	case tlsClientHello:
		h, ok := parseClientHello(b)
		if !ok {
			return
		}
		s.AddProtocol("quic")
		p.tls.clientHello(s, &h, 'q')
		p.seek(s, &h)
		noteEncryptedDNS(s, h.alpn, "doq", "doq")
		if !s.Reference {
			s.Doc.AddString(p.version, v.name)
			if h.serverName != "" {
				s.Doc.AddString(p.host, h.serverName)
			}
		}
	case tlsServerHello:
		if h, ok := p.tls.serverHello(s, b); ok { // after a retry the suite is the same (RFC 8446 section 4.1.4)
			p.keysOf(v, h.cipher)
		}
	}
}
