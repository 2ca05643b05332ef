package dissect

import (
	"bytes"
	"encoding/binary"
	"strings"

	"wirelake/internal/spi"
)

// cassandra reads the CQL native protocol, versions 1 to 5 (Apache Cassandra, native_protocol_v3.spec to v5.spec; version 5's segments are in cassandrasegments.go):
// what a client tells of itself, who logs in, and which statements work on which tables. Values and texts pass: a
// statement may hold a password.
type cassandra struct {
	Base
	f        *cassandraFields
	frames   frames
	begun    [2]bool // something came
	modern   [2]bool // segments of version 5 follow
	segments *cassandraSegments
	lz4      bool // bodies are compressed by LZ4; not: by Snappy
}

type cassandraFields struct {
	version, opcode, cql, driver, user, keyspace, statement, table, authenticator, failure spi.FieldID
}

const cassandraMaxRead = 16 << 10 // of a message

func newCassandra(r *spi.Registry) Protocol {
	g := fieldGroup{r, "cassandra"}
	f := &cassandraFields{
		version:       g.list(spi.Integer, "version", "Version", "protocol versions"),
		opcode:        g.list(spi.Term, "opcode", "Messages", "kinds of messages"),
		cql:           g.list(spi.Term, "cqlVersion", "CQL version", "versions of CQL that clients ask for"),
		driver:        g.list(spi.Term, "driver", "Driver", "drivers of clients, with their versions"),
		user:          g.list(spi.Term, "user", "User", "user names of log-ins"),
		keyspace:      g.list(spi.Term, "keyspace", "Keyspace", "keyspaces in use"),
		statement:     g.list(spi.UpTerm, "statement", "Statements", "first words of statements"),
		table:         g.list(spi.Term, "table", "Table", "tables that statements work on"),
		authenticator: g.list(spi.Term, "authenticator", "Authenticator", "how servers want clients to log in"),
		failure:       g.list(spi.Integer, "error", "Errors", "error codes"),
	}
	return Protocol{
		Name: "cassandra",
		Matchers: []Matcher{
			{On: TCP, MinLen: 9, Func: cassandraHeader},
			onPort(9042, func(b []byte) bool { return len(b) >= 8 && newCassandraSegments().size(b) > 0 }),
		},
		New: func(*Session) Parser { return &cassandra{f: f, frames: frames{begins: cassandraBegins}} },
	}
}

// cassandraHeader accepts the first message of a connection, OPTIONS or STARTUP, or its answer, on any port.
func cassandraHeader(s *Session, _ Dir, b []byte) bool {
	version, size := b[0]&0x7f, cassandraSize(b)
	if version < 1 || version > 6 || size < 8 || size > 1<<20 {
		return false
	}
	at := 4
	if version < 3 {
		at = 3
	}
	switch op := b[at]; {
	case s.OnPort(9042):
		return op <= 0x10
	case b[0] < 0x80 && op == 5:
		return size == len(b) && size == 9 && b[1]&^0x13 == 0
	case b[0] < 0x80 && op == 1:
		return size == len(b) && bytes.Contains(b, []byte("CQL_VERSION"))
	}
	return false
}

// cassandraSize returns the whole length of the message with the header, 0 for none. Version 3 made stream ids two bytes.
func cassandraSize(h []byte) int {
	n := uint32(0)
	head := 9
	switch version := h[0] & 0x7f; {
	case version < 1 || version > 6:
		return 0
	case version < 3:
		n, head = binary.BigEndian.Uint32(h[4:]), 8
	default:
		n = binary.BigEndian.Uint32(h[5:])
	}
	if n > 256<<20 { // the most that the specification allows
		return 0
	}
	return head + int(n)
}

// cassandraOpcode returns the name of a kind of message, "" for none.
func cassandraOpcode(op byte) string {
	return nameOf([]string{
		"ERROR", "STARTUP", "READY", "AUTHENTICATE", "CREDENTIALS", "OPTIONS", "SUPPORTED", "QUERY", "RESULT", "PREPARE", "EXECUTE",
		"REGISTER", "EVENT", "BATCH", "AUTH_CHALLENGE", "AUTH_RESPONSE", "AUTH_SUCCESS",
	}, op)
}

// cassandraBegins accepts a message of a version without segments.
func cassandraBegins(dir Dir, b []byte) bool { return cassandraEnvelope(dir, b, 3, 4) }

// cassandraEnvelope accepts a message of one of the versions, going the way that it says.
func cassandraEnvelope(dir Dir, b []byte, from, to byte) bool {
	const longest = 16 << 20
	if len(b) < 9 || (b[0] >= 0x80) != (dir == Server) || b[0]&0x7f < from || b[0]&0x7f > to || b[1] > 0x1f || b[4] > 0x10 {
		return false
	}
	size := cassandraSize(b)
	return size > 0 && size < longest
}

// Parse implements Parser.
func (p *cassandra) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	if !p.begun[dir] {
		if len(b) < 8 {
			return 0, More
		}
		p.begun[dir] = true
		if newCassandraSegments().size(b) > 0 { // in the middle of version 5
			p.changes(dir)
		}
	}
	if p.modern[dir] {
		return p.segments.parse(p, s, dir, b)
	}
	n, st := p.frames.each(dir, b, 9, cassandraMaxRead, cassandraSize, func(m []byte) bool {
		return p.message(s, m) && !p.modern[dir]
	})
	if !p.modern[dir] {
		return n, st
	}
	m, st := p.segments.parse(p, s, dir, b[n:])
	return n + m, st
}

