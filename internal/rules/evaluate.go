package rules

import (
	"slices"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// evaluation is one document while the rules look at it. It finds the values of a field
// without looking at the others, which most of many rules would do in vain. It is reused.
type evaluation struct {
	values []spi.Value
	first  []int32  // by field id: 1 + the index of its first value, 0 for none
	next   []int32  // by value: 1 + the index of the next value of its field, 0 for none
	lower  []string // by value: in lower case, "" until a rule asks; empty until one does
	names  []string // of the rules that were true so far
	tags   []string // that these add, each once
	todo   []uint64 // rules that are still to be evaluated, a bit each
}

func (e *evaluation) begin(d *spi.Document, p *program) {
	e.values = d.Values()
	e.first = slices.Grow(e.first, len(p.index))[:len(p.index)]
	e.next = slices.Grow(e.next[:0], len(e.values))[:len(e.values)]
	e.lower = e.lower[:0]
	e.todo = append(e.todo[:0], p.always...)
	for i := len(e.values) - 1; i >= 0; i-- {
		v := &e.values[i]
		e.next[i] = e.first[v.Field]
		e.first[v.Field] = int32(i) + 1 //nolint:gosec // a document has less than 2^31 values
		if x := p.index[v.Field]; x != nil {
			x.mark(e.todo, v, -1)
		}
	}
}

// end lets go of the document, to which what was added is given.
func (e *evaluation) end(d *spi.Document) {
	for i := range e.values {
		e.first[e.values[i].Field] = 0
	}
	e.values = nil
	clear(e.lower)
	for _, s := range e.names {
		d.Mark(spi.RuleName, s)
	}
	for _, s := range e.tags {
		d.Mark(spi.Tags, s)
	}
	e.names, e.tags = e.names[:0], e.tags[:0]
}

// match is expr.Match for the document and what was added to it.
func (e *evaluation) match(n expr.Node) bool {
	switch n := n.(type) {
	case expr.And:
		for _, c := range n {
			if !e.match(c) {
				return false
			}
		}
		return true
	case expr.Or:
		for _, c := range n {
			if e.match(c) {
				return true
			}
		}
		return false
	case expr.Not:
		return !e.match(n.Node)
	case *expr.Leaf:
		return e.leaf(n)
	}
	return true // All
}

func (e *evaluation) leaf(l *expr.Leaf) bool {
	f := l.Field.ID
	if l.Field.Type.Numeric() {
		for i := e.first[f]; i != 0; i = e.next[i-1] {
			if l.MatchInt(e.values[i-1].Int) {
				return true
			}
		}
		return false
	}
	for i := e.first[f]; i != 0; i = e.next[i-1] {
		s := e.values[i-1].Str
		if l.AnyCase() && l.MatchLowered(s, e.lowered(i-1)) || !l.AnyCase() && l.MatchString(s) {
			return true
		}
	}
	switch f {
	case spi.Tags:
		return slices.ContainsFunc(e.tags, l.MatchString)
	case spi.RuleName:
		return slices.ContainsFunc(e.names, l.MatchString)
	}
	return false
}

// lowered returns a value in lower case, which is made once for all rules that compare in any case.
func (e *evaluation) lowered(value int32) string {
	if len(e.lower) == 0 {
		e.lower = slices.Grow(e.lower, len(e.values))[:len(e.values)]
		clear(e.lower)
	}
	if e.lower[value] == "" {
		e.lower[value] = expr.LowerASCII(e.values[value].Str)
	}
	return e.lower[value]
}

// add notes what a true rule adds, and has the rules after it evaluated that need it.
func (e *evaluation) add(p *program, rule int) {
	r := &p.rules[rule]
	// More than a field holds would be dropped in the end.
	if len(e.names) < spi.MaxValues {
		e.names = append(e.names, r.Name)
		e.wake(p, spi.RuleName, r.Name, rule)
	}
	for _, tag := range r.Tags {
		if len(e.tags) < spi.MaxValues && !slices.Contains(e.tags, tag) {
			e.tags = append(e.tags, tag)
			e.wake(p, spi.Tags, tag, rule)
		}
	}
}

// wake has the rules after this one evaluated that need the value.
func (e *evaluation) wake(p *program, f spi.FieldID, text string, rule int) {
	if x := p.index[f]; x != nil {
		x.mark(e.todo, &spi.Value{Field: f, Str: text}, int32(rule)) //nolint:gosec // at most maxRules
	}
}
