package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/pcapfile/pcaptest"
)

// rulesFolder writes a rules file with two lists beside it, which tag sessions of the sample, and returns its path.
func rulesFolder(t *testing.T, url string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"nets.txt":  "# networks\n212.58.233.0/24\n2001:700::/32\nnot an entry\n",
		"names.txt": "adlens.example\n=media.ganges.example\n",
		"rules.yaml": fmt.Sprintf(`lists:
- {name: nets, file: nets.txt, tags: [watched]}
- {name: names, url: '%s/names.txt', kind: domain, tags: [tracker]}
rules:
- name: cleartext
  expression: protocols == http && protocols != tls
  tags: [clear]
- name: tracked in clear
  expression: tags == clear && tags == tracker && indicator.list == names
  tags: [bad]
`, url),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("WIRELAKE_RULES_CACHE", filepath.Join(dir, "cache"))
	return filepath.Join(dir, "rules.yaml")
}

// tagged is what the tests look at of a document.
type tagged struct {
	Tags        []string
	Protocol    []string
	Destination struct{ IP string }
	HTTP        struct{ Host []string }
	Rule        struct{ Name []string }
	Indicator   struct{ List, Entry []string }
}

// TestRules holds that spi tags by rules and lists, and that rules test counts the same.
func TestRules(t *testing.T) {
	server := httptest.NewServer(http.FileServer(http.Dir(t.TempDir())))
	defer server.Close()
	file := rulesFolder(t, server.URL)
	server.Config.Handler = http.FileServer(http.Dir(filepath.Dir(file)))

	code, out, errs := runCLI(t, "spi", "--jsonl", "--reference=false", "--rules", file, sampleCapture)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	if !strings.Contains(errs, "bad lines passed over") || !strings.Contains(errs, "line=4") {
		t.Errorf("nothing told of the bad line:\n%s", errs)
	}
	counts := map[string]int{}
	for line := range strings.Lines(out) {
		var d tagged
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		plain := slices.Contains(d.Protocol, "http")
		if plain != slices.Contains(d.Tags, "clear") || plain != slices.Contains(d.Rule.Name, "cleartext") {
			t.Fatalf("tags %q of protocols %q", d.Tags, d.Protocol)
		}
		net := strings.HasPrefix(d.Destination.IP, "212.58.233.") || strings.HasPrefix(d.Destination.IP, "2001:700:")
		if net && (!slices.Contains(d.Tags, "watched") || !slices.Contains(d.Indicator.List, "nets")) {
			t.Fatalf("session to %s: %s", d.Destination.IP, line)
		}
		if slices.Contains(d.HTTP.Host, "track.adlens.example") && (!slices.Contains(d.Tags, "tracker") || plain != slices.Contains(d.Tags, "bad") || !slices.Contains(d.Indicator.Entry, "adlens.example")) {
			t.Fatalf("session to the tracker: %s", line)
		}
		for _, name := range slices.Concat(d.Rule.Name, d.Indicator.List) {
			counts[name]++
		}
		counts["of all"]++
	}
	for _, name := range []string{"nets", "names", "cleartext", "tracked in clear"} {
		if counts[name] == 0 || counts[name] == counts["of all"] {
			t.Errorf("%s: %d sessions of %d", name, counts[name], counts["of all"])
		}
	}
	code, out, errs = runCLI(t, "rules", "test", file, sampleCapture)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for name, n := range counts {
		if !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool {
			return strings.HasPrefix(line, fmt.Sprintf("%d ", n)) && strings.Contains(line, name)
		}) {
			t.Errorf("no line with %d and %q:\n%s", n, name, out)
		}
	}
}

