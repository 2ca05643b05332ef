package dissect

// marks lists the protocols that are recognized and not read: a row for each
// way to recognize one. Sources: the protocol's specification.
func marks() []Protocol {
	row := func(name string, m Matcher) Protocol { return Protocol{Name: name, Matchers: []Matcher{m}} }
	return []Protocol{
		row("bittorrent", Matcher{On: TCP, Bytes: "\x13BitTorrent protocol"}), // BEP 3
	}
}
