package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// tds reads the logins of Tabular Data Stream: version 7 of SQL Server (MS-TDS
// 2.2.6.4) and 5 of Sybase (TDS 5.0 Functional Specification).
type tds struct {
	Base
	ntlm *ntlm
	skip [2]int
	seen int // packets
}

const (
	tdsHeader  = 8
	tdsMaxRead = 8 << 10 // of a packet
	tdsPackets = 20      // of a session that are looked at: logins are among the first
	tdsLogin5  = 0x02
	tdsResult  = 0x04
	tdsLogin7  = 0x10
	tdsSSPI    = 0x11
)

func newTDS(r *spi.Registry) Protocol {
	ntlm := declareNTLM(r)
	return Protocol{
		Name: "tds",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x12\x01\x00", MinLen: tdsHeader, Func: tdsLength},
			{On: TCP, Bytes: "\x10\x01\x00", MinLen: tdsHeader, Func: tdsLength},
			{On: TCP, Bytes: "\x02\x00\x02\x00", MinLen: tdsHeader},
		},
		New: func(*Session) Parser { return &tds{ntlm: ntlm} },
	}
}

// Parse implements Parser.
func (p *tds) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		if len(b)-n < tdsHeader {
			return n, More
		}
		packet := b[n:]
		size := int(binary.BigEndian.Uint16(packet[2:]))
		if size < tdsHeader || p.seen >= tdsPackets {
			return n, Done
		}
		need := min(size, tdsMaxRead)
		if len(packet) < need {
			return n, More
		}
		p.seen++
		body := packet[tdsHeader:need]
		switch packet[0] {
		case tdsLogin5:
			p.login5(s, body)
		case tdsLogin7:
			p.login7(s, body)
			p.ntlm.find(s, body)
		case tdsSSPI, tdsResult:
			p.ntlm.find(s, body)
		}
		n += need
		p.skip[dir] = size - need
	}
}

// login7 reads the user of a LOGIN7 message, whose texts stand behind a table of places.
func (p *tds) login7(s *Session, b []byte) {
	const userAt = 40
	if len(b) < userAt+4 {
		return
	}
	off, n := int(binary.LittleEndian.Uint16(b[userAt:])), 2*int(binary.LittleEndian.Uint16(b[userAt+2:]))
	if n == 0 || n > 256 || off+n > len(b) {
		return
	}
	s.AddUser([]byte(utf16LEText(b[off : off+n])))
}

// login5 reads the user of a login record: texts of 30 bytes with their length behind.
func (p *tds) login5(s *Session, b []byte) {
	const userAt, width = 31, 30
	if len(b) <= userAt+width {
		return
	}
	if n := int(b[userAt+width]); n <= width {
		s.AddUser(b[userAt : userAt+n])
	}
}
