package sigma

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// condition reads a condition (Sigma specification, "Condition"):
//
//	or   = and { "or" and }
//	and  = term { "and" term }
//	term = "not" term | "(" or ")" | ( "1" | "any" | "all" ) "of" ( "them" | pattern ) | identifier
type condition struct {
	c     *converter
	at    *yaml.Node
	words []string
	depth int
}

func (c *converter) condition(n *yaml.Node) (*node, error) {
	text := n.Value
	switch {
	case len(text) > maxCondition:
		return nil, fail(n, "the condition is longer than %d bytes", maxCondition)
	case strings.Contains(text, "|"):
		return nil, fail(n, "conditions with | count events, which an expression cannot")
	}
	text = strings.NewReplacer("(", " ( ", ")", " ) ").Replace(text)
	p := condition{c: c, at: n, words: strings.Fields(text)}
	root, err := p.or()
	if err == nil && len(p.words) > 0 {
		err = fail(n, "the condition has %q where and, or or its end is expected", p.words[0])
	}
	return root, err
}

// take reads the next word when it is one of those given, in any case, and returns it.
func (p *condition) take(words ...string) string {
	if len(p.words) > 0 {
		if word := strings.ToLower(p.words[0]); slices.Contains(words, word) {
			p.words = p.words[1:]
			return word
		}
	}
	return ""
}

func (p *condition) or() (*node, error)  { return p.list("or", p.and, or) }
func (p *condition) and() (*node, error) { return p.list("and", p.term, and) }

func (p *condition) list(sign string, part func() (*node, error), join func(...*node) *node) (*node, error) {
	var nodes []*node
	for {
		n, err := part()
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
		if p.take(sign) == "" {
			return join(nodes...), nil
		}
	}
}

func (p *condition) term() (*node, error) {
	if p.depth++; p.depth > maxNested {
		return nil, fail(p.at, "the condition has more than %d parentheses or negations within each other", maxNested)
	}
	defer func() { p.depth-- }()
	if p.take("not") != "" {
		n, err := p.term()
		if err != nil {
			return nil, err
		}
		return not(n), nil
	}
	if p.take("(") != "" {
		n, err := p.or()
		if err == nil && p.take(")") == "" {
			err = fail(p.at, "a parenthesis of the condition is not closed")
		}
		return n, err
	}
	if len(p.words) == 0 {
		return nil, fail(p.at, "the condition ends where a search identifier is expected")
	}
	word := p.words[0]
	p.words = p.words[1:]
	if quantifier := strings.ToLower(word); slices.Contains([]string{"1", "any", "all"}, quantifier) && p.take("of") != "" {
		return p.of(quantifier)
	}
	return p.c.search(p.at, word)
}

// of reads what follows "1 of" or "all of".
func (p *condition) of(quantifier string) (*node, error) {
	if len(p.words) == 0 {
		return nil, fail(p.at, "the condition ends behind \"of\"")
	}
	pattern := p.words[0]
	p.words = p.words[1:]
	var nodes []*node
	for _, name := range p.c.names {
		matches, err := path.Match(pattern, name)
		if strings.EqualFold(pattern, "them") {
			matches, err = !strings.HasPrefix(name, "_"), nil
		}
		if err != nil {
			return nil, fail(p.at, "%q is no pattern of search identifiers", pattern)
		}
		if !matches {
			continue
		}
		n, err := p.c.search(p.at, name)
		if err != nil {
			return nil, err
		}
		nodes = append(nodes, n)
	}
	switch {
	case len(nodes) == 0:
		return nil, fail(p.at, "no search identifier matches %q", pattern)
	case quantifier == "all":
		return and(nodes...), nil
	}
	return or(nodes...), nil
}

// search converts a search identifier, once.
func (c *converter) search(at *yaml.Node, name string) (*node, error) {
	if n := c.identifier[name]; n != nil {
		return n, nil
	}
	value := c.detection[name]
	if value == nil || name == "condition" {
		return nil, fail(at, "the condition asks for %q, which the detection has not", name)
	}
	n, err := c.selection(value)
	if err != nil {
		return nil, err
	}
	c.identifier[name] = n
	return n, nil
}
