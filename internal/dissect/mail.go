package dissect

import (
	"bytes"
	"strings"

	"wirelake/internal/spi"
)

// mailFields files e-mail messages (RFC 5322, MIME: RFC 2045 to 2047), for all protocols that carry them.
type mailFields struct {
	src, dst, subject, id, contentType, mimeVersion, userAgent spi.FieldID
	header, headerField, headerValue                           spi.FieldID
	host, ip, filename, md5, sha256, magic                     spi.FieldID
	files                                                      *fileFields
}

// Limits of reading a message.
const (
	maxMailHeader   = 16 << 10 // of one header, unfolded; the rest of a longer one is dropped
	maxMailHeaders  = 500
	maxMailDepth    = 8                               // multiparts in multiparts
	maxMailBoundary = 256                             // RFC 2046 section 5.1.1 allows 70
	mailHold        = maxMailHeader + fileHashBytes*2 // about what a message keeps
)

func newMailFields(r *spi.Registry) *mailFields {
	field := func(path string, t spi.Type, hot bool, name, help string, exprs ...string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: t, List: true, Exprs: exprs, Hot: hot, Name: name, Help: help, Group: "email"})
	}
	return &mailFields{
		magic:       field("email.bodyMagic", spi.Term, false, "Body magic", "kind of body found by content", "email.bodymagic"),
		contentType: field("email.contentType", spi.Term, false, "Content-Type", "Content-Type header", "email.content-type"),
		dst:         field("email.dst", spi.LoTerm, true, "Receiver", "recipients", "email.dst"),
		filename:    field("email.filename", spi.Term, true, "Filenames", "names of attachments", "email.fn"),
		header:      field("email.header", spi.LoTerm, false, "Header", "names of the headers present", "email.has-header"),
		headerField: field("email.headerField", spi.LoTerm, false, "Header field", "names of headers without a field of their own", "email.has-header.name"),
		headerValue: field("email.headerValue", spi.Term, false, "Header value", "values of headers without a field of their own", "email.has-header.value"),
		host:        field("email.host", spi.LoTerm, true, "Host", "hosts named in Received and other headers", "host.email"),
		id:          field("email.id", spi.Term, false, "Id", "Message-Id header", "email.message-id"),
		ip:          field("email.ip", spi.IP, true, "IP", "addresses in Received and client-address headers", "ip.email"),
		md5:         field("email.md5", spi.Term, false, "Attach MD5s", "MD5 of attachments", "email.md5", "md5.email"),
		mimeVersion: field("email.mimeVersion", spi.Term, false, "Mime-Version", "Mime-Version header", "email.mime-version"),
		sha256:      field("email.sha256", spi.Term, false, "Attach SHA256s", "SHA-256 of attachments", "email.sha256", "sha256.email"),
		src:         field("email.src", spi.LoTerm, true, "Sender", "senders", "email.src"),
		subject:     field("email.subject", spi.Term, true, "Subject", "subject, decoded", "email.subject"),
		userAgent:   field("email.useragent", spi.Term, false, "X-Mailer", "mail program", "email.x-mailer"),
		files:       declareFiles(r),
	}
}

// mailMessage reads one message as its lines come. All methods accept nil: a message for which there is no room.
type mailMessage struct {
	f       *mailFields
	source  string // protocol that carries the message
	fields  mailNotes
	first   int  // length of the header's first line
	body    bool // behind the headers of the message or of the part at hand
	isPart  bool // headers are those of a part
	within  bool // the next bytes go on with a line
	headers int
	name    string   // of the header at hand, lower case
	value   []byte   // of the header at hand, unfolded
	bounds  []string // of the multiparts that are open, innermost last
	part    mailPart
	decode  *mailBody
	uu      *uuFile // within the text
	partial bool    // only the first lines come
	raw     bool    // the part at hand is of bytes, not of lines
	bare    bool    // the line at hand ends with LF alone
}

// mailNotes is which fields of mails a message fills. Its files are noted always.
type mailNotes uint8

const (
	mailAll      mailNotes = iota
	mailEnvelope           // sender, receivers and subject, of their headers' first lines
	mailNothing
)

// mailPart is what the headers of a part say of its body.
type mailPart struct {
	media, encoding, name string
	attachment            bool
}

// newMessage begins a message, nil when the session has no room for one.
func (f *mailFields) newMessage(s *Session, source string) *mailMessage {
	if !s.Hold(mailHold) {
		return nil
	}
	return &mailMessage{f: f, source: source}
}

// newPart begins the body of a part whose headers are not at hand; end ends it.
func (f *mailFields) newPart(s *Session, source string, part mailPart) *mailMessage {
	m := f.newMessage(s, source)
	if m != nil {
		m.isPart, m.part = true, part
		m.raw = part.encoding != "base64" && part.encoding != "quoted-printable" && part.encoding != encodingUnknown
		m.beginBody()
	}
	return m
}

