package dissect

import "wirelake/internal/spi"

// ldap reads the binds and searches of LDAP (RFC 4511), what else is asked for, and hands over to TLS after StartTLS.
type ldap struct {
	Base
	f        *ldapFields
	startTLS bool
}

type ldapFields struct {
	authType, bindName                                  spi.FieldID
	operation, dn, filter, attribute, result, mechanism spi.FieldID
	ntlm                                                *ntlm
}

const (
	ldapStartTLS   = "1.3.6.1.4.1.1466.20037"
	ldapMaxMessage = 512 << 10
)

func newLDAP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "ldap"}
	f := &ldapFields{
		operation: g.list(spi.Term, "operation", "Operations", "operations asked for"),
		dn:        g.list(spi.Term, "dn", "Entries", "names of entries that operations are on: bases of searches, entries changed"),
		filter:    g.list(spi.Term, "filter", "Filters", "filters of searches, as text"),
		attribute: g.list(spi.Term, "attribute", "Attributes", "attributes that searches ask for"),
		result:    g.list(spi.Term, "result", "Results", "results of operations other than success"),
		mechanism: g.list(spi.Term, "mechanism", "Mechanism", "SASL mechanisms of binds"),
		ntlm:      declareNTLM(r),
		authType:  r.Declare(spi.Field{Path: "ldap.authtype", Type: spi.Term, List: true, Exprs: []string{"ldap.authtype"}, Name: "Authentication", Help: "authentication choices of binds"}),
		bindName:  r.Declare(spi.Field{Path: "ldap.bindname", Type: spi.Term, List: true, Exprs: []string{"ldap.bindname"}, Hot: true, Name: "Bind name", Help: "names of binds"}),
	}
	return Protocol{
		Name: "ldap",
		Matchers: []Matcher{
			{On: TCP, Bytes: "0", MinLen: 7, Func: ldapMessage},
			{On: TCP, Port: 389, Bytes: "0", MinLen: 7, Func: ldapMiddle},
			{On: TCP, Port: 3268, Bytes: "0", MinLen: 7, Func: ldapMiddle}, // global catalogues (MS-ADTS section 3.1.1.3)
			{On: UDP, Port: 389, Bytes: "0", MinLen: 7, Func: ldapMessage}, // RFC 1798; MS-ADTS section 6.3.3
		},
		New: func(*Session) Parser { return &ldap{f: f} },
	}
}

// ldapMiddle accepts a message in the middle of a connection, which the reference does not.
func ldapMiddle(s *Session, _ Dir, b []byte) bool {
	_, head := berLength(b)
	if s.Reference || head == 0 {
		return false
	}
	tag, id, op, ok := berNext(b[head:])
	if !ok || tag != berInteger || len(id) == 0 || len(id) > 4 || len(op) == 0 {
		return false
	}
	return ldapOperation(op[0]) != "" || op[0] >= 0x64 && op[0] <= 0x6f
}

// Parse implements Parser.
func (p *ldap) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= 2 {
		size, head := berLength(b[n:])
		if b[n] != 0x30 || head > 0 && size > ldapMaxMessage || head == 0 && len(b)-n >= 6 {
			return n, Done // not LDAP, or a SASL layer began
		}
		if head == 0 {
			break
		}
		if len(b)-n < head+size {
			p.partialBind(s, b[n+head:])
			break
		}
		message := b[n+head : n+head+size]
		n += head + size
		_, _, op, ok := berNext(message) // the message id
		if !ok {
			return n, Done
		}
		tag, body, _, ok := berNext(op)
		if !ok {
			continue
		}
		p.operation(s, tag, body)
		switch tag {
		case 0x60:
			p.bind(s, body)
			p.f.ntlm.find(s, body)
		case 0x61: // bind response
			p.f.ntlm.find(s, body)
		case 0x77: // extended request
			if t, oid, _, ok := berNext(body); ok && t == 0x80 && string(oid) == ldapStartTLS {
				p.startTLS = true
			}
		case 0x78: // extended response
			if _, code, _, ok := berNext(body); ok && p.startTLS && len(code) == 1 && code[0] == 0 {
				s.Handover("tls")
				return n, Done
			}
		}
	}
	return n, More
}

// Datagram implements Parser. There is no TLS to start here.
func (p *ldap) Datagram(s *Session, dir Dir, b []byte) Status {
	p.startTLS = false
	p.Parse(s, dir, b)
	return More
}

// partialBind reads a bind whose message is not whole, in case that the rest never comes.
func (p *ldap) partialBind(s *Session, b []byte) {
	_, _, op, ok := berNext(b) // the message id
	if tag, body, _, isOp := berNext(op); ok && isOp && tag == 0x60 {
		p.bind(s, body)
	}
}

// bind reads a bind request (RFC 4511 section 4.2).
func (p *ldap) bind(s *Session, b []byte) {
	_, _, b, ok := berNext(b) // version
	if !ok {
		return
	}
	size, head := berLength(b)
	if head == 0 || size > len(b)-head {
		return
	}
	_, name, b, _ := berNext(b)
	if len(name) == 0 {
		s.Doc.AddString(p.f.bindName, "<ROOT>")
	} else {
		s.Doc.AddBytes(p.f.bindName, name)
	}
	tag, v, _, ok := berNext(b)
	if !ok {
		return
	}
	switch tag {
	case 0x80:
		if len(v) == 0 {
			s.Doc.AddString(p.f.authType, "none")
		} else {
			s.Doc.AddString(p.f.authType, "simple")
		}
	case 0xa3:
		s.Doc.AddString(p.f.authType, "sasl")
		if _, mechanism, rest, ok := berNext(v); ok && len(mechanism) > 0 && len(mechanism) <= 32 {
			s.Doc.AddBytes(p.f.mechanism, mechanism)
			if _, response, _, ok := berNext(rest); ok {
				s.addOwnUser(saslUser(string(mechanism), response))
			}
		}
	case 0x89: // Microsoft's (MS-ADTS 5.1.1.1.3)
		s.Doc.AddString(p.f.authType, "ntlmsspDiscovery")
	case 0x8a:
		s.Doc.AddString(p.f.authType, "ntlmsspNegotiate")
	case 0x8b:
		s.Doc.AddString(p.f.authType, "ntlmsspAuth")
	}
}
