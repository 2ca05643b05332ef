package dissect

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// gtp reads the control plane of the GPRS Tunnelling Protocol, versions 1 (3GPP TS 29.060) and 2 (TS 29.274): who is
// connected, by which access point, over which tunnels. What tunnels carry is taken out of them below.
type gtp struct {
	Base
	version                             spi.FieldID
	typ, imsi, msisdn, imei, apn, teid  spi.FieldID
	userIP, nodeIP, cause, access, plmn spi.FieldID
}

func newGTP(r *spi.Registry) Protocol {
	g := fieldGroup{r, "gtp"}
	hot := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "gtp." + path, Type: spi.Term, List: true, Exprs: []string{"gtp." + path}, Hot: true, Name: name, Help: help})
	}
	addr := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "gtp." + path, Type: spi.IP, List: true, Exprs: []string{expr}, Hot: true, Name: name, Help: help})
	}
	p := &gtp{
		version: g.list(spi.Integer, "version", "Version", "protocol versions"),
		typ:     g.list(spi.Term, "type", "Messages", "kinds of messages"),
		imsi:    hot("imsi", "IMSI", "subscribers' IMSIs"),
		msisdn:  hot("msisdn", "MSISDN", "subscribers' telephone numbers"),
		imei:    hot("imei", "IMEI", "devices' IMEIs"),
		apn:     hot("apn", "APN", "access point names"),
		teid:    g.list(spi.Term, "teid", "TEID", "tunnel endpoint ids, hex"),
		userIP:  addr("userIp", "ip.gtp.user", "User IP", "addresses given to users"),
		nodeIP:  addr("nodeIp", "ip.gtp.node", "Node IP", "addresses of the tunnels' ends"),
		cause:   g.list(spi.Integer, "cause", "Cause", "causes in answers"),
		access:  g.list(spi.Term, "access", "Radio access", "radio access technologies"),
		plmn:    g.list(spi.Term, "plmn", "PLMN", "serving networks: country and network code"),
	}
	return Protocol{
		Name: "gtp",
		Matchers: []Matcher{
			{On: UDP, Port: 2123, MinLen: 8, Func: gtpHeader},
			{On: UDP, Port: 2152, MinLen: 8, Func: gtpUserSignal},
		},
		New: func(*Session) Parser { return p },
	}
}

// gtpUserSignal accepts what the user plane's peers tell one another (TS 29.281 section 7): echoes, errors, extension
// headers and the end of a tunnel. What it carries is taken out of it below.
func gtpUserSignal(s *Session, dir Dir, b []byte) bool {
	switch b[1] {
	case 1, 2, 26, 31, 254:
		return !s.Reference && b[0]>>4 == 3 && gtpHeader(s, dir, b)
	}
	return false
}

// gtpHeader accepts a datagram that a message of GTP-C fills (TS 29.060 section 6, TS 29.274 section 5.1): versions 1,
// without GTP', and 2, where a second message may follow.
func gtpHeader(_ *Session, _ Dir, b []byte) bool {
	size := int(binary.BigEndian.Uint16(b[2:]))
	switch b[0] >> 4 {
	case 3:
		return b[0]&8 == 0 && b[1] != 0 && 8+size == len(b) && (b[0]&7 == 0 || size >= 4)
	case 4:
		return b[1] != 0 && 4+size == len(b) && (size >= 4 && b[0]&8 == 0 || size >= 8)
	case 5: // piggybacked
		return b[1] != 0 && size >= 8 && 4+size+8 <= len(b)
	}
	return false
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *gtp) Datagram(s *Session, _ Dir, b []byte) Status {
	for range 2 { // version 2 may have a second message behind the first
		if len(b) < 8 {
			return More
		}
		n := 0
		switch b[0] >> 5 {
		case 1:
			n = p.version1(s, b)
		case 2:
			n = p.version2(s, b)
		}
		if n == 0 || b[0]>>5 != 2 || b[0]&0x10 == 0 {
			return More
		}
		b = b[n:]
	}
	return More
}

func (p *gtp) tunnel(s *Session, b []byte) {
	if n := binary.BigEndian.Uint32(b); n != 0 {
		s.Doc.AddString(p.teid, "0x"+strconv.FormatUint(uint64(n)|1<<32, 16)[1:])
	}
}

func (p *gtp) message(s *Session, version int64, name string, number byte) {
	s.Doc.AddInt(p.version, version)
	if name == "" {
		name = strconv.Itoa(int(number))
	}
	s.Doc.AddString(p.typ, name)
}

