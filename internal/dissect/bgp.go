package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// bgp names the messages of the Border Gateway Protocol (RFC 4271 section 4.1).
type bgp struct {
	Base
	typ spi.FieldID
}

const (
	bgpMarker = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
	bgpHeader = 19
)

func newBGP(r *spi.Registry) Protocol {
	p := &bgp{typ: r.Declare(spi.Field{Path: "bgp.type", Type: spi.UpTerm, List: true, Exprs: []string{"bgp.type"}, Name: "Type", Help: "names of the message types"})}
	return Protocol{
		Name:     "bgp",
		Matchers: []Matcher{{On: TCP, Bytes: bgpMarker, MinLen: bgpHeader}},
		New:      func(*Session) Parser { return p },
	}
}

func bgpType(n byte) string {
	names := [...]string{1: "OPEN", 2: "UPDATE", 3: "NOTIFICATION", 4: "KEEPALIVE", 5: "ROUTE-REFRESH"} // the last: RFC 2918
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *bgp) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= bgpHeader {
		size := int(binary.BigEndian.Uint16(b[n+16:]))
		if string(b[n:n+16]) != bgpMarker || size < bgpHeader {
			return n, Done
		}
		if name := bgpType(b[n+18]); name != "" {
			s.Doc.AddString(p.typ, name)
		}
		if len(b)-n < size {
			break
		}
		n += size
	}
	return n, More
}
