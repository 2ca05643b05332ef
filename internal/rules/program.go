package rules

import (
	"math/bits"
	"net/netip"
	"sync"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// program is rules ready to be applied. It is safe for concurrent use.
//
// Most rules ask for one of a few exact values: a protocol, a port, an address, a host. These
// values are in an index, and a rule is evaluated only when the document has
// one of them. A rule that asks for none, but for a field, is evaluated when the document has the field.
type program struct {
	all    []Rule
	rules  []Rule        // those with tags
	index  []*fieldIndex // by field id, nil for fields that no rule needs
	always []uint64      // rules that must be evaluated for each document, a bit each
	free   sync.Pool     // of *evaluation
}

// fieldIndex tells which rules need a value of a field, by their positions.
type fieldIndex struct {
	numeric  bool
	present  []int32 // any value
	texts    map[string][]int32
	ints     map[int64][]int32
	prefixes map[netip.Prefix][]int32
	len4     uint64    // bit n: there is an IPv4 prefix of n bits
	len6     [3]uint64 // the same for IPv6
}

// key is a value that a rule needs, or with present any value of the field.
type key struct {
	field   *spi.Field
	present bool
	text    string
	n       int64
	prefix  netip.Prefix
}

// maxKeys bounds the index: rules that need more than what is left of it are evaluated always.
const maxKeys = 1_000_000

// compile makes a program of the rules that have tags.
func compile(reg *spi.Registry, rules []Rule) *program {
	p := &program{all: rules, index: make([]*fieldIndex, len(reg.Fields()))}
	for i := range rules {
		if len(rules[i].Tags) > 0 {
			p.rules = append(p.rules, rules[i])
		}
	}
	p.always = make([]uint64, (len(p.rules)+63)/64)
	total := 0
	for i := range p.rules {
		keys, _, ok := needed(p.rules[i].Expr.Root)
		if !ok || total+len(keys) > maxKeys {
			p.always[i/64] |= 1 << (i % 64)
			continue
		}
		total += len(keys)
		for _, k := range keys {
			p.put(k, int32(i)) //nolint:gosec // at most maxRules
		}
	}
	return p
}

func (p *program) put(k key, rule int32) {
	x := p.index[k.field.ID]
	if x == nil {
		x = &fieldIndex{numeric: k.field.Type.Numeric(), texts: map[string][]int32{}, ints: map[int64][]int32{}, prefixes: map[netip.Prefix][]int32{}}
		p.index[k.field.ID] = x
	}
	add := func(list []int32) []int32 {
		if len(list) > 0 && list[len(list)-1] == rule {
			return list
		}
		return append(list, rule)
	}
	switch {
	case k.present:
		x.present = add(x.present)
	case k.field.Type.Numeric():
		x.ints[k.n] = add(x.ints[k.n])
	case k.prefix.IsValid():
		x.prefixes[k.prefix] = add(x.prefixes[k.prefix])
		if k.prefix.Addr().Is4() {
			x.len4 |= 1 << k.prefix.Bits()
		} else {
			x.len6[k.prefix.Bits()/64] |= 1 << (k.prefix.Bits() % 64)
		}
	default:
		x.texts[k.text] = add(x.texts[k.text])
	}
}

// needed returns values of which a document must have one for n to be true, and about how many of
// 1,000 documents have one. It returns false when there are none.
func needed(n expr.Node) (keys []key, cost int, ok bool) {
	switch n := n.(type) {
	case *expr.Leaf:
		keys, cost = leafKeys(n)
		return keys, cost, true
	case expr.And:
		for _, c := range n {
			if k, price, found := needed(c); found && (!ok || price < cost) {
				keys, cost, ok = k, price, true
			}
		}
		return keys, cost, ok
	case expr.Or:
		for _, c := range n {
			k, price, found := needed(c)
			if !found {
				return nil, 0, false
			}
			keys, cost = append(keys, k...), cost+price
		}
		return keys, cost, true
	}
	return nil, 0, false // Not and All are true for documents without any value
}

// Of 1,000 documents, about so many have a value.
const (
	costRare   = 1    // an address, a host, a hash
	costPort   = 10   // a port
	costCommon = 200  // a protocol, a country, a sensor
	costSome   = 300  // any value of a field that not every session has
	costAll    = 1000 // any value of a field that every session has
)

func leafKeys(l *expr.Leaf) ([]key, int) {
	f := l.Field
	value := costRare
	switch f.ID {
	case spi.SourcePort, spi.DestinationPort:
		value = costPort
	case spi.IPProtocol, spi.EtherType, spi.Protocol, spi.Node, spi.Lane, spi.SourceCountry, spi.DestinationCountry:
		value = costCommon
	}
	var keys []key
	switch l.Kind {
	case expr.Strings:
		if len(l.Patterns) > 0 {
			break
		}
		for _, v := range l.Values {
			keys = append(keys, key{field: f, text: v})
		}
		return keys, value * len(keys)
	case expr.Ints:
		numbers, few := l.ExactInts()
		if !few {
			break
		}
		for _, n := range numbers {
			keys = append(keys, key{field: f, n: n})
		}
		return keys, value * len(keys)
	case expr.Addrs:
		for _, r := range l.Addrs {
			p, ok := r.Prefix()
			if !ok {
				return []key{{field: f, present: true}}, presentCost(f)
			}
			keys = append(keys, key{field: f, prefix: p})
		}
		return keys, value * len(keys)
	case expr.Exists:
	}
	return []key{{field: f, present: true}}, presentCost(f)
}

// presentCost tells core fields, which most sessions have, from those of protocols.
func presentCost(f *spi.Field) int {
	if f.ID < spi.RuleName && f.ID != spi.Tags && f.ID != spi.User {
		return costAll
	}
	return costSome
}

// apply evaluates the rules and adds what the true ones say. It returns how many were true.
func (p *program) apply(d *spi.Document) int {
	if len(p.rules) == 0 {
		return 0
	}
	e, ok := p.free.Get().(*evaluation)
	if !ok {
		e = &evaluation{}
	}
	e.begin(d, p)
	matched := 0
	for w := range e.todo {
		for e.todo[w] != 0 { // a true rule may set bits behind its own
			i := w*64 + bits.TrailingZeros64(e.todo[w])
			e.todo[w] &= e.todo[w] - 1
			if e.match(p.rules[i].Expr.Root) {
				matched++
				e.add(p, i)
			}
		}
	}
	e.end(d)
	p.free.Put(e)
	return matched
}

// mark marks the rules behind after that need the value.
func (x *fieldIndex) mark(todo []uint64, v *spi.Value, after int32) {
	markAll(todo, x.present, after)
	if x.numeric {
		markAll(todo, x.ints[v.Int], after)
		return
	}
	if len(x.texts) > 0 {
		markAll(todo, x.texts[v.Str], after)
	}
	if len(x.prefixes) > 0 {
		x.markAddr(todo, v.Str, after)
	}
}

func (x *fieldIndex) markAddr(todo []uint64, text string, after int32) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return
	}
	a = a.Unmap().WithZone("")
	words := x.len6[:]
	if a.Is4() {
		words = []uint64{x.len4}
	}
	for w, lens := range words {
		for ; lens != 0; lens &= lens - 1 {
			if p, err := a.Prefix(w*64 + bits.TrailingZeros64(lens)); err == nil {
				markAll(todo, x.prefixes[p], after)
			}
		}
	}
}

func markAll(todo []uint64, rules []int32, after int32) {
	for _, r := range rules {
		if r > after {
			todo[r/64] |= 1 << (r % 64)
		}
	}
}

// pruned returns how many rules are evaluated only when a document has a value they need.
func (p *program) pruned() int {
	n := len(p.rules)
	for _, w := range p.always {
		n -= bits.OnesCount64(w)
	}
	return n
}
