package dissect

import (
	"bytes"
	"encoding/base64"
	"strings"

	"wirelake/internal/spi"
)

// smtp reads SMTP and message submission (RFC 5321, 6409), with STARTTLS
// (RFC 3207), AUTH (RFC 4954) and BDAT (RFC 3030).
type smtp struct {
	ntlm  *ntlm
	mail  *mailFields
	hello spi.FieldID
}

const maxSMTPLine = 16 << 10 // honest lines have 1000 bytes at most; past this the line is read in pieces

func newSMTP(r *spi.Registry) Protocol {
	f := &smtp{
		mail: newMailFields(r),
		ntlm: declareNTLM(r),
		hello: r.Declare(spi.Field{Path: "email.smtpHello", Type: spi.LoTerm, List: true, Exprs: []string{"email.smtp-hello"}, Hot: true,
			Name: "SMTP Hello", Help: "name given in HELO or EHLO", Group: "email"}),
	}
	greeting := func(s *Session, _ Dir, b []byte) bool {
		return s.OnPort(25) || s.OnPort(587) || bytes.Contains(b, []byte("SMTP"))
	}
	command := func(_ *Session, _ Dir, b []byte) bool { return hasPrefixFold(b, "helo ") || hasPrefixFold(b, "ehlo ") }
	return Protocol{
		Name: "smtp",
		Matchers: []Matcher{
			{On: TCP, Bytes: "220", MinLen: 4, Func: greeting},
			{On: TCP, Bytes: "H", MinLen: 5, Func: command},
			{On: TCP, Bytes: "h", MinLen: 5, Func: command},
			{On: TCP, Bytes: "E", MinLen: 5, Func: command},
			{On: TCP, Bytes: "e", MinLen: 5, Func: command},
		},
		New: func(*Session) Parser { return &smtpParser{smtp: f} },
	}
}

// smtpState is what the client sends.
type smtpState uint8

const (
	smtpCommands smtpState = iota
	smtpData               // a message, to a line with a dot
	smtpBDAT               // a piece of a message by length
	smtpLogin              // user name and password, base64
	smtpPlain              // both in one, base64
	smtpAuth               // another mechanism's words
)

type smtpParser struct {
	*smtp
	Base
	state    smtpState
	words    int // of an AUTH exchange
	bdat     int // bytes of the piece to come
	message  *mailMessage
	dataSent bool // a message ended and its reply has not come
	starting bool // STARTTLS asked for
}

// Parse implements Parser.
func (p *smtpParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	n := 0
	for n < len(b) {
		if dir == Client && p.state == smtpBDAT {
			take := min(p.bdat, len(b)-n)
			n += take
			if p.bdat -= take; p.bdat == 0 {
				p.state = smtpCommands
			}
			continue
		}
		end := bytes.IndexByte(b[n:], '\n')
		if end < 0 {
			if len(b)-n < maxSMTPLine {
				break
			}
			end = maxSMTPLine - 1
		}
		line := bytes.TrimRight(b[n:n+end], "\r")
		n += end + 1
		if dir == Server {
			if p.reply(s, line) {
				s.Handover("tls")
				return n, Done
			}
			continue
		}
		p.client(s, line)
	}
	return n, More
}

// End implements Parser.
func (p *smtpParser) End(s *Session, final bool) {
	if final && p.message != nil {
		p.message.end(s)
	}
}

// reply takes a line of the server, and reports whether TLS begins behind it.
func (p *smtpParser) reply(s *Session, line []byte) (tls bool) {
	if len(line) < 3 || len(line) > 3 && line[3] == '-' {
		return false
	}
	if challenge, ok := bytes.CutPrefix(line, []byte("334 ")); ok {
		p.ntlm.findLine(s, challenge)
	}
	switch {
	case p.starting:
		p.starting = false
		return line[0] == '2'
	case p.dataSent:
		p.dataSent = false
		if line[0] >= '2' && line[0] <= '5' && isAlnum(line[1]) && isAlnum(line[2]) {
			s.AddTag("smtp:statuscode:" + string(line[:3]))
		}
	case p.state == smtpData && p.message.headers == 0 && line[0] >= '4':
		p.state, p.message = smtpCommands, nil // no message was wanted
	case (p.state == smtpLogin || p.state == smtpPlain || p.state == smtpAuth) && line[0] != '3':
		p.state = smtpCommands
	}
	return false
}

