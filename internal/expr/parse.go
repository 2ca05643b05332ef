package expr

import (
	"strings"
	"time"
	"unicode/utf8"

	"wirelake/internal/spi"
)

const (
	// maxLength bounds the text in bytes: expressions with thousands of addresses are
	// pasted, but no honest one is longer than a URL or form that servers take.
	maxLength = 1 << 20
	// maxDepth bounds parentheses and negations within each other, which cost stack.
	maxDepth = 100
)

// Expr is a checked expression. It is safe for concurrent use.
type Expr struct {
	Root Node

	syntax syntax // nil for the empty expression
}

// Parse reads and checks text. The empty text is the expression that is true
// for every session. Relative times count from now, and are refused when that is zero. Every error is an *[Error].
func Parse(text string, reg *spi.Registry, now time.Time) (*Expr, error) {
	p := parser{text: text}
	syntax, err := p.parse()
	if err != nil {
		return nil, err
	}
	if syntax == nil {
		return &Expr{Root: All{}}, nil
	}
	c := checker{text: text, reg: reg, now: now.UTC()}
	root, err := c.node(syntax)
	if err != nil {
		return nil, err
	}
	return &Expr{Root: root, syntax: syntax}, nil
}

// String returns the expression in the language's normal form: parsed again, it means the same.
func (e *Expr) String() string {
	if e.syntax == nil {
		return ""
	}
	var b strings.Builder
	e.syntax.print(&b)
	return b.String()
}

// Fields returns the fields that e looks at, each once.
func (e *Expr) Fields() []*spi.Field {
	var out []*spi.Field
	seen := make(map[spi.FieldID]bool)
	Walk(e.Root, func(n Node) {
		if l, ok := n.(*Leaf); ok && !seen[l.Field.ID] {
			seen[l.Field.ID] = true
			out = append(out, l.Field)
		}
	})
	return out
}

// UsesOnlyHot reports whether Elasticsearch can answer e: whether all fields that e looks at
// are hot, and ids are compared whole, for it keeps them apart from the fields.
func (e *Expr) UsesOnlyHot() bool {
	hot := true
	Walk(e.Root, func(n Node) {
		if l, ok := n.(*Leaf); ok && (!l.Field.Hot || l.Field.ID == spi.ID && len(l.Patterns) > 0) {
			hot = false
		}
	})
	return hot
}

// parser reads the text by recursive descent:
//
//	or         = and { ("||" | "|") and }
//	and        = term { ("&&" | "&") term }
//	term       = "!" term | "(" or ")" | comparison
//	comparison = name operator value
type parser struct {
	text  string
	pos   int // in bytes
	depth int
}

func (p *parser) parse() (syntax, error) {
	if len(p.text) > maxLength {
		return nil, &Error{Column: 1, Message: "the expression is longer than 1 MiB"}
	}
	for i, r := range p.text {
		if r == utf8.RuneError && !strings.HasPrefix(p.text[i:], "\ufffd") {
			return nil, p.fail(span{i, i + 1}, "the expression is not UTF-8 text")
		}
	}
	p.space()
	if p.pos == len(p.text) {
		return nil, nil //nolint:nilnil // no text is no syntax
	}
	s, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.pos < len(p.text) {
		if p.text[p.pos] == ')' {
			return nil, p.fail(p.next(), "this parenthesis closes nothing")
		}
		return nil, p.fail(p.next(), "expected && or || before %s", p.show(p.next()))
	}
	return s, nil
}

func (p *parser) or() (syntax, error)  { return p.joined(false, '|', p.and) }
func (p *parser) and() (syntax, error) { return p.joined(true, '&', p.term) }

// joined reads terms with signs, single or doubled, between them.
func (p *parser) joined(and bool, sign byte, term func() (syntax, error)) (syntax, error) {
	first, err := term()
	if err != nil {
		return nil, err
	}
	terms := []syntax{first}
	for p.accept(sign) {
		p.accept(sign) // doubled or not
		p.space()
		next, err := term()
		if err != nil {
			return nil, err
		}
		terms = append(terms, next)
	}
	if len(terms) == 1 {
		return first, nil
	}
	return junction{and, terms}, nil
}

