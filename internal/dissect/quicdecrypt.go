package dissect

import (
	"crypto/aes"
	"encoding/binary"
	"slices"
	"strings"

	"golang.org/x/crypto/chacha20"

	"wirelake/internal/keylog"
)

// Limits of decrypting a connection.
const (
	maxQUICWaiting  = 64 << 10 // bytes of packets that came before the keys were known
	maxQUICWaitingN = 64
)

// quicDecryption opens the packets behind the Initial ones with the secrets of a key log (RFC 9001). Parsers of sessions
// without keys have none.
type quicDecryption struct {
	log     *keylog.Log
	random  [tlsRandom]byte // of the ClientHello
	offered bool            // the client offers HTTP/3
	alpn    string          // what the server chose
	known   bool            // the ServerHello was seen, and suite and secrets are known
	tagged  bool
	suite   tlsSuite
	labels  string
	ids     [2]int // bytes of the connection id in packets that a side sends
	haveIDs [2]bool

	early     quicLevel    // 0-RTT, the client's
	handshake [2]quicLevel // of both sides, as all below
	app       [2]quicLevel
	crypto    [2]sparse // of the handshake
	read      [2]int    // of it
	waiting   []quicEarly
	held      int // bytes of waiting

	head, plain []byte // of the packet at hand
	http        *http3
}

// quicLevel is what protects the packets of a side at one level of encryption.
type quicLevel struct {
	keys    quicKeys
	next    uint64 // number behind the highest of packets that were opened
	secret  []byte
	phase   byte // of the keys, at the level of application data (RFC 9001 section 6)
	before  quicKeys
	after   quicKeys
	updates int
}

// newQUICKeys returns the keys of a traffic secret (RFC 9001 section 5.1).
func newQUICKeys(suite tlsSuite, labels string, secret []byte) (k quicKeys) {
	if len(secret) != suite.hash().Size() {
		return k
	}
	k.aead = suite.aead(expandLabel(suite.hash, secret, labels+" key", suite.keyLen))
	k.iv = expandLabel(suite.hash, secret, labels+" iv", tlsNonceLen)
	hp := expandLabel(suite.hash, secret, labels+" hp", suite.keyLen)
	if suite.chacha {
		k.chacha = hp
	} else if block, err := aes.NewCipher(hp); err == nil {
		k.hp = block
	}
	return k
}

// mask returns the mask of a sample (RFC 9001 section 5.4).
func (k *quicKeys) mask(sample []byte) (m [aes.BlockSize]byte, ok bool) {
	if k.hp != nil {
		k.hp.Encrypt(m[:], sample)
		return m, true
	}
	c, err := chacha20.NewUnauthenticatedCipher(k.chacha, sample[4:])
	if err != nil {
		return m, false
	}
	c.SetCounter(binary.LittleEndian.Uint32(sample))
	c.XORKeyStream(m[:5], m[:5])
	return m, true
}

// seek begins to decrypt, when there may be keys.
func (p *quicParser) seek(s *Session, h *clientHello) {
	if s.Reference || s.Keys.Empty() || len(h.random) != tlsRandom {
		return
	}
	d := &quicDecryption{log: s.Keys, random: [tlsRandom]byte(h.random)}
	d.offered = slices.ContainsFunc(h.alpn, isHTTP3)
	p.secret = d
}

// isHTTP3 reports whether the name is that of HTTP/3 or of one of its drafts (RFC 9114 section 3.1).
func isHTTP3(alpn string) bool { return alpn == "h3" || strings.HasPrefix(alpn, "h3-") }

