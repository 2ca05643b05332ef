package query

import (
	"cmp"
	"context"
	"math/bits"
	"slices"

	"wirelake/internal/expr"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// rowSet is a set of rows of a row group: a bit each.
type rowSet []uint64

func newRowSet(rows int) rowSet { return make(rowSet, (rows+63)/64) }

// fullRowSet has all rows.
func fullRowSet(rows int) rowSet {
	s := newRowSet(rows)
	for i := range s {
		s[i] = ^uint64(0)
	}
	if extra := rows & 63; extra > 0 {
		s[len(s)-1] = 1<<extra - 1
	}
	return s
}

func (s rowSet) has(row int) bool { return s[row>>6]>>(row&63)&1 == 1 }

func (s rowSet) count() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// any reports whether a row from first to before end is in the set.
func (s rowSet) any(first, end int) bool {
	for row := first; row < end; {
		w := s[row>>6] >> (row & 63)
		if w != 0 {
			return row+bits.TrailingZeros64(w) < end
		}
		row = row | 63
		row++
	}
	return false
}

func (s rowSet) rows() []int {
	out := make([]int, 0, s.count())
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			out = append(out, i<<6+bits.TrailingZeros64(w))
		}
	}
	return out
}

func (s rowSet) and(o rowSet) {
	for i := range s {
		s[i] &= o[i]
	}
}

func (s rowSet) or(o rowSet) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s rowSet) andNot(o rowSet) {
	for i := range s {
		s[i] &^= o[i]
	}
}

// verdict is what is known of a node for all rows of a row group at once.
type verdict uint8

const (
	maybe verdict = iota
	never
	always
)

// groupScan evaluates a predicate on one row group.
type groupScan struct {
	group  *sessionfile.Group
	file   *sessionfile.File
	number int // of the file, in the order of the search
	index  int // of the row group
	root   expr.Node
	counts *counts
	blooms map[*expr.Leaf]bool // leaves that the bloom filters were asked for: may hold
}

func newGroupScan(f *sessionfile.File, index, number int, root expr.Node, c *counts) *groupScan {
	return &groupScan{group: f.Group(index), file: f, number: number, index: index, root: root, counts: c}
}

// exactFields returns the fields that have bloom filters worth asking.
func exactFields(root expr.Node) []spi.FieldID {
	var fields []spi.FieldID
	expr.Walk(root, func(n expr.Node) {
		if l, ok := n.(*expr.Leaf); ok && l.Field.Bloom {
			if _, exact := l.ExactStrings(); exact && !slices.Contains(fields, l.Field.ID) {
				fields = append(fields, l.Field.ID)
			}
		}
	})
	return fields
}

// match returns the rows that the predicate is true for.
func (g *groupScan) match(ctx context.Context) (rowSet, error) {
	rows := g.group.Rows()
	g.counts.groups.Add(1)
	switch g.verdict(g.root) {
	case never:
		g.counts.byStatistics.Add(1)
		return newRowSet(rows), nil
	case always:
		return fullRowSet(rows), nil
	}
	if err := g.askBlooms(ctx); err != nil {
		return nil, err
	}
	if g.verdict(g.root) == never {
		g.counts.byBloom.Add(1)
		return newRowSet(rows), nil
	}
	var fields []spi.FieldID
	expr.Walk(g.root, func(n expr.Node) {
		if l, ok := n.(*expr.Leaf); ok && g.verdict(l) == maybe {
			fields = append(fields, l.Field.ID)
		}
	})
	if err := g.group.Fetch(ctx, fields); err != nil {
		return nil, err
	}
	pagesBefore := g.counts.pages.Load()
	set, err := g.eval(ctx, g.root, fullRowSet(rows))
	if err == nil && g.counts.pages.Load() == pagesBefore && set.count() == 0 {
		g.counts.byDict.Add(1)
	}
	return set, err
}

// askBlooms looks exact values up in the bloom filters.
func (g *groupScan) askBlooms(ctx context.Context) (err error) {
	g.blooms = map[*expr.Leaf]bool{}
	expr.Walk(g.root, func(n expr.Node) {
		l, ok := n.(*expr.Leaf)
		if !ok || err != nil || g.verdict(l) != maybe {
			return
		}
		c := g.group.Column(l.Field.ID)
		if c == nil || !c.HasBloom() {
			return
		}
		if values, exact := l.ExactStrings(); exact {
			g.blooms[l], err = c.MayHold(ctx, values)
		}
	})
	return err
}

// verdict says what statistics and bloom filters tell.
func (g *groupScan) verdict(n expr.Node) verdict {
	switch n := n.(type) {
	case expr.All:
		return always
	case expr.And:
		all := always
		for _, c := range n {
			switch g.verdict(c) {
			case never:
				return never
			case maybe:
				all = maybe
			}
		}
		return all
	case expr.Or:
		all := never
		for _, c := range n {
			switch g.verdict(c) {
			case always:
				return always
			case maybe:
				all = maybe
			}
		}
		return all
	case expr.Not:
		switch g.verdict(n.Node) {
		case never:
			return always
		case always:
			return never
		}
		return maybe
	case *expr.Leaf:
		return g.leafVerdict(n)
	}
	return maybe
}