func (p *parser) term() (syntax, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.next(), "more than %d parentheses or negations within each other", maxDepth)
	}
	defer func() { p.depth-- }()
	switch {
	case p.take('!'):
		t, err := p.term()
		if err != nil {
			return nil, err
		}
		return negation{t}, nil
	case p.peek() == '(':
		open := span{p.pos, p.pos + 1}
		p.take('(')
		s, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.take(')') {
			if p.pos < len(p.text) {
				return nil, p.fail(p.next(), "expected && or || or ) before %s", p.show(p.next()))
			}
			return nil, p.fail(open, "this parenthesis is not closed")
		}
		return s, nil
	}
	return p.comparison()
}

func (p *parser) comparison() (syntax, error) {
	start := p.pos
	for p.pos < len(p.text) && wordByte(p.text[p.pos]) {
		p.pos++
	}
	c := comparison{field: p.text[start:p.pos], name: span{start, p.pos}}
	if c.field == "" {
		if p.pos == len(p.text) {
			return nil, p.fail(p.next(), "expected a field name at the end")
		}
		return nil, p.fail(p.next(), "expected a field name, found %s", p.show(p.next()))
	}
	p.space()
	start = p.pos
	for _, op := range []string{"==", "!=", "<=", ">=", "=", "<", ">"} {
		if strings.HasPrefix(p.text[p.pos:], op) {
			c.op = op
			p.pos += len(op)
			break
		}
	}
	if c.op == "" {
		return nil, p.fail(p.next(), "expected an operator such as == after %s", c.field)
	}
	if c.op == "=" {
		c.op = "=="
	}
	c.sign = span{start, p.pos}
	p.space()
	var err error
	c.value, err = p.value(c.field)
	if err != nil {
		return nil, err
	}
	p.space()
	return c, nil
}

// existsMark is the value that stands for any value.
const existsMark = "EXISTS!"

func (p *parser) value(field string) (value, error) {
	start := p.pos
	switch c := p.peek(); {
	case p.pos == len(p.text):
		return value{}, p.fail(p.next(), "expected a value for %s", field)
	case strings.HasPrefix(p.text[p.pos:], existsMark):
		p.pos += len(existsMark)
		return value{kind: existence, at: span{start, p.pos}}, nil
	case c == '[' || c == ']':
		return p.list()
	case c == '"':
		return p.quoted()
	case c == '/':
		if v, ok := p.regex(" \t\r\n()&|"); ok {
			return v, nil
		}
	}
	for p.pos < len(p.text) && wordByte(p.text[p.pos]) {
		p.pos++
	}
	end := p.pos
	for end < len(p.text) && strings.IndexByte(" \t\r\n()&|\"", p.text[end]) < 0 {
		end++
	}
	if end == start || strings.IndexByte("=<>!,", p.text[start]) >= 0 {
		return value{}, p.fail(p.next(), "expected a value for %s, found %s", field, p.show(p.next()))
	}
	if end > p.pos || end < len(p.text) && p.text[end] == '"' {
		e := p.fail(span{start, end}, "a value with other characters than letters, digits and -+_.@:*?/$ needs double quotes")
		e.Suggestion = Quote(p.text[start:end])
		return value{}, e
	}
	return value{kind: word, text: p.text[start:p.pos], at: span{start, p.pos}}, nil
}

func (p *parser) quoted() (value, error) {
	start := p.pos
	var b strings.Builder
	for p.pos++; p.pos < len(p.text); p.pos++ {
		switch c := p.text[p.pos]; {
		case c == '"':
			p.pos++
			// An i right behind the quote, and not of a word, is for any case.
			anyCase := p.peek() == 'i' && (p.pos+1 == len(p.text) || !wordByte(p.text[p.pos+1]))
			if anyCase {
				p.pos++
			}
			return value{kind: quoted, text: b.String(), at: span{start, p.pos}, anyCase: anyCase}, nil
		case c == '\\' && p.pos+1 < len(p.text) && (p.text[p.pos+1] == '"' || p.text[p.pos+1] == '\\'):
			p.pos++
			b.WriteByte(p.text[p.pos])
		default:
			b.WriteByte(c)
		}
	}
	return value{}, p.fail(span{start, start + 1}, "this quote is not closed")
}

