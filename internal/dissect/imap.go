package dissect

import (
	"bytes"
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// imap reads the logins, mailboxes and mails of IMAP (RFC 9051, 3501): those fetched, whole or by their parts, and
// those appended. It hands over to TLS after STARTTLS.
type imap struct {
	Base
	folder   spi.FieldID
	ntlm     *ntlm
	mail     *mailFields
	startTLS bool
	compress bool   // COMPRESS asked for
	sasl     string // mechanism of the AUTHENTICATE exchange that goes on
	dirs     [2]imapDir
	parts    map[imapPart]mailPart // what is known of the parts of messages in the mailbox
	held     int                   // bytes of them
	partial  imapPartial
}

// imapDir is the state of a direction.
type imapDir struct {
	skip    int // bytes of the literal at hand
	use     imapUse
	message *mailMessage // that the literal is
	split   bool         // the next line goes on with the one before the literal
	number  int          // of the message that the response at hand tells of
}

// imapUse is what a literal is good for.
type imapUse uint8

const (
	imapSkip    imapUse = iota
	imapMessage         // a message or its headers
	imapRange           // a piece of p.partial's
	imapMIME            // the headers of a part
	imapUser            // a user name
)

// imapPart names a part of a message, by the message's number in the mailbox.
type imapPart struct {
	number  int
	section string
}

// imapPartial is a message or part that is fetched piece by piece.
type imapPartial struct {
	imapPart
	next    int // offset of the piece that would go on with it
	message *mailMessage
}

const (
	imapMaxParts   = 512 // parts that are kept of a mailbox
	imapMaxUser    = 256
	imapMaxHeaders = 8 << 10 // of a part
)

func newIMAP(r *spi.Registry) Protocol {
	folder := r.Declare(spi.Field{Path: "email.folder", Type: spi.Term, List: true, Exprs: []string{"email.folder"}, Group: "email", Name: "Folder", Help: "mailboxes opened"})
	ntlm, mail := declareNTLM(r), newMailFields(r)
	return Protocol{
		Name: "imap",
		Matchers: []Matcher{
			{On: TCP, Bytes: "* OK ", Func: func(s *Session, _ Dir, b []byte) bool { return s.OnPort(143) || bytes.Contains(b, []byte("IMAP")) }},
			onPort(143, imapLine),
		},
		New: func(*Session) Parser { return &imap{folder: folder, ntlm: ntlm, mail: mail} },
	}
}

// Parse implements Parser.
func (p *imap) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	dir = s.sideOf(dir, 143)
	d := &p.dirs[dir]
	n := 0
	for {
		if d.skip > 0 {
			m := p.literal(s, d, b[n:min(len(b), n+d.skip)])
			n += m
			if d.skip -= m; d.skip > 0 {
				return n, More
			}
			p.literalEnd(s, d)
		}
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > mailMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		p.ntlm.findLine(s, line)
		size, opens := imapLiteral(line)
		goesOn := d.split
		d.split, d.use = opens, imapSkip
		if dir == Server {
			// The completion of STARTTLS is the first tagged response behind it.
			if p.startTLS && !goesOn && len(line) > 0 && line[0] != '*' && line[0] != '+' {
				p.startTLS = false
				if _, status, _ := bytes.Cut(line, []byte(" ")); hasPrefixFold(status, "ok") {
					s.Handover("tls")
					return n, Done
				}
			}
			if !goesOn && len(line) > 0 && line[0] != '*' && line[0] != '+' { // a command is over
				p.sasl = ""
				if _, status, _ := bytes.Cut(line, []byte(" ")); p.compress && hasPrefixFold(status, "ok") {
					return n, Done // DEFLATE begins (RFC 4978)
				}
				p.compress = false
			}
			p.response(s, d, line, goesOn, opens)
		} else {
			p.command(s, d, line, goesOn, opens)
		}
		if d.skip = size; opens && size == 0 {
			p.literalEnd(s, d)
		}
	}
}

