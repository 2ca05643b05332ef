package dissect

import (
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"hash"

	"golang.org/x/crypto/chacha20poly1305"

	"wirelake/internal/keylog"
)

// tlsSuite is a cipher suite that can be decrypted with the secrets of a key log.
type tlsSuite struct {
	keyLen int
	hash   func() hash.Hash
	chacha bool
}

// tlsSuiteOf returns the suites with AES-GCM and ChaCha20-Poly1305 (RFC 8446
// section B.4, RFC 5288, 5289, 5487, 7905).
func tlsSuiteOf(cipher uint16) (tlsSuite, bool) {
	switch cipher {
	case 0x1301,
		0x009c, 0x009e, 0x00a0, 0x00a2, 0x00a4, 0x00a6, 0x00a8, 0x00aa, 0x00ac, // RSA, DHE, DH, anonymous and PSK
		0xc02b, 0xc02d, 0xc02f, 0xc031, 0xd001: // ECDHE, ECDH, ECDHE_PSK
		return tlsSuite{16, sha256.New, false}, true
	case 0x1302,
		0x009d, 0x009f, 0x00a1, 0x00a3, 0x00a5, 0x00a7, 0x00a9, 0x00ab, 0x00ad,
		0xc02c, 0xc02e, 0xc030, 0xc032, 0xd002:
		return tlsSuite{32, sha512.New384, false}, true
	case 0x1303, 0xcca8, 0xcca9, 0xccaa, 0xccab, 0xccac, 0xccad, 0xccae:
		return tlsSuite{chacha20poly1305.KeySize, sha256.New, true}, true
	}
	return tlsSuite{}, false
}

func (t tlsSuite) aead(key []byte) cipher.AEAD {
	if !t.chacha {
		return newGCM(key)
	}
	aead, err := chacha20poly1305.New(key)
	if err != nil {
		return nil
	}
	return aead
}

const (
	tlsNonceLen     = 12
	tlsGCMSalt      = 4  // bytes of the nonce that the handshake gives (RFC 5288 section 3)
	tlsExplicit     = 8  // and those that stand in the record
	tlsMaxKeyUpdate = 64 // key updates of a direction that are followed
	tlsMaxFailures  = 32 // records of a direction that may fail before it is given up
	tlsMaxWaiting   = 128 << 10
)

// tlsKeys decrypt the records of a direction.
type tlsKeys struct {
	aead     cipher.AEAD // nil: none
	iv       []byte
	seq      uint64
	v13      bool
	explicit bool   // the record begins with a part of the nonce
	secret   []byte // of TLS 1.3, for key updates
	buf      []byte
}

// open decrypts a record and returns its content and type.
func (k *tlsKeys) open(kind byte, header, body []byte) (plain []byte, inner byte, ok bool) {
	if k.aead == nil || len(body) < k.aead.Overhead() {
		return nil, 0, false
	}
	var nonce [tlsNonceLen]byte
	copy(nonce[:], k.iv)
	if k.explicit {
		if len(body) < tlsExplicit+k.aead.Overhead() {
			return nil, 0, false
		}
		copy(nonce[tlsGCMSalt:], body[:tlsExplicit])
		body = body[tlsExplicit:]
	} else {
		var seq [8]byte
		binary.BigEndian.PutUint64(seq[:], k.seq)
		for i, c := range seq {
			nonce[tlsNonceLen-8+i] ^= c
		}
	}
	additional := header
	if !k.v13 { // RFC 5246 section 6.2.3.3
		additional = make([]byte, 0, 13)
		additional = binary.BigEndian.AppendUint64(additional, k.seq)
		additional = append(additional, header[:3]...)
		additional = binary.BigEndian.AppendUint16(additional, uint16(len(body)-k.aead.Overhead())) //nolint:gosec // a record
	}
	out, err := k.aead.Open(k.buf[:0], nonce[:], body, additional)
	if err != nil {
		return nil, 0, false
	}
	k.buf = out
	k.seq++
	if !k.v13 {
		return out, kind, true
	}
	for len(out) > 0 && out[len(out)-1] == 0 { // RFC 8446 section 5.4
		out = out[:len(out)-1]
	}
	if len(out) == 0 {
		return nil, 0, false
	}
	return out[:len(out)-1], out[len(out)-1], true
}

