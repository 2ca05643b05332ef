package dissect

import (
	"bytes"
	"unicode/utf8"

	"wirelake/internal/spi"
)

// referenceTarget is noteTarget as the reference does it, behind the host: a target stays as it stands in the request,
// with its scheme and as the path too, is joined with the host in lower case, and is taken apart only where there is a
// host.
func (p *httpProtocol) referenceTarget(s *Session, host, target []byte) {
	path, query, _ := bytes.Cut(target, []byte("?"))
	noteHTTPService(s, path)
	if host == nil {
		s.Doc.AddBytes(p.uri, target)
		return
	}
	host = bytes.ToLower(host)
	const scheme = len("https://")
	switch at := bytes.Index(target, host); {
	case bytes.HasPrefix(target, []byte("/")):
		s.Doc.AddString(p.uri, string(host)+string(target))
	case at >= 0 && at <= scheme: // the host that the target names, as proxies are asked
		s.Doc.AddBytes(p.uri, target)
	default:
		s.Doc.AddString(p.uri, string(host)+";"+string(target))
	}
	s.Doc.AddBytes(p.path, path)
	p.referenceQuery(s, query)
}

// referenceQuery notes keys and values of a query string. What follows another '=' is another value, and a key at
// the end needs one.
func (p *httpProtocol) referenceQuery(s *Session, query []byte) {
	note := func(field spi.FieldID, text []byte) {
		if len(text) > 0 {
			s.Doc.AddBytes(field, percentDecodeWhole(text))
		}
	}
	start, field := 0, p.key
	for i, c := range query {
		if c != '&' && c != '=' {
			continue
		}
		note(field, query[start:i])
		if start, field = i+1, p.key; c == '=' {
			field = p.value
		}
	}
	if field == p.value {
		note(field, query[start:])
	}
}

// percentDecodeWhole undoes percent-encoding unless some of it is not valid, or stands for a zero.
func percentDecodeWhole(b []byte) []byte {
	for rest := b; ; {
		_, after, ok := bytes.Cut(rest, []byte("%"))
		if !ok {
			return percentDecode(b)
		}
		if len(after) < 2 || unhex(after[0]) > 15 || unhex(after[1]) > 15 || after[0] == '0' && after[1] == '0' {
			return b
		}
		rest = after[2:]
	}
}

// referenceCookies notes cookies: a name goes to the next '=', wherever that is, and its value to the next ';'.
func (p *httpProtocol) referenceCookies(s *Session, value []byte) {
	for rest, more := value, true; more; {
		name, after, ok := bytes.Cut(bytes.TrimLeft(rest, " \t"), []byte("="))
		if !ok {
			return
		}
		if len(name) > 0 {
			s.Doc.AddBytes(p.cookieKey, name)
		}
		value, rest, more = bytes.Cut(after, []byte(";"))
		if value = bytes.TrimLeft(value, " \t"); len(value) > 0 {
			s.Doc.AddBytes(p.cookieValue, value)
		}
	}
}

// referenceHead notes what the reference takes of a body's beginning: it looks at the first piece alone, and keeps that of
// a request when it is short and text.
func (b *httpBody) referenceHead(s *Session, p *httpProtocol) {
	if b.two {
		return
	}
	piece := b.head[:min(b.first, len(b.head))]
	if m := magic(piece); m != "" {
		s.Doc.AddString(p.bodyMagic, m)
	}
	if bytes.Contains(piece, []byte("password=")) {
		s.AddTag("http:password")
	}
	if b.request && b.first <= httpRequestBody && utf8.Valid(piece) && bytes.IndexByte(piece, 0) < 0 {
		s.Doc.AddBytes(p.requestBody, piece)
	}
}

// referenceValue returns the value of a header as the reference has it: lines that go on with it are joined as they are, and
// blanks behind it stay.
func referenceValue(value []byte) []byte { return bytes.TrimLeft(value, " \t\n\v\f\r") }
