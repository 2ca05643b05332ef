package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// mysql reads the start of a MySQL connection ("MySQL Internals", protocol::HandshakeV10
// and HandshakeResponse), and hands over to TLS after an SSLRequest.
type mysql struct {
	user, version spi.FieldID
}

type mysqlParser struct {
	Base
	*mysql
	userName, serverVersion string
	answered                bool // the client spoke
}

const mysqlHeader = 4 // length of 3 bytes, little endian, and sequence number

func newMySQL(r *spi.Registry) Protocol {
	p := &mysql{
		user:    r.Declare(spi.Field{Path: "mysql.user", Type: spi.LoTerm, Exprs: []string{"mysql.user"}, Hot: true, Name: "User", Help: "login name"}),
		version: r.Declare(spi.Field{Path: "mysql.version", Type: spi.Term, Exprs: []string{"mysql.ver"}, Name: "Version", Help: "version the server announces"}),
	}
	return Protocol{
		Name:     "mysql",
		Matchers: []Matcher{{On: TCP, Offset: 3, Bytes: "\x00\x0a", MinLen: 16, Func: mysqlGreeting}},
		Quiet:    true,
		New: func(s *Session) Parser {
			if !s.Reference { // which does not count a greeting that nobody answers
				s.AddProtocol("mysql")
			}
			return &mysqlParser{mysql: p}
		},
	}
}

// Parse implements Parser: each side's first packet says all.
func (p *mysqlParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	const longest = 16 << 10
	if len(b) < mysqlHeader {
		return 0, More
	}
	size := int(b[0]) | int(b[1])<<8 | int(b[2])<<16
	if size > longest {
		return 0, Done
	}
	if len(b) < mysqlHeader+size {
		return 0, More
	}
	body := b[mysqlHeader : mysqlHeader+size]
	if dir == Server {
		if len(body) > 1 && body[0] == 10 {
			if version, _, ok := bytes.Cut(body[1:], []byte{0}); ok {
				p.serverVersion = string(version)
			}
		}
		return mysqlHeader + size, DirDone
	}
	p.answered = true
	s.AddProtocol("mysql")
	const protocol41, ssl = 0x200, 0x800
	if len(body) < 5 {
		return 0, Done
	}
	capabilities := binary.LittleEndian.Uint16(body)
	head := 5 // capabilities and packet size of the old protocol
	if capabilities&protocol41 != 0 {
		head = 32
		if capabilities&ssl != 0 && size == head {
			s.Handover("tls")
			return mysqlHeader + size, Done
		}
	}
	if len(body) > head {
		if user, _, ok := bytes.Cut(body[head:], []byte{0}); ok && len(user) > 0 {
			p.userName = string(user)
		}
	}
	return mysqlHeader + size, DirDone
}

// End implements Parser: a session that goes on is still the same log-in.
func (p *mysqlParser) End(s *Session, _ bool) {
	if s.Reference && !p.answered {
		return
	}
	if p.serverVersion != "" {
		s.Doc.SetString(p.version, p.serverVersion)
	}
	if p.userName != "" {
		s.Doc.SetString(p.user, p.userName)
	}
}
