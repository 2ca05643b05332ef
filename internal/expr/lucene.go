package expr

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// newRegex compiles a regular expression of Lucene's dialect (org.apache.lucene.util.automaton.RegExp):
// it stands for a whole text; "…" is literal text, @ any text, # no text; ^ and $ are themselves. Complement (~), intersection
// (&) and numeric or named ranges (<>) have no equal in Go's linear-time expressions and are refused.
// Fold brings literal characters to the case that the field stores.
func newRegex(source string, fold func(string) string) (*Pattern, error) {
	if len(source) > maxRegexLength {
		return nil, fmt.Errorf("regular expression: longer than %d bytes", maxRegexLength)
	}
	t := luceneReader{src: source, fold: fold}
	if err := t.union(); err != nil {
		return nil, fmt.Errorf("regular expression: %w", err)
	}
	if t.pos < len(t.src) {
		return nil, fmt.Errorf("regular expression: %c closes nothing", t.src[t.pos])
	}
	re, err := regexp.Compile(`(?s)^(?:` + t.golang.String() + `)$`)
	if err != nil {
		return nil, fmt.Errorf("regular expression: %w", err)
	}
	p := &Pattern{Source: source, lucene: t.lucene.String(), re: re}
	p.Prefix = t.prefix
	return p, nil
}

// maxRegexLength is Elasticsearch's default for index.max_regex_length.
const maxRegexLength = 1000

// luceneReader reads Lucene's dialect and writes the same in Go's and, with
// everything escaped that is not an operator here, in Lucene's.
type luceneReader struct {
	src    string
	pos    int
	depth  int
	fold   func(string) string
	golang strings.Builder
	lucene strings.Builder

	prefix string // literal text at the start of every match
	closed bool   // prefix is complete
}

// maxRegexDepth bounds parentheses within each other.
const maxRegexDepth = 50

// union = concatenation { "|" concatenation }
func (t *luceneReader) union() error {
	// A second branch would make the first one's prefix wrong: look for it beforehand.
	if strings.Contains(t.src, "|") {
		t.closed = true
	}
	for {
		if err := t.concatenation(); err != nil {
			return err
		}
		if t.pos == len(t.src) || t.src[t.pos] != '|' {
			return nil
		}
		t.pos++
		t.both("|")
	}
}

func (t *luceneReader) concatenation() error {
	start := t.pos
	for t.pos < len(t.src) && t.src[t.pos] != '|' && t.src[t.pos] != ')' {
		if err := t.repeated(); err != nil {
			return err
		}
	}
	if t.pos == start {
		// Lucene reads nothing as an error but for (): say so, rather than match the empty text.
		return fmt.Errorf("nothing stands before character %d", start+1)
	}
	return nil
}

// repeated = atom { "?" | "*" | "+" | "{" n [ "," [ m ] ] "}" }
//
// Each repetition is put in a group of its own: a*? is (a*)? to Lucene, a lazy a* to Go.
func (t *luceneReader) repeated() error {
	golang, lucene := t.golang.String(), t.lucene.String()
	t.golang.Reset()
	t.lucene.Reset()
	prefix, closed := t.prefix, t.closed
	if err := t.atom(); err != nil {
		return err
	}
	for t.pos < len(t.src) {
		var op string
		switch c := t.src[t.pos]; c {
		case '?', '*', '+':
			op = string(c)
			t.pos++
		case '{':
			var err error
			if op, err = t.counts(); err != nil {
				return err
			}
		}
		if op == "" {
			break
		}
		atomGo, atomLucene := t.golang.String(), t.lucene.String()
		t.golang.Reset()
		t.lucene.Reset()
		t.golang.WriteString("(?:" + atomGo + ")" + op)
		t.lucene.WriteString("(" + atomLucene + ")" + op)
		if !closed {
			t.prefix, t.closed = prefix, true
		}
	}
	atomGo, atomLucene := t.golang.String(), t.lucene.String()
	t.golang.Reset()
	t.lucene.Reset()
	t.golang.WriteString(golang + atomGo)
	t.lucene.WriteString(lucene + atomLucene)
	return nil
}

// maxRepeat is what Go's expressions allow.
const maxRepeat = 1000

func (t *luceneReader) counts() (string, error) {
	end := strings.IndexByte(t.src[t.pos:], '}')
	if end < 0 {
		return "", fmt.Errorf("the { at character %d is not closed", t.pos+1)
	}
	text := t.src[t.pos+1 : t.pos+end]
	t.pos += end + 1
	from, to, several := strings.Cut(text, ",")
	n, err := strconv.ParseUint(from, 10, 32)
	if err != nil {
		return "", fmt.Errorf("{%s} is no repetition such as {2}, {2,} or {2,5}", text)
	}
	m := n
	if several && to != "" {
		if m, err = strconv.ParseUint(to, 10, 32); err != nil || m < n {
			return "", fmt.Errorf("{%s} is no repetition such as {2}, {2,} or {2,5}", text)
		}
	}
	if n > maxRepeat || m > maxRepeat {
		return "", fmt.Errorf("{%s} repeats more than %d times", text, maxRepeat)
	}
	out := "{" + strconv.FormatUint(n, 10)
	if several {
		out += ","
		if to != "" {
			out += strconv.FormatUint(m, 10)
		}
	}
	return out + "}", nil
}

