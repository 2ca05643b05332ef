package dissect

import (
	"bytes"
)

// Transport is what carries the bytes that a matcher looks at.
type Transport uint8

// The transports. Streams are given to Parser.Parse, all others to Parser.Datagram.
const (
	TCP      Transport = iota
	UDP                // one datagram
	SCTP               // one DATA chunk; Number is its payload protocol id, or 0 for any
	IP                 // another IP protocol; Number is its number
	Ethernet           // a frame without IP; Number is its ethertype
	transports
)

// Protocol is what a protocol's constructor returns: when its parser is wanted, and how it is made.
type Protocol struct {
	// Name is the protocol's name in the document's protocol list, and its key for [Session.Handover].
	Name string
	// Matchers say which sessions it wants; one that holds is enough. They are
	// tried on the first payload of each direction.
	Matchers []Matcher
	// New makes the parser of one session; nil only marks the session with Name.
	// It may return nil to decline. A parser without state may be shared.
	New func(s *Session) Parser
	// Quiet leaves it to the parser to mark the session, once it is sure.
	Quiet bool
}

// Matcher is a condition on the first payload of a direction. All parts that
// are set must hold.
type Matcher struct {
	On     Transport
	Number uint32 // IP protocol, ethertype or SCTP payload protocol id, see Transport; 0 any but an IP protocol
	Port   uint16 // of either end, 0: any
	Offset int    // where Bytes stand
	Bytes  string // bytes that must be there, "": any
	MinLen int    // fewest bytes of payload
	// Func looks closer, nil: no more conditions. It must be quick, must not keep b,
	// and must accept any b that has the parts above.
	Func func(s *Session, dir Dir, b []byte) bool
}

func (m *Matcher) match(s *Session, dir Dir, b []byte) bool {
	if m.Port != 0 && s.SrcPort != m.Port && s.DstPort != m.Port {
		return false
	}
	if len(b) < m.MinLen || len(b) < m.Offset+len(m.Bytes) {
		return false
	}
	if m.Bytes != "" && string(b[m.Offset:m.Offset+len(m.Bytes)]) != m.Bytes {
		return false
	}
	return m.Func == nil || m.Func(s, dir, b)
}

// OnPorts matches payload of at least one byte on any of the ports, of either end.
func OnPorts(on Transport, ports ...uint16) []Matcher {
	var out []Matcher
	for _, p := range ports {
		out = append(out, Matcher{On: on, Port: p, MinLen: 1})
	}
	return out
}

// OnPrefixes matches payload that starts with any of the texts.
func OnPrefixes(on Transport, prefixes ...string) []Matcher {
	var out []Matcher
	for _, p := range prefixes {
		out = append(out, Matcher{On: on, Bytes: p})
	}
	return out
}

// candidate is a matcher and the protocol it belongs to.
type candidate struct {
	m     *Matcher
	proto *Protocol
}

// index finds the candidates for a first payload: those that name the first
// byte, those that name a port, and the few that name neither. A candidate is in
// one of the lists only.
type index struct {
	byFirst  [256][]candidate
	byPort   map[uint16][]candidate
	byNumber map[uint32][]candidate // IP protocol, ethertype
	rest     []candidate
}

func (x *index) add(c candidate) {
	switch {
	case c.m.On == IP || c.m.On == Ethernet:
		x.byNumber[c.m.Number] = append(x.byNumber[c.m.Number], c)
	case c.m.Bytes != "" && c.m.Offset == 0:
		x.byFirst[c.m.Bytes[0]] = append(x.byFirst[c.m.Bytes[0]], c)
	case c.m.Port != 0:
		x.byPort[c.m.Port] = append(x.byPort[c.m.Port], c)
	default:
		x.rest = append(x.rest, c)
	}
}

// each calls f for the protocols whose matcher holds.
func (x *index) each(s *Session, dir Dir, number uint32, b []byte, f func(*Protocol)) {
	try := func(list []candidate) {
		for i := range list {
			c := &list[i]
			if c.m.On == SCTP && c.m.Number != 0 && c.m.Number != number {
				continue
			}
			if c.m.match(s, dir, b) {
				f(c.proto)
			}
		}
	}
	if len(x.byNumber) > 0 {
		try(x.byNumber[number])
		if number != 0 && s.Transport == Ethernet {
			try(x.byNumber[0])
		}
	}
	if len(b) == 0 {
		return
	}
	try(x.byFirst[b[0]])
	if s.SrcPort != 0 {
		try(x.byPort[s.SrcPort])
	}
	if s.DstPort != s.SrcPort {
		try(x.byPort[s.DstPort])
	}
	try(x.rest)
}

// hasPrefixFold reports whether b starts with the lower-case ASCII text, in any case.
func hasPrefixFold(b []byte, lower string) bool {
	return len(b) >= len(lower) && bytes.EqualFold(b[:len(lower)], []byte(lower))
}
