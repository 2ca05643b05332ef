package dissect

// nested is a stream that a session carries within another, such as the
// plaintext of TLS: it is classified and dissected as a session of its own, into
// the same document and under the same limits.
type nested struct {
	s    Session
	held int // bytes that s holds, as counted in the outer session
}

const maxNesting = 2 // streams within streams: TLS to a proxy, and through it

// newNested returns the stream's session, as TCP between the ends of s.
func newNested(s *Session) *nested {
	n := new(nested)
	n.s.Begin(s.set, s.limits, s.Doc)
	n.s.Transport, n.s.IPProtocol = TCP, s.IPProtocol
	n.s.Src, n.s.Dst, n.s.SrcPort, n.s.DstPort = s.Src, s.Dst, s.SrcPort, s.DstPort
	n.s.First, n.s.Reference, n.s.Expected = s.First, s.Reference, s.Expected
	if n.s.nesting = s.nesting + 1; n.s.nesting < maxNesting {
		n.s.Keys = s.Keys
	}
	return n
}

// begin attaches the protocols named, in place of those that the first bytes
// would be recognized as.
func (n *nested) begin(s *Session, names ...string) {
	n.sync(s)
	n.s.classified = [2]bool{true, true}
	for _, name := range names {
		n.s.Attach(name)
	}
}

// stream gives the stream's next bytes of a direction to its parsers. It returns
// false when the session has no room for what they hold.
func (n *nested) stream(s *Session, dir Dir, b []byte) bool {
	n.sync(s)
	n.s.Stream(dir, b)
	return n.settle(s)
}

// gap tells the stream's parsers that the rest of a direction will not come.
func (n *nested) gap(s *Session, dir Dir) {
	n.sync(s)
	n.s.Gap(dir, 1)
	n.settle(s)
}

// end lets the stream's parsers write to the document.
func (n *nested) end(s *Session, final bool) {
	n.sync(s)
	n.s.End(final)
	n.settle(s)
}

// sync tells the stream what has changed of the session.
func (n *nested) sync(s *Session) {
	n.s.Doc, n.s.Now, n.s.Began, n.s.Ended = s.Doc, s.Now, s.Began, s.Ended
	n.s.limits.Buffer = s.limits.Buffer - s.buffered - s.held + n.held
}

// settle counts what the stream holds in the session.
func (n *nested) settle(s *Session) bool {
	d := n.s.Buffered() - n.held
	n.held += d
	return s.Hold(d)
}
