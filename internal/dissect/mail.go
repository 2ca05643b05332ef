package dissect

import (
	"bytes"
	"crypto/md5" //nolint:gosec // an identity that others list
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"mime"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/text/encoding/htmlindex"

	"wirelake/internal/spi"
)

// mailFields files e-mail messages (RFC 5322, MIME: RFC 2045 to 2047).
type mailFields struct {
	src, dst, subject, id, contentType, mimeVersion, userAgent spi.FieldID
	header, headerField, headerValue                           spi.FieldID
	host, ip, filename, md5, sha256, magic                     spi.FieldID
}

const (
	maxMailHeader  = 16 << 10 // of one header, unfolded; the rest of a longer one is dropped
	maxMailHeaders = 500
	maxMailDepth   = 8 // multiparts in multiparts
)

func newMailFields(r *spi.Registry) *mailFields {
	field := func(path string, t spi.Type, hot bool, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: path, Type: t, List: true, Exprs: []string{expr}, Hot: hot, Name: name, Help: help, Group: "email"})
	}
	return &mailFields{
		magic:       field("email.bodyMagic", spi.Term, false, "email.bodymagic", "Body magic", "kind of body found by content"),
		contentType: field("email.contentType", spi.Term, false, "email.content-type", "Content-Type", "Content-Type header"),
		dst:         field("email.dst", spi.LoTerm, true, "email.dst", "Receiver", "recipients"),
		filename:    field("email.filename", spi.Term, true, "email.fn", "Filenames", "names of attachments"),
		header:      field("email.header", spi.LoTerm, false, "email.has-header", "Header", "names of the headers present"),
		headerField: field("email.headerField", spi.LoTerm, false, "email.has-header.name", "Header field", "names of headers without a field of their own"),
		headerValue: field("email.headerValue", spi.Term, false, "email.has-header.value", "Header value", "values of headers without a field of their own"),
		host:        field("email.host", spi.LoTerm, true, "host.email", "Host", "hosts named in Received and other headers"),
		id:          field("email.id", spi.Term, false, "email.message-id", "Id", "Message-Id header"),
		ip:          field("email.ip", spi.IP, true, "ip.email", "IP", "addresses in Received and client-address headers"),
		md5:         field("email.md5", spi.Term, false, "email.md5", "Attach MD5s", "MD5 of attachments"),
		mimeVersion: field("email.mimeVersion", spi.Term, false, "email.mime-version", "Mime-Version", "Mime-Version header"),
		sha256:      field("email.sha256", spi.Term, false, "email.sha256", "Attach SHA256s", "SHA-256 of attachments"),
		src:         field("email.src", spi.LoTerm, true, "email.src", "Sender", "senders"),
		subject:     field("email.subject", spi.Term, true, "email.subject", "Subject", "subject, decoded"),
		userAgent:   field("email.useragent", spi.Term, false, "email.x-mailer", "X-Mailer", "mail program"),
	}
}

// mailMessage reads one message line by line.
type mailMessage struct {
	f        *mailFields
	body     bool   // behind the headers of the message or of the part at hand
	part     bool   // headers are those of a part
	name     string // of the header at hand, lower case
	value    []byte // of the header at hand, unfolded
	headers  int
	bounds   []string // of the multiparts that are open, innermost last
	encoding string   // of the part at hand
	decode   *mailBody
}

// mailBody hashes a base64 part as its lines come.
type mailBody struct {
	left   []byte // characters short of a group of four
	md5    hash.Hash
	sha256 hash.Hash
	head   []byte // first bytes, for the kind of content
	n      int
}

// line takes a line of the message, without its end.
func (m *mailMessage) line(s *Session, b []byte) {
	if m.body {
		m.bodyLine(s, b)
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
		m.body = true
		if m.encoding == "base64" {
			m.decode = &mailBody{md5: md5.New(), sha256: sha256.New()} //nolint:gosec // an identity
		}
		return
	}
	if name, value, ok := bytes.Cut(b, []byte(":")); ok {
		m.name = strings.ToLower(string(bytes.TrimSpace(name)))
		m.value = append(m.value[:0], value[:min(len(value), maxMailHeader)]...)
	}
}

func (m *mailMessage) finishHeader(s *Session) {
	if m.name == "" {
		return
	}
	name, value := m.name, strings.TrimSpace(string(m.value))
	m.name = ""
	if m.headers++; m.headers > maxMailHeaders {
		return
	}
	switch name {
	case "content-type":
		m.contentType(s, value)
	case "content-transfer-encoding":
		m.encoding = strings.ToLower(value)
	case "content-disposition":
		if _, params, err := mime.ParseMediaType(value); err == nil {
			m.addFilename(s, params["filename"])
		}
	}
	if !m.part {
		m.f.header1(s, name, value)
	}
}

// header1 files a header of the message itself.
func (f *mailFields) header1(s *Session, name, value string) {
	d := s.Doc
	d.AddString(f.header, name)
	switch name {
	case "from":
		f.addresses(d, f.src, value)
	case "to", "cc", "bcc":
		f.addresses(d, f.dst, value)
	case "subject":
		d.AddString(f.subject, decodeWords(value))
	case "message-id":
		d.AddString(f.id, strings.Trim(value, "<>"))
	case "content-type":
		d.AddString(f.contentType, value)
	case "mime-version":
		d.AddString(f.mimeVersion, value)
	case "x-mailer", "user-agent":
		d.AddString(f.userAgent, value)
	case "received":
		f.received(d, value)
	case "x-originating-ip", "x-barracuda-apparent-source-ip":
		if a, ok := looseAddr(strings.Trim(value, "[] ")); ok {
			d.AddIP(f.ip, a)
		}
	default:
		d.AddString(f.headerField, name)
		d.AddString(f.headerValue, value)
	}
}

