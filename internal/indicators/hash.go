package indicators

import (
	"encoding/binary"
	"net/netip"

	"github.com/cespare/xxhash/v2"
)

// The hashes are the same in every process: a document that is dissected again is tagged
// again alike, to the last false match.

// textKey is the hash of a text in a class.
func textKey(c class, text []byte) uint64 { return inClass(c, xxhash.Sum64(text)) }

// inClass turns the hash of a text into that of the text in a class.
func inClass(c class, h uint64) uint64 {
	const golden = 0x9e3779b97f4a7c15 // 2^64 divided by the golden ratio: multiples differ in all bits
	return h ^ (uint64(c)+1)*golden
}

// addrKey is the hash of the first bits of an address.
func addrKey(p netip.Prefix) uint64 {
	if a := p.Addr(); a.Is4() {
		b := a.As4()
		return mix(uint64(binary.BigEndian.Uint32(b[:]))<<8 | uint64(p.Bits())) //nolint:gosec // 0 to 32
	}
	b := p.Addr().As16()
	h := mix(binary.BigEndian.Uint64(b[:8]) + 1)
	return mix(mix(h^binary.BigEndian.Uint64(b[8:])) + uint64(p.Bits())) //nolint:gosec // 0 to 128
}

// mix spreads each bit of x over all bits, one to one (the finalizer of MurmurHash3).
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	x ^= x >> 33
	return x
}
