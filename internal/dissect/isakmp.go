package dissect

import (
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"wirelake/internal/spi"
)

// isakmp reads IKE, versions 1 (RFC 2408, 2409) and 2 (RFC 7296), as far as it is in clear.
type isakmp struct {
	Base
	version, exchange, initiator, responder, encryption, hash, group, auth, vendor spi.FieldID
}

const isakmpHeaderLen = 28

func newISAKMP(r *spi.Registry) Protocol {
	term := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "isakmp." + path, Type: spi.Term, List: true, Exprs: []string{"isakmp." + expr}, Name: name, Help: help})
	}
	p := &isakmp{
		version:    term("version", "version", "Version", "protocol versions"),
		exchange:   term("exchangeType", "exchange-type", "Exchange", "names of the exchanges"),
		initiator:  term("initiatorSpi", "initiator-spi", "Initiator SPI", "initiator SPIs, hex"),
		responder:  term("responderSpi", "responder-spi", "Responder SPI", "responder SPIs, hex"),
		encryption: term("encryption", "encryption", "Encryption", "encryption algorithms offered or chosen"),
		hash:       term("hash", "hash", "Hash", "hashes or pseudo-random functions"),
		group:      term("dhGroup", "dh-group", "Diffie-Hellman group", "Diffie-Hellman groups"),
		auth:       term("authMethod", "auth-method", "Authentication", "authentication methods"),
		vendor:     term("vendorId", "vendor-id", "Vendor id", "vendor id payloads, hex"),
	}
	return Protocol{
		Name: "isakmp",
		Matchers: []Matcher{
			{On: UDP, Port: 500, MinLen: isakmpHeaderLen, Func: isakmpHeader},
			{On: UDP, MinLen: isakmpHeaderLen + 4, Func: isakmpFirst},
			// Behind a NAT four zeros tell it from ESP (RFC 3948 section 2.2).
			{On: UDP, Port: 4500, Bytes: "\x00\x00\x00\x00", MinLen: isakmpHeaderLen + 4, Func: func(s *Session, d Dir, b []byte) bool { return isakmpHeader(s, d, b[4:]) }},
		},
		New: func(*Session) Parser { return p },
	}
}

// isakmpFirst accepts, on any port, the first message of an exchange that agrees on a security association: no
// responder yet, as long as it says, and the association first.
func isakmpFirst(s *Session, _ Dir, b []byte) bool {
	if !s.Reference && string(b[:4]) == "\x00\x00\x00\x00" { // behind a NAT
		b = b[4:]
	}
	if s.Reference || len(b) < isakmpHeaderLen || string(b[8:16]) != "\x00\x00\x00\x00\x00\x00\x00\x00" || int64(binary.BigEndian.Uint32(b[24:])) != int64(len(b)) {
		return false
	}
	const mainMode, aggressive, init = 2, 4, 34
	switch b[17] {
	case 0x10:
		return b[16] == 1 && (b[18] == mainMode || b[18] == aggressive)
	case 0x20:
		return b[18] == init && b[16] >= 33 && b[16] <= 48
	}
	return false
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *isakmp) Datagram(s *Session, dir Dir, b []byte) Status {
	const ports, marker = 500, "\x00\x00\x00\x00"
	switch {
	case s.OnPort(ports):
	case len(b) >= 4 && string(b[:4]) == marker:
		b = b[4:]
	case s.OnPort(4500):
		return More // ESP
	}
	if len(b) < isakmpHeaderLen || !isakmpHeader(s, dir, b) {
		return More
	}
	const zero = "0000000000000000"
	if spi := hex.EncodeToString(b[:8]); spi != zero {
		s.Doc.AddString(p.initiator, spi)
	}
	if spi := hex.EncodeToString(b[8:16]); spi != zero {
		s.Doc.AddString(p.responder, spi)
	}
	major := b[17] >> 4
	s.Doc.AddString(p.version, strconv.Itoa(int(major))+"."+strconv.Itoa(int(b[17]&15)))
	if name := isakmpExchange(b[18]); name != "" {
		s.Doc.AddString(p.exchange, name)
	}
	const encrypted = 1
	if major == 1 && b[19]&encrypted != 0 {
		return More
	}
	p.payloads(s, major, b[16], b[isakmpHeaderLen:])
	return More
}

func isakmpExchange(n byte) string {
	switch n {
	case 1:
		return "base"
	case 2:
		return "identity-protection"
	case 3:
		return "authentication-only"
	case 4:
		return "aggressive"
	case 5, 37:
		return "informational"
	case 6:
		return "transaction" // draft-dukes-ike-mode-cfg
	case 32:
		return "quick-mode"
	case 33:
		return "new-group-mode"
	case 34:
		return "ike-sa-init"
	case 35:
		return "ike-auth"
	case 36:
		return "create-child-sa"
	case 38:
		return "ike-session-resume"
	case 43:
		return "ike-intermediate"
	case 44:
		return "ike-followup-ke"
	}
	return ""
}