func (t *luceneReader) atom() error {
	r, size := utf8.DecodeRuneInString(t.src[t.pos:])
	start := t.pos
	t.pos += size
	switch r {
	case '.':
		t.both(".")
		t.closed = true
	case '@':
		t.golang.WriteString(".*")
		t.lucene.WriteString(".*")
		t.closed = true
	case '#':
		t.golang.WriteString(`[^\x00-\x{10FFFF}]`)
		t.lucene.WriteString("#")
		t.closed = true
	case '~', '&', '<', '>':
		return fmt.Errorf("%c (complement, intersection and ranges <>) is not supported; write \\%c for the character itself", r, r)
	case '?', '*', '+', '{', '}', ']':
		return fmt.Errorf("%c at character %d has nothing before it to apply to; write \\%c for the character itself", r, start+1, r)
	case '"':
		end := strings.IndexByte(t.src[t.pos:], '"')
		if end < 0 {
			return fmt.Errorf("the quote at character %d is not closed", start+1)
		}
		t.open()
		for _, r := range t.src[t.pos : t.pos+end] {
			t.literal(r)
		}
		t.both(")")
		t.pos += end + 1
	case '(':
		if t.depth++; t.depth > maxRegexDepth {
			return fmt.Errorf("more than %d parentheses within each other", maxRegexDepth)
		}
		t.open()
		if t.pos < len(t.src) && t.src[t.pos] == ')' { // () is the empty text
			t.pos++
			t.both(")")
			t.depth--
			return nil
		}
		if err := t.union(); err != nil {
			return err
		}
		if t.pos == len(t.src) {
			return fmt.Errorf("the parenthesis at character %d is not closed", start+1)
		}
		t.pos++
		t.both(")")
		t.depth--
	case '[':
		t.closed = true
		return t.class(start)
	case '\\':
		if t.pos == len(t.src) {
			return fmt.Errorf("nothing follows the \\ at the end")
		}
		r, size := utf8.DecodeRuneInString(t.src[t.pos:])
		t.pos += size
		if class := predefined(r); class != "" {
			t.closed = true
			t.both("[" + class + "]")
			return nil
		}
		t.literal(r)
	default:
		t.literal(r)
	}
	return nil
}

// predefined returns the inside of the class that \d, \w and \s and their
// opposites stand for in Lucene, "" for any other character.
func predefined(r rune) string {
	switch r {
	case 'd':
		return "0-9"
	case 'D':
		return "^0-9"
	case 'w':
		return "0-9A-Z_a-z"
	case 'W':
		return "^0-9A-Z_a-z"
	case 's':
		return " \t\n\r"
	case 'S':
		return "^ \t\n\r"
	}
	return ""
}

// class reads a character class after its bracket.
func (t *luceneReader) class(start int) error {
	var b strings.Builder
	negated := t.pos < len(t.src) && t.src[t.pos] == '^'
	if negated {
		t.pos++
	}
	members := 0
	for t.pos < len(t.src) && t.src[t.pos] != ']' {
		r, class, err := t.classRune()
		if err != nil {
			return err
		}
		members++
		if class != "" {
			if class[0] == '^' {
				return fmt.Errorf("\\D, \\W and \\S cannot stand inside [ ]")
			}
			b.WriteString(class)
			continue
		}
		to := r
		if t.pos+1 < len(t.src) && t.src[t.pos] == '-' && t.src[t.pos+1] != ']' {
			t.pos++
			if to, class, err = t.classRune(); err != nil {
				return err
			}
			if class != "" || to < r {
				return fmt.Errorf("the range at character %d runs backwards or ends in a class", t.pos)
			}
		}
		t.classRange(&b, r, to)
	}
	if t.pos == len(t.src) {
		return fmt.Errorf("the [ at character %d is not closed", start+1)
	}
	t.pos++
	if members == 0 {
		return fmt.Errorf("the [ ] at character %d is empty", start+1)
	}
	sign := ""
	if negated {
		sign = "^"
	}
	t.both("[" + sign + b.String() + "]")
	return nil
}

func (t *luceneReader) classRune() (r rune, class string, err error) {
	r, size := utf8.DecodeRuneInString(t.src[t.pos:])
	t.pos += size
	if r != '\\' {
		return r, "", nil
	}
	if t.pos == len(t.src) {
		return 0, "", fmt.Errorf("nothing follows the \\ at the end")
	}
	r, size = utf8.DecodeRuneInString(t.src[t.pos:])
	t.pos += size
	return r, predefined(r), nil
}

// classRange adds from-to, in the field's case. Letters of the other case in a range are
// kept as well: they match nothing the field holds.
func (t *luceneReader) classRange(b *strings.Builder, from, to rune) {
	write := func(from, to rune) {
		b.WriteString(escapeClass(from))
		if to != from {
			b.WriteByte('-')
			b.WriteString(escapeClass(to))
		}
	}
	write(from, to)
	lo, hi := t.foldRune(from), t.foldRune(to)
	if (lo != from || hi != to) && lo <= hi {
		write(lo, hi)
	}
}

func (t *luceneReader) foldRune(r rune) rune {
	folded, size := utf8.DecodeRuneInString(t.fold(string(r)))
	if size == len(t.fold(string(r))) {
		return folded
	}
	return r
}

func escapeClass(r rune) string {
	if strings.ContainsRune(`\]^-[&"`, r) {
		return `\` + string(r)
	}
	return string(r)
}

// literal writes a character that stands for itself.
func (t *luceneReader) literal(r rune) {
	text := t.fold(string(r))
	for _, r := range text {
		t.golang.WriteString(regexp.QuoteMeta(string(r)))
		if strings.ContainsRune(`.?+*|{}[]()"\#@&<>~^$-/`, r) {
			t.lucene.WriteByte('\\')
		}
		t.lucene.WriteRune(r)
	}
	if !t.closed {
		t.prefix += text
	}
}

func (t *luceneReader) open() {
	t.golang.WriteString("(?:")
	t.lucene.WriteString("(")
}

func (t *luceneReader) both(s string) {
	t.golang.WriteString(s)
	t.lucene.WriteString(s)
}
