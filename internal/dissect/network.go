package dissect

// networkMarks lists the protocols that are recognized by their number in the
// IP header or by their ethertype, and not read.
func networkMarks() []Protocol {
	row := func(name string, m Matcher) Protocol { return Protocol{Name: name, Matchers: []Matcher{m}} }
	return []Protocol{
		row("igmp", Matcher{On: IP, Number: 2}),
		row("egp", Matcher{On: IP, Number: 8}),
		row("rsvp", Matcher{On: IP, Number: 46}),
		row("eigrp", Matcher{On: IP, Number: 88}),
		row("pim", Matcher{On: IP, Number: 103}),
		row("vrrp", Matcher{On: IP, Number: 112}),
		row("l2tp", Matcher{On: IP, Number: 115}),
		row("rarp", Matcher{On: Ethernet, Number: 0x8035}),
		row("eapol", Matcher{On: Ethernet, Number: 0x888e}),
		row("lldp", Matcher{On: Ethernet, Number: 0x88cc}),
		row("stp", Matcher{On: Ethernet, Number: 0x42, Bytes: "\x42\x42\x03"}),
		// LLC's XID command to the null SAP (IEEE 802.2 section 5.4.1.1.2); bit 5 is poll.
		row("xid", Matcher{On: Ethernet, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool {
			return b[2]&^0x10 == 0xaf && b[3] == 0x81
		}}),
	}
}
