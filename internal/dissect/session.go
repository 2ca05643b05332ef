package dissect

import (
	"net/netip"
	"slices"

	"wirelake/internal/keylog"
	"wirelake/internal/spi"
)

// Limits bound what one session may cost.
type Limits struct {
	// Buffer is the most bytes that the parsers of a session may leave
	// unconsumed, all together (default 1 MiB).
	Buffer int
}

// DefaultLimits returns the documented defaults.
func DefaultLimits() Limits { return Limits{Buffer: 320 << 10} }

const (
	maxParsers   = 16 // parsers a session may have had: bounds what endless handing over costs
	minHeadBytes = 8  // a first payload shorter than this is classified again with what follows
)

// Session is what dissectors see of a session: its ends, times and document.
// Package session owns it, fills the exported fields and feeds it.
type Session struct {
	Doc *spi.Document

	Transport  Transport
	Src, Dst   netip.Addr // of the side that began, and of the other; invalid without IP
	SrcPort    uint16     // 0 without ports
	DstPort    uint16
	IPProtocol uint8       // 0 without IP
	First, Now int64       // time of the session's first and of the current packet, ns since 1970
	Number     uint32      // of the datagram at hand: IP protocol, ethertype or SCTP payload protocol id
	Reference  bool        // documents are to be those of the reference, where ours tell more
	Expected   *Expected   // of the lane; nil: sessions are not linked
	Early      *EarlyBytes // of the lane, for pieces of files that wait; nil: they count as what parsers hold
	Keys       *keylog.Log // what TLS is decrypted with, nil: nothing

	// Began and Ended say of each direction of a TCP connection that its SYN and its FIN were seen: what begins or
	// ends with the connection is whole only then.
	Began, Ended [2]bool

	set         *Set
	limits      Limits
	parsers     []attached
	attachedN   int // parsers ever attached
	buffered    int // bytes in the buffers of all parsers
	held        int // bytes that parsers keep themselves, see Hold
	early       int // bytes of files that wait, see EarlyBytes
	at          int // the parser being called
	live        int // parsers that are not done
	classified  [2]bool
	head        [2]head
	next        string // protocol to hand over to
	handover    bool
	nesting     int          // streams that this one lies within
	within      *attached    // what goes on within TLS, see startsTLS
	expectation *expectation // by which another session told of this one
}

// head keeps a first payload that was too short to classify for sure.
type head struct {
	n int
	b [minHeadBytes]byte
}

type attached struct {
	proto   *Protocol
	parser  Parser
	buf     [2][]byte // bytes not consumed
	held    int
	early   int
	dirDone [2]bool
	done    bool
}

// Begin makes s ready for a new session with the document; the caller then
// fills the exported fields. s may have been used before.
func (s *Session) Begin(set *Set, limits Limits, doc *spi.Document) {
	clear(s.parsers)
	*s = Session{Doc: doc, set: set, limits: limits, parsers: s.parsers[:0]}
}

// Addr returns the address that sends in the direction.
func (s *Session) Addr(dir Dir) netip.Addr {
	if dir == Client {
		return s.Src
	}
	return s.Dst
}

// Port returns the port that sends in the direction.
func (s *Session) Port(dir Dir) uint16 {
	if dir == Client {
		return s.SrcPort
	}
	return s.DstPort
}

// OnPort reports whether either end uses the port.
func (s *Session) OnPort(port uint16) bool { return s.SrcPort == port || s.DstPort == port }

// AddProtocol marks the session with a protocol's name.
func (s *Session) AddProtocol(name string) { s.Doc.AddString(spi.Protocol, name) }

// HasProtocol reports whether the session is marked with the name.
func (s *Session) HasProtocol(name string) bool {
	for v := range s.Doc.Each(spi.Protocol) {
		if v.Str == name {
			return true
		}
	}
	return false
}

// AddTag tags the session.
func (s *Session) AddTag(tag string) { s.Doc.AddString(spi.Tags, tag) }

// AddUser adds a user name to the field that gathers those of all protocols; an
// empty name is ignored.
func (s *Session) AddUser(name []byte) {
	if len(name) > 0 {
		s.Doc.AddBytes(spi.User, name)
	}
}

// addOwnUser is AddUser for a name that has a field of its own, for a mailbox's and for those of protocols that the
// reference does not read: it does not gather these.
func (s *Session) addOwnUser(name []byte) {
	if !s.Reference {
		s.AddUser(name)
	}
}

