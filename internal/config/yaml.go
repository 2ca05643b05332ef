package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Limits on the file, checked before anything is built from it.
const (
	maxFileBytes = 1 << 20 // a configuration is some kilobytes
	maxDepth     = 32      // the settings nest three deep
)

// document is a YAML file with all scalars as the text that stands in it, so that
// the field's type and not YAML decides what "8m", "1e3" or "no" means.
type document struct {
	root  map[string]any // of map[string]any, []any, string and nil
	lines map[string]int // path -> line of the key
}

// parseYAML reads the file. Problems are added with their lines; what can be
// read is returned all the same.
func parseYAML(name string, text []byte, p *problems) document {
	d := document{root: map[string]any{}, lines: map[string]int{}}
	broken := func(line int, reason string) {
		o := Origin(name)
		if line > 0 {
			o = Origin(fmt.Sprintf("%s:%d", name, line))
		}
		p.list = append(p.list, located{Problem{Origin: o, Reason: reason}, max(line, 1)})
	}
	if len(text) > maxFileBytes {
		broken(0, fmt.Sprintf("the file is larger than %s", Size(maxFileBytes)))
		return d
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		line, reason := yamlError(err)
		broken(line, reason)
		return d
	}
	if len(doc.Content) == 0 {
		return d // empty, or comments only
	}
	top := doc.Content[0]
	if top.Kind == yaml.ScalarNode && top.Tag == "!!null" {
		return d
	}
	if top.Kind != yaml.MappingNode {
		broken(top.Line, "the file must hold settings as \"key: value\"")
		return d
	}
	r := yamlReader{document: &d, broken: broken}
	if root, ok := r.value("", top, 0).(map[string]any); ok {
		d.root = root
	}
	return d
}

type yamlReader struct {
	*document
	broken func(line int, reason string)
}

func (r yamlReader) value(path string, n *yaml.Node, depth int) any {
	if depth > maxDepth {
		r.broken(n.Line, fmt.Sprintf("nested deeper than %d", maxDepth))
		return nil
	}
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil
		}
		return n.Value
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			at := path + "[" + strconv.Itoa(i) + "]"
			r.lines[at] = item.Line
			list[i] = r.value(at, item, depth+1)
		}
		return list
	case yaml.MappingNode:
		m := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, val := n.Content[i], n.Content[i+1]
			if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
				r.broken(key.Line, "a key must be a plain name")
				continue
			}
			at := join(path, key.Value)
			if _, twice := m[key.Value]; twice {
				r.broken(key.Line, fmt.Sprintf("%s: set twice, first on line %d", at, r.lines[at]))
				continue
			}
			r.lines[at] = key.Line
			m[key.Value] = r.value(at, val, depth+1)
		}
		return m
	}
	// Aliases could multiply a small file without bound, and no setting needs them.
	r.broken(n.Line, "aliases (*name) are not supported: write the value again")
	return nil
}

// yamlError splits the line from the parser's message "yaml: line 3: …".
func yamlError(err error) (line int, reason string) {
	var typed *yaml.TypeError
	reason = err.Error()
	if errors.As(err, &typed) && len(typed.Errors) > 0 {
		reason = typed.Errors[0]
	}
	reason = strings.TrimPrefix(reason, "yaml: ")
	if rest, ok := strings.CutPrefix(reason, "line "); ok {
		number, message, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			return n, "not valid YAML: " + message
		}
	}
	return 0, "not valid YAML: " + reason
}
