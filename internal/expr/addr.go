package expr

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
)

// prefixRange returns the addresses of a prefix.
func prefixRange(p netip.Prefix) AddrRange {
	p = p.Masked()
	last := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return AddrRange{p.Addr(), to}
}

// normalAddrs returns the ranges sorted and joined. Documents hold mapped
// addresses as IPv4, and Elasticsearch orders IPv4 among the mapped ones: so
// that "::/0" means IPv6 to all engines, mapped addresses are cut out of ranges of IPv6,
// and a range of mapped addresses alone becomes one of IPv4.
func normalAddrs(in []AddrRange) []AddrRange {
	// Around ::ffff:0:0/96, where IPv6 maps IPv4.
	firstMapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff})
	lastMapped := netip.AddrFrom16([16]byte{10: 0xff, 11: 0xff, 12: 0xff, 13: 0xff, 14: 0xff, 15: 0xff})
	beforeMapped, afterMapped := firstMapped.Prev(), lastMapped.Next()
	var out []AddrRange
	for _, r := range in {
		switch {
		case r.From.Is4(), r.To.Less(firstMapped), lastMapped.Less(r.From):
			out = append(out, r)
		case r.From.Is4In6() && r.To.Is4In6():
			out = append(out, AddrRange{r.From.Unmap(), r.To.Unmap()})
		default:
			if r.From.Less(firstMapped) {
				out = append(out, AddrRange{r.From, beforeMapped})
			}
			if lastMapped.Less(r.To) {
				out = append(out, AddrRange{afterMapped, r.To})
			}
		}
	}
	slices.SortFunc(out, func(a, b AddrRange) int { return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To)) })
	n := 0
	for _, r := range out {
		if n > 0 && out[n-1].From.BitLen() == r.From.BitLen() && r.From.Compare(out[n-1].To) <= 0 {
			if out[n-1].To.Less(r.To) {
				out[n-1].To = r.To
			}
			continue
		}
		out[n] = r
		n++
	}
	return out[:n]
}

// textPrefix returns what the canonical texts of all addresses of r begin with.
func textPrefix(r AddrRange) string {
	if r.From == r.To {
		return r.From.String()
	}
	if !r.From.Is4() {
		return "" // zeros of IPv6 are written in many ways
	}
	from, to := r.From.As4(), r.To.As4()
	n := 0
	for n < 4 && from[n] == to[n] {
		n++
	}
	octets := strings.SplitAfterN(r.From.String(), ".", n+1)
	return strings.Join(octets[:n], "")
}

// Prefix returns r as a prefix when it is one.
func (r AddrRange) Prefix() (netip.Prefix, bool) {
	for bits := r.From.BitLen(); bits >= 0; bits-- {
		p := netip.PrefixFrom(r.From, bits)
		whole := prefixRange(p)
		if whole.From != r.From {
			return netip.Prefix{}, false
		}
		if whole == r {
			return p, true
		}
	}
	return netip.Prefix{}, false
}
