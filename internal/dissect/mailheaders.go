package dissect

import (
	"fmt"
	"io"
	"mime"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"

	"wirelake/internal/spi"
)

// finishHeader takes the header at hand, which is complete.
func (m *mailMessage) finishHeader(s *Session) {
	if m.name == "" {
		return
	}
	name, value := m.name, strings.TrimLeft(mailText(m.value), " \t")
	m.name = ""
	if m.headers++; m.headers > maxMailHeaders {
		return
	}
	if m.fields == mailEnvelope && !m.isPart {
		m.f.envelope(s.Doc, name, strings.TrimLeft(mailText(m.value[:min(m.first, len(m.value))]), " \t"))
	}
	value = strings.TrimRight(value, " \t\r")
	switch name {
	case "content-type":
		m.contentType(s, value)
	case "content-transfer-encoding":
		m.part.encoding = strings.ToLower(value)
	case "content-disposition":
		m.part.attachment = hasPrefixFold([]byte(value), "attachment")
		if name := dispositionName(value); name != "" {
			m.part.name = "" // it says more than the name in Content-Type
			m.addFilename(s, name)
		}
	}
	if m.fields == mailAll && !m.isPart {
		m.f.header1(s, name, value)
	}
}

// mailText returns the text of a header. Bytes that are not UTF-8 (RFC 6532) are taken for Windows-1252, which
// programs that never heard of RFC 2047 send.
func mailText(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	text, err := charmap.Windows1252.NewDecoder().Bytes(b)
	if err != nil {
		return string(b)
	}
	return string(text)
}

// envelope files sender, receivers and subject.
func (f *mailFields) envelope(d *spi.Document, name, value string) {
	switch name {
	case "from":
		f.addresses(d, f.src, value)
	case "to", "cc":
		f.addresses(d, f.dst, value)
	case "subject":
		d.AddString(f.subject, decodeWords(value))
	}
}

