package rules

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"

	"wirelake/internal/config"
	"wirelake/internal/expr"
	"wirelake/internal/indicators"
	"wirelake/internal/spi"
)

// Limits of a rules file.
const (
	maxFileBytes = 8 << 20 // 10,000 rules of 800 bytes
	maxRules     = 10_000
	maxValues    = 1_000_000 // of all expressions, counted once for each field that is compared with them
	maxLists     = 100
	maxTags      = 32  // of one rule or list
	maxText      = 200 // bytes of a name or tag
	minRefresh   = time.Second
)

// defaultRefresh is how often a URL is asked whether it has a new list.
const defaultRefresh = time.Hour

// Rule is one rule of a file.
type Rule struct {
	Name        string
	Description string
	Text        string   // of the expression
	Tags        []string // may be empty when Keep is set
	Keep        int64    // bytes of payload that sensors keep of a flow, -1 for all
	Line        int      // where it begins
	Sigma       string   // the file that it was converted from; empty for a rule of the rules file

	Expr *expr.Expr
}

// File is what a rules file holds.
type File struct {
	Path  string
	Rules []Rule
	Lists []indicators.Source
}

// Read reads and checks a rules file. Names of files in it count from its folder. The
// error is an *[Error] when the file could be read but is wrong.
func Read(path string, reg *spi.Registry) (_ *File, err error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	return Parse(path, text, reg)
}

// Parse is Read of a text that was read from path.
func Parse(path string, text []byte, reg *spi.Registry) (*File, error) {
	p := parser{reg: reg, text: string(text), file: &File{Path: path}, err: &Error{File: path}, rules: map[string]int{}, lists: map[string]int{}}
	if len(text) > maxFileBytes {
		p.err.add(0, 0, "larger than %v; long lists of values belong into lists", config.Size(maxFileBytes))
		return nil, p.err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		line, reason := yamlProblem(err)
		p.err.add(line, 0, "not valid YAML: %s", reason)
		return nil, p.err
	}
	if len(doc.Content) > 0 && !isNull(doc.Content[0]) {
		p.top(doc.Content[0])
	}
	return p.file, p.err.orNil()
}

// yamlProblem takes the line out of "yaml: line 3: …".
func yamlProblem(err error) (line int, reason string) {
	reason = strings.TrimPrefix(err.Error(), "yaml: ")
	if n, scanned := 0, strings.HasPrefix(reason, "line "); scanned {
		if _, err := fmt.Sscanf(reason, "line %d:", &n); err == nil {
			_, rest, _ := strings.Cut(reason, ": ")
			return n, rest
		}
	}
	return 0, reason
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

type parser struct {
	reg  *spi.Registry
	text string
	file *File
	err  *Error

	rules, lists map[string]int // lines by name
	values       int            // of all expressions
}

// members calls take for each member of a mapping; what is no mapping or has a member twice is a problem.
func (p *parser) members(n *yaml.Node, what string, take func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.err.add(n.Line, n.Column, "%s must be written as \"name: value\"", what)
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if first, twice := seen[key.Value]; twice {
			p.err.add(key.Line, key.Column, "%s is there twice, first on line %d", key.Value, first)
			continue
		}
		seen[key.Value] = key.Line
		take(key, n.Content[i+1])
	}
}

func (p *parser) unknown(key *yaml.Node, known string) {
	p.err.add(key.Line, key.Column, "unknown member %q (known: %s)", key.Value, known)
}

func (p *parser) top(n *yaml.Node) {
	p.members(n, "a rules file", func(key, value *yaml.Node) {
		switch key.Value {
		case "rules":
			p.each(key, value, maxRules, p.rule)
		case "lists":
			p.each(key, value, maxLists, p.list)
		default:
			p.unknown(key, "lists, rules")
		}
	})
}

// each calls item for the items of a sequence.
func (p *parser) each(key, n *yaml.Node, most int, item func(*yaml.Node)) {
	switch {
	case isNull(n):
	case n.Kind != yaml.SequenceNode:
		p.err.add(n.Line, n.Column, "%s must be a sequence, each item after \"- \"", key.Value)
	case len(n.Content) > most:
		p.err.add(n.Content[most].Line, 0, "%d %s, at most %d", len(n.Content), key.Value, most)
	default:
		for _, c := range n.Content {
			item(c)
		}
	}
}

