package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/spi"
)

func mustParse(t testing.TB, reg *spi.Registry, text string) []Rule {
	t.Helper()
	f, err := Parse("r.yaml", []byte(text), reg)
	if err != nil {
		t.Fatal(err)
	}
	return f.Rules
}

// sampleDocument is a session that depends on n alone.
func sampleDocument(reg *spi.Registry, n uint64) *spi.Document {
	rng := rand.New(rand.NewPCG(3, n))
	d := reg.NewDocument()
	d.AddIP(spi.SourceIP, netip.AddrFrom4([4]byte{10, byte(rng.IntN(4)), byte(rng.IntN(4)), byte(rng.IntN(8))}))
	d.AddIP(spi.DestinationIP, netip.AddrFrom4([4]byte{192, 0, 2, byte(rng.IntN(16))}))
	if rng.IntN(4) == 0 {
		d.SetString(spi.DestinationIP, fmt.Sprintf("2001:db8::%x", rng.IntN(4)))
	}
	d.SetInt(spi.SourcePort, int64(1024+rng.IntN(60000)))
	d.SetInt(spi.DestinationPort, []int64{22, 53, 80, 443, 8443}[rng.IntN(5)])
	d.SetInt(spi.NetworkBytes, rng.Int64N(5000))
	d.SetInt(spi.NetworkPackets, rng.Int64N(50))
	d.SetInt(spi.IPProtocol, []int64{6, 17}[rng.IntN(2)])
	d.AddString(spi.Protocol, []string{"tcp", "udp"}[rng.IntN(2)])
	for _, p := range []string{"tls", "http", "dns", "ssh"} {
		if rng.IntN(3) == 0 {
			d.AddString(spi.Protocol, p)
		}
	}
	host, _ := reg.ByPath("http.host")
	uri, _ := reg.ByPath("http.uri")
	dns, _ := reg.ByPath("dns.host")
	code, _ := reg.ByPath("http.statuscode")
	if rng.IntN(2) == 0 {
		d.AddString(host.ID, fmt.Sprintf("www%d.example.org", rng.IntN(10)))
		d.AddString(uri.ID, fmt.Sprintf("/path%d/login", rng.IntN(10)))
		d.AddInt(code.ID, 200)
	}
	if rng.IntN(2) == 0 {
		d.AddString(dns.ID, fmt.Sprintf("host%d.example.com", rng.IntN(10)))
	}
	if rng.IntN(5) == 0 {
		d.AddString(spi.Tags, "seen")
	}
	for i := range 20 {
		d.AddInt(spi.FieldID(int(spi.SourceTTL)), int64(i))
	}
	d.Values()
	return d
}

// expressions are of every form that decides how a rule is pruned.
func expressions() []string {
	return []string{
		"protocols == tls", "protocols == [tls,ssh] && port.dst != 443", "protocols != tls", "!(protocols == tls || protocols == http)",
		"port.dst == 22", "port.dst == 8000-9000", "port.dst >= 443", "port == 53", "ip == 192.0.2.3", "ip.src == 10.1.0.0/16 && bytes > 1000",
		"ip.dst == [192.0.2.1,192.0.2.2,2001:db8::/64]", "ip.dst > 192.0.2.7", "ip == ipv6", "ip.src == 10.0.0.0/15 || host == www1.example.org",
		"host == www3.example.org", "host == *example.com", "host.http == EXISTS!", "host.http != EXISTS!", "http.uri == */login && protocols == http",
		"http.uri == /\\/path[0-4]\\/.*/", "http.statuscode == 200 && packets < 20", "tags == seen", "tags == r0", "tags != r3", "rule == rule-5", "tags == [r6,r8] && protocols == tls",
		"bytes == 0-100 || packets == 7", "ip.protocol == udp && port.dst == 53", "ip.dst == 192.0.2.5:443", "tags == later",
	}
}

