package dissect

const ciscoSNAP = "\xaa\xaa\x03\x00\x00\x0c"

// carpHeader accepts CARP, which took VRRP's number (OpenBSD's carp(4)): seven words of authentication, where VRRP has
// addresses.
func carpHeader(_ *Session, _ Dir, b []byte) bool {
	return len(b) == 36 && b[0] == 0x21 && b[3] == 7
}

// networkMarks lists the protocols that are recognized by their number in the
// IP header or by their ethertype, and not read. The reference knows few of them: it is not asked for the others.
func networkMarks() []Protocol {
	row := func(name string, m Matcher) Protocol { return Protocol{Name: name, Matchers: []Matcher{m}} }
	return []Protocol{
		row("igmp", Matcher{On: IP, Number: 2}),
		row("egp", Matcher{On: IP, Number: 8}),
		row("rsvp", Matcher{On: IP, Number: 46}),
		row("eigrp", Matcher{On: IP, Number: 88}),
		row("pim", Matcher{On: IP, Number: 103}),
		row("dccp", Matcher{On: IP, Number: 33}), // RFC 4340
		row("ah", Matcher{On: IP, Number: 51, Func: func(s *Session, _ Dir, _ []byte) bool { return !s.Reference }}), // RFC 4302; the reference counts it as ESP
		row("etherip", Matcher{On: IP, Number: 97, Bytes: "\x30\x00"}),                                               // RFC 3378
		row("ipcomp", Matcher{On: IP, Number: 108}),                                                                  // RFC 3173
		row("carp", Matcher{On: IP, Number: 112, Func: carpHeader}),
		row("vrrp", Matcher{On: IP, Number: 112, Func: func(s *Session, d Dir, b []byte) bool { return !carpHeader(s, d, b) }}), // RFC 9568
		row("l2tp", Matcher{On: IP, Number: 115}),
		row("udplite", Matcher{On: IP, Number: 136}), // RFC 3828
		row("rarp", Matcher{On: Ethernet, Number: 0x8035}),
		row("eapol", Matcher{On: Ethernet, Number: 0x888e}),
		row("lldp", Matcher{On: Ethernet, Number: 0x88cc}),
		row("pppoe-discovery", Matcher{On: Ethernet, Number: 0x8863}), // RFC 2516
		row("slow", Matcher{On: Ethernet, Number: 0x8809}),            // IEEE 802.3 annex 57A: LACP, OAM
		row("lacp", Matcher{On: Ethernet, Number: 0x8809, Bytes: "\x01"}),
		row("profinet", Matcher{On: Ethernet, Number: 0x8892}),    // IEC 61158-6-10
		row("goose", Matcher{On: Ethernet, Number: 0x88b8}),       // IEC 61850-8-1
		row("iec61850-sv", Matcher{On: Ethernet, Number: 0x88ba}), // IEC 61850-9-2
		row("ethercat", Matcher{On: Ethernet, Number: 0x88a4}),
		row("powerlink", Matcher{On: Ethernet, Number: 0x88ab}),
		row("aoe", Matcher{On: Ethernet, Number: 0x88a2}), // ATA over Ethernet
		row("lltd", Matcher{On: Ethernet, Number: 0x88d9}),
		row("macsec", Matcher{On: Ethernet, Number: 0x88e5}), // IEEE 802.1AE
		row("cfm", Matcher{On: Ethernet, Number: 0x8902}),    // IEEE 802.1ag
		row("fcoe", Matcher{On: Ethernet, Number: 0x8906}),
		row("fip", Matcher{On: Ethernet, Number: 0x8914}),
		row("wol", Matcher{On: Ethernet, Number: 0x0842, Bytes: "\xff\xff\xff\xff\xff\xff"}), // magic packets
		row("trill", Matcher{On: Ethernet, Number: 0x22f3}),                                  // RFC 6325
		row("batman", Matcher{On: Ethernet, Number: 0x4305}),
		row("ipx", Matcher{On: Ethernet, Number: 0x8137}),
		row("ipx", Matcher{On: Ethernet, Number: 0xe0, Bytes: "\xe0\xe0\x03"}),
		row("netbeui", Matcher{On: Ethernet, Number: 0xf0, Bytes: "\xf0\xf0"}),
		row("loopback", Matcher{On: Ethernet, Number: 0x9000}), // Configuration Test Protocol
		// Cisco's, in SNAP; the header of LLC is in front.
		row("cdp", Matcher{On: Ethernet, Number: 0x2000, Bytes: ciscoSNAP}),
		row("vtp", Matcher{On: Ethernet, Number: 0x2003, Bytes: ciscoSNAP}),
		row("dtp", Matcher{On: Ethernet, Number: 0x2004, Bytes: ciscoSNAP}),
		row("stp", Matcher{On: Ethernet, Number: 0x010b, Bytes: ciscoSNAP}), // per VLAN
		row("udld", Matcher{On: Ethernet, Number: 0x0111, Bytes: ciscoSNAP}),
		row("edp", Matcher{On: Ethernet, Number: 0x00bb, Bytes: "\xaa\xaa\x03\x00\xe0\x2b"}),   // Extreme
		row("fdp", Matcher{On: Ethernet, Number: 0x2000, Bytes: "\xaa\xaa\x03\x00\xe0\x52"}),   // Foundry
		row("sonmp", Matcher{On: Ethernet, Number: 0x01a2, Bytes: "\xaa\xaa\x03\x00\x00\x81"}), // Nortel's discovery
		row("stp", Matcher{On: Ethernet, Number: 0x42, Bytes: "\x42\x42\x03"}),
		// LLC's XID command to the null SAP (IEEE 802.2 section 5.4.1.1.2); bit 5 is poll.
		row("xid", Matcher{On: Ethernet, MinLen: 4, Func: func(_ *Session, _ Dir, b []byte) bool {
			return b[2]&^0x10 == 0xaf && b[3] == 0x81
		}}),
	}
}
