package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"

	"wirelake/internal/spi"
)

// nbns reads the NetBIOS name service (RFC 1002 section 4.2).
type nbns struct {
	Base
	name, host, ip, queryHost, queryType spi.FieldID
}

const (
	nbnsHeader = 12
	nbnsName   = 34 // 16 bytes in half-ASCII behind a length, and the empty label
)

func newNBNS(r *spi.Registry) Protocol {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "nbns." + path, Type: spi.Term, List: true, Exprs: []string{"nbns." + path}, Name: name, Help: help})
	}
	p := &nbns{
		name:      term("name", "Name", "all NetBIOS names seen"),
		host:      term("host", "Host", "host names in responses"),
		ip:        r.Declare(spi.Field{Path: "nbns.ip", Type: spi.IP, List: true, Exprs: []string{"nbns.ip"}, Hot: true, Name: "IP", Help: "addresses in responses"}),
		queryHost: term("queryHost", "Query host", "host names asked for"),
		queryType: term("queryType", "Query type", "type of the question"),
	}
	return Protocol{
		Name:     "nbns",
		Matchers: []Matcher{{On: UDP, Port: 137, MinLen: nbnsHeader}},
		New:      func(*Session) Parser { return p },
	}
}

// nbnsDecode reads a name in half-ASCII (RFC 1001 section 14.1); its last byte is
// a type and not part of the text. n is what it takes, 0 when b begins with no name.
func nbnsDecode(b []byte) (name string, n int) {
	if len(b) < nbnsName || b[0] != 32 || b[33] != 0 {
		return "", 0
	}
	var out [16]byte
	for i := range out {
		hi, lo := b[1+2*i]-'A', b[2+2*i]-'A'
		if hi > 15 || lo > 15 {
			return "", 0
		}
		out[i] = hi<<4 | lo
	}
	end := 15
	for end > 0 && (out[end-1] == ' ' || out[end-1] == 0) {
		end--
	}
	return string(out[:end]), nbnsName
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *nbns) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < nbnsHeader {
		return More
	}
	questions, answers := binary.BigEndian.Uint16(b[4:]), binary.BigEndian.Uint16(b[6:])
	rest := b[nbnsHeader:]
	if questions == 1 {
		name, n := nbnsDecode(rest)
		if n == 0 || len(rest) < n+4 {
			return More
		}
		s.Doc.AddString(p.name, name)
		s.Doc.AddString(p.queryHost, name)
		if typ := nbnsType(binary.BigEndian.Uint16(rest[n:])); typ != "" {
			s.Doc.AddString(p.queryType, typ)
		}
		rest = rest[n+4:]
	}
	for range min(answers, 16) {
		name, n := nbnsDecode(rest)
		if n == 0 || len(rest) < n+10 {
			return More
		}
		typ, size := binary.BigEndian.Uint16(rest[n:]), int(binary.BigEndian.Uint16(rest[n+8:]))
		data := rest[n+10:]
		if len(data) < size {
			return More
		}
		s.Doc.AddString(p.name, name)
		s.Doc.AddString(p.host, name)
		switch nbnsType(typ) {
		case "NB":
			p.addresses(s, data[:size])
		case "NBSTAT":
			if !s.Reference {
				p.status(s, data[:size])
			}
		}
		rest = data[size:]
	}
	const response, opcode, registration, refresh, pointer = 0x80, 0x78, 5 << 3, 8 << 3, 12
	if op := b[2] & opcode; s.Reference || b[2]&response != 0 || op != registration && op != refresh || len(rest) < pointer || rest[0]>>6 != 3 {
		return More
	}
	// A registration has the address behind a pointer to the name in the question.
	if size := int(binary.BigEndian.Uint16(rest[10:])); nbnsType(binary.BigEndian.Uint16(rest[2:])) == "NB" && len(rest) >= pointer+size {
		p.addresses(s, rest[pointer:pointer+size])
	}
	return More
}

// addresses notes addresses, each behind flags of two bytes.
func (p *nbns) addresses(s *Session, b []byte) {
	for ; len(b) >= 6; b = b[6:] {
		s.Doc.AddIP(p.ip, netip.AddrFrom4([4]byte(b[2:6])))
	}
}

// status notes the names that a node has (RFC 1002 section 4.2.18): their number, and of each 15 bytes, a type and flags.
func (p *nbns) status(s *Session, b []byte) {
	const entry, nameLen, group = 18, 15, 0x80
	if len(b) == 0 {
		return
	}
	count := int(b[0])
	for b = b[1:]; count > 0 && len(b) >= entry; count, b = count-1, b[entry:] {
		name := bytes.TrimRight(b[:nameLen], " \x00")
		if len(name) == 0 || !isPrintable(name) { // a browser's has bytes 1 and 2 in front
			continue
		}
		s.Doc.AddBytes(p.name, name)
		if b[16]&group == 0 {
			s.Doc.AddBytes(p.host, name)
		}
	}
}

func nbnsType(n uint16) string {
	switch n {
	case 0x20:
		return "NB"
	case 0x21:
		return "NBSTAT"
	}
	return ""
}