// QUICRandom returns the random of the ClientHello whose first bytes are in b, a datagram that begins with an Initial packet of the
// client: by it a key log knows the connection.
func QUICRandom(b []byte) (random [tlsRandom]byte, ok bool) {
	const start, end = tlsHandshakeHeader + 2, tlsHandshakeHeader + 2 + tlsRandom
	h, ok := parseQUICHeader(b)
	if !ok || h.kind != quicInitial || !h.version.protected || h.version.google {
		return random, false
	}
	keys := newQUICInitialKeys(h.version, h.dcid)
	payload, ok := keys.side[Client].open(b[:h.end], h.pn)
	if !ok {
		return random, false
	}
	var hello [end]byte
	var have uint64 // a bit a byte
	for off, data := range quicCryptoFrames(payload, false) {
		if off < end {
			for i := range copy(hello[off:], data) {
				have |= 1 << (off + uint64(i)) //nolint:gosec // not negative
			}
		}
	}
	return [tlsRandom]byte(hello[start:]), have == 1<<end-1 && hello[0] == tlsClientHello
}

// keysOf goes on to decrypt, or not when there are no keys.
func (p *quicParser) keysOf(v quicVersion, cipher uint16) {
	d := p.secret
	if d == nil || d.known {
		return
	}
	suite, ok := tlsSuiteOf(cipher)
	secrets, have := d.log.Secrets(d.random[:])
	if !ok || !have || secrets.ClientTraffic == nil && secrets.ServerTraffic == nil {
		p.secret = nil
		return
	}
	level := func(secret []byte) quicLevel {
		return quicLevel{keys: newQUICKeys(suite, v.labels, secret), secret: secret}
	}
	d.suite, d.labels, d.known = suite, v.labels, true
	d.early = level(secrets.ClientEarly)
	d.handshake = [2]quicLevel{level(secrets.ClientHandshake), level(secrets.ServerHandshake)}
	d.app = [2]quicLevel{level(secrets.ClientTraffic), level(secrets.ServerTraffic)}
}

// identify takes the connection id that a side chose, which the packets to it have.
func (d *quicDecryption) identify(sender Dir, scid []byte) {
	d.ids[sender.Other()], d.haveIDs[sender.Other()] = len(scid), true
}

// protected takes a packet behind the Initial ones: h is its long header, or nil.
func (p *quicParser) protected(s *Session, dir Dir, h *quicHeader, packet []byte) {
	d := p.secret
	if d == nil || !p.begun {
		return
	}
	sender := dir ^ p.client
	if !d.known {
		if len(d.waiting) < maxQUICWaitingN && d.held+len(packet) <= maxQUICWaiting && s.Hold(len(packet)) {
			d.held += len(packet)
			d.waiting = append(d.waiting, quicEarly{dir, slices.Clone(packet)})
		}
		return
	}
	level, pn, long := &d.app[sender], 1+d.ids[sender], false
	switch {
	case h == nil:
		if !d.haveIDs[sender] {
			return
		}
	case h.kind == quicHandshake:
		level, pn, long = &d.handshake[sender], h.pn, true
		d.identify(sender, h.scid)
	case h.kind == quicZeroRTT && sender == Client:
		level, pn, long = &d.early, h.pn, true
	default:
		return
	}
	payload, ok := d.open(level, packet, pn, long)
	if !ok {
		return
	}
	if !d.tagged {
		d.tagged = true
		s.AddTag("tls:decrypted")
	}
	p.frames(s, sender, payload)
}

// replay takes what came too early.
func (p *quicParser) replay(s *Session) {
	d := p.secret
	if d == nil || !d.known || len(d.waiting) == 0 {
		return
	}
	waiting := d.waiting
	s.Hold(-d.held)
	d.waiting, d.held = nil, 0
	for _, e := range waiting {
		if e.packet[0]&0x80 == 0 {
			p.protected(s, e.dir, nil, e.packet)
		} else if h, ok := parseQUICHeader(e.packet); ok {
			p.protected(s, e.dir, &h, e.packet)
		}
	}
}