// Handover hands the rest of the session to another protocol. Call it in Parse,
// and return Done: bytes of both directions that the parser did not consume, and
// all that follow, go to the protocol named, or are classified afresh as the
// first bytes of a session when name is "". Others of the session's parsers go on.
func (s *Session) Handover(name string) { s.handover, s.next = true, name }

// Attach adds the parser of the protocol to the session, unless it has it
// already. Called by a parser of a stream, it takes effect with the bytes after
// those that the parser was given; of datagrams it is given the one at hand too.
func (s *Session) Attach(name string) { s.attach(s.set.byName[name]) }

func (s *Session) attach(p *Protocol) bool {
	if p == nil {
		return false
	}
	if !p.Quiet {
		s.AddProtocol(p.Name)
	}
	if p.New == nil || s.attachedN >= maxParsers {
		return false
	}
	for i := range s.parsers {
		if s.parsers[i].proto == p && !s.parsers[i].done {
			return false
		}
	}
	parser := s.newParser(p)
	if parser == nil {
		return false
	}
	s.add(p, parser)
	return true
}

func (s *Session) add(p *Protocol, parser Parser) {
	s.attachedN++
	s.live++
	s.parsers = append(s.parsers, attached{proto: p, parser: parser})
}

// Wants reports whether bytes of the direction are of use to anyone: if not, the
// caller need not put them in order.
func (s *Session) Wants(dir Dir) bool {
	if !s.classified[dir] {
		return true
	}
	if s.live == 0 {
		return false
	}
	for i := range s.parsers {
		if a := &s.parsers[i]; !a.done && !a.dirDone[dir] {
			return true
		}
	}
	return false
}

// Buffered returns how many bytes the session's parsers hold, in buffers and themselves.
func (s *Session) Buffered() int { return s.buffered + s.held + s.early }

// Hold says that the parser being called keeps n bytes more itself, or fewer
// when n is negative; they count as bytes it did not consume. It returns false, and
// the bytes must not be kept, when that would pass the session's limit. What a
// parser holds is let go of when it ends.
func (s *Session) Hold(n int) bool {
	if s.parsers[s.at].done {
		return n <= 0 // counted no more
	}
	if n > 0 && s.buffered+s.held+n > s.limits.Buffer {
		return false
	}
	s.held += n
	s.parsers[s.at].held += n
	return true
}

// Stream gives the next bytes of a direction to the session's parsers. b is not kept.
func (s *Session) Stream(dir Dir, b []byte) { s.stream(0, dir, b) }

// stream classifies the bytes if need be, and gives them to the parsers from the
// first on.
func (s *Session) stream(first int, dir Dir, b []byte) {
	if len(b) == 0 {
		return
	}
	fresh := len(s.parsers) // parsers from here on were attached by these bytes
	whole := b              // with what came before and was too short to classify
	if !s.classified[dir] {
		h := &s.head[dir]
		if h.n > 0 {
			whole = append(slices.Clone(h.b[:h.n]), b...)
		}
		s.classify(dir, 0, whole)
		if len(whole) < minHeadBytes && len(s.parsers) == fresh {
			h.n = copy(h.b[:], whole)
		} else {
			s.classified[dir] = true
		}
	}
	if s.live == 0 {
		return
	}
	for i, n := first, len(s.parsers); i < n; i++ { // those that parsers add are fed elsewhere
		data := b
		if i >= fresh {
			data = whole
		}
		if a := &s.parsers[i]; !a.done && !a.dirDone[dir] {
			s.feed(i, dir, data)
		}
	}
}

// feed gives bytes to one parser and keeps what it leaves.
func (s *Session) feed(i int, dir Dir, b []byte) {
	a := &s.parsers[i]
	held := len(a.buf[dir])
	data := b
	if held > 0 {
		a.buf[dir] = append(a.buf[dir], b...)
		data = a.buf[dir]
	}
	s.at = i
	n, st := s.callParse(a.parser, a.proto, dir, data)
	a = &s.parsers[i] // the parser may have attached another
	n = min(max(n, 0), len(data))
	rest := data[n:]
	s.buffered -= held
	if s.handover {
		s.hand(i, dir, rest)
		return
	}
	switch st {
	case Done:
		s.drop(i)
		return
	case DirDone:
		a.dirDone[dir] = true
		a.buf[dir] = nil
		return
	}
	if s.buffered+s.held+len(rest) > s.limits.Buffer {
		if !s.Reference {
			s.AddTag("dissector-limit:" + a.proto.Name)
		}
		a.buf[dir] = nil
		s.drop(i)
		return
	}
	if held > 0 {
		a.buf[dir] = a.buf[dir][:copy(a.buf[dir], rest)]
	} else {
		a.buf[dir] = append(a.buf[dir][:0], rest...)
	}
	s.buffered += len(rest)
	if len(rest) == 0 && cap(a.buf[dir]) > 64<<10 {
		a.buf[dir] = nil // a long message went by; do not hold its buffer for the session's life
	}
}

