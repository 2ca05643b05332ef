package sigma

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"wirelake/internal/spi"
)

// plainMatch is what Sigma means by a pattern: * is any text, ? any one character, letters in any case.
func plainMatch(p pattern, s string) bool {
	if len(p) == 0 {
		return s == ""
	}
	switch {
	case p[0] == star():
		for i := range len(s) + 1 {
			if plainMatch(p[1:], s[i:]) {
				return true
			}
		}
		return false
	case p[0].wild:
		return s != "" && plainMatch(p[1:], s[1:])
	}
	n := len(p[0].text)
	return len(s) >= n && strings.EqualFold(s[:n], p[0].text) && plainMatch(p[1:], s[n:])
}

// TestPatternsAgainstPlain compares what patterns become with what they mean, for a field that keeps its case and one that does not.
func TestPatternsAgainstPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	random := func(most int, alphabet string) string {
		b := make([]byte, 1+rng.IntN(most))
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	trues, regexps := 0, 0
	for range 1000 {
		value := random(6, `aAb*?\."`)
		quoted, err := yaml.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range []struct{ source, name, protocol, path string }{{proxy, "c-useragent", "http", "http.useragent"}, {zeek("ssl"), "server_name", "tls", "tls.client.server_name"}} {
			s := convertText(t, selecting(field.source, field.name+": "+strings.TrimSpace(string(quoted))))
			if len(s.Rules) != 1 {
				t.Fatalf("%q: %v", value, s.Refused)
			}
			if strings.Contains(s.Rules[0].Text, " == /") {
				regexps++
			}
			f, _ := registry.ByPath(field.path)
			for range 20 {
				text := random(5, `aAbB*?\."`)
				d := registry.NewDocument()
				d.AddString(spi.Protocol, field.protocol)
				d.AddString(f.ID, text)
				got, want := s.Rules[0].Expr.Match(d), plainMatch(parsePattern(value), text)
				if want {
					trues++
				}
				if got != want {
					t.Fatalf("%q became %s: of %q it says %v", value, s.Rules[0].Text, text, got)
				}
			}
		}
	}
	if trues < 1500 || regexps < 150 {
		t.Errorf("%d values matched, %d became regular expressions: too few to tell", trues, regexps)
	}
}

// TestRegexpsAgainstGo compares what regular expressions become with what Go's mean, which are PCRE's but for look-around.
func TestRegexpsAgainstGo(t *testing.T) {
	texts := []string{"", "a", "A", "ab", "xaby", "aab", "b", "abc.d", "a/b", "ax", "x\"y", "a-b", "1.2", "a1", "]", "\\", "&", "é", "xÉ", "aaa", "Ab12", "-", "^", "a\nb", "~<1-5>#@"}
	for _, source := range []string{
		"a", "^a", "a$", "^a$", "a|b", "^a|b$", "(a|b)c?", "(^ab|^b)", "a{2}", "a{2,}", "a{1,2}b", "[a-c]+", "[^a]", "^[^a-z]+$", `\d`, `\D`, `\w+\.\w`, `\s`, `[\]\\^-]`, `\.`,
		"a.b", "a.?b", "(?:a)(b)", "(?i)AB", "(?i)é", "(?i:a)b", `"`, "&", "~<1-5>#@", `a/b`, "[/]", "^$|^a", "a*?b", ".*", "x*", "[^\\x00-\\x7f]",
	} {
		s := convertText(t, selecting(proxy, "c-useragent|re|s: '"+source+"'"))
		if len(s.Rules) != 1 {
			if source == "^$|^a" {
				continue // the empty text is refused
			}
			t.Errorf("%s: %v", source, s.Refused)
			continue
		}
		re := regexp.MustCompile("(?s)" + source)
		f, _ := registry.ByPath("http.useragent")
		for _, text := range texts {
			d := registry.NewDocument()
			d.AddString(spi.Protocol, "http")
			d.AddString(f.ID, text)
			if got, want := s.Rules[0].Expr.Match(d), re.MatchString(text); got != want {
				t.Errorf("%s became %s: of %q it says %v", source, s.Rules[0].Text, text, got)
			}
		}
	}
}
