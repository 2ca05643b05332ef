package sigma

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// selection converts the value of a search identifier: fields that must all be as they say, or a list of such, or
// of keywords, of which one must be.
func (c *converter) selection(n *yaml.Node) (*node, error) {
	if n.Kind == yaml.MappingNode {
		names, fields, err := members(n, "a search identifier")
		if err != nil {
			return nil, err
		}
		var nodes []*node
		for _, name := range names {
			part, err := c.field(name, fields[name])
			if err != nil {
				return nil, err
			}
			nodes = append(nodes, part)
		}
		if len(nodes) == 0 {
			return nil, fail(n, "a search identifier is empty")
		}
		return and(nodes...), nil
	}
	var nodes []*node
	for _, item := range items(n) {
		var part *node
		var err error
		if item.Kind == yaml.MappingNode {
			part, err = c.selection(item)
		} else {
			part, err = c.field("", item)
		}
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, part)
	}
	if len(nodes) == 0 {
		return nil, fail(n, "a search identifier is empty")
	}
	return or(nodes...), nil
}

// modifiers is what stands behind a field's name.
type modifiers struct {
	match string // how values are compared: a modifier, or "" for equality
	all   bool   // all values instead of one
	cased bool   // in the case that is written
	flags string // of regular expressions
}

func parseModifiers(n *yaml.Node, names []string) (m modifiers, err error) {
	for _, name := range names {
		switch name {
		case "all":
			m.all = true
		case "cased":
			m.cased = true
		case "i", "s":
			if m.match != "re" {
				return m, fail(n, "the modifier %s follows re alone", name)
			}
			m.flags += name
		case "contains", "startswith", "endswith", "re", "cidr", "exists", "lt", "lte", "gt", "gte":
			if m.match != "" {
				return m, fail(n, "the modifiers %s and %s exclude each other", m.match, name)
			}
			m.match = name
		default:
			return m, fail(n, "the modifier %q is not supported", name)
		}
	}
	return m, nil
}

// field converts one member of a search identifier; the name is empty for keywords.
func (c *converter) field(key string, value *yaml.Node) (*node, error) {
	parts := strings.Split(key, "|")
	m, err := parseModifiers(value, parts[1:])
	if key == "" {
		m = modifiers{}
	}
	if err != nil {
		return nil, err
	}
	targets := c.source.keywords
	if parts[0] == "" {
		switch {
		case len(targets) == 0:
			return nil, fail(value, "keywords search the text of a log line, which sessions have not for %s", c.source.name)
		case m.match != "" && m.match != "contains":
			return nil, fail(value, "the modifier %s of keywords is not supported", m.match)
		}
		m.match = "contains"
	} else {
		t, ok := c.tables.field(c.source, parts[0])
		if !ok {
			return nil, fail(value, "the field %q of %s has no equal in sessions", parts[0], c.source.name)
		}
		targets = []target{t}
	}
	values := items(value)
	if len(values) == 0 {
		return nil, fail(value, "the field %q has no values", key)
	}
	var each []*node
	var together []comparison
	for _, v := range values {
		if v.Kind != yaml.ScalarNode {
			return nil, fail(v, "a value of %q is no text or number", key)
		}
		if n, err := presence(targets, m, v); n != nil || err != nil {
			if err != nil {
				return nil, err
			}
			each = append(each, n)
			continue
		}
		found, err := c.compareAny(targets, m, v)
		if err != nil {
			return nil, err
		}
		if m.all {
			each = append(each, anyOf(found))
		} else {
			together = append(together, found...)
		}
	}
	if m.all {
		return and(each...), nil
	}
	if len(together) > 0 {
		each = append([]*node{anyOf(together)}, each...)
	}
	return or(each...), nil
}

