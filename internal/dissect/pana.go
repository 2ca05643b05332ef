package dissect

import (
	"encoding/binary"
	"encoding/hex"

	"wirelake/internal/spi"
)

// pana reads the Protocol for Carrying Authentication for Network Access (RFC 5191).
type pana struct {
	Base
	msgType, sessionID, user spi.FieldID
}

const (
	panaHeader = 16
	panaAVP    = 8
)

func newPANA(r *spi.Registry) Protocol {
	g := fieldGroup{r, "pana"}
	p := &pana{
		msgType:   g.list(spi.Term, "msgType", "Type", "message types by name", "msg-type"),
		sessionID: g.list(spi.Term, "sessionId", "Session id", "session ids, hex", "session-id"),
		user:      g.list(spi.Term, "user", "User", "EAP identities"),
	}
	return Protocol{
		Name: "pana",
		Matchers: []Matcher{{On: UDP, Port: 716, Bytes: "\x00\x00", MinLen: panaHeader, Func: func(_ *Session, _ Dir, b []byte) bool {
			size := int(binary.BigEndian.Uint16(b[2:]))
			return size >= panaHeader && size <= len(b) && panaType(b) != ""
		}}},
		New: func(*Session) Parser { return p },
	}
}

// panaType names a message, of request and answer alike (RFC 5191 section 7, RFC 6345 section 3).
func panaType(b []byte) string {
	return nameOf([]string{1: "client-initiation", 2: "auth", 3: "termination", 4: "notification", 5: "relay"}, binary.BigEndian.Uint16(b[6:]))
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *pana) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < panaHeader || panaType(b) == "" {
		return More
	}
	s.Doc.AddString(p.msgType, panaType(b))
	if binary.BigEndian.Uint32(b[8:]) != 0 { // none yet
		s.Doc.AddString(p.sessionID, hex.EncodeToString(b[8:12]))
	}
	size := min(int(binary.BigEndian.Uint16(b[2:])), len(b))
	for a := b[panaHeader:max(size, panaHeader)]; len(a) >= panaAVP; {
		code, flags := binary.BigEndian.Uint16(a), binary.BigEndian.Uint16(a[2:])
		n := int(binary.BigEndian.Uint16(a[4:])) // of the value alone
		head := panaAVP
		if flags&0x8000 != 0 && len(a) >= panaAVP+4+n {
			head += 4 // vendor id
		}
		if len(a) < head+n {
			return More
		}
		const eapPayload = 2
		if code == eapPayload && head == panaAVP {
			p.eap(s, a[head:head+n])
		}
		a = a[min(len(a), head+(n+3)&^3):]
	}
	return More
}

// eap notes the identity of a response (RFC 3748 sections 4 and 5.1).
func (p *pana) eap(s *Session, b []byte) {
	const head, response, identity = 5, 2, 1
	if len(b) <= head || b[0] != response || b[4] != identity {
		return
	}
	name := b[head:min(len(b), max(head, int(binary.BigEndian.Uint16(b[2:]))))]
	if len(name) > 0 {
		s.Doc.AddBytes(p.user, name)
		s.addOwnUser(name)
	}
}
