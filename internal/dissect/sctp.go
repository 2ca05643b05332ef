package dissect

import "wirelake/internal/spi"

// sctp notes the payload protocol ids of SCTP's DATA chunks (RFC 9260 section
// 3.3.1). What the chunks carry is for other protocols' matchers.
type sctp struct {
	Base
	protoID spi.FieldID
}

func newSCTP(r *spi.Registry) Protocol {
	p := &sctp{
		protoID: r.Declare(spi.Field{Path: "sctp.protoId", Type: spi.Integer, List: true, Exprs: []string{"sctp.protoId"}, Name: "Protocol id", Help: "payload protocol ids of DATA chunks"}),
	}
	return Protocol{
		Name:     "sctp",
		Matchers: []Matcher{{On: SCTP}},
		New:      func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *sctp) Datagram(s *Session, _ Dir, _ []byte) Status {
	s.Doc.AddInt(p.protoID, int64(s.Number))
	return More
}