// version1 reads a message of version 1 (TS 29.060 sections 6 and 7), and returns its length, 0 when it is cut off.
func (p *gtp) version1(s *Session, b []byte) int {
	const head, optional = 8, 4
	n := head + int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) {
		return 0
	}
	name := nameOf([]string{
		1: "echo-request", 2: "echo-response", 3: "version-not-supported", 16: "create-pdp-request", 17: "create-pdp-response", 18: "update-pdp-request",
		19: "update-pdp-response", 20: "delete-pdp-request", 21: "delete-pdp-response", 26: "error-indication", 27: "pdu-notification-request",
		32: "send-routeing-request", 33: "send-routeing-response", 48: "identification-request", 49: "identification-response",
		31: "supported-extension-headers", 254: "end-marker", 50: "sgsn-context-request", 51: "sgsn-context-response", 52: "sgsn-context-ack", 53: "forward-relocation-request", 54: "forward-relocation-response",
	}, b[1])
	p.message(s, 1, name, b[1])
	p.tunnel(s, b[4:])
	w := wire{b: b[head:n]}
	if b[0]&7 != 0 { // sequence number, N-PDU number and the kind of the extension header behind
		next := byte(0)
		if x := w.take(optional); x != nil {
			next = x[3]
		}
		for range 8 {
			if next == 0 || len(w.b) < 4 {
				break
			}
			x := w.take(4 * int(w.b[0]))
			if len(x) == 0 {
				return n
			}
			next = x[len(x)-1]
		}
	}
	for len(w.b) > 0 && !w.bad {
		typ := byte(w.be(1))
		var v []byte
		if typ < 128 {
			v = w.take(gtp1Length(typ))
		} else {
			v = w.text(2)
		}
		if len(v) == 0 && typ < 128 {
			return n // unknown: where the next begins is not known
		}
		p.element1(s, typ, v)
	}
	return n
}

// gtp1Length returns the length of an information element without a length of its own (TS 29.060 section 7.7), 0 for
// one that is not known.
func gtp1Length(typ byte) int {
	switch typ {
	case 1, 8, 11, 13, 14, 15, 19, 20, 21, 23, 24, 29:
		return 1
	case 25, 26, 27, 28:
		return 2
	case 12:
		return 3
	case 4, 5, 16, 17, 127:
		return 4
	case 18:
		return 5
	case 3:
		return 6
	case 2:
		return 8
	case 22:
		return 9
	case 9:
		return 28
	}
	return 0
}

func (p *gtp) element1(s *Session, typ byte, v []byte) {
	switch {
	case len(v) == 0:
	case typ == 1:
		s.Doc.AddInt(p.cause, int64(v[0]))
	case typ == 2:
		p.digits(s, p.imsi, v)
	case typ == 3:
		p.network(s, v)
	case typ == 16, typ == 17:
		p.tunnel(s, v)
	case typ == 18:
		p.tunnel(s, v[1:])
	case typ == 128: // organization and kind, then addresses
		for rest := v[min(2, len(v)):]; len(rest) >= 4; {
			n := 4
			if v[1] == 0x57 || v[1] == 0x8d && len(rest) == 16 {
				n = 16
			}
			p.address(s, p.userIP, rest[:min(n, len(rest))])
			rest = rest[min(n, len(rest)):]
		}
	case typ == 131:
		p.accessPoint(s, v)
	case typ == 133:
		p.address(s, p.nodeIP, v)
	case typ == 134: // nature of the number, then digits
		p.digits(s, p.msisdn, v[1:])
	case typ == 151:
		p.radio(s, v[0])
	case typ == 154:
		p.digits(s, p.imei, v)
	}
}

// version2 reads a message of version 2 (TS 29.274 sections 5 and 7).
func (p *gtp) version2(s *Session, b []byte) int {
	n := 4 + int(binary.BigEndian.Uint16(b[2:]))
	if n > len(b) {
		return 0
	}
	name := nameOf([]string{
		1: "echo-request", 2: "echo-response", 3: "version-not-supported", 32: "create-session-request", 33: "create-session-response",
		34: "modify-bearer-request", 35: "modify-bearer-response", 36: "delete-session-request", 37: "delete-session-response",
		38: "change-notification-request", 39: "change-notification-response", 64: "modify-bearer-command", 66: "delete-bearer-command",
		68: "bearer-resource-command", 95: "create-bearer-request", 96: "create-bearer-response", 97: "update-bearer-request", 98: "update-bearer-response",
		99: "delete-bearer-request", 100: "delete-bearer-response", 128: "identification-request", 129: "identification-response",
		130: "context-request", 131: "context-response", 132: "context-ack", 133: "forward-relocation-request", 134: "forward-relocation-response",
		170: "release-access-bearers-request", 171: "release-access-bearers-response", 176: "downlink-data-notification", 177: "downlink-data-notification-ack",
	}, b[1])
	p.message(s, 2, name, b[1])
	w := wire{b: b[4:n]}
	if b[0]&0x08 != 0 {
		if id := w.take(4); id != nil {
			p.tunnel(s, id)
		}
	}
	w.take(4) // sequence number
	p.elements2(s, &w, 0)
	return n
}

