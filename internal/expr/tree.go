package expr

import (
	"net/netip"
	"slices"

	"wirelake/internal/spi"
)

// Node is a node of the checked tree: [All], [And], [Or], [Not] or *[Leaf].
type Node interface{ node() }

// All is true for every document: the empty expression.
type All struct{}

// And is true when all of its nodes are; it has two or more.
type And []Node

// Or is true when one of its nodes is; it has two or more.
type Or []Node

// Not is true when its node is not.
type Not struct{ Node Node }

func (All) node()   {}
func (And) node()   {}
func (Or) node()    {}
func (Not) node()   {}
func (*Leaf) node() {}

// Kind is what a [Leaf] asks of the values of its field.
type Kind uint8

// The kinds of leaves. The field's type decides: Integer and Date fields have
// Exists and Ints leaves, IP fields Exists and Addrs, all others Exists and Strings.
const (
	Exists  Kind = iota // there is a value
	Ints                // the number is in one of Leaf.Ints
	Addrs               // the address is in one of Leaf.Addrs
	Strings             // the text is one of Leaf.Values or matches one of Leaf.Patterns
)

// Leaf is a predicate on one field: true when any value of the field passes it.
// It is safe for concurrent use.
type Leaf struct {
	Field *spi.Field
	Kind  Kind

	Ints     []IntRange  // sorted, disjoint, not adjacent
	Addrs    []AddrRange // sorted, disjoint
	Values   []string    // sorted, in the case that the field stores
	Patterns []*Pattern  // in the case that the field stores

	set     map[string]struct{} // of Values, when they are many
	anyCase bool                // a pattern is for any case
}

// IntRange is the numbers from Lo to Hi, both included; for Date fields
// milliseconds since 1970.
type IntRange struct{ Lo, Hi int64 }

// AddrRange is the addresses from From to To, both included. Both are of one
// family, and neither is an IPv4-mapped IPv6 address.
type AddrRange struct{ From, To netip.Addr }

// MatchInt reports whether an Integer or Date leaf accepts n.
func (l *Leaf) MatchInt(n int64) bool {
	switch l.Kind {
	case Exists:
		return true
	case Ints:
		if len(l.Ints) == 1 {
			return l.Ints[0].Lo <= n && n <= l.Ints[0].Hi
		}
		i, found := slices.BinarySearchFunc(l.Ints, n, func(r IntRange, n int64) int {
			switch {
			case r.Hi < n:
				return -1
			case r.Lo > n:
				return 1
			}
			return 0
		})
		_ = i
		return found
	}
	return false
}

// MatchString reports whether a leaf of a text or IP field accepts s; for an IP
// field s is the address as text. Text that is no address is not accepted.
func (l *Leaf) MatchString(s string) bool {
	if l.anyCase {
		return l.MatchLowered(s, LowerASCII(s))
	}
	return l.MatchLowered(s, s)
}

// AnyCase reports whether the leaf of a text field has values for any case. To ask many such leaves of one text,
// lower it once with [LowerASCII] and use MatchLowered.
func (l *Leaf) AnyCase() bool { return l.anyCase }

// MatchLowered is MatchString with the same text in lower case, which only counts when AnyCase is true.
func (l *Leaf) MatchLowered(s, lowered string) bool {
	switch l.Kind {
	case Exists:
		return true
	case Strings:
		if l.hasValue(s) {
			return true
		}
		for _, p := range l.Patterns {
			if p.anyCase && p.matchWildcard(lowered) || !p.anyCase && p.Match(s) {
				return true
			}
		}
	case Addrs:
		a, err := netip.ParseAddr(s)
		return err == nil && l.MatchAddr(a)
	}
	return false
}

// MatchAddr reports whether a leaf of an IP field accepts a.
func (l *Leaf) MatchAddr(a netip.Addr) bool {
	switch l.Kind {
	case Exists:
		return true
	case Addrs:
		a = a.Unmap().WithZone("")
		for _, r := range l.Addrs {
			// netip orders all of IPv4 before IPv6, so families do not mix.
			if r.From.Compare(a) <= 0 && a.Compare(r.To) <= 0 {
				return true
			}
		}
	}
	return false
}

// manyValues is from where on a map beats comparing with each value.
const manyValues = 8

func (l *Leaf) hasValue(s string) bool {
	if l.set != nil {
		_, ok := l.set[s]
		return ok
	}
	return slices.Contains(l.Values, s)
}

// ExactStrings returns the values that a leaf of a text or IP field accepts,
// when it accepts only these: what to ask a bloom filter or a dictionary for.
// Addresses are in netip's canonical text.
func (l *Leaf) ExactStrings() ([]string, bool) {
	switch l.Kind {
	case Strings:
		return l.Values, len(l.Patterns) == 0
	case Addrs:
		out := make([]string, 0, len(l.Addrs))
		for _, r := range l.Addrs {
			if r.From != r.To {
				return nil, false
			}
			out = append(out, r.From.String())
		}
		return out, true
	}
	return nil, false
}

// maxExactInts bounds the numbers that ExactInts lists: more are not worth a
// bloom filter's time.
const maxExactInts = 64

// ExactInts returns the numbers that an Integer or Date leaf accepts, when they
// are few.
func (l *Leaf) ExactInts() ([]int64, bool) {
	if l.Kind != Ints {
		return nil, false
	}
	var out []int64
	for _, r := range l.Ints {
		if uint64(r.Hi)-uint64(r.Lo) >= uint64(maxExactInts-len(out)) {
			return nil, false
		}
		for n := r.Lo; ; n++ {
			out = append(out, n)
			if n == r.Hi {
				break
			}
		}
	}
	return out, true
}

// MayMatchInts reports whether the leaf accepts a number between lo and hi,
// both included: false lets a page or row group with these bounds be skipped.
func (l *Leaf) MayMatchInts(lo, hi int64) bool {
	if l.Kind != Ints {
		return true
	}
	for _, r := range l.Ints {
		if r.Lo <= hi && lo <= r.Hi {
			return true
		}
	}
	return false
}

// MayMatchStrings reports whether the leaf may accept a text between lo and hi
// in byte order, both included: false lets a page or row group with these
// bounds be skipped. For an IP field the bounds are of the addresses as text.
// An hi that was cut short must be rounded up by the caller, as Parquet does.
func (l *Leaf) MayMatchStrings(lo, hi string) bool {
	switch l.Kind {
	case Strings:
		for _, v := range l.Values {
			if lo <= v && v <= hi {
				return true
			}
		}
		for _, p := range l.Patterns {
			if prefixWithin(p.Prefix, lo, hi) {
				return true
			}
		}
		return false
	case Addrs:
		for _, r := range l.Addrs {
			if prefixWithin(textPrefix(r), lo, hi) {
				return true
			}
		}
		return false
	}
	return true
}

// prefixWithin reports whether a text that begins with prefix may lie between lo and hi.
func prefixWithin(prefix, lo, hi string) bool {
	if len(lo) > len(prefix) {
		lo = lo[:len(prefix)]
	}
	return lo <= prefix && prefix <= hi
}

// Walk calls f for n and all nodes below it.
func Walk(n Node, f func(Node)) {
	f(n)
	switch n := n.(type) {
	case And:
		for _, c := range n {
			Walk(c, f)
		}
	case Or:
		for _, c := range n {
			Walk(c, f)
		}
	case Not:
		Walk(n.Node, f)
	}
}
