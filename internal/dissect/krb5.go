package dissect

import (
	"encoding/binary"
	"strings"

	"wirelake/internal/spi"
)

// krb5 reads Kerberos 5 (RFC 4120 section 5.4, 5.9), over UDP and TCP.
type krb5 struct {
	Base
	cname, sname, realm, etype, failure spi.FieldID
}

// krb5MaxMessage is the longest message over TCP that is read; tickets with all
// groups of a user take 48 KiB.
const krb5MaxMessage = 64 << 10

// The message types, which are application tags (RFC 4120 section 5.10).
const (
	krb5ASReq  = 0x6a
	krb5ASRep  = 0x6b
	krb5TGSReq = 0x6c
	krb5TGSRep = 0x6d
	krb5Error  = 0x7e
)

// declareKRB5 declares the fields of Kerberos, for protocols that carry tickets.
func declareKRB5(r *spi.Registry) *krb5 {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "krb5." + path, Type: spi.Term, List: true, Exprs: []string{"krb5." + path}, Hot: path != "etype", Name: name, Help: help})
	}
	return &krb5{
		cname:   term("cname", "Client", "client principals"),
		sname:   term("sname", "Service", "service principals"),
		realm:   term("realm", "Realm", "realms"),
		etype:   term("etype", "Encryption types", "encryption types offered"),
		failure: term("error", "Error", "error names"),
	}
}

func newKRB5(r *spi.Registry) Protocol {
	p := declareKRB5(r)
	return Protocol{
		Name:  "krb5",
		Quiet: true, // until something of a message was read
		Matchers: []Matcher{
			{On: UDP, Port: 88, MinLen: 10, Func: krbMessage},
			{On: TCP, Port: 88, MinLen: 14, Func: func(s *Session, d Dir, b []byte) bool { return krbMessage(s, d, b[4:]) }},
			{On: UDP, Bytes: "\x6a", Func: krb5Anywhere},
			{On: UDP, Bytes: "\x6b", Func: krb5Anywhere},
			{On: UDP, Bytes: "\x6c", Func: krb5Anywhere},
			{On: UDP, Bytes: "\x6d", Func: krb5Anywhere},
			{On: UDP, Bytes: "\x7e", Func: krb5Anywhere},
			{On: TCP, Bytes: "\x00\x00", MinLen: 20, Func: func(s *Session, d Dir, b []byte) bool {
				return int64(binary.BigEndian.Uint32(b)) >= 16 && krb5Anywhere(s, d, b[4:])
			}},
		},
		New: func(*Session) Parser { return p },
	}
}

// krb5Anywhere accepts a message to or from a KDC on another port than 88: a sequence, in which the version stands in front
// (RFC 4120 section 5.4, 5.9.1). Over TCP it may be cut off. The reference looks at the port.
func krb5Anywhere(s *Session, _ Dir, b []byte) bool {
	if s.Reference || s.OnPort(88) || len(b) < 12 || b[0] != krb5Error && (b[0] < krb5ASReq || b[0] > krb5TGSRep) {
		return false
	}
	size, head := berLength(b)
	if head == 0 || s.Transport == UDP && head+size != len(b) {
		return false
	}
	inner, more := berLength(b[head:])
	at := head + more
	if more == 0 || b[head] != 0x30 || more+inner != size || len(b) < at+5 {
		return false
	}
	return (b[at] == 0xa0 || b[at] == 0xa1) && string(b[at+1:at+5]) == "\x03\x02\x01\x05"
}

// krb5Etype returns the name of an encryption type (RFC 3961 section 8, RFC 3962, 4757, 8009), "" for others.
func krb5Etype(n int64) string {
	names := [...]string{
		1: "des-cbc-crc", 2: "des-cbc-md4", 3: "des-cbc-md5", 16: "des3-cbc-sha1-kd", 17: "aes128-cts-hmac-sha1-96",
		18: "aes256-cts-hmac-sha1-96", 19: "aes128-cts-hmac-sha256-128", 20: "aes256-cts-hmac-sha384-192",
		23: "rc4-hmac", 24: "rc4-hmac-exp", 25: "camellia128-cts-cmac", 26: "camellia256-cts-cmac",
	}
	if n > 0 && n < int64(len(names)) {
		return names[n]
	}
	return ""
}

