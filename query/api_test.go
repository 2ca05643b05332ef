package query

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/expr/exprtest"
	"wirelake/internal/spi"
	"wirelake/web"
)

// newAPI serves the sample documents over real HTTP.
func newAPI(t *testing.T, engine Engine) *httptest.Server {
	t.Helper()
	reg := exprtest.Registry()
	if engine == nil {
		engine = &reference{reg, exprtest.Documents(reg, 300)}
	}
	api := &API{Config: DefaultConfig(), Registry: reg, Engine: engine, GUI: web.Handler(), Metrics: prometheus.NewRegistry(), now: exprtest.Now}
	h, err := api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// get returns status, body and header of a GET.
func get(t *testing.T, u string) (int, string, http.Header) {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Get(u)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b), resp.Header
}

type answer struct {
	Data            []map[string]any
	Graph           map[string]any
	Map             map[string]any
	RecordsTotal    int
	RecordsFiltered int
	Error           string
	Column          int
	Length          int
	Suggestion      string
	Warnings        []string
	Explain         *Explain
}

func getJSON(t *testing.T, u string, want int) answer {
	t.Helper()
	status, body, _ := get(t, u)
	var a answer
	if err := json.Unmarshal([]byte(body), &a); err != nil || status != want {
		t.Fatalf("%s: status %d (want %d), %v: %.300s", u, status, want, err, body)
	}
	return a
}

func TestAPISessions(t *testing.T) {
	s := newAPI(t, nil)
	q := func(kv ...string) string {
		v := url.Values{}
		for i := 0; i < len(kv); i += 2 {
			v.Set(kv[i], kv[i+1])
		}
		return s.URL + "/api/sessions?" + v.Encode()
	}
	all := getJSON(t, q("date", "-1", "length", "7", "order", "network.bytes:desc,firstPacket:asc", "fields", "network.bytes,firstPacket,source.ip,dns.host"), 200)
	if all.RecordsTotal != 300 || all.RecordsFiltered != 300 || len(all.Data) != 7 || all.Error != "" {
		t.Fatalf("everything: %+v", all)
	}
	last := -1.0
	for _, d := range all.Data {
		bytes := d["network"].(map[string]any)["bytes"].(float64)
		if last >= 0 && bytes > last {
			t.Errorf("not in order: %v after %v", bytes, last)
		}
		last = bytes
		if d["id"] == "" || d["node"] == "" || d["http"] != nil {
			t.Errorf("row has not what was asked for: %v", d)
		}
	}
	page := getJSON(t, q("date", "-1", "length", "3", "start", "4", "order", "bytes:desc,starttime:asc", "fields", "id"), 200)
	if len(page.Data) != 3 || page.Data[0]["id"] != all.Data[4]["id"] {
		t.Errorf("second page: %v", page.Data)
	}
	filtered := getJSON(t, q("date", "-1", "expression", "ip.src == 10", "flatten", "1", "fields", "source.ip,tags", "length", "1000"), 200)
	if filtered.RecordsFiltered == 0 || filtered.RecordsFiltered == 300 || len(filtered.Data) != filtered.RecordsFiltered || filtered.RecordsTotal != 300 {
		t.Errorf("filtered: %d of %d, %d rows", filtered.RecordsFiltered, filtered.RecordsTotal, len(filtered.Data))
	}
	for _, d := range filtered.Data {
		if ip, _ := d["source.ip"].(string); !strings.HasPrefix(ip, "10.") {
			t.Errorf("flattened row: %v", d)
		}
	}
	if a := getJSON(t, q(), 200); a.RecordsFiltered >= 300 || a.RecordsFiltered == 0 {
		t.Errorf("the last hour has %d sessions of 300", a.RecordsFiltered)
	}
	if a := getJSON(t, q("startTime", "1709164800", "stopTime", "2024/02/29 12:00:00", "bounding", "first"), 200); a.RecordsFiltered == 0 || a.RecordsFiltered >= 150 {
		t.Errorf("half a day has %d sessions of 300", a.RecordsFiltered)
	}
	// date=-1 beats start and stop; one of them alone is told of.
	if a := getJSON(t, q("startTime", "1", "stopTime", "2", "date", "-1"), 200); a.RecordsFiltered != 300 {
		t.Errorf("date=-1: %d", a.RecordsFiltered)
	}
	if a := getJSON(t, q("startTime", "1709164800"), 200); len(a.Warnings) != 1 {
		t.Errorf("startTime alone: %v", a.Warnings)
	}
	if a := getJSON(t, q("date", "-1", "explain", "1"), 200); a.Explain == nil || a.Explain.Rows != 300 {
		t.Errorf("explain: %+v", a.Explain)
	}
}

