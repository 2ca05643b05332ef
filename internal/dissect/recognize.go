package dissect

// Recognizer tells protocols by the first bytes of a flow, without a session: no
// parser runs, so a protocol that only its parser is sure of is not told. It is for
// those who must decide cheaply. A Recognizer is for one goroutine.
type Recognizer struct{ s Session }

// NewRecognizer returns a recognizer of the set's protocols.
func NewRecognizer(set *Set) *Recognizer {
	return &Recognizer{s: Session{set: set, Doc: set.registry.NewDocument()}}
}

// Recognize calls f with the names of the protocols whose matchers hold for b, the
// first bytes that one side sends over on, TCP, UDP or SCTP, or a datagram of them.
func (r *Recognizer) Recognize(on Transport, srcPort, dstPort uint16, b []byte, f func(protocol string)) {
	doc := r.s.Doc
	doc.Reset()
	r.s = Session{Transport: on, SrcPort: srcPort, DstPort: dstPort, set: r.s.set, Doc: doc}
	defer r.s.recoverFrom("classify")
	r.s.set.index[on].each(&r.s, Client, 0, b, func(p *Protocol) {
		if !p.Quiet {
			f(p.Name)
		}
	})
}

// HasProtocol reports whether the set knows a protocol of that name.
func (set *Set) HasProtocol(name string) bool { return set.byName[name] != nil }