// TestRulesPage holds that the example of docs/rules.md does what the page says.
func TestRulesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	// The blocks are: rules, a list as a file, what the URL sends, the answers of check, a problem, the answer of test.
	var blocks []string
	for i, part := range strings.Split(string(page), "```") {
		if i%2 == 1 {
			_, text, _ := strings.Cut(part, "\n")
			blocks = append(blocks, text)
		}
	}
	if len(blocks) < 6 {
		t.Fatalf("%d blocks", len(blocks))
	}
	const url = "https://lists.example/trackers.csv"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, blocks[2]) }))
	defer server.Close()
	dir := t.TempDir()
	t.Setenv("WIRELAKE_RULES_CACHE", filepath.Join(dir, "cache"))
	capture, err := filepath.Abs(sampleCapture)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for name, text := range map[string]string{"rules.yaml": strings.Replace(blocks[0], url, server.URL, 1), "networks.txt": blocks[1]} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, errs := runCLI(t, "rules", "check", "rules.yaml"); code != exitOK || strings.ReplaceAll(out, server.URL, url) != blocks[3] {
		t.Errorf("check exits with %d and prints\n%s%s\nthe page says\n%s", code, out, errs, blocks[3])
	}
	if code, out, errs := runCLI(t, "rules", "test", "rules.yaml", capture); code != exitOK || trimLines(out) != blocks[5] {
		t.Errorf("test exits with %d and prints\n%s%s\nthe page says\n%s", code, out, errs, blocks[5])
	}
	wrong := strings.Replace(blocks[0], "protocols == http", "protcols == http", 1)
	if err := os.WriteFile("rules.yaml", []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, errs := runCLI(t, "rules", "check", "rules.yaml"); code != exitUsage || !strings.HasPrefix(errs, blocks[4]) {
		t.Errorf("check of a wrong file exits with %d and prints\n%s\nthe page says\n%s", code, errs, blocks[4])
	}
}

// trimLines cuts spaces off the ends of lines.
func trimLines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// TestRulesKeep holds that a sensor cuts the flows of a rule with keep, and no others, and that the compactor tags by the same file.
func TestRulesKeep(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "rules.yaml")
	text := "rules:\n- {name: web, expression: port.dst == 80, tags: [cut], keep: 200}\n- {name: other, expression: port.dst == 443, tags: [whole]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	store := "file://" + filepath.Join(dir, "store")
	for _, args := range [][]string{
		{"sensor", "--name", "s", "--rules", file, "--read", sampleCapture, "--spool", filepath.Join(dir, "spool"), "--store", store},
		{"compactor", "--once", "--rules", file, "--store", store},
	} {
		if code, _, errs := runCLI(t, args...); code != exitOK {
			t.Fatalf("%s: exit code %d: %s", args[0], code, errs)
		}
	}
	cut := func(expression string) (n, short int) {
		t.Helper()
		out := filepath.Join(dir, "out.pcap")
		if code, _, errs := runCLI(t, "packets", "--store", store, expression, "-w", out); code != exitOK {
			t.Fatalf("exit code %d: %s", code, errs)
		}
		for _, rec := range pcaptest.Read(t, out).Records {
			n++
			if len(rec.Data) < rec.WireLen {
				short++
			}
		}
		return n, short
	}
	if n, short := cut("tags == cut"); short == 0 || short == n {
		t.Errorf("%d of %d packets of the rule are cut", short, n)
	}
	if n, short := cut("tags == whole"); n == 0 || short != 0 {
		t.Errorf("%d of %d packets of another rule are cut", short, n)
	}
}