func TestAPIGraph(t *testing.T) {
	s := newAPI(t, nil)
	for _, c := range []struct {
		query    string
		interval float64
	}{
		{"date=-1", 60}, {"date=-1&interval=hour", 3600}, {"date=-1&interval=day", 86400},
		{"startTime=1709164800&stopTime=1709424000&bounding=both", 60}, {"startTime=1709164800&stopTime=1709424000&interval=hour&bounding=either", 3600},
		{"startTime=1709251200&stopTime=1709252000&bounding=first", 1},
	} {
		a := getJSON(t, s.URL+"/api/sessions?facets=1&length=0&"+c.query, 200)
		sum := 0.0
		for _, b := range a.Graph["sessionsHisto"].([]any) {
			at := b.([]any)[0].(float64)
			if at > a.Graph["xmax"].(float64) || at < a.Graph["xmin"].(float64)-c.interval*1000 {
				t.Errorf("%s: bucket %v outside of %v to %v", c.query, at, a.Graph["xmin"], a.Graph["xmax"])
			}
			sum += b.([]any)[1].(float64)
		}
		if a.Graph["interval"] != c.interval || int(sum) != a.RecordsFiltered || a.Graph["sessionsTotal"] != sum || len(a.Data) != 0 {
			t.Errorf("%s: interval %v, %v sessions in buckets, %d found", c.query, a.Graph["interval"], sum, a.RecordsFiltered)
		}
	}
	if a := getJSON(t, s.URL+"/api/sessions?facets=1&date=-1&interval=second", 200); len(a.Warnings) == 0 {
		t.Error("seconds over days were not told of")
	}
}

func TestAPIErrors(t *testing.T) {
	s := newAPI(t, nil)
	a := getJSON(t, s.URL+"/api/sessions?expression="+url.QueryEscape("tags == a && ip.srd == 10"), 400)
	if a.Column != 14 || a.Length != 6 || a.Suggestion != "ip.src" || !strings.Contains(a.Error, "unknown field ip.srd") || a.Data == nil {
		t.Errorf("bad expression: %+v", a)
	}
	if a := getJSON(t, s.URL+"/api/sessions?compat=200&expression=x", 200); a.Error == "" || a.Data == nil {
		t.Errorf("compat=200: %+v", a)
	}
	for query, name := range map[string]string{
		"bounding=middle": "bounding", "length=-1": "length", "start=x": "start", "order=nothing:asc": "order", "order=bytes:up": "order", "interval=blink&facets=1": "interval",
		"startTime=abc&stopTime=5": "startTime", "startTime=9&stopTime=abc": "stopTime", "startTime=9&stopTime=5": "startTime", "date=-5": "date", "view=mine": "view",
	} {
		if a := getJSON(t, s.URL+"/api/sessions?"+query, 400); !strings.HasPrefix(a.Error, name+": ") {
			t.Errorf("%s: got %q, want an error that names %s", query, a.Error, name)
		}
	}
	getJSON(t, s.URL+"/api/nothing", 404)
	getJSON(t, s.URL+"/api/session/import/240229-nothing", 404)
	getJSON(t, s.URL+"/api/sessions?expression=%zz", 400)
	if status, _, _ := get(t, s.URL+"/link?src=nonsense"); status != 400 {
		t.Errorf("link with a bad address: %d", status)
	}
}

