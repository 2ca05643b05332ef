package rules

import (
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"

	"wirelake/internal/indicators"
)

// locate returns where in the file a column of a value is: columns count from 1, in characters. It reports false
// and the first line of the value when that cannot be told, since the value was written
// with escapes or folded lines.
func locate(text string, n *yaml.Node, column int) (line, col int, exact bool) {
	lines := strings.Split(text, "\n")
	before := []rune(n.Value)
	before = before[:min(column-1, len(before))]
	row := strings.Count(string(before), "\n") // of the value
	if last := strings.LastIndexByte(string(before), '\n'); last >= 0 {
		before = []rune(string(before)[last+1:])
	}
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		// The lines of the value follow that of the |, all indented alike.
		at := n.Line + row
		values := strings.Split(n.Value, "\n")
		if at < len(lines) && row < len(values) && strings.HasSuffix(strings.TrimRight(lines[at], "\r"), values[row]) {
			indent := len([]rune(strings.TrimRight(lines[at], "\r"))) - len([]rune(values[row]))
			return at + 1, indent + len(before) + 1, true
		}
	case row == 0 && n.Line <= len(lines):
		start := n.Column - 1
		if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			start++
		}
		// What stands in the file up to there must be what the value begins with.
		source := []rune(lines[n.Line-1])
		if start+len(before) <= len(source) && string(source[start:start+len(before)]) == string(before) {
			return n.Line, start + len(before) + 1, true
		}
	}
	return n.Line, 0, false
}

// url checks the URL of a list.
func (p *parser) url(l *indicators.Source, n *yaml.Node, s string) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		p.err.add(n.Line, n.Column, "url: %q is no URL", hidePassword(s))
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		p.err.add(n.Line, n.Column, "url: %q does not begin with http:// or https:// and a host", hidePassword(s))
	default:
		l.URL = u
	}
}
