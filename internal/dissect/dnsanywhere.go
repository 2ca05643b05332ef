package dissect

import "encoding/binary"

// dnsAnywhere accepts DNS on another port than those it has: a query or an answer with one question, that is right in all
// its parts and leaves nothing over. The reference looks at the port.
func dnsAnywhere(s *Session, _ Dir, b []byte) bool {
	const nbns, mdns, llmnr = 137, 5353, 5355
	if s.Reference || s.OnPort(53) || s.OnPort(nbns) || s.OnPort(mdns) || s.OnPort(llmnr) {
		return false
	}
	if s.Transport == TCP {
		if len(b) < 2 || int(binary.BigEndian.Uint16(b)) > len(b)-2 {
			return false
		}
		b = b[2 : 2+int(binary.BigEndian.Uint16(b))]
	}
	const response, opcode, zero, code = 0x8000, 0x7800, 0x0040, 0x000f
	if len(b) < dnsHeaderLen+5 || b[4] != 0 || b[5] != 1 || b[6]|b[8]|b[10] != 0 { // one question, few records
		return false
	}
	flags := binary.BigEndian.Uint16(b[2:])
	records := int(b[7]) + int(b[9]) + int(b[11])
	switch {
	case flags&(opcode|zero) != 0 || flags&code > 10:
		return false
	case flags&response == 0 && (b[7]|b[9] != 0 || b[11] > 2 || flags&code != 0):
		return false
	case flags&response != 0 && records == 0 && flags&code == 0:
		return false
	}
	m := dnsMessage{b: b, at: dnsHeaderLen}
	if _, ok := m.name(); !ok || m.at+4 > len(b) {
		return false
	}
	if qtype, class := binary.BigEndian.Uint16(b[m.at:]), binary.BigEndian.Uint16(b[m.at+2:]); !dnsAsked(qtype) || class != 1 {
		return false
	}
	for m.at += 4; records > 0; records-- {
		if _, ok := m.record(); !ok {
			return false
		}
	}
	return m.at == len(b)
}

// dnsAsked reports whether a type is one that is asked for in earnest.
func dnsAsked(qtype uint16) bool {
	switch qtype {
	case 1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 39, 43, 44, 46, 48, 50, 52, 64, 65, 252, 255, 256, 257, 10: // NULL carries tunnels
		return true
	}
	return false
}