func (g *groupScan) leafVerdict(l *expr.Leaf) verdict {
	c := g.group.Column(l.Field.ID)
	if c == nil {
		return never
	}
	if l.Kind == expr.Exists {
		if c.Complete() {
			return always
		}
		return maybe
	}
	if may, asked := g.blooms[l]; asked && !may {
		return never
	}
	if lo, hi, ok := c.IntBounds(); ok {
		switch {
		case !l.MayMatchInts(lo, hi):
			return never
		case c.Complete() && slices.ContainsFunc(l.Ints, func(r expr.IntRange) bool { return r.Lo <= lo && hi <= r.Hi }):
			return always
		}
	}
	if lo, hi, ok := c.StringBounds(); ok && !l.MayMatchStrings(lo, hi) {
		return never
	}
	return maybe
}

// eval returns the rows among the candidates that n is true for.
func (g *groupScan) eval(ctx context.Context, n expr.Node, candidates rowSet) (rowSet, error) {
	switch g.verdict(n) {
	case never:
		return newRowSet(g.group.Rows()), nil
	case always:
		return candidates, nil
	}
	switch n := n.(type) {
	case expr.And:
		// The cheap ones first: what they rule out the others need not read.
		terms := slices.Clone(n)
		slices.SortStableFunc(terms, func(a, b expr.Node) int { return cmp.Compare(g.cost(a), g.cost(b)) })
		set := candidates
		for _, t := range terms {
			var err error
			if set, err = g.eval(ctx, t, set); err != nil || set.count() == 0 {
				return set, err
			}
		}
		return set, nil
	case expr.Or:
		out := newRowSet(g.group.Rows())
		for _, t := range n {
			set, err := g.eval(ctx, t, candidates)
			if err != nil {
				return nil, err
			}
			out.or(set)
		}
		return out, nil
	case expr.Not:
		set, err := g.eval(ctx, n.Node, candidates)
		if err != nil {
			return nil, err
		}
		out := slices.Clone(candidates)
		out.andNot(set)
		return out, nil
	case *expr.Leaf:
		return g.leaf(ctx, n, candidates)
	}
	return candidates, nil
}

// cost is about how many bytes evaluating n reads.
func (g *groupScan) cost(n expr.Node) (bytes int64) {
	expr.Walk(n, func(n expr.Node) {
		if l, ok := n.(*expr.Leaf); ok {
			if c := g.group.Column(l.Field.ID); c != nil {
				bytes += c.Size()
			}
		}
	})
	return bytes
}

// leaf evaluates a predicate on a column: once for each entry of the dictionary, where there is one, else for each value.
func (g *groupScan) leaf(ctx context.Context, l *expr.Leaf, candidates rowSet) (rowSet, error) {
	out := newRowSet(g.group.Rows())
	c := g.group.Column(l.Field.ID)
	accept, err := g.acceptTable(ctx, c, l)
	if err != nil || (accept != nil && c.DictionaryOnly() && !slices.Contains(accept, true)) {
		return out, err
	}
	match := textMatcher(l)
	want := func(s sessionfile.PageSpot) bool {
		if s.AllNull() || !candidates.any(s.First, s.First+s.Rows) {
			return false
		}
		if lo, hi, ok := s.IntBounds(); ok && !l.MayMatchInts(lo, hi) {
			return false
		}
		lo, hi, ok := s.StringBounds()
		return !ok || l.MayMatchStrings(lo, hi)
	}
	pages, skipped, err := c.Pages(ctx, want, func(p *sessionfile.Page) error {
		switch {
		case p.Entries() != nil && accept != nil:
			p.MarkEntries(accept, out)
		case l.Kind == expr.Exists:
			p.MarkValues(func(int) bool { return true }, out)
		case c.Numeric():
			p.MarkValues(func(i int) bool { return l.MatchInt(p.Int(i)) }, out)
		default:
			p.MarkValues(func(i int) bool { return match(p.String(i)) }, out)
		}
		return nil
	})
	g.counts.pages.Add(int64(pages))
	g.counts.pagesSkipped.Add(int64(skipped))
	out.and(candidates)
	return out, err
}

// textMatcher returns the fastest way to ask a leaf of a text or address field.
func textMatcher(l *expr.Leaf) func(string) bool {
	values, exact := l.ExactStrings()
	switch {
	case !exact:
		return l.MatchString
	case len(values) == 1:
		value := values[0]
		return func(s string) bool { return s == value }
	}
	set := make(map[string]struct{}, len(values))
	for _, v := range values {
		set[v] = struct{}{}
	}
	return func(s string) bool { _, found := set[s]; return found }
}

// acceptTable evaluates the predicate on every entry of the dictionary; nil without a dictionary.
func (g *groupScan) acceptTable(ctx context.Context, c *sessionfile.Column, l *expr.Leaf) ([]bool, error) {
	d, err := c.Dict(ctx)
	if err != nil || d == nil {
		return nil, err
	}
	accept := make([]bool, d.Len())
	if c.Numeric() {
		for i := range accept {
			accept[i] = l.MatchInt(d.Int(i))
		}
		return accept, nil
	}
	match := textMatcher(l)
	for i := range accept {
		accept[i] = match(d.String(i))
	}
	return accept, nil
}
