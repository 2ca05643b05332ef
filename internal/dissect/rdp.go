package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// rdp reads the negotiation of the Remote Desktop Protocol (MS-RDPBCGR 2.2.1.1,
// 2.2.1.2), and hands over to what follows when that is secured.
type rdp struct {
	Base
	requested, selected, cookie spi.FieldID
}

const rdpHead = 11 // TPKT of 4 bytes, X.224 of 7

func newRDP(r *spi.Registry) Protocol {
	p := &rdp{
		cookie:    fieldGroup{r, "rdp"}.list(spi.Term, "cookie", "Cookie", "cookies of connection requests: the user, or where load balancers route to"),
		requested: r.Declare(spi.Field{Path: "rdp.requestedProtocols", Type: spi.Term, List: true, Exprs: []string{"rdp.requested-protocols"}, Name: "Requested", Help: "security protocols the client offers"}),
		selected:  r.Declare(spi.Field{Path: "rdp.selectedProtocol", Type: spi.Term, List: true, Exprs: []string{"rdp.selected-protocol"}, Name: "Selected", Help: "security protocol the server picks"}),
	}
	return Protocol{
		Name:     "rdp",
		Matchers: []Matcher{{On: TCP, Bytes: "\x03\x00", MinLen: rdpHead, Func: rdpConnection}},
		New:      func(*Session) Parser { return p },
	}
}

// rdpConnection accepts a connection request or confirmation of X.224 without the parameters (section 13.3.4) that
// other users of the transport send: RDP has a cookie, its own negotiation or nothing there.
func rdpConnection(s *Session, _ Dir, b []byte) bool {
	const request, confirm, transportSelector, tpduSize = 0xe0, 0xd0, 0xc2, 0xc0
	return (b[5] == request || b[5] == confirm) && b[6]|b[7] == 0 && !s.OnPort(s7Port) &&
		(len(b) == rdpHead || b[rdpHead] < tpduSize || b[rdpHead] > transportSelector)
}

// rdpProtocols names the bits of the security protocols.
func rdpProtocols(bits uint32) []string {
	var out []string
	for i, name := range [...]string{"ssl", "nla", "rdstls", "nla-ex", "aad"} {
		if bits>>i&1 != 0 {
			out = append(out, name)
		}
	}
	if out == nil {
		return []string{"rdp"}
	}
	return out
}

// Parse implements Parser. p has no state, and is shared by all sessions: each
// side's first packet says all.
func (p *rdp) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	const head = rdpHead
	if len(b) < head {
		return 0, More
	}
	size := int(binary.BigEndian.Uint16(b[2:]))
	if b[0] != 3 || size < head {
		return 0, Done
	}
	if len(b) < size {
		return 0, More
	}
	body := b[head:size]
	if rest, ok := bytes.CutPrefix(body, []byte("Cookie: ")); ok {
		line, n := nextLine(rest)
		addText(s, p.cookie, line)
		if user, ok := bytes.CutPrefix(line, []byte("mstshash=")); ok {
			s.AddUser(user)
		}
		body = rest[n:]
	}
	const request, response = 1, 2
	if len(body) > 8 && body[0] >= ' ' { // a routing token, as the load balancer made it
		line, n := nextLine(body)
		if n > 0 && isPrintable(line) && !s.Reference {
			addText(s, p.cookie, line)
			body = body[n:]
		}
	}
	if len(body) < 8 || body[0] != request && body[0] != response {
		return size, DirDone
	}
	bits := binary.LittleEndian.Uint32(body[4:])
	if body[0] == request {
		for _, name := range rdpProtocols(bits) {
			s.Doc.AddString(p.requested, name)
		}
		return size, DirDone
	}
	for _, name := range rdpProtocols(bits) {
		s.Doc.AddString(p.selected, name)
	}
	if bits != 0 {
		s.Handover("")
		return size, Done
	}
	return size, DirDone
}
