package dissect

import (
	"bytes"
	"encoding/hex"
	"net/netip"

	"wirelake/internal/spi"
)

// dhcpFields are those of DHCP for both versions of IP.
type dhcpFields struct {
	typ, id, mac, host, classID, requestIP spi.FieldID
}

func declareDHCP(r *spi.Registry) dhcpFields {
	return dhcpFields{
		typ:       r.Declare(spi.Field{Path: "dhcp.type", Type: spi.UpTerm, List: true, Exprs: []string{"dhcp.type"}, Name: "Type", Help: "message types"}),
		id:        r.Declare(spi.Field{Path: "dhcp.id", Type: spi.LoTerm, List: true, Exprs: []string{"dhcp.id"}, Name: "Transaction id", Help: "transaction ids, hex"}),
		mac:       r.Declare(spi.Field{Path: "dhcp.mac", Type: spi.LoTerm, List: true, Exprs: []string{"dhcp.mac"}, Hot: true, Bloom: true, Name: "Client MAC", Help: "hardware address of the client"}),
		host:      r.Declare(spi.Field{Path: "dhcp.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.dhcp", "dhcp.host"}, Hot: true, Bloom: true, Name: "Host", Help: "host name option"}),
		classID:   r.Declare(spi.Field{Path: "dhcp.classId", Type: spi.Term, List: true, Exprs: []string{"dhcp.classId"}, Name: "Class id", Help: "vendor class option"}),
		requestIP: r.Declare(spi.Field{Path: "dhcp.requestIp", Type: spi.IP, List: true, Exprs: []string{"dhcp.requestIp"}, Hot: true, Name: "Requested IP", Help: "address the client asked for"}),
	}
}

// dhcp reads DHCP for IPv4 (RFC 2131, options of RFC 2132).
type dhcp struct {
	Base
	dhcpFields
}

// dhcpType returns the name of a value of option 53 (IANA "BOOTP and DHCP parameters"), "" for others.
func dhcpType(n byte) string {
	names := [...]string{
		1: "DISCOVER", 2: "OFFER", 3: "REQUEST", 4: "DECLINE", 5: "ACK", 6: "NAK", 7: "RELEASE", 8: "INFORM",
		9: "FORCERENEW", 10: "LEASEQUERY", 11: "LEASEUNASSIGNED", 12: "LEASEUNKNOWN", 13: "LEASEACTIVE",
		14: "BULKLEASEQUERY", 15: "LEASEQUERYDONE", 16: "ACTIVELEASEQUERY", 17: "LEASEQUERYSTATUS", 18: "TLS",
	}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

const (
	dhcpOptions = 240 // where the options begin
	dhcpMagic   = "\x63\x82\x53\x63"
)

func newDHCP(r *spi.Registry) Protocol {
	p := &dhcp{dhcpFields: declareDHCP(r)}
	dhcpMessage := func(s *Session, _ Dir, b []byte) bool {
		const referenceMin = 256 // the fixed part, the magic and 16 bytes of options; BOOTP's messages have 300 (RFC 951)
		return (!s.Reference || len(b) >= referenceMin) && (b[0] == 1 || b[0] == 2) && string(b[236:240]) == dhcpMagic
	}
	return Protocol{
		Name: "dhcp",
		Matchers: []Matcher{
			{On: UDP, Port: 67, MinLen: dhcpOptions, Func: dhcpMessage},
			{On: UDP, Port: 68, MinLen: dhcpOptions, Func: dhcpMessage},
		},
		New: func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *dhcp) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < dhcpOptions || string(b[236:240]) != dhcpMagic {
		return More
	}
	s.Doc.AddString(p.id, hex.EncodeToString(b[4:8]))
	if n := int(b[2]); n > 0 && n <= 16 {
		s.Doc.AddString(p.mac, macText(b[28:28+n]))
	}
	for o := b[dhcpOptions:]; len(o) > 0; {
		code := o[0]
		if code == 0 { // padding
			o = o[1:]
			continue
		}
		if code == 255 || len(o) < 2 || len(o) < 2+int(o[1]) {
			return More
		}
		v := o[2 : 2+int(o[1])]
		o = o[2+len(v):]
		if len(v) == 0 {
			continue
		}
		switch code { // texts may end with zeros (RFC 2132 section 2)
		case 12:
			s.Doc.AddBytes(p.host, bytes.TrimRight(v, "\x00"))
		case 50:
			if len(v) == 4 {
				s.Doc.AddIP(p.requestIP, netip.AddrFrom4([4]byte(v)))
			}
		case 53:
			if name := dhcpType(v[0]); name != "" {
				s.Doc.AddString(p.typ, name)
			}
		case 60:
			s.Doc.AddBytes(p.classID, bytes.TrimRight(v, "\x00"))
		}
	}
	return More
}