// krb5ErrorName returns the name of an error code (RFC 4120 section 7.5.9), "" for others.
func krb5ErrorName(n int64) string {
	names := [...]string{
		1: "KDC_ERR_NAME_EXP", 2: "KDC_ERR_SERVICE_EXP", 3: "KDC_ERR_BAD_PVNO", 4: "KDC_ERR_C_OLD_MAST_KVNO", 5: "KDC_ERR_S_OLD_MAST_KVNO",
		6: "KDC_ERR_C_PRINCIPAL_UNKNOWN", 7: "KDC_ERR_S_PRINCIPAL_UNKNOWN", 8: "KDC_ERR_PRINCIPAL_NOT_UNIQUE", 9: "KDC_ERR_NULL_KEY",
		10: "KDC_ERR_CANNOT_POSTDATE", 11: "KDC_ERR_NEVER_VALID", 12: "KDC_ERR_POLICY", 13: "KDC_ERR_BADOPTION", 14: "KDC_ERR_ETYPE_NOSUPP",
		15: "KDC_ERR_SUMTYPE_NOSUPP", 16: "KDC_ERR_PADATA_TYPE_NOSUPP", 17: "KDC_ERR_TRTYPE_NOSUPP", 18: "KDC_ERR_CLIENT_REVOKED",
		19: "KDC_ERR_SERVICE_REVOKED", 20: "KDC_ERR_TGT_REVOKED", 21: "KDC_ERR_CLIENT_NOTYET", 22: "KDC_ERR_SERVICE_NOTYET",
		23: "KDC_ERR_KEY_EXPIRED", 24: "KDC_ERR_PREAUTH_FAILED", 25: "KDC_ERR_PREAUTH_REQUIRED", 26: "KDC_ERR_SERVER_NOMATCH",
		27: "KDC_ERR_MUST_USE_USER2USER", 28: "KDC_ERR_PATH_NOT_ACCEPTED", 29: "KDC_ERR_SVC_UNAVAILABLE",
		31: "KRB_AP_ERR_BAD_INTEGRITY", 32: "KRB_AP_ERR_TKT_EXPIRED", 33: "KRB_AP_ERR_TKT_NYV", 34: "KRB_AP_ERR_REPEAT",
		35: "KRB_AP_ERR_NOT_US", 36: "KRB_AP_ERR_BADMATCH", 37: "KRB_AP_ERR_SKEW", 38: "KRB_AP_ERR_BADADDR", 39: "KRB_AP_ERR_BADVERSION",
		40: "KRB_AP_ERR_MSG_TYPE", 41: "KRB_AP_ERR_MODIFIED", 42: "KRB_AP_ERR_BADORDER", 44: "KRB_AP_ERR_BADKEYVER", 45: "KRB_AP_ERR_NOKEY",
		52: "KRB_ERR_RESPONSE_TOO_BIG", 60: "KRB_ERR_GENERIC", 61: "KRB_ERR_FIELD_TOOLONG", 68: "KDC_ERR_WRONG_REALM",
	}
	if n > 0 && n < int64(len(names)) {
		return names[n]
	}
	return ""
}

// Parse implements Parser: over TCP a length of 4 bytes goes before each message (RFC 4120 section 7.2.2).
func (p *krb5) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= 4 {
		size := int(binary.BigEndian.Uint32(b[n:]))
		if size > krb5MaxMessage {
			s.AddTag("krb5:record-too-long")
			return n, Done
		}
		if len(b)-n < 4+size {
			break
		}
		p.message(s, b[n+4:n+4+size])
		n += 4 + size
	}
	return n, More
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *krb5) Datagram(s *Session, _ Dir, b []byte) Status {
	p.message(s, b)
	return More
}

func (p *krb5) message(s *Session, b []byte) {
	typ, v, _, ok := berNext(b)
	if !ok {
		return
	}
	_, v, _, ok = berNext(v)
	for ok && len(v) > 0 {
		var tag byte
		var field []byte
		if tag, field, v, ok = berNext(v); !ok {
			return
		}
		tag &^= 0xa0
		switch {
		case (typ == krb5ASReq || typ == krb5TGSReq) && tag == 4:
			if _, body, _, ok := berNext(field); ok {
				p.requestBody(s, body)
			}
		case (typ == krb5ASRep || typ == krb5TGSRep) && tag == 3, typ == krb5Error && (tag == 7 || tag == 9):
			p.text(s, p.realm, field)
		case (typ == krb5ASRep || typ == krb5TGSRep) && tag == 4, typ == krb5Error && tag == 8:
			p.principal(s, p.cname, field)
		case (typ == krb5ASRep || typ == krb5TGSRep) && tag == 5 && !s.Reference:
			p.ticketBody(s, field)
		case typ == krb5Error && tag == 10:
			p.principal(s, p.sname, field)
		case typ == krb5Error && tag == 6:
			if _, code, _, ok := berNext(field); ok {
				if n, ok := berInt(code); ok && krb5ErrorName(n) != "" {
					s.Doc.AddString(p.failure, krb5ErrorName(n))
				}
			}
		}
	}
}

// requestBody reads a KDC-REQ-BODY.
func (p *krb5) requestBody(s *Session, b []byte) {
	for len(b) > 0 {
		tag, field, rest, ok := berNext(b)
		if !ok {
			return
		}
		b = rest
		switch tag &^ 0xa0 {
		case 1:
			p.principal(s, p.cname, field)
		case 2:
			p.text(s, p.realm, field)
		case 3:
			p.principal(s, p.sname, field)
		case 8:
			_, list, _, ok := berNext(field)
			for ok && len(list) > 0 {
				var v []byte
				if _, v, list, ok = berNext(list); !ok {
					break
				}
				if n, ok := berInt(v); ok && krb5Etype(n) != "" {
					s.Doc.AddString(p.etype, krb5Etype(n))
				}
			}
		}
	}
}

// text notes a KerberosString.
func (p *krb5) text(s *Session, f spi.FieldID, b []byte) {
	if _, v, _, ok := berNext(b); ok && len(v) > 0 {
		s.AddProtocol("krb5")
		s.Doc.AddBytes(f, v)
	}
}

// principal notes a PrincipalName, its parts joined by slashes.
func (p *krb5) principal(s *Session, f spi.FieldID, b []byte) {
	_, name, _, ok := berNext(b)
	if !ok {
		return
	}
	_, _, rest, ok := berNext(name) // its type
	if !ok {
		return
	}
	_, wrapped, _, ok := berNext(rest)
	if !ok {
		return
	}
	_, list, _, ok := berNext(wrapped)
	var parts []string
	for ok && len(list) > 0 && len(parts) < 8 {
		var v []byte
		if _, v, list, ok = berNext(list); ok {
			parts = append(parts, string(v))
		}
	}
	if text := strings.Join(parts, "/"); text != "" {
		s.Doc.AddString(f, text)
	}
}