// open removes the protection of a packet whose number stands at pn. What it returns is valid until the next call.
func (d *quicDecryption) open(l *quicLevel, packet []byte, pn int, long bool) ([]byte, bool) {
	const sample = 4
	if l.keys.aead == nil || len(packet) < pn+sample+aes.BlockSize {
		return nil, false
	}
	mask, ok := l.keys.mask(packet[pn+sample : pn+sample+aes.BlockSize])
	if !ok {
		return nil, false
	}
	bits := byte(0x1f)
	if long {
		bits = 0x0f
	}
	first := packet[0] ^ mask[0]&bits
	size := int(first&3) + 1
	d.head = append(d.head[:0], packet[:pn+size]...)
	d.head[0] = first
	var number uint64
	for i := range size {
		d.head[pn+i] ^= mask[1+i] //nolint:gosec // size is 4 at most
		number = number<<8 | uint64(d.head[pn+i])
	}
	number = quicNumber(l.next, number, size)
	out, ok := d.unseal(l, first>>2&1, long, number, packet[pn+size:])
	if !ok {
		return nil, false
	}
	l.next = max(l.next, number+1)
	d.plain = out
	return out, true
}

// unseal decrypts with the keys of the packet's phase.
func (d *quicDecryption) unseal(l *quicLevel, phase byte, long bool, number uint64, body []byte) ([]byte, bool) {
	if long || phase == l.phase {
		return d.unsealWith(&l.keys, number, body)
	}
	if l.before.aead != nil { // a packet that was late
		if out, ok := d.unsealWith(&l.before, number, body); ok {
			return out, true
		}
	}
	if l.after.aead == nil {
		if l.updates++; l.updates > tlsMaxKeyUpdate {
			return nil, false
		}
		l.secret = expandLabel(d.suite.hash, l.secret, d.labels+" ku", len(l.secret))
		l.after = newQUICKeys(d.suite, d.labels, l.secret)
		l.after.hp, l.after.chacha = l.keys.hp, l.keys.chacha // these stay
	}
	out, ok := d.unsealWith(&l.after, number, body)
	if ok {
		l.before, l.keys, l.after, l.phase = l.keys, l.after, quicKeys{}, phase
	}
	return out, ok
}

func (d *quicDecryption) unsealWith(k *quicKeys, number uint64, body []byte) ([]byte, bool) {
	if k.aead == nil {
		return nil, false
	}
	var nonce [tlsNonceLen]byte
	copy(nonce[:], k.iv)
	for i := range 8 {
		nonce[tlsNonceLen-1-i] ^= byte(number >> (8 * i)) //nolint:gosec // its bytes
	}
	out, err := k.aead.Open(d.plain[:0], nonce[:], body, d.head)
	return out, err == nil
}

// quicNumber returns the packet number of which a packet holds that many bytes (RFC 9000 appendix A.3).
func quicNumber(expected, held uint64, size int) uint64 {
	window := uint64(1) << (8 * size)
	n := expected&^(window-1) | held
	switch {
	case n+window/2 <= expected && n < 1<<62-window:
		return n + window
	case n > expected+window/2 && n >= window:
		return n - window
	}
	return n
}

// Frames (RFC 9000 section 19, RFC 9221), beside those of Initial packets.
const (
	quicResetStream   = 0x04
	quicStopSending   = 0x05
	quicNewToken      = 0x07
	quicStream        = 0x08 // to 0x0f
	quicMaxStreamData = 0x11
	quicBlockedStream = 0x15
	quicNewID         = 0x18
	quicPathChallenge = 0x1a
	quicPathResponse  = 0x1b
	quicDone          = 0x1e
	quicDatagram      = 0x30
	quicDatagramSized = 0x31
)