// keys13 returns the keys of a traffic secret (RFC 8446 section 7.3).
func (t tlsSuite) keys13(secret []byte) tlsKeys {
	if len(secret) != t.hash().Size() {
		return tlsKeys{}
	}
	return tlsKeys{
		aead: t.aead(expandLabel(t.hash, secret, "key", t.keyLen)),
		iv:   expandLabel(t.hash, secret, "iv", tlsNonceLen),
		v13:  true, secret: secret,
	}
}

// keys12 returns the keys of both directions of a master secret (RFC 5246 section 6.3).
// Whether it is an extended one (RFC 7627) makes no difference here.
func (t tlsSuite) keys12(master, clientRandom, serverRandom []byte) (out [2]tlsKeys) {
	ivLen := tlsGCMSalt
	if t.chacha {
		ivLen = tlsNonceLen
	}
	seed := append(append([]byte("key expansion"), serverRandom...), clientRandom...)
	block := tlsPRF(t.hash, master, seed, 2*t.keyLen+2*ivLen)
	for dir := range out {
		key := block[dir*t.keyLen:][:t.keyLen]
		iv := block[2*t.keyLen+dir*ivLen:][:ivLen]
		out[dir] = tlsKeys{aead: t.aead(key), iv: iv, explicit: !t.chacha}
	}
	return out
}

// tlsPRF is P_hash of TLS 1.2 (RFC 5246 section 5).
func tlsPRF(h func() hash.Hash, secret, seed []byte, size int) []byte {
	sum := func(parts ...[]byte) []byte {
		m := hmac.New(h, secret)
		for _, p := range parts {
			m.Write(p)
		}
		return m.Sum(nil)
	}
	var out []byte
	for a := sum(seed); len(out) < size; a = sum(a) {
		out = append(out, sum(a, seed)...)
	}
	return out[:size]
}

// tlsDecryption is what decrypting a session takes; parsers of sessions without keys have none.
type tlsDecryption struct {
	random   [2][tlsRandom]byte // of ClientHello and ServerHello
	hello    bool               // the ClientHello was seen
	early    bool               // and the client sends early data, whose secret is known
	known    bool               // the ServerHello was seen, and suite and secrets are known
	v13      bool
	suite    tlsSuite
	log      *keylog.Log
	next     [2]tlsKeys // TLS 1.2: from ChangeCipherSpec on
	keys     [2]tlsKeys
	finished [2]bool // TLS 1.3: the keys are those of application data
	updates  [2]int
	failures [2]int // records that could not be decrypted
	waiting  []byte // records of the client that came before the ServerHello
	alpn     string // the protocol that the server chose
	plain    *nested
}

// secrets returns what the log has of the connection.
func (d *tlsDecryption) secrets() (keylog.Secrets, bool) { return d.log.Secrets(d.random[Client][:]) }

// clientHello begins a handshake, the first or a renegotiation.
func (d *tlsDecryption) clientHello(h *clientHello) {
	if len(h.random) != tlsRandom {
		return
	}
	d.hello = true
	copy(d.random[Client][:], h.random)
	d.early = h.early
}

