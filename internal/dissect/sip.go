package dissect

import (
	"bytes"
	"strconv"

	"wirelake/internal/spi"
)

// sip reads the heads of SIP messages (RFC 3261 section 7), over UDP and TCP.
type sip struct {
	f    *sipFields
	dirs [2]sipDir
}

type sipFields struct {
	callID, contact, from, to, method, user, userAgent, via, status spi.FieldID
}

// sipDir is the state of a stream's direction.
type sipDir struct {
	head bool // within a head
	body int  // bytes of a body that are to come
	size int  // of the body behind the head at hand
	sdp  bool // it is a session description
	call string
}

const (
	sipMaxLine = 16 << 10
	sipMaxBody = 8 << 10 // of a session description that is read
)

func newSIP(r *spi.Registry) Protocol {
	term := func(path, expr, name, help string) spi.FieldID {
		return r.Declare(spi.Field{Path: "sip." + path, Type: spi.Term, List: true, Exprs: []string{"sip." + expr}, Name: name, Help: help})
	}
	f := &sipFields{
		callID:    term("callid", "callid", "Call id", "Call-ID headers"),
		contact:   term("contact", "contact", "Contact", "Contact headers"),
		from:      term("from", "from", "From", "From headers, without parameters"),
		to:        term("to", "to", "To", "To headers, without parameters"),
		method:    term("method", "method", "Method", "request methods"),
		user:      term("user", "user", "User", "user parts of URIs and users of authentication"),
		userAgent: term("useragent", "user-agent", "User agent", "User-Agent headers"),
		via:       term("via", "via", "Via", "Via headers, without parameters"),
		status:    r.Declare(spi.Field{Path: "sip.statuscode", Type: spi.Integer, List: true, Exprs: []string{"sip.statuscode"}, Name: "Status", Help: "response codes"}),
	}
	return Protocol{
		Name:     "sip",
		Matchers: []Matcher{{On: UDP, MinLen: 12, Func: sipStart}, {On: TCP, MinLen: 12, Func: sipStart}},
		New:      func(*Session) Parser { return &sip{f: f} },
	}
}

// Parse implements Parser.
func (p *sip) Parse(s *Session, dir Dir, b []byte) (int, Status) {
	d := &p.dirs[dir]
	n := 0
	for {
		if d.sdp && d.body > 0 && d.body <= sipMaxBody {
			if len(b)-n < d.body {
				return n, More
			}
			expectMedia(s, b[n:n+d.body], d.call)
		}
		m := min(d.body, len(b)-n)
		d.body -= m
		n += m
		line, used := nextLine(b[n:])
		if used == 0 {
			if len(b)-n > sipMaxLine {
				return n, Done
			}
			return n, More
		}
		n += used
		switch {
		case len(line) == 0:
			if d.head {
				d.head, d.body, d.size = false, d.size, 0
			}
		case d.head:
			p.header(s, d, line)
		default:
			if !p.start(s, line) {
				return n, Done
			}
			d.head, d.sdp, d.call = true, false, ""
		}
	}
}

// Gap implements Parser: a body of known length survives it.
func (p *sip) Gap(_ *Session, dir Dir, missing int) Status {
	d := &p.dirs[dir]
	if missing > d.body {
		return Done
	}
	d.body -= missing
	return More
}

// Datagram implements Parser: one message.
func (p *sip) Datagram(s *Session, _ Dir, b []byte) Status {
	line, n := nextLine(b)
	if n == 0 || !p.start(s, line) {
		return More
	}
	var d sipDir
	for {
		b = b[n:]
		if line, n = nextLine(b); len(line) == 0 {
			if d.sdp {
				expectMedia(s, b[n:], d.call)
			}
			return More
		}
		p.header(s, &d, line)
	}
}

// End implements Parser.
func (p *sip) End(*Session, bool) {}

// start reads a request line or a status line.
func (p *sip) start(s *Session, line []byte) bool {
	if rest, ok := bytes.CutPrefix(line, []byte("SIP/2.0 ")); ok {
		code, err := strconv.Atoi(string(rest[:min(3, len(rest))]))
		if err != nil || code < 100 {
			return false
		}
		s.Doc.AddInt(p.f.status, int64(code))
		return true
	}
	method, rest, ok := bytes.Cut(line, []byte(" "))
	uri, version, ok2 := bytes.Cut(rest, []byte(" "))
	if !ok || !ok2 || !bytes.HasPrefix(version, []byte("SIP/")) || !isToken(method) {
		return false
	}
	s.Doc.AddBytes(p.f.method, method)
	p.uriUser(s, uri)
	return true
}

// header reads a header line, by its long or its compact name (RFC 3261 section 7.3.3).
func (p *sip) header(s *Session, d *sipDir, line []byte) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	value = bytes.TrimSpace(value)
	if !ok || len(value) == 0 {
		return
	}
	is := func(long, compact string) bool {
		return bytes.EqualFold(name, []byte(long)) || compact != "" && bytes.EqualFold(name, []byte(compact))
	}
	name = bytes.TrimSpace(name)
	switch {
	case is("Call-ID", "i"):
		s.Doc.AddBytes(p.f.callID, value)
		d.call = string(value[:min(len(value), maxText)])
	case is("Content-Type", "c"):
		d.sdp = hasPrefixFold(value, "application/sdp")
	case is("From", "f"):
		s.Doc.AddBytes(p.f.from, sipAddress(s, value))
		p.uriUser(s, value)
	case is("To", "t"):
		s.Doc.AddBytes(p.f.to, sipAddress(s, value))
		p.uriUser(s, value)
	case is("Contact", "m"):
		s.Doc.AddBytes(p.f.contact, value)
	case is("Via", "v"):
		via := value
		if !s.Reference {
			via, _, _ = bytes.Cut(value, []byte(";"))
		}
		s.Doc.AddBytes(p.f.via, bytes.TrimSpace(via))
	case is("User-Agent", ""):
		s.Doc.AddBytes(p.f.userAgent, value)
	case is("Authorization", ""), is("Proxy-Authorization", ""): // RFC 3261 section 22.4
		if _, rest, ok := bytes.Cut(value, []byte("username=\"")); ok {
			if user, _, ok := bytes.Cut(rest, []byte("\"")); ok && len(user) > 0 {
				s.Doc.AddBytes(p.f.user, user)
			}
		}
	case is("Content-Length", "l"):
		if n, err := strconv.Atoi(string(value)); err == nil && n >= 0 {
			d.size = n
		}
	}
}

// sipAddress returns a name-addr without the parameters behind it, which differ with every call; the reference keeps them.
func sipAddress(s *Session, v []byte) []byte {
	if s.Reference {
		return v
	}
	if i := bytes.IndexByte(v, '>'); i >= 0 {
		return v[:i+1]
	}
	v, _, _ = bytes.Cut(v, []byte(";"))
	return bytes.TrimSpace(v)
}

// uriUser notes the user part of the SIP URI within v.
func (p *sip) uriUser(s *Session, v []byte) {
	for _, scheme := range [...]string{"sip:", "sips:"} {
		if i := bytes.Index(v, []byte(scheme)); i >= 0 {
			user, _, ok := bytes.Cut(v[i+len(scheme):], []byte("@"))
			if ok && len(user) > 0 && !bytes.ContainsAny(user, "<> ;") {
				user, _, _ = bytes.Cut(user, []byte(":"))
				s.Doc.AddBytes(p.f.user, user)
			}
			return
		}
	}
}
