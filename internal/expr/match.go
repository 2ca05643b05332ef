package expr

import "wirelake/internal/spi"

// Match reports whether e is true for d. D must be of the registry that e was parsed with.
//
// It looks at every value of every field asked for: the plain reading of the
// language, that the other engines are compared with.
func (e *Expr) Match(d *spi.Document) bool { return Match(e.Root, d) }

// Match reports whether n is true for d.
func Match(n Node, d *spi.Document) bool {
	switch n := n.(type) {
	case And:
		for _, c := range n {
			if !Match(c, d) {
				return false
			}
		}
		return true
	case Or:
		for _, c := range n {
			if Match(c, d) {
				return true
			}
		}
		return false
	case Not:
		return !Match(n.Node, d)
	case *Leaf:
		return n.match(d)
	}
	return true // All
}

func (l *Leaf) match(d *spi.Document) bool {
	numeric := l.Field.Type.Numeric()
	for v := range d.Each(l.Field.ID) {
		if numeric && l.MatchInt(v.Int) || !numeric && l.MatchString(v.Str) {
			return true
		}
	}
	return false
}
