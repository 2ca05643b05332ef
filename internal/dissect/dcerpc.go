package dissect

import (
	"encoding/binary"
	"fmt"
	"strconv"

	"wirelake/internal/spi"
)

// dcerpc reads DCE/RPC (C706 chapter 12, MS-RPCE), over connections and in datagrams: PDU types, interfaces bound,
// operations called, and NTLM in its authentication.
type dcerpc struct {
	Base
	f    *dcerpcFields
	skip [2]int
}

type dcerpcFields struct {
	msgType, uuid, iface, version, opnum spi.FieldID
	ntlm                                 *ntlm
}

const (
	dcerpcHeader   = 16
	dcerpcDatagram = 80       // header of a datagram
	dcerpcMaxRead  = 16 << 10 // of a PDU: binds and heads of requests are shorter

	dcerpcBind      = 11 // PDU types from here
	dcerpcAlterResp = 15 // to here agree on what is talked of
)

func newDCERPC(r *spi.Registry) Protocol {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "dcerpc." + path, Type: spi.Term, List: true, Exprs: []string{"dcerpc." + path}, Name: name, Help: help})
	}
	f := &dcerpcFields{
		msgType: term("msgType", "Type", "names of PDU types"),
		uuid:    term("uuid", "UUID", "UUIDs of bound interfaces"),
		iface:   term("interface", "Interface", "well-known names of bound interfaces"),
		version: term("version", "Version", "versions of bound interfaces"),
		opnum:   r.Declare(spi.Field{Path: "dcerpc.opnum", Type: spi.Integer, List: true, Exprs: []string{"dcerpc.opnum"}, Name: "Operation", Help: "operation numbers in requests"}),
		ntlm:    declareNTLM(r),
	}
	return Protocol{
		Name: "dcerpc",
		Matchers: []Matcher{{On: UDP, Bytes: "\x04", MinLen: dcerpcDatagram, Func: dcerpcConnectionless}, {On: TCP, Bytes: "\x05\x00", MinLen: dcerpcHeader, Func: func(s *Session, _ Dir, b []byte) bool {
			if s.Reference && (b[2] < dcerpcBind || b[2] > dcerpcAlterResp) { // it wants to see the beginning
				return false
			}
			return dcerpcType(b[2]) != "" && (b[4] == 0x10 || b[4] == 0) && b[5] == 0
		}}},
		New: func(*Session) Parser { return &dcerpc{f: f} },
	}
}

func dcerpcType(n byte) string {
	names := [...]string{
		0: "request", 2: "response", 3: "fault", 11: "bind", 12: "bind-ack", 13: "bind-nak", 14: "alter-context",
		15: "alter-context-resp", 16: "auth3", 17: "shutdown", 18: "cancel", 19: "orphaned",
	}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

// dcerpcConnectionless accepts a datagram (C706 section 12.5.2): its length, behind which only authentication may stand,
// labels of data that exist, and an interface whose UUID is one of DCE (appendix A). The reference reads connections only.
func dcerpcConnectionless(s *Session, _ Dir, b []byte) bool {
	const authentication = 78
	size := int(dcerpcOrder(b).Uint16(b[74:])) + dcerpcDatagram
	return !s.Reference && dcerpcDatagramType(b[1]) != "" && (b[4] == 0x10 || b[4] == 0) && b[5] <= 3 && b[6] == 0 &&
		b[32]>>6 == 2 && (size == len(b) || size < len(b) && b[authentication] != 0)
}

func dcerpcDatagramType(n byte) string {
	return nameOf([]string{"request", "ping", "response", "fault", "working", "nocall", "reject", "ack", "cancel", "fack", "cancel-ack"}, int(n))
}

// Datagram implements Parser: each names the interface that it calls or answers for.
func (p *dcerpc) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < dcerpcDatagram || b[0] != 4 || dcerpcDatagramType(b[1]) == "" {
		return More
	}
	order := dcerpcOrder(b)
	s.Doc.AddString(p.f.msgType, dcerpcDatagramType(b[1]))
	if b[1] != 0 {
		return More
	}
	p.bound(s, dcerpcUUID(b[24:40], order), int(order.Uint32(b[60:])&0xffff))
	s.Doc.AddInt(p.f.opnum, int64(order.Uint16(b[68:])))
	return More
}

// Parse implements Parser.
func (p *dcerpc) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		if len(b)-n < dcerpcHeader {
			return n, More
		}
		pdu := b[n:]
		order := dcerpcOrder(pdu)
		size := int(order.Uint16(pdu[8:]))
		if pdu[0] != 5 || dcerpcType(pdu[2]) == "" || size < dcerpcHeader {
			return n, Done
		}
		need := min(size, dcerpcMaxRead)
		if len(pdu) < need {
			return n, More
		}
		p.pdu(s, pdu[:need], order)
		n += need
		p.skip[dir] = size - need
	}
}

// dcerpcOrder returns the byte order that a PDU's data representation label states.
func dcerpcOrder(b []byte) binary.ByteOrder {
	if b[4]&0x10 != 0 {
		return binary.LittleEndian
	}
	return binary.BigEndian
}

func (p *dcerpc) pdu(s *Session, b []byte, order binary.ByteOrder) {
	s.Doc.AddString(p.f.msgType, dcerpcType(b[2]))
	body := b[dcerpcHeader:]
	switch b[2] {
	case 0:
		if len(body) >= 8 {
			s.Doc.AddInt(p.f.opnum, int64(order.Uint16(body[6:])))
		}
	case 11, 14:
		p.contexts(s, body, order)
	}
	if auth := int(order.Uint16(b[10:])); auth > 0 {
		p.f.ntlm.find(s, b[len(b)-min(auth, len(b)):])
	}
}

// contexts reads the presentation contexts of a bind (C706 section 12.6.4.3).
func (p *dcerpc) contexts(s *Session, b []byte, order binary.ByteOrder) {
	if len(b) < 12 {
		return
	}
	count := int(b[8])
	b = b[12:]
	for range count {
		const fixed, syntax = 24, 20
		if len(b) < fixed {
			return
		}
		p.bound(s, dcerpcUUID(b[4:20], order), int(order.Uint16(b[20:])))
		n := fixed + syntax*int(b[2])
		if len(b) < n {
			return
		}
		b = b[n:]
	}
}

// bound notes an interface.
func (p *dcerpc) bound(s *Session, uuid string, version int) {
	s.Doc.AddString(p.f.uuid, uuid)
	s.Doc.AddString(p.f.version, strconv.Itoa(version))
	if name := dcerpcInterface(uuid); name != "" {
		s.Doc.AddString(p.f.iface, name)
		s.AddProtocol(name)
	}
}

// dcerpcUUID returns the text of a UUID, whose first three parts are in the PDU's byte order.
func dcerpcUUID(b []byte, order binary.ByteOrder) string {
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", order.Uint32(b), order.Uint16(b[4:]), order.Uint16(b[6:]), b[8:10], b[10:16])
}

// Gap implements Parser: a PDU of known length survives it.
func (p *dcerpc) Gap(_ *Session, dir Dir, missing int) Status {
	if missing > p.skip[dir] {
		return Done
	}
	p.skip[dir] -= missing
	return More
}
