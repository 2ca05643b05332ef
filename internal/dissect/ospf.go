package dissect

import (
	"encoding/binary"
	"net/netip"

	"wirelake/internal/spi"
)

// ospf reads the header of OSPF packets, version 2 (RFC 2328 appendix A.3.1) and 3 (RFC 5340).
type ospf struct {
	Base
	msgType, router, area spi.FieldID
}

func newOSPF(r *spi.Registry) Protocol {
	p := &ospf{
		msgType: r.Declare(spi.Field{Path: "ospf.msgType", Type: spi.Term, List: true, Exprs: []string{"ospf.msgType"}, Name: "Type", Help: "packet types by name"}),
		router:  r.Declare(spi.Field{Path: "ospf.routerId", Type: spi.Term, List: true, Exprs: []string{"ospf.routerId"}, Name: "Router id", Help: "router ids, dotted"}),
		area:    r.Declare(spi.Field{Path: "ospf.areaId", Type: spi.Term, List: true, Exprs: []string{"ospf.areaId"}, Name: "Area", Help: "areas, dotted"}),
	}
	return Protocol{
		Name:     "ospf",
		Matchers: []Matcher{{On: IP, Number: 89}},
		New:      func(*Session) Parser { return p },
	}
}

func ospfType(n byte) string {
	names := [...]string{1: "Hello", 2: "Database Description", 3: "Link State Request", 4: "Link State Update", 5: "Link State Acknowledgment"}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *ospf) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < 16 || b[0] != 2 && b[0] != 3 {
		return More
	}
	if name := ospfType(b[1]); name != "" {
		s.Doc.AddString(p.msgType, name)
	}
	s.Doc.AddString(p.router, netip.AddrFrom4([4]byte(b[4:8])).String())
	s.Doc.AddString(p.area, netip.AddrFrom4([4]byte(b[8:12])).String())
	if b[0] == 2 {
		switch binary.BigEndian.Uint16(b[14:]) { // appendix D
		case 0:
			s.AddTag("ospf:auth-null")
		case 1:
			s.AddTag("ospf:auth-simple")
		case 2:
			s.AddTag("ospf:auth-crypto")
		}
	}
	return More
}
