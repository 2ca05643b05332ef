package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// postgresql reads the start of a PostgreSQL connection (PostgreSQL 16
// documentation, 55.7), and hands over to TLS when the server agrees to it.
type postgresql struct {
	Base
	f      *postgresqlFields
	askTLS bool
}

type postgresqlFields struct {
	user, db, app spi.FieldID
}

const (
	postgresqlStartup = 0x00030000 // version 3.0
	postgresqlSSL     = 80877103
	postgresqlGSS     = 80877104
)

func newPostgreSQL(r *spi.Registry) Protocol {
	f := &postgresqlFields{
		user: r.Declare(spi.Field{Path: "postgresql.user", Type: spi.Term, Exprs: []string{"postgresql.user"}, Hot: true, Name: "User", Help: "user at startup"}),
		db:   r.Declare(spi.Field{Path: "postgresql.db", Type: spi.Term, Exprs: []string{"postgresql.db"}, Hot: true, Name: "Database", Help: "database at startup"}),
		app:  r.Declare(spi.Field{Path: "postgresql.app", Type: spi.Term, Exprs: []string{"postgresql.app"}, Name: "Application", Help: "application name at startup"}),
	}
	return Protocol{
		Name:  "postgresql",
		Quiet: true, // until a whole message came
		Matchers: []Matcher{
			{On: TCP, Offset: 4, Bytes: "\x00\x03\x00\x00", Func: lengthBE32},
			{On: TCP, Bytes: "\x00\x00\x00\x08\x04\xd2\x16\x2f"},
		},
		New: func(*Session) Parser { return &postgresql{f: f} },
	}
}

// Parse implements Parser.
func (p *postgresql) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if dir == Server {
		if p.askTLS && b[0] == 'S' {
			s.Handover("tls")
			return 1, Done
		}
		p.askTLS = false
		return len(b), More
	}
	n := 0
	for len(b)-n >= 8 {
		const longest = 10000 // of a startup packet, as the server has it
		size, code := int(binary.BigEndian.Uint32(b[n:])), binary.BigEndian.Uint32(b[n+4:])
		if size < 8 || size > longest {
			return n, Done
		}
		if len(b)-n < size {
			return n, More
		}
		body := b[n+8 : n+size]
		n += size
		switch code {
		case postgresqlSSL:
			s.AddProtocol("postgresql")
			p.askTLS = true
		case postgresqlGSS:
			s.AddProtocol("postgresql")
		case postgresqlStartup:
			s.AddProtocol("postgresql")
			p.startup(s, body)
			return n, Done
		default:
			return n, Done
		}
	}
	return n, More
}

// startup reads the names and values of a startup packet.
func (p *postgresql) startup(s *Session, b []byte) {
	for {
		name, rest, ok := bytes.Cut(b, []byte{0})
		if !ok || len(name) == 0 {
			return
		}
		value, rest, ok := bytes.Cut(rest, []byte{0})
		if !ok {
			return
		}
		b = rest
		switch string(name) {
		case "user":
			s.Doc.SetString(p.f.user, string(value))
		case "database":
			s.Doc.SetString(p.f.db, string(value))
		case "application_name":
			s.Doc.SetString(p.f.app, string(value))
		}
	}
}
