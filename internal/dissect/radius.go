package dissect

import (
	"encoding/binary"
	"net/netip"

	"wirelake/internal/spi"
)

// radius reads RADIUS (RFC 2865, 2866, 2868, 3162, 5176, 6911): packet types and the attributes that say who
// asked for access from where.
type radius struct {
	Base
	msgType, user, mac, framedIP, nasIP, nasPort, endpointIP spi.FieldID
}

const radiusHeader = 20

func newRADIUS(r *spi.Registry) Protocol {
	ip := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: spi.IP, List: true, Exprs: []string{expr}, Hot: true, Name: name, Help: help})
	}
	p := &radius{
		msgType:    r.Declare(spi.Field{Path: "radius.msgType", Type: spi.LoTerm, List: true, Exprs: []string{"radius.msgType"}, Name: "Type", Help: "packet types by name"}),
		user:       r.Declare(spi.Field{Path: "radius.user", Type: spi.Term, List: true, Exprs: []string{"radius.user"}, Hot: true, Name: "User", Help: "user names"}),
		mac:        r.Declare(spi.Field{Path: "radius.mac", Type: spi.LoTerm, List: true, Exprs: []string{"radius.mac"}, Name: "MAC", Help: "MAC addresses of calling stations"}),
		framedIP:   ip("radius.framedIp", "radius.framed-ip", "Framed IP", "addresses given to users"),
		nasIP:      ip("radius.nasIp", "radius.nasIp", "NAS IP", "addresses of access servers"),
		nasPort:    r.Declare(spi.Field{Path: "radius.nasPort", Type: spi.Integer, List: true, Exprs: []string{"radius.nasPort"}, Name: "NAS port", Help: "ports of access servers"}),
		endpointIP: ip("radius.endpointIp", "radius.endpoint-ip", "Endpoint IP", "addresses of tunnel end points"),
	}
	return Protocol{
		Name: "radius",
		Matchers: []Matcher{{On: UDP, MinLen: radiusHeader, Func: func(s *Session, _ Dir, b []byte) bool {
			return radiusType(b[0]) != "" && (radiusPorts(s) && binary.BigEndian.Uint16(b[2:]) >= radiusHeader || !s.Reference && radiusWhole(b))
		}}},
		New: func(*Session) Parser { return p },
	}
}

func radiusPorts(s *Session) bool {
	for _, port := range [...]uint16{1812, 1813, 1645, 1646, 3799} {
		if s.OnPort(port) {
			return true
		}
	}
	return false
}

// radiusWhole accepts, on any port, a packet that is as long as it says and whose attributes fill it.
func radiusWhole(b []byte) bool {
	if int(binary.BigEndian.Uint16(b[2:])) != len(b) || len(b) == radiusHeader {
		return false
	}
	a := b[radiusHeader:]
	for len(a) >= 2 && a[0] != 0 && a[1] >= 2 && int(a[1]) <= len(a) {
		a = a[a[1]:]
	}
	return len(a) == 0
}

func radiusType(n byte) string {
	names := [...]string{
		1: "access-request", 2: "access-accept", 3: "access-reject", 4: "accounting-request", 5: "accounting-response",
		11: "access-challenge", 12: "status-server", 13: "status-client", 40: "disconnect-request", 41: "disconnect-ack",
		42: "disconnect-nak", 43: "coa-request", 44: "coa-ack", 45: "coa-nak",
	}
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *radius) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < radiusHeader || radiusType(b[0]) == "" {
		return More
	}
	s.Doc.AddString(p.msgType, radiusType(b[0]))
	size := min(int(binary.BigEndian.Uint16(b[2:])), len(b))
	for a := b[radiusHeader:max(size, radiusHeader)]; len(a) >= 2; {
		n := int(a[1])
		if n < 2 || n > len(a) {
			return More
		}
		p.attribute(s, a[0], a[2:n])
		a = a[n:]
	}
	return More
}

func (p *radius) attribute(s *Session, typ byte, v []byte) {
	if len(v) == 0 {
		return
	}
	switch typ {
	case 1:
		s.Doc.AddBytes(p.user, v)
	case 4:
		addIPv4(s, p.nasIP, v)
	case 5:
		if len(v) == 4 {
			s.Doc.AddInt(p.nasPort, int64(binary.BigEndian.Uint32(v)))
		}
	case 8:
		addIPv4(s, p.framedIP, v)
	case 95:
		if a, ok := netip.AddrFromSlice(v); ok && len(v) == 16 && !s.Reference {
			s.Doc.AddIP(p.nasIP, a)
		}
	case 168:
		if a, ok := netip.AddrFromSlice(v); ok && len(v) == 16 && !s.Reference {
			s.Doc.AddIP(p.framedIP, a)
		}
	case 31: // any text; a MAC address by custom
		if mac, ok := radiusMAC(v); ok {
			s.Doc.AddString(p.mac, colonHex(mac[:]))
		}
	case 67: // the server's end, of which the reference does not tell
		if s.Reference {
			return
		}
		fallthrough
	case 66: // the client's end, a text behind a tag below 0x20
		if v[0] < 0x20 {
			v = v[1:]
		}
		if a, err := netip.ParseAddr(string(v)); err == nil {
			s.Doc.AddIP(p.endpointIP, a)
		}
	}
}

// radiusMAC reads a MAC address with any separators or none; what stands behind it is left out (RFC 3580 section
// 3.20 has a network's name there, which is not of calling stations but of called ones).
func radiusMAC(text []byte) (mac [6]byte, ok bool) {
	digits := 0
	for _, c := range text {
		if c == '-' || c == ':' || c == '.' {
			continue
		}
		d := unhex(c)
		if d > 15 || digits == 12 {
			return mac, digits == 12
		}
		mac[digits/2] = mac[digits/2]<<4 | d
		digits++
	}
	return mac, digits == 12
}

// addIPv4 adds an address of 4 bytes; anything else is ignored.
func addIPv4(s *Session, f spi.FieldID, b []byte) {
	if len(b) == 4 {
		s.Doc.AddIP(f, netip.AddrFrom4([4]byte(b)))
	}
}
