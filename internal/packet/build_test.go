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

func decode(t testing.TB, linkType uint32, frame []byte) Packet {
	t.Helper()
	var p Packet
	NewDecoder(linkType, Options{}).Decode(frame, 1, len(frame), &p)
	return p
}
