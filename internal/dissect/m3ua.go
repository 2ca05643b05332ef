package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// m3ua reads the MTP3 user adaptation over SCTP (RFC 4666), and in it SCCP
// (sccp.go), which carries TCAP (tcap.go) and so CAMEL (camel.go).
type m3ua struct {
	serviceIndicator spi.FieldID
	sccp             *sccp
}

const (
	m3uaHeader = 8
	m3uaPort   = 2905
	m3uaPPID   = 3 // SCTP payload protocol id
)

func newM3UA(r *spi.Registry) Protocol {
	p := &m3ua{
		serviceIndicator: fieldGroup{r, "m3ua"}.list(spi.Integer, "si", "Service indicator", "service indicator numbers"),
		sccp:             declareSCCP(r),
	}
	message := func(_ *Session, _ Dir, b []byte) bool { return m3uaSize(b) > 0 }
	return Protocol{
		Name: "m3ua",
		Matchers: []Matcher{
			{On: SCTP, Number: m3uaPPID, Bytes: "\x01\x00", MinLen: m3uaHeader, Func: message},
			{On: SCTP, Port: m3uaPort, Bytes: "\x01\x00", MinLen: m3uaHeader, Func: func(s *Session, _ Dir, b []byte) bool { return s.Number == 0 && m3uaSize(b) > 0 }},
		},
		New: func(*Session) Parser { return &m3uaParser{m3ua: p} },
	}
}

// m3uaSize returns the length of the message at the front of b, 0 for none.
func m3uaSize(b []byte) int {
	size := int64(binary.BigEndian.Uint32(b[4:]))
	if b[0] != 1 || size < m3uaHeader || size > 1<<16 {
		return 0
	}
	return int(size)
}

type m3uaParser struct {
	Base
	*m3ua
	state sccpState
}

// Datagram implements Parser.
func (p *m3uaParser) Datagram(s *Session, _ Dir, b []byte) Status {
	if s.Number != m3uaPPID && s.Number != 0 {
		return More
	}
	for len(b) >= m3uaHeader {
		size := m3uaSize(b)
		if size == 0 {
			return More
		}
		size = min(size, len(b))
		const transfer, data = 1, 1
		if b[2] == transfer && b[3] == data {
			p.data(s, b[m3uaHeader:size])
		}
		b = b[size:]
	}
	return More
}

// data reads the parameters of a DATA message (section 3.3.1).
func (p *m3uaParser) data(s *Session, b []byte) {
	const protocolData, head, labelLen = 0x0210, 4, 12
	for len(b) >= head {
		tag, size := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if size < head {
			return
		}
		value := b[head:min(size, len(b))]
		b = b[min((size+3)&^3, len(b)):]
		if tag != protocolData || len(value) < labelLen {
			continue
		}
		indicator := value[8]
		s.Doc.AddInt(p.serviceIndicator, int64(indicator))
		const sccpUser = 3 // Q.704 section 14.2.1
		if indicator == sccpUser {
			p.sccp.message(s, &p.state, binary.BigEndian.Uint32(value), binary.BigEndian.Uint32(value[4:]), value[labelLen:])
		}
	}
}
