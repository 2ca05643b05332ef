package dissect

import (
	"bytes"

	"wirelake/internal/spi"
)

// ftp reads the control connection of FTP (RFC 959), and hands over to TLS after AUTH (RFC 4217).
type ftp struct {
	Base
	f      *ftpFields
	banner bool // the greeting has passed
	auth   bool // the client asked for TLS
}

type ftpFields struct {
	banner, command, code spi.FieldID
}

const ftpMaxLine = 4096

func newFTP(r *spi.Registry) Protocol {
	f := &ftpFields{
		banner:  r.Declare(spi.Field{Path: "ftp.banner", Type: spi.Term, List: true, Exprs: []string{"ftp.banner"}, Name: "Banner", Help: "greeting of the server"}),
		command: r.Declare(spi.Field{Path: "ftp.command", Type: spi.UpTerm, List: true, Exprs: []string{"ftp.command"}, Name: "Commands", Help: "commands sent"}),
		code:    r.Declare(spi.Field{Path: "ftp.responseCode", Type: spi.Integer, List: true, Exprs: []string{"ftp.responseCode"}, Name: "Reply codes", Help: "reply codes"}),
	}
	return Protocol{
		Name:     "ftp",
		Matchers: []Matcher{{On: TCP, Port: 21, Func: prefixes("220 ", "220-", "USER ")}},
		New:      func(*Session) Parser { return &ftp{f: f} },
	}
}

// Parse implements Parser.
func (p *ftp) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	n := 0
	for {
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > ftpMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		if len(line) >= 4 && isDigits(line[:3]) && (line[3] == ' ' || line[3] == '-') {
			if p.reply(s, line) {
				return n, Done
			}
			continue
		}
		p.request(s, line)
	}
}

// reply reads a line of the server. It returns true when TLS begins behind it.
func (p *ftp) reply(s *Session, line []byte) bool {
	code := int64(line[0]-'0')*100 + int64(line[1]-'0')*10 + int64(line[2]-'0')
	s.Doc.AddInt(p.f.code, code)
	if code == 220 && !p.banner {
		if text := bytes.TrimSpace(line[4:]); len(text) > 0 {
			s.Doc.AddBytes(p.f.banner, text)
		}
		p.banner = line[3] == ' '
	}
	if code == 234 && p.auth {
		s.Handover("tls")
		return true
	}
	return false
}

func (p *ftp) request(s *Session, line []byte) {
	verb, arg, _ := bytes.Cut(line, []byte(" "))
	if len(verb) < 3 || len(verb) > 4 || !isLetters(verb) {
		return // a line of a reply of several, or not a command
	}
	p.banner = true
	s.Doc.AddBytes(p.f.command, verb)
	switch {
	case bytes.EqualFold(verb, []byte("USER")):
		s.AddUser(bytes.TrimSpace(arg))
	case bytes.EqualFold(verb, []byte("PASS")):
		s.AddTag("ftp:password")
	case bytes.EqualFold(verb, []byte("AUTH")):
		p.auth = true
	}
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

func isLetters(b []byte) bool {
	for _, c := range b {
		if c |= 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return len(b) > 0
}
