package dissect

import (
	"crypto/md5" //nolint:gosec // JA3 is defined with it
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"wirelake/internal/spi"
)

// tls reads the handshake of SSL 3.0 and TLS 1.0 to 1.3 as far as it is in the
// clear (RFC 6101, 2246, 5246, 8446): server name, versions, cipher suite,
// session ids, ALPN, the fingerprints JA3, JA3S and JA4, and certificates. With
// the session's secrets it goes on with what is encrypted (tlsdecrypt.go).
type tls struct {
	version, cipher, alpn, serverName, host spi.FieldID
	nextProtocol                            spi.FieldID
	srcSessionID, dstSessionID              spi.FieldID
	ja3, ja3String, ja3s, ja3sString        spi.FieldID
	ja4, ja4Raw                             spi.FieldID
	certificate                             *certFields
}

const (
	tlsRecordHeader    = 5
	maxTLSRecord       = 1<<14 + 2048 // RFC 5246 section 6.2.3
	maxTLSHandshake    = 256 << 10    // of one message: chains of certificates are shorter
	tlsChangeCipher    = 20
	tlsAlert           = 21
	tlsHandshake       = 22
	tlsData            = 23
	tlsHeartbeat       = 24
	tlsClientHello     = 1
	tlsServerHello     = 2
	tlsEndOfEarlyData  = 5
	tlsEncryptedExts   = 8
	tlsCertificate     = 11
	tlsFinished        = 20
	tlsKeyUpdate       = 24
	tlsCompressedCert  = 25 // RFC 8879
	tlsHandshakeHeader = 4
	tlsRandom          = 32
)

func newTLSFields(r *spi.Registry) *tls {
	field := func(path string, t spi.Type, hot, bloom bool, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: t, List: true, Exprs: []string{expr}, Hot: hot, Bloom: bloom, Name: name, Help: help, Group: "tls"})
	}
	return &tls{
		version:      field("tls.version", spi.Term, true, false, "tls.version", "Version", "version chosen"),
		cipher:       field("tls.cipher", spi.UpTerm, false, false, "tls.cipher", "Cipher", "cipher suite chosen"),
		alpn:         field("tls.client.supported_protocols", spi.Term, false, false, "tls.alpn", "ALPN", "application protocols the client offers"),
		serverName:   field("tls.client.server_name", spi.LoTerm, true, true, "host.tls", "Server name", "server name (SNI) the client asks for"),
		nextProtocol: field("tls.next_protocol", spi.Term, false, false, "tls.next-protocol", "Next protocol", "application protocol the server chose"),
		host:         declareHTTPHost(r),
		srcSessionID: field("tls.srcSessionId", spi.LoTerm, false, false, "tls.sessionid.src", "Src session id", "session id of the client, hex"),
		dstSessionID: field("tls.dstSessionId", spi.LoTerm, false, false, "tls.sessionid.dst", "Dst session id", "session id of the server, hex"),
		ja3:          field("tls.ja3", spi.LoTerm, true, true, "tls.ja3", "JA3", "JA3 of the client"),
		ja3String:    field("tls.ja3string", spi.LoTerm, false, false, "tls.ja3string", "JA3 text", "text JA3 is the hash of"),
		ja3s:         field("tls.ja3s", spi.LoTerm, true, true, "tls.ja3s", "JA3S", "JA3S of the server"),
		ja3sString:   field("tls.ja3sstring", spi.LoTerm, false, false, "tls.ja3sstring", "JA3S text", "text JA3S is the hash of"),
		ja4:          field("tls.ja4", spi.Term, true, true, "tls.ja4", "JA4", "JA4 of the client"),
		ja4Raw:       field("tls.ja4_r", spi.Term, false, false, "tls.ja4_r", "JA4 raw", "raw form of JA4"),
		certificate:  newCertFields(r),
	}
}

// declareHTTPHost declares the field that holds HTTP's hosts and TLS's server
// names alike, so that one search finds both.
func declareHTTPHost(r *spi.Registry) spi.FieldID {
	return r.Declare(spi.Field{Path: "http.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.http"}, Hot: true, Bloom: true,
		Name: "Host", Help: "Host header, or server name of TLS", Group: "http"})
}

func newTLS(r *spi.Registry) Protocol {
	t := newTLSFields(r)
	return Protocol{
		Name: "tls",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x16\x03", MinLen: 6, Func: tlsHello},
			{On: TCP, Bytes: "\x17\x03", MinLen: tlsRecordHeader, Func: tlsWithin},
			{On: TCP, Bytes: "\x14\x03", MinLen: tlsRecordHeader, Func: tlsWithin},
			{On: TCP, Bytes: "\x15\x03", MinLen: tlsRecordHeader, Func: tlsWithin},
			{On: TCP, Offset: 2, Bytes: "\x01", MinLen: sslV2Head, Func: sslV2Hello},
		},
		New: func(*Session) Parser { return &tlsParser{tls: t} },
	}
}

