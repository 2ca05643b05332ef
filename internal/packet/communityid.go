package packet

import (
	"crypto/sha1" //nolint:gosec // Community ID v1 is defined with SHA-1; it is a name, not a protection.
	"encoding/base64"
	"encoding/binary"
)

// communityIDLen is the length of a version 1 community ID: "1:" and base64 of 20 bytes.
const communityIDLen = 2 + 28

// CommunityID returns the Community ID version 1 of the flow with key k, "" when the key is not an IP
// key. ICMP has types for ports: icmpType and icmpCode are those of a packet that went in direction d;
// for other protocols the three are ignored. Seed is 0 unless a site chose another.
//
// Specification: https://github.com/corelight/community-id-spec.
func CommunityID(k *Key, d Dir, icmpType, icmpCode uint8, seed uint16) string {
	if !k.IsIP() {
		return ""
	}
	a, b, ap, bp := &k.A, &k.B, k.PortA, k.PortB
	ported := hasPorts(k.Proto)
	if k.Proto == ProtoICMP || k.Proto == ProtoICMPv6 {
		if d == BtoA {
			a, b = b, a
		}
		oneWay := false
		ap, bp, oneWay = icmpPorts(k.Proto, icmpType, icmpCode)
		ported = true
		if !oneWay && after(a, b, ap, bp) {
			a, b, ap, bp = b, a, bp, ap
		}
	}
	return communityID(k, a, b, ap, bp, ported, seed)
}

// CommunityIDOfPorts is CommunityID with the key's ports hashed whatever its protocol: zeros where it has none.
// Some tools do so for ESP and AH.
func CommunityIDOfPorts(k *Key, seed uint16) string {
	if !k.IsIP() {
		return ""
	}
	return communityID(k, &k.A, &k.B, k.PortA, k.PortB, true, seed)
}

func communityID(k *Key, a, b *[16]byte, ap, bp uint16, ported bool, seed uint16) string {
	n := 16
	if k.Kind == KindIPv4 {
		n = 4
	}
	var in [2 + 16 + 16 + 2 + 4]byte
	binary.BigEndian.PutUint16(in[:], seed)
	i := 2
	i += copy(in[i:], a[:n])
	i += copy(in[i:], b[:n])
	in[i] = k.Proto
	i += 2 // and one byte of padding
	if ported {
		binary.BigEndian.PutUint16(in[i:], ap)
		binary.BigEndian.PutUint16(in[i+2:], bp)
		i += 4
	}
	sum := sha1.Sum(in[:i]) //nolint:gosec // as above
	out := [communityIDLen]byte{'1', ':'}
	base64.StdEncoding.Encode(out[2:], sum[:])
	return string(out[:])
}

// CommunityID returns the Community ID version 1 of the packet's flow. See the function.
func (p *Packet) CommunityID(seed uint16) string {
	return CommunityID(&p.Key, p.Dir, p.ICMPType, p.ICMPCode, seed)
}

// hasPorts reports whether the specification hashes ports for an IP protocol other than ICMP.
func hasPorts(proto uint8) bool { return proto == ProtoTCP || proto == ProtoUDP || proto == ProtoSCTP }

// icmpPorts maps an ICMP type and code to the ports that stand for them: type and its counterpart for
// messages that have an answer, else type and code, which makes the flow one-way: its ends are not sorted.
func icmpPorts(proto, typ, code uint8) (src, dst uint16, oneWay bool) {
	var peer uint8
	if proto == ProtoICMP {
		switch typ {
		case 0, 8: // echo
			peer = 8 - typ
		case 9, 10: // router advertisement, solicitation
			peer = 19 - typ
		case 13, 14: // timestamp
			peer = 27 - typ
		case 15, 16: // information
			peer = 31 - typ
		case 17, 18: // address mask
			peer = 35 - typ
		default:
			return uint16(typ), uint16(code), true
		}
		return uint16(typ), uint16(peer), false
	}
	switch typ {
	case 128, 129: // echo
		peer = 128 ^ 129 ^ typ
	case 130, 131: // multicast listener query, report
		peer = 130 ^ 131 ^ typ
	case 133, 134: // router solicitation, advertisement
		peer = 133 ^ 134 ^ typ
	case 135, 136: // neighbour solicitation, advertisement
		peer = 135 ^ 136 ^ typ
	case 139, 140: // who are you, I am
		peer = 139 ^ 140 ^ typ
	case 144, 145: // home agent address discovery
		peer = 128 ^ 129 ^ typ
	default:
		return uint16(typ), uint16(code), true
	}
	return uint16(typ), uint16(peer), false
}