// frames reads the frames of a packet.
func (p *quicParser) frames(s *Session, sender Dir, payload []byte) {
	for r := (tlsReader{b: payload}); len(r.b) > 0 && !r.bad; {
		kind := r.varint()
		switch {
		case kind == quicPadding, kind == quicPing, kind == quicDone:
		case kind == quicAck, kind == quicAckECN:
			if !r.quicAck(kind) {
				return
			}
		case kind == quicCrypto:
			off := r.varint()
			if data := r.quicBytes(); !r.bad {
				p.handshakeBytes(s, sender, off, data)
			}
		case kind&^7 == quicStream:
			id, off := r.varint(), uint64(0)
			if kind&4 != 0 {
				off = r.varint()
			}
			data := r.b
			if kind&2 != 0 {
				data = r.quicBytes()
			} else {
				r.b = nil
			}
			if !r.bad {
				p.stream(s, sender, id, off, data, kind&1 != 0)
			}
		case kind == quicResetStream:
			id := r.varint()
			r.varint()
			r.varint()
			if h := p.secret.http; h != nil && !r.bad {
				h.reset(s, sender, id)
			}
		case kind == quicStopSending, kind == quicMaxStreamData, kind == quicBlockedStream:
			r.varint()
			r.varint()
		case kind == quicNewToken, kind == quicDatagramSized:
			r.quicBytes()
		case kind > quicStream+7 && kind < quicNewID, kind == quicNewID+1: // limits, and identifiers that are retired
			r.varint()
		case kind == quicNewID:
			const token = 16
			r.varint()
			r.varint()
			r.vector8()
			r.take(token)
		case kind == quicPathChallenge, kind == quicPathResponse:
			r.take(8)
		default: // the connection is closed, a datagram to the packet's end, or what is not known
			return
		}
	}
}

// quicAck reads the rest of an ACK frame.
func (r *tlsReader) quicAck(kind uint64) bool {
	r.varint() // largest acknowledged
	r.varint() // delay
	ranges := r.varint()
	if ranges > maxQUICAckRange {
		return false
	}
	n := 1 + 2*ranges // the first range, then gaps and ranges
	if kind == quicAckECN {
		n += 3
	}
	for range n {
		r.varint()
	}
	return !r.bad
}

// quicBytes reads bytes behind their number.
func (r *tlsReader) quicBytes() []byte {
	n := r.varint()
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// handshakeBytes reads the messages that TLS goes on with behind the hellos.
func (p *quicParser) handshakeBytes(s *Session, sender Dir, off uint64, data []byte) {
	d := p.secret
	if d.read[sender] < 0 || !d.crypto[sender].add(s, off, data, maxQUICHello) {
		return
	}
	for {
		b := d.crypto[sender].prefix()
		b = b[min(d.read[sender], len(b)):]
		if len(b) < tlsHandshakeHeader {
			return
		}
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if len(b) < tlsHandshakeHeader+size {
			return
		}
		d.read[sender] += tlsHandshakeHeader + size
		kind, body := b[0], b[tlsHandshakeHeader:tlsHandshakeHeader+size]
		switch kind {
		case tlsEncryptedExts:
			for e := range tlsExtensions(body) {
				if names := tlsProtocols(e.data); e.kind == extALPN && len(names) > 0 {
					d.alpn = names[0]
					s.Doc.AddString(p.tls.nextProtocol, names[0])
				}
			}
		case tlsCompressedCert:
			if message, ok := tlsCertificates(body); ok {
				p.tls.certificate.chain13(s, message)
			}
		case tlsCertificate:
			p.tls.certificate.chain13(s, body)
		case tlsFinished: // what follows are session tickets, at another level of encryption
			d.crypto[sender].release(s)
			d.read[sender] = -1
			return
		}
	}
}

// stream gives bytes of a stream to HTTP/3, if that is what the connection carries.
func (p *quicParser) stream(s *Session, sender Dir, id, off uint64, data []byte, fin bool) {
	d := p.secret
	if d.alpn != "" && !isHTTP3(d.alpn) || d.alpn == "" && !d.offered {
		return
	}
	if d.http == nil {
		d.http = newHTTP3(p.quic)
		s.AddProtocol("http")
		s.AddProtocol("http3")
	}
	d.http.stream(s, sender, id, off, data, fin)
}
