package dissect

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"net/url"
	"strings"
)

// Limits of decoding compressed bodies: what is larger keeps the hashes of its
// transferred form only. A bomb expands a thousandfold.
const (
	httpMaxEncoded = 256 << 10
	httpMaxDecoded = 4 << 20
)

// httpEncoding is a content coding.
type httpEncoding uint8

const (
	encodingNone httpEncoding = iota
	encodingGzip
	encodingDeflate
)

func encodingOf(value []byte) httpEncoding {
	switch {
	case bytes.EqualFold(value, []byte("gzip")), bytes.EqualFold(value, []byte("x-gzip")):
		return encodingGzip
	case bytes.EqualFold(value, []byte("deflate")):
		return encodingDeflate
	}
	return encodingNone
}

// httpContent is what a message's head says of its body.
type httpContent struct {
	name     string // of the file that it is, by Content-Disposition
	path     string // in the URL that it was asked for by
	parts    string // Content-Type of a request with several parts
	encoding httpEncoding
	partial  bool // a range of what it is of
	request  bool
	two      bool // of HTTP/2, of whose bodies the reference has the hashes alone
}

// header takes what a header that is good for use says of the body.
func (c *httpContent) header(use headerUse, value []byte) {
	switch use {
	case useEncoding:
		c.encoding = encodingOf(value)
	case useRange:
		c.partial = true
	case useType:
		if hasPrefixFold(value, "multipart/") {
			c.parts = string(value)
		}
	case useDisposition:
		c.name = dispositionName(string(value))
	}
}

// httpBody hashes a body as it streams by; it serves one body after the other.
type httpBody struct {
	fileHash                 // its head is for the kind of body and the request's text
	first       int          // bytes of its first piece, which came with the first packet
	httpContent              // of its message
	encoded     []byte       // all bytes of a compressed body, while they are few
	form        *mailMessage // whose parts may be files
	rest        []byte       // of the form: a line that has not ended
	active      bool
	stopped     bool // its stream was reset by who receives it (HTTP/2)
}

// begin makes b ready for the next body.
func (b *httpBody) begin(s *Session, p *httpProtocol, content httpContent) {
	b.release(s)
	b.reset()
	b.httpContent, b.active, b.first = content, true, 0
	if content.request {
		b.beginForm(s, p, content.parts)
	}
}

// beginForm makes ready for a body of several parts (RFC 7578), by its Content-Type.
func (b *httpBody) beginForm(s *Session, p *httpProtocol, contentType string) {
	if contentType == "" || !s.Hold(mailMaxLine) {
		return
	}
	if b.form = p.forms.newMessage(s, "http"); b.form == nil {
		s.Hold(-mailMaxLine)
		return
	}
	b.form.fields, b.form.body = mailNothing, true
	b.form.contentType(s, contentType)
}

// endForm ends it.
func (b *httpBody) endForm(s *Session, whole bool) {
	if b.form == nil {
		return
	}
	b.form.end(s, whole)
	b.form, b.rest = nil, nil
	s.Hold(-mailMaxLine)
}

// release lets go of the bytes of a compressed body, and of a form.
func (b *httpBody) release(s *Session) {
	b.endForm(s, false)
	s.Hold(-len(b.encoded))
	b.encoded = nil
}

// write takes the next bytes of the body.
func (b *httpBody) write(s *Session, p []byte) {
	if !b.active || len(p) == 0 {
		return
	}
	if b.encoding != encodingNone && b.n == int64(len(b.encoded)) && b.n+int64(len(p)) <= httpMaxEncoded && s.Hold(len(p)) {
		b.encoded = append(b.encoded, p...)
	}
	if b.first == 0 {
		b.first = len(p)
	}
	b.fileHash.write(p, httpRequestBody)
	if b.form == nil {
		return
	}
	if b.lost {
		b.form.gap()
		b.rest = b.rest[:0]
	}
	if len(b.rest) == 0 {
		n := b.form.write(s, p)
		b.rest = append(b.rest, p[n:]...)
		return
	}
	b.rest = append(b.rest, p...)
	b.rest = append(b.rest[:0], b.rest[b.form.write(s, b.rest):]...)
}

