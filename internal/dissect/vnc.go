package dissect

import (
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// vnc reads the start of the Remote Framebuffer protocol (RFC 6143 section 7): versions, security, and the desktop.
type vnc struct {
	Base
	f      *vncFields
	step   [2]vncStep
	minor  int  // of the version in use
	typ    byte // security type chosen
	handed bool // what follows is TLS
}

type vncFields struct {
	version, offered, security, subtype, result, name, width, height spi.FieldID
}

// vncStep is what a direction sends next.
type vncStep uint8

const (
	vncVersion   vncStep = iota
	vncSecurity          // server: types; client: its choice
	vncChallenge         // VNC authentication
	vncResult
	vncInit
	vncEncryptVersion // VeNCrypt: versions of both, the server's word on the client's, its subtypes, the client's choice, the server's word
	vncEncryptAgreed
	vncEncryptTypes
	vncEncryptBegin
	vncDone
)

func newVNC(r *spi.Registry) Protocol {
	g := fieldGroup{r, "vnc"}
	f := &vncFields{
		version:  g.list(spi.Term, "version", "Version", "protocol versions of server and client"),
		offered:  g.list(spi.Term, "securityOffered", "Security offered", "security types that the server offers"),
		security: g.scalar(spi.Term, "security", "Security", "security type in use"),
		subtype:  g.scalar(spi.Term, "securitySubtype", "Security subtype", "security type chosen within VeNCrypt"),
		result:   g.scalar(spi.Term, "result", "Result", "whether the log-in went well: ok, failed or too-many"),
		name:     g.scalar(spi.Term, "name", "Desktop", "name of the desktop"),
		width:    g.scalar(spi.Integer, "width", "Width", "width of the screen in pixels"),
		height:   g.scalar(spi.Integer, "height", "Height", "height of the screen in pixels"),
	}
	return Protocol{
		Name:     "vnc",
		Matchers: []Matcher{{On: TCP, Bytes: "RFB 00", MinLen: 12}},
		New:      func(*Session) Parser { return &vnc{f: f} },
	}
}

// vncType returns the name of a security type (the IANA registry of RFC 6143 section 8.1).
func vncType(n byte) string {
	switch n {
	case 1:
		return "none"
	case 2:
		return "vnc"
	case 5, 6, 13, 129, 130:
		return "ra2"
	case 16:
		return "tight"
	case 17:
		return "ultra"
	case 18:
		return "tls"
	case 19:
		return "vencrypt"
	case 20:
		return "sasl"
	case 21:
		return "md5"
	case 22:
		return "xvp"
	case 30, 31, 32, 33, 35, 36:
		return "apple"
	}
	return strconv.Itoa(int(n))
}

// Parse implements Parser.
func (p *vnc) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for n < len(b) {
		// The side that answers is the server, whoever spoke first.
		m, ok := 0, false
		if dir == Server {
			m, ok = p.server(s, b[n:])
		} else {
			m, ok = p.client(s, b[n:])
		}
		if p.handed {
			return n + m, Done
		}
		if !ok {
			return n, Done
		}
		if m == 0 {
			return n, More
		}
		n += m
	}
	return n, More
}

// greeting reads "RFB 003.008\n".
func (p *vnc) greeting(s *Session, b []byte) (int, bool) {
	const length = 12
	if len(b) < length {
		return 0, true
	}
	minor, err := strconv.Atoi(string(b[8:11]))
	major, err2 := strconv.Atoi(string(b[4:7]))
	if string(b[:4]) != "RFB " || err != nil || err2 != nil {
		return 0, false
	}
	s.Doc.AddString(p.f.version, strconv.Itoa(major)+"."+strconv.Itoa(minor))
	return length, true
}

// server reads the server's messages: it returns how long the first is, 0 when more of it is to come.
func (p *vnc) server(s *Session, b []byte) (int, bool) {
	step := &p.step[Server]
	switch *step {
	case vncVersion:
		n, ok := p.greeting(s, b)
		if n > 0 {
			*step = vncSecurity
		}
		return n, ok
	case vncSecurity:
		if p.step[Client] == vncVersion {
			return 0, true // which version is used is not known yet
		}
		return p.types(s, b)
	case vncEncryptVersion, vncEncryptAgreed, vncEncryptTypes, vncEncryptBegin:
		return p.encryptServer(s, b)
	case vncChallenge:
		const length = 16
		if len(b) < length || p.typ == 0 {
			return 0, true // or what follows depends on the client's choice, which has not come
		}
		*step = vncResult
		return length, true
	case vncResult:
		if len(b) < 4 {
			return 0, true
		}
		result := binary.BigEndian.Uint32(b)
		s.Doc.SetString(p.f.result, map[bool]string{true: "too-many", false: "failed"}[result == 2])
		if result != 0 {
			return 0, false
		}
		s.Doc.SetString(p.f.result, "ok")
		*step = vncInit
		return 4, true
	case vncInit: // size, pixel format, name
		const nameAt = 24
		if len(b) < nameAt {
			return 0, true
		}
		size := binary.BigEndian.Uint32(b[nameAt-4:])
		if size > maxText {
			return 0, false
		}
		if len(b) < nameAt+int(size) {
			return 0, true
		}
		s.Doc.SetInt(p.f.width, int64(binary.BigEndian.Uint16(b)))
		s.Doc.SetInt(p.f.height, int64(binary.BigEndian.Uint16(b[2:])))
		s.Doc.SetString(p.f.name, string(b[nameAt:nameAt+int(size)]))
	}
	return 0, false
}