// write takes the next bytes of a message whose lines end with LF or CRLF. It returns how many it took: lines
// that have not ended wait for more, unless they are long.
func (m *mailMessage) write(s *Session, b []byte) int {
	if m.raw {
		if m.decode != nil {
			m.decode.write(b, fileHeadBytes)
		}
		return len(b)
	}
	n := 0
	for n < len(b) {
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n < mailMaxLine {
				break
			}
			m.line(s, b[n:n+mailMaxLine-1], false) // less one: a CR stays with its LF
			n += mailMaxLine - 1
			continue
		}
		m.bare = used == len(line)+1
		m.line(s, line, true)
		n += used
	}
	return n
}

// line takes a line of the message without its end, or a piece of it with ends false.
func (m *mailMessage) line(s *Session, b []byte, ends bool) {
	if m == nil {
		return
	}
	begins := !m.within
	m.within = !ends
	if m.body {
		m.bodyLine(s, b, begins)
		return
	}
	if !begins {
		if m.name != "" {
			m.value = append(m.value, b[:min(len(b), max(0, maxMailHeader-len(m.value)))]...)
		}
		return
	}
	if len(b) > 0 && (b[0] == ' ' || b[0] == '\t') && m.name != "" {
		if len(m.value)+len(b) < maxMailHeader {
			m.value = append(append(m.value, ' '), b[1:]...) // a tab reads as a space
		}
		return
	}
	m.finishHeader(s)
	if len(b) == 0 {
		m.beginBody()
		return
	}
	if name, value, ok := bytes.Cut(b, []byte(":")); ok {
		m.name = strings.ToLower(string(bytes.TrimSpace(name[:min(len(name), maxHeaderName)])))
		m.value = append(m.value[:0], value[:min(len(value), maxMailHeader)]...)
		m.first = len(m.value)
	}
}

const maxHeaderName = 256

// beginBody ends the headers of the message or of a part.
func (m *mailMessage) beginBody() {
	if strings.HasPrefix(m.part.media, "message/") && m.part.encoding != "base64" && m.isPart {
		m.part.media = "" // the headers of a message within
		return
	}
	m.body = true
	if m.part.encoding == "base64" || m.part.encoding == encodingUnknown || m.part.named() {
		m.decode = newMailBody(m.part.encoding)
	}
}

// named reports whether the part is an attachment by its headers.
func (p *mailPart) named() bool { return p.attachment || p.name != "" }

// bodyLine takes a line of a body, or a piece of it: a boundary begins or ends a part.
func (m *mailMessage) bodyLine(s *Session, b []byte, begins bool) {
	if begins && len(b) > 2 && b[0] == '-' && b[1] == '-' && len(b) < maxMailBoundary+8 {
		for i := len(m.bounds) - 1; i >= 0; i-- {
			rest, ok := bytes.CutPrefix(b[2:], []byte(m.bounds[i]))
			rest = bytes.TrimRight(rest, " \t")
			closing := string(rest) == "--"
			if !ok || len(rest) > 0 && !closing {
				continue
			}
			m.finishBody(s, true)
			m.bounds = m.bounds[:i+1]
			m.part = mailPart{}
			if closing {
				m.bounds = m.bounds[:i]
				return
			}
			m.isPart, m.body = true, false
			return
		}
	}
	if m.decode != nil {
		m.decode.line(b, begins, m.bare)
		return
	}
	m.uuLine(s, b, begins)
}

// gap says that bytes are missing.
func (m *mailMessage) gap() {
	if m == nil {
		return
	}
	m.within = false
	if m.decode != nil {
		m.decode.lost = true
	}
	if m.uu != nil {
		m.uu.lost = true
	}
}

// end closes the message. whole says that it ended by itself.
func (m *mailMessage) end(s *Session, whole bool) {
	if m == nil {
		return
	}
	m.finishHeader(s)
	m.finishBody(s, whole && !m.partial)
	s.Hold(-mailHold)
}

// finishBody notes the part that ended, if it was an attachment.
func (m *mailMessage) finishBody(s *Session, whole bool) {
	m.endUU(s, false)
	b := m.decode
	m.decode = nil
	if b == nil {
		return
	}
	b.finish()
	if b.n == 0 {
		return
	}
	if m.part.named() || !strings.HasPrefix(m.part.media, "text/") {
		m.f.files.add(s, m.source, m.part.name, &b.fileHash, whole)
	}
	if m.fields != mailAll || m.part.encoding != "base64" && s.Reference { // which hashes no others
		return
	}
	if kind := magic(b.head); kind != "" {
		s.Doc.AddString(m.f.magic, kind)
	}
	if whole && !b.lost {
		s.Doc.AddString(m.f.md5, hexSum(b.md5))
		s.Doc.AddString(m.f.sha256, hexSum(b.sha256))
	}
}
