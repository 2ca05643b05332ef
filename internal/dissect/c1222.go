package dissect

import (
	"wirelake/internal/spi"
)

// c1222 reads the ACSE envelope of meters' messages (ANSI C12.22-2012 section 5.3.2, IEEE 1703,
// RFC 6142): who talks to whom, and how it is protected.
type c1222 struct {
	Base
	calledTitle, callingTitle           spi.FieldID
	calledInvocation, callingInvocation spi.FieldID
	security, response                  spi.FieldID
}

func newC1222(r *spi.Registry) Protocol {
	g := fieldGroup{r, "c1222"}
	p := &c1222{
		calledTitle:       g.list(spi.Term, "calledApTitle", "Called title", "OIDs of called sides"),
		callingTitle:      g.list(spi.Term, "callingApTitle", "Calling title", "OIDs of calling sides"),
		calledInvocation:  g.list(spi.Integer, "calledApInvocationId", "Called invocation", "invocation ids of called sides"),
		callingInvocation: g.list(spi.Integer, "callingApInvocationId", "Calling invocation", "invocation ids of calling sides"),
		security:          g.list(spi.Term, "securityMode", "Security", "cleartext, or how messages are protected"),
		response:          g.list(spi.Term, "responseControl", "Response", "when responses are wanted"),
	}
	matcher := func(on Transport) Matcher {
		return Matcher{On: on, Port: 1153, Bytes: "\x60", MinLen: 6, Func: func(_ *Session, _ Dir, b []byte) bool {
			_, head := berLength(b)
			return head > 0 && len(b) > head && b[head] >= 0xa0 && b[head] <= 0xbe
		}}
	}
	return Protocol{
		Name:     "c1222",
		Matchers: []Matcher{matcher(TCP), matcher(UDP)},
		New:      func(*Session) Parser { return p },
	}
}

// Parse implements Parser: messages follow one another. p has no state, and is shared by all sessions.
func (p *c1222) Parse(s *Session, _ Dir, b []byte) (int, Status) {
	const longest = 1 << 16
	n := 0
	for len(b)-n >= 6 { // a tag and the longest length
		size, head := berLength(b[n:])
		if b[n] != 0x60 || head == 0 || size < 0 || size > longest {
			return n, Done
		}
		if len(b)-n < head+size {
			break
		}
		p.message(s, b[n+head:n+head+size])
		n += head + size
	}
	return n, More
}

// Datagram implements Parser.
func (p *c1222) Datagram(s *Session, _ Dir, b []byte) Status {
	if tag, message, _, ok := berNext(b); ok && tag == 0x60 {
		p.message(s, message)
	}
	return More
}

func (p *c1222) message(s *Session, b []byte) {
	for len(b) > 0 {
		tag, content, rest, ok := berNext(b)
		if !ok {
			return
		}
		b = rest
		switch tag {
		case 0xa2:
			p.title(s, p.calledTitle, content)
		case 0xa4:
			p.invocation(s, p.calledInvocation, content)
		case 0xa6:
			p.title(s, p.callingTitle, content)
		case 0xa8:
			p.invocation(s, p.callingInvocation, content)
		case 0xbe:
			p.userInformation(s, content)
		}
	}
}

// title notes an AP title: an OBJECT IDENTIFIER, or one relative to C12.22's own branch.
func (p *c1222) title(s *Session, f spi.FieldID, b []byte) {
	const branch = "\x60\x7c\x86\xf7\x54\x01\x16\x00" // 2.16.124.113620.1.22.0
	tag, content, _, ok := berNext(b)
	if !ok || len(content) == 0 || len(content) > 64 {
		return
	}
	if tag == 0x80 || tag == 0x0d {
		content = append([]byte(branch), content...)
	} else if tag != 0x06 {
		return
	}
	if oid := berOID(content); oid != "" {
		s.Doc.AddString(f, oid)
	}
}

func (p *c1222) invocation(s *Session, f spi.FieldID, b []byte) {
	if tag, content, _, ok := berNext(b); ok && tag == 0x02 {
		if n, ok := berInt(content); ok {
			s.Doc.AddInt(f, n)
		}
	}
}

// userInformation reads the control byte in front of the EPSEM services: EXTERNAL, octet-aligned [1] (section 5.3.2.4.13).
func (p *c1222) userInformation(s *Session, b []byte) {
	tag, external, _, ok := berNext(b)
	if !ok || tag != 0x28 {
		return
	}
	for len(external) > 0 {
		var content []byte
		if tag, content, external, ok = berNext(external); !ok {
			return
		}
		if tag == 0x81 && len(content) > 0 {
			if name := nameOf([]string{"cleartext", "cleartext-with-authentication", "ciphertext-with-authentication"}, content[0]>>2&3); name != "" {
				s.Doc.AddString(p.security, name)
			}
			if name := nameOf([]string{"always", "on-exception", "never"}, content[0]&3); name != "" {
				s.Doc.AddString(p.response, name)
			}
			return
		}
	}
}
