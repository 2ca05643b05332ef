package rules

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/sigma"
	"wirelake/internal/spi"
)

const sigmaText = `title: To One Address
level: high
logsource: {category: firewall}
detection: {a: {dst_ip: 192.0.2.1}, condition: a}
---
title: Odd One
logsource: {category: firewall}
detection: {a: {colour: red}, condition: a}
`

// TestFollowSigma holds that Sigma rules tag sessions before the rules of the file do, that a folder is followed, that
// one rule that cannot be converted is named and keeps no other out, and that a folder that is gone leaves the old rules.
func TestFollowSigma(t *testing.T) {
	b := newBench(t)
	dir := filepath.Join(b.dir, "sigma")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b.cfg.Sigma = []string{dir}
	b.write("sigma/a.yml", sigmaText)
	b.write("rules.yaml", "rules:\n- {name: both, expression: 'tags == sigma-level:high && protocols == tcp', tags: [review]}\n")
	tagger := b.open()
	reload, _ := b.run(tagger)
	b.wait(tagger, "sigma:to-one-address", "sigma-level:high", "review")
	b.waitLog("Sigma rule left out", "a.yml", "line=8", "Odd One", "colour")

	b.write("sigma/b.yml", strings.ReplaceAll(sigmaText[:strings.Index(sigmaText, "---")], "One Address", "This"))
	b.wait(tagger, "sigma:to-one-address", "sigma-level:high", "sigma:to-this", "review")

	if err := os.Remove(filepath.Join(dir, "a.yml")); err != nil {
		t.Fatal(err)
	}
	b.wait(tagger, "sigma:to-this", "sigma-level:high", "review")

	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	reload <- struct{}{}
	b.waitLog("rules not read, the old ones stay", "no such file")
	b.wait(tagger, "sigma:to-this", "sigma-level:high", "review")
}

// TestSigmaAlone holds that no rules file is needed, and that a path that is not there is an error at the start.
func TestSigmaAlone(t *testing.T) {
	b := newBench(t)
	b.cfg.File = ""
	b.cfg.Sigma = []string{filepath.Join(b.dir, "a.yml")}
	if _, err := Open(b.cfg, Parts{Registry: b.reg}); err == nil {
		t.Error("opened without the file")
	}
	b.write("a.yml", sigmaText)
	tagger := b.open()
	b.run(tagger)
	b.wait(tagger, "sigma:to-one-address", "sigma-level:high")
}

// manySigma are n rules in the manner of those for networks: some ask for a name or address, most for text within
// a URI, a user agent or a query.
func manySigma(n int) string {
	var b strings.Builder
	for i := range n {
		source, detection := "", ""
		switch i % 5 {
		case 0:
			source, detection = "category: proxy", fmt.Sprintf("{a: {c-useragent|contains: [EvilAgent%d, Dropper/%d]}, condition: a}", i, i)
		case 1:
			source, detection = "category: webserver", fmt.Sprintf("{a: {cs-method: POST, cs-uri-query|contains: [/Shell%d.php, 'cmd%d=']}, f: {sc-status: 404}, condition: a and not f}", i, i)
		case 2:
			source, detection = "category: dns", fmt.Sprintf("{a: {query|endswith: [.zone%d.example, .pool%d.example]}, condition: a}", i, i)
		case 3:
			source, detection = "category: proxy", fmt.Sprintf("{a: {c-uri|contains|all: [/stage%d/, .bin], cs-host|endswith: .cdn%d.example}, condition: a}", i, i)
		default:
			source, detection = "category: firewall", fmt.Sprintf("{a: {dst_ip: 203.0.113.%d, dst_port: [443, 8443]}, condition: a}", i%250)
		}
		fmt.Fprintf(&b, "---\ntitle: Rule %d\nlevel: low\ntags: [attack.t1071]\nlogsource: {%s}\ndetection: %s\n", i, source, detection)
	}
	return b.String()
}

// BenchmarkSigma tags sessions, half of them HTTP and half of them DNS, by no rule and by 200 Sigma rules.
func BenchmarkSigma(b *testing.B) {
	reg := dissect.New().Registry()
	var docs []*spi.Document
	for n := range uint64(100) {
		d := sampleDocument(reg, n)
		protocol, path, text := "http", "http.useragent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"
		if n%2 == 0 {
			protocol, path, text = "dns", "dns.queryHost", fmt.Sprintf("host%d.example.com", n)
		}
		f, ok := reg.ByPath(path)
		if !ok {
			b.Fatalf("no field %s", path)
		}
		d.AddString(spi.Protocol, protocol)
		d.AddString(f.ID, text)
		docs = append(docs, d)
	}
	path := filepath.Join(b.TempDir(), "many.yml")
	if err := os.WriteFile(path, []byte(manySigma(200)), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{0, 200} {
		cfg := Config{}
		if n > 0 {
			cfg.Sigma = []string{path}
		}
		f, set, err := readAll(cfg, reg)
		if err != nil || len(set.Rules) != n {
			b.Fatal(err, set.Refused)
		}
		p := compile(reg, f.Rules)
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) { benchmarkApply(b, p, docs) })
	}
	b.Run("load=200", func(b *testing.B) {
		for b.Loop() {
			if _, err := sigma.Load([]string{path}, reg); err != nil {
				b.Fatal(err)
			}
		}
	})
}
