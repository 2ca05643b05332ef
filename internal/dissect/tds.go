package dissect

import (
	"encoding/binary"
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// tds reads the logins of Tabular Data Stream: version 7 of SQL Server (MS-TDS
// 2.2.6.4) and 5 of Sybase (TDS 5.0 Functional Specification). The handshake of TLS,
// which stands in packets of the pre-login, goes to TLS.
type tds struct {
	Base
	f    *tdsFields
	skip [2]int
	seen int // packets
	tls  *nested
}

type tdsFields struct {
	ntlm                                                   *ntlm
	user, host, app, server, library, db, version, release spi.FieldID
}

const (
	tdsHeader  = 8
	tdsMaxRead = 8 << 10 // of a packet
	tdsPackets = 20      // of a session that are looked at: logins are among the first
	tdsLogin5  = 0x02
	tdsResult  = 0x04
	tdsLogin7  = 0x10
	tdsSSPI    = 0x11
	tdsPrelog  = 0x12
)

func newTDS(r *spi.Registry) Protocol {
	g := fieldGroup{r, "tds"}
	f := &tdsFields{
		ntlm:    declareNTLM(r),
		user:    g.list(spi.Term, "user", "User", "login names"),
		host:    r.Declare(spi.Field{Path: "tds.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.tds", "tds.host"}, Hot: true, Name: "Client host", Help: "names of client hosts"}),
		app:     g.list(spi.Term, "app", "Application", "names that clients give themselves"),
		server:  g.list(spi.Term, "server", "Server", "names of servers that clients ask for, and that servers tell"),
		library: g.list(spi.Term, "library", "Library", "libraries of clients"),
		db:      g.list(spi.Term, "db", "Database", "databases"),
		version: g.list(spi.Term, "version", "Version", "protocol versions"),
		release: g.list(spi.Term, "serverVersion", "Server version", "versions of servers"),
	}
	return Protocol{
		Name: "tds",
		Matchers: []Matcher{
			{On: TCP, Bytes: "\x12\x01\x00", MinLen: tdsHeader, Func: tdsLength},
			{On: TCP, Bytes: "\x10\x01\x00", MinLen: tdsHeader, Func: tdsLength},
			{On: TCP, Bytes: "\x02\x00\x02\x00", MinLen: tdsHeader},
			onPort(1433, func(b []byte) bool { // in the middle: statements, calls, answers, that are whole (MS-TDS 2.2.3.1)
				return len(b) >= tdsHeader && (b[0] == 1 || b[0] == 3 || b[0] == 4 || b[0] == 14) && b[1] <= 1 && b[7] == 0 && int(binary.BigEndian.Uint16(b[2:])) == len(b)
			}),
			{On: TCP, Port: 1433, MinLen: tdsHeader, Func: tdsPacket},
		},
		New: func(*Session) Parser { return &tds{f: f} },
	}
}

// tdsPacket accepts the header of a packet in the middle of a connection (MS-TDS 2.2.3.1): a batch, a call, a result,
// bulk data or a transaction. The reference wants to see the beginning.
func tdsPacket(s *Session, dir Dir, b []byte) bool {
	const batch, rpc, bulk, transaction, reserved = 1, 3, 7, 14, 0xe0
	switch b[0] {
	case batch, rpc, tdsResult, bulk, transaction:
		return !s.Reference && b[1]&reserved == 0 && b[7] == 0 && tdsLength(s, dir, b)
	}
	return false
}

// Parse implements Parser.
func (p *tds) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		if len(b)-n < tdsHeader {
			return n, More
		}
		packet := b[n:]
		if p.tls != nil && packet[0] != tdsPrelog && packet[0] != tdsResult && packet[0] != tdsLogin7 {
			return n, Done // records of TLS, without packets around them
		}
		size := int(binary.BigEndian.Uint16(packet[2:]))
		if size < tdsHeader || p.seen >= tdsPackets {
			return n, Done
		}
		need := min(size, tdsMaxRead)
		if len(packet) < need {
			return n, More
		}
		p.seen++
		body := packet[tdsHeader:need]
		switch packet[0] {
		case tdsPrelog:
			p.handshake(s, dir, body)
		case tdsLogin5:
			p.login5(s, body)
		case tdsLogin7:
			p.login7(s, body)
			p.f.ntlm.find(s, body)
		case tdsSSPI:
			p.f.ntlm.find(s, body)
		case tdsResult:
			p.f.ntlm.find(s, body)
			p.answer(s, body)
		}
		n += need
		p.skip[dir] = size - need
	}
}