// hand does what a parser asked for with Handover: it gives rest, and what the
// parser held of the other direction, to the next protocol or to classification.
func (s *Session) hand(i int, dir Dir, rest []byte) {
	name := s.next
	s.handover, s.next = false, ""
	other := s.parsers[i].buf[dir.Other()]
	if name == "tls" {
		s.startsTLS(&s.parsers[i])
	}
	rest = slices.Clone(rest) // it may lie in the buffer that drop lets go
	s.drop(i)
	s.head = [2]head{}
	if s.attachedN >= maxParsers {
		return
	}
	first := len(s.parsers)
	if name != "" {
		s.attach(s.set.byName[name])
		if p, ok := s.parsers[i].parser.(tlsLeaver); ok && name == "tls" && !s.Reference && s.attachedN < maxParsers {
			s.add(s.parsers[i].proto, p.behindTLS())
		}
	} else {
		s.classified = [2]bool{}
	}
	s.stream(first, dir, rest)
	s.stream(first, dir.Other(), other)
}

// drop ends a parser; only End is called on it after this.
func (s *Session) drop(i int) {
	a := &s.parsers[i]
	if a.done {
		return
	}
	a.done = true
	s.live--
	a.buf = [2][]byte{}
	s.held -= a.held
	a.held = 0
	s.dropEarly(a)
	s.recount()
}

func (s *Session) recount() {
	s.buffered = 0
	for i := range s.parsers {
		s.buffered += len(s.parsers[i].buf[0]) + len(s.parsers[i].buf[1])
	}
}

// Gap tells the session's parsers that bytes of a direction are missing.
func (s *Session) Gap(dir Dir, missing int) {
	s.head[dir].n = 0
	for i := range len(s.parsers) {
		a := &s.parsers[i]
		if a.done || a.dirDone[dir] {
			continue
		}
		s.buffered -= len(a.buf[dir])
		a.buf[dir] = nil
		s.at = i
		switch s.callGap(a.parser, a.proto, dir, missing) {
		case Done:
			s.drop(i)
		case DirDone:
			s.parsers[i].dirDone[dir] = true
		}
	}
}

// Datagram gives a datagram to the session's parsers. Number is its IP protocol,
// ethertype or SCTP payload protocol id, as in [Matcher]. b is not kept.
func (s *Session) Datagram(dir Dir, number uint32, b []byte) {
	s.Number = number
	if !s.classified[dir] && (len(b) > 0 || s.Transport == IP || s.Transport == Ethernet) {
		s.classified[dir] = true
		s.classify(dir, number, b)
	}
	if s.live == 0 {
		return
	}
	for i := 0; i < len(s.parsers); i++ { // those that parsers attach too
		a := &s.parsers[i]
		if a.done || a.dirDone[dir] {
			continue
		}
		s.at = i
		switch s.callDatagram(a.parser, a.proto, dir, b) {
		case Done:
			s.drop(i)
		case DirDone:
			s.parsers[i].dirDone[dir] = true
		}
	}
}

// End lets all parsers write what they gathered. With final false the session
// goes on with another document: set Doc after End.
func (s *Session) End(final bool) {
	for i := range s.parsers {
		a := &s.parsers[i]
		s.at = i
		s.callEnd(a.parser, a.proto, final)
	}
	if final {
		for i := range s.parsers {
			s.dropEarly(&s.parsers[i])
		}
		clear(s.parsers)
		s.parsers, s.live, s.buffered, s.held = s.parsers[:0], 0, 0, 0
	}
}

func (s *Session) classify(dir Dir, number uint32, b []byte) {
	defer s.recoverFrom("classify")
	if s.expected(); s.expectation != nil && s.expectation.only {
		return
	}
	s.set.index[s.Transport].each(s, dir, number, b, func(p *Protocol) { s.attach(p) })
}
