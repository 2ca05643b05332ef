package packet

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// Frames are built from their headers' fields, so that a test shows what it decodes. Each function wraps
// the payload given.

var be = binary.BigEndian

func cat(parts ...[]byte) []byte {
	var b []byte
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}

func hx(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func eth(dst, src string, typ uint16, payload []byte) []byte {
	return be16b(cat(hx(dst), hx(src)), typ, payload)
}

func be16b(b []byte, v uint16, payload []byte) []byte {
	return append(be.AppendUint16(b, v), payload...)
}

// tag is what follows an ethertype of 802.1Q or 802.1ad.
func tag(id, typ uint16, payload []byte) []byte {
	return be16b(be.AppendUint16(nil, id), typ, payload)
}

type ip4Opt struct {
	id, frag uint16 // frag: flags and offset as in the header
	options  []byte // length a multiple of 4
}

func ip4(src, dst string, proto uint8, payload []byte, o ...ip4Opt) []byte {
	var opt ip4Opt
	if len(o) > 0 {
		opt = o[0]
	}
	head := 20 + len(opt.options)
	b := []byte{0x40 | byte(head/4), 0x28} // DSCP 10
	b = be.AppendUint16(b, uint16(head+len(payload)))
	b = be.AppendUint16(b, opt.id)
	b = be.AppendUint16(b, opt.frag)
	b = append(b, 64, proto, 0, 0)
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	return cat(b, s[:], d[:], opt.options, payload)
}

func ip6(src, dst string, next uint8, payload []byte) []byte {
	b := []byte{0x62, 0x80, 0, 0} // DSCP 10
	b = be.AppendUint16(b, uint16(len(payload)))
	b = append(b, next, 63)
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	return cat(b, s[:], d[:], payload)
}

// ext6 is an extension header of 8*(n+1) bytes.
func ext6(next, n uint8, payload []byte) []byte {
	b := make([]byte, 8*(int(n)+1))
	b[0], b[1] = next, n
	return append(b, payload...)
}

func frag6(next uint8, off uint16, more bool, id uint32, payload []byte) []byte {
	if more {
		off |= 1
	}
	return append(be.AppendUint32(be.AppendUint16([]byte{next, 0}, off), id), payload...)
}

func udp(sp, dp uint16, payload []byte) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, sp), dp)
	b = be.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func tcp(sp, dp uint16, seq, ack uint32, flags uint16, payload []byte) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, sp), dp)
	b = be.AppendUint32(be.AppendUint32(b, seq), ack)
	b = be.AppendUint16(b, 5<<12|flags)
	b = be.AppendUint16(b, 0x2000)
	return append(append(b, 0, 0, 0, 0), payload...)
}

func sctp(sp, dp uint16, payload []byte) []byte {
	b := be.AppendUint16(be.AppendUint16(nil, sp), dp)
	return append(append(b, make([]byte, 8)...), payload...)
}

func icmp(typ, code uint8, payload []byte) []byte {
	return append([]byte{typ, code, 0, 0, 0, 1, 0, 1}, payload...)
}

func gre(flags, typ uint16, optional, payload []byte) []byte {
	return cat(be.AppendUint16(be.AppendUint16(nil, flags), typ), optional, payload)
}

func mplsLabel(label uint32, bottom bool, payload []byte) []byte {
	v := label<<12 | 64
	if bottom {
		v |= 0x100
	}
	return append(be.AppendUint32(nil, v), payload...)
}

const (
	macA = "020000000001"
	macB = "020000000002"
	macC = "020000000003"
	macD = "020000000004"
)

