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
	f       *postgresqlFields
	askTLS  bool
	asked   int // requests for encryption that have no answer: one byte each
	started bool
	begun   bool   // something came
	flip    bool   // the server sends as the session's source
	frames  frames // the server's
}

type postgresqlFields struct {
	user, db, app, version, auth, failure spi.FieldID
}

const (
	postgresqlStartup = 0x00030000 // version 3.0
	postgresqlSSL     = 80877103
	postgresqlGSS     = 80877104
	postgresqlCancel  = 80877102
)

func newPostgreSQL(r *spi.Registry) Protocol {
	g := fieldGroup{r, "postgresql"}
	f := &postgresqlFields{
		version: g.scalar(spi.Term, "version", "Version", "version of the server"),
		auth:    g.list(spi.Term, "auth", "Authentication", "methods of authentication that the server asks for"),
		failure: g.list(spi.Term, "error", "Error", "SQLSTATE codes of errors up to the first query"),
		user:    r.Declare(spi.Field{Path: "postgresql.user", Type: spi.Term, Exprs: []string{"postgresql.user"}, Hot: true, Name: "User", Help: "user at startup"}),
		db:      r.Declare(spi.Field{Path: "postgresql.db", Type: spi.Term, Exprs: []string{"postgresql.db"}, Hot: true, Name: "Database", Help: "database at startup"}),
		app:     r.Declare(spi.Field{Path: "postgresql.app", Type: spi.Term, Exprs: []string{"postgresql.app"}, Name: "Application", Help: "application name at startup"}),
	}
	return Protocol{
		Name:  "postgresql",
		Quiet: true, // until a whole message came
		Matchers: []Matcher{
			{On: TCP, Offset: 4, Bytes: "\x00\x03\x00\x00", Func: lengthBE32},
			{On: TCP, Bytes: "\x00\x00\x00\x08\x04\xd2\x16\x2f"},
			{On: TCP, Bytes: "\x00\x00\x00\x08\x04\xd2\x16\x30"},
			{On: TCP, Offset: 4, Bytes: "\x04\xd2\x16\x2e", Func: lengthBE32},
			{On: TCP, Bytes: "R\x00\x00\x00", MinLen: 9, Func: postgresqlAsks},
		},
		New: func(*Session) Parser { return &postgresql{f: f} },
	}
}

// postgresqlAsks accepts how a server wants a client to log in, where the client was not seen: a message of a length that is
// right for its method. The reference does not.
func postgresqlAsks(s *Session, _ Dir, b []byte) bool {
	const password, md5, sasl = 3, 5, 10
	size := int(b[4])
	if s.Reference || b[5]|b[6]|b[7] != 0 || len(b) < 1+size {
		return false
	}
	switch b[8] {
	case password:
		return size == 8
	case md5:
		return size == 12
	case sasl:
		return size > 10 && b[size] == 0 && b[size-1] == 0
	}
	return false
}

// Parse implements Parser.
func (p *postgresql) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.begun {
		p.begun = true
		if b[0] == 'R' && p.asked == 0 { // the client was not seen: the server may be the session's source
			s.AddProtocol("postgresql")
			p.started, p.flip = true, dir == Client
		}
	}
	if p.flip {
		dir = dir.Other()
	}
	if dir == Server {
		return p.server(s, b)
	}
	if p.started {
		return len(b), DirDone
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
			p.asked++
		case postgresqlGSS:
			s.AddProtocol("postgresql")
			p.asked++
		case postgresqlCancel: // a connection of its own asks for the end of another's query
			if !s.Reference {
				s.AddProtocol("postgresql")
				s.AddTag("postgresql:cancel")
			}
			return n, Done
		case postgresqlStartup:
			s.AddProtocol("postgresql")
			p.startup(s, body)
			p.started = true
			return n, DirDone
		default:
			return n, Done
		}
	}
	return n, More
}

// server reads what the server sends before the first query: whether it encrypts, how to log in, and what it is.
func (p *postgresql) server(s *Session, b []byte) (int, Status) {
	n := 0
	if p.asked > 0 {
		if p.askTLS && b[0] == 'S' {
			s.Handover("tls")
			return 1, Done
		}
		p.askTLS = false
		p.asked--
		if b[0] != 'N' || len(b) == 1 {
			return len(b), More
		}
		n = 1
	}
	if !p.started {
		return len(b), More
	}
	const head, longest = 5, 8 << 10
	m, st := p.frames.each(Server, b[n:], head, longest, func(h []byte) int {
		if size := binary.BigEndian.Uint32(h[1:]); size >= 4 && size <= 1<<20 && isLetters(h[:1]) {
			return 1 + int(size)
		}
		return 0
	}, func(m []byte) bool {
		w := wire{b: m[head:]}
		switch m[0] {
		case 'S': // a setting
			if name, value := w.cstring(), w.cstring(); string(name) == "server_version" {
				s.Doc.SetString(p.f.version, string(value))
			}
		case 'R':
			if method := nameOf([]string{2: "kerberos", 3: "password", 5: "md5", 7: "gss", 9: "sspi", 10: "sasl"}, int(min(w.be(4), 99))); method != "" {
				s.Doc.AddString(p.f.auth, method)
			}
		case 'E':
			for len(w.b) > 1 {
				if field, text := w.be(1), w.cstring(); field == 'C' {
					addText(s, p.f.failure, text)
				}
			}
		case 'Z': // ready for queries
			return false
		}
		return true
	})
	return n + m, st
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
			s.addOwnUser(value)
		case "database":
			s.Doc.SetString(p.f.db, string(value))
		case "application_name":
			s.Doc.SetString(p.f.app, string(value))
		}
	}
}
