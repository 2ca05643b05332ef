package dissect

// The calls into parsers, guarded: what a parser does wrong costs its session a
// tag and the parser, never the process.

// recoverFrom is deferred around every call into a protocol's code.
func (s *Session) recoverFrom(name string) {
	if r := recover(); r != nil {
		s.handover, s.next = false, ""
		s.AddTag("dissector-panic:" + name)
	}
}

func (s *Session) newParser(p *Protocol) (parser Parser) {
	defer s.recoverFrom(p.Name)
	return p.New(s)
}

func (s *Session) callParse(parser Parser, p *Protocol, dir Dir, b []byte) (n int, st Status) {
	st = Done // what a panic leaves
	defer s.recoverFrom(p.Name)
	return parser.Parse(s, dir, b)
}

func (s *Session) callGap(parser Parser, p *Protocol, dir Dir, missing int) (st Status) {
	st = Done
	defer s.recoverFrom(p.Name)
	return parser.Gap(s, dir, missing)
}

func (s *Session) callDatagram(parser Parser, p *Protocol, dir Dir, b []byte) (st Status) {
	st = Done
	defer s.recoverFrom(p.Name)
	return parser.Datagram(s, dir, b)
}

func (s *Session) callEnd(parser Parser, p *Protocol, final bool) {
	defer s.recoverFrom(p.Name)
	parser.End(s, final)
}
