package sigma

import (
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// Limits of one rule.
const (
	maxTitle      = 200      // bytes, so that the tag made of it is short
	maxTags       = 16       // the others are left out
	maxExpression = 64 << 10 // bytes
	maxCondition  = 4 << 10  // bytes
	maxNested     = 50       // parentheses of a condition
	maxSearches   = 500      // search identifiers
)

// What is counted rather than refused.
var (
	errForeign = errors.New("no Sigma rule")
	errOther   = errors.New("not for networks")
	errRetired = errors.New("deprecated or unsupported")
)

// converter makes an expression of one YAML document.
type converter struct {
	reg    *spi.Registry
	tables *tables
	top    *yaml.Node
	rule   Rule

	source     *source
	detection  map[string]*yaml.Node
	names      []string         // of search identifiers, in the order of the rule
	identifier map[string]*node // those that were converted
}

func (c *converter) convert() error {
	if c.top.Kind != yaml.MappingNode {
		return errForeign
	}
	_, top, err := members(c.top, "the rule")
	if err != nil {
		return err
	}
	if n := top["title"]; n != nil && n.Kind == yaml.ScalarNode && !isNull(n) && goodText(n.Value, maxTitle) {
		c.rule.Title = n.Value
	}
	switch {
	case top["correlation"] != nil:
		return fail(top["correlation"], "correlation rules look at several events together, which an expression cannot")
	case top["filter"] != nil && top["detection"] == nil:
		return fail(top["filter"], "filters of other rules are not supported")
	case top["action"] != nil:
		return fail(top["action"], "collections with \"action\" are of Sigma 1 and not supported")
	case top["detection"] == nil && top["logsource"] == nil:
		return errForeign
	case top["logsource"] == nil:
		return fail(c.top, "has no logsource")
	}
	if c.source, err = c.tables.find(top["logsource"]); err != nil {
		return err
	}
	if n := top["status"]; n != nil && (n.Value == "deprecated" || n.Value == "unsupported") {
		return errRetired
	}
	if c.rule.Title == "" {
		return fail(c.top, "has no title, or one with characters that cannot be seen or of more than %d bytes", maxTitle)
	}
	if n := top["id"]; n != nil {
		if n.Kind != yaml.ScalarNode || !goodText(n.Value, maxTitle) {
			return fail(n, "the id is no text of at most %d bytes", maxTitle)
		}
		c.rule.ID = strings.ToLower(n.Value)
	}
	if n := top["level"]; n != nil && !isNull(n) {
		if !slices.Contains([]string{"informational", "low", "medium", "high", "critical"}, n.Value) {
			return fail(n, "the level %q is none of informational, low, medium, high and critical", n.Value)
		}
		c.rule.Level = n.Value
	}
	if n := top["tags"]; n != nil && n.Kind == yaml.SequenceNode {
		for _, item := range n.Content {
			if item.Kind == yaml.ScalarNode && goodText(item.Value, maxTitle) && !strings.Contains(item.Value, " ") && len(c.rule.Tags) < maxTags {
				c.rule.Tags = append(c.rule.Tags, item.Value)
			}
		}
	}
	if top["detection"] == nil {
		return fail(c.top, "has no detection")
	}
	return c.detect(top["detection"])
}

// goodText reports whether s can be shown in a line.
func goodText(s string, most int) bool {
	return s != "" && len(s) <= most && strings.TrimSpace(s) == s && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (c *converter) detect(n *yaml.Node) error {
	names, detection, err := members(n, "the detection")
	if err != nil {
		return err
	}
	condition := detection["condition"]
	switch {
	case condition == nil || isNull(condition):
		return fail(n, "the detection has no condition")
	case condition.Kind != yaml.ScalarNode:
		return fail(condition, "several conditions are of Sigma 1: join them with or")
	case detection["timeframe"] != nil:
		return fail(detection["timeframe"], "a timeframe counts events, which an expression cannot")
	}
	if len(names) > maxSearches {
		return fail(n, "more than %d search identifiers", maxSearches)
	}
	c.detection, c.identifier = detection, map[string]*node{}
	for _, name := range names {
		if name != "condition" {
			c.names = append(c.names, name)
		}
	}
	root, err := c.condition(condition)
	if err != nil {
		return err
	}
	if c.source.protocol != "" {
		root = and(leaf("protocols == "+c.source.protocol), root)
	}
	text, ok := root.text(maxExpression)
	if !ok {
		return fail(condition, "the expression would be larger than %d bytes", maxExpression)
	}
	// Without a now: a rule's meaning must not change with the clock.
	e, err := expr.Parse(text, c.reg, time.Time{})
	if err != nil {
		return fail(condition, "as an expression: %v", err)
	}
	c.rule.Text, c.rule.Expr = e.String(), e
	return nil
}

// node is a part of the expression: a comparison, or nodes joined. Nodes are shared and never changed.
type node struct {
	join  string // " && ", " || ", "!", or "" for a comparison
	nodes []*node
	leaf  string
}

func leaf(text string) *node { return &node{leaf: text} }

func and(nodes ...*node) *node { return joined(" && ", nodes) }
func or(nodes ...*node) *node  { return joined(" || ", nodes) }

func not(n *node) *node { return &node{join: "!", nodes: []*node{n}} }

// joined takes nodes of the same sort in: a && (b && c) is a && b && c.
func joined(sign string, nodes []*node) *node {
	if len(nodes) == 1 {
		return nodes[0]
	}
	out := &node{join: sign}
	for _, n := range nodes {
		if n.join == sign && len(out.nodes)+len(n.nodes) < maxExpression {
			out.nodes = append(out.nodes, n.nodes...)
			continue
		}
		out.nodes = append(out.nodes, n)
	}
	return out
}

// text writes the expression, and reports whether it is not larger than limit.
func (n *node) text(limit int) (string, bool) {
	var b strings.Builder
	ok := n.write(&b, limit)
	return b.String(), ok
}

func (n *node) write(b *strings.Builder, limit int) bool {
	if b.Len() > limit {
		return false
	}
	switch n.join {
	case "":
		b.WriteString(n.leaf)
		return b.Len() <= limit
	case "!":
		b.WriteByte('!')
		return n.nodes[0].within(b, limit)
	}
	for i, part := range n.nodes {
		if i > 0 {
			b.WriteString(n.join)
		}
		if !part.within(b, limit) {
			return false
		}
	}
	return true
}

// within writes a node inside another: with parentheses where they are needed.
func (n *node) within(b *strings.Builder, limit int) bool {
	if len(n.nodes) < 2 {
		return n.write(b, limit)
	}
	b.WriteByte('(')
	ok := n.write(b, limit)
	b.WriteByte(')')
	return ok
}
