package dissect

import "bytes"

// krb5Mechanism begins a Kerberos AP-REQ in GSS-API: the mechanism and the token's id (RFC 4121 section 4.1).
const krb5Mechanism = "\x06\x09\x2a\x86\x48\x86\xf7\x12\x01\x02\x02\x01\x00"

// ticket notes the service and the realm that the ticket is for within b, a GSS-API token or one of SPNEGO (RFC 4178)
// that a log-in carries, if there is one. The reference tells of Kerberos' own messages only, and of their fields.
func (p *krb5) ticket(s *Session, b []byte) {
	const request = 0x6e
	i := bytes.Index(b, []byte(krb5Mechanism))
	if i < 0 || s.Reference {
		return
	}
	tag, v, _, ok := berNext(b[i+len(krb5Mechanism):])
	if !ok || tag != request {
		return
	}
	_, v, _, _ = berNext(v)
	for len(v) > 0 { // AP-REQ: version, type, options, ticket, authenticator (RFC 4120 section 5.5.1)
		var field []byte
		if tag, field, v, ok = berNext(v); !ok {
			return
		}
		if tag != 0xa3 {
			continue
		}
		p.ticketBody(s, field)
		return
	}
}

// ticketBody notes what a ticket says in clear: version, realm, service, encrypted part (section 5.3).
func (p *krb5) ticketBody(s *Session, b []byte) {
	const ticket = 0x61
	tag, b, _, ok := berNext(b)
	if !ok || tag != ticket {
		return
	}
	_, b, _, _ = berNext(b)
	for len(b) > 0 {
		var part []byte
		if tag, part, b, ok = berNext(b); !ok {
			return
		}
		switch tag {
		case 0xa1:
			p.text(s, p.realm, part)
		case 0xa2:
			p.principal(s, p.sname, part)
		}
	}
}
