package dissect

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"strconv"
	"unicode/utf16"

	"wirelake/internal/spi"
)

// ntlm reads the messages of NTLM authentication (MS-NLMP 2.2.1), which other
// protocols carry.
type ntlm struct {
	typ                               spi.FieldID
	domain, host, targetName, version spi.FieldID
	tickets                           *krb5
}

const ntlmSignature = "NTLMSSP\x00"

// declareNTLM declares the fields of NTLM, for protocols that carry it.
func declareNTLM(r *spi.Registry) *ntlm {
	term := func(path, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "ntlm." + path, Type: spi.Term, List: true, Exprs: []string{"ntlm." + path}, Hot: path != "version", Name: name, Help: help})
	}
	return &ntlm{
		tickets:    declareKRB5(r),
		typ:        r.Declare(spi.Field{Path: "ntlm.type", Type: spi.Integer, List: true, Exprs: []string{"ntlm.type"}, Name: "Type", Help: "message type numbers"}),
		domain:     term("domain", "Domain", "domains or target realms"),
		host:       term("host", "Host", "workstation names"),
		targetName: term("targetName", "Target", "target names that servers advertise"),
		version:    term("version", "Version", "operating system versions, major.minor.build"),
	}
}

// ntlmLogin is who logs in by an AUTHENTICATE message.
type ntlmLogin struct{ domain, user, host string }

// find notes the message within b, which may stand in other structures (SPNEGO,
// GSS-API), if there is one, or the Kerberos ticket there. It returns who logs in by NTLM.
func (p *ntlm) find(s *Session, b []byte) ntlmLogin {
	i := bytes.Index(b, []byte(ntlmSignature))
	if i < 0 {
		p.tickets.ticket(s, b)
		return ntlmLogin{}
	}
	return p.message(s, b[i:])
}

// findBase64 is find for a message in base64.
func (p *ntlm) findBase64(s *Session, text []byte) {
	const longest = 16 << 10
	if len(text) == 0 || len(text) > longest {
		return
	}
	b := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	if n, err := base64.StdEncoding.Decode(b, text); err == nil {
		p.find(s, b[:n])
	}
}

// findLine is findBase64 for a line of a dialogue that is a message, behind a
// "+ " of the server's.
func (p *ntlm) findLine(s *Session, line []byte) {
	line = bytes.TrimPrefix(line, []byte("+ "))
	if bytes.HasPrefix(line, []byte("TlRMTVNTUA")) { // the signature in base64
		p.findBase64(s, line)
	}
}

func (p *ntlm) message(s *Session, b []byte) (login ntlmLogin) {
	if len(b) < 16 {
		return login
	}
	s.AddProtocol("ntlm")
	typ := binary.LittleEndian.Uint32(b[8:])
	s.Doc.AddInt(p.typ, int64(typ))
	switch typ {
	case 1: // NEGOTIATE: texts in the OEM code page
		flags := binary.LittleEndian.Uint32(b[12:])
		p.add(s, p.domain, ntlmText(b, 16, false))
		p.add(s, p.host, ntlmText(b, 24, false))
		p.os(s, b, flags, 32)
	case 2: // CHALLENGE
		if len(b) >= 24 {
			flags := binary.LittleEndian.Uint32(b[20:])
			p.add(s, p.targetName, ntlmText(b, 12, flags&ntlmUnicode != 0))
			p.os(s, b, flags, 48)
		}
	case 3: // AUTHENTICATE
		if len(b) >= 64 {
			flags := binary.LittleEndian.Uint32(b[60:])
			unicode := flags&ntlmUnicode != 0
			login = ntlmLogin{ntlmText(b, 28, unicode), ntlmText(b, 36, unicode), ntlmText(b, 44, unicode)}
			p.add(s, p.domain, login.domain)
			p.add(s, p.host, login.host)
			s.AddUser([]byte(login.user))
			p.os(s, b, flags, 64)
		}
	}
	return login
}

// Negotiate flags (MS-NLMP 2.2.2.5).
const (
	ntlmUnicode = 0x00000001
	ntlmVersion = 0x02000000

	ntlmRevision = 0x0f
)

func (p *ntlm) add(s *Session, f spi.FieldID, text string) {
	if text != "" {
		s.Doc.AddString(f, text)
	}
}

// os notes the version of the operating system, where the message has it.
func (p *ntlm) os(s *Session, b []byte, flags uint32, at int) {
	if flags&ntlmVersion == 0 || len(b) < at+8 {
		return
	}
	v := b[at:]
	build := binary.LittleEndian.Uint16(v[2:])
	if v[0] == 0 && build == 0 {
		return
	}
	// Its last byte is the revision of NTLM (MS-NLMP 2.2.2.10). Clients such as curl set the flag and send no version: what
	// stands there then, the reference tells.
	if v[7] != ntlmRevision && !s.Reference {
		return
	}
	s.Doc.AddString(p.version, strconv.Itoa(int(v[0]))+"."+strconv.Itoa(int(v[1]))+"."+strconv.Itoa(int(build)))
}

// ntlmText returns the text whose length and place stand at offset at, "" when
// it is not within b.
func ntlmText(b []byte, at int, unicode bool) string {
	const longest = 512
	if len(b) < at+8 {
		return ""
	}
	n, off := int(binary.LittleEndian.Uint16(b[at:])), int64(binary.LittleEndian.Uint32(b[at+4:]))
	if n == 0 || n > longest || off+int64(n) > int64(len(b)) {
		return ""
	}
	text := b[off : off+int64(n)]
	if !unicode {
		return string(text)
	}
	return utf16LEText(text)
}

// utf16LEText decodes UTF-16 in little endian; an odd last byte is left out.
func utf16LEText(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = binary.LittleEndian.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}
