package expr

import "strings"

// The syntax tree: what was written, before the registry is asked what it means.
type (
	syntax interface{ print(b *strings.Builder) }

	// junction is two or more terms joined by && or ||.
	junction struct {
		and   bool
		terms []syntax
	}
	negation   struct{ term syntax }
	comparison struct {
		field string
		op    string // ==, !=, <, <=, > or >=
		value value
		name  span // of the field's name
		sign  span // of the operator
	}
)

type valueKind uint8

const (
	word      valueKind = iota // text without quotes
	quoted                     // text in quotes
	regex                      // /…/
	existence                  // EXISTS!
	anyOf                      // [a,b]
	allOf                      // ]a,b[
)

type value struct {
	kind  valueKind
	text  string  // of word and quoted: with escapes undone; of regex: without the slashes
	items []value // of lists: word, quoted and regex
	at    span

	anyCase bool // of quoted: an i follows
}

func (j junction) print(b *strings.Builder) {
	sign := " || "
	if j.and {
		sign = " && "
	}
	for i, t := range j.terms {
		if i > 0 {
			b.WriteString(sign)
		}
		// One inside another was written with parentheses, needed or not.
		if _, inner := t.(junction); inner {
			b.WriteByte('(')
			t.print(b)
			b.WriteByte(')')
			continue
		}
		t.print(b)
	}
}

func (n negation) print(b *strings.Builder) {
	b.WriteByte('!')
	if _, inner := n.term.(junction); !inner {
		n.term.print(b)
		return
	}
	b.WriteByte('(')
	n.term.print(b)
	b.WriteByte(')')
}

func (c comparison) print(b *strings.Builder) {
	b.WriteString(c.field)
	b.WriteByte(' ')
	b.WriteString(c.op)
	b.WriteByte(' ')
	c.value.print(b)
}

func (v value) print(b *strings.Builder) {
	switch v.kind {
	case existence:
		b.WriteString("EXISTS!")
	case regex:
		b.WriteByte('/')
		for i := 0; i < len(v.text); i++ {
			switch v.text[i] {
			case '\\':
				b.WriteByte('\\')
				i++
			case '/':
				b.WriteByte('\\')
			}
			b.WriteByte(v.text[i])
		}
		b.WriteByte('/')
	case anyOf, allOf:
		open, closing := byte('['), byte(']')
		if v.kind == allOf {
			open, closing = closing, open
		}
		b.WriteByte(open)
		for i, item := range v.items {
			if i > 0 {
				b.WriteByte(',')
			}
			item.print(b)
		}
		b.WriteByte(closing)
	case word:
		if bareWord(v.text) {
			b.WriteString(v.text)
			return
		}
		b.WriteString(Quote(v.text))
	case quoted:
		if v.anyCase {
			b.WriteString(Quote(v.text) + "i")
			return
		}
		if bareWord(v.text) && v.text[0] != '$' {
			b.WriteString(v.text)
			return
		}
		b.WriteString(Quote(v.text))
	}
}

// bareWord reports whether s can be written without quotes.
func bareWord(s string) bool {
	for i := range len(s) {
		if !wordByte(s[i]) {
			return false
		}
	}
	return s != "" && s[0] != '/'
}

func wordByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-+_.@:*?/$", c) >= 0
}

// Quote returns s in the double quotes of the language.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
