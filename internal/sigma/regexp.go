package sigma

import (
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"unicode"
	"unicode/utf8"
)

// convertRegexp converts a regular expression (PCRE, as Go's regexp/syntax reads it) that may match anywhere in
// a text to one of the expression language, which stands for the whole text. OneCase is for fields that are stored in one case.
func convertRegexp(source, flags string, oneCase bool) (string, error) {
	mode := syntax.Perl
	if strings.Contains(flags, "i") {
		mode |= syntax.FoldCase
	}
	if strings.Contains(flags, "s") {
		mode |= syntax.DotNL
	}
	re, err := syntax.Parse(source, mode)
	if err != nil {
		return "", fmt.Errorf("regular expression: %w", err)
	}
	w := regexpWriter{oneCase: oneCase}
	w.b.WriteByte('/')
	if err := w.anywhere(re); err != nil {
		return "", fmt.Errorf("regular expression: %w", err)
	}
	w.b.WriteByte('/')
	return w.b.String(), nil
}

// maxRegexp bounds what is written; the language takes 1,000 bytes.
const maxRegexp = 4000

type regexpWriter struct {
	b       strings.Builder
	oneCase bool
}

var errInnerAnchor = errors.New("^ and $ within it, and \\b, cannot be converted")

// anywhere writes an expression with any text before and behind what is not anchored.
func (w *regexpWriter) anywhere(re *syntax.Regexp) error {
	for re.Op == syntax.OpCapture {
		re = re.Sub[0]
	}
	if re.Op == syntax.OpAlternate {
		for i, branch := range re.Sub {
			if i > 0 {
				w.b.WriteByte('|')
			}
			if err := w.anywhere(branch); err != nil {
				return err
			}
		}
		return nil
	}
	parts := []*syntax.Regexp{re}
	if re.Op == syntax.OpConcat {
		parts = re.Sub
	}
	start, end := ".*", ".*"
	for len(parts) > 0 && parts[0].Op == syntax.OpBeginText {
		start, parts = "", parts[1:]
	}
	for len(parts) > 0 && parts[len(parts)-1].Op == syntax.OpEndText {
		end, parts = "", parts[:len(parts)-1]
	}
	w.b.WriteString(start)
	for _, part := range parts {
		if err := w.write(part); err != nil {
			return err
		}
	}
	w.b.WriteString(end)
	if start+end == "" && len(parts) == 0 {
		return errors.New("it is true of the empty text alone")
	}
	return nil
}

func (w *regexpWriter) write(re *syntax.Regexp) error {
	if w.b.Len() > maxRegexp {
		return errors.New("it is too long")
	}
	group := func(sub *syntax.Regexp, behind string) error {
		w.b.WriteByte('(')
		err := w.write(sub)
		w.b.WriteString(")" + behind)
		return err
	}
	switch re.Op {
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			writeRune(&w.b, r, re.Flags&syntax.FoldCase != 0)
		}
		return nil
	case syntax.OpCharClass:
		return w.class(re.Rune)
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		w.b.WriteByte('.')
		return nil
	case syntax.OpEmptyMatch:
		w.b.WriteString("()")
		return nil
	case syntax.OpCapture:
		return group(re.Sub[0], "")
	case syntax.OpStar:
		return group(re.Sub[0], "*")
	case syntax.OpPlus:
		return group(re.Sub[0], "+")
	case syntax.OpQuest:
		return group(re.Sub[0], "?")
	case syntax.OpRepeat:
		most := fmt.Sprint(re.Max)
		if re.Max < 0 {
			most = ""
		}
		return group(re.Sub[0], fmt.Sprintf("{%d,%s}", re.Min, most))
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if err := w.write(sub); err != nil {
				return err
			}
		}
		return nil
	case syntax.OpAlternate:
		w.b.WriteByte('(')
		for i, sub := range re.Sub {
			if i > 0 {
				w.b.WriteByte('|')
			}
			if err := w.write(sub); err != nil {
				return err
			}
		}
		w.b.WriteByte(')')
		return nil
	case syntax.OpNoMatch:
		return errors.New("it is never true")
	}
	return errInnerAnchor
}

// class writes ranges of characters, those up to the last character as what they leave out.
func (w *regexpWriter) class(ranges []rune) error {
	sign := ""
	if n := len(ranges); n > 1 && ranges[n-1] == unicode.MaxRune {
		var others []rune
		next := rune(0)
		for i := 0; i < n; i += 2 {
			if ranges[i] > next {
				others = append(others, next, ranges[i]-1)
			}
			next = ranges[i+1] + 1
		}
		if len(others) == 0 {
			w.b.WriteByte('.')
			return nil
		}
		sign, ranges = "^", others
	}
	has := func(r rune) bool {
		for i := 0; i+1 < len(ranges); i += 2 {
			if ranges[i] <= r && r <= ranges[i+1] {
				return true
			}
		}
		return false
	}
	for r := 'a'; r <= 'z' && w.oneCase && sign != ""; r++ {
		if has(r) != has(unicode.ToUpper(r)) {
			return errors.New("a class that excludes letters of one case says nothing of a field that is stored in one case")
		}
	}
	for _, r := range ranges {
		if !utf8.ValidRune(r) {
			return errors.New("a class ends among surrogates, which are no characters")
		}
	}
	w.b.WriteString("[" + sign)
	for i := 0; i+1 < len(ranges); i += 2 {
		writeRune(&w.b, ranges[i], false)
		if ranges[i+1] != ranges[i] {
			w.b.WriteByte('-')
			writeRune(&w.b, ranges[i+1], false)
		}
	}
	w.b.WriteByte(']')
	return nil
}

// writeRune writes a character that stands for itself, or with anyCase for it in each case.
func writeRune(b *strings.Builder, r rune, anyCase bool) {
	if anyCase && r < utf8.RuneSelf {
		if lower, upper := unicode.ToLower(r), unicode.ToUpper(r); lower != upper {
			b.WriteString("[" + string(lower) + string(upper) + "]")
			return
		}
	}
	if anyCase && unicode.SimpleFold(r) != r {
		b.WriteString("[" + string(r))
		for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
			b.WriteRune(f)
		}
		b.WriteByte(']')
		return
	}
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	if r < utf8.RuneSelf && r > ' ' && !letter {
		b.WriteByte('\\')
	}
	b.WriteRune(r)
}
