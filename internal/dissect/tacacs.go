package dissect

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"wirelake/internal/spi"
)

// tacacs reads TACACS+ (RFC 8907). Bodies are obfuscated, save where a server was set up to leave them plain: then
// users, their terminals and what they may do can be read, and passwords pass.
type tacacs struct {
	Base
	f      *tacacsFields
	frames frames
}

type tacacsFields struct {
	version, typ, session, user, terminal, remote, command, service, status, secrecy spi.FieldID
}

const (
	tacacsHeader  = 12
	tacacsMaxRead = 16 << 10
)

func newTACACS(r *spi.Registry) Protocol {
	g := fieldGroup{r, "tacacs"}
	f := &tacacsFields{
		version:  g.list(spi.Term, "version", "Version", "protocol versions, major and minor"),
		typ:      g.list(spi.Term, "type", "Type", "authentication, authorization or accounting"),
		session:  g.list(spi.Term, "sessionId", "Session id", "session ids, hex"),
		user:     g.list(spi.Term, "user", "User", "user names"),
		terminal: g.list(spi.Term, "port", "Terminal", "ports of the device that users are on"),
		remote:   g.list(spi.Term, "remote", "Remote address", "where users come from, as the device tells"),
		command:  g.list(spi.Term, "command", "Commands", "commands authorized or accounted for, with their arguments"),
		service:  g.list(spi.Term, "service", "Service", "services asked for"),
		status:   g.list(spi.Integer, "status", "Status", "status numbers of answers"),
		secrecy:  g.list(spi.Term, "secrecy", "Secrecy", "obfuscated or plain"),
	}
	return Protocol{
		Name: "tacacs",
		Matchers: []Matcher{
			{On: TCP, Port: 49, MinLen: tacacsHeader, Func: func(_ *Session, _ Dir, b []byte) bool { return b[0]>>4 == 0xc && b[1] >= 1 && b[1] <= 3 }},
			{On: TCP, Bytes: "\xc0", MinLen: tacacsHeader, Func: tacacsFirst},
			{On: TCP, Bytes: "\xc1", MinLen: tacacsHeader, Func: tacacsFirst},
		},
		New: func(*Session) Parser { return &tacacs{f: f} },
	}
}

// tacacsFirst accepts, on any port, the packet that begins a session (RFC 8907 section 4.1): the first of its kind, known
// flags only, as long as it says.
func tacacsFirst(s *Session, dir Dir, b []byte) bool {
	const first, flags, shortest = 1, 0x05, 5
	size := int64(binary.BigEndian.Uint32(b[8:]))
	return !s.Reference && dir == Client && b[1] >= 1 && b[1] <= 3 && b[2] == first && b[3]&^flags == 0 && size >= shortest && size == int64(len(b)-tacacsHeader)
}

// Parse implements Parser.
func (p *tacacs) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	return p.frames.each(dir, b, tacacsHeader, tacacsMaxRead, func(h []byte) int {
		if n := binary.BigEndian.Uint32(h[8:]); h[0]>>4 == 0xc && n <= 1<<16 {
			return tacacsHeader + int(n)
		}
		return 0
	}, func(m []byte) bool {
		p.packet(s, dir, m)
		return true
	})
}

// Gap implements Parser.
func (p *tacacs) Gap(_ *Session, dir Dir, missing int) Status { return p.frames.gap(dir, missing) }

func (p *tacacs) packet(s *Session, dir Dir, m []byte) {
	const plain = 1
	s.Doc.AddString(p.f.version, strconv.Itoa(int(m[0]>>4))+"."+strconv.Itoa(int(m[0]&15)))
	typ := nameOf([]string{1: "authentication", 2: "authorization", 3: "accounting"}, m[1])
	if typ == "" {
		return
	}
	s.Doc.AddString(p.f.typ, typ)
	s.Doc.AddString(p.f.session, "0x"+strconv.FormatUint(uint64(binary.BigEndian.Uint32(m[4:]))|1<<32, 16)[1:])
	if m[3]&plain == 0 {
		s.Doc.AddString(p.f.secrecy, "obfuscated")
		return
	}
	s.Doc.AddString(p.f.secrecy, "plain")
	w := wire{b: m[tacacsHeader:]}
	if dir == Server {
		if len(w.b) > 0 && m[1] != 3 {
			s.Doc.AddInt(p.f.status, int64(w.b[0]))
		} else if len(w.b) > 4 { // accounting: two lengths, then the status
			s.Doc.AddInt(p.f.status, int64(w.b[4]))
		}
		return
	}
	fixed := 4 // bytes before the lengths (sections 5.1, 6.1, 7.1)
	switch {
	case m[1] == 1 && m[2] != 1:
		return // a CONTINUE, which may be a password
	case m[1] == 3:
		fixed = 5
	}
	w.take(fixed)
	lengths := [3]int{int(w.be(1)), int(w.be(1)), int(w.be(1))}
	args := int(w.be(1))
	if m[1] == 1 {
		args = 0 // the length of data, which may be a password
	}
	p.who(s, &w, lengths, args)
}

// who notes user, terminal and remote address, of the lengths given, and as many arguments, whose lengths are in front.
func (p *tacacs) who(s *Session, w *wire, lengths [3]int, args int) {
	sizes := w.take(args)
	user := w.take(lengths[0])
	addText(s, p.f.user, user)
	s.addOwnUser(user)
	addText(s, p.f.terminal, w.take(lengths[1]))
	addText(s, p.f.remote, w.take(lengths[2]))
	var command []byte
	for _, n := range sizes {
		name, value, ok := bytes.Cut(w.take(int(n)), []byte("="))
		if !ok {
			continue
		}
		switch string(name) {
		case "service":
			addText(s, p.f.service, value)
		case "cmd":
			command = append(command, value...)
		case "cmd-arg":
			if string(value) != "<cr>" {
				command = append(append(command, ' '), value...)
			}
		}
	}
	addText(s, p.f.command, command)
}
