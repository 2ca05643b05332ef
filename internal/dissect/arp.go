package dissect

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"

	"wirelake/internal/spi"
)

// arp reads the Address Resolution Protocol for IPv4 over Ethernet (RFC 826):
// the operations, and who answered for which address.
type arp struct {
	Base
	ip, mac, opcode spi.FieldID
}

func newARP(r *spi.Registry) Protocol {
	p := &arp{
		ip:     r.Declare(spi.Field{Path: "arp.ip", Type: spi.IP, List: true, Exprs: []string{"arp.ip"}, Hot: true, Name: "IP", Help: "sender address of ARP replies"}),
		mac:    r.Declare(spi.Field{Path: "arp.mac", Type: spi.LoTerm, List: true, Exprs: []string{"arp.mac"}, Hot: true, Name: "MAC", Help: "sender MAC of ARP replies"}),
		opcode: r.Declare(spi.Field{Path: "arp.opcode", Type: spi.Integer, List: true, Exprs: []string{"arp.opcode"}, Name: "Operation", Help: "ARP operation numbers, 1 request, 2 reply"}),
	}
	return Protocol{
		Name:     "arp",
		Matchers: []Matcher{{On: Ethernet, Number: 0x0806, MinLen: 8}},
		New:      func(*Session) Parser { return p },
	}
}

// Datagram implements Parser. p has no state, and is shared by all sessions.
func (p *arp) Datagram(s *Session, _ Dir, b []byte) Status {
	if len(b) < 8 {
		return More
	}
	op := binary.BigEndian.Uint16(b[6:])
	s.Doc.AddInt(p.opcode, int64(op))
	const ethernetIPv4 = "\x00\x01\x08\x00\x06\x04" // hardware and protocol types with their address lengths
	if op != 2 || len(b) < 28 || string(b[:6]) != ethernetIPv4 {
		return More
	}
	s.Doc.AddString(p.mac, macText(b[8:14]))
	s.Doc.AddIP(p.ip, netip.AddrFrom4([4]byte(b[14:18])))
	return More
}

// macText returns a hardware address of any length in lower-case hex with colons.
func macText(b []byte) string {
	out := make([]byte, 0, 3*len(b))
	for i := range b {
		if i > 0 {
			out = append(out, ':')
		}
		out = hex.AppendEncode(out, b[i:i+1])
	}
	return string(out)
}
