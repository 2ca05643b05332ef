package dissect

import (
	"bytes"
	"encoding/base64"
	"net/netip"
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// startLine reads a request line from the client or a status line from the server.
func (h *http) startLine(s *Session, dir Dir, line []byte) bool {
	if bytes.HasPrefix(line, []byte("HTTP/")) {
		return h.statusLine(s, dir, line)
	}
	method, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || !isToken(method) {
		return false
	}
	target, version, ok := cutLast(rest, ' ')
	if !ok || !bytes.HasPrefix(version, []byte("HTTP/")) || len(version) > 8 {
		return false
	}
	if s.Reference && bytes.HasPrefix(method, []byte("RPC_")) { // it knows where these go, and does not read them
		noteHTTPService(s, target)
		return false
	}
	target = bytes.TrimSpace(target)
	if s.Reference && bytes.IndexByte(target, ' ') >= 0 { // which it does not take for HTTP
		return false
	}
	d := &h.dirs[dir]
	d.reset()
	d.state, d.length, d.version = httpHeaders, -1, string(version[5:])
	h.asks = dir
	h.request = httpRequest{method: string(method), target: append(h.request.target[:0], target...), host: h.request.host[:0]}
	if !s.Reference {
		h.noteStart(s, d)
	}
	return true
}

// noteStart notes the start line of the message at hand. The reference tells of it when the headers are complete.
func (h *http) noteStart(s *Session, d *httpDir) {
	if d.status != 0 {
		s.Doc.AddInt(h.p.status, int64(d.status))
		s.Doc.AddString(h.p.version[Server], d.version)
		return
	}
	s.Doc.AddString(h.p.method, h.request.method)
	if f, ok := h.p.methods[h.request.method]; ok {
		h.count(f)
	}
	s.Doc.AddString(h.p.version[Client], d.version)
}

// side returns whose headers and body the message at hand has: what it is decides, whoever began the session. To the
// reference all is a request's that comes from where the latest request came, at first from the source.
func (h *http) side(s *Session, dir Dir) Dir {
	if h.dirs[dir].status == 0 || s.Reference && dir == h.asks {
		return Client
	}
	return Server
}

// count counts a request of the method that has the field.
func (h *http) count(f spi.FieldID) {
	for i := range h.counts {
		if h.counts[i].field == f {
			h.counts[i].n++
			return
		}
	}
	h.counts = append(h.counts, httpCount{f, 1})
}

// leave hands the connection to another protocol, for good.
func (h *http) leave(s *Session, protocol string) bool {
	h.left = true
	s.Handover(protocol)
	return true
}

func (h *http) statusLine(s *Session, dir Dir, line []byte) bool {
	version, rest, ok := bytes.Cut(line[5:], []byte(" "))
	rest = bytes.TrimLeft(rest, " ")
	if !ok || len(rest) < 3 || len(version) > 3 {
		return false
	}
	code, err := strconv.Atoi(string(rest[:3]))
	if err != nil || code < 100 {
		return false
	}
	d := &h.dirs[dir]
	d.reset()
	d.state, d.length, d.status, d.version = httpHeaders, -1, code, string(version)
	if !s.Reference {
		h.noteStart(s, d)
	}
	return true
}

func cutLast(b []byte, sep byte) (before, after []byte, ok bool) {
	if i := bytes.LastIndexByte(b, sep); i >= 0 {
		return b[:i], b[i+1:], true
	}
	return b, nil, false
}

// isToken reports whether b looks like a method: up to 24 upper-case letters, '-' and '_'.
func isToken(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) > 0 && len(b) <= 24
}

// header reads a header line.
func (h *http) header(s *Session, dir Dir, line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) == 0 || len(name) > 256 {
		return
	}
	var lower [256]byte
	n := copy(lower[:], name)
	for i, c := range lower[:n] {
		if c >= 'A' && c <= 'Z' {
			lower[i] = c + 0x20
		}
	}
	name = bytes.TrimSpace(lower[:n])
	raw := value
	value = bytes.TrimSpace(raw)
	noted := value
	if s.Reference {
		noted = referenceValue(raw)
	}

	d := &h.dirs[dir]
	use := h.p.noteHeader(s, h.side(s, dir), name, noted)
	d.content.header(use, value)
	switch use {
	case useHost:
		h.request.host = append(h.request.host[:0], noted...)
		h.request.hasHost = true
	case useLength:
		if n, err := strconv.ParseInt(string(value), 10, 64); err == nil && n >= 0 {
			d.length = n
		}
	case useTransfer:
		d.chunked = hasSuffixFold(value, "chunked")
	case useUpgrade:
		d.upgrade = bytes.EqualFold(value, []byte("websocket"))
	}
}