// regex reads /…/. What begins with a slash but is not closed by one that ends
// the value is a path: it returns false and reads nothing.
func (p *parser) regex(ends string) (value, bool) {
	var b strings.Builder
	for i := p.pos + 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '\\' && i+1 < len(p.text):
			i++
			if p.text[i] != '/' {
				b.WriteByte('\\')
			}
			b.WriteByte(p.text[i])
		case c == '/':
			if b.Len() == 0 || i+1 < len(p.text) && strings.IndexByte(ends, p.text[i+1]) < 0 {
				return value{}, false
			}
			v := value{kind: regex, text: b.String(), at: span{p.pos, i + 1}}
			p.pos = i + 1
			return v, true
		default:
			b.WriteByte(c)
		}
	}
	return value{}, false
}

func (p *parser) list() (value, error) {
	v := value{kind: anyOf, at: span{p.pos, p.pos + 1}}
	closing := byte(']')
	if p.text[p.pos] == ']' {
		v.kind, closing = allOf, '['
	}
	for {
		p.pos++ // the bracket or comma
		p.space()
		item, err := p.item(closing)
		if err != nil {
			return value{}, err
		}
		if p.pos == len(p.text) {
			return value{}, p.fail(v.at, "this list is not closed by %c", closing)
		}
		if item.kind == word && item.text == "" {
			if len(v.items) == 0 && p.text[p.pos] == closing {
				return value{}, p.fail(span{v.at.from, p.pos + 1}, "this list is empty")
			}
			return value{}, p.fail(p.next(), "expected a value in the list before %s", p.show(p.next()))
		}
		v.items = append(v.items, item)
		switch p.text[p.pos] {
		case ',':
		case closing:
			p.pos++
			v.at.to = p.pos
			return v, nil
		default:
			return value{}, p.fail(p.next(), "expected a comma or %c, found %s", closing, p.show(p.next()))
		}
	}
}

// item reads one value of a list, and the space after it. Words of lists may have any
// characters; \ escapes a comma, a bracket or itself.
func (p *parser) item(closing byte) (value, error) {
	if p.peek() == '"' {
		v, err := p.quoted()
		p.space()
		return v, err
	}
	if p.peek() == '/' {
		if v, ok := p.regex(" \t\r\n," + string(closing)); ok {
			p.space()
			return v, nil
		}
	}
	start := p.pos
	var b strings.Builder
	keep := 0 // of b, spaces at the end cut
	end := start
	for ; p.pos < len(p.text); p.pos++ {
		c := p.text[p.pos]
		if c == ',' || c == closing {
			break
		}
		escaped := c == '\\' && p.pos+1 < len(p.text) && strings.IndexByte(`,[]\`, p.text[p.pos+1]) >= 0
		if escaped {
			p.pos++
			c = p.text[p.pos]
		}
		b.WriteByte(c)
		if escaped || !isSpace(c) {
			keep, end = b.Len(), p.pos+1
		}
	}
	return value{kind: word, text: b.String()[:keep], at: span{start, end}}, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (p *parser) space() {
	for p.pos < len(p.text) && isSpace(p.text[p.pos]) {
		p.pos++
	}
}

// peek returns the next byte, 0 at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

// accept reads c when it is next.
func (p *parser) accept(c byte) bool {
	if p.peek() != c || p.pos == len(p.text) {
		return false
	}
	p.pos++
	return true
}

// take reads c, and the space after it, when it is next.
func (p *parser) take(c byte) bool {
	ok := p.accept(c)
	if ok {
		p.space()
	}
	return ok
}

// next returns the span of the next word or character, for a message.
func (p *parser) next() span {
	end := p.pos
	for end < len(p.text) && wordByte(p.text[end]) {
		end++
	}
	if end == p.pos && end < len(p.text) {
		_, size := utf8.DecodeRuneInString(p.text[end:])
		end += size
	}
	return span{p.pos, end}
}

func (p *parser) show(at span) string { return Quote(p.text[at.from:at.to]) }

func (p *parser) fail(at span, format string, args ...any) *Error {
	return errorAt(p.text, at, format, args...)
}