// header1 files a header of the message itself.
func (f *mailFields) header1(s *Session, name, value string) {
	d := s.Doc
	d.AddString(f.header, name)
	addresses := f.addresses
	if s.Reference {
		addresses = f.referenceAddresses
	}
	switch name {
	case "from":
		addresses(d, f.src, value)
	case "to", "cc", "bcc":
		addresses(d, f.dst, value)
	case "subject":
		if s.Reference {
			d.AddString(f.subject, decodeWordsKeeping(value))
		} else {
			d.AddString(f.subject, decodeWords(value))
		}
	case "message-id":
		id, _, _ := strings.Cut(strings.TrimPrefix(value, "<"), ">") // some say behind it who made it
		d.AddString(f.id, id)
	case "content-type":
		d.AddString(f.contentType, value)
	case "mime-version":
		d.AddString(f.mimeVersion, value)
	case "x-mailer", "user-agent":
		d.AddString(f.userAgent, value)
	case "received":
		f.received(s, value)
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
	media, boundary, name := mediaType(value)
	m.part.media = media
	if strings.HasPrefix(media, "multipart/") && boundary != "" && len(boundary) <= maxMailBoundary && len(m.bounds) < maxMailDepth {
		m.bounds = append(m.bounds, boundary)
	}
	m.addFilename(s, name)
}

func (m *mailMessage) addFilename(s *Session, name string) {
	if name == "" {
		return
	}
	name = decodeWords(name)
	if m.part.name == "" {
		m.part.name = baseName(name)
	}
	if m.fields == mailAll {
		s.Doc.AddString(m.f.filename, name[:min(len(name), maxFileName)])
	}
}

// mediaType reads a Content-Type header (RFC 2045 section 5.1).
func mediaType(value string) (media, boundary, name string) {
	media, params, err := mime.ParseMediaType(value)
	if err == nil {
		return media, params["boundary"], params["name"]
	}
	media, _, _ = strings.Cut(value, ";")
	return strings.ToLower(strings.TrimSpace(media)), looseParam(value, "boundary"), looseParam(value, "name")
}

// dispositionName returns the name in a Content-Disposition header (RFC 2183, RFC 6266), "" for none.
func dispositionName(value string) string {
	if _, params, err := mime.ParseMediaType(value); err == nil {
		return params["filename"]
	}
	return looseParam(value, "filename")
}

// looseParam returns a parameter of a header that is not well-formed.
func looseParam(value, name string) string {
	for _, param := range strings.Split(value, ";") {
		k, v, ok := strings.Cut(param, "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.Trim(v, " \t\"'")
		}
	}
	return ""
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

// referenceAddresses is addresses as the reference does it: only a name in front that is in quotes is no part of an
// address without brackets.
func (f *mailFields) referenceAddresses(d *spi.Document, field spi.FieldID, value string) {
	for value != "" {
		value = strings.TrimLeft(value, " \t")
		if name, ok := strings.CutPrefix(value, `"`); ok {
			_, value, _ = strings.Cut(name, `"`)
			value = strings.TrimLeft(value, " \t")
		}
		address, _, _ := strings.Cut(value, ",")
		if at := strings.IndexByte(address, '<'); at >= 0 {
			address, value, _ = strings.Cut(value[at+1:], ">")
		}
		d.AddString(field, address)
		_, value, _ = strings.Cut(value, ",")
	}
}

// mailbox returns the address of "Name <address>" or "address (comment)".
func mailbox(text string) string {
	if at := strings.LastIndexByte(text, '<'); at >= 0 {
		text, _, _ = strings.Cut(text[at+1:], ">")
	} else {
		text, _, _ = strings.Cut(text, "(")
		if text = strings.TrimSpace(text); strings.HasPrefix(text, `"`) && !strings.Contains(text, "@") {
			return "" // a name whose address is not at hand
		}
	}
	return strings.Trim(text, " \t\"'")
}

// received files who sent and who took the message (RFC 5321 section 4.4).
func (f *mailFields) received(s *Session, value string) {
	d := s.Doc
	words := strings.Fields(value)
	for i := 0; i+1 < len(words); i++ {
		if word := strings.TrimLeft(words[i], "("); !strings.EqualFold(word, "from") && !strings.EqualFold(word, "by") {
			continue
		}
		name := strings.Trim(words[i+1], "();,")
		if at := strings.LastIndexByte(name, '@'); at >= 0 {
			name = name[at+1:]
		}
		if a, ok := looseAddr(name); ok && !s.Reference { // such as "by 10.0.0.1 with SMTP", a host to the reference
			d.AddIP(f.ip, a)
		} else if name != "" && name[0] != '[' {
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

// decodeWords decodes encoded words (RFC 2047, with RFC 2231's languages) of any charset that browsers
// know, and takes the others' bytes as mailText does; what cannot be decoded stays as it is.
func decodeWords(text string) string {
	dec := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		charset, _, _ = strings.Cut(charset, "*")
		if e, err := htmlindex.Get(charset); err == nil {
			return e.NewDecoder().Reader(in), nil
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return nil, fmt.Errorf("charset %q: %w", charset, err)
		}
		return strings.NewReader(mailText(b)), nil
	}}
	out, err := dec.DecodeHeader(text)
	if err != nil {
		return text
	}
	return out
}

// decodeWordsKeeping is decodeWords as the reference does it: between encoded words it drops one space, and keeps two
// or more, which RFC 2047 section 6.2 drops.
func decodeWordsKeeping(text string) string {
	var out strings.Builder
	for {
		i := strings.Index(text, "?=  ")
		if i < 0 {
			break
		}
		word, rest := text[:i+2], text[i+2:]
		next := strings.TrimLeft(rest, " ")
		out.WriteString(decodeWords(word))
		out.WriteString(rest[:len(rest)-len(next)])
		text = next
	}
	out.WriteString(decodeWords(text))
	return out.String()
}