// Gap implements Parser.
func (p *cassandra) Gap(_ *Session, dir Dir, missing int) Status {
	if p.modern[dir] {
		return p.segments.frames.gap(dir, missing)
	}
	return p.frames.gap(dir, missing)
}

// changes says that behind this message the direction has segments (native_protocol_v5.spec, section 2).
func (p *cassandra) changes(dir Dir) {
	if p.segments == nil {
		p.segments = newCassandraSegments()
	}
	p.modern[dir] = true
}

// message reads a message. It returns false when those that follow are not read.
func (p *cassandra) message(s *Session, m []byte) bool {
	version := m[0] & 0x7f
	op, body := m[4], m[min(9, len(m)):]
	if version < 3 {
		op, body = m[3], m[8:]
	}
	name := cassandraOpcode(op)
	if name == "" {
		return false
	}
	s.Doc.AddInt(p.f.version, int64(version))
	s.Doc.AddString(p.f.opcode, name)
	if m[1]&1 != 0 {
		if body = p.unpack(body); body == nil {
			return true
		}
	}
	w := wire{b: body}
	answer := m[0]&0x80 != 0
	if answer && m[1]&2 != 0 {
		w.take(16) // tracing id
	}
	switch name {
	case "STARTUP":
		p.startup(s, &w)
		if version >= 5 {
			p.changes(Client)
		}
	case "ERROR":
		if code := w.be(4); !w.bad {
			s.Doc.AddInt(p.f.failure, int64(code))
		}
	case "AUTHENTICATE":
		class := w.text(2)
		addText(s, p.f.authenticator, class[bytes.LastIndexByte(class, '.')+1:])
		if version >= 5 && !p.modern[Server] {
			p.changes(Server)
		}
	case "READY":
		if version >= 5 && !p.modern[Server] {
			p.changes(Server)
		}
	case "AUTH_RESPONSE": // PLAIN's message (RFC 4616) for the authenticators that come with Cassandra
		if parts := bytes.Split(w.text(4), []byte{0}); len(parts) == 3 {
			p.user(s, parts[1])
		}
	case "CREDENTIALS":
		for n := w.be(2); n > 0 && !w.bad; n-- {
			if k, v := w.text(2), w.text(2); string(k) == "username" {
				p.user(s, v)
			}
		}
	case "QUERY", "PREPARE":
		p.statement(s, w.beginning(4))
	case "BATCH":
		w.take(1)
		if n := w.be(2); n > 0 && w.be(1) == 0 {
			p.statement(s, w.beginning(4))
		}
	case "RESULT":
		if w.be(4) == 3 { // a keyspace was set
			addText(s, p.f.keyspace, w.text(2))
		}
	}
	return true
}

func (p *cassandra) user(s *Session, name []byte) {
	addText(s, p.f.user, name)
	s.addOwnUser(name)
}

// startup reads the options of a connection.
func (p *cassandra) startup(s *Session, w *wire) {
	var driver, version []byte
	for n := w.be(2); n > 0 && !w.bad; n-- {
		k, v := w.text(2), w.text(2)
		switch string(k) {
		case "CQL_VERSION":
			addText(s, p.f.cql, v)
		case "DRIVER_NAME":
			driver = v
		case "DRIVER_VERSION":
			version = v
		case "COMPRESSION":
			p.lz4 = bytes.EqualFold(v, []byte("lz4"))
		}
	}
	if len(driver) > 0 {
		addText(s, p.f.driver, bytes.TrimSpace(append(append(bytes.Clone(driver), ' '), version...)))
	}
}

// statement notes the first word of a statement, and the table or keyspace that it works on.
func (p *cassandra) statement(s *Session, text []byte) {
	words := strings.Fields(string(text[:min(len(text), 4096)]))
	if len(words) == 0 || len(words[0]) > 32 || !isLetters([]byte(words[0])) {
		return
	}
	s.Doc.AddString(p.f.statement, words[0])
	if len(words) > 1 && strings.EqualFold(words[0], "USE") {
		addText(s, p.f.keyspace, []byte(sqlName(words[1])))
		return
	}
	if table := sqlTable(words); table != "" {
		addText(s, p.f.table, []byte(table))
	}
}

// sqlTable returns the table that a statement works on, "" when that is not plain.
func sqlTable(words []string) string {
	for i, w := range words[:len(words)-1] {
		next := words[i+1]
		switch strings.ToUpper(w) {
		case "FROM", "INTO":
			return sqlName(next)
		case "UPDATE", "TRUNCATE":
			if i == 0 && !strings.EqualFold(next, "TABLE") {
				return sqlName(next)
			}
		case "TABLE":
			rest := words[i+1:]
			for len(rest) > 1 && (strings.EqualFold(rest[0], "IF") || strings.EqualFold(rest[0], "NOT") || strings.EqualFold(rest[0], "EXISTS")) {
				rest = rest[1:]
			}
			return sqlName(rest[0])
		}
	}
	return ""
}

// sqlName returns a name of a statement without what may stand right behind it, and without quotes.
func sqlName(word string) string {
	if i := strings.IndexAny(word, "(;,"); i >= 0 {
		word = word[:i]
	}
	word = strings.ReplaceAll(strings.ReplaceAll(word, `"`, ""), "`", "")
	for _, c := range word {
		if c != '.' && c != '_' && c != '$' && c < 0x80 && !isAlnum(byte(c)) {
			return ""
		}
	}
	return word[:min(len(word), 128)]
}