// payloads walks the chain of payloads (RFC 2408 section 3.2, RFC 7296 section 3.2).
func (p *isakmp) payloads(s *Session, major, typ byte, b []byte) {
	for typ != 0 && len(b) >= 4 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return
		}
		body := b[4:n]
		switch {
		case major == 1 && typ == 1 && len(body) >= 8: // behind domain of interpretation and situation
			p.proposals(s, major, body[8:])
		case major == 2 && typ == 33:
			p.proposals(s, major, body)
		case major == 1 && typ == 13 || major == 2 && typ == 43:
			const longest = 16 // most are an MD5; of others the start tells them
			s.Doc.AddString(p.vendor, hex.EncodeToString(body[:min(len(body), longest)]))
		case major == 2 && (typ == 46 || typ == 53):
			return // encrypted, and the last
		}
		typ, b = b[0], b[n:]
	}
}

// proposals reads the proposals of a security association, which have the same
// layout in both versions.
func (p *isakmp) proposals(s *Session, major byte, b []byte) {
	for len(b) >= 8 {
		n := int(binary.BigEndian.Uint16(b[2:]))
		at := 8 + int(b[6]) // behind the SPI
		if n < at || n > len(b) {
			return
		}
		for t := b[at:n]; len(t) >= 8; {
			m := int(binary.BigEndian.Uint16(t[2:]))
			if m < 8 || m > len(t) {
				return
			}
			if major == 1 {
				p.attributes(s, t[8:m])
			} else {
				p.transform(s, t[4], binary.BigEndian.Uint16(t[6:]))
			}
			t = t[m:]
		}
		b = b[n:]
	}
}

// transform notes a transform of version 2 (RFC 7296 section 3.3.2).
func (p *isakmp) transform(s *Session, typ byte, id uint16) {
	switch typ {
	case 1:
		isakmpAdd(s, p.encryption, ikeEncryption(id))
	case 2:
		isakmpAdd(s, p.hash, ikePRF(id))
	case 4:
		isakmpAdd(s, p.group, ikeGroup(id))
	}
}

// attributes notes the attributes of a transform of version 1 (RFC 2409 appendix A).
func (p *isakmp) attributes(s *Session, b []byte) {
	const short = 0x8000
	for len(b) >= 4 {
		typ, v := binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
		if typ&short == 0 {
			if len(b) < 4+int(v) {
				return
			}
			b = b[4+int(v):]
			continue
		}
		b = b[4:]
		switch typ &^ short {
		case 1:
			isakmpAdd(s, p.encryption, [...]string{"", "des-cbc", "idea-cbc", "blowfish-cbc", "rc5-r16-b64-cbc", "3des-cbc", "cast-cbc", "aes-cbc", "camellia-cbc"}[min(v, 9)%9])
		case 2:
			isakmpAdd(s, p.hash, [...]string{"", "md5", "sha1", "tiger", "sha2-256", "sha2-384", "sha2-512"}[min(v, 7)%7])
		case 3:
			isakmpAdd(s, p.auth, [...]string{"", "psk", "dss-sig", "rsa-sig", "rsa-enc", "rsa-enc-rev"}[min(v, 6)%6])
		case 4:
			isakmpAdd(s, p.group, ikeGroup(v))
		}
	}
}

func isakmpAdd(s *Session, f spi.FieldID, name string) {
	if name != "" {
		s.Doc.AddString(f, name)
	}
}

// ikeEncryption, ikePRF and ikeGroup name transforms (IANA "IKEv2 parameters"), "" for others.
func ikeEncryption(id uint16) string {
	names := [...]string{
		1: "des-iv64", 2: "des", 3: "3des", 4: "rc5", 5: "idea", 6: "cast", 7: "blowfish", 11: "null", 12: "aes-cbc", 13: "aes-ctr",
		14: "aes-ccm-8", 15: "aes-ccm-12", 16: "aes-ccm-16", 18: "aes-gcm-8", 19: "aes-gcm-12", 20: "aes-gcm-16",
		21: "null-aes-gmac", 23: "camellia-cbc", 24: "camellia-ctr", 28: "chacha20-poly1305",
	}
	if int(id) < len(names) {
		return names[id]
	}
	return ""
}

func ikePRF(id uint16) string {
	names := [...]string{
		1: "prf-hmac-md5", 2: "prf-hmac-sha1", 3: "prf-hmac-tiger", 4: "prf-aes128-xcbc", 5: "prf-hmac-sha2-256",
		6: "prf-hmac-sha2-384", 7: "prf-hmac-sha2-512", 8: "prf-aes128-cmac",
	}
	if int(id) < len(names) {
		return names[id]
	}
	return ""
}

func ikeGroup(id uint16) string {
	names := [...]string{
		1: "modp768", 2: "modp1024", 5: "modp1536", 14: "modp2048", 15: "modp3072", 16: "modp4096", 17: "modp6144", 18: "modp8192",
		19: "ecp256", 20: "ecp384", 21: "ecp521", 22: "modp1024-160", 23: "modp2048-224", 24: "modp2048-256", 25: "ecp192", 26: "ecp224",
		27: "brainpool224", 28: "brainpool256", 29: "brainpool384", 30: "brainpool512", 31: "curve25519", 32: "curve448",
	}
	if int(id) < len(names) {
		return names[id]
	}
	return ""
}
