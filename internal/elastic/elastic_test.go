package elastic_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/elastic"
	"wirelake/internal/expr/exprtest"
	"wirelake/internal/spi"
	"wirelake/testenv"
)

const day = "2024-02-29"

func newClient(t *testing.T, url, prefix string, reg *spi.Registry, log *slog.Logger, prom prometheus.Registerer) *elastic.Client {
	t.Helper()
	cfg := elastic.DefaultConfig()
	// A node that has just started takes its time on a busy machine.
	cfg.URLs, cfg.IndexPrefix, cfg.Timeout, cfg.RetryFor = []string{url}, prefix, time.Minute, 10*time.Minute
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := elastic.New(cfg, reg, log, prom)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func prepare(t *testing.T, c *elastic.Client) {
	t.Helper()
	if err := c.EnsureTemplate(context.Background()); err != nil {
		t.Fatal(err)
	}
	if created, err := c.EnsureIndex(context.Background(), day); err != nil || !created {
		t.Fatalf("EnsureIndex: %v, %v", created, err)
	}
	if created, err := c.EnsureIndex(context.Background(), day); err != nil || created {
		t.Fatalf("EnsureIndex again: %v, %v", created, err)
	}
}

func body(docs []*spi.Document) *elastic.Body {
	b := &elastic.Body{}
	for _, d := range docs {
		b.Add(d)
	}
	return b
}

// compare holds that the index has exactly the hot documents of docs.
func compare(t *testing.T, c *elastic.Client, docs []*spi.Document) {
	t.Helper()
	ctx := context.Background()
	if err := c.Refresh(ctx, day); err != nil {
		t.Fatal(err)
	}
	answer, err := c.Search(ctx, map[string]any{"size": 10000, "track_total_hits": true})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, h := range answer.Hits.Hits {
		got[h.ID] = string(h.Source)
	}
	if len(got) != len(docs) || answer.Hits.Total.Value != int64(len(docs)) {
		t.Fatalf("the index has %d documents, want %d", answer.Hits.Total.Value, len(docs))
	}
	for _, d := range docs {
		if want := string(elastic.AppendHot(nil, d)); got[d.String(spi.ID)] != want {
			t.Fatalf("%s:\n got %s\nwant %s", d.String(spi.ID), got[d.String(spi.ID)], want)
		}
	}
}

func TestBulk(t *testing.T) {
	es := testenv.Elasticsearch(t)
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 2000)
	c := newClient(t, es.URL, es.Prefix, reg, nil, nil)
	prepare(t, c)
	for range 2 { // by id: the second time replaces
		if rejected, err := c.Bulk(context.Background(), day, body(docs)); rejected != 0 || err != nil {
			t.Fatalf("Bulk: %d rejected, %v", rejected, err)
		}
		compare(t, c, docs)
	}
	days, err := c.Indices(context.Background())
	if err != nil || len(days) != 1 || days[0].Day != day || days[0].Documents != 2000 || days[0].SizeBytes <= 0 {
		t.Errorf("Indices: %+v, %v", days, err)
	}
	if err := c.DeleteIndex(context.Background(), day); err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteIndex(context.Background(), day); err != nil {
		t.Errorf("deleting what is not there: %v", err)
	}
}

// TestNewFields holds that an index that was made before a field was declared takes documents with it.
func TestNewFields(t *testing.T) {
	es := testenv.Elasticsearch(t)
	prepare(t, newClient(t, es.URL, es.Prefix, spi.NewRegistry().Freeze(), nil, nil))
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 500)
	c := newClient(t, es.URL, es.Prefix, reg, nil, nil)
	if created, err := c.EnsureIndex(context.Background(), day); err != nil || created {
		t.Fatalf("EnsureIndex: %v, %v", created, err)
	}
	if rejected, err := c.Bulk(context.Background(), day, body(docs)); rejected != 0 || err != nil {
		t.Fatalf("Bulk: %d rejected, %v", rejected, err)
	}
	compare(t, c, docs)
}

