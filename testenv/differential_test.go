package testenv_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/expr"
	"wirelake/internal/spi"
	"wirelake/testenv"
)

// run runs the binary and returns its standard output.
func run(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.Command(testenv.Wirelake(t), args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("wirelake %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// serveQuery runs wirelake query on a free port until the test ends, and returns its URL.
func serveQuery(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Wirelake(t), append([]string{"query", "--listen", "127.0.0.1:0"}, args...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		if u, found := strings.CutPrefix(lines.Text(), "serving "); found {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return u
		}
	}
	t.Fatalf("wirelake query ended: %v", lines.Err())
	return ""
}

// found asks a service for the ids of the sessions that match, which engines answered, and why these.
func found(t *testing.T, base, expression string) (ids, engines, why []string) {
	t.Helper()
	q := url.Values{"date": {"-1"}, "expression": {expression}, "fields": {"id"}, "length": {"100000"}, "explain": {"1"}}
	resp, err := http.Get(base + "/api/sessions?" + q.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var a struct {
		Data     []struct{ ID string }
		Error    string
		Warnings []string
		Explain  struct {
			Notes []string
			Parts []struct{ Engine string }
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil || resp.StatusCode != http.StatusOK || len(a.Warnings) > 0 {
		t.Fatalf("%s: %s %v %s %v", expression, resp.Status, err, a.Error, a.Warnings)
	}
	for _, d := range a.Data {
		ids = append(ids, d.ID)
	}
	for _, p := range a.Explain.Parts {
		engines = append(engines, p.Engine)
	}
	slices.Sort(ids)
	return ids, engines, a.Explain.Notes
}

// fieldExpressions makes expressions of every searchable field, from values that sessions have.
func fieldExpressions(reg *spi.Registry, docs []*spi.Document) []string {
	var out []string
	for i := range reg.Fields() {
		f := &reg.Fields()[i]
		name := f.Expr()
		if name == "" {
			name = "db:" + f.Path
		}
		out = append(out, name+" == EXISTS!")
		var values []string
		for _, d := range docs {
			for v := range d.Each(f.ID) {
				text := v.Str
				if f.Type.Numeric() {
					text = fmt.Sprint(v.Int)
				}
				if len(values) < 3 && !slices.Contains(values, text) && strings.ToValidUTF8(text, "") == text {
					values = append(values, text)
				}
			}
		}
		for _, v := range values {
			if strings.Trim(v, "*") == "" && v != "" {
				continue
			}
			out = append(out, name+" == "+expr.Quote(v))
		}
		if len(values) == 0 {
			continue
		}
		first := expr.Quote(values[0])
		switch {
		case f.Type.Numeric():
			out = append(out, name+" > "+first, name+" <= "+first)
		case f.Type == spi.IP:
			out = append(out, name+" != "+first, name+" >= "+first)
		default:
			runes := []rune(values[0])
			half := string(runes[:(len(runes)+1)/2])
			if strings.Trim(half, "*") != "" {
				out = append(out, name+" == "+expr.Quote(half+"*"), name+" != "+expr.Quote("*"+half+"*"))
			}
			if len(values) > 1 && !strings.Contains(values[0]+values[1], "*") {
				out = append(out, name+" == ["+first+","+expr.Quote(values[1])+"]")
			}
		}
	}
	return append(out, "", "ip == 10", "ip != 10", "port == 443", "host == *example*", "ip == ipv6 && bytes > 1000", "country == EXISTS!", "!(protocols == tcp) || port == 80")
}

// TestDifferential imports the sample capture, compacts it into Parquet and a real Elasticsearch, and asks of every field what
// its values give. The services with and without Elasticsearch, and the documents themselves, must agree.
func TestDifferential(t *testing.T) {
	es := testenv.Elasticsearch(t)
	dir := t.TempDir()
	store := "file://" + dir
	sample, err := filepath.Abs("sample/sample.pcap.gz")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("WIRELAKE_ELASTICSEARCH_INDEX_PREFIX", es.Prefix)
	run(t, "import", "--store", store, sample)
	run(t, "compactor", "--store", store, "--once", "--elasticsearch", es.URL)

	reg := dissect.New().Registry()
	var raw []json.RawMessage
	if err := json.Unmarshal(run(t, "sessions", "--store", store, "--format", "json"), &raw); err != nil {
		t.Fatal(err)
	}
	var docs []*spi.Document
	for _, b := range raw {
		d, unknown, err := reg.ParseJSON(b)
		if err != nil || len(unknown) > 0 {
			t.Fatalf("%v, unknown %v: %s", err, unknown, b)
		}
		docs = append(docs, d)
	}
	if len(docs) < 300 {
		t.Fatalf("the sample has %d sessions", len(docs))
	}
	parquet := serveQuery(t, "--store", store)
	both := serveQuery(t, "--store", store, "--elasticsearch", es.URL)
	expressions := fieldExpressions(reg, docs)
	byElastic, dull := 0, 0
	for _, text := range expressions {
		e, err := expr.Parse(text, reg, time.Now())
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var want []string
		for _, d := range docs {
			if e.Match(d) {
				want = append(want, d.String(spi.ID))
			}
		}
		slices.Sort(want)
		if len(want) == 0 || len(want) == len(docs) {
			dull++
		}
		for name, base := range map[string]string{"Parquet": parquet, "Elasticsearch": both} {
			got, engines, why := found(t, base, text)
			if !slices.Equal(got, want) {
				t.Errorf("%s: %s (%v) finds %d, the documents have %d", text, name, engines, len(got), len(want))
			}
			if slices.Contains(engines, "elasticsearch") {
				byElastic++
			}
			if e.UsesOnlyHot() && name == "Elasticsearch" && !slices.Contains(engines, "elasticsearch") {
				t.Errorf("%s: answered by %v, want Elasticsearch: %s", text, engines, why)
			}
		}
	}
	t.Logf("%d expressions over %d sessions, %d of them answered by Elasticsearch too; %d find all or nothing", len(expressions), len(docs), byElastic, dull)
	if len(expressions) < 150 || byElastic < 100 {
		t.Error("too few were compared")
	}
}
