package dissect

import (
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// wireguard reads the messages of WireGuard ("WireGuard: Next Generation Kernel Network Tunnel", 5.4): their types, and the indices by
// which the peers name the tunnel. All else is encrypted.
type wireguard struct {
	Base
	typ, sender, receiver spi.FieldID
}

func newWireGuard(r *spi.Registry) Protocol {
	g := fieldGroup{r, "wireguard"}
	p := &wireguard{
		typ:      g.list(spi.Term, "type", "Type", "message types: initiation, response, cookie or data"),
		sender:   g.list(spi.Term, "sender", "Sender", "indices that the senders of handshakes chose, hex"),
		receiver: g.list(spi.Term, "receiver", "Receiver", "indices that messages are addressed to, hex"),
	}
	return Protocol{
		Name: "wireguard",
		Matchers: []Matcher{
			{On: UDP, Bytes: "\x01\x00\x00\x00", Func: lengthIs(148)},
			{On: UDP, Bytes: "\x02\x00\x00\x00", Func: lengthIs(92)},
			{On: UDP, Port: 51820, Bytes: "\x03\x00\x00\x00", Func: lengthIs(64)},
			{On: UDP, Port: 51820, Bytes: "\x04\x00\x00\x00", MinLen: 32, Func: func(_ *Session, _ Dir, b []byte) bool { return len(b)%16 == 0 }},
		},
		New: func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *wireguard) Datagram(s *Session, _ Dir, b []byte) Status {
	const initiation, response, cookie, data = 1, 2, 3, 4
	if len(b) < 32 || b[1]|b[2]|b[3] != 0 {
		return More
	}
	index := func(f spi.FieldID, at int) {
		s.Doc.AddString(f, "0x"+strconv.FormatUint(uint64(binary.LittleEndian.Uint32(b[at:]))|1<<32, 16)[1:])
	}
	switch b[0] {
	case initiation:
		s.Doc.AddString(p.typ, "initiation")
		index(p.sender, 4)
	case response:
		s.Doc.AddString(p.typ, "response")
		index(p.sender, 4)
		index(p.receiver, 8)
	case cookie:
		s.Doc.AddString(p.typ, "cookie")
		index(p.receiver, 4)
	case data:
		s.Doc.AddString(p.typ, "data")
		index(p.receiver, 4)
	}
	return More
}