// TestBulkFaults puts a faulty network between: what Bulk says is indexed is, once and whole.
func TestBulkFaults(t *testing.T) {
	es := testenv.Elasticsearch(t)
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 400)
	for name, fault := range map[string]func(*testenv.FaultyProxy){
		"down at the start":  func(p *testenv.FaultyProxy) { p.Down() },
		"connections reset":  func(p *testenv.FaultyProxy) { p.Reset(0) },
		"answers cut":        func(p *testenv.FaultyProxy) { p.Truncate(50) },
		"requests cut":       func(p *testenv.FaultyProxy) { p.TruncateRequests(100_000) },
		"answers do not end": func(p *testenv.FaultyProxy) { p.Hang(200 * time.Millisecond) },
	} {
		t.Run(name, func(t *testing.T) {
			direct := newClient(t, es.URL, es.Prefix, reg, nil, nil)
			prepare(t, direct)
			defer func() {
				if err := direct.DeleteIndex(context.Background(), day); err != nil {
					t.Error(err)
				}
			}()
			proxy := testenv.Proxy(t, es.Addr())
			prom := prometheus.NewRegistry()
			c := newClient(t, "http://"+proxy.Addr(), es.Prefix, reg, nil, prom)
			fault(proxy)
			type outcome struct {
				rejected int
				err      error
			}
			ended := make(chan outcome, 1)
			go func() {
				rejected, err := c.Bulk(context.Background(), day, body(docs))
				ended <- outcome{rejected, err}
			}()
			for metric(t, prom, "wirelake_elastic_bulk_failures_total") < 2 {
				select {
				case o := <-ended:
					t.Fatalf("the fault was none: %d rejected, %v", o.rejected, o.err)
				case <-time.After(10 * time.Millisecond):
				}
			}
			proxy.Clear()
			if name == "down at the start" {
				proxy.Up()
			}
			if o := <-ended; o.rejected != 0 || o.err != nil {
				t.Fatalf("Bulk: %d rejected, %v", o.rejected, o.err)
			}
			compare(t, direct, docs)
		})
	}
}

