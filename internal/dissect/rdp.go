package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// rdp reads the negotiation of the Remote Desktop Protocol (MS-RDPBCGR 2.2.1.1,
// 2.2.1.2), and hands over to TLS when it is chosen.
type rdp struct {
	Base
	requested, selected spi.FieldID
}

func newRDP(r *spi.Registry) Protocol {
	p := &rdp{
		requested: r.Declare(spi.Field{Path: "rdp.requestedProtocols", Type: spi.Term, List: true, Exprs: []string{"rdp.requested-protocols"}, Name: "Requested", Help: "security protocols the client offers"}),
		selected:  r.Declare(spi.Field{Path: "rdp.selectedProtocol", Type: spi.Term, List: true, Exprs: []string{"rdp.selected-protocol"}, Name: "Selected", Help: "security protocol the server picks"}),
	}
	return Protocol{
		Name:     "rdp",
		Matchers: []Matcher{{On: TCP, Bytes: "\x03\x00", Func: at(5, "\xe0\x00\x00", "\xd0\x00\x00")}},
		New:      func(*Session) Parser { return p },
	}
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
	const head = 11 // TPKT of 4 bytes, X.224 of 7
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
		if user, ok := bytes.CutPrefix(line, []byte("mstshash=")); ok {
			s.AddUser(user)
		}
		body = rest[n:]
	}
	const request, response = 1, 2
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
		s.Handover("tls")
		return size, Done
	}
	return size, DirDone
}
