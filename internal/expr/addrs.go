package expr

import (
	"net/netip"
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// addrs compares an address: 1.2.3.4, the short forms 10, 10.1 and 10.1.2, CIDR,
// ipv4, ipv6, each with a port (1.2.3.4:80, and 2001:db8::1.80 for IPv6), or :80 alone.
func (c *checker) addrs(t target, f *spi.Field, op string, items []value) (Node, error) {
	var ranges []AddrRange
	var nodes []Node
	for _, v := range items {
		if err := c.refusePatterns(t, v, "addresses"); err != nil {
			return nil, err
		}
		r, port, err := parseEndpoint(strings.TrimSpace(v.text))
		if err != "" {
			return nil, c.fail(v.at, "%s %s", Quote(v.text), err)
		}
		if port < 0 {
			ranges = append(ranges, compareAddrs(op, r)...)
			continue
		}
		if op != "==" && op != "!=" {
			return nil, c.fail(v.at, "%s compares addresses; a port can only be given to == and !=", op)
		}
		portField, ok := c.portField(f)
		if !ok {
			return nil, c.fail(v.at, "%s has no port", t.name)
		}
		n := Node(&Leaf{Field: portField, Kind: Ints, Ints: []IntRange{{int64(port), int64(port)}}})
		if r.From.IsValid() {
			n = And{&Leaf{Field: f, Kind: Addrs, Addrs: normalAddrs([]AddrRange{r})}, n}
		}
		nodes = append(nodes, n)
	}
	if len(ranges) > 0 || len(nodes) == 0 {
		nodes = append([]Node{&Leaf{Field: f, Kind: Addrs, Addrs: normalAddrs(ranges)}}, nodes...)
	}
	return disjunction(nodes), nil
}

func (c *checker) portField(f *spi.Field) (*spi.Field, bool) {
	if f.Port == "" {
		return nil, false
	}
	return c.reg.ByPath(f.Port)
}

// parseEndpoint reads an address, prefix or short form with or without a port, or a
// port alone (then r.From is not valid). Port is -1 for none. Why is what is wrong, "" for nothing.
func parseEndpoint(s string) (r AddrRange, port int, why string) {
	const not = "is not an address, a prefix such as 10.0.0.0/8, or a short form such as 10.1"
	if s == "" {
		return r, -1, not
	}
	r, ok := parseAddrs(s)
	if ok {
		return r, -1, ""
	}
	// The port follows the last dot of IPv6, the last colon of IPv4.
	sep := strings.LastIndexByte(s, ':')
	if strings.Count(s, ":") > 1 {
		sep = strings.LastIndexByte(s, '.')
	}
	if sep < 0 {
		return r, -1, not
	}
	port64, err := strconv.ParseUint(s[sep+1:], 10, 16)
	if err != nil {
		if s[sep] == ':' && strings.Count(s, ":") == 1 {
			return r, -1, "has no port from 0 to 65535 after the colon"
		}
		return r, -1, not
	}
	if sep == 0 {
		return AddrRange{}, int(port64), ""
	}
	if r, ok = parseAddrs(s[:sep]); !ok {
		return r, -1, not
	}
	return r, int(port64), ""
}

// parseAddrs reads an address, prefix, short form, ipv4 or ipv6.
func parseAddrs(s string) (AddrRange, bool) {
	switch strings.ToLower(s) {
	case "ipv4":
		return prefixRange(netip.PrefixFrom(netip.IPv4Unspecified(), 0)), true
	case "ipv6":
		return prefixRange(netip.PrefixFrom(netip.IPv6Unspecified(), 0)), true
	}
	text, mask, hasMask := strings.Cut(s, "/")
	a, err := netip.ParseAddr(text)
	bits := a.BitLen()
	if err != nil {
		if a, bits, err = parseShort(text); err != nil {
			return AddrRange{}, false
		}
	}
	if a.Zone() != "" {
		return AddrRange{}, false
	}
	if hasMask {
		n, err := strconv.ParseUint(mask, 10, 8)
		if err != nil || int(n) > a.BitLen() || mask[0] == '+' {
			return AddrRange{}, false
		}
		bits = int(n)
	}
	return prefixRange(netip.PrefixFrom(a, bits)), true
}

// parseShort reads 10, 10.1 and 10.1.2, with or without a dot at the end, as
// prefixes of 8, 16 and 24 bits.
func parseShort(s string) (netip.Addr, int, error) {
	octets := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(octets) > 3 {
		return netip.Addr{}, 0, strconv.ErrSyntax
	}
	var b [4]byte
	for i, o := range octets {
		n, err := strconv.ParseUint(o, 10, 8)
		if err != nil || o[0] == '+' {
			return netip.Addr{}, 0, strconv.ErrSyntax
		}
		b[i] = byte(n)
	}
	return netip.AddrFrom4(b), len(octets) * 8, nil
}

// compareAddrs returns the addresses of r's family that stand in relation op to r.
func compareAddrs(op string, r AddrRange) []AddrRange {
	if r.From.Is4In6() && r.To.Is4In6() {
		r = AddrRange{r.From.Unmap(), r.To.Unmap()}
	}
	all := prefixRange(netip.PrefixFrom(netip.IPv4Unspecified(), 0))
	if r.From.Is6() {
		all = prefixRange(netip.PrefixFrom(netip.IPv6Unspecified(), 0))
	}
	switch op {
	case "<":
		if r.From == all.From {
			return nil
		}
		return []AddrRange{{all.From, r.From.Prev()}}
	case "<=":
		return []AddrRange{{all.From, r.To}}
	case ">":
		if r.To == all.To {
			return nil
		}
		return []AddrRange{{r.To.Next(), all.To}}
	case ">=":
		return []AddrRange{{r.From, all.To}}
	}
	return []AddrRange{r}
}