// TestApplyAgainstPlain compares pruned evaluation with that of every rule in order, on many documents.
func TestApplyAgainstPlain(t *testing.T) {
	reg := testRegistry()
	var b strings.Builder
	b.WriteString("rules:\n")
	for i, e := range expressions() {
		fmt.Fprintf(&b, "- {name: rule-%d, expression: '%s', tags: [r%d, any]}\n", i, e, i)
	}
	b.WriteString("- {name: last, expression: protocols == tcp, tags: [later]}\n")
	rules := mustParse(t, reg, b.String())
	p := compile(reg, rules)
	if got, want := p.pruned(), len(rules)-4; got != want {
		t.Errorf("%d of %d rules are pruned, want %d", got, len(rules), want)
	}
	matches := map[string]int{}
	for n := range uint64(3000) {
		got, want := sampleDocument(reg, n), sampleDocument(reg, n)
		count := p.apply(got)
		for _, r := range rules {
			if r.Expr.Match(want) {
				count--
				matches[r.Name]++
				want.AddString(spi.RuleName, r.Name)
				for _, tag := range r.Tags {
					want.AddString(spi.Tags, tag)
				}
			}
		}
		if g, w := string(got.AppendJSON(nil, nil)), string(want.AppendJSON(nil, nil)); g != w || count != 0 {
			t.Fatalf("document %d, %d more rules than true:\ngot  %s\nwant %s", n, count, g, w)
		}
	}
	for i := range expressions() {
		name := fmt.Sprintf("rule-%d", i)
		if always := matches[name] == 3000; matches[name] == 0 && i != 29 || always {
			t.Errorf("%s (%s) was true for %d of 3000 documents: it tests nothing", name, expressions()[i], matches[name])
		}
	}
}

// TestLaterRulesSeeTags holds the order: a rule sees the tags of those before it, and of none behind it.
func TestLaterRulesSeeTags(t *testing.T) {
	reg := testRegistry()
	p := compile(reg, mustParse(t, reg, `rules:
- {name: too early, expression: tags == a, tags: [early]}
- {name: first, expression: protocols == EXISTS!, tags: [a]}
- {name: second, expression: tags == a, tags: [b]}
- {name: third, expression: tags == b && rule.name == first, tags: [c, a]}
- {name: not, expression: tags != c, tags: [d]}
`))
	d := sampleDocument(reg, 1)
	p.apply(d)
	var tags []string
	for v := range d.Each(spi.Tags) {
		if v.Str != "seen" {
			tags = append(tags, v.Str)
		}
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(tags, want) {
		t.Errorf("got %v, want %v", tags, want)
	}
}

// TestApplyTwice holds that tagging a tagged document changes nothing when rules do not ask for what they add.
func TestApplyTwice(t *testing.T) {
	reg := testRegistry()
	p := compile(reg, mustParse(t, reg, "rules:\n- {name: a, expression: protocols == tcp, tags: [x, y]}\n- {name: b, expression: port.dst == 1-65535, tags: [y]}\n"))
	for n := range uint64(50) {
		d := sampleDocument(reg, n)
		p.apply(d)
		once := string(d.AppendJSON(nil, nil))
		p.apply(d)
		if twice := string(d.AppendJSON(nil, nil)); once != twice {
			t.Fatalf("once  %s\ntwice %s", once, twice)
		}
	}
}

// manyRules are rules as they are in use: most name a host, an address, a port or a fingerprint, some a pattern.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("rules:\n")
	for i := range n {
		e := []string{
			"host == bad%d.example.net", "ip == 198.51.%d.7 && protocols == tls", "ip.dst == 203.%d.0.0/16", "protocols == ssh && port.dst == %d",
			"tls.ja3 == 0123456789abcdef0123456789%06d", "http.uri == */gate%d.php && protocols == http", "protocols == http && host.http == *.evil%d.example",
			"ip.protocol == tcp && port.dst == %d && bytes > 1000000", "tags == seen%d && bytes > 1000", "ip.src == 10.%d.0.0/16 && port.dst == 445",
		}[i%10]
		fmt.Fprintf(&b, "- {name: r%d, expression: '%s', tags: [t%d]}\n", i, fmt.Sprintf(e, i%250), i%20)
	}
	return b.String()
}

// benchmarkApply evaluates a program for the documents in turn.
func benchmarkApply(b *testing.B, p *program, docs []*spi.Document) {
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		p.apply(docs[i%len(docs)])
		i++
	}
}

// BenchmarkApply tags documents by 1,000 and 10,000 rules, most of which ask for an exact value; plain evaluates each rule.
func BenchmarkApply(b *testing.B) {
	reg := testRegistry()
	var docs []*spi.Document
	for n := range uint64(100) {
		docs = append(docs, sampleDocument(reg, n))
	}
	for _, n := range []int{10, 1000, 10_000} {
		p := compile(reg, mustParse(b, reg, manyRules(n)))
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) { benchmarkApply(b, p, docs) })
	}
	rules := mustParse(b, reg, manyRules(1000))
	b.Run("plain=1000", func(b *testing.B) {
		i := 0
		for b.Loop() {
			d := docs[i%len(docs)]
			for j := range rules {
				rules[j].Expr.Match(d)
			}
			i++
		}
	})
}