// imapLiteral returns the length of the literal that a line announces at its end (RFC 9051 section 4.3, RFC 7888,
// and RFC 3516's literal8).
func imapLiteral(line []byte) (size int, opens bool) {
	if len(line) < 3 || line[len(line)-1] != '}' {
		return 0, false
	}
	i := bytes.LastIndexByte(line, '{')
	if i < 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(string(bytes.TrimRight(line[i+1:len(line)-1], "+-")), 10, 40)
	if err != nil {
		return 0, false
	}
	return int(n), true
}

// literal takes bytes of the literal at hand, and returns how many.
func (p *imap) literal(s *Session, d *imapDir, b []byte) int {
	switch {
	case d.use == imapUser || d.use == imapMIME:
		if len(b) < d.skip {
			return 0 // it is short: it comes again whole
		}
		if d.use == imapUser {
			s.addOwnUser(b)
		} else {
			p.partHeaders(s, b)
		}
	case d.message != nil:
		n := d.message.write(s, b)
		if len(b) == d.skip && n < len(b) { // the literal ends within a line
			d.message.line(s, b[n:], d.use == imapMessage)
			n = len(b)
		}
		return n
	}
	return len(b)
}

// literalEnd ends the literal at hand.
func (p *imap) literalEnd(s *Session, d *imapDir) {
	if d.use == imapMessage {
		d.message.end(s, true)
	}
	d.message = nil // a piece's goes on in p.partial
	d.use = imapSkip
}

// command reads a line of the client. With goesOn it follows a literal.
func (p *imap) command(s *Session, d *imapDir, line []byte, goesOn, opens bool) {
	if goesOn {
		return
	}
	if p.sasl != "" {
		if saslLine(s, p.sasl, line) {
			p.sasl = ""
		}
		return
	}
	_, rest, ok := bytes.Cut(line, []byte(" ")) // behind the tag
	if !ok {
		return
	}
	verb, arg, _ := bytes.Cut(rest, []byte(" "))
	switch {
	case bytes.EqualFold(verb, []byte("LOGIN")):
		if size, _ := imapLiteral(line); opens && size <= imapMaxUser && bytes.HasPrefix(bytes.TrimSpace(arg), []byte("{")) {
			d.use = imapUser
		}
		s.addOwnUser(imapString(arg))
	case bytes.EqualFold(verb, []byte("SELECT")), bytes.EqualFold(verb, []byte("EXAMINE")):
		if name := imapString(arg); len(name) > 0 {
			s.Doc.AddBytes(p.folder, name)
		}
		p.forgetParts(s)
	case bytes.EqualFold(verb, []byte("STARTTLS")):
		p.startTLS = true
	case bytes.EqualFold(verb, []byte("COMPRESS")):
		p.compress = true
	case bytes.EqualFold(verb, []byte("AUTHENTICATE")) && !s.Reference: // which tells of no users here
		mechanism, first, _ := bytes.Cut(arg, []byte(" "))
		if len(mechanism) > 32 {
			return
		}
		// A response may go with the command (RFC 4959).
		if p.sasl = strings.ToUpper(string(mechanism)); len(first) > 0 && saslLine(s, p.sasl, first) {
			p.sasl = ""
		}
	case bytes.EqualFold(verb, []byte("APPEND")):
		if opens {
			d.use, d.message = imapMessage, p.message(s, mailNothing)
		}
	}
}

// message begins a message. The reference fills the fields of few, less.
func (p *imap) message(s *Session, reference mailNotes) *mailMessage {
	m := p.mail.newMessage(s, "imap")
	if m != nil && s.Reference {
		m.fields = reference
	}
	return m
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
func (p *imap) Gap(s *Session, dir Dir, missing int) Status {
	d := &p.dirs[s.sideOf(dir, 143)]
	d.message.gap()
	if missing > d.skip {
		d.use = imapSkip
	}
	d.skip = max(0, d.skip-missing)
	return More
}

// End implements Parser.
func (p *imap) End(s *Session, final bool) {
	if !final {
		return
	}
	p.endPartial(s)
	for i := range p.dirs {
		if d := &p.dirs[i]; d.use == imapMessage {
			d.message.end(s, false)
			d.message = nil
		}
	}
}
