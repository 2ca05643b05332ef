package dissect

import (
	"encoding/binary"
	"fmt"

	"wirelake/internal/spi"
)

// diameter reads Diameter (RFC 6733 sections 3 and 4), over TCP and SCTP.
type diameter struct {
	Base
	app, cmd, destHost, destRealm, originHost, originRealm, result, session, user spi.FieldID
}

const (
	diameterHeaderLen = 20
	diameterMaxLen    = 256 << 10
)

func newDiameter(r *spi.Registry) Protocol {
	term := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "diameter." + path, Type: spi.Term, List: true, Exprs: []string{"diameter." + expr}, Name: name, Help: help})
	}
	p := &diameter{
		app:         term("app", "app", "Application", "applications, name and number"),
		cmd:         term("cmd", "cmd", "Command", "commands, name and number"),
		destHost:    term("destHost", "dest-host", "Destination host", "Destination-Host AVP"),
		destRealm:   term("destRealm", "dest-realm", "Destination realm", "Destination-Realm AVP"),
		originHost:  term("originHost", "origin-host", "Origin host", "Origin-Host AVP"),
		originRealm: term("originRealm", "origin-realm", "Origin realm", "Origin-Realm AVP"),
		session:     term("sessionId", "session-id", "Session id", "Session-Id AVP"),
		user:        term("user", "user", "User", "User-Name AVP"),
		result:      r.Declare(spi.Field{Path: "diameter.resultCode", Type: spi.Integer, List: true, Exprs: []string{"diameter.resultCode"}, Name: "Result", Help: "Result-Code AVP"}),
	}
	return Protocol{
		Name:     "diameter",
		Matchers: []Matcher{{On: TCP, Bytes: "\x01", MinLen: diameterHeaderLen, Func: diameterHeader}, {On: SCTP, Bytes: "\x01", MinLen: diameterHeaderLen, Func: diameterHeader}},
		New:      func(*Session) Parser { return p },
	}
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *diameter) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= diameterHeaderLen {
		size := int(b[n+1])<<16 | int(b[n+2])<<8 | int(b[n+3])
		if b[n] != 1 || size < diameterHeaderLen || size > diameterMaxLen {
			return n, Done
		}
		if len(b)-n < size {
			break
		}
		p.message(s, b[n:n+size])
		n += size
	}
	return n, More
}

// Datagram implements Parser.
func (p *diameter) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) >= diameterHeaderLen && b[0] == 1 {
		p.message(s, b)
	}
	return More
}

func (p *diameter) message(s *Session, b []byte) {
	code := uint32(b[5])<<16 | uint32(b[6])<<8 | uint32(b[7])
	kind := "Answer"
	if b[4]&0x80 != 0 {
		kind = "Request"
	}
	s.Doc.AddString(p.cmd, fmt.Sprintf("%s-%s (%d)", diameterCommand(code), kind, code))
	app := binary.BigEndian.Uint32(b[8:])
	s.Doc.AddString(p.app, fmt.Sprintf("%s (%d)", diameterApplication(app), app))
	for a := b[diameterHeaderLen:]; len(a) >= 8; {
		n := int(a[5])<<16 | int(a[6])<<8 | int(a[7])
		head := 8
		if a[4]&0x80 != 0 { // with a vendor's number
			head = 12
		}
		if n < head || n > len(a) {
			return
		}
		if head == 8 && n > head {
			p.avp(s, binary.BigEndian.Uint32(a), a[head:n])
		}
		a = a[min(len(a), (n+3)&^3):]
	}
}

// avp reads an attribute of the base protocol (RFC 6733 section 4.5).
func (p *diameter) avp(s *Session, code uint32, v []byte) {
	switch code {
	case 1:
		s.Doc.AddBytes(p.user, v)
	case 263:
		s.Doc.AddBytes(p.session, v)
	case 264:
		s.Doc.AddBytes(p.originHost, v)
	case 268:
		if len(v) == 4 {
			s.Doc.AddInt(p.result, int64(binary.BigEndian.Uint32(v)))
		}
	case 283:
		s.Doc.AddBytes(p.destRealm, v)
	case 293:
		s.Doc.AddBytes(p.destHost, v)
	case 296:
		s.Doc.AddBytes(p.originRealm, v)
	}
}