// handshake gives a packet of the pre-login to TLS, if it is a piece of its handshake (MS-TDS 2.2.6.5 and 3.2.5.2). The
// reference reads none.
func (p *tds) handshake(s *Session, dir Dir, body []byte) {
	const record, version = 0x16, 3
	if s.Reference || s.nesting >= maxNesting || p.tls == nil && (len(body) < 2 || body[0] != record || body[1] != version) {
		return
	}
	if p.tls == nil {
		p.tls = newNested(s)
		p.tls.begin(s, "tls")
	}
	if !p.tls.stream(s, dir, body) {
		p.tls.gap(s, dir)
	}
}

// End implements Parser.
func (p *tds) End(s *Session, final bool) {
	if p.tls != nil {
		p.tls.end(s, final)
	}
}

// login7 reads a LOGIN7 message (MS-TDS 2.2.6.4), whose texts stand behind a table of places.
func (p *tds) login7(s *Session, b []byte) {
	const table = 36
	if len(b) < 8 {
		return
	}
	addText(s, p.f.version, []byte(tdsVersion(b[4:8], true)))
	for i, f := range []spi.FieldID{p.f.host, p.f.user, 0, p.f.app, p.f.server, 0, p.f.library, 0, p.f.db} {
		at := table + 4*i
		if i == 2 || i == 5 || i == 7 || len(b) < at+4 {
			continue // the password, what is not in use, the language
		}
		off, n := int(binary.LittleEndian.Uint16(b[at:])), 2*int(binary.LittleEndian.Uint16(b[at+2:]))
		if n == 0 || n > 256 || off+n > len(b) || off < table {
			continue
		}
		text := []byte(utf16LEText(b[off : off+n]))
		addText(s, f, text)
		if f == p.f.user {
			s.AddUser(text)
		}
	}
}

// tdsVersion returns the version of SQL Server's protocol by its number, of which clients send the bytes reversed.
func tdsVersion(b []byte, reversed bool) string {
	v := binary.BigEndian.Uint32(b)
	if reversed {
		v = binary.LittleEndian.Uint32(b)
	}
	switch v {
	case 0x70000000, 0x07000000:
		return "7.0"
	case 0x71000000, 0x07010000:
		return "7.1"
	case 0x71000001:
		return "7.1.1"
	case 0x72090002:
		return "7.2"
	case 0x730a0003, 0x730b0003:
		return "7.3"
	case 0x74000004:
		return "7.4"
	case 0x08000000:
		return "8.0"
	}
	return "0x" + strconv.FormatUint(uint64(v)|1<<32, 16)[1:]
}

// answer reads the tokens of a server's answer to a login: what it is, and the database in use (MS-TDS 2.2.7). Tokens
// behind one without a length are not read.
func (p *tds) answer(s *Session, b []byte) {
	const loginAck, environment, info, failure = 0xad, 0xe3, 0xab, 0xaa
	w := wire{b: b}
	for len(w.b) > 3 {
		token := w.be(1)
		if token != loginAck && token != environment && token != info && token != failure {
			return
		}
		body := wire{b: w.take(int(w.le(2)))}
		switch token {
		case loginAck: // interface, version, name, four numbers
			body.take(1)
			if v := body.take(4); v != nil && v[0] >= 7 {
				addText(s, p.f.version, []byte(tdsVersion(v, false)))
			}
			n := int(body.be(1))
			name := body.b[:min(len(body.b), 2*n)]
			body.take(len(name))
			if v := body.take(4); v != nil {
				text := strings.TrimRight(utf16LEText(name), "\x00") + " " + strconv.Itoa(int(v[0])) + "." + strconv.Itoa(int(v[1])) + "." + strconv.Itoa(int(v[2])<<8|int(v[3]))
				addText(s, p.f.release, []byte(text))
			}
		case environment:
			const database = 1
			if body.be(1) == database {
				n := 2 * int(body.be(1))
				addText(s, p.f.db, []byte(utf16LEText(body.take(n))))
			}
		}
	}
}

// login5 reads a login record of Sybase: texts of 30 bytes with their length behind, first host, user, password, process,
// application, service.
func (p *tds) login5(s *Session, b []byte) {
	const width = 30
	field := func(at int) []byte {
		if len(b) <= at+width || int(b[at+width]) > width {
			return nil
		}
		return b[at : at+int(b[at+width])]
	}
	const userAt, appAt, serverAt = 31, 140, 171
	addText(s, p.f.host, field(0))
	user := field(userAt)
	addText(s, p.f.user, user)
	s.AddUser(user)
	addText(s, p.f.app, field(appAt))
	addText(s, p.f.server, field(serverAt))
}
