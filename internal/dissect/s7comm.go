package dissect

import (
	"encoding/binary"

	"wirelake/internal/spi"
)

// s7comm reads the S7 protocols of programmable controllers, in ISO transport over TCP (RFC 1006, RFC 2126,
// X.224): S7comm, whose PDUs begin with 0x32, and S7comm-plus, whose begin with 0x72.
type s7comm struct {
	Base
	rosctr, pduRef, function, functionName, errorClass, errorCode, opcode spi.FieldID
}

const (
	tpktHeader  = 4
	s7Port      = 102
	s7Magic     = 0x32
	s7PlusMagic = 0x72
	s7Header    = 10 // of jobs and user data; acknowledgements have 2 bytes more
)

func newS7comm(r *spi.Registry) Protocol {
	g := fieldGroup{r, "s7comm"}
	p := &s7comm{
		rosctr:       g.list(spi.Integer, "rosctr", "ROSCTR", "kinds of PDU, by number"),
		pduRef:       g.list(spi.Integer, "pduref", "PDU reference", "PDU references"),
		function:     g.list(spi.Integer, "func", "Function", "function numbers"),
		functionName: g.list(spi.Term, "funcName", "Function name", "functions by name"),
		errorClass:   g.list(spi.Integer, "errorClass", "Error class", "error classes"),
		errorCode:    g.list(spi.Integer, "errorCode", "Error code", "error codes"),
		opcode:       g.list(spi.Integer, "opcode", "Opcode", "opcodes of S7comm-plus"),
	}
	return Protocol{
		Name:  "s7comm",
		Quiet: true, // others use the transport too
		Matchers: []Matcher{{On: TCP, Bytes: "\x03\x00", MinLen: tpktHeader + 3, Func: func(s *Session, _ Dir, b []byte) bool {
			if s.OnPort(s7Port) {
				return b[5]&0xf0 >= 0x80 // any TPDU, connection requests among them
			}
			if cotpConnection(b) && !s.Reference {
				return true
			}
			return b[5] == cotpData && len(b) > tpktHeader+3 && (b[7] == s7Magic || b[7] == s7PlusMagic)
		}}},
		New: func(*Session) Parser { return p },
	}
}

// cotpConnection accepts a connection request or confirmation with the parameters of X.224 section 13.3.4, which RDP's
// lack.
func cotpConnection(b []byte) bool {
	const request, confirm, parameters = 0xe0, 0xd0, tpktHeader + 7
	return (b[5] == request || b[5] == confirm) && len(b) > parameters && int(binary.BigEndian.Uint16(b[2:])) == len(b) && b[parameters] >= 0xc0 && b[parameters] <= 0xc2
}

const cotpData = 0xf0 // the TPDU that carries data

func s7Function(n byte) string {
	const firstOfBlocks = 0x1a
	switch n {
	case 0x04:
		return "Read Var"
	case 0x05:
		return "Write Var"
	case 0x28:
		return "PI-Service"
	case 0x29:
		return "PLC Stop"
	case 0xf0:
		return "Setup communication"
	}
	if n < firstOfBlocks {
		return ""
	}
	return nameOf([]string{"Request download", "Download block", "Download ended", "Start upload", "Upload", "End upload"}, n-firstOfBlocks)
}

// s7Group names a function group of user data.
func s7Group(n byte) string {
	return nameOf([]string{"Mode-transition", "Programmer commands", "Cyclic data", "Block functions", "CPU functions", "Security", "PBC BSEND/BRECV", "Time functions"}, n)
}

// Parse implements Parser. p has no state, and is shared by all sessions.
func (p *s7comm) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= tpktHeader {
		size := int(binary.BigEndian.Uint16(b[n+2:]))
		if b[n] != 3 || size < tpktHeader+2 {
			return n, Done
		}
		if len(b)-n < size {
			break
		}
		tpdu := b[n+tpktHeader : n+size]
		n += size
		head := 1 + int(tpdu[0])
		if tpdu[1] != cotpData || len(tpdu) <= head {
			continue
		}
		if !p.pdu(s, tpdu[head:]) {
			return n, Done
		}
	}
	return n, More
}

// pdu reads one PDU and reports whether it is of either protocol.
func (p *s7comm) pdu(s *Session, b []byte) bool {
	switch b[0] {
	case s7Magic:
		s.AddProtocol("s7comm")
		if len(b) >= s7Header {
			p.classic(s, b)
		}
	case s7PlusMagic:
		s.AddProtocol("s7comm")
		s.AddProtocol("s7comm-plus")
		p.plus(s, b)
	default:
		return false
	}
	return true
}

func (p *s7comm) classic(s *Session, b []byte) {
	const ack, ackData, userData = 2, 3, 7
	s.Doc.AddInt(p.rosctr, int64(b[1]))
	s.Doc.AddInt(p.pduRef, int64(binary.BigEndian.Uint16(b[4:])))
	head := s7Header
	if b[1] == ack || b[1] == ackData {
		head += 2
		if len(b) < head {
			return
		}
		if b[10]|b[11] != 0 {
			s.Doc.AddInt(p.errorClass, int64(b[10]))
			s.Doc.AddInt(p.errorCode, int64(b[11]))
		}
	}
	params := b[head:]
	params = params[:min(len(params), int(binary.BigEndian.Uint16(b[6:])))]
	if len(params) == 0 {
		return
	}
	if b[1] == userData { // 00 01 12, length, method, type and group
		if len(params) >= 6 && !s.Reference {
			if name := s7Group(params[5] & 0x0f); name != "" {
				s.Doc.AddString(p.functionName, name)
			}
		}
		return
	}
	s.Doc.AddInt(p.function, int64(params[0]))
	if name := s7Function(params[0]); name != "" {
		s.Doc.AddString(p.functionName, name)
	}
}

// plus reads the opcode, which stands behind the version, the length and, since version 3, a digest in front of
// which is its length.
func (p *s7comm) plus(s *Session, b []byte) {
	const integrity, request, notification, response2 = 3, 0x31, 0x33, 0x02
	at := 4
	if len(b) > at && b[1] >= integrity && b[1] < 0xfe { // 0xfe: parts of the system, no digest
		at += 1 + int(b[at])
	} else if len(b) > at && b[at] == 0 {
		at++ // reserved
	}
	if len(b) > at && (b[at] >= request && b[at] <= notification || b[at] == response2) {
		s.Doc.AddInt(p.opcode, int64(b[at]))
	}
}
