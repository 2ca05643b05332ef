package dissect

import "wirelake/internal/spi"

// fieldGroup declares the fields of one protocol that are lists, the commonest kind. The
// expression is the path, unless another is given.
type fieldGroup struct {
	r    *spi.Registry
	name string // the protocol, first part of every path
}

// list declares name.path as a list of the type.
func (g fieldGroup) list(t spi.Type, path, name, help string, expr ...string) spi.FieldID {
	return g.declare(spi.Field{Type: t, List: true}, path, name, help, expr)
}

// scalar declares name.path as a field of one value.
func (g fieldGroup) scalar(t spi.Type, path, name, help string, expr ...string) spi.FieldID {
	return g.declare(spi.Field{Type: t}, path, name, help, expr)
}

func (g fieldGroup) declare(f spi.Field, path, name, help string, expr []string) spi.FieldID {
	f.Path = g.name + "." + path
	f.Exprs, f.Name, f.Help = []string{f.Path}, name, help
	if len(expr) > 0 {
		f.Exprs = []string{g.name + "." + expr[0]}
	}
	return g.r.Declare(f)
}

// nameOf returns the name that a table gives to a number, "" for none.
func nameOf[N ~uint8 | ~uint16 | ~uint32 | ~int](names []string, n N) string {
	if int(n) < len(names) {
		return names[n]
	}
	return ""
}