// noteHeader notes a header of a request (side Client) or a response, whose name
// is in lower case, and returns what else it is good for.
func (p *httpProtocol) noteHeader(s *Session, side Dir, name, value []byte) headerUse {
	use := p.asks[side][string(name)]
	noteDoH(s, name, value)
	s.Doc.AddBytes(p.header[side], name)
	if !use.alone() {
		s.Doc.AddBytes(p.headerField[side], name)
		s.Doc.AddString(p.headerValue[side], strings.ToLower(string(value)))
	}
	switch use {
	case useUserAgent:
		s.Doc.AddBytes(p.userAgent, value)
	case useReferer:
		s.Doc.AddBytes(p.referer, value)
	case useLocation:
		s.Doc.AddBytes(p.location, value)
	case useAuthorization:
		s.Doc.AddBytes(p.authorization, value)
		p.noteCredentials(s, value)
	case useProxyAuthorization: // the reference tells of servers
		if !s.Reference {
			p.noteCredentials(s, value)
		}
	case useAuthenticate:
		if scheme, rest, _ := bytes.Cut(value, []byte(" ")); carriesNTLM(scheme) {
			p.ntlm.findBase64(s, bytes.TrimSpace(rest))
		}
	case useForwarded:
		for part := range bytes.SplitSeq(value, []byte(",")) {
			if !s.Reference { // which finds no address beside a blank
				part = bytes.TrimSpace(part)
			}
			if a, err := netip.ParseAddr(string(part)); err == nil {
				s.Doc.AddIP(p.xffIP, a)
			}
		}
	case useCookie:
		if s.Reference {
			p.referenceCookies(s, value)
			break
		}
		for part := range bytes.SplitSeq(value, []byte(";")) {
			k, v, _ := bytes.Cut(bytes.TrimSpace(part), []byte("="))
			if len(k) > 0 {
				s.Doc.AddBytes(p.cookieKey, k)
			}
			if len(v) > 0 {
				s.Doc.AddBytes(p.cookieValue, v)
			}
		}
	}
	return use
}

func hasSuffixFold(b []byte, lower string) bool {
	return len(b) >= len(lower) && bytes.EqualFold(b[len(b)-len(lower):], []byte(lower))
}

// carriesNTLM reports whether an authentication scheme may carry NTLM (RFC 4559).
func carriesNTLM(scheme []byte) bool {
	return bytes.EqualFold(scheme, []byte("NTLM")) || bytes.EqualFold(scheme, []byte("Negotiate"))
}

// noteCredentials notes the scheme and, where the scheme shows it, the user (RFC 7617, 7616).
func (p *httpProtocol) noteCredentials(s *Session, value []byte) {
	scheme, rest, more := bytes.Cut(value, []byte(" "))
	if s.Reference && !more { // it tells of no scheme that nothing follows
		return
	}
	s.Doc.AddString(p.authType, string(scheme))
	if carriesNTLM(scheme) {
		p.ntlm.findBase64(s, bytes.TrimSpace(rest))
		return
	}
	switch strings.ToLower(string(scheme)) {
	case "basic":
		text, err := base64.RawStdEncoding.DecodeString(string(bytes.TrimRight(bytes.TrimSpace(rest), "="))) // some leave the padding out
		if err != nil {
			return
		}
		if user, _, ok := bytes.Cut(text, []byte(":")); ok && len(user) > 0 {
			s.Doc.AddBytes(p.user, user)
		}
	case "digest":
		if user := digestUser(rest); len(user) > 0 {
			s.Doc.AddBytes(p.user, user)
		}
	}
}

// digestUser returns the user of digest credentials (RFC 7616 section 3.4), in quotes or, as some send it, without.
func digestUser(credentials []byte) []byte {
	for part := range bytes.SplitSeq(credentials, []byte(",")) {
		name, value, _ := bytes.Cut(part, []byte("="))
		if !bytes.EqualFold(bytes.TrimSpace(name), []byte("username")) {
			continue
		}
		if value = bytes.TrimSpace(value); len(value) == 0 || value[0] != '"' {
			return value
		}
		_, value, _ = bytes.Cut(credentials, part[:len(part)-len(value)]) // it may hold commas
		user, _, closed := bytes.Cut(value[1:], []byte(`"`))
		if !closed {
			return nil
		}
		return user
	}
	return nil
}

