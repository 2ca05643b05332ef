package dissect

import (
	"bytes"
	"strconv"

	"wirelake/internal/spi"
)

// imap reads the logins and mailboxes of IMAP (RFC 9051), and hands over to TLS after STARTTLS. Mails pass.
type imap struct {
	Base
	folder   spi.FieldID
	ntlm     *ntlm
	startTLS bool
	skip     [2]int // bytes of a literal
}

func newIMAP(r *spi.Registry) Protocol {
	folder := r.Declare(spi.Field{Path: "email.folder", Type: spi.Term, List: true, Exprs: []string{"email.folder"}, Group: "email", Name: "Folder", Help: "mailboxes opened"})
	ntlm := declareNTLM(r)
	return Protocol{
		Name:     "imap",
		Matchers: []Matcher{{On: TCP, Bytes: "* OK ", Func: func(s *Session, _ Dir, b []byte) bool { return s.OnPort(143) || bytes.Contains(b, []byte("IMAP")) }}},
		New:      func(*Session) Parser { return &imap{folder: folder, ntlm: ntlm} },
	}
}

// Parse implements Parser.
func (p *imap) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		m := min(p.skip[dir], len(b)-n)
		p.skip[dir] -= m
		n += m
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > mailMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		p.skip[dir] = imapLiteral(line)
		p.ntlm.findLine(s, line)
		if dir == Server {
			// The completion of STARTTLS is the first tagged response behind it.
			if p.startTLS && len(line) > 0 && line[0] != '*' && line[0] != '+' {
				p.startTLS = false
				if _, status, _ := bytes.Cut(line, []byte(" ")); hasPrefixFold(status, "ok") {
					s.Handover("tls")
					return n, Done
				}
			}
			continue
		}
		p.command(s, line)
	}
}

// imapLiteral returns the length of the literal that a line announces at its end (RFC 9051 section 4.3).
func imapLiteral(line []byte) int {
	if len(line) < 3 || line[len(line)-1] != '}' {
		return 0
	}
	i := bytes.LastIndexByte(line, '{')
	if i < 0 {
		return 0
	}
	n, err := strconv.Atoi(string(bytes.TrimSuffix(line[i+1:len(line)-1], []byte("+"))))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

func (p *imap) command(s *Session, line []byte) {
	_, rest, ok := bytes.Cut(line, []byte(" ")) // behind the tag
	if !ok {
		return
	}
	verb, arg, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case bytes.EqualFold(verb, []byte("LOGIN")):
		s.AddUser(imapString(arg))
	case bytes.EqualFold(verb, []byte("SELECT")), bytes.EqualFold(verb, []byte("EXAMINE")):
		if name := imapString(arg); len(name) > 0 {
			s.Doc.AddBytes(p.folder, name)
		}
	case bytes.EqualFold(verb, []byte("STARTTLS")):
		p.startTLS = true
	}
}

// imapString returns the first string of b, quoted or not; nil for a literal.
func imapString(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] == '{' {
		return nil
	}
	if b[0] == '"' {
		text, _, ok := bytes.Cut(b[1:], []byte(`"`))
		if !ok {
			return nil
		}
		return text
	}
	text, _, _ := bytes.Cut(b, []byte(" "))
	return text
}

// Gap implements Parser: a literal survives it, and lines begin anew behind it.
func (p *imap) Gap(_ *Session, dir Dir, missing int) Status {
	p.skip[dir] = max(0, p.skip[dir]-missing)
	return More
}
