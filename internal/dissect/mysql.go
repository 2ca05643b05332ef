package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// mysql reads the start of a MySQL connection ("MySQL Internals", protocol::HandshakeV10
// and HandshakeResponse), and hands over to TLS after an SSLRequest.
type mysql struct {
	user, version           spi.FieldID
	db, plugin, app, client spi.FieldID
	failure                 spi.FieldID
}

type mysqlParser struct {
	Base
	*mysql
	userName, serverVersion string
	answered                bool // the client spoke
	logged                  bool // it logged in, and did not only ask for TLS
	number                  byte // of its log-in's packet
	login                   mysqlLogin
	switched                string // plugin that the server changed to
	seen                    int    // packets of the server
	begun, flip             bool   // something came; the server sends as the session's source
}

const (
	mysqlHeader  = 4 // length of 3 bytes, little endian, and sequence number
	mysqlPackets = 8 // of a server, that are read at most: log-ins that go on are over before
)

func newMySQL(r *spi.Registry) Protocol {
	g := fieldGroup{r, "mysql"}
	p := &mysql{
		failure: g.list(spi.Integer, "error", "Error", "error codes of log-ins that fail"),
		db:      g.scalar(spi.Term, "db", "Database", "database at login"),
		plugin:  g.scalar(spi.Term, "authPlugin", "Authentication", "plugin of authentication: the one that the server changed to, or that the client began with"),
		app:     g.scalar(spi.Term, "app", "Application", "program name that the client gives"),
		client:  g.scalar(spi.Term, "client", "Client", "client library, with its version"),
		user:    r.Declare(spi.Field{Path: "mysql.user", Type: spi.LoTerm, Exprs: []string{"mysql.user"}, Hot: true, Name: "User", Help: "login name"}),
		version: r.Declare(spi.Field{Path: "mysql.version", Type: spi.Term, Exprs: []string{"mysql.ver"}, Name: "Version", Help: "version the server announces"}),
	}
	return Protocol{
		Name: "mysql",
		Matchers: []Matcher{
			{On: TCP, Offset: 3, Bytes: "\x00\x0a", MinLen: 16, Func: mysqlGreeting},
			{On: TCP, Offset: 3, Bytes: "\x01", MinLen: 36, Func: mysqlLoginPacket},
		},
		Quiet: true,
		New: func(s *Session) Parser {
			if !s.Reference { // which does not count a greeting that nobody answers
				s.AddProtocol("mysql")
			}
			return &mysqlParser{mysql: p}
		},
	}
}

// mysqlLoginPacket accepts a client's first packet, where the greeting was not seen: capabilities of the protocol since 4.1,
// and bytes that are kept for later use, of which MariaDB uses the last four. The reference does not.
func mysqlLoginPacket(s *Session, _ Dir, b []byte) bool {
	const protocol41, head = 0x200, 32
	if size := int(b[0]) | int(b[1])<<8 | int(b[2])<<16; s.Reference || size < head || size > len(b)-mysqlHeader {
		return false
	}
	b = b[mysqlHeader:]
	return binary.LittleEndian.Uint16(b)&protocol41 != 0 && b[7] <= 1 && len(bytes.Trim(b[9:head-4], "\x00")) == 0
}

// Parse implements Parser: the client's first packet says all. The server is read until it takes or refuses the log-in.
func (p *mysqlParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.begun && len(b) > mysqlHeader {
		// A greeting has the number 0; where it is the first packet of all, the session's source is the server.
		p.begun = true
		if p.flip = (dir == Client) == (b[3] == 0); p.flip && s.Reference {
			return len(b), Done // it expects a log-in there
		}
	}
	if p.flip {
		dir = dir.Other()
	}
	if dir == Server {
		return p.server(s, b)
	}
	return p.fromClient(s, b)
}

// fromClient reads the log-in, and where the server is not seen what comes behind it.
func (p *mysqlParser) fromClient(s *Session, b []byte) (int, Status) {
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
	if p.logged { // one side of the connection only: what follows tells what the server asked for in between
		if b[3] == p.number+2 {
			p.login.plugin = mysqlAnswer(p.login.plugin, size)
		}
		return mysqlHeader + size, DirDone
	}
	p.answered, p.number = true, b[3]
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
	p.logged = true
	if len(body) > head {
		if user, _, ok := bytes.Cut(body[head:], []byte{0}); ok && len(user) > 0 {
			p.userName = string(user)
			s.addOwnUser(user)
			if capabilities&protocol41 != 0 {
				p.login = readMySQLLogin(binary.LittleEndian.Uint32(body), body[head+len(user)+1:])
			}
		}
	}
	n := mysqlHeader + size
	if p.seen > 0 || s.Reference {
		return n, DirDone
	}
	if len(b) == n {
		return n, More
	}
	m, st := p.fromClient(s, b[n:]) // which reads one packet more at most
	return n + m, st
}

