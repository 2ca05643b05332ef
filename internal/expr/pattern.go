package expr

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Pattern is a wildcard or a regular expression over a whole text. It is safe
// for concurrent use.
type Pattern struct {
	// Prefix is text that every match begins with; it may be empty.
	Prefix string
	// Source is the pattern as typed, without delimiters, for messages.
	Source string

	lucene string         // a regular expression in Lucene's dialect; "" for a wildcard
	re     *regexp.Regexp // the same, anchored, in Go's dialect
	parts  []string       // a wildcard, split at its stars
	marks  bool           // the wildcard has ? in a part

	anyCase bool // the wildcard, or the one part that is no wildcard, is in lower case and compared with what LowerASCII returns
}

// newWildcard compiles a wildcard: * is any text, ? any one character.
func newWildcard(s string) *Pattern {
	p := &Pattern{Source: s, parts: strings.Split(s, "*")}
	p.Prefix = p.parts[0]
	if i := strings.IndexByte(p.Prefix, '?'); i >= 0 {
		p.Prefix = p.Prefix[:i]
	}
	p.marks = strings.Contains(s, "?")
	return p
}

// newAnyCase compiles a text, or with wild a wildcard, for any case of the letters A to Z. Others
// are compared as they are: Elasticsearch can do no more.
func newAnyCase(s string, wild bool) *Pattern {
	s = LowerASCII(s)
	p := &Pattern{Source: s, parts: []string{s}}
	if wild {
		p = newWildcard(s)
	} else {
		p.Prefix = s
	}
	p.anyCase = true
	if i := strings.IndexFunc(p.Prefix, func(r rune) bool { return r >= 'a' && r <= 'z' }); i >= 0 {
		p.Prefix = p.Prefix[:i]
	}
	return p
}

// LowerASCII returns s with A to Z in lower case.
func LowerASCII(s string) string {
	upper := func(c byte) bool { return c >= 'A' && c <= 'Z' }
	first := 0
	for first < len(s) && !upper(s[first]) {
		first++
	}
	if first == len(s) {
		return s
	}
	b := []byte(s)
	for i := first; i < len(b); i++ {
		if upper(b[i]) {
			b[i] += 'a' - 'A'
		}
	}
	return string(b)
}

// Match reports whether the pattern matches all of s, in time linear in s for
// a given pattern.
func (p *Pattern) Match(s string) bool {
	if p.re != nil {
		return p.re.MatchString(s)
	}
	if p.anyCase {
		s = LowerASCII(s)
	}
	return p.matchWildcard(s)
}

func (p *Pattern) matchWildcard(s string) bool {
	if len(p.parts) == 1 {
		return s == p.parts[0]
	}
	first, last := p.parts[0], p.parts[len(p.parts)-1]
	if !p.marks {
		if len(s) < len(first)+len(last) || s[:len(first)] != first || s[len(s)-len(last):] != last {
			return false
		}
		s = s[len(first) : len(s)-len(last)]
		for _, part := range p.parts[1 : len(p.parts)-1] {
			i := strings.Index(s, part)
			if i < 0 {
				return false
			}
			s = s[i+len(part):]
		}
		return true
	}
	n, ok := matchMarks(first, s)
	if !ok {
		return false
	}
	s = s[n:]
	for _, part := range p.parts[1 : len(p.parts)-1] {
		for {
			if n, ok = matchMarks(part, s); ok {
				break
			}
			if s == "" {
				return false
			}
			_, size := utf8.DecodeRuneInString(s)
			s = s[size:]
		}
		s = s[n:]
	}
	// The last part must end with s: it begins as many characters before.
	skip := utf8.RuneCountInString(s) - utf8.RuneCountInString(last)
	if skip < 0 {
		return false
	}
	for range skip {
		_, size := utf8.DecodeRuneInString(s)
		s = s[size:]
	}
	n, ok = matchMarks(last, s)
	return ok && n == len(s)
}

// matchMarks matches a part without stars at the start of s and returns how
// many bytes of s it took.
func matchMarks(part, s string) (int, bool) {
	taken := 0
	for i := 0; i < len(part); {
		if taken >= len(s) {
			return 0, false
		}
		_, ps := utf8.DecodeRuneInString(part[i:])
		_, ss := utf8.DecodeRuneInString(s[taken:])
		if part[i] != '?' && part[i:i+ps] != s[taken:taken+ss] {
			return 0, false
		}
		i += ps
		taken += ss
	}
	return taken, true
}
