package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// ptp reads the Precision Time Protocol (IEEE 1588-2019 clause 13, IEEE 1588-2002 annex D),
// over UDP and over Ethernet.
type ptp struct {
	Base
	clockID, msgType spi.FieldID
}

const (
	ptpHeader   = 34
	ptpV1Header = 36 // up to flags
)

func newPTP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "ptp"}
	p := &ptp{
		clockID: g.list(spi.Term, "clockId", "Clock id", "identities of source clocks"),
		msgType: g.list(spi.Term, "msgType", "Type", "message types by name"),
	}
	message := func(_ *Session, _ Dir, b []byte) bool { return ptpMessage(b) || ptpV1Message(b) }
	return Protocol{
		Name: "ptp",
		Matchers: []Matcher{
			{On: UDP, Port: 319, MinLen: ptpHeader, Func: message},
			{On: UDP, Port: 320, MinLen: ptpHeader, Func: message},
			{On: Ethernet, Number: 0x88f7},
		},
		New: func(*Session) Parser { return p },
	}
}

func ptpMessage(b []byte) bool {
	return len(b) >= ptpHeader && b[1]&0x0f == 2 && int(binary.BigEndian.Uint16(b[2:])) >= ptpHeader && ptpType(b[0]&0x0f) != ""
}

// ptpV1Message accepts version 1, whose first two numbers are PTP's version and the network's.
func ptpV1Message(b []byte) bool {
	return len(b) >= ptpV1Header && string(b[:4]) == "\x00\x01\x00\x01" && ptpV1Type(b[32]) != ""
}

func ptpType(n byte) string {
	names := [...]string{
		0: "sync", 1: "delay-req", 2: "pdelay-req", 3: "pdelay-resp",
		8: "follow-up", 9: "delay-resp", 10: "pdelay-resp-follow-up", 11: "announce", 12: "signaling", 13: "management",
	}
	return nameOf(names[:], n)
}

// ptpV1Type names a message of version 1 by its control field.
func ptpV1Type(n byte) string {
	return nameOf([]string{"sync", "delay-req", "follow-up", "delay-resp", "management"}, n)
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *ptp) Datagram(s *Session, _ Dir, b []byte) Status {
	switch {
	case ptpMessage(b):
		s.Doc.AddString(p.msgType, ptpType(b[0]&0x0f))
		s.Doc.AddString(p.clockID, colonHex(b[20:28]))
	case ptpV1Message(b):
		s.Doc.AddString(p.msgType, ptpV1Type(b[32]))
		s.Doc.AddString(p.clockID, colonHex(b[22:28]))
	}
	return More
}
