package dissect

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strconv"

	"wirelake/internal/spi"
)

// stun reads STUN and TURN messages (RFC 8489, 8656).
type stun struct {
	Base
	typ, username, realm, software, errorCode, attributes spi.FieldID
	mappedIP, mappedPort, xorMappedIP, xorMappedPort      spi.FieldID
	xorPeerIP, xorPeerPort, xorRelayedIP, xorRelayedPort  spi.FieldID
}

const stunHeaderLen = 20

func newSTUN(r *spi.Registry) Protocol {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "stun." + path, Type: spi.Term, List: true, Exprs: []string{"stun." + path}, Name: name, Help: help})
	}
	addr := func(path, expr, name string) (ip, port spi.FieldID) {
		ip = r.Declare(spi.Field{Path: "stun." + path + "Ip", Type: spi.IP, List: true, Exprs: []string{"stun." + expr + "-ip"}, Hot: true, Name: name + " IP", Help: name + ", address"})
		portExpr := "stun." + expr + "-port"
		if path == "xorPeer" {
			portExpr = "stun." + path + "Port"
		}
		port = r.Declare(spi.Field{Path: "stun." + path + "Port", Type: spi.Integer, List: true, Exprs: []string{portExpr}, Name: name + " port", Help: name + ", port"})
		return ip, port
	}
	p := &stun{
		typ:        term("type", "Type", "message types by name"),
		username:   term("username", "User name", "user names"),
		realm:      term("realm", "Realm", "realms"),
		software:   term("software", "Software", "software texts"),
		attributes: term("attributes", "Attributes", "noteworthy attributes by name"),
		errorCode:  r.Declare(spi.Field{Path: "stun.error", Type: spi.Integer, List: true, Exprs: []string{"stun.error"}, Name: "Error", Help: "error codes"}),
	}
	p.mappedIP, p.mappedPort = addr("mapped", "mapped", "MAPPED-ADDRESS")
	p.xorMappedIP, p.xorMappedPort = addr("xorMapped", "xor-mapped", "XOR-MAPPED-ADDRESS")
	p.xorPeerIP, p.xorPeerPort = addr("xorPeer", "xor-peer", "XOR-PEER-ADDRESS")
	p.xorRelayedIP, p.xorRelayedPort = addr("xorRelayed", "xor-relayed", "XOR-RELAYED-ADDRESS")
	return Protocol{
		Name: "stun",
		Matchers: []Matcher{
			{On: UDP, Offset: 4, Bytes: "\x21\x12\xa4\x42", MinLen: stunHeaderLen, Func: stunHeader},
			{On: TCP, Offset: 4, Bytes: "\x21\x12\xa4\x42", MinLen: stunHeaderLen, Func: stunHeader},
			{On: UDP, Port: 3478, MinLen: stunHeaderLen, Func: stunClassic},
			{On: UDP, Port: 3479, MinLen: stunHeaderLen, Func: stunClassic}, // a server's other port
		},
		New: func(*Session) Parser { return p },
	}
}

// stunClassic accepts a message of RFC 3489, before there was a cookie.
func stunClassic(_ *Session, _ Dir, b []byte) bool {
	return b[0] <= 1 && b[1]&0x0f >= 1 && b[1]&0x0f <= 4 && int(binary.BigEndian.Uint16(b[2:])) == len(b)-stunHeaderLen
}

// stunMethod returns the number of a message type's method and its name, "" for one that is not registered. Methods are of RFC 3489,
// 8489, 8656 and 6062.
func stunMethod(t uint16) (method uint16, name string) {
	method = t&0xf | t>>1&0x70 | t>>2&0xf80
	return method, nameOf([]string{
		1: "Binding", 2: "Shared Secret", 3: "Allocate", 4: "Refresh", 6: "Send", 7: "Data", 8: "CreatePermission", 9: "ChannelBind",
		10: "Connect", 11: "ConnectionBind", 12: "ConnectionAttempt",
	}, method)
}

// stunType returns the name of a message type: method and class (RFC 8489 section 5).
func stunType(t uint16) string {
	method, name := stunMethod(t)
	if name == "" {
		name = "Method " + strconv.Itoa(int(method))
	}
	return name + [4]string{" Request", " Indication", " Response", " Error Response"}[t>>4&1|t>>7&2]
}

