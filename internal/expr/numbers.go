package expr

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"wirelake/internal/spi"
)

// ProtocolNumber returns the number of an IP protocol's name (IANA, "Protocol Numbers").
func ProtocolNumber(name string) (int64, bool) {
	switch strings.ToLower(name) {
	case "icmp":
		return 1, true
	case "igmp":
		return 2, true
	case "tcp":
		return 6, true
	case "udp":
		return 17, true
	case "gre":
		return 47, true
	case "esp":
		return 50, true
	case "icmp6", "icmpv6":
		return 58, true
	case "ospf":
		return 89, true
	case "pim":
		return 103, true
	case "sctp":
		return 132, true
	}
	return 0, false
}

// integers compares a number, ranges (5-10) included.
func (c *checker) integers(t target, f *spi.Field, op string, items []value) (Node, error) {
	var ranges []IntRange
	for _, v := range items {
		if err := c.refusePatterns(t, v, "numbers"); err != nil {
			return nil, err
		}
		r, ok := parseIntRange(strings.TrimSpace(v.text))
		if !ok && f.ID == spi.IPProtocol {
			var n int64
			n, ok = ProtocolNumber(v.text)
			r = IntRange{n, n}
		}
		switch {
		case !ok && f.ID == spi.IPProtocol:
			return nil, c.fail(v.at, "%s is no protocol number, nor one of icmp, igmp, tcp, udp, gre, esp, icmp6, ospf, pim and sctp", Quote(v.text))
		case !ok:
			return nil, c.fail(v.at, "%s is not a whole number, nor a range such as 5-10", Quote(v.text))
		case r.Lo > r.Hi:
			return nil, c.fail(v.at, "the range %s begins above its end", v.text)
		case r.Lo != r.Hi && op != "==" && op != "!=":
			return nil, c.fail(v.at, "%s compares with one number, not with the range %s", op, v.text)
		}
		ranges = append(ranges, compareRange(op, r))
	}
	return &Leaf{Field: f, Kind: Ints, Ints: normalInts(ranges)}, nil
}

// parseIntRange reads 5, -5, 5-10 and -10--5.
func parseIntRange(s string) (IntRange, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return IntRange{n, n}, true
	}
	for i := 1; i < len(s); i++ { // from 1: a first minus is a sign
		if s[i] != '-' {
			continue
		}
		lo, err := strconv.ParseInt(s[:i], 10, 64)
		if err != nil {
			return IntRange{}, false
		}
		hi, err := strconv.ParseInt(s[i+1:], 10, 64)
		return IntRange{lo, hi}, err == nil
	}
	return IntRange{}, false
}

// compareRange returns the numbers that stand in relation op to r: below its
// first for <, above its last for >. Lo above Hi: none.
func compareRange(op string, r IntRange) IntRange {
	switch op {
	case "<":
		if r.Lo == math.MinInt64 {
			return IntRange{1, 0}
		}
		return IntRange{math.MinInt64, r.Lo - 1}
	case "<=":
		return IntRange{math.MinInt64, r.Hi}
	case ">":
		if r.Hi == math.MaxInt64 {
			return IntRange{1, 0}
		}
		return IntRange{r.Hi + 1, math.MaxInt64}
	case ">=":
		return IntRange{r.Lo, math.MaxInt64}
	}
	return r
}

// normalInts returns the ranges sorted, joined, and without empty ones.
func normalInts(in []IntRange) []IntRange {
	in = slices.DeleteFunc(in, func(r IntRange) bool { return r.Lo > r.Hi })
	slices.SortFunc(in, func(a, b IntRange) int { return cmp.Or(cmp.Compare(a.Lo, b.Lo), cmp.Compare(a.Hi, b.Hi)) })
	out := in[:0]
	for _, r := range in {
		if n := len(out); n > 0 && (out[n-1].Hi == math.MaxInt64 || r.Lo <= out[n-1].Hi+1) {
			out[n-1].Hi = max(out[n-1].Hi, r.Hi)
			continue
		}
		out = append(out, r)
	}
	return out
}
