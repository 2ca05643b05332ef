package rules

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wirelake/internal/indicators"
	"wirelake/internal/spi"
)

// testRegistry has the core fields and some that protocols declare.
func testRegistry() *spi.Registry {
	r := spi.NewRegistry()
	for _, f := range []spi.Field{
		{Path: "dns.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.dns"}},
		{Path: "http.host", Type: spi.LoTerm, List: true, Exprs: []string{"host.http"}},
		{Path: "http.uri", Type: spi.Term, List: true, Exprs: []string{"http.uri"}},
		{Path: "http.statuscode", Type: spi.Integer, List: true, Exprs: []string{"http.statuscode"}},
		{Path: "tls.ja3", Type: spi.LoTerm, List: true, Exprs: []string{"tls.ja3"}},
	} {
		r.Declare(f)
	}
	return r.Freeze()
}

// TestParse holds what a good file holds.
func TestParse(t *testing.T) {
	f, err := Parse("/etc/wirelake/rules.yaml", []byte(`
# What we look for
lists:
  - name: feodo
    file: lists/feodo.txt
    kind: ip
    tags: [c2, feodo]
  - {name: bad names, url: "https://lists.example/names.csv.gz", tags: evil, refresh: 15m}
rules:
  - name: ssh elsewhere
    description: SSH on a port of its own
    expression: protocols == ssh && port.dst != 22
    tags: [policy, ssh]
  - name: folded
    expression: >
      protocols == tls &&
      port.dst == 8443
    tags: [odd]
  - name: cut backup
    expression: ip.dst == 10.9.0.0/16
    keep: 10KiB
`), testRegistry())
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Rules) != 3 || len(f.Lists) != 2 {
		t.Fatalf("%d rules, %d lists", len(f.Rules), len(f.Lists))
	}
	r := f.Rules[0]
	if r.Name != "ssh elsewhere" || fmt.Sprint(r.Tags) != "[policy ssh]" || r.Keep != -1 || r.Line != 10 || r.Expr.String() != "protocols == ssh && port.dst != 22" || r.Description == "" {
		t.Errorf("rule %+v", r)
	}
	if r := f.Rules[2]; r.Keep != 10<<10 || len(r.Tags) != 0 {
		t.Errorf("rule %+v", r)
	}
	if l := f.Lists[0]; l.File != "/etc/wirelake/lists/feodo.txt" || l.Kind != indicators.IP || l.Refresh != time.Hour || fmt.Sprint(l.Tags) != "[c2 feodo]" {
		t.Errorf("list %+v", l)
	}
	if l := f.Lists[1]; l.Where() != "https://lists.example/names.csv.gz" || l.Refresh != 15*time.Minute || fmt.Sprint(l.Tags) != "[evil]" || l.Kind != indicators.Any {
		t.Errorf("list %+v", l)
	}
}