// innerTCP is the packet that the tunnel tests hide.
func innerTCP() []byte {
	return ip4("10.1.1.1", "10.2.2.2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK|FlagPSH, []byte("hello")))
}

func innerTCP6() []byte {
	return ip6("2001:db8::1", "2001:db8::2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK|FlagPSH, []byte("hello")))
}

// innerTeredo is a packet from a client behind an address translator, as in RFC 4380 section 4.
func innerTeredo() []byte {
	return ip6("2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::2", ProtoTCP, tcp(40000, 443, 7, 9, FlagACK|FlagPSH, []byte("hello")))
}

// segments6 is a segment routing header (RFC 8754 section 2) with two segments, of which one is left.
func segments6(next uint8, payload []byte) []byte {
	a, b := netip.MustParseAddr("fc00:b::2").As16(), netip.MustParseAddr("fc00:b::1").As16()
	return cat([]byte{next, 4, 4, 1, 1, 0, 0, 0}, a[:], b[:], payload)
}

// peeledFrames are encapsulations of newer sorts, by name.
func peeledFrames() map[string][]byte {
	frame4 := func(proto uint8, payload []byte) []byte {
		return eth(macA, macB, etherIPv4, ip4("192.0.2.1", "192.0.2.2", proto, payload))
	}
	frame6 := func(proto uint8, payload []byte) []byte {
		return eth(macA, macB, etherIPv6, ip6("fc00::1", "fc00::2", proto, payload))
	}
	inUDP := func(port uint16, payload []byte) []byte { return frame4(ProtoUDP, udp(55555, port, payload)) }
	innerEth := eth(macC, macD, etherIPv4, innerTCP())
	ppp4 := append(hx("0021"), innerTCP()...)
	size := func(n int) []byte { return be.AppendUint16(nil, uint16(n)) }
	return map[string][]byte{
		"MPLS in UDP":                           inUDP(portMPLS, mplsLabel(16, true, innerTCP())), // RFC 7510 section 3
		"MPLS in UDP, Ethernet":                 inUDP(portMPLS, mplsLabel(16, true, append(make([]byte, 4), innerEth...))),
		"GRE in UDP":                            inUDP(portGRE, gre(0x2000, etherIPv6, hx("00000007"), innerTCP6())), // RFC 8086 section 3
		"LISP":                                  inUDP(portLISP, cat(hx("80 123456 00000000"), innerTCP())),          // RFC 9300 section 5.1
		"GUE":                                   inUDP(portGUE, cat(hx("00 04 0000"), innerTCP())),                   // draft-ietf-intarea-gue section 3.1
		"GUE with fields, IPv6":                 inUDP(portGUE, cat(hx("01 29 0000 01020304"), innerTCP6())),
		"GUE with GRE":                          inUDP(portGUE, cat(hx("00 2f 0000"), gre(0, etherIPv4, nil, innerTCP()))),
		"GUE version 1":                         inUDP(portGUE, innerTCP6()),
		"Teredo":                                inUDP(portTeredo, innerTeredo()), // RFC 4380 section 5.1.1
		"Teredo from a server":                  frame4(ProtoUDP, udp(portTeredo, 55555, innerTeredo())),
		"Teredo with origin":                    inUDP(portTeredo, cat(hx("0000 2709 3fff fdd2"), innerTeredo())),
		"Teredo with authentication":            inUDP(portTeredo, cat(hx("0001 00 00 0102030405060708 00"), innerTeredo())),
		"Teredo with authentication and origin": inUDP(portTeredo, cat(hx("0001 04 02 61626364 aabb 0102030405060708 00 0000 2709 3ffffdd2"), innerTeredo())),
		"EtherIP":                               frame4(ProtoEtherIP, cat(hx("3000"), innerEth)),              // RFC 3378 section 3
		"PIM register":                          frame4(ProtoPIM, cat(hx("21 00 dead 00000000"), innerTCP())), // RFC 7761 section 4.9.3
		"PIM register of a border, IPv6":        frame6(ProtoPIM, cat(hx("21 00 dead 80000000"), innerTCP6())),
		"segment routing, IPv6":                 frame6(extRouting, segments6(ProtoIPv6, innerTCP6())), // RFC 8986 section 5
		"segment routing, IPv4":                 frame6(extRouting, segments6(ProtoIPIP, innerTCP())),
		"segment routing, Ethernet":             frame6(extRouting, segments6(ProtoEthernet, innerEth)),
		"segment routing, Ethernet, no header":  frame6(ProtoEthernet, innerEth),
		"L2TP 2":                                inUDP(portL2TP, cat(hx("0002 0001 0002 ff03"), ppp4)), // RFC 2661 section 3.1
		"L2TP 2 with all fields, from a server": frame4(ProtoUDP, udp(portL2TP, 55555, cat(hx("4a02"), size(16+len(ppp4)), hx("0001 0002 0003 0004 0002 0000"), ppp4))),
		"L2TP 3 in UDP":                         inUDP(portL2TP, cat(hx("0003 0000 00000007"), innerEth)), // RFC 3931 section 4.1.2
		"L2TP 3":                                frame4(ProtoL2TP, cat(hx("00000007"), innerEth)),
		"L2TP 3 with cookie and sublayer":       frame4(ProtoL2TP, cat(hx("00000007 0102030405060708 40000000"), innerEth)),
		"L2TP 3 with cookie, PPP":               frame4(ProtoL2TP, cat(hx("00000007 01020304 ff03"), ppp4)),
	}
}

func decode(t testing.TB, linkType uint32, frame []byte) Packet {
	t.Helper()
	var p Packet
	NewDecoder(linkType, Options{}).Decode(frame, 1, len(frame), &p)
	return p
}