func (p *gtp) elements2(s *Session, w *wire, depth int) {
	for len(w.b) >= 4 && !w.bad {
		typ := byte(w.be(1))
		size := int(w.be(2))
		w.take(1) // instance
		v := w.take(size)
		if len(v) == 0 {
			continue
		}
		switch {
		case typ == 1:
			p.digits(s, p.imsi, v)
		case typ == 2:
			s.Doc.AddInt(p.cause, int64(v[0]))
		case typ == 71:
			p.accessPoint(s, v)
		case typ == 75:
			p.digits(s, p.imei, v)
		case typ == 76:
			p.digits(s, p.msisdn, v)
		case typ == 79:
			p.allocated(s, v)
		case typ == 82:
			p.radio(s, v[0])
		case typ == 83:
			p.network(s, v)
		case typ == 87 && len(v) >= 5: // flags, TEID, addresses
			p.tunnel(s, v[1:])
			rest := v[5:]
			if v[0]&0x80 != 0 && len(rest) >= 4 {
				p.address(s, p.nodeIP, rest[:4])
				rest = rest[4:]
			}
			if v[0]&0x40 != 0 && len(rest) >= 16 {
				p.address(s, p.nodeIP, rest[:16])
			}
		case typ == 93 && depth < 2: // bearer context: elements within
			p.elements2(s, &wire{b: v}, depth+1)
		}
	}
}

// allocated notes the addresses given to a user (section 8.14): 1 IPv4, 2 IPv6 behind the length of its prefix, 3 both.
func (p *gtp) allocated(s *Session, v []byte) {
	kind, rest := v[0]&7, v[1:]
	if kind != 1 && len(rest) >= 17 {
		p.address(s, p.userIP, rest[1:17])
		rest = rest[17:]
	}
	if kind != 2 && len(rest) >= 4 {
		p.address(s, p.userIP, rest[:4])
	}
}

// digits notes a number in telephony's BCD: the low half of a byte first, 15 fills up (TS 23.003).
func (p *gtp) digits(s *Session, f spi.FieldID, v []byte) {
	var out strings.Builder
	for _, c := range v[:min(len(v), 16)] {
		for _, d := range [2]byte{c & 15, c >> 4} {
			if d > 9 {
				break
			}
			out.WriteByte('0' + d)
		}
	}
	if out.Len() > 0 {
		s.Doc.AddString(f, out.String())
	}
}

// accessPoint notes a name of labels with their length in front (TS 23.003 section 9.1).
func (p *gtp) accessPoint(s *Session, v []byte) {
	var labels []string
	for len(v) > 0 && len(labels) < 16 {
		n := int(v[0])
		if n == 0 || 1+n > len(v) || !isPrintable(v[1:1+n]) {
			break
		}
		labels = append(labels, string(v[1:1+n]))
		v = v[1+n:]
	}
	if len(labels) > 0 {
		s.Doc.AddString(p.apn, strings.ToLower(strings.Join(labels, ".")))
	}
}

func (p *gtp) address(s *Session, f spi.FieldID, v []byte) {
	if a, ok := netip.AddrFromSlice(v); ok && !a.IsUnspecified() {
		s.Doc.AddIP(f, a)
	}
}

// network notes country and network code (TS 24.008 section 10.5.1.3).
func (p *gtp) network(s *Session, v []byte) {
	if len(v) < 3 {
		return
	}
	d := [6]byte{v[0] & 15, v[0] >> 4, v[1] & 15, v[2] & 15, v[2] >> 4, v[1] >> 4}
	text := make([]byte, 0, 7)
	for i, c := range d {
		if i == 3 {
			text = append(text, '-')
		}
		if c > 9 {
			if i == 5 {
				break // a network code of two digits
			}
			return
		}
		text = append(text, '0'+c)
	}
	s.Doc.AddString(p.plmn, string(text))
}

func (p *gtp) radio(s *Session, n byte) {
	if name := nameOf([]string{1: "utran", 2: "geran", 3: "wlan", 4: "gan", 5: "hspa", 6: "eutran", 7: "virtual", 8: "nb-iot", 9: "lte-m", 10: "nr"}, n); name != "" {
		s.Doc.AddString(p.access, name)
	}
}
