package dissect

import (
	"encoding/binary"
	"encoding/hex"

	"wirelake/internal/spi"
)

// dhcpv6 reads DHCP for IPv6 (RFC 8415). It shares its fields with DHCP for IPv4.
type dhcpv6 struct {
	Base
	dhcpFields
	duid spi.FieldID
}

// dhcpv6Type returns the name of a message type (IANA "DHCPv6 parameters"), "" for others.
func dhcpv6Type(n byte) string {
	names := [...]string{
		1: "SOLICIT", 2: "ADVERTISE", 3: "REQUEST", 4: "CONFIRM", 5: "RENEW", 6: "REBIND", 7: "REPLY", 8: "RELEASE",
		9: "DECLINE", 10: "RECONFIGURE", 11: "INFORMATION_REQUEST", 12: "RELAY_FORW", 13: "RELAY_REPL",
		14: "LEASEQUERY", 15: "LEASEQUERY_REPLY", 16: "LEASEQUERY_DONE", 17: "LEASEQUERY_DATA",
		18: "RECONFIGURE_REQUEST", 19: "RECONFIGURE_REPLY", 20: "DHCPV4_QUERY", 21: "DHCPV4_RESPONSE",
		22: "ACTIVELEASEQUERY", 23: "STARTTLS",
	}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

func newDHCPv6(r *spi.Registry) Protocol {
	p := &dhcpv6{
		dhcpFields: declareDHCP(r),
		duid:       r.Declare(spi.Field{Path: "dhcp.duid", Type: spi.LoTerm, List: true, Exprs: []string{"dhcp.duid"}, Name: "Client DUID", Help: "identifier of a DHCPv6 client, hex; ends with its MAC address where it is made of one"}),
	}
	message := func(_ *Session, _ Dir, b []byte) bool { return dhcpv6Type(b[0]) != "" }
	return Protocol{
		Name: "dhcpv6",
		Matchers: []Matcher{
			{On: UDP, Port: 546, MinLen: 4, Func: message},
			{On: UDP, Port: 547, MinLen: 4, Func: message},
		},
		New: func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *dhcpv6) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < 4 {
		return More
	}
	name := dhcpv6Type(b[0])
	if name == "" {
		return More
	}
	s.Doc.AddString(p.typ, name)
	if b[0] == 12 || b[0] == 13 {
		return More // a relay's message has no transaction id; the client's is inside
	}
	s.Doc.AddString(p.id, hex.EncodeToString(b[1:4]))
	for o := b[4:]; len(o) >= 4; {
		code, n := binary.BigEndian.Uint16(o), int(binary.BigEndian.Uint16(o[2:]))
		if len(o) < 4+n {
			return More
		}
		v := o[4 : 4+n]
		o = o[4+n:]
		switch {
		case code == 1 && n > 2 && n <= 130: // client identifier (RFC 8415 section 11.1)
			s.Doc.AddString(p.duid, hex.EncodeToString(v))
		case code == 16 && n > 6: // vendor class: enterprise number, then texts with their lengths
			if m := int(binary.BigEndian.Uint16(v[4:])); m > 0 && 6+m <= n {
				s.Doc.AddBytes(p.classID, v[6:6+m])
			}
		case code == 39 && n > 1: // the client's FQDN: flags, then labels
			p.fqdn(s, v[1:])
		}
	}
	return More
}

// fqdn joins the labels of an uncompressed domain name.
func (p *dhcpv6) fqdn(s *Session, b []byte) {
	var name []byte
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		if n > 63 || len(b) < 1+n {
			return
		}
		if len(name) > 0 {
			name = append(name, '.')
		}
		name = append(name, b[1:1+n]...)
		b = b[1+n:]
	}
	if len(name) > 0 {
		s.Doc.AddBytes(p.host, name)
	}
}