// types reads the security types offered or, in version 3.3, the one that the server chose.
func (p *vnc) types(s *Session, b []byte) (int, bool) {
	step := &p.step[Server]
	if p.minor < 7 {
		if len(b) < 4 {
			return 0, true
		}
		return 4, p.choose(s, byte(min(binary.BigEndian.Uint32(b), 255)))
	}
	n := 1 + int(b[0])
	if len(b) < n {
		return 0, true
	}
	for _, t := range b[1:n] {
		s.Doc.AddString(p.f.offered, vncType(t))
	}
	if b[0] == 0 {
		return 0, false // refused: a reason follows
	}
	*step = vncChallenge
	return n, p.typ == 0 || p.choose(s, p.typ)
}

// choose notes the security type in use, and says what follows. It returns false when what follows is not read.
func (p *vnc) choose(s *Session, typ byte) bool {
	p.typ = typ
	s.Doc.SetString(p.f.security, vncType(typ))
	switch {
	case typ == 1 && p.minor < 8: // no result is sent
		p.step[Server] = vncInit
	case typ == 1:
		p.step[Server] = vncResult
	case typ == 2:
		p.step[Server] = vncChallenge
	case typ == vncVeNCrypt:
		p.step[Server] = vncEncryptVersion
	case typ == vncTLS:
		p.handed = true
		s.Handover("tls")
	default:
		return false
	}
	return true
}

const (
	vncTLS      = 18
	vncVeNCrypt = 19
)

// encryptServer reads the server's messages of VeNCrypt (version 0.2, community wiki of the RFB protocol): all but
// one subtype begin TLS once both agree.
func (p *vnc) encryptServer(s *Session, b []byte) (int, bool) {
	step := &p.step[Server]
	switch *step {
	case vncEncryptVersion:
		if len(b) < 2 {
			return 0, true
		}
		*step = vncEncryptAgreed
		return 2, true
	case vncEncryptAgreed:
		*step = vncEncryptTypes
		return 1, b[0] == 0
	case vncEncryptTypes:
		n := 1 + 4*int(b[0])
		if len(b) < n {
			return 0, true
		}
		*step = vncEncryptBegin
		return n, true
	}
	if b[0] == 1 {
		p.handed = true
		s.Handover("tls")
	}
	return 1, false
}

// encryptClient reads the client's version and choice. What follows stays where it is: it is TLS.
func (p *vnc) encryptClient(s *Session, b []byte) (int, bool) {
	step := &p.step[Client]
	switch *step {
	case vncEncryptVersion:
		if len(b) < 2 {
			return 0, true
		}
		*step = vncEncryptTypes
		return 2, true
	case vncEncryptTypes:
		const plain, first = 256, 257
		if len(b) < 4 {
			return 0, true
		}
		typ := binary.BigEndian.Uint32(b)
		name := "plain"
		if typ != plain {
			name = nameOf([]string{"tls-none", "tls-vnc", "tls-plain", "x509-none", "x509-vnc", "x509-plain", "tls-sasl", "x509-sasl"}, byte(min(typ-first, 255)))
		}
		if name == "" {
			return 0, false
		}
		s.Doc.SetString(p.f.subtype, name)
		*step = vncEncryptBegin
		return 4, typ != plain // whose password follows
	}
	return 0, true
}

// client reads the client's messages.
func (p *vnc) client(s *Session, b []byte) (int, bool) {
	step := &p.step[Client]
	switch *step {
	case vncVersion:
		n, ok := p.greeting(s, b)
		if n > 0 {
			*step = vncSecurity
			p.minor, _ = strconv.Atoi(string(b[8:11]))
		}
		return n, ok
	case vncSecurity:
		*step = vncDone
		if p.minor < 7 {
			break
		}
		if p.typ = b[0]; p.typ == vncVeNCrypt {
			*step = vncEncryptVersion
		}
		return 1, p.step[Server] != vncChallenge || p.choose(s, p.typ) // else the server's offer is yet to be read
	case vncEncryptVersion, vncEncryptTypes, vncEncryptBegin:
		return p.encryptClient(s, b)
	}
	return len(b), true
}
