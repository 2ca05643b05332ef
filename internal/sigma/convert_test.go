package sigma

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/expr"
	"wirelake/internal/spi"
)

var registry = dissect.New().Registry()

// ruleOf is a rule with a log source, and a detection that is indented by two.
func ruleOf(source, detection string) string {
	return "title: A test\nlogsource: {" + source + "}\ndetection:\n" + detection
}

// selecting is a rule with one search identifier.
func selecting(source, members string) string {
	return ruleOf(source, "  sel:\n    "+strings.ReplaceAll(members, "\n", "\n    ")+"\n  condition: sel\n")
}

func convertText(t testing.TB, text string) *Set {
	t.Helper()
	s := newSet(registry)
	if err := s.add("r.yml", []byte(text)); err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	proxy = "category: proxy"
	web   = "category: webserver"
	dns   = "category: dns"
	wall  = "category: firewall"
)

func zeek(service string) string { return "product: zeek, service: " + service }

func TestExpressions(t *testing.T) {
	for _, c := range []struct{ name, rule, want string }{
		{"text is compared in any case", selecting(proxy, "c-useragent: EvilBot/1"), `protocols == http && http.user-agent == "EvilBot/1"i`},
		{"but for cased", selecting(proxy, "c-useragent|cased: EvilBot/1"), `protocols == http && http.user-agent == EvilBot/1`},
		{"folded fields need no i", selecting(dns, "query|endswith: .Evil.Example"), `protocols == dns && dns.query.host == *.Evil.Example`},
		{"values of a field are alternatives", selecting(dns, "record_type: [TXT, 'NULL']"), `protocols == dns && dns.query.type == [TXT,NULL]`},
		{"all", selecting(proxy, "c-useragent|contains|all: [a, b]"), `protocols == http && http.user-agent == "*a*"i && http.user-agent == "*b*"i`},
		{"contains, startswith", selecting(proxy, "cs-host|contains: bad\nc-useragent|startswith: curl/"), `protocols == http && host.http == *bad* && http.user-agent == "curl/*"i`},
		{"fields of a map are all asked", selecting(zeek("conn"), "id.orig_h: 10.0.0.1\nid.resp_p: [22, 2222]\nproto: icmp\nservice: ssl"),
			`ip.src == 10.0.0.1 && port.dst == [22,2222] && ip.protocol == [icmp,icmp6] && protocols == tls`},
		{"maps of a list are alternatives", ruleOf(wall, "  sel:\n    - dst_port: 22\n    - dst_ip: 10.0.0.1\n      dst_port: 23\n  condition: sel\n"), `port.dst == 22 || (ip.dst == 10.0.0.1 && port.dst == 23)`},
		{"cidr and first octets", selecting(wall, "src_ip|cidr: [10.1.2.3/8, 'fe80::/10']\ndst_ip|startswith: 192.168."), `ip.src == [10.0.0.0/8,fe80::/10] && ip.dst == 192.168.0.0/16`},
		{"orders", selecting(zeek("conn"), "orig_bytes|gte: 1000\nresp_pkts|lt: 5"), `databytes.src >= 1000 && packets.dst < 5`},
		{"exists and null", selecting(proxy, "c-useragent: null\ncs-referer|exists: true\ncs-username|exists: false"),
			`protocols == http && http.user-agent != EXISTS! && http.referer == EXISTS! && http.user != EXISTS!`},
		{"empty is null, and one of several", selecting(proxy, "c-useragent: ['', '-']"), `protocols == http && (http.user-agent == "-"i || http.user-agent != EXISTS!)`},
		{"a star is existence", selecting(proxy, "c-useragent: '*'"), `protocols == http && http.user-agent == EXISTS!`},
		{"wildcards", selecting(proxy, `c-useragent: 'a*b?c'`), `protocols == http && http.user-agent == "a*b?c"i`},
		{"a ? beside no *, and literal wildcards", selecting(proxy, `c-useragent|cased: ['a?c', 'a\*c', 'a\?*', 'a\\b']`), `protocols == http && http.user-agent == [/a.c/,/a\*c/,/a\?.*/,"a\\b"]`},
		{"in any case as a regular expression", selecting(proxy, `c-useragent: 'a?1'`), `protocols == http && http.user-agent == /[aA].1/`},
		{"a literal ? beside no *", selecting(proxy, `c-useragent: 'a\?c'`), `protocols == http && http.user-agent == "a?c"i`},
		{"quotes and signs", selecting(proxy, `c-useragent|contains: '") && x == ["'`), `protocols == http && http.user-agent == "*\") && x == [\"*"i`},
		{"regular expressions match anywhere", selecting(proxy, `c-useragent|re: ['a{2}b"@', '^x\d$']`), `protocols == http && http.user-agent == [/.*(a){2,2}b\"\@.*/,/x[0-9]/]`},
		{"and in any case with i", selecting(zeek("http"), `user_agent|re|i: '^(ab|1)'`), `protocols == http && http.user-agent == /(([aA][bB]|1)).*/`},
		{"a URI with a scheme", selecting(proxy, "c-uri|startswith: http://evil.example/a"), `protocols == http && http.uri == "evil.example/a*"i`},
		{"a URI in the middle", selecting(proxy, "c-uri|contains: /gate.php"), `protocols == http && http.uri == "*/gate.php*"i`},
		{"a path at the beginning", selecting(web, "cs-uri|startswith: /admin/"), `protocols == http && http.uri.path == "/admin/*"i`},
		{"a whole URI without host", selecting(zeek("http"), "uri|cased: '/x\\?a=1'"), `protocols == http && http.uri == /[^\/]*\/x\?a\=1/`},
		{"a query", selecting(web, "cs-uri-query|contains: union select"), `protocols == http && http.uri == "*union select*"i`},
		{"the beginning of a query", selecting(web, "cs-uri-query|cased|startswith: id="), `protocols == http && http.uri == /[^?]*\?id\=.*/`},
		{"an extension", selecting(proxy, "c-uri-extension: [exe, ps1]"), `protocols == http && http.uri.path == ["*.exe"i,"*.ps1"i]`},
		{"answers are addresses or text", selecting(dns, "answer: 192.0.2.1"),
			`protocols == dns && (dns.answer.ip == 192.0.2.1 || dns.answer.cname == "192.0.2.1"i || dns.answer.txt == "192.0.2.1"i || dns.answer.mx == "192.0.2.1"i || dns.answer.ns == "192.0.2.1"i || dns.answer.data == "192.0.2.1"i)`},
		{"a serial in whole bytes", selecting(zeek("x509"), "certificate.serial: 8BB00EE"), `protocols == tls && cert.serial == 08bb00ee`},
		{"versions by our names", selecting(zeek("ssl"), "version: [TLSv10, SSLv3]"), `protocols == tls && tls.version == [TLSv1,SSLv3]`},
		{"a share", selecting(zeek("smb_mapping"), `path: '\\\\*\\ADMIN$'`), `protocols == smb && smb.share == "\\\\*\\ADMIN$"i`},
		{"keywords", ruleOf(web, "  keywords:\n    - '${jndi:'\n    - b\n  condition: keywords\n"),
			`protocols == http && (http.uri == "*${jndi:*"i || http.user-agent == "*${jndi:*"i || http.referer == "*${jndi:*"i || http.uri == "*b*"i || http.user-agent == "*b*"i || http.referer == "*b*"i)`},
		{"precedence", ruleOf(wall, "  a: {dst_port: 1}\n  b: {dst_port: 2}\n  c: {dst_port: 3}\n  condition: not a and b or c\n"), `(!port.dst == 1 && port.dst == 2) || port.dst == 3`},
		{"parentheses", ruleOf(wall, "  a: {dst_port: 1}\n  b: {dst_port: 2}\n  c: {dst_port: 3}\n  condition: A AND NOT (b OR c)\n"), ""},
		{"not of several", ruleOf(wall, "  a: {dst_port: 1}\n  b: {dst_port: 2}\n  c: {dst_port: 3}\n  condition: a AND NOT (b OR c)\n"), `port.dst == 1 && !(port.dst == 2 || port.dst == 3)`},
		{"1 of a pattern", ruleOf(wall, "  sel_a: {dst_port: 1}\n  sel_b: {dst_port: 2}\n  fil: {dst_port: 3}\n  condition: 1 of sel_* and not fil\n"), `(port.dst == 1 || port.dst == 2) && !port.dst == 3`},
		{"all of them, but for those with _", ruleOf(wall, "  a: {dst_port: 1}\n  b: {src_port: 2}\n  _c: {dst_port: 3}\n  condition: all of them\n"), `port.dst == 1 && port.src == 2`},
	} {
		s := convertText(t, c.rule)
		if c.want == "" {
			if len(s.Refused) != 1 {
				t.Errorf("%s: converted to %v", c.name, s.Rules)
			}
			continue
		}
		if len(s.Rules) != 1 {
			t.Errorf("%s: %v", c.name, s.Refused)
			continue
		}
		if got := s.Rules[0].Text; got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		reason     string // a part of it
	}{
		{"no title", "logsource: {category: dns}\ndetection: {a: {query: x}, condition: a}\n", 1, "no title"},
		{"no detection", "title: x\nlogsource: {category: dns}\n", 1, "no detection"},
		{"no condition", "title: x\nlogsource: {category: dns}\ndetection:\n  a: {query: x}\n", 4, "no condition"},
		{"no log source", "title: x\ndetection: {a: {query: x}, condition: a}\n", 1, "no logsource"},
		{"correlation", "title: x\ncorrelation:\n  type: event_count\n", 3, "correlation rules"},
		{"a filter", "title: x\nlogsource: {category: dns}\nfilter:\n  rules: [a]\n", 4, "filters of other rules"},
		{"a global document", "action: global\ntitle: x\n", 1, "Sigma 1"},
		{"twice", "title: x\ntitle: y\n", 2, "is twice in"},
		{"level", "title: x\nlevel: awful\nlogsource: {category: dns}\ndetection: {a: {query: x}, condition: a}\n", 2, "level"},
		{"unknown field", selecting(dns, "nonsense: x"), 5, `the field "nonsense" of category dns`},
		{"unknown log of zeek", selecting(zeek("weird"), "a: x"), 2, `zeek's log "weird"`},
		{"suricata", selecting("product: suricata", "a: x"), 2, "suricata"},
		{"unknown modifier", selecting(dns, "query|base64offset: x"), 5, `"base64offset" is not supported`},
		{"windash", selecting(dns, "query|windash: x"), 5, `"windash"`},
		{"two modifiers", selecting(dns, "query|contains|startswith: x"), 5, "exclude each other"},
		{"cased of a folded field", selecting(dns, "query|cased: x"), 5, "stored in one case"},
		{"letters beyond ASCII", selecting(proxy, "c-useragent: Grüße"), 5, "beyond A to Z"},
		{"order of text", selecting(dns, "query|gt: 5"), 5, "is no number"},
		{"text for a number", selecting(wall, "dst_port: http"), 5, "no whole number"},
		{"contains of a number", selecting(wall, "dst_port|contains: 80"), 5, "contains cannot be converted"},
		{"part of an address", selecting(wall, "dst_ip|startswith: '10.1'"), 5, "no address, prefix"},
		{"no prefix", selecting(wall, "dst_ip|cidr: 10.0.0.0/40"), 5, "no prefix"},
		{"look-ahead", selecting(proxy, "c-useragent|re: 'a(?!b)'"), 5, "regular expression"},
		{"inner anchors", selecting(proxy, "c-useragent|re: 'a(^b|c)'"), 5, "^ and $"},
		{"word boundary", selecting(proxy, `c-useragent|re: 'a\bc'`), 5, `\b`},
		{"a long regular expression", selecting(proxy, "c-useragent|re: '"+strings.Repeat("ab.", 400)+"'"), 6, "longer than 1000 bytes"},
		{"a class of one case", selecting(dns, "query|re: '[^A-Z]'"), 5, "letters of one case"},
		{"a URI at its beginning by re", selecting(proxy, "c-uri|re: '^https?://x'"), 5, "beginning of a URI"},
		{"another scheme", selecting(proxy, "c-uri: ftp://x/y"), 5, "without a scheme"},
		{"a host with a path", selecting(proxy, "cs-host|contains: evil/x"), 5, "without a scheme or path"},
		{"part of a serial", selecting(zeek("x509"), "certificate.serial|startswith: '08'"), 5, "as a whole"},
		{"a value that is another here", selecting(zeek("ssl"), "version: TLS9"), 5, "not one that sessions have"},
		{"contains of such", selecting(zeek("ssl"), "version|contains: TLS"), 5, "equality can"},
		{"keywords of a firewall", ruleOf(wall, "  k: [drop]\n  condition: k\n"), 4, "keywords"},
		{"timeframe", ruleOf(dns, "  a: {query: x}\n  timeframe: 5m\n  condition: a\n"), 5, "timeframe"},
		{"counting", ruleOf(dns, "  a: {query: x}\n  condition: a | count() > 5\n"), 5, "count events"},
		{"several conditions", ruleOf(dns, "  a: {query: x}\n  condition: [a, a]\n"), 5, "several conditions"},
		{"unknown identifier", ruleOf(dns, "  a: {query: x}\n  condition: a and b\n"), 5, `asks for "b"`},
		{"no identifier matches", ruleOf(dns, "  a: {query: x}\n  condition: 1 of b*\n"), 5, "no search identifier"},
		{"open parenthesis", ruleOf(dns, "  a: {query: x}\n  condition: (a\n"), 5, "not closed"},
		{"an end too early", ruleOf(dns, "  a: {query: x}\n  condition: a and\n"), 5, "ends where"},
		{"two words", ruleOf(dns, "  a: {query: x}\n  condition: a a\n"), 5, "where and, or"},
		{"deep", ruleOf(dns, "  a: {query: x}\n  condition: "+strings.Repeat("(", 60)+"a"+strings.Repeat(")", 60)+"\n"), 5, "within each other"},
		{"no values", selecting(dns, "query: []"), 5, "no values"},
		{"a map as value", selecting(dns, "query: {a: b}"), 5, "no text or number"},
		{"an alias", "title: x\nlogsource: {category: dns}\ndetection:\n  a: {query: &x y}\n  b: {query: *x}\n  condition: b\n", 5, "no text or number"},
		{"a long condition", ruleOf(dns, "  a: {query: x}\n  condition: "+strings.Repeat("a or ", 1000)+"a\n"), 5, "longer than 4096 bytes"},
		{"an expression that grows", ruleOf(dns, "  a: {query: "+strings.Repeat("x", 100)+"}\n  condition: "+strings.Repeat("a or ", 800)+"a\n"), 5, "larger than"},
		{"too large an expression", selecting(dns, "query|contains|all:\n"+strings.Repeat("- "+strings.Repeat("x", 500)+"\n", 200)), 207, "larger than"},
		{"not YAML", "title: x\n\tb: [\n", 2, "not valid YAML"},
	} {
		s := convertText(t, c.text)
		if len(s.Refused) != 1 || len(s.Rules) != 0 {
			t.Errorf("%s: converted %v, refused %v", c.name, s.Rules, s.Refused)
			continue
		}
		if r := s.Refused[0]; r.Line != c.line || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%s: got %s, want line %d and %q", c.name, r, c.line, c.reason)
		}
	}
}

