package dissect

import "wirelake/internal/spi"

// icmp notes the types and codes of ICMP (RFC 792) and ICMPv6 (RFC 4443)
// messages. Package session marks the session.
type icmp struct {
	Base
	typ, code spi.FieldID
}

func newICMP(r *spi.Registry) Protocol {
	p := &icmp{
		typ:  r.Declare(spi.Field{Path: "icmp.type", Type: spi.Integer, List: true, Exprs: []string{"icmp.type"}, Hot: true, Name: "Type", Help: "ICMP type numbers"}),
		code: r.Declare(spi.Field{Path: "icmp.code", Type: spi.Integer, List: true, Exprs: []string{"icmp.code"}, Name: "Code", Help: "ICMP code numbers"}),
	}
	return Protocol{
		Name:     "icmp",
		Matchers: []Matcher{{On: IP, Number: 1, MinLen: 2}, {On: IP, Number: 58, MinLen: 2}},
		New:      func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *icmp) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) >= 2 {
		s.Doc.AddInt(p.typ, int64(b[0]))
		s.Doc.AddInt(p.code, int64(b[1]))
	}
	return More
}