func TestAPIPost(t *testing.T) {
	s := newAPI(t, nil)
	for kind, body := range map[string]string{
		"application/json":                  `{"date":-1,"expression":"ip.src == 10","length":2,"fields":["source.ip","id"],"flatten":true}`,
		"application/x-www-form-urlencoded": "date=-1&expression=ip.src+%3D%3D+10&length=2&fields=source.ip,id&flatten=1",
	} {
		// The body wins.
		resp, err := http.Post(s.URL+"/api/sessions?expression=tags&length=50", kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var a answer
		err = json.NewDecoder(resp.Body).Decode(&a)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != 200 || len(a.Data) != 2 || a.Data[0]["source.ip"] == nil {
			t.Errorf("%s: %d %v %+v", kind, resp.StatusCode, err, a)
		}
	}
	for kind, body := range map[string]string{"application/json": `[1]`, "text/plain": "x", "": "x"} {
		resp, err := http.Post(s.URL+"/api/sessions", kind, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 400 {
			t.Errorf("%q with %s: %d", kind, body, resp.StatusCode)
		}
	}
}

func TestAPISession(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 300)
	s := newAPI(t, nil)
	id, node := docs[5].String(spi.ID), docs[5].String(spi.Node)
	for _, path := range []string{"/api/session/" + node + "/" + id, "/api/session/" + id} {
		_, body, _ := get(t, s.URL+path)
		if got, want := strings.TrimSpace(body), string(docs[5].AppendJSON(nil, nil)); got != want {
			t.Errorf("%s:\n got %s\nwant %s", path, got, want)
		}
	}
	if a := getJSON(t, s.URL+"/api/session/elsewhere/"+id, 404); !strings.Contains(a.Error, "node") {
		t.Errorf("wrong node: %+v", a)
	}
}

func TestAPICSV(t *testing.T) {
	reg := exprtest.Registry()
	d := reg.NewDocument()
	d.SetString(spi.ID, "240229-a")
	d.SetInt(spi.FirstPacket, 1709164800123)
	d.SetInt(spi.LastPacket, 1709164800123)
	d.SetString(spi.SourceIP, "10.0.0.1")
	d.AddString(spi.Tags, "=cmd|' /C calc'!A0")
	d.AddString(spi.Tags, "two")
	d.AddString(spi.User, "a\"b,c")
	s := newAPI(t, &reference{reg, []*spi.Document{d}})
	status, body, header := get(t, s.URL+"/api/sessions.csv?date=-1&fields=firstPacket,source.ip,tags,user,bytes")
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	want := [][]string{{"Start time", "Src IP", "Tags", "User", "Bytes"}, {"2024-02-29T00:00:00.123Z", "10.0.0.1", "'=cmd|' /C calc'!A0, two", `a"b,c`, ""}}
	if status != 200 || err != nil || fmt.Sprint(rows) != fmt.Sprint(want) || !strings.HasPrefix(header.Get("Content-Type"), "text/csv") {
		t.Errorf("%d %v\n got %q\nwant %q", status, err, rows, want)
	}
	getJSON(t, s.URL+"/api/sessions.csv?expression=x", 400)
	getJSON(t, s.URL+"/api/sessions/csv/any-name?ids=nothing", 404)
	all := newAPI(t, nil)
	for query, want := range map[string]int{"date=-1": 300, "date=-1&length=10": 10, "date=-1&expression=" + url.QueryEscape("tags == nothing"): 0} {
		_, body, _ := get(t, all.URL+"/api/sessions/csv/x.csv?"+query)
		if got := strings.Count(body, "\n") - 1; got != want {
			t.Errorf("%s: %d rows, want %d", query, got, want)
		}
	}
}

func TestAPISPIGraph(t *testing.T) {
	s := newAPI(t, nil)
	_, body, _ := get(t, s.URL+"/api/spigraph?date=-1&exp=tags&size=3")
	var a struct {
		Items []struct {
			Name  string
			Count int
			Graph map[string]any
		}
		Graph           map[string]any
		RecordsFiltered int
	}
	if err := json.Unmarshal([]byte(body), &a); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	if len(a.Items) != 3 || a.RecordsFiltered != 300 || a.Items[0].Count < a.Items[1].Count || a.Items[0].Graph["sessionsTotal"] != float64(a.Items[0].Count) {
		t.Errorf("got %+v", a)
	}
	reg := exprtest.Registry()
	count := 0
	for _, d := range exprtest.Documents(reg, 300) {
		if parse(t, reg, "tags == [\""+strings.ReplaceAll(a.Items[0].Name, `"`, `\"`)+"\"]").Match(d) {
			count++
		}
	}
	if a.Items[0].Count != count && !strings.Contains(a.Items[0].Name, "*") {
		t.Errorf("%q is counted %d times, %d sessions have it", a.Items[0].Name, a.Items[0].Count, count)
	}
	getJSON(t, s.URL+"/api/spigraph?exp=nothing", 400)
}

func TestAPIFields(t *testing.T) {
	s := newAPI(t, nil)
	_, body, _ := get(t, s.URL+"/api/fields")
	var list []fieldInfo
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(f fieldInfo) bool { return f.Exp == "ip.src" })
	if i < 0 || list[i].DBField2 != "source.ip" || list[i].Type != "ip" || list[i].FriendlyName == "" || list[i].Help == "" {
		t.Errorf("ip.src: %+v", list)
	}
	reg := exprtest.Registry()
	for _, f := range list {
		if f.Exp == "" || len(reg.ByExpr(f.Exp)) == 0 && !strings.HasPrefix(f.Exp, "payload8") {
			t.Errorf("%+v cannot be searched by its name", f)
		}
	}
	_, body, _ = get(t, s.URL+"/api/fields?array=false")
	var byName map[string]fieldInfo
	if err := json.Unmarshal([]byte(body), &byName); err != nil || byName["ip.src"].DBField2 != "source.ip" {
		t.Errorf("map: %v %v", err, byName["ip.src"])
	}
}

