package dissect

import (
	"bytes"
	"encoding/base64"
	"strconv"
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
	smtpMiddle := []string{"mail from:", "rcpt to:", "rset", "bdat ", "auth ", "250 ", "250-", "354 ", "235 ", "334 ", "221 "}
	command := func(_ *Session, _ Dir, b []byte) bool { return hasPrefixFold(b, "helo ") || hasPrefixFold(b, "ehlo ") }
	return Protocol{
		Name: "smtp",
		Matchers: []Matcher{
			{On: TCP, Bytes: "220", MinLen: 4, Func: greeting},
			{On: TCP, Bytes: "H", MinLen: 5, Func: command},
			{On: TCP, Bytes: "h", MinLen: 5, Func: command},
			{On: TCP, Bytes: "E", MinLen: 5, Func: command},
			{On: TCP, Bytes: "e", MinLen: 5, Func: command},
			onPort(25, dialogueLine(smtpMiddle...)),
			onPort(587, dialogueLine(smtpMiddle...)),
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
	state             smtpState
	words             int  // of an AUTH exchange
	bdat              int  // bytes of the piece to come
	bdatLast          bool // which is the message's last
	message           *mailMessage
	within            bool // the next bytes of the client go on with a line of the message
	unsure            bool // replies are missing: which belongs to what is not known
	greeted           bool
	unanswered, ahead int    // commands without a reply, and those of them before DATA
	waiting           bool   // DATA has no reply
	dataSent          bool   // a message ended and its reply has not come
	starting          bool   // STARTTLS asked for
	sasl              string // mechanism of the AUTH exchange at hand, until the user is known
}

// side returns which side of the dialogue sends in the direction.
func (p *smtpParser) side(s *Session, dir Dir) Dir { return s.sideOf(s.sideOf(dir, 25), 587) }

// Parse implements Parser.
func (p *smtpParser) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	dir = p.side(s, dir)
	n := 0
	for n < len(b) {
		if dir == Client && p.state == smtpBDAT {
			m := p.piece(s, b[n:])
			n += m
			if m == 0 {
				break
			}
			continue
		}
		end, whole := bytes.IndexByte(b[n:], '\n'), true
		used := end + 1
		if end < 0 {
			if len(b)-n < maxSMTPLine {
				break
			}
			end, whole = maxSMTPLine-1, false // a CR that is the last stays with its LF
			used = end
		}
		line := b[n : n+end]
		if whole {
			line = bytes.TrimRight(line, "\r")
		}
		n += used
		if dir == Server {
			if p.reply(s, line) {
				s.Handover("tls")
				return n, Done
			}
			continue
		}
		p.client(s, line, whole)
	}
	return n, More
}

// piece takes bytes of a message's piece by length (RFC 3030), and returns how many.
func (p *smtpParser) piece(s *Session, b []byte) int {
	b = b[:min(len(b), p.bdat)]
	n := len(b)
	if p.message != nil {
		n = p.message.write(s, b)
		if n == 0 && len(b) == p.bdat {
			p.message.line(s, b, false) // a line that goes on in the next piece
			n = len(b)
		}
	}
	if p.bdat -= n; p.bdat == 0 {
		p.state = smtpCommands
		if p.bdatLast {
			p.message.end(s, true)
			p.message = nil
		}
	}
	return n
}

// Gap implements Parser: a message survives it, without the hash of the attachment that lacks bytes.
func (p *smtpParser) Gap(s *Session, dir Dir, missing int) Status {
	dir = p.side(s, dir)
	switch {
	case dir == Client && p.state == smtpData:
		p.message.gap()
		p.within = false
		return More
	case dir == Client && p.state == smtpBDAT && missing < p.bdat:
		p.message.gap()
		p.bdat -= missing
		return More
	case dir == Server:
		p.unsure, p.unanswered, p.ahead = true, 0, 0
		return More
	}
	return Done
}

// End implements Parser.
func (p *smtpParser) End(s *Session, final bool) {
	if final {
		p.message.end(s, false)
		p.message = nil
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
	if !p.greeted && bytes.HasPrefix(line, []byte("220")) {
		p.greeted = true
		return false
	}
	p.greeted = true
	if line[0] != '3' {
		p.unanswered = max(0, p.unanswered-1)
	}
	if p.starting && p.unanswered == 0 {
		p.starting = false
		return line[0] == '2'
	}
	if p.waiting {
		if p.ahead > 0 {
			p.ahead--
			return false
		}
		p.waiting = false
		if line[0] < '4' {
			return false // go on
		}
		if p.state == smtpData && !p.unsure {
			p.state = smtpCommands // no message was wanted
			p.message.end(s, false)
			p.message = nil
		}
	}
	switch {
	case p.dataSent:
		p.dataSent = false
		if line[0] >= '2' && line[0] <= '5' && isAlnum(line[1]) && isAlnum(line[2]) {
			s.AddTag("smtp:statuscode:" + string(line[:3]))
		}
	case (p.state == smtpLogin || p.state == smtpPlain || p.state == smtpAuth) && line[0] != '3':
		p.state = smtpCommands
	}
	return false
}

func (p *smtpParser) client(s *Session, line []byte, whole bool) {
	switch p.state {
	case smtpData:
		if !p.within && len(line) > 0 && line[0] == '.' {
			if len(line) == 1 && whole {
				p.message.end(s, true)
				p.message, p.state, p.dataSent = nil, smtpCommands, true
				return
			}
			line = line[1:] // RFC 5321 section 4.5.2
		}
		p.message.line(s, line, whole)
		p.within = !whole
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
		if p.sasl != "" && saslLine(s, p.sasl, line) {
			p.sasl = ""
		}
	default:
		p.command(s, line)
	}
}

func (p *smtpParser) command(s *Session, line []byte) {
	d := s.Doc
	p.unanswered++
	if s.Reference {
		p.dataSent = false // it takes what comes before the client goes on for the reply to the message
	}
	switch {
	case hasPrefixFold(line, "helo "), hasPrefixFold(line, "ehlo "), hasPrefixFold(line, "lhlo "): // LMTP's: RFC 2033
		d.AddString(p.hello, strings.TrimSpace(string(line[5:])))
	case hasPrefixFold(line, "mail from:"):
		p.address(s, p.mail.src, line[10:])
	case hasPrefixFold(line, "rcpt to:"):
		p.address(s, p.mail.dst, line[8:])
	case hasPrefixFold(line, "data"):
		p.message.end(s, false)
		p.state, p.message, p.within = smtpData, p.mail.newMessage(s, "smtp"), false
		p.waiting, p.ahead = true, p.unanswered-1
	case hasPrefixFold(line, "bdat "):
		p.beginPiece(s, bytes.Fields(line[5:]))
	case hasPrefixFold(line, "starttls"):
		s.AddTag("smtp:starttls")
		p.starting = true
	case hasPrefixFold(line, "auth "):
		p.auth(s, bytes.Fields(line[5:]))
	}
}

// beginPiece takes the arguments of BDAT: a size, and LAST.
func (p *smtpParser) beginPiece(s *Session, words [][]byte) {
	if len(words) == 0 {
		return
	}
	size, err := strconv.ParseUint(string(words[0]), 10, 40)
	if err != nil {
		return
	}
	if p.message == nil {
		p.message = p.mail.newMessage(s, "smtp")
	}
	p.bdat, p.bdatLast = int(size), len(words) > 1 && bytes.EqualFold(words[1], []byte("last"))
	if p.bdat > 0 {
		p.state = smtpBDAT
	} else if p.bdatLast {
		p.message.end(s, true)
		p.message = nil
	}
}

// address files the path of MAIL or RCPT, without its parameters. The reference files empty ones too, as those of
// notices have, and parameters with a path that has no brackets.
func (p *smtpParser) address(s *Session, f spi.FieldID, b []byte) {
	text := strings.TrimSpace(string(b))
	if s.Reference {
		if path, _, _ := strings.Cut(strings.TrimPrefix(text, "<"), ">"); len(b) > 1 {
			s.Doc.AddString(f, path)
		}
		return
	}
	if strings.HasPrefix(text, "<") {
		text, _, _ = strings.Cut(text[1:], ">")
	} else {
		text, _, _ = strings.Cut(text, " ")
	}
	if text != "" {
		s.Doc.AddString(f, text)
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
	default:
		if s.Reference || len(mechanism) > 32 { // which tells of the users of the two above
			break
		}
		if p.sasl = strings.ToUpper(mechanism); len(words) > 1 && saslLine(s, p.sasl, words[1]) {
			p.sasl = ""
		}
	}
	known := mechanism == "login" || mechanism == "plain" || mechanism == "ntlm"
	if len(mechanism) <= 20 && (known || !s.Reference) {
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