// mysqlAnswer returns the plugin that a client's answer of a length behind its log-in is of: that which the server changed
// to, whose answers have a length of their own, or that which the client began with. "": it cannot be told.
func mysqlAnswer(begun string, size int) string {
	switch {
	case size == 1 && (begun == "caching_sha2_password" || begun == "sha256_password"): // asks for the server's key
		return begun
	case size == 20:
		return "mysql_native_password"
	case size == 32:
		return "caching_sha2_password"
	case size == 64:
		return "client_ed25519"
	}
	return ""
}

// server reads the greeting, and what follows up to the end of the log-in: OK, an error, a switch to another plugin or
// data for it ("MySQL Internals", Connection Phase Packets).
func (p *mysqlParser) server(s *Session, b []byte) (int, Status) {
	const greeting, more, refused, change = 10, 0x01, 0xff, 0xfe
	n := 0
	for len(b)-n >= mysqlHeader {
		size := int(b[n]) | int(b[n+1])<<8 | int(b[n+2])<<16
		if size == 0 || size > 16<<10 || p.seen >= mysqlPackets {
			return n, DirDone
		}
		if len(b)-n < mysqlHeader+size {
			break
		}
		w := wire{b: b[n+mysqlHeader : n+mysqlHeader+size]}
		n += mysqlHeader + size
		p.seen++
		switch kind := w.be(1); {
		case kind == refused:
			if code := w.le(2); !w.bad {
				s.Doc.AddInt(p.failure, int64(code)) //nolint:gosec // 16 bits
			}
			return n, DirDone
		case p.seen == 1:
			if kind != greeting {
				return n, DirDone
			}
			p.serverVersion = string(w.cstring())
		case kind == change:
			if name := w.cstring(); len(name) > 0 && len(name) < 64 {
				p.switched = string(name)
			}
		case kind != more:
			return n, DirDone
		}
	}
	return n, More
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
	if p.switched != "" {
		p.login.plugin = p.switched
	}
	for _, v := range [...]struct {
		field spi.FieldID
		text  string
	}{{p.db, p.login.db}, {p.plugin, p.login.plugin}, {p.app, p.login.app}, {p.client, p.login.client}} {
		if v.text != "" {
			s.Doc.SetString(v.field, v.text)
		}
	}
}

// mysqlLogin is what a login tells behind the user's name.
type mysqlLogin struct{ db, plugin, app, client string }

// readMySQLLogin reads what follows the user's name in a HandshakeResponse41: the answer to the challenge, and what the
// capabilities say.
func readMySQLLogin(capabilities uint32, b []byte) (out mysqlLogin) {
	const withDB, secure, plugin, attributes, longAnswer = 0x8, 0x8000, 0x80000, 0x100000, 0x200000
	w := wire{b: b}
	switch {
	case capabilities&longAnswer != 0:
		w.mysqlText()
	case capabilities&secure != 0:
		w.text(1)
	default:
		w.cstring()
	}
	if capabilities&withDB != 0 {
		out.db = string(w.cstring())
	}
	if capabilities&plugin != 0 {
		out.plugin = string(w.cstring())
	}
	if capabilities&attributes == 0 {
		return out
	}
	var version string
	for rest := (wire{b: w.mysqlText()}); len(rest.b) > 0; {
		name, value := rest.mysqlText(), rest.mysqlText()
		switch string(name) {
		case "program_name":
			out.app = string(value)
		case "_client_name":
			out.client = string(value)
		case "_client_version":
			version = string(value)
		}
	}
	if out.client != "" && version != "" {
		out.client += " " + version
	}
	return out
}

// mysqlText returns bytes behind a length-encoded integer.
func (w *wire) mysqlText() []byte {
	switch n := w.le(1); n {
	case 0xfc:
		return w.take(int(w.le(2)))
	case 0xfd:
		return w.take(int(w.le(3)))
	case 0xfb, 0xfe, 0xff: // null, and what no login needs
		w.take(len(w.b) + 1)
		return nil
	default:
		return w.take(int(n))
	}
}