// headersEnd acts on a complete head. It returns true when the rest of the
// session is another protocol's.
func (h *http) headersEnd(s *Session, dir Dir) bool {
	d := &h.dirs[dir]
	if s.Reference {
		h.noteStart(s, d)
	}
	if d.status == 0 {
		return h.requestEnd(s, dir)
	}
	kind := byte(pendingPlain)
	if len(h.pending) > 0 {
		kind = h.pending[0]
		if d.status >= 200 || d.status == 101 { // other 1xx go before the response
			h.pending = h.pending[1:]
		}
	}
	switch {
	case d.status == 101 && d.upgrade && h.upgrade:
		return h.leave(s, "websocket")
	case d.status == 101 && s.set.byName["http2"] != nil && !d.upgrade:
		return h.leave(s, "http2")
	case kind == pendingConnect && d.status/100 == 2:
		s.Handover("")
		return true
	case kind == pendingHead || d.status/100 == 1 || d.status == 204 || d.status == 304:
		d.reset() // no body, whatever the headers say (RFC 9112 section 6.3)
	case d.length == 0 && !d.chunked:
		d.reset()
	case d.chunked:
		h.beginBody(s, dir, httpChunkSize)
	case d.length > 0:
		d.remaining = d.length
		h.beginBody(s, dir, httpBodyLength)
	default:
		h.beginBody(s, dir, httpBodyClose)
	}
	return false
}

// asked returns the path of the request that a response answers, if it has a file: "" when later requests came before the response, whose
// paths are not kept.
func (h *http) asked(d *httpDir) string {
	if len(h.pending) > 0 || d.status/100 != 2 || h.request.method != "GET" {
		return ""
	}
	return string(h.request.target[:min(len(h.request.target), maxFileName)])
}

// headersCut notes what a request asks for whose headers end in what was not captured. The reference does not.
func (h *http) headersCut(s *Session, d *httpDir) {
	if d.state == httpHeaders && d.status == 0 && !s.Reference {
		h.noteRequest(s)
	}
}

func (h *http) noteRequest(s *Session) {
	var host []byte
	if h.request.hasHost {
		host = append([]byte{}, h.request.host...)
	}
	h.p.noteTarget(s, host, h.request.target)
}

// requestEnd notes what a complete request asks for.
func (h *http) requestEnd(s *Session, dir Dir) bool {
	d := &h.dirs[dir]
	h.noteRequest(s)
	kind := byte(pendingPlain)
	switch h.request.method {
	case "HEAD":
		kind = pendingHead
	case "CONNECT":
		kind = pendingConnect
	case "PRI": // the connection preface of HTTP/2 (RFC 9113 section 3.4): its second half and frames follow
		return h.leave(s, "http2")
	}
	if len(h.pending) < httpMaxPending {
		h.pending = append(h.pending, kind)
	}
	h.upgrade = h.upgrade || d.upgrade
	switch {
	case d.chunked:
		h.beginBody(s, dir, httpChunkSize)
	case d.length > 0:
		d.remaining = d.length
		h.beginBody(s, dir, httpBodyLength)
	default:
		d.reset()
	}
	return false
}

// noteTarget notes host, URI, path and query of a complete request. Host is nil
// when the request has none.
func (p *httpProtocol) noteTarget(s *Session, host, target []byte) {
	if host != nil {
		s.Doc.AddBytes(p.host, host)
		if i := bytes.LastIndexByte(host, ':'); i > 0 && bytes.IndexByte(host, ']') < i {
			s.Doc.AddBytes(p.host, host[:i])
		}
	}
	if s.Reference && !s.HasProtocol("http2") {
		p.referenceTarget(s, host, target)
		return
	}
	hasHost := host != nil
	if i := bytes.Index(target, []byte("://")); i > 0 && i < 8 { // absolute form, as to proxies
		target = target[i+3:]
		host = nil
		if name, _, _ := bytes.Cut(target, []byte("/")); !hasHost {
			s.Doc.AddBytes(p.host, name)
		}
	}
	var path []byte
	switch {
	case len(target) > 0 && target[0] == '/':
		if !s.Reference || !s.HasProtocol("http2") { // of which it has host and path alone
			s.Doc.AddString(p.uri, string(host)+string(target))
		}
		path = target
	default:
		s.Doc.AddBytes(p.uri, target)
		if i := bytes.IndexByte(target, '/'); i >= 0 && host == nil {
			path = target[i:]
		}
	}
	if path == nil {
		return
	}
	path, query, _ := bytes.Cut(path, []byte("?"))
	s.Doc.AddBytes(p.path, path)
	noteHTTPService(s, path)
	for part := range bytes.SplitSeq(query, []byte("&")) {
		k, v, _ := bytes.Cut(part, []byte("="))
		if len(k) > 0 {
			s.Doc.AddBytes(p.key, percentDecode(k))
		}
		if len(v) > 0 {
			s.Doc.AddBytes(p.value, percentDecode(v))
		}
	}
}

// percentDecode undoes percent-encoding (RFC 3986 section 2.1); what is not valid stays as it is.
func percentDecode(b []byte) []byte {
	if bytes.IndexByte(b, '%') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] == '%' && i+2 < len(b) {
			hi, lo := unhex(b[i+1]), unhex(b[i+2])
			if hi < 16 && lo < 16 {
				out = append(out, hi<<4|lo)
				i += 2
				continue
			}
		}
		out = append(out, b[i])
	}
	return out
}

// unhex returns the value of a hex digit, 255 for anything else.
func unhex(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 255
}