func metric(t *testing.T, prom *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := prom.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

func TestBulkEndsWithContext(t *testing.T) {
	es := testenv.Elasticsearch(t)
	proxy := testenv.Proxy(t, es.Addr())
	proxy.Down()
	reg := exprtest.Registry()
	c := newClient(t, "http://"+proxy.Addr(), es.Prefix, reg, nil, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	if _, err := c.Bulk(ctx, day, body(exprtest.Documents(reg, 1))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// TestNodeDies kills the node among the bulks and starts it again: nothing that was answered is lost, and all ends
// up there once.
func TestNodeDies(t *testing.T) {
	es := testenv.NewElasticsearch(t)
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 3000)
	c := newClient(t, es.URL, es.Prefix, reg, nil, nil)
	prepare(t, c)
	var group sync.WaitGroup
	errs := make(chan error, 100)
	for part := range slices.Chunk(docs, 100) {
		group.Add(1)
		go func() {
			defer group.Done()
			if rejected, err := c.Bulk(context.Background(), day, body(part)); rejected != 0 || err != nil {
				errs <- fmt.Errorf("%d rejected, %w", rejected, err)
			}
		}()
		if part[0] == docs[1000] {
			es.Stop()
		}
		if part[0] == docs[2000] {
			es.Start(t)
		}
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	compare(t, c, docs)
}

// TestBusy lets the node refuse with 429 what comes while it works: a small indexing pressure limit does.
func TestBusy(t *testing.T) {
	es := testenv.NewElasticsearch(t, "indexing_pressure.memory.limit=400kb")
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 4000)
	prom := prometheus.NewRegistry()
	c := newClient(t, es.URL, es.Prefix, reg, nil, prom)
	prepare(t, c)
	var group sync.WaitGroup
	errs := make(chan error, 100)
	var bodies []*elastic.Body // made before, so that all come at once
	for part := range slices.Chunk(docs, 100) {
		bodies = append(bodies, body(part))
	}
	for _, b := range bodies {
		group.Add(1)
		go func() {
			defer group.Done()
			if rejected, err := c.Bulk(context.Background(), day, b); rejected != 0 || err != nil {
				errs <- fmt.Errorf("%d rejected, %w", rejected, err)
			}
		}()
	}
	group.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
	compare(t, c, docs)
	refused := metric(t, prom, "wirelake_elastic_bulk_failures_total") + metric(t, prom, "wirelake_elastic_documents_retried_total")
	t.Logf("refused %v times", refused)
	if refused == 0 {
		t.Error("nothing was refused: the test shows nothing")
	}
}

// TestRejected indexes documents of which some have a field that the strict mapping does not know.
func TestRejected(t *testing.T) {
	es := testenv.Elasticsearch(t)
	newer := spi.NewRegistry()
	unknown := newer.Declare(spi.Field{Path: "of.tomorrow", Type: spi.Term, Hot: true})
	newer.Freeze()
	var docs, good []*spi.Document
	for i := range 20 {
		d := newer.NewDocument()
		d.SetString(spi.ID, fmt.Sprintf("240229-%d", i))
		d.SetString(spi.Node, "a")
		if i%5 == 0 {
			d.SetString(unknown, "x")
		} else {
			good = append(good, d)
		}
		docs = append(docs, d)
	}
	var log bytes.Buffer
	prom := prometheus.NewRegistry()
	c := newClient(t, es.URL, es.Prefix, spi.NewRegistry().Freeze(), slog.New(slog.NewJSONHandler(&log, nil)), prom)
	prepare(t, c)
	rejected, err := c.Bulk(context.Background(), day, body(docs))
	if rejected != 4 || err != nil {
		t.Fatalf("got %d rejected, %v; want 4", rejected, err)
	}
	compare(t, c, good)
	if n := metric(t, prom, "wirelake_elastic_documents_rejected_total"); n != 4 {
		t.Errorf("counted %v", n)
	}
	for _, id := range []string{"240229-0", "240229-5", "240229-10", "240229-15"} {
		if !strings.Contains(log.String(), `"id":"`+id+`"`) {
			t.Errorf("%s is not in the log: %s", id, log.String())
		}
	}
}

func TestMapping(t *testing.T) {
	reg := exprtest.Registry()
	b, err := json.Marshal(elastic.Mapping(reg))
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Dynamic    string
		Properties map[string]any
	}
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	if m.Dynamic != "strict" {
		t.Errorf("dynamic is %q", m.Dynamic)
	}
	for path, want := range map[string]string{
		"source.ip": `{"type":"ip"}`, "firstPacket": `{"format":"epoch_millis","type":"date"}`, "source.port": `{"type":"long"}`,
		"network.bytes": `{"index":false,"type":"long"}`, "http.uri": `{"doc_values":false,"ignore_above":8191,"type":"keyword"}`,
		"node": `{"ignore_above":8191,"type":"keyword"}`, "dns.ip": `{"doc_values":false,"type":"ip"}`, "http.useragent": "null", "id": "null",
	} {
		var at any = m.Properties
		for i, s := range strings.Split(path, ".") {
			if i > 0 {
				at = at.(map[string]any)["properties"]
			}
			at = at.(map[string]any)[s]
		}
		if got, _ := json.Marshal(at); string(got) != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*elastic.Config){
		"urls":         func(c *elastic.Config) { c.URLs = []string{"localhost:9200"} },
		"index_prefix": func(c *elastic.Config) { c.IndexPrefix = "Upper-" },
		"bulk_bytes":   func(c *elastic.Config) { c.BulkBytes = 1 },
		"retry_for":    func(c *elastic.Config) { c.RetryFor = 0 },
		"timeout":      func(c *elastic.Config) { c.Timeout = -1 },
		"replicas":     func(c *elastic.Config) { c.Replicas = -1 },
		"api_key":      func(c *elastic.Config) { c.APIKey, c.Username = "a", "b" },
	} {
		c := elastic.DefaultConfig()
		if err := c.Validate(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+":") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func BenchmarkAppendHot(b *testing.B) {
	docs := exprtest.Documents(exprtest.Registry(), 1000)
	var buf []byte
	n := 0
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		buf = elastic.AppendHot(buf[:0], docs[i%len(docs)])
		n += len(buf)
	}
	b.SetBytes(int64(n / b.N))
}
