package sigma

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

// Limits of what is loaded. The public collection of rules has some 4,000 files of 2 KiB, of which
// under 200 are for networks.
const (
	maxFiles     = 50_000
	maxFileBytes = 1 << 20
	maxRules     = 10_000  // for networks, those that are refused included
	maxText      = 8 << 20 // bytes of all expressions
)

// Rule is a Sigma rule that was converted.
type Rule struct {
	Title string
	ID    string   // a UUID, or empty
	Level string   // informational to critical, or empty
	Tags  []string // as the rule lists them: "attack.t1071.004"
	File  string
	Line  int // where its document begins

	Text string // the expression
	Expr *expr.Expr
}

// Refusal is a rule for networks, or what may be one, that is not converted.
type Refusal struct {
	File   string
	Line   int
	Title  string // empty when it is not known
	Reason string
}

// String returns FILE:LINE: TITLE: REASON.
func (r Refusal) String() string {
	at := fmt.Sprintf("%s:%d: ", r.File, r.Line)
	if r.Title != "" {
		at += r.Title + ": "
	}
	return at + r.Reason
}

// Set is what was loaded, in the order of paths and lines.
type Set struct {
	Rules   []Rule
	Refused []Refusal
	Other   int // rules of log sources that are not networks
	Retired int // rules for networks with the status deprecated or unsupported
	Foreign int // YAML documents that are no rules

	reg    *spi.Registry
	tables *tables
	ids    map[string]string // where a rule with this id is
	text   int               // bytes of all expressions
}

// Load converts the rules of files, and of folders with all below them: files there whose names end in .yml or .yaml and
// do not begin with a dot. One rule that cannot be converted does not keep the others from being loaded; the error is of
// paths that cannot be read, and of limits.
func Load(paths []string, reg *spi.Registry) (*Set, error) {
	s := newSet(reg)
	err := Walk(paths, func(path string, info fs.FileInfo) error {
		if info.Size() > maxFileBytes {
			s.Refused = append(s.Refused, Refusal{File: path, Line: 1, Reason: fmt.Sprintf("larger than %d bytes", maxFileBytes)})
			return nil
		}
		text, err := readFile(path)
		if err != nil {
			return err
		}
		return s.add(path, text)
	})
	return s, err
}

func newSet(reg *spi.Registry) *Set {
	return &Set{reg: reg, tables: newTables(), ids: map[string]string{}}
}

func readFile(path string) (_ []byte, err error) {
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return io.ReadAll(io.LimitReader(f, maxFileBytes+1)) // it may have grown
}

// Walk calls f for each file that Load reads.
func Walk(paths []string, f func(path string, info fs.FileInfo) error) error {
	files := 0
	take := func(path string, info fs.FileInfo) error {
		if files++; files > maxFiles {
			return fmt.Errorf("more than %d files of rules", maxFiles)
		}
		return f(path, info)
	}
	for _, root := range paths {
		info, err := os.Stat(root)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			if err := take(root, info); err != nil {
				return err
			}
			continue
		}
		// With a slash at its end a root that is a link is followed.
		err = filepath.WalkDir(root+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			path = filepath.Clean(path)
			name := d.Name()
			hidden := strings.HasPrefix(name, ".") && path != filepath.Clean(root)
			switch ext := filepath.Ext(name); {
			case d.IsDir() && hidden:
				return filepath.SkipDir
			case d.IsDir() || hidden || ext != ".yml" && ext != ".yaml":
				return nil
			}
			info, err := os.Stat(path) // files of a folder that Kubernetes mounts are links
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			return take(path, info)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// add converts the YAML documents of a file.
func (s *Set) add(path string, text []byte) error {
	refuse := func(line int, title, reason string) {
		s.Refused = append(s.Refused, Refusal{path, max(line, 1), title, reason})
	}
	if len(text) > maxFileBytes {
		refuse(1, "", fmt.Sprintf("larger than %d bytes", maxFileBytes))
		return nil
	}
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		if len(s.Rules)+len(s.Refused) >= maxRules {
			return fmt.Errorf("%s: more than %d rules for networks", path, maxRules)
		}
		var doc yaml.Node
		err := decoder.Decode(&doc)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			line, reason := yamlProblem(err)
			refuse(line, "", "not valid YAML: "+reason)
			return nil
		}
		if len(doc.Content) == 0 {
			continue
		}
		c := converter{reg: s.reg, tables: s.tables, top: doc.Content[0], rule: Rule{File: path, Line: doc.Content[0].Line}}
		switch err := c.convert(); {
		case errors.Is(err, errForeign):
			s.Foreign++
		case errors.Is(err, errOther):
			s.Other++
		case errors.Is(err, errRetired):
			s.Retired++
		case err != nil:
			line := c.rule.Line
			var p *problem
			if errors.As(err, &p) {
				line = cmp.Or(p.line, line)
			}
			refuse(line, c.rule.Title, err.Error())
		default:
			at := fmt.Sprintf("%s:%d", path, c.rule.Line)
			if first, twice := s.ids[c.rule.ID]; twice {
				refuse(c.rule.Line, c.rule.Title, "has the id of the rule at "+first)
				continue
			}
			if c.rule.ID != "" {
				s.ids[c.rule.ID] = at
			}
			if s.text += len(c.rule.Text); s.text > maxText {
				return fmt.Errorf("%s: the expressions up to here are larger than %d bytes", at, maxText)
			}
			s.Rules = append(s.Rules, c.rule)
		}
	}
}

// yamlProblem takes the line out of "yaml: line 3: …".
func yamlProblem(err error) (line int, reason string) {
	reason = strings.TrimPrefix(err.Error(), "yaml: ")
	if _, err := fmt.Sscanf(reason, "line %d:", &line); err == nil {
		_, reason, _ = strings.Cut(reason, ": ")
	}
	return line, reason
}

// MarkTags returns what a session is tagged with that the rule is true for: the rule, its level and its own tags.
func (r *Rule) MarkTags() []string {
	out := []string{"sigma:" + cmp.Or(slug(r.Title), r.ID, "rule")}
	if r.Level != "" {
		out = append(out, "sigma-level:"+r.Level)
	}
	return append(out, r.Tags...)
}

// slug returns text in lower case with a minus for all that is no letter a to z or digit.
func slug(text string) string {
	words := strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return (r < 'a' || r > 'z') && (r < '0' || r > '9') })
	return strings.Join(words, "-")
}

// members returns the members of a mapping; one that is there twice is a problem.
func members(n *yaml.Node, what string) ([]string, map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, nil, fail(n, "%s is not written as \"name: value\"", what)
	}
	var names []string
	out := make(map[string]*yaml.Node, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return nil, nil, fail(key, "a name in %s is no text", what)
		}
		if out[key.Value] != nil {
			return nil, nil, fail(key, "%q is twice in %s", key.Value, what)
		}
		names = append(names, key.Value)
		out[key.Value] = n.Content[i+1]
	}
	return names, out, nil
}

// problem says why a rule is not converted.
type problem struct {
	line   int
	reason string
}

func (p *problem) Error() string { return p.reason }

func fail(n *yaml.Node, format string, args ...any) error {
	return &problem{n.Line, fmt.Sprintf(format, args...)}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// items returns the items of a sequence, or n alone when it is none.
func items(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return slices.Clip([]*yaml.Node{n})
}