// TestParseProblems holds the place and the words of what is wrong.
func TestParseProblems(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"no YAML", "rules:\n - name: [", []string{"r.yaml:2: not valid YAML"}},
		{"unknown member", "rulez: []\n", []string{`r.yaml:1:1: unknown member "rulez" (known: lists, rules)`}},
		{"unknown member of a rule", "rules:\n- name: a\n  expresion: x\n  expression: ip == 10\n  tags: [b]\n", []string{`r.yaml:3:3: unknown member "expresion"`}},
		{"bad field", "rules:\n- name: a\n  tags: [b]\n  expression: protocols == tls && prot == 5\n", []string{"r.yaml:4:35: unknown field prot"}},
		{"bad field in quotes", "rules:\n- name: a\n  tags: [b]\n  expression: \"prto == 5\"\n", []string{"r.yaml:4:16: unknown field prto"}},
		{"bad field in single quotes", "rules:\n- name: a\n  tags: [b]\n  expression:   'prto == 5'\n", []string{"r.yaml:4:18: unknown field prto"}},
		{"bad field in a block", "rules:\n- name: a\n  tags: [b]\n  expression: |\n    protocols == tls\n    && prto == 5\n", []string{"r.yaml:6:8: unknown field prto"}},
		{"bad field in folded lines", "rules:\n- name: a\n  tags: [b]\n  expression: >\n    protocols == tls\n    && prto == 5\n", []string{"r.yaml:4: column 21 of the expression: unknown field prto"}},
		{"bad field behind an escape", "rules:\n- name: a\n  tags: [b]\n  expression: \"http.uri == \\\"a\\\" && prto == 5\"\n", []string{"r.yaml:4: column 20 of the expression: unknown field prto"}},
		{"expression ends", "rules:\n- name: a\n  tags: [b]\n  expression: protocols ==\n", []string{"r.yaml:4:"}},
		{"no expression", "rules:\n- name: a\n  tags: [b]\n", []string{"r.yaml:2: rule a has no expression"}},
		{"empty expression", "rules:\n- name: a\n  tags: [b]\n  expression: ''\n", []string{"r.yaml:4: the expression of rule a is empty"}},
		{"no tags", "rules:\n- name: a\n  expression: ip == 10\n", []string{"r.yaml:2: rule a has no tags"}},
		{"empty tags", "rules:\n- name: a\n  expression: ip == 10\n  tags: []\n", []string{"r.yaml:2: rule a has no tags"}},
		{"empty tag", "rules:\n- name: a\n  expression: ip == 10\n  tags: [x, '']\n", []string{"r.yaml:4:13: tags: is empty"}},
		{"tag with a line feed", "rules:\n- name: a\n  expression: ip == 10\n  tags: [\"x\\ny\"]\n", []string{"r.yaml:4:10: tag:"}},
		{"no name", "rules:\n- expression: ip == 10\n  tags: [x]\n", []string{"r.yaml:2: a rule without a name"}},
		{"name twice", "rules:\n- {name: a, expression: ip == 10, tags: [x]}\n- {name: a, expression: ip == 11, tags: [x]}\n", []string{"r.yaml:3:10: a rule with the name a is on line 2 already"}},
		{"member twice", "rules:\n- name: a\n  name: b\n  expression: ip == 10\n  tags: [x]\n", []string{"r.yaml:3:3: name is there twice, first on line 2"}},
		{"relative time", "rules:\n- {name: a, expression: starttime > -1h, tags: [x]}\n", []string{"r.yaml:2:37: \"-1h\" means another time"}},
		{"alias", "rules:\n- name: &x a\n  expression: ip == 10\n  tags: [*x]\n", []string{"r.yaml:4:10: tags: aliases"}},
		{"keep of what is not known then", "rules:\n- {name: a, expression: http.uri == x, keep: 10KiB}\n", []string{"r.yaml:2: rule a has keep, and http.uri is not known while packets are sealed"}},
		{"bad keep", "rules:\n- {name: a, expression: ip == 10, keep: lots}\n", []string{"r.yaml:2:41: keep:"}},
		{"a scalar", "hello\n", []string{"r.yaml:1:1: a rules file must be written as"}},
		{"rules as a mapping", "rules:\n  a: b\n", []string{"r.yaml:2:3: rules must be a sequence"}},
		{"list without a place", "lists:\n- {name: a, tags: [x]}\n", []string{"r.yaml:2: list a must have either a file or a url"}},
		{"list with two places", "lists:\n- {name: a, tags: [x], file: f, url: http://x/}\n", []string{"r.yaml:2: list a must have either a file or a url"}},
		{"list of an unknown kind", "lists:\n- {name: a, tags: [x], file: f, kind: ips}\n", []string{`r.yaml:2:39: kind: "ips" is none of ip, domain`}},
		{"list of a scheme", "lists:\n- {name: a, tags: [x], url: 'ftp://me:secret@x/'}\n", []string{`r.yaml:2:29: url: "ftp://…@x/" does not begin with http`}},
		{"list too often", "lists:\n- {name: a, tags: [x], url: 'http://x/', refresh: 1ms}\n", []string{"r.yaml:2:51: refresh: 1ms is under 1s"}},
		{"several", "rules:\n- {name: a, expression: ip == 10}\n- {name: b, expression: 'x y', tags: [q]}\n- {name: a, expression: ip == 10, tags: [q], foo: 1}\n",
			[]string{"r.yaml:2: rule a has no tags", "r.yaml:3:28:", "r.yaml:4:10: a rule with the name a", `r.yaml:4:46: unknown member "foo"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("r.yaml", []byte(tt.text), testRegistry())
			var bad *Error
			if !errors.As(err, &bad) {
				t.Fatalf("got %v, want an *Error", err)
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(tt.want) {
				t.Fatalf("got %d problems, want %d:\n%s", len(got), len(tt.want), err)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got  %s\nwant %s…", got[i], want)
				}
			}
		})
	}
}

// TestParseLimits holds that a file cannot have more than what is bounded.
func TestParseLimits(t *testing.T) {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range maxRules {
		fmt.Fprintf(&b, "- {name: r%d, expression: port.dst == %d, tags: [t]}\n", i, i)
	}
	f, err := Parse("r.yaml", []byte(b.String()), testRegistry())
	if err != nil || len(f.Rules) != maxRules {
		t.Fatalf("%d rules are refused: %v", maxRules, err)
	}
	b.WriteString("- {name: more, expression: port.dst == 1, tags: [t]}\n")
	if _, err = Parse("r.yaml", []byte(b.String()), testRegistry()); err == nil || !strings.Contains(err.Error(), "10001 rules, at most 10000") {
		t.Errorf("got %v", err)
	}
	b.Reset()
	b.WriteString("rules:\n- name: r\n  tags: [t]\n  expression: host == [")
	for i := range 60_000 {
		fmt.Fprintf(&b, "h%d,", i)
	}
	one := b.String() + "x]\n"
	if _, err = Parse("r.yaml", []byte(one), testRegistry()); err != nil {
		t.Error(err)
	}
	many := one
	for i := range 9 {
		many += strings.Replace(strings.TrimPrefix(one, "rules:\n"), "name: r", fmt.Sprintf("name: r%d", i), 1)
	}
	if _, err = Parse("r.yaml", []byte(many), testRegistry()); err == nil || !strings.Contains(err.Error(), "r.yaml:28: the expressions up to here have more than 1000000 values") {
		t.Errorf("got %v", err)
	}
	if _, err = Parse("r.yaml", make([]byte, maxFileBytes+1), testRegistry()); err == nil || !strings.Contains(err.Error(), "larger than 8MiB") {
		t.Errorf("got %v", err)
	}
}

// TestReadNames holds that errors of a file name it as it was given.
func TestReadNames(t *testing.T) {
	name := filepath.Join(t.TempDir(), "mine.yaml")
	if err := os.WriteFile(name, []byte("rules:\n- name: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(name, testRegistry()); err == nil || !strings.HasPrefix(err.Error(), name+":2: ") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse holds that no file breaks the parser, and that what it takes can be applied.
func FuzzParse(f *testing.F) {
	f.Add("rules:\n- {name: a, expression: protocols == tls && port.dst != 443, tags: [b]}\n")
	f.Add("lists:\n- name: l\n  url: https://x/y\n  tags: [t]\n  refresh: 1h\n")
	f.Add("rules:\n- name: a\n  expression: |\n    ip == 10 ||\n    host == *x*\n  tags: b\n  keep: 1MiB\n")
	f.Add("rules: &a [*a]")
	reg := testRegistry()
	f.Fuzz(func(t *testing.T, text string) {
		file, err := Parse("r.yaml", []byte(text), reg)
		if err != nil {
			return
		}
		d := sampleDocument(reg, 1)
		compile(reg, file.Rules).apply(d)
		if len(d.AppendJSON(nil, nil)) == 0 {
			t.Fatal("no document")
		}
	})
}