// document is a session with values by path.
func document(t *testing.T, values map[string][]string) *spi.Document {
	t.Helper()
	d := registry.NewDocument()
	for path, all := range values {
		f, ok := registry.ByPath(path)
		if !ok {
			t.Fatalf("no field %s", path)
		}
		for _, v := range all {
			switch {
			case f.Type == spi.IP:
				d.AddIP(f.ID, netip.MustParseAddr(v))
			case f.Type.Numeric():
				var n int64
				if _, err := fmt.Sscan(v, &n); err != nil {
					t.Fatal(err)
				}
				d.AddInt(f.ID, n)
			default:
				d.AddString(f.ID, v)
			}
		}
	}
	return d
}

func TestMeaning(t *testing.T) {
	type doc = map[string][]string
	for _, c := range []struct {
		name, rule string
		yes, no    doc
	}{
		{"any case of a user agent", selecting(proxy, "c-useragent|contains: SQLMap"), doc{"protocol": {"http"}, "http.useragent": {"sqlMAP/1"}}, doc{"protocol": {"http"}, "http.useragent": {"sql map"}}},
		{"only of the protocol", selecting(proxy, "c-useragent: x"), doc{"protocol": {"tcp", "http"}, "http.useragent": {"X"}}, doc{"protocol": {"sip"}, "http.useragent": {"x"}}},
		{"names of hosts", selecting(dns, "query|endswith: .EVIL.example"), doc{"protocol": {"dns"}, "dns.queryHost": {"good.example", "A.evil.EXAMPLE"}}, doc{"protocol": {"dns"}, "dns.queryHost": {"evil.example"}}},
		{"punycode, which sessions have in a field of its own", selecting(dns, "query|startswith: XN--"), doc{"protocol": {"dns"}, "dns.queryHost": {"ü.example"}, "dns.puny": {"xn--tda.example"}}, doc{"protocol": {"dns"}, "dns.queryHost": {"ü.example"}}},
		{"a filter", ruleOf(dns, "  a: {query|contains: evil}\n  f: {query|endswith: .lan}\n  condition: a and not f\n"), doc{"protocol": {"dns"}, "dns.queryHost": {"evil.example"}}, doc{"protocol": {"dns"}, "dns.queryHost": {"evil.lan"}}},
		{"an absent user agent", selecting(proxy, "c-useragent: ''"), doc{"protocol": {"http"}}, doc{"protocol": {"http"}, "http.useragent": {"x"}}},
		{"a whole URI", selecting(zeek("http"), "uri: /Shell.php"), doc{"protocol": {"http"}, "http.uri": {"a.example/shell.PHP"}}, doc{"protocol": {"http"}, "http.uri": {"a.example/x/shell.php"}}},
		{"a query", selecting(web, "cs-uri-query|startswith: cmd="), doc{"protocol": {"http"}, "http.uri": {"a.example/x?CMD=id"}}, doc{"protocol": {"http"}, "http.uri": {"a.example/x?a=cmd=id"}}},
		{"an extension", selecting(proxy, "c-uri-extension: exe"), doc{"protocol": {"http"}, "http.path": {"/a/B.EXE"}}, doc{"protocol": {"http"}, "http.path": {"/exe"}}},
		{"a regular expression", selecting(proxy, `c-useragent|re: '^[a-z]{8}/\d+(\.\d)?$'`), doc{"protocol": {"http"}, "http.useragent": {"abcdefgh/12.5"}}, doc{"protocol": {"http"}, "http.useragent": {"ABCDEFGH/12.5"}}},
		{"a regular expression in any case", selecting(proxy, `c-useragent|re|i: 'evil[^a-z]'`), doc{"protocol": {"http"}, "http.useragent": {"xEvIl/1"}}, doc{"protocol": {"http"}, "http.useragent": {"xevilX"}}},
		{"an answer that is an address", selecting(dns, "answer: 192.0.2.9"), doc{"protocol": {"dns"}, "dns.answers.ip": {"192.0.2.9"}}, doc{"protocol": {"dns"}, "dns.answers.ip": {"192.0.2.8"}}},
		{"addresses and ports", selecting(wall, "dst_ip|cidr: 192.0.2.0/24\ndst_port|gt: 1000"), doc{"destination.ip": {"192.0.2.4"}, "destination.port": {"1001"}}, doc{"destination.ip": {"192.0.2.4"}, "destination.port": {"1000"}}},
		{"a share", selecting(zeek("smb_mapping"), `path|endswith: '\ADMIN$'`), doc{"protocol": {"smb"}, "smb.share": {`\\srv\admin$`}}, doc{"protocol": {"smb"}, "smb.share": {`\\srv\data`}}},
		{"a serial", selecting(zeek("x509"), "certificate.serial: 8BB00EE"), doc{"protocol": {"tls"}, "cert.serial": {"08bb00ee"}}, doc{"protocol": {"tls"}, "cert.serial": {"8bb00ee0"}}},
	} {
		s := convertText(t, c.rule)
		if len(s.Rules) != 1 {
			t.Errorf("%s: %v", c.name, s.Refused)
			continue
		}
		r := s.Rules[0]
		if !r.Expr.Match(document(t, c.yes)) {
			t.Errorf("%s: %s is not true for %v", c.name, r.Text, c.yes)
		}
		if r.Expr.Match(document(t, c.no)) {
			t.Errorf("%s: %s is true for %v", c.name, r.Text, c.no)
		}
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"net/a.yml": `title: First of Two (test)
id: 6F1C0000-0000-4000-8000-000000000001
status: test
level: high
tags: [attack.t1071.004, attack.command-and-control, 'bad tag']
logsource: {category: dns}
detection: {a: {query: x}, condition: a}
---
title: Second
logsource: {category: dns}
detection: {a: {what: x}, condition: a}
---
title: Third
id: 6f1c0000-0000-4000-8000-000000000001
logsource: {category: dns}
detection: {a: {query: x}, condition: a}
`,
		"net/b.yaml":    "title: Old\nstatus: deprecated\nlogsource: {category: proxy}\ndetection: {a: {what: x}, condition: a}\n",
		"end/c.yml":     "title: Host\nlogsource: {category: process_creation, product: windows}\ndetection: {a: {Image: x}, condition: a}\n",
		"end/d.yml":     "name: no rule\n",
		"end/e.txt":     "title: [",
		".hidden/f.yml": "title: [",
		"net/.g.yml":    "title: [",
		"broken.yml":    "title: [\n",
	} {
		path := filepath.Join(dir, "rules", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(filepath.Join(dir, "rules"), link); err != nil {
		t.Fatal(err)
	}
	s, err := Load([]string{link}, registry)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Rules) != 1 || s.Other != 1 || s.Retired != 1 || s.Foreign != 1 {
		t.Fatalf("got %+v", s)
	}
	r := s.Rules[0]
	if got, want := r.MarkTags(), []string{"sigma:first-of-two-test", "sigma-level:high", "attack.t1071.004", "attack.command-and-control"}; !slices.Equal(got, want) {
		t.Errorf("tags %q, want %q", got, want)
	}
	var refused []string
	for _, r := range s.Refused {
		refused = append(refused, strings.TrimPrefix(r.String(), link))
	}
	want := []string{
		"/broken.yml:1: not valid YAML: ",
		`/net/a.yml:11: Second: the field "what" of category dns has no equal in sessions`,
		"/net/a.yml:13: Third: has the id of the rule at " + link + "/net/a.yml:1",
	}
	if !slices.EqualFunc(refused, want, strings.HasPrefix) {
		t.Errorf("refused %q, want %q", refused, want)
	}
	if _, err := Load([]string{filepath.Join(dir, "nothing")}, registry); err == nil {
		t.Error("a path that is not there is no error")
	}
}

// TestTables holds that every target is a field of its own, and that docs/rules.md names each field of each log.
func TestTables(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	check := func(source, name string, to target) {
		for _, n := range to.names {
			if f := registry.ByExpr(n); len(f) != 1 {
				t.Errorf("%s, %s: %s stands for %d fields", source, name, n, len(f))
			}
			row := regexp.MustCompile("(?m)^\\|.*`" + regexp.QuoteMeta(name) + "`.*\\|.*`" + regexp.QuoteMeta(n) + "`.*\\|$")
			if !row.Match(page) {
				t.Errorf("docs/rules.md has no row with `%s` and `%s`", name, n)
			}
		}
		for value, names := range to.values {
			for _, v := range names {
				if _, err := expr.Parse(to.names[0]+" == "+v, registry, time.Time{}); err != nil || value != strings.ToLower(value) {
					t.Errorf("%s, %s: %s to %s: %v", source, name, value, v, err)
				}
			}
		}
	}
	tables := newTables()
	for name, to := range tables.flow {
		check("all", name, to)
	}
	check("dns", "query", to("dns.puny"))
	for _, sources := range []map[string]*source{tables.categories, tables.zeek} {
		for _, s := range sources {
			for name, to := range s.fields {
				check(s.name, name, to)
			}
			if s.protocol == "" {
				continue
			}
			if !strings.Contains(string(page), "`"+s.protocol+"`") {
				t.Errorf("docs/rules.md does not name the protocol %s", s.protocol)
			}
		}
	}
}

// FuzzConvert holds that no text is converted to what is no expression, or to more than the limits.
func FuzzConvert(f *testing.F) {
	f.Add(ruleOf(dns, "  a: {query|endswith: [.x, 'y*z?', '\\*']}\n  b: {answer: 192.0.2.1}\n  _c: {query|re: '^a(b|c)+[^d]$'}\n  condition: (1 of a* or all of them) and not _c\n"))
	f.Add(ruleOf(proxy, "  k: ['${jndi:', a]\n  s:\n    - c-uri|contains|all: [/a, '?b']\n      c-uri-extension: exe\n    - cs-uri-query|startswith: x\n  condition: k or s\n"))
	f.Add(selecting(zeek("conn"), "id.orig_h|cidr: 10.0.0.0/8\nid.resp_p|gte: 5\nservice: ssl\nproto: icmp"))
	f.Add(selecting(zeek("x509"), "certificate.serial: ABC\nsan.dns: null"))
	f.Add("title: x\n---\ncorrelation: {}\n---\ntitle: y\nlogsource: {category: dns}\n")
	f.Add(selecting(proxy, `c-useragent|re|i: '(?:k|\pL|[^\x00-\x7f]){2,5}\.?'`))
	f.Fuzz(func(t *testing.T, text string) {
		s := convertText(t, text)
		for _, r := range s.Rules {
			if len(r.Text) > 2*maxExpression {
				t.Errorf("an expression of %d bytes", len(r.Text))
			}
			again, err := expr.Parse(r.Text, registry, time.Time{})
			if err != nil || again.String() != r.Text {
				t.Errorf("%s is read as %v, %v", r.Text, again, err)
			}
		}
	})
}
