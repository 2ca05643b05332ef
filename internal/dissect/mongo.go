package dissect

import (
	"bytes"
	"encoding/binary"

	"wirelake/internal/spi"
)

// mongo reads the MongoDB wire protocol ("MongoDB Wire Protocol": OP_MSG, and OP_QUERY of old drivers): commands, what
// they work on, and who logs in. Documents pass.
type mongo struct {
	Base
	f      *mongoFields
	frames frames
}

type mongoFields struct {
	command, db, collection, user, mechanism, app, driver, version, failure spi.FieldID
}

const (
	mongoHeader  = 16
	mongoMaxRead = 16 << 10 // of a message: a command's own document is in front
	mongoReply   = 1
	mongoQuery   = 2004
	mongoMsg     = 2013
	mongoPacked  = 2012
)

func newMongo(r *spi.Registry) Protocol {
	g := fieldGroup{r, "mongo"}
	f := &mongoFields{
		command:    g.list(spi.Term, "command", "Commands", "commands sent"),
		db:         g.list(spi.Term, "db", "Database", "databases that commands work on"),
		collection: g.list(spi.Term, "collection", "Collection", "collections that commands work on"),
		user:       g.list(spi.Term, "user", "User", "user names of log-ins"),
		mechanism:  g.list(spi.Term, "mechanism", "Mechanism", "mechanisms of log-ins"),
		app:        g.list(spi.Term, "app", "Application", "names that clients give themselves"),
		driver:     g.list(spi.Term, "driver", "Driver", "drivers of clients, with their versions"),
		version:    g.list(spi.Term, "version", "Version", "versions that servers tell"),
		failure:    g.list(spi.Term, "error", "Errors", "names of errors"),
	}
	return Protocol{
		Name: "mongo",
		Matchers: []Matcher{
			{On: TCP, Offset: 12, Bytes: "\xdd\x07\x00\x00", Func: lengthLE32},
			{On: TCP, Offset: 12, Bytes: "\xd4\x07\x00\x00", Func: lengthLE32},
			{On: TCP, Offset: 12, Bytes: "\xdc\x07\x00\x00", MinLen: mongoHeader + 9, Func: func(s *Session, dir Dir, b []byte) bool {
				return lengthLE32(s, dir, b) && mongoBegins(dir, b)
			}},
		},
		New: func(*Session) Parser { return &mongo{f: f, frames: frames{begins: mongoBegins}} },
	}
}

// Parse implements Parser.
func (p *mongo) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	return p.frames.each(dir, b, mongoHeader, mongoMaxRead, func(h []byte) int {
		if n := binary.LittleEndian.Uint32(h); n >= mongoHeader && n <= maxFirstMessage {
			return int(n)
		}
		return 0
	}, func(m []byte) bool {
		p.message(s, m)
		return true
	})
}

// Gap implements Parser.
func (p *mongo) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

// mongoBegins accepts a message of a kind that is read. One that is compressed tells the kind that it was before.
func mongoBegins(_ Dir, b []byte) bool {
	if len(b) < mongoHeader || b[3] > 2 || binary.LittleEndian.Uint32(b) < mongoHeader {
		return false
	}
	switch binary.LittleEndian.Uint32(b[12:]) {
	case mongoMsg, mongoQuery, mongoReply:
		return true
	case mongoPacked:
		return len(b) >= mongoHeader+9 && binary.LittleEndian.Uint32(b[16:]) == mongoMsg && b[24] <= 3
	}
	return false
}

func (p *mongo) message(s *Session, m []byte) {
	if binary.LittleEndian.Uint32(m[12:]) == mongoPacked {
		if m = mongoUnpack(m); m == nil {
			return
		}
	}
	answer := binary.LittleEndian.Uint32(m[8:]) != 0
	w := wire{b: m[mongoHeader:]}
	switch binary.LittleEndian.Uint32(m[12:]) {
	case mongoMsg:
		w.take(4) // flags
		for range 8 {
			if len(w.b) < 5 {
				return
			}
			if kind := w.be(1); kind == 0 { // the body
				p.document(s, w.b, "", answer)
				return
			}
			w.take(int(int32(binary.LittleEndian.Uint32(w.b)))) // a sequence of documents
		}
	case mongoQuery:
		w.take(4)
		name := w.cstring()
		w.take(8)
		db, collection, _ := bytes.Cut(name, []byte("."))
		if string(collection) == "$cmd" {
			p.document(s, w.b, string(db), answer)
			return
		}
		s.Doc.AddString(p.f.command, "query")
		addText(s, p.f.db, db)
		addText(s, p.f.collection, collection)
	case mongoReply:
		w.take(20)
		p.document(s, w.b, "", true)
	}
}

// document reads the document of a command, whose first element is its name, or of an answer.
func (p *mongo) document(s *Session, b []byte, db string, answer bool) {
	if answer {
		addText(s, p.f.failure, bsonText(b, "codeName"))
		if len(b) > 4 && bsonWithin(b, "buildEnvironment") != nil { // the answer to buildInfo
			addText(s, p.f.version, bsonText(b, "version"))
		}
		return
	}
	first := true
	var name string
	bsonEach(b, func(e bsonElement) bool {
		switch {
		case first:
			first = false
			if len(e.name) > 64 || !isCommandWord(e.name) {
				return false
			}
			name = string(e.name)
			s.Doc.AddString(p.f.command, name)
			if e.kind == bsonString && name != "endSessions" {
				addText(s, p.f.collection, e.value)
			}
		case e.kind == bsonString && string(e.name) == "$db":
			db = string(e.value)
		case e.kind == bsonString && string(e.name) == "mechanism":
			addText(s, p.f.mechanism, e.value)
		case e.kind == bsonString && name == "authenticate" && string(e.name) == "user":
			p.user(s, e.value)
		case e.kind == bsonBinary && name == "saslStart" && string(e.name) == "payload":
			p.user(s, scramUser(e.value))
		case e.kind == bsonDocument && string(e.name) == "client":
			p.client(s, e.value)
		case e.kind == bsonDocument && string(e.name) == "speculativeAuthenticate":
			addText(s, p.f.mechanism, bsonText(e.value, "mechanism"))
			bsonEach(e.value, func(e bsonElement) bool {
				if e.kind == bsonBinary && string(e.name) == "payload" {
					p.user(s, scramUser(e.value))
				}
				return true
			})
		}
		return true
	})
	addText(s, p.f.db, []byte(db))
}

// client notes what a driver tells of itself ("MongoDB Handshake").
func (p *mongo) client(s *Session, b []byte) {
	addText(s, p.f.app, bsonText(bsonWithin(b, "application"), "name"))
	driver := bsonWithin(b, "driver")
	if name := bsonText(driver, "name"); len(name) > 0 {
		addText(s, p.f.driver, bytes.TrimSpace(append(append(bytes.Clone(name), ' '), bsonText(driver, "version")...)))
	}
}

func (p *mongo) user(s *Session, name []byte) {
	addText(s, p.f.user, name)
	s.addOwnUser(name)
}

// scramUser returns the user name in a SCRAM client's first message (RFC 5802 section 7), or in one of PLAIN.
func scramUser(b []byte) []byte {
	if parts := bytes.Split(b, []byte{0}); len(parts) == 3 {
		return parts[1]
	}
	_, rest, ok := bytes.Cut(b, []byte("n="))
	if !ok {
		return nil
	}
	name, _, _ := bytes.Cut(rest, []byte(","))
	return bytes.ReplaceAll(bytes.ReplaceAll(name, []byte("=2C"), []byte(",")), []byte("=3D"), []byte("="))
}
