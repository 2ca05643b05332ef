package dissect

import (
	"encoding/binary"
	"net/netip"

	"wirelake/internal/spi"
)

// nbns reads the NetBIOS name service (RFC 1002 section 4.2).
type nbns struct {
	Base
	name, host, ip, queryHost, queryType spi.FieldID
}

const (
	nbnsHeader = 12
	nbnsName   = 34 // 16 bytes in half-ASCII behind a length, and the empty label
)

func newNBNS(r *spi.Registry) Protocol {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "nbns." + path, Type: spi.Term, List: true, Exprs: []string{"nbns." + path}, Name: name, Help: help})
	}
	p := &nbns{
		name:      term("name", "Name", "all NetBIOS names seen"),
		host:      term("host", "Host", "host names in responses"),
		ip:        r.Declare(spi.Field{Path: "nbns.ip", Type: spi.IP, List: true, Exprs: []string{"nbns.ip"}, Hot: true, Name: "IP", Help: "addresses in responses"}),
		queryHost: term("queryHost", "Query host", "host names asked for"),
		queryType: term("queryType", "Query type", "type of the question"),
	}
	return Protocol{
		Name:     "nbns",
		Matchers: []Matcher{{On: UDP, Port: 137, MinLen: nbnsHeader}},
		New:      func(*Session) Parser { return p },
	}
}

// nbnsDecode reads a name in half-ASCII (RFC 1001 section 14.1); its last byte is
// a type and not part of the text. n is what it takes, 0 when b begins with no name.
func nbnsDecode(b []byte) (name string, n int) {
	if len(b) < nbnsName || b[0] != 32 || b[33] != 0 {
		return "", 0
	}
	var out [16]byte
	for i := range out {
		hi, lo := b[1+2*i]-'A', b[2+2*i]-'A'
		if hi > 15 || lo > 15 {
			return "", 0
		}
		out[i] = hi<<4 | lo
	}
	end := 15
	for end > 0 && (out[end-1] == ' ' || out[end-1] == 0) {
		end--
	}
	return string(out[:end]), nbnsName
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *nbns) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < nbnsHeader {
		return More
	}
	questions, answers := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	rest := b[nbnsHeader:]
	if questions == 1 {
		name, n := nbnsDecode(rest)
		if n == 0 || len(rest) < n+4 {
			return More
		}
		s.Doc.AddString(p.name, name)
		s.Doc.AddString(p.queryHost, name)
		if typ := nbnsType(binary.BigEndian.Uint16(rest[n:])); typ != "" {
			s.Doc.AddString(p.queryType, typ)
		}
		rest = rest[n+4:]
	}
	for range min(answers, 16) {
		name, n := nbnsDecode(rest)
		if n == 0 || len(rest) < n+10 {
			return More
		}
		typ, size := binary.BigEndian.Uint16(rest[n:]), int(binary.BigEndian.Uint16(rest[n+8:]))
		data := rest[n+10:]
		if len(data) < size {
			return More
		}
		s.Doc.AddString(p.name, name)
		s.Doc.AddString(p.host, name)
		if nbnsType(typ) == "NB" {
			for d := data[:size]; len(d) >= 6; d = d[6:] { // flags, then an address
				s.Doc.AddIP(p.ip, netip.AddrFrom4([4]byte(d[2:6])))
			}
		}
		rest = data[size:]
	}
	return More
}

func nbnsType(n uint16) string {
	switch n {
	case 0x20:
		return "NB"
	case 0x21:
		return "NBSTAT"
	}
	return ""
}