// tlsHello accepts a record that begins with a hello. A hello may be spread over records (RFC 8446 section 5.1), as those
// do who hide names from filters: the reference wants its header whole.
func tlsHello(s *Session, _ Dir, b []byte) bool {
	least := 1
	if s.Reference {
		least = tlsHandshakeHeader
	}
	size := int(binary.BigEndian.Uint16(b[3:]))
	return b[2] <= 4 && size >= least && size <= maxTLSRecord && (b[5] == tlsClientHello || b[5] == tlsServerHello)
}

// tlsWithin accepts what a connection whose beginning was not captured goes on with: records that follow one another to the
// end of the payload, or past it on a port of TLS. The reference wants to see the beginning.
func tlsWithin(s *Session, _ Dir, b []byte) bool {
	if s.Reference {
		return false
	}
	for len(b) >= tlsRecordHeader {
		kind, size := b[0], int(binary.BigEndian.Uint16(b[3:]))
		if kind < tlsChangeCipher || kind > tlsData || b[1] != 3 || b[2] == 0 || b[2] > 3 || size == 0 || size > maxTLSRecord {
			return false
		}
		if tlsRecordHeader+size > len(b) {
			return onTLSPort(s)
		}
		b = b[tlsRecordHeader+size:]
	}
	return len(b) == 0
}

// onTLSPort reports whether an end is a port that IANA registers for TLS, or that clients of push services use.
func onTLSPort(s *Session) bool {
	for _, p := range [...]uint16{443, 465, 563, 636, 853, 989, 990, 993, 995, 5061, 5223, 5228, 8443} {
		if s.OnPort(p) {
			return true
		}
	}
	return false
}

type tlsParser struct {
	*tls
	Base
	begun   [2]bool
	client  Dir            // that sent the ClientHello, or did not send the ServerHello: not always the source
	pending [2][]byte      // start of a handshake message whose rest is in records to come
	decrypt *tlsDecryption // nil without keys
}

// Parse implements Parser. Without keys it reads records until the direction
// turns to what is encrypted.
func (p *tlsParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	if !p.begun[dir] && len(b) >= tlsRecordHeader {
		if n = p.sslV2(s, dir, b); n < 0 {
			return 0, More
		}
		p.begun[dir] = true
	}
	for len(b)-n >= tlsRecordHeader {
		kind, size := b[n], int(binary.BigEndian.Uint16(b[n+3:]))
		if kind != tlsHandshake && p.decrypt == nil && !tlsWarning(s, b[n:]) || kind < tlsChangeCipher || kind > tlsHeartbeat || b[n+1] != 3 || size > maxTLSRecord {
			return n, DirDone // ChangeCipherSpec, data, an alert, or no TLS at all
		}
		if len(b)-n < tlsRecordHeader+size {
			break
		}
		record := b[n : n+tlsRecordHeader+size]
		n += len(record)
		if st := p.record(s, dir, record); st != More {
			return n, st
		}
	}
	return n, More
}

// tlsWarning reports whether a record is a warning in clear (RFC 5246 section 7.2), as servers send that do not know the name
// they are asked for, and then go on: only those have a body of two bytes. The reference reads nothing behind one.
func tlsWarning(s *Session, record []byte) bool {
	const warning = 1
	return !s.Reference && record[0] == tlsAlert && record[3] == 0 && record[4] == 2 && (len(record) == tlsRecordHeader || record[tlsRecordHeader] == warning)
}

// record reads a record, header included.
func (p *tlsParser) record(s *Session, dir Dir, record []byte) Status {
	kind, header, body := record[0], record[:tlsRecordHeader], record[tlsRecordHeader:]
	d := p.decrypt
	switch {
	case d != nil && d.known && kind == tlsChangeCipher:
		d.changed(dir)
		return More
	case d != nil && d.known && (d.v13 && kind == tlsData || !d.v13 && d.keys[dir].aead != nil):
		plain, inner, ok := d.open(dir, kind, header, body)
		if !ok {
			if d.failures[dir]++; d.failures[dir] > tlsMaxFailures {
				return p.Gap(s, dir, 0)
			}
			return More
		}
		switch inner {
		case tlsHandshake:
			return p.messages(s, dir, plain)
		case tlsData:
			if len(plain) > 0 && !d.tunnel(s).stream(s, dir, plain) {
				s.AddTag("dissector-limit:tls")
				return Done
			}
		}
		return More
	case tlsWarning(s, record):
		return More
	case kind == tlsHandshake && (d == nil || dir == Server || len(d.waiting) == 0):
		return p.messages(s, dir, body)
	case d != nil && (d.known || dir == Server && kind == tlsChangeCipher): // an alert in clear, or what follows a retry
		return More
	case d != nil && d.hello && dir == Client && len(d.waiting)+len(record) <= tlsMaxWaiting && s.Hold(len(record)):
		d.waiting = append(d.waiting, record...)
		return More
	}
	return DirDone
}