func TestAPIPages(t *testing.T) {
	s := newAPI(t, nil)
	for path, want := range map[string]string{"/healthz": "ok", "/readyz": "ok", "/metrics": "wirelake_query_requests_total"} {
		if path == "/metrics" {
			get(t, s.URL+"/healthz") // so that there is something to count
		}
		status, body, _ := get(t, s.URL+path)
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200s", path, status, body)
		}
	}
	if status, body, _ := get(t, s.URL+"/sessions?expression=x"); status != 200 && status != 503 || !strings.Contains(body, "<html") {
		t.Errorf("/sessions is not the GUI's page: %d %.100s", status, body)
	}
	status, _, header := get(t, s.URL+"/link?src=10.0.0.1&start=1709294400")
	if status != http.StatusFound || !strings.HasPrefix(header.Get("Location"), "/sessions?") {
		t.Errorf("/link: %d %v", status, header)
	}
	req, err := http.NewRequest(http.MethodGet, s.URL+"/api/fields", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "attacker.example"
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a request to another host's name: %d", resp.StatusCode)
	}
}

// failing is an engine whose store cannot be reached.
type failing struct{ err error }

func (f failing) Search(context.Context, *Search) (*Result, error) { return nil, f.err }
func (f failing) Each(context.Context, *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) { yield(nil, f.err) }
}
func (f failing) Get(context.Context, []string, []spi.FieldID) ([]*spi.Document, []string, error) {
	return nil, nil, f.err
}
func (f failing) Total(context.Context) (int64, error) { return 0, f.err }

func TestAPIStatus(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("list sessions/: %w", ErrUnavailable), 503},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), 504},
		{errors.New("anything else"), 500},
	} {
		s := newAPI(t, failing{c.err})
		for _, path := range []string{"/api/sessions", "/api/sessions.csv", "/api/session/a/b", "/api/spigraph"} {
			if a := getJSON(t, s.URL+path, c.status); a.Error == "" {
				t.Errorf("%s: no error text", path)
			}
		}
	}
}

func TestServe(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":8005", "192.0.2.1:80", "[::]:0", "example.org:80", "8005"} {
		if l, err := Listen(context.Background(), Config{Listen: addr}); err == nil {
			t.Errorf("listens on %s", l.Addr())
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	l, err := Listen(ctx, Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	slow := make(chan struct{})
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(slow)
			time.Sleep(200 * time.Millisecond)
		}
		_, _ = io.WriteString(w, "whole")
	})
	go func() { done <- Serve(ctx, l, h, nil) }()
	base := "http://" + l.Addr().String()
	result := make(chan string, 1)
	go func() {
		resp, err := http.Get(base + "/slow")
		if err != nil {
			result <- err.Error()
			return
		}
		defer func() { _ = resp.Body.Close() }()
		b, _ := io.ReadAll(resp.Body)
		result <- string(b)
	}()
	<-slow
	cancel() // the request under way is still answered
	if got := <-result; got != "whole" {
		t.Errorf("request during shutdown: %q", got)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