func (p *smtpParser) client(s *Session, line []byte) {
	switch p.state {
	case smtpData:
		if len(line) > 0 && line[0] == '.' {
			if len(line) == 1 {
				p.message.end(s)
				p.message, p.state, p.dataSent = nil, smtpCommands, true
				return
			}
			line = line[1:] // RFC 5321 section 4.5.2
		}
		p.message.line(s, line)
	case smtpLogin:
		if p.words++; p.words == 1 {
			p.user(s, line)
		} else {
			p.state = smtpCommands
		}
	case smtpPlain:
		p.plain(s, line)
		p.state = smtpCommands
	case smtpAuth:
		p.ntlm.findLine(s, line)
	default:
		p.command(s, line)
	}
}

func (p *smtpParser) command(s *Session, line []byte) {
	d := s.Doc
	switch {
	case hasPrefixFold(line, "helo "), hasPrefixFold(line, "ehlo "):
		d.AddString(p.hello, strings.TrimSpace(string(line[5:])))
	case hasPrefixFold(line, "mail from:"):
		p.address(d, p.mail.src, line[10:])
	case hasPrefixFold(line, "rcpt to:"):
		p.address(d, p.mail.dst, line[8:])
	case hasPrefixFold(line, "data"):
		p.state, p.message = smtpData, &mailMessage{f: p.mail}
	case hasPrefixFold(line, "bdat "):
		for _, c := range line[5:] {
			if c < '0' || c > '9' || p.bdat > 1<<30 {
				break
			}
			p.bdat = p.bdat*10 + int(c-'0')
		}
		if p.bdat > 0 {
			p.state = smtpBDAT
		}
	case hasPrefixFold(line, "starttls"):
		s.AddTag("smtp:starttls")
		p.starting = true
	case hasPrefixFold(line, "auth "):
		p.auth(s, bytes.Fields(line[5:]))
	}
}

// address files the path of MAIL or RCPT, without its parameters.
func (p *smtpParser) address(d *spi.Document, f spi.FieldID, b []byte) {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "<") {
		text, _, _ = strings.Cut(text[1:], ">")
	} else {
		text, _, _ = strings.Cut(text, " ")
	}
	if text != "" {
		d.AddString(f, text)
	}
}

func (p *smtpParser) auth(s *Session, words [][]byte) {
	if len(words) == 0 {
		return
	}
	mechanism := strings.ToLower(string(words[0]))
	p.words, p.state = 0, smtpAuth
	switch mechanism {
	case "login":
		p.state = smtpLogin
		if len(words) > 1 {
			p.words = 1
			p.user(s, words[1])
		}
	case "plain":
		p.state = smtpPlain
		if len(words) > 1 {
			p.plain(s, words[1])
			p.state = smtpCommands
		}
	}
	if len(mechanism) <= 20 {
		s.AddTag("smtp:auth" + mechanism)
	}
}

func (p *smtpParser) user(s *Session, b []byte) {
	if name, err := base64.StdEncoding.DecodeString(string(b)); err == nil {
		s.AddUser(bytes.ToLower(name))
	}
}

// plain reads authorization identity, user and password (RFC 4616).
func (p *smtpParser) plain(s *Session, b []byte) {
	text, err := base64.StdEncoding.DecodeString(string(b))
	if err != nil {
		return
	}
	if parts := bytes.Split(text, []byte{0}); len(parts) == 3 {
		s.AddUser(bytes.ToLower(parts[1]))
	}
}