func (p *parser) rule(n *yaml.Node) {
	r := Rule{Line: n.Line, Keep: -1}
	var expression *yaml.Node
	told := len(p.err.Problems)
	p.members(n, "a rule", func(key, value *yaml.Node) {
		switch key.Value {
		case "name":
			r.Name = p.name(value, "rule", p.rules)
		case "description":
			r.Description, _ = p.scalar(key, value)
		case "expression":
			r.Text, _ = p.scalar(key, value)
			expression = value
		case "tags":
			r.Tags = p.tags(key, value)
		case "keep":
			r.Keep = p.size(key, value)
		default:
			p.unknown(key, "name, description, expression, tags, keep")
		}
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	p.named(n, "rule", r.Name)
	if len(r.Tags) == 0 && r.Keep < 0 && len(p.err.Problems) == told {
		p.err.add(n.Line, 0, "rule %s has no tags", r.Name)
	}
	switch {
	case expression == nil:
		p.err.add(n.Line, 0, "rule %s has no expression", r.Name)
		return
	case strings.TrimSpace(r.Text) == "":
		p.err.add(expression.Line, 0, "the expression of rule %s is empty", r.Name)
		return
	}
	// Without a now: what a rule means must not depend on when it was read.
	e, err := expr.Parse(r.Text, p.reg, time.Time{})
	var bad *expr.Error
	if errors.As(err, &bad) {
		line, column, exact := locate(p.text, expression, bad.Column)
		reason := bad.Message
		if bad.Suggestion != "" {
			reason += " (did you mean " + bad.Suggestion + "?)"
		}
		if !exact {
			reason = fmt.Sprintf("column %d of the expression: %s", bad.Column, reason)
		}
		p.err.add(line, column, "%s", reason)
		return
	}
	expr.Walk(e.Root, func(n expr.Node) {
		if l, ok := n.(*expr.Leaf); ok {
			p.values += len(l.Values) + len(l.Patterns) + len(l.Ints) + len(l.Addrs)
		}
	})
	if p.values > maxValues {
		p.err.add(expression.Line, 0, "the expressions up to here have more than %d values (a name such as host or ip stands for many fields); put them into a list", maxValues)
		return
	}
	if r.Keep >= 0 {
		for _, f := range e.Fields() {
			if !KnownWhileSealing(f.ID) {
				p.err.add(expression.Line, 0, "rule %s has keep, and %s is not known while packets are sealed", r.Name, f.Path)
			}
		}
	}
	r.Expr = e
	p.file.Rules = append(p.file.Rules, r)
}

// KnownWhileSealing reports whether a sensor knows the field of a flow, so that a rule with keep may ask for it.
func KnownWhileSealing(f spi.FieldID) bool {
	switch f {
	case spi.SourceIP, spi.DestinationIP, spi.SourcePort, spi.DestinationPort, spi.IPProtocol, spi.EtherType, spi.Protocol, spi.VLAN, spi.VNI:
		return true
	}
	return false
}

// named tells of a rule or list without a name.
func (p *parser) named(n *yaml.Node, what, name string) {
	for i := 0; name == "" && i < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			return // told of already
		}
	}
	if name == "" {
		p.err.add(n.Line, 0, "a %s without a name", what)
	}
}

func (p *parser) list(n *yaml.Node) {
	l := indicators.Source{Line: n.Line, Refresh: defaultRefresh}
	places, told := 0, len(p.err.Problems)
	p.members(n, "a list", func(key, value *yaml.Node) {
		switch key.Value {
		case "name":
			l.Name = p.name(value, "list", p.lists)
		case "file":
			if s, ok := p.scalar(key, value); ok {
				places++
				if !filepath.IsAbs(s) {
					s = filepath.Join(filepath.Dir(p.file.Path), s)
				}
				l.File = s
			}
		case "url":
			if s, ok := p.scalar(key, value); ok {
				places++
				p.url(&l, value, s)
			}
		case "kind":
			if s, ok := p.scalar(key, value); ok {
				var err error
				if l.Kind, err = indicators.ParseKind(s); err != nil {
					p.err.add(value.Line, value.Column, "kind: %v", err)
				}
			}
		case "tags":
			l.Tags = p.tags(key, value)
		case "refresh":
			p.refresh(&l, key, value)
		default:
			p.unknown(key, "name, file, url, kind, tags, refresh")
		}
	})
	if n.Kind != yaml.MappingNode {
		return
	}
	p.named(n, "list", l.Name)
	if len(l.Tags) == 0 && len(p.err.Problems) == told {
		p.err.add(n.Line, 0, "list %s has no tags", l.Name)
	}
	if places != 1 {
		p.err.add(n.Line, 0, "list %s must have either a file or a url", l.Name)
	}
	p.file.Lists = append(p.file.Lists, l)
}

