package expr

import (
	"slices"
	"strings"
	"time"

	"wirelake/internal/spi"
)

// checker turns syntax into a tree of leaves.
type checker struct {
	text string
	reg  *spi.Registry
	now  time.Time
}

func (c *checker) fail(at span, format string, args ...any) *Error {
	return errorAt(c.text, at, format, args...)
}

func (c *checker) node(s syntax) (Node, error) {
	switch s := s.(type) {
	case junction:
		var nodes []Node
		for _, t := range s.terms {
			n, err := c.node(t)
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
		if s.and {
			return And(nodes), nil
		}
		return Or(nodes), nil
	case negation:
		n, err := c.node(s.term)
		return Not{n}, err
	case comparison:
		return c.comparison(s)
	}
	panic("expr: unknown syntax") // the three above are all there are
}

// target is what the name of a field stands for.
type target struct {
	name   string
	fields []*spi.Field
	hex    bool // the value is text, the field holds it in hexadecimal
}

func (c *checker) comparison(s comparison) (Node, error) {
	t, err := c.target(s)
	if err != nil {
		return nil, err
	}
	if s.op != "==" && s.op != "!=" && s.value.kind != word && s.value.kind != quoted {
		return nil, c.fail(s.sign, "%s compares with one value; use == or != here", s.op)
	}
	n, err := c.compare(t, s)
	if err != nil {
		return nil, err
	}
	if s.op == "!=" {
		return Not{n}, nil
	}
	return n, nil
}

// payloadNames are the names of payload bytes given as text, and of both sides.
func payloadNames(name string) (paths []string, hex bool) {
	const src, dst = "srcPayload8", "dstPayload8"
	switch name {
	case "payload8", "payload8.utf8":
		return []string{src, dst}, true
	case "payload8.hex":
		return []string{src, dst}, false
	case "payload8.src", "payload8.src.utf8":
		return []string{src}, true
	case "payload8.dst", "payload8.dst.utf8":
		return []string{dst}, true
	}
	return nil, false
}

func (c *checker) target(s comparison) (target, error) {
	t := target{name: s.field}
	if s.field == "view" {
		return t, c.fail(s.name, "views are not supported yet")
	}
	if paths, hex := payloadNames(s.field); paths != nil {
		t.hex = hex
		for _, p := range paths {
			if f, ok := c.reg.ByPath(p); ok {
				t.fields = append(t.fields, f)
			}
		}
		return t, nil
	}
	t.fields = c.reg.ByExpr(s.field)
	if len(t.fields) == 0 {
		e := c.fail(s.name, "unknown field %s", s.field)
		e.Suggestion = c.suggestField(s.field)
		return t, e
	}
	return t, nil
}

// compare returns the node for any operator but !=, which is taken as ==.
func (c *checker) compare(t target, s comparison) (Node, error) {
	switch s.value.kind {
	case existence:
		return c.each(t, func(f *spi.Field) (Node, error) { return &Leaf{Field: f, Kind: Exists}, nil })
	case anyOf:
		return c.each(t, func(f *spi.Field) (Node, error) { return c.anyOf(t, f, s.op, s.value.items) })
	case allOf:
		// Each value in any of the fields: "ip == ]a,b[" finds what a and b took part in.
		var nodes []Node
		for _, v := range s.value.items {
			n, err := c.each(t, func(f *spi.Field) (Node, error) { return c.anyOf(t, f, s.op, []value{v}) })
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, n)
		}
		return conjunction(nodes), nil
	}
	return c.each(t, func(f *spi.Field) (Node, error) { return c.anyOf(t, f, s.op, []value{s.value}) })
}

// each joins the nodes of a target's fields by Or. A name that stands for several fields
// may take in fields that cannot hold the value (asn: numbers and names): they are left out,
// unless none is left.
func (c *checker) each(t target, node func(*spi.Field) (Node, error)) (Node, error) {
	var nodes []Node
	var first error
	for _, f := range t.fields {
		n, err := node(f)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 {
		return nil, first
	}
	return disjunction(nodes), nil
}

// anyOf returns the node that is true when the field has one of the values.
func (c *checker) anyOf(t target, f *spi.Field, op string, items []value) (Node, error) {
	for _, v := range items {
		if v.kind == word && strings.HasPrefix(v.text, "$") {
			return nil, c.fail(v.at, "shortcuts are not supported yet")
		}
	}
	switch f.Type {
	case spi.Integer:
		return c.integers(t, f, op, items)
	case spi.Date:
		return c.dates(t, f, op, items)
	case spi.IP:
		return c.addrs(t, f, op, items)
	}
	return c.texts(t, f, op, items)
}

// refuse returns an error when a value is a regular expression or a wildcard.
func (c *checker) refusePatterns(t target, v value, holds string) error {
	if v.kind == regex {
		return c.fail(v.at, "%s holds %s, which regular expressions do not apply to", t.name, holds)
	}
	if v.text == "*" {
		return c.exists(t, v)
	}
	if strings.Contains(v.text, "*") {
		return c.fail(v.at, "%s holds %s, which wildcards do not apply to", t.name, holds)
	}
	return nil
}

// exists is the error for a wildcard that matches everything.
func (c *checker) exists(t target, v value) error {
	e := c.fail(v.at, "* alone matches anything")
	e.Suggestion = t.name + " == " + existsMark
	return e
}

func conjunction(nodes []Node) Node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return And(nodes)
}

func disjunction(nodes []Node) Node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	return Or(nodes)
}

// names returns all names of the language, sorted.
func (c *checker) names() []string {
	out := []string{"payload8", "payload8.hex", "payload8.src", "payload8.dst"}
	for _, f := range c.reg.Fields() {
		out = append(out, f.Exprs...)
		out = append(out, "db:"+f.Path)
	}
	for name := range spi.FanOutNames() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// suggestField returns the name nearest to an unknown one, "" when none is near.
func (c *checker) suggestField(name string) string {
	// A document path without its db: is the likeliest mistake of who knows the JSON.
	if f, ok := c.reg.ByPath(name); ok {
		if f.Expr() != "" {
			return f.Expr()
		}
		return "db:" + name
	}
	return nearest(name, c.names())
}

// nearest returns the candidate with the fewest edits from name, when these are
// at most a third of it; "" otherwise. Of equals the first is taken.
func nearest(name string, candidates []string) string {
	best, fewest := "", max(1, len(name)/3)+1
	lower := strings.ToLower(name)
	for _, candidate := range candidates {
		if d := edits(lower, strings.ToLower(candidate), fewest); d < fewest {
			best, fewest = candidate, d
		}
	}
	return best
}

// edits returns how many insertions, deletions, replacements and swaps of
// neighbours turn a into b (optimal string alignment), or limit if that many or more.
func edits(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	two, one, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range one {
		one[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(one[j]+1, row[j-1]+1, one[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], two[j-2]+1)
			}
		}
		two, one, row = one, row, two
	}
	return min(one[len(b)], limit)
}
