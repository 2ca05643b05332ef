package expr

import (
	"encoding/hex"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"wirelake/internal/spi"
)

// texts compares a text with values, wildcards and regular expressions.
func (c *checker) texts(t target, f *spi.Field, op string, items []value) (Node, error) {
	if op != "==" && op != "!=" {
		return nil, c.fail(items[0].at, "%s holds text, which has no order: use == or != instead of %s", t.name, op)
	}
	l := &Leaf{Field: f, Kind: Strings}
	for _, v := range items {
		if err := c.addText(l, t, v); err != nil {
			return nil, err
		}
	}
	l.prepare()
	return l, nil
}

// OneOf accepts the values of a text field, which are in the case that it stores.
func OneOf(f *spi.Field, values []string) *Leaf {
	l := &Leaf{Field: f, Kind: Strings, Values: slices.Clone(values)}
	l.prepare()
	return l
}

// prepare makes the values ready to be compared with.
func (l *Leaf) prepare() {
	slices.Sort(l.Values)
	l.Values = slices.Compact(l.Values)
	if len(l.Values) > manyValues {
		l.set = make(map[string]struct{}, len(l.Values))
		for _, v := range l.Values {
			l.set[v] = struct{}{}
		}
	}
}

func (c *checker) addText(l *Leaf, t target, v value) error {
	fold := folding(l.Field)
	if v.kind == regex {
		if t.hex {
			return c.fail(v.at, "regular expressions apply to payload8.hex, not to payload bytes as text")
		}
		p, err := newRegex(v.text, fold)
		if err != nil {
			return c.fail(v.at, "%s", err)
		}
		l.Patterns = append(l.Patterns, p)
		return nil
	}
	text := normalText(l.Field, v.text)
	if strings.Trim(text, "*") == "" && text != "" {
		return c.exists(t, v)
	}
	wild := strings.Contains(text, "*")
	if t.hex {
		if v.anyCase {
			return c.fail(v.at, "payload bytes are compared as they are, not in any case")
		}
		text = hexText(text, wild)
	}
	text = fold(text)
	switch {
	case v.anyCase && l.Field.Type == spi.Term, v.anyCase && wild && l.Field.Type == spi.Text:
		l.anyCase = true
		l.Patterns = append(l.Patterns, newAnyCase(text, wild))
	case wild:
		l.Patterns = append(l.Patterns, newWildcard(text))
	case l.Field.Type == spi.Text:
		p, ok := newPhrase(text)
		if !ok {
			return c.fail(v.at, "%s has no word to search for", Quote(v.text))
		}
		l.Patterns = append(l.Patterns, p)
	default:
		l.Values = append(l.Values, text)
	}
	return nil
}

// folding returns the function that brings text to the case that the field stores.
func folding(f *spi.Field) func(string) string {
	switch f.Type {
	case spi.LoTerm:
		return strings.ToLower
	case spi.UpTerm:
		return strings.ToUpper
	}
	return func(s string) string { return s }
}

// normalText spells a value as the field's dissectors do: URIs and hosts without a
// scheme, hosts without a path, MAC addresses with colons. Wildcards keep what they say.
func normalText(f *spi.Field, s string) string {
	named := func(match func(name string) bool) bool { return slices.ContainsFunc(f.Exprs, match) }
	switch {
	case named(func(n string) bool {
		return n == "http.uri" || strings.HasPrefix(n, "http.uri.") && n != "http.uri.path"
	}):
		return withoutScheme(s)
	case named(func(n string) bool { return n == "host" || strings.HasPrefix(n, "host.") }):
		s = withoutScheme(s)
		if host, _, found := strings.Cut(s, "/"); found && host != "" {
			return host
		}
	case named(func(n string) bool {
		return slices.ContainsFunc(strings.Split(n, "."), func(part string) bool { return part == "mac" || part == "outermac" })
	}):
		return strings.ReplaceAll(s, "-", ":")
	}
	return s
}

// withoutScheme cuts what stands before the first ://, when it is a scheme (RFC 3986 section 3.1).
func withoutScheme(s string) string {
	scheme, rest, found := strings.Cut(s, "://")
	if !found || scheme == "" || rest == "" {
		return s
	}
	for i, r := range scheme {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		other := r >= '0' && r <= '9' || strings.ContainsRune("+-.", r)
		if !letter && (i == 0 || !other) {
			return s
		}
	}
	return rest
}

// hexText writes each byte in hexadecimal; in a wildcard * stays and ? is two digits.
func hexText(s string, wild bool) string {
	var b strings.Builder
	for i := range len(s) {
		switch {
		case wild && s[i] == '*':
			b.WriteByte('*')
		case wild && s[i] == '?':
			b.WriteString("??")
		default:
			b.WriteString(hex.EncodeToString([]byte{s[i]}))
		}
	}
	return b.String()
}

// newPhrase compiles the words of s to a pattern for texts that hold these words in
// this order with nothing but other characters than letters and digits between them, in any
// case. It returns false when s has no word. What is beyond ASCII counts as letters.
func newPhrase(s string) (*Pattern, bool) {
	words := strings.FieldsFunc(s, func(r rune) bool { return r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	if len(words) == 0 {
		return nil, false
	}
	const other = `[^0-9A-Za-z` + "\u0080-\U0010ffff" + `]`
	lucene, golang := "(.*"+other+")?", "(?s)^(?:.*"+other+")?"
	for i, w := range words {
		if i > 0 {
			lucene += other + "+"
			golang += other + "+"
		}
		for _, r := range w {
			class := "[" + string(unicode.ToLower(r)) + string(unicode.ToUpper(r)) + "]"
			lucene += class
			golang += class
		}
	}
	lucene += "(" + other + ".*)?"
	golang += "(?:" + other + ".*)?$"
	re, err := regexp.Compile(golang)
	if err != nil {
		return nil, false
	}
	return &Pattern{Source: s, lucene: lucene, re: re}, true
}