func (p *parser) refresh(l *indicators.Source, key, value *yaml.Node) {
	s, ok := p.scalar(key, value)
	if !ok {
		return
	}
	d, err := config.ParseDuration(s)
	switch {
	case err != nil:
		p.err.add(value.Line, value.Column, "refresh: %v", err)
	case d < minRefresh:
		p.err.add(value.Line, value.Column, "refresh: %s is under %v", s, minRefresh)
	default:
		l.Refresh = d
	}
}

// scalar returns the text of a single value that is not empty.
func (p *parser) scalar(key, n *yaml.Node) (string, bool) {
	switch {
	case n.Kind == yaml.AliasNode:
		p.err.add(n.Line, n.Column, "%s: aliases (*name) are not supported: write the value again", key.Value)
	case n.Kind != yaml.ScalarNode:
		p.err.add(n.Line, n.Column, "%s: one value is wanted", key.Value)
	case strings.TrimSpace(n.Value) == "" || isNull(n):
		if key.Value != "expression" { // told of with the rule's name
			p.err.add(n.Line, n.Column, "%s: is empty", key.Value)
		}
	default:
		return n.Value, true
	}
	return "", false
}

// name returns a name, which must be the only one of its kind.
func (p *parser) name(n *yaml.Node, what string, taken map[string]int) string {
	s, ok := p.scalar(&yaml.Node{Value: "name"}, n)
	if !ok || !p.good(n, "name", s) {
		return ""
	}
	if first, twice := taken[s]; twice {
		p.err.add(n.Line, n.Column, "a %s with the name %s is on line %d already", what, s, first)
	} else {
		taken[s] = n.Line
	}
	return s
}

// good reports whether s can be a name or tag: it is searched for and shown.
func (p *parser) good(n *yaml.Node, what, s string) bool {
	switch {
	case len(s) > maxText:
		p.err.add(n.Line, n.Column, "%s: longer than %d bytes", what, maxText)
	case strings.TrimSpace(s) != s || strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		p.err.add(n.Line, n.Column, "%s: %q has spaces at an end, or characters that cannot be seen", what, s)
	default:
		return true
	}
	return false
}

// tags reads one tag or several, each once.
func (p *parser) tags(key, n *yaml.Node) []string {
	items := n.Content
	if n.Kind == yaml.ScalarNode && !isNull(n) {
		items = []*yaml.Node{n}
	} else if n.Kind != yaml.SequenceNode {
		if !isNull(n) {
			p.err.add(n.Line, n.Column, "tags must be written as [one, two]")
		}
		return nil
	}
	if len(items) > maxTags {
		p.err.add(n.Line, n.Column, "%d tags, at most %d", len(items), maxTags)
		return nil
	}
	var out []string
	for _, item := range items {
		s, ok := p.scalar(key, item)
		if ok && p.good(item, "tag", s) {
			out = append(out, s)
		}
	}
	return out
}

// size reads a number of bytes.
func (p *parser) size(key, n *yaml.Node) int64 {
	s, ok := p.scalar(key, n)
	if !ok {
		return -1
	}
	size, err := config.ParseSize(s)
	if err != nil {
		p.err.add(n.Line, n.Column, "%s: %v", key.Value, err)
		return -1
	}
	return int64(size)
}

// secretURL matches the password in a URL, which must not be shown.
const secretURL = `//[^/@]*@`

func hidePassword(s string) string {
	return regexp.MustCompile(secretURL).ReplaceAllString(s, "//…@")
}