// Parse implements Parser: over TCP messages follow one another, with TURN's channel data between them.
func (p *stun) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for len(b)-n >= 4 {
		size := 4 + (int(binary.BigEndian.Uint16(b[n+2:]))+3)&^3 // channel data is padded (RFC 8656 section 12.5)
		message := b[n]>>6 == 0
		if message {
			size = stunHeaderLen + int(binary.BigEndian.Uint16(b[n+2:]))
		} else if b[n]>>6 != 1 {
			return n, Done
		}
		if len(b)-n < size {
			break
		}
		if message {
			p.message(s, dir, b[n:n+size])
		}
		n += size
	}
	return n, More
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *stun) Datagram(s *Session, dir Dir, b []byte) Status {
	const dtlsFirst, dtlsLast = 20, 63 // RFC 7983 section 7: what shares a port is told by its first byte
	switch {
	case len(b) == 0:
	case b[0] <= 3:
		p.message(s, dir, b)
	case b[0] >= dtlsFirst && b[0] <= dtlsLast && isDTLS(b) && !s.Reference:
		s.Attach("dtls") // WebRTC's
	}
	return More
}

func (p *stun) message(s *Session, dir Dir, b []byte) {
	if len(b) < stunHeaderLen || b[0]>>6 != 0 {
		return
	}
	kind := binary.BigEndian.Uint16(b)
	if _, name := stunMethod(kind); name != "" || !s.Reference {
		s.Doc.AddString(p.typ, stunType(kind))
	}
	transaction := b[4:stunHeaderLen]
	for a := b[stunHeaderLen:]; len(a) >= 4; {
		typ, n := binary.BigEndian.Uint16(a), int(binary.BigEndian.Uint16(a[2:]))
		if len(a) < 4+n {
			return
		}
		p.attribute(s, dir, typ, a[4:4+n], transaction)
		a = a[min(len(a), 4+(n+3)&^3):]
	}
}

// attribute reads an attribute (RFC 8489 section 14, RFC 8656 section 18).
func (p *stun) attribute(s *Session, dir Dir, typ uint16, v, transaction []byte) {
	if typ == 0x0025 { // which has no value
		s.Doc.AddString(p.attributes, "USE-CANDIDATE")
	}
	if len(v) == 0 {
		return
	}
	switch typ {
	case 0x0001:
		stunAddress(s, p.mappedIP, p.mappedPort, v, nil)
	case 0x0006:
		name, _, _ := bytes.Cut(v, []byte{0}) // some pad with zeros
		s.Doc.AddBytes(p.username, name)
	case 0x0009:
		if len(v) >= 4 {
			s.Doc.AddInt(p.errorCode, int64(v[2]&7)*100+int64(v[3]))
		}
	case 0x0012:
		stunAddress(s, p.xorPeerIP, p.xorPeerPort, v, transaction)
	case 0x0014:
		s.Doc.AddBytes(p.realm, v)
	case 0x0016:
		stunAddress(s, p.xorRelayedIP, p.xorRelayedPort, v, transaction)
	case 0x0020:
		// The address that the server sees is not the one that was captured.
		if a := stunAddress(s, p.xorMappedIP, p.xorMappedPort, v, transaction); a.IsValid() && a != s.Addr(dir.Other()).Unmap() {
			s.AddTag("stun:nat-discovered")
		}
	case 0x8029:
		s.Doc.AddString(p.attributes, "ICE-CONTROLLED")
	case 0x802a:
		s.Doc.AddString(p.attributes, "ICE-CONTROLLING")
	case 0x8022:
		s.Doc.AddBytes(p.software, v)
	}
}

// stunAddress notes an address attribute, XORed with the cookie and the transaction id where xor is given.
func stunAddress(s *Session, ip, port spi.FieldID, v, xor []byte) netip.Addr {
	if len(v) < 4 {
		return netip.Addr{}
	}
	var key [16]byte
	copy(key[:], xor)
	n := binary.BigEndian.Uint16(v[2:]) ^ binary.BigEndian.Uint16(key[:])
	raw := make([]byte, 0, 16)
	for i, c := range v[4:min(len(v), 20)] {
		raw = append(raw, c^key[i])
	}
	a, ok := netip.AddrFromSlice(raw)
	if !ok {
		return netip.Addr{}
	}
	s.Doc.AddIP(ip, a)
	s.Doc.AddInt(port, int64(n))
	return a.Unmap()
}
