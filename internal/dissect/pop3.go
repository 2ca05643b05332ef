package dissect

import (
	"bytes"
	"strings"

	"wirelake/internal/spi"
)

// pop3 reads the logins and mails of POP3 (RFC 1939, 5034), and hands over to TLS after STLS (RFC 2595).
type pop3 struct {
	Base
	ntlm    *ntlm
	mail    *mailFields
	begun   bool        // something came
	pending []pop3Reply // what replies will be, oldest first
	auth    bool        // an AUTH exchange goes on
	sasl    string      // whose mechanism it is, until the user is known
	lines   bool        // lines to one with a dot come from the server
	within  bool        // the server's next bytes go on with a line
	message *mailMessage
}

// pop3Reply is what the reply to a command is, if it is positive.
type pop3Reply uint8

const (
	pop3Line  pop3Reply = iota
	pop3List            // lines to one with a dot
	pop3Mail            // a message, likewise
	pop3Head            // its first lines only
	pop3TLS             // TLS begins behind it
	pop3Login           // ends an AUTH exchange
)

const (
	// mailMaxLine is the longest line of a mailbox protocol's dialogue that is read.
	mailMaxLine    = 16 << 10
	pop3MaxPending = 256 // commands without a reply: no client pipelines so many
)

func newPOP3(r *spi.Registry) Protocol {
	ntlm, mail := declareNTLM(r), newMailFields(r)
	return Protocol{
		Name: "pop3",
		Matchers: []Matcher{
			{On: TCP, Bytes: "+OK ", Func: func(s *Session, _ Dir, b []byte) bool {
				return s.OnPort(110) || bytes.Contains(b, []byte("POP")) || len(s.parsers) == 0 && bytes.HasSuffix(b, []byte("\r\n"))
			}},
			onPort(110, dialogueLine("user ", "pass ", "apop ", "auth ", "capa", "stls", "stat", "list", "uidl", "retr ", "top ", "dele ", "quit", "-err")),
		},
		New: func(*Session) Parser { return &pop3{ntlm: ntlm, mail: mail} },
	}
}

// Parse implements Parser.
func (p *pop3) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	dir = s.sideOf(dir, 110)
	if !p.begun {
		if p.begun = true; dir == Server {
			p.pending = append(p.pending, pop3Line) // the greeting, or a reply to what was not seen
		}
	}
	n := 0
	for {
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n <= mailMaxLine {
				return n, More
			}
			if dir == Client || !p.lines {
				return n, Done
			}
			p.text(s, b[n:n+mailMaxLine-1], false)
			n += mailMaxLine - 1
			continue
		}
		n += used
		switch {
		case dir == Client:
			p.command(s, line)
			if len(p.pending) > pop3MaxPending {
				return n, Done
			}
		case p.lines:
			p.text(s, line, true)
		default:
			p.ntlm.findLine(s, line)
			if p.reply(s, line) {
				s.Handover("tls")
				return n, Done
			}
		}
	}
}

// text takes a line of a multi-line reply, or a piece of it.
func (p *pop3) text(s *Session, line []byte, ends bool) {
	if !p.within && len(line) > 0 && line[0] == '.' {
		if len(line) == 1 && ends {
			p.lines = false
			p.message.end(s, true)
			p.message = nil
			return
		}
		line = line[1:] // RFC 1939 section 3
	}
	p.within = !ends
	p.message.line(s, line, ends)
}

// reply takes a line of the server that is not within a message, and reports whether TLS begins behind it.
func (p *pop3) reply(s *Session, line []byte) bool {
	ok := bytes.HasPrefix(line, []byte("+OK"))
	if !ok && !bytes.HasPrefix(line, []byte("-ERR")) || len(p.pending) == 0 {
		return false
	}
	kind := p.pending[0]
	p.pending = p.pending[1:]
	switch {
	case kind == pop3Login:
		p.auth = false
	case !ok:
	case kind == pop3TLS:
		return true
	case kind == pop3List:
		p.lines = true
	case kind == pop3Mail, kind == pop3Head:
		p.lines = true
		if p.message = p.mail.newMessage(s, "pop3"); p.message != nil {
			p.message.partial = kind == pop3Head
			if s.Reference { // which reads no mails here
				p.message.fields = mailNothing
			}
		}
	}
	return false
}

func (p *pop3) command(s *Session, line []byte) {
	if p.auth {
		p.ntlm.findLine(s, line)
		if p.sasl != "" && saslLine(s, p.sasl, line) {
			p.sasl = ""
		}
		return
	}
	verb, arg, _ := bytes.Cut(line, []byte(" "))
	arg = bytes.TrimSpace(arg)
	is := func(name string) bool { return bytes.EqualFold(verb, []byte(name)) }
	kind := pop3Line
	switch {
	case is("USER"), is("APOP"):
		user, _, _ := bytes.Cut(arg, []byte(" "))
		s.AddUser(user)
	case is("STLS"):
		kind = pop3TLS
	case is("RETR"):
		kind = pop3Mail
	case is("TOP"):
		kind = pop3Head
	case is("CAPA"), (is("LIST") || is("UIDL")) && len(arg) == 0:
		kind = pop3List
	case is("AUTH"):
		name, _, _ := bytes.Cut(bytes.ToLower(arg), []byte(" "))
		if kind = pop3List; len(name) > 0 { // without argument it lists the mechanisms
			kind, p.auth = pop3Login, true
		}
		if len(name) > 0 && len(name) < 20 && isWord(name) {
			s.AddTag("pop3:auth" + string(name))
			_, first, _ := bytes.Cut(arg, []byte(" ")) // of the client, where it goes with the command (RFC 5034)
			if p.sasl = strings.ToUpper(string(name)); s.Reference || len(first) > 0 && saslLine(s, p.sasl, first) {
				p.sasl = "" // the reference tells of no users here
			}
		}
	}
	p.pending = append(p.pending, kind)
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

// Gap implements Parser: lines begin anew behind a gap. A message goes on without the hash of the part at hand.
func (p *pop3) Gap(s *Session, dir Dir, _ int) Status {
	if s.sideOf(dir, 110) == Server && p.lines {
		p.message.gap()
		p.within = false
		return More
	}
	p.pending, p.auth = p.pending[:0], false // which reply belongs to what is not known any more
	return More
}

// End implements Parser.
func (p *pop3) End(s *Session, final bool) {
	if final {
		p.message.end(s, false)
		p.message = nil
	}
}