func (m *mailMessage) contentType(s *Session, value string) {
	media, params, err := mime.ParseMediaType(value)
	if err != nil {
		return
	}
	if strings.HasPrefix(media, "multipart/") && params["boundary"] != "" && len(m.bounds) < maxMailDepth {
		m.bounds = append(m.bounds, params["boundary"])
	}
	m.addFilename(s, params["name"])
}

func (m *mailMessage) addFilename(s *Session, name string) {
	if name != "" {
		s.Doc.AddString(m.f.filename, decodeWords(name))
	}
}

// bodyLine takes a line of a body: a boundary begins or ends a part.
func (m *mailMessage) bodyLine(s *Session, b []byte) {
	if bytes.HasPrefix(b, []byte("--")) {
		for i := len(m.bounds) - 1; i >= 0; i-- {
			rest, ok := bytes.CutPrefix(b[2:], []byte(m.bounds[i]))
			if !ok {
				continue
			}
			m.finishBody(s)
			m.bounds = m.bounds[:i+1]
			m.encoding = ""
			if bytes.HasPrefix(rest, []byte("--")) {
				m.bounds = m.bounds[:i]
				return
			}
			m.part, m.body = true, false
			return
		}
	}
	if m.decode != nil {
		m.decode.write(b)
	}
}

// end closes the message.
func (m *mailMessage) end(s *Session) {
	m.finishHeader(s)
	m.finishBody(s)
}

func (m *mailMessage) finishBody(s *Session) {
	b := m.decode
	m.decode = nil
	if b == nil || b.n == 0 {
		return
	}
	s.Doc.AddString(m.f.md5, hex.EncodeToString(b.md5.Sum(nil)))
	s.Doc.AddString(m.f.sha256, hex.EncodeToString(b.sha256.Sum(nil)))
	if kind := magic(b.head); kind != "" {
		s.Doc.AddString(m.f.magic, kind)
	}
}

// write decodes one line of base64 (RFC 2045 section 6.8) into the hashes.
func (b *mailBody) write(line []byte) {
	for _, c := range line {
		if isAlnum(c) || c == '+' || c == '/' || c == '=' {
			b.left = append(b.left, c)
		}
	}
	whole := len(b.left) / 4 * 4
	out := make([]byte, base64.StdEncoding.DecodedLen(whole))
	n, _ := base64.StdEncoding.Decode(out, b.left[:whole]) // what is before the damage counts
	b.left = append(b.left[:0], b.left[whole:]...)
	out = out[:n]
	b.n += n
	b.md5.Write(out)
	b.sha256.Write(out)
	if room := 512 - len(b.head); room > 0 {
		b.head = append(b.head, out[:min(room, len(out))]...)
	}
}

// addresses files the mailboxes of a header (RFC 5322 section 3.4).
func (f *mailFields) addresses(d *spi.Document, field spi.FieldID, value string) {
	quoted := false
	start := 0
	for i := 0; i <= len(value); i++ {
		if i < len(value) && value[i] == '"' {
			quoted = !quoted
		}
		if i < len(value) && (value[i] != ',' || quoted) {
			continue
		}
		if a := mailbox(value[start:i]); a != "" {
			d.AddString(field, a)
		}
		start = i + 1
	}
}

// mailbox returns the address of "Name <address>" or "address (comment)".
func mailbox(text string) string {
	if at := strings.LastIndexByte(text, '<'); at >= 0 {
		text, _, _ = strings.Cut(text[at+1:], ">")
	} else {
		text, _, _ = strings.Cut(text, "(")
	}
	return strings.Trim(text, " \t\"'")
}

// received files who sent and who took the message (RFC 5321 section 4.4).
func (f *mailFields) received(d *spi.Document, value string) {
	words := strings.Fields(value)
	for i := 0; i+1 < len(words); i++ {
		if !strings.EqualFold(words[i], "from") && !strings.EqualFold(words[i], "by") {
			continue
		}
		name := strings.Trim(words[i+1], "();,")
		if at := strings.LastIndexByte(name, '@'); at >= 0 {
			name = name[at+1:]
		}
		if name != "" && name[0] != '[' {
			d.AddString(f.host, name)
		}
	}
	for rest := value; ; {
		_, after, ok := strings.Cut(rest, "[")
		if !ok {
			return
		}
		var inside string
		inside, rest, _ = strings.Cut(after, "]")
		if a, ok := looseAddr(strings.TrimPrefix(inside, "IPv6:")); ok {
			d.AddIP(f.ip, a)
		}
	}
}

// looseAddr reads an address whose IPv4 parts may have leading zeros, as mailers write them.
func looseAddr(text string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(text); err == nil {
		return a, true
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return netip.Addr{}, false
	}
	var b [4]byte
	for i, p := range parts {
		n, err := strconv.ParseUint(p, 10, 8)
		if err != nil {
			return netip.Addr{}, false
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), true
}

// decodeWords decodes encoded words (RFC 2047) of any charset that browsers
// know; what cannot be decoded stays as it is.
func decodeWords(text string) string {
	dec := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		e, err := htmlindex.Get(charset)
		if err != nil {
			return nil, fmt.Errorf("charset %q: %w", charset, err)
		}
		return e.NewDecoder().Reader(in), nil
	}}
	out, err := dec.DecodeHeader(text)
	if err != nil {
		return text
	}
	return out
}