// end notes the body. complete says that its end was seen.
func (b *httpBody) end(s *Session, p *httpProtocol, complete bool) {
	defer b.release(s)
	active := b.active
	b.active = false
	if !active || b.n == 0 {
		return
	}
	if b.form != nil {
		b.form.line(s, b.rest, true)
		b.endForm(s, complete && !b.lost)
	}
	m := magic(b.head)
	if s.Reference {
		b.referenceHead(s, p)
	} else {
		if m != "" {
			s.Doc.AddString(p.bodyMagic, m)
		}
		if b.request {
			s.Doc.AddBytes(p.requestBody, b.head)
		}
	}
	if b.isFile(m) && b.encoding == encodingNone {
		p.files.add(s, "http", b.fileName(), &b.fileHash, complete && !b.partial)
	}
	if b.lost || !complete {
		return
	}
	s.Doc.AddString(p.md5, hexSum(b.md5))
	s.Doc.AddString(p.sha256, hexSum(b.sha256))
	if b.encoding != encodingNone && b.n == int64(len(b.encoded)) {
		b.decode(s, p)
	}
}

// decode notes the body with its content coding undone. A body that is not what
// its header says, or expands too far, is left at its transferred form.
func (b *httpBody) decode(s *Session, p *httpProtocol) {
	var r io.Reader
	var err error
	switch b.encoding {
	case encodingGzip:
		r, err = gzip.NewReader(bytes.NewReader(b.encoded))
	case encodingDeflate:
		// RFC 9110 section 8.4.1.2: zlib; some servers send bare deflate.
		if r, err = zlib.NewReader(bytes.NewReader(b.encoded)); err != nil {
			r, err = flate.NewReader(bytes.NewReader(b.encoded)), nil
		}
	}
	if err != nil {
		return
	}
	b.md5.Reset()
	b.sha256.Reset()
	head := &headWriter{limit: fileHeadBytes}
	n, err := io.Copy(io.MultiWriter(b.md5, b.sha256, head), io.LimitReader(r, httpMaxDecoded+1))
	if err != nil || n > httpMaxDecoded {
		return
	}
	if m := magic(head.b); m != "" {
		s.Doc.AddString(p.decodedMagic, m)
	}
	s.Doc.AddString(p.decodedMD5, hexSum(b.md5))
	s.Doc.AddString(p.decodedSHA256, hexSum(b.sha256))
	if b.isFile(magic(head.b)) {
		b.n, b.head = n, head.b
		p.files.add(s, "http", b.fileName(), &b.fileHash, !b.partial)
	}
}

// isFile reports whether the body is noted as a file too: it was given a name, or was asked for by URL and is of a kind
// that web pages are not made of. Of all other bodies the hashes are enough: pages have many.
func (b *httpBody) isFile(kind string) bool {
	if b.name != "" {
		return true
	}
	if b.path == "" || kind == "" {
		return false
	}
	class, _, _ := strings.Cut(kind, "/")
	switch kind {
	case "application/json", "application/wasm", "application/x-shockwave-flash", "video/mp2t", "text/rtf", "text/x-script":
		return class == "text"
	}
	return class != "text" && class != "image" && class != "font"
}

// fileName returns the name of the file that the body is: the one it was given, or the last part of its path.
func (b *httpBody) fileName() string {
	if b.name != "" {
		return b.name
	}
	path, _, _ := strings.Cut(b.path, "?")
	name := baseName(path)
	if text, err := url.PathUnescape(name); err == nil {
		name = text
	}
	return name
}

// headWriter keeps the first bytes written to it.
type headWriter struct {
	b     []byte
	limit int
}

func (w *headWriter) Write(p []byte) (int, error) {
	if room := w.limit - len(w.b); room > 0 {
		w.b = append(w.b, p[:min(room, len(p))]...)
	}
	return len(p), nil
}
