package packet

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// Kind says what the addresses of a Key are.
type Kind uint8

// The kinds of flow keys. The numbers are part of the binary layout.
const (
	KindUnknown Kind = 0 // neither IP nor a link layer that has addresses: PortA and PortB hold the link type
	KindIPv4    Kind = 4 // the address is in the first 4 bytes, the rest is zero
	KindIPv6    Kind = 6 // 16 bytes of address
	KindMAC     Kind = 1 // the address is in the first 6 bytes; PortA and PortB both hold the ethertype (below 0x600: LLC DSAP)
	KindGroup   Kind = 2 // as KindMAC, for frames to a group address: both ends are the group, senders share the flow
	KindARP     Kind = 3 // both ends are the IPv4 address that is resolved, in the first 4 bytes; PortA and PortB are 0x0806
)

// String returns the kind's name as it appears in messages.
func (k Kind) String() string {
	switch k {
	case KindUnknown:
		return "unknown"
	case KindIPv4:
		return "ipv4"
	case KindIPv6:
		return "ipv6"
	case KindMAC:
		return "mac"
	case KindGroup:
		return "group"
	case KindARP:
		return "arp"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Dir is the direction of a packet relative to its canonical key.
type Dir uint8

// The two directions.
const (
	AtoB Dir = 0 // the packet's source is end A of the key
	BtoA Dir = 1 // the packet's source is end B of the key
)

// Reverse returns the other direction.
func (d Dir) Reverse() Dir { return d ^ 1 }

// IP protocol numbers that this package treats specially (IANA "Assigned Internet Protocol Numbers").
const (
	ProtoICMP     uint8 = 1
	ProtoIGMP     uint8 = 2
	ProtoIPIP     uint8 = 4
	ProtoTCP      uint8 = 6
	ProtoUDP      uint8 = 17
	ProtoIPv6     uint8 = 41
	ProtoGRE      uint8 = 47
	ProtoESP      uint8 = 50
	ProtoAH       uint8 = 51
	ProtoICMPv6   uint8 = 58
	ProtoOSPF     uint8 = 89
	ProtoPIM      uint8 = 103
	ProtoSCTP     uint8 = 132
	ProtoMPLS     uint8 = 137
	ProtoEtherIP  uint8 = 97
	ProtoL2TP     uint8 = 115
	ProtoEthernet uint8 = 143
)

// Key names a flow: the same for both directions. It is comparable, so it serves as a map key.
//
// Ends are in canonical order: (A, PortA) is at most (B, PortB), addresses compared as bytes, then
// ports. NewKey builds it so; do not fill it by hand. Ports are zero for protocols that have none,
// ICMP among them.
type Key struct {
	A, B         [16]byte
	PortA, PortB uint16
	Proto        uint8 // IP protocol number; 0 unless Kind is IPv4 or IPv6
	Kind         Kind
}

// KeyLen is the size of an encoded key in bytes.
const KeyLen = 38

// ErrBadKey is returned by DecodeKey for bytes that no key encodes to.
var ErrBadKey = errors.New("bad flow key")

// NewKey returns the canonical key of a packet from src to dst, and the packet's direction in it.
// Two equal ends give AtoB.
func NewKey(kind Kind, proto uint8, src, dst [16]byte, srcPort, dstPort uint16) (Key, Dir) {
	if after(&src, &dst, srcPort, dstPort) {
		return Key{A: dst, B: src, PortA: dstPort, PortB: srcPort, Proto: proto, Kind: kind}, BtoA
	}
	return Key{A: src, B: dst, PortA: srcPort, PortB: dstPort, Proto: proto, Kind: kind}, AtoB
}

// after reports whether end (a, ap) sorts after end (b, bp).
func after(a, b *[16]byte, ap, bp uint16) bool {
	ah, bh := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(b[:8])
	if ah != bh {
		return ah > bh
	}
	al, bl := binary.BigEndian.Uint64(a[8:]), binary.BigEndian.Uint64(b[8:])
	if al != bl {
		return al > bl
	}
	return ap > bp
}

// KeyFromAddrs returns the key and direction of a packet from src to dst. IPv4-mapped IPv6 addresses
// stay IPv6, as they are on the wire. The two addresses must be of the same family.
func KeyFromAddrs(proto uint8, src, dst netip.AddrPort) (Key, Dir, error) {
	sa, da := src.Addr(), dst.Addr()
	if !sa.IsValid() || !da.IsValid() || sa.Is4() != da.Is4() {
		return Key{}, AtoB, fmt.Errorf("%w: addresses %v and %v are not of one family", ErrBadKey, sa, da)
	}
	var s, d [16]byte
	kind := KindIPv6
	if sa.Is4() {
		kind = KindIPv4
		s4, d4 := sa.As4(), da.As4()
		copy(s[:], s4[:])
		copy(d[:], d4[:])
	} else {
		s, d = sa.As16(), da.As16()
	}
	k, dir := NewKey(kind, proto, s, d, src.Port(), dst.Port())
	return k, dir, nil
}

// IsIP reports whether the key's addresses are IP addresses.
func (k *Key) IsIP() bool { return k.Kind == KindIPv4 || k.Kind == KindIPv6 }

// Src returns address and port of the end that a packet of direction d comes from. The address is
// the zero netip.Addr unless the key is an IP key.
func (k *Key) Src(d Dir) netip.AddrPort {
	if d == AtoB {
		return netip.AddrPortFrom(k.addr(&k.A), k.PortA)
	}
	return netip.AddrPortFrom(k.addr(&k.B), k.PortB)
}

// Dst returns address and port of the end that a packet of direction d goes to.
func (k *Key) Dst(d Dir) netip.AddrPort { return k.Src(d.Reverse()) }

// MAC returns the link-layer address of the end that a packet of direction d comes from; the group's own
// address for KindGroup, zero for kinds that have no link-layer address.
func (k *Key) MAC(d Dir) (mac [6]byte) {
	if k.Kind != KindMAC && k.Kind != KindGroup {
		return mac
	}
	if d == AtoB {
		copy(mac[:], k.A[:])
	} else {
		copy(mac[:], k.B[:])
	}
	return mac
}

func (k *Key) addr(b *[16]byte) netip.Addr {
	switch k.Kind {
	case KindIPv4:
		return netip.AddrFrom4([4]byte(b[:4]))
	case KindIPv6:
		return netip.AddrFrom16(*b)
	}
	return netip.Addr{}
}

// Hash returns the XXH64 (seed 0) of the encoded key. It is stable across processes and versions.
func (k *Key) Hash() uint64 {
	var b [KeyLen]byte
	k.put(&b)
	return xxhash.Sum64(b[:])
}

func (k *Key) put(b *[KeyLen]byte) {
	*(*[16]byte)(b[0:]) = k.A
	*(*[16]byte)(b[16:]) = k.B
	binary.BigEndian.PutUint16(b[32:], k.PortA)
	binary.BigEndian.PutUint16(b[34:], k.PortB)
	b[36] = k.Proto
	b[37] = byte(k.Kind)
}

// AppendBinary appends the key's KeyLen bytes to b: A, B, PortA, PortB (big endian), Proto, Kind.
// The error is always nil; it is there for encoding.BinaryAppender. Layout: docs/packet-keys.md.
func (k Key) AppendBinary(b []byte) ([]byte, error) {
	var e [KeyLen]byte
	k.put(&e)
	return append(b, e[:]...), nil
}

// DecodeKey decodes the key at the start of b. It returns ErrBadKey when b is shorter than KeyLen, or
// holds a kind that is not known, ends out of canonical order or bytes that the kind does not use.
func DecodeKey(b []byte) (Key, error) {
	if len(b) < KeyLen {
		return Key{}, fmt.Errorf("%w: have %d bytes, need %d", ErrBadKey, len(b), KeyLen)
	}
	k := Key{
		A: [16]byte(b[0:16]), B: [16]byte(b[16:32]),
		PortA: binary.BigEndian.Uint16(b[32:]), PortB: binary.BigEndian.Uint16(b[34:]),
		Proto: b[36], Kind: Kind(b[37]),
	}
	used := 0
	switch k.Kind {
	case KindUnknown:
	case KindMAC, KindGroup:
		used = 6
	case KindIPv4, KindARP:
		used = 4
	case KindIPv6:
		used = 16
	default:
		return Key{}, fmt.Errorf("%w: kind %d", ErrBadKey, b[37])
	}
	for i := used; i < 16; i++ {
		if k.A[i]|k.B[i] != 0 {
			return Key{}, fmt.Errorf("%w: byte %d of a %v address is not zero", ErrBadKey, i, k.Kind)
		}
	}
	if k.Proto != 0 && !k.IsIP() {
		return Key{}, fmt.Errorf("%w: protocol %d in a %v key", ErrBadKey, k.Proto, k.Kind)
	}
	if (k.Kind == KindGroup || k.Kind == KindARP || k.Kind == KindUnknown) && (k.A != k.B || k.PortA != k.PortB) {
		return Key{}, fmt.Errorf("%w: the ends of a %v key differ", ErrBadKey, k.Kind)
	}
	if after(&k.A, &k.B, k.PortA, k.PortB) {
		return Key{}, fmt.Errorf("%w: ends are not in order", ErrBadKey)
	}
	return k, nil
}

// Compare orders keys as their encoded bytes: by A, B, PortA, PortB, Proto, Kind.
func (k *Key) Compare(o *Key) int {
	var a, b [KeyLen]byte
	k.put(&a)
	o.put(&b)
	return bytes.Compare(a[:], b[:])
}

// String returns the key for messages and logs: "tcp 10.0.0.1:80 <-> 10.0.0.2:1025".
func (k Key) String() string {
	switch k.Kind {
	case KindIPv4, KindIPv6:
		a, b := k.Src(AtoB), k.Src(BtoA)
		if k.PortA|k.PortB == 0 {
			return fmt.Sprintf("%s %v <-> %v", ProtoName(k.Proto), a.Addr(), b.Addr())
		}
		return fmt.Sprintf("%s %v <-> %v", ProtoName(k.Proto), a, b)
	case KindMAC:
		return fmt.Sprintf("mac %s <-> %s ethertype 0x%04x", FormatMAC(k.MAC(AtoB)), FormatMAC(k.MAC(BtoA)), k.PortA)
	case KindGroup:
		return fmt.Sprintf("group %s ethertype 0x%04x", FormatMAC(k.MAC(AtoB)), k.PortA)
	case KindARP:
		return fmt.Sprintf("arp %v", netip.AddrFrom4([4]byte(k.A[:4])))
	}
	return fmt.Sprintf("%v link type %d", k.Kind, k.PortA)
}

// ProtoName returns the usual name of an IP protocol number, or "ip-N".
func ProtoName(p uint8) string {
	switch p {
	case ProtoICMP:
		return "icmp"
	case ProtoIGMP:
		return "igmp"
	case ProtoTCP:
		return "tcp"
	case ProtoUDP:
		return "udp"
	case ProtoGRE:
		return "gre"
	case ProtoESP:
		return "esp"
	case ProtoAH:
		return "ah"
	case ProtoICMPv6:
		return "icmpv6"
	case ProtoOSPF:
		return "ospf"
	case ProtoPIM:
		return "pim"
	case ProtoSCTP:
		return "sctp"
	}
	return fmt.Sprintf("ip-%d", p)
}

// FormatMAC returns a link-layer address in lower case with colons.
func FormatMAC(m [6]byte) string {
	const hex = "0123456789abcdef"
	var b [17]byte
	for i, c := range m {
		b[i*3], b[i*3+1] = hex[c>>4], hex[c&15]
		if i < 5 {
			b[i*3+2] = ':'
		}
	}
	return string(b[:])
}
