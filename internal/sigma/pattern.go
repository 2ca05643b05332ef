package sigma

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"wirelake/internal/expr"
)

// token is literal text, or a wildcard: * is any text, ? any one character.
type token struct {
	text string
	wild bool
}

// pattern is a value of a rule. No two literal texts or stars follow each other.
type pattern []token

func star() token { return token{"*", true} }

// parsePattern reads a value: \ takes the meaning from *, ? and \, and is itself before all else.
func parsePattern(s string) pattern {
	var p pattern
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\' && i+1 < len(s) && strings.IndexByte(`*?\`, s[i+1]) >= 0:
			i++
			p = p.add(token{s[i : i+1], false})
		case c == '*' || c == '?':
			p = p.add(token{s[i : i+1], true})
		default:
			end := i + 1
			for end < len(s) && strings.IndexByte(`*?\`, s[end]) < 0 {
				end++
			}
			p = p.add(token{s[i:end], false})
			i = end - 1
		}
	}
	return p
}

func (p pattern) add(t token) pattern {
	if n := len(p); n > 0 {
		switch last := &p[n-1]; {
		case !t.wild && !last.wild:
			last.text += t.text
			return p
		case t == star() && *last == star():
			return p
		}
	}
	return append(p, t)
}

// free returns the pattern with any text before or behind it.
func (p pattern) free(before, behind bool) pattern {
	var out pattern
	if before {
		out = out.add(star())
	}
	for _, t := range p {
		out = out.add(t)
	}
	if behind {
		out = out.add(star())
	}
	return out
}

// literal returns the text of a pattern without wildcards.
func (p pattern) literal() (string, bool) {
	switch {
	case len(p) == 0:
		return "", true
	case len(p) == 1 && !p[0].wild:
		return p[0].text, true
	}
	return "", false
}

// begins reports whether the pattern begins with literal text, and with which.
func (p pattern) begins() (string, bool) {
	if len(p) == 0 || p[0].wild {
		return "", false
	}
	return p[0].text, true
}

// contains reports whether a literal text of the pattern has s.
func (p pattern) contains(s string) bool {
	for _, t := range p {
		if !t.wild && strings.Contains(t.text, s) {
			return true
		}
	}
	return false
}

// otherLetters reports whether the pattern has letters with a case beyond A to Z.
func (p pattern) otherLetters() bool {
	for _, t := range p {
		if strings.ContainsFunc(t.text, func(r rune) bool { return r >= utf8.RuneSelf && unicode.SimpleFold(r) != r }) {
			return true
		}
	}
	return false
}

// value writes the pattern in the expression language. Its wildcards have no escapes, and a ? is one only beside
// a *: what they cannot say, a regular expression can.
func (p pattern) value(anyCase bool) string {
	stars, marks, literalStars, literalMarks := false, false, p.contains("*"), p.contains("?")
	var b strings.Builder
	for _, t := range p {
		stars = stars || t == star()
		marks = marks || t.wild && t.text == "?"
		b.WriteString(t.text)
	}
	if literalStars || stars && literalMarks || !stars && marks {
		return p.regexp("", anyCase)
	}
	text := expr.Quote(b.String())
	if anyCase {
		text += "i"
	}
	return text
}

// regexp writes the pattern, behind a prefix, as a regular expression of the language.
func (p pattern) regexp(prefix string, anyCase bool) string {
	var b strings.Builder
	b.WriteString("/" + prefix)
	for _, t := range p {
		switch {
		case t == star():
			b.WriteString(".*")
		case t.wild:
			b.WriteByte('.')
		default:
			for _, r := range t.text {
				writeRune(&b, r, anyCase && r < utf8.RuneSelf)
			}
		}
	}
	b.WriteByte('/')
	return b.String()
}