// serverHello chooses the keys. It returns false when there are none.
func (d *tlsDecryption) serverHello(h *serverHello) bool {
	if h.retry {
		return true // another ClientHello comes, with the same random
	}
	suite, ok := tlsSuiteOf(h.cipher)
	secrets, have := d.secrets()
	if !d.hello || !ok || !have || len(h.random) != tlsRandom {
		return false
	}
	copy(d.random[Server][:], h.random)
	d.suite = suite
	switch {
	case h.chosen == 0x0304 || h.chosen>>8 == 0x7f: // and its drafts
		if secrets.ClientHandshake == nil && secrets.ClientTraffic == nil && secrets.ServerHandshake == nil && secrets.ServerTraffic == nil {
			return false
		}
		d.v13 = true
		d.keys[Server] = suite.keys13(secrets.ServerHandshake)
		d.keys[Client] = suite.keys13(secrets.ClientHandshake)
		if d.early && secrets.ClientEarly != nil {
			d.keys[Client] = suite.keys13(secrets.ClientEarly)
		} else {
			d.early = false
		}
	case h.chosen == 0x0303 && len(secrets.Master) > 0:
		d.next = suite.keys12(secrets.Master, d.random[Client][:], d.random[Server][:])
	default:
		return false
	}
	d.known = true
	return true
}

// changed takes a ChangeCipherSpec, which means nothing in TLS 1.3 (RFC 8446 appendix D.4).
func (d *tlsDecryption) changed(dir Dir) {
	if !d.v13 {
		d.keys[dir], d.next[dir] = d.next[dir], tlsKeys{}
	}
}

// open decrypts a record. Where the keys do not fit, those of the phases to come
// are tried: a server may refuse early data, a log may lack the handshake's secrets.
func (d *tlsDecryption) open(dir Dir, kind byte, header, body []byte) ([]byte, byte, bool) {
	out, inner, ok := d.keys[dir].open(kind, header, body)
	if ok || !d.v13 || d.finished[dir] {
		return out, inner, ok
	}
	secrets, _ := d.secrets()
	for phase, secret := range [][]byte{
		[2][]byte{secrets.ClientHandshake, secrets.ServerHandshake}[dir],
		[2][]byte{secrets.ClientTraffic, secrets.ServerTraffic}[dir],
	} {
		if phase == 0 && !d.early {
			continue
		}
		keys := d.suite.keys13(secret)
		if out, inner, ok = keys.open(kind, header, body); ok {
			d.keys[dir], d.early, d.finished[dir] = keys, false, phase == 1
			return out, inner, ok
		}
	}
	return nil, 0, false
}

// message takes the messages of TLS 1.3 behind which other keys are used.
func (d *tlsDecryption) message(dir Dir, kind byte) {
	if !d.v13 {
		return
	}
	switch kind {
	case tlsEndOfEarlyData:
		if secrets, ok := d.secrets(); ok && dir == Client && d.early {
			d.keys[Client], d.early = d.suite.keys13(secrets.ClientHandshake), false
		}
	case tlsFinished:
		if secrets, ok := d.secrets(); ok && !d.finished[dir] {
			d.finished[dir] = true
			d.keys[dir] = d.suite.keys13([2][]byte{secrets.ClientTraffic, secrets.ServerTraffic}[dir])
		}
	case tlsKeyUpdate:
		secret := d.keys[dir].secret
		if d.updates[dir]++; d.updates[dir] > tlsMaxKeyUpdate || secret == nil {
			d.keys[dir] = tlsKeys{}
			return
		}
		d.keys[dir] = d.suite.keys13(expandLabel(d.suite.hash, secret, "traffic upd", len(secret)))
	}
}

// tunnel makes the session of the plaintext. HTTP/2 is told by ALPN, since servers send their settings before the client's
// preface, and what began before TLS by its parser; all else by its first bytes, as on the port that it has in clear.
func (d *tlsDecryption) tunnel(s *Session) *nested {
	if d.plain != nil {
		return d.plain
	}
	d.plain = newNested(s)
	s.AddTag("tls:decrypted")
	switch {
	case d.alpn == "h2":
		s.AddProtocol("http")
		d.plain.begin(s, "http2")
	case s.within != nil:
		d.plain.resume(s, *s.within)
		s.within = nil
	default:
		d.plain.s.SrcPort, d.plain.s.DstPort = plainPort(s.SrcPort), plainPort(s.DstPort)
	}
	return d.plain
}