// messages reads the handshake messages of one record; a message may span several.
func (p *tlsParser) messages(s *Session, dir Dir, b []byte) Status {
	held := len(p.pending[dir])
	if held > 0 {
		p.pending[dir] = append(p.pending[dir], b...)
		b = p.pending[dir]
	}
	for len(b) >= tlsHandshakeHeader {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if size > maxTLSHandshake {
			return DirDone // an encrypted Finished looks like this
		}
		if len(b) < tlsHandshakeHeader+size {
			break
		}
		p.message(s, dir, b[0], b[tlsHandshakeHeader:tlsHandshakeHeader+size])
		b = b[tlsHandshakeHeader+size:]
	}
	if !s.Hold(len(b) - held) {
		return DirDone
	}
	p.pending[dir] = append(p.pending[dir][:0], b...)
	return More
}

func (p *tlsParser) message(s *Session, dir Dir, kind byte, b []byte) {
	switch kind {
	case tlsClientHello:
		p.client = dir
		if h, ok := parseClientHello(b); ok {
			transport := byte('t')
			const udp = 17
			if s.Reference && s.IPProtocol == udp {
				transport = 'q' // as the reference calls all that is not TCP, such as OpenVPN's
			}
			p.clientHello(s, &h, transport)
			noteEncryptedDNS(s, h.alpn, "dot", "dot")
			p.seek(s, &h)
		}
	case tlsServerHello:
		p.client = dir.Other()
		if h, ok := p.serverHello(s, b); ok && p.decrypt != nil {
			p.keysOf(s, &h)
		}
	case tlsEncryptedExts:
		if p.decrypt != nil { // seen only decrypted
			for e := range tlsExtensions(b) {
				if e.kind == extALPN {
					p.chosen(s, tlsProtocols(e.data))
				}
			}
		}
	case tlsCertificate:
		if dir == p.client && s.Reference {
			return // the reference leaves certificates of clients out
		}
		if p.decrypt != nil && p.decrypt.v13 {
			p.certificate.chain13(s, b)
		} else {
			p.certificate.chain(s, b)
		}
	case tlsCompressedCert:
		if p.decrypt != nil && p.decrypt.v13 {
			if message, ok := tlsCertificates(b); ok {
				p.message(s, dir, tlsCertificate, message)
			}
			return
		}
	}
	if p.decrypt != nil {
		p.decrypt.message(dir, kind)
	}
}

// seek begins to decrypt, when there may be keys.
func (p *tlsParser) seek(s *Session, h *clientHello) {
	if s.Keys.Empty() || p.decrypt != nil && p.decrypt.known && p.decrypt.v13 {
		return // TLS 1.3 has no second handshake; a hello after a retry has the random of the first
	}
	if p.decrypt == nil {
		p.decrypt = &tlsDecryption{log: s.Keys}
	}
	p.decrypt.clientHello(h)
}

// keysOf goes on to decrypt what follows the ServerHello, and what came too early, or
// ends it when there are no keys.
func (p *tlsParser) keysOf(s *Session, h *serverHello) {
	d := p.decrypt
	if len(h.alpn) > 0 {
		d.alpn = h.alpn[0]
	}
	waiting := d.waiting
	if !d.serverHello(h) {
		p.decrypt = nil
	} else if !d.known {
		return // after a retry the same client goes on
	}
	s.Hold(-len(waiting))
	d.waiting = nil
	for p.decrypt != nil && len(waiting) > 0 {
		size := tlsRecordHeader + int(binary.BigEndian.Uint16(waiting[3:]))
		p.record(s, Client, waiting[:size])
		waiting = waiting[size:]
	}
}

// chosen notes the protocol that the server chose, in an encrypted extension.
func (p *tlsParser) chosen(s *Session, names []string) {
	if len(names) > 0 {
		p.decrypt.alpn = names[0]
		s.Doc.AddString(p.nextProtocol, names[0])
	}
}

// Gap implements Parser: records behind a gap cannot be found again.
func (p *tlsParser) Gap(s *Session, dir Dir, _ int) Status {
	if p.decrypt == nil || !p.decrypt.known {
		return Done
	}
	if p.decrypt.plain != nil {
		p.decrypt.plain.gap(s, dir)
	}
	return DirDone
}

// End implements Parser.
func (p *tlsParser) End(s *Session, final bool) {
	if p.decrypt != nil && p.decrypt.plain != nil {
		p.decrypt.plain.end(s, final)
	}
}