// presence converts values that ask whether there is a value: exists, null, and the empty text, since
// sessions have no empty values. It returns nil for all others.
func presence(targets []target, m modifiers, v *yaml.Node) (*node, error) {
	there := false
	switch {
	case m.match == "exists":
		if v.Tag != "!!bool" {
			return nil, fail(v, "exists is true or false, not %q", v.Value)
		}
		there = strings.EqualFold(v.Value, "true")
	case isNull(v) || v.Value == "" && m.match == "":
	default:
		return nil, nil //nolint:nilnil // neither is wrong
	}
	var nodes []*node
	for _, t := range targets {
		if t.spelling == query || t.spelling == extension {
			return nil, fail(v, "whether there is %s cannot be asked", t.spelling)
		}
		for _, name := range t.names {
			sign := " != "
			if there {
				sign = " == "
			}
			nodes = append(nodes, leaf(name+sign+"EXISTS!"))
		}
	}
	if there {
		return or(nodes...), nil
	}
	return and(nodes...), nil
}

// comparison is one of the language: name operator value.
type comparison struct{ name, sign, value string }

// compareAny returns comparisons of which one is true when one of the targets is as a value says. A target that
// cannot hold the value is left out, unless none is left.
func (c *converter) compareAny(targets []target, m modifiers, v *yaml.Node) ([]comparison, error) {
	var out []comparison
	var first error
	for _, t := range targets {
		found, err := c.compare(t, m, v)
		if err != nil && first == nil {
			first = err
		}
		out = append(out, found...)
	}
	if len(out) == 0 {
		return nil, first
	}
	return out, nil
}

// anyOf joins comparisons, those of one field with == to a list.
func anyOf(all []comparison) *node {
	var nodes []*node
	done := map[string]bool{}
	for _, c := range all {
		if c.sign != "==" || c.value == "EXISTS!" {
			nodes = append(nodes, leaf(c.name+" "+c.sign+" "+c.value))
			continue
		}
		if done[c.name] {
			continue
		}
		done[c.name] = true
		var values []string
		seen := map[string]bool{}
		for _, o := range all {
			if o.name == c.name && o.sign == c.sign && o.value != "EXISTS!" && !seen[o.value] {
				seen[o.value] = true
				values = append(values, o.value)
			}
		}
		text := values[0]
		if len(values) > 1 {
			text = "[" + strings.Join(values, ",") + "]"
		}
		nodes = append(nodes, leaf(c.name+" == "+text))
	}
	return or(nodes...)
}

// compare converts a value of a target, for each of its fields.
func (c *converter) compare(t target, m modifiers, v *yaml.Node) ([]comparison, error) {
	if t.values != nil {
		if m.match != "" || m.cased {
			return nil, fail(v, "the values are named otherwise in sessions: %s cannot be converted, equality can", modifierName(m))
		}
		var out []comparison
		for _, name := range t.values[strings.ToLower(v.Value)] {
			out = append(out, comparison{t.names[0], "==", name})
		}
		if out == nil {
			return nil, fail(v, "the value %q is not one that sessions have", v.Value)
		}
		return out, nil
	}
	p := parsePattern(v.Value)
	switch m.match {
	case "contains":
		p = p.free(true, true)
	case "startswith":
		p = p.free(false, true)
	case "endswith":
		p = p.free(true, false)
	}
	switch t.spelling {
	case uri, query, extension, serial:
		return c.spelled(t, m, p, v)
	}
	var out []comparison
	var first error
	for _, name := range t.names {
		found, err := c.plain(name, m, p, v)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		out = append(out, found)
	}
	if len(out) == 0 {
		return nil, first
	}
	return out, nil
}

func modifierName(m modifiers) string {
	if m.match == "" {
		return "cased"
	}
	return m.match
}

// orders are the modifiers that compare numbers.
func orders(match string) (sign string, ok bool) {
	i := slices.Index([]string{"lt", "lte", "gt", "gte"}, match)
	if i < 0 {
		return "==", false
	}
	return []string{"<", "<=", ">", ">="}[i], true
}