// TestRulesCheck holds what check prints of a good file, and that a bad one or a list that cannot be loaded ends it with 2.
func TestRulesCheck(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	file := rulesFolder(t, server.URL)
	code, _, errs := runCLI(t, "rules", "check", file)
	if code != exitUsage || !strings.Contains(errs, "list names: "+server.URL+"/names.txt: the server answers 404 Not Found") {
		t.Errorf("exit code %d: %s", code, errs)
	}
	server.Config.Handler = http.FileServer(http.Dir(filepath.Dir(file)))
	code, out, errs := runCLI(t, "rules", "check", file)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	for _, want := range []string{
		`2     nets   watched  2        `, `1 (line 4: "not an entry" is no entry: it has spaces)  ` + filepath.Join(filepath.Dir(file), "nets.txt"),
		`3     names  tracker  2        `, "5     cleartext         clear  -     protocols == http && protocols != tls", "2 rules, 2 with tags, 2 of these pruned; 2 lists",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}

	if err := os.WriteFile(file, []byte("rules:\n- name: a\n  expression: protocls == tls\n  tags: [b]\n- name: b\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	want := file + ":3:15: unknown field protocls (did you mean protocols?)\n" + file + ":5: rule b has no"
	for _, args := range [][]string{{"rules", "check", file}, {"spi", "--rules", file, sampleCapture}, {"compactor", "--once", "--rules", file, "--store", "file://" + t.TempDir()}} {
		if code, _, errs := runCLI(t, args...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, want 2 and %q:\n%s", args, code, want, errs)
		}
	}
	if code, _, errs := runCLI(t, "rules", "check", file+".gone"); code != exitUsage || !strings.Contains(errs, "no such file") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

// TestSigmaPage holds that the example of Sigma rules in docs/rules.md does what the page says, and that spi and an archive
// tag the sessions by it.
func TestSigmaPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "## Sigma rules")
	parts := strings.Split(section, "```")
	if !found || len(parts) < 6 {
		t.Fatal("docs/rules.md has no example of Sigma rules")
	}
	// The blocks are: rules, the answers of check and of test.
	_, text, _ := strings.Cut(parts[1], "\n")
	check, test := strings.TrimPrefix(parts[3], "\n"), strings.TrimPrefix(parts[5], "\n")
	capture, err := filepath.Abs(sampleCapture)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Mkdir("sigma", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("sigma/rules.yml", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := runCLI(t, "rules", "check", "--sigma", "sigma"); code != exitOK || trimLines(out) != check {
		t.Errorf("check exits with %d and prints\n%s%s\nthe page says\n%s", code, out, errs, check)
	}
	code, out, errs := runCLI(t, "rules", "test", "--sigma", "sigma", capture)
	if code != exitOK || trimLines(out) != test {
		t.Errorf("test exits with %d and prints\n%s%s\nthe page says\n%s", code, out, errs, test)
	}
	if !strings.Contains(errs, "Sigma rule left out") || !strings.Contains(errs, "line=36") || !strings.Contains(errs, "duration") {
		t.Errorf("nothing told of the rule that is left out:\n%s", errs)
	}

	code, out, errs = runCLI(t, "spi", "--jsonl", "--reference=false", "--sigma", "sigma/rules.yml", capture)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	matches := 0
	for line := range strings.Lines(out) {
		var d tagged
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			t.Fatal(err)
		}
		if slices.Contains(d.Tags, "sigma:scanner-names-itself") {
			matches++
			if !slices.Contains(d.Tags, "sigma-level:medium") || !slices.Contains(d.Tags, "attack.t1595") || !slices.Contains(d.Rule.Name, "Scanner Names Itself") || !strings.Contains(line, "sqlmap") {
				t.Errorf("tagged %s", line)
			}
		}
	}
	if matches != 1 {
		t.Errorf("%d sessions have the tag, want 1", matches)
	}

	store := "file://" + filepath.Join(dir, "store")
	for _, args := range [][]string{
		{"import", "--store", store, capture},
		{"compactor", "--once", "--sigma", "sigma", "--store", store},
	} {
		if code, _, errs := runCLI(t, args...); code != exitOK {
			t.Fatalf("%s: exit code %d: %s", args[0], code, errs)
		}
	}
	// What check printed is an expression that finds the same session.
	for _, expression := range []string{"tags == sigma:scanner-names-itself", `http.user-agent == ["*sqlmap*"i,"*nikto*"i] && !ip.src == 192.168.0.0/16`} {
		code, out, errs := runCLI(t, "sessions", "--store", store, "--format", "csv", "--fields", "http.useragent", expression)
		if code != exitOK || strings.Count(out, "\n") != 2 || !strings.Contains(out, "sqlmap") {
			t.Errorf("%s: exit code %d, found\n%s%s", expression, code, out, errs)
		}
	}
	for _, args := range [][]string{{"rules", "check"}, {"rules", "check", "--sigma", "gone"}, {"rules", "test", "--sigma", "gone", capture}, {"rules", "test", "rules.yaml"}} {
		if code, _, _ := runCLI(t, args...); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", args, code, exitUsage)
		}
	}
}