// clientHello files what a ClientHello tells; transport is JA4's first letter.
func (t *tls) clientHello(s *Session, h *clientHello, transport byte) {
	doc := s.Doc
	if h.serverName != "" {
		if transport != 'd' || !s.Reference {
			doc.AddString(t.host, h.serverName)
		}
		doc.AddString(t.serverName, h.serverName)
	}
	if h.ech {
		s.AddTag("tls:has_ech")
	}
	if h.esni {
		s.AddTag("tls:has_esni")
	}
	for _, a := range h.alpn {
		doc.AddString(t.alpn, a)
	}
	if len(h.sessionID) > 0 && transport == 't' {
		doc.AddString(t.srcSessionID, hex.EncodeToString(h.sessionID))
	}
	if transport != 'd' {
		text := h.ja3()
		doc.AddString(t.ja3String, text)
		doc.AddString(t.ja3, md5Hex(text))
	}
	sum, raw := h.ja4(transport)
	doc.AddString(t.ja4, sum)
	doc.AddString(t.ja4Raw, raw)
}

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text)) //nolint:gosec // JA3 is defined with it
	return hex.EncodeToString(sum[:])
}

// serverHello is a ServerHello (RFC 8446 section 4.1.3).
type serverHello struct {
	random  []byte
	version uint16 // as it stands in the message
	chosen  uint16 // and in supported_versions
	cipher  uint16
	alpn    []string
	retry   bool // a HelloRetryRequest
}

// tlsRetryRandom is the random of a HelloRetryRequest (RFC 8446 section 4.1.3).
const tlsRetryRandom = "\xcf\x21\xad\x74\xe5\x9a\x61\x11\xbe\x1d\x8c\x02\x1e\x65\xb8\x91\xc2\xa2\x11\x16\x7a\xbb\x8c\x5e\x07\x9e\x09\xe2\xc8\xa8\x33\x9c"

// serverHello files what a ServerHello tells, and its JA3S.
func (t *tls) serverHello(s *Session, b []byte) (h serverHello, ok bool) {
	r := tlsReader{b: b}
	h.version = uint16(r.uint16()) //nolint:gosec // two bytes
	h.chosen = h.version
	h.random = r.take(tlsRandom)
	h.retry = string(h.random) == tlsRetryRandom
	// Drafts of TLS 1.3 before 22 had neither session id nor compression.
	old := h.version>>8 == 0x7f && h.version&0xff < 22
	var id []byte
	if !old {
		id = r.vector8()
	}
	h.cipher = uint16(r.uint16()) //nolint:gosec // two bytes
	if !old {
		r.take(1) // compression
	}
	if r.bad {
		return h, false
	}
	text := append(strconv.AppendUint(nil, uint64(h.version), 10), ',')
	text = append(strconv.AppendUint(text, uint64(h.cipher), 10), ',')
	first := true
	for e := range tlsExtensions(r.b) {
		if !first {
			text = append(text, '-')
		}
		first = false
		text = strconv.AppendUint(text, uint64(e.kind), 10)
		switch {
		case e.kind == extSupportedVersions && len(e.data) == 2:
			h.chosen = binary.BigEndian.Uint16(e.data)
		case e.kind == extALPN:
			h.alpn = tlsProtocols(e.data)
		}
	}
	doc := s.Doc
	// Drafts of TLS 1.3 put their version here, and JA3S takes what stands in the hello.
	doc.AddString(t.version, tlsVersionName(h.chosen))
	doc.AddString(t.cipher, tlsCipherName(h.cipher))
	if len(id) > 0 {
		doc.AddString(t.dstSessionID, hex.EncodeToString(id))
	}
	for _, name := range h.alpn {
		doc.AddString(t.nextProtocol, name)
	}
	doc.AddString(t.ja3sString, string(text))
	doc.AddString(t.ja3s, md5Hex(string(text)))
	return h, true
}

// tlsVersionName names a protocol version; drafts of TLS 1.3 by their number (RFC 8446 section 4.2.1).
func tlsVersionName(v uint16) string {
	switch v {
	case 0x0002:
		return "SSLv2"
	case 0x0300:
		return "SSLv3"
	case 0x0301:
		return "TLSv1"
	case 0x0302:
		return "TLSv1.1"
	case 0x0303:
		return "TLSv1.2"
	case 0x0304:
		return "TLSv1.3"
	case 0xfeff:
		return "DTLSv1.0"
	case 0xfefd:
		return "DTLSv1.2"
	case 0xfefc:
		return "DTLSv1.3"
	}
	if v>>8 == 0x7f {
		return "TLSv1.3-draft-" + strconv.Itoa(int(v&0xff))
	}
	return "0x" + hex.EncodeToString([]byte{byte(v >> 8), byte(v)})
}
