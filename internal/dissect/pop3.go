package dissect

import (
	"bytes"

	"wirelake/internal/spi"
)

// pop3 reads the logins of POP3 (RFC 1939, 5034), and hands over to TLS after STLS
// (RFC 2595). Mails pass.
type pop3 struct {
	Base
	ntlm *ntlm
	stls bool
}

// mailMaxLine is the longest line of a mailbox protocol's dialogue that is read.
const mailMaxLine = 16 << 10

func newPOP3(r *spi.Registry) Protocol {
	ntlm := declareNTLM(r)
	return Protocol{
		Name:     "pop3",
		Matchers: []Matcher{{On: TCP, Bytes: "+OK ", Func: func(s *Session, _ Dir, b []byte) bool { return s.OnPort(110) || bytes.Contains(b, []byte("POP")) }}},
		New:      func(*Session) Parser { return &pop3{ntlm: ntlm} },
	}
}

// Parse implements Parser.
func (p *pop3) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for {
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > mailMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		p.ntlm.findLine(s, line)
		if dir == Server {
			if p.stls && bytes.HasPrefix(line, []byte("+OK")) {
				s.Handover("tls")
				return n, Done
			}
			p.stls = false
			continue
		}
		verb, arg, _ := bytes.Cut(line, []byte(" "))
		switch {
		case bytes.EqualFold(verb, []byte("USER")), bytes.EqualFold(verb, []byte("APOP")):
			user, _, _ := bytes.Cut(bytes.TrimSpace(arg), []byte(" "))
			s.AddUser(user)
		case bytes.EqualFold(verb, []byte("STLS")):
			p.stls = true
		case bytes.EqualFold(verb, []byte("AUTH")):
			if name := bytes.ToLower(bytes.TrimSpace(arg)); len(name) > 0 && len(name) < 20 && isWord(name) {
				s.AddTag("pop3:auth" + string(name))
			}
		}
	}
}

// isWord reports whether b is of letters, digits and dashes.
func isWord(b []byte) bool {
	for _, c := range b {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Gap implements Parser: lines begin anew behind a gap.
func (p *pop3) Gap(*Session, Dir, int) Status { return More }
