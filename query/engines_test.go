package query

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"wirelake/internal/elastic"
	"wirelake/internal/expr"
	"wirelake/internal/expr/exprtest"
	"wirelake/internal/spi"
	"wirelake/testenv"
)

// sampleSize is how many documents the engines are compared on.
const sampleSize = 1500

// indexed returns an engine of a real Elasticsearch that holds the documents.
func indexed(t *testing.T, reg *spi.Registry, docs []*spi.Document) (*Elastic, *elastic.Client) {
	t.Helper()
	es := testenv.Elasticsearch(t)
	cfg := elastic.DefaultConfig()
	cfg.URLs, cfg.IndexPrefix = []string{es.URL}, es.Prefix
	client, err := elastic.New(cfg, reg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	index(t, client, docs)
	return NewElastic(client, reg, nil), client
}

func index(t *testing.T, client *elastic.Client, docs []*spi.Document) {
	t.Helper()
	ctx := context.Background()
	if err := client.EnsureTemplate(ctx); err != nil {
		t.Fatal(err)
	}
	days := map[string]*elastic.Body{}
	for _, d := range docs {
		first, _ := d.Int(spi.FirstPacket)
		day := DayName(DayOf(first))
		if days[day] == nil {
			days[day] = &elastic.Body{}
		}
		days[day].Add(d)
	}
	for day, body := range days {
		if _, err := client.EnsureIndex(ctx, day); err != nil {
			t.Fatal(err)
		}
		if rejected, err := client.Bulk(ctx, day, body); err != nil || rejected > 0 {
			t.Fatalf("index %s: %d rejected, %v", day, rejected, err)
		}
		if err := client.Refresh(ctx, day); err != nil {
			t.Fatal(err)
		}
	}
}

func parse(t *testing.T, reg *spi.Registry, text string) *expr.Expr {
	t.Helper()
	e, err := expr.Parse(text, reg, exprtest.Now())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return e
}

func ids(t *testing.T, e Engine, s *Search) []string {
	t.Helper()
	var out []string
	for d, err := range e.Each(context.Background(), s) {
		if err != nil {
			t.Fatalf("%s: %v", s.Expr, err)
		}
		out = append(out, d.String(spi.ID))
	}
	slices.Sort(out)
	return out
}

// difference shows the first document that only one side found.
func difference(docs []*spi.Document, e *expr.Expr, got, want []string) string {
	for _, d := range docs {
		id := d.String(spi.ID)
		if slices.Contains(got, id) != slices.Contains(want, id) {
			keep := func(f *spi.Field) bool { return slices.Contains(e.Fields(), f) }
			return fmt.Sprintf(", for example %s %s; query %v", id, d.AppendJSON(nil, keep), e.Elastic())
		}
	}
	return ""
}

// searches are searches whose whole answers, order included, engines must agree on.
func searches(t *testing.T, reg *spi.Registry) map[string]*Search {
	noon := exprtest.First().Add(36 * time.Hour).UnixMilli()
	day := DayOf(exprtest.First().UnixMilli())
	byTime := []Sort{{Field: spi.FirstPacket}, {Field: spi.Length}}
	out := map[string]*Search{
		"everything": {Expr: parse(t, reg, ""), Sort: byTime, Length: 2000},
		// Past what Elasticsearch pages to without a point in time.
		"a long page":     {Expr: parse(t, reg, "packets > 5"), Sort: byTime, Start: 10, Length: 150_000},
		"nothing":         {Expr: parse(t, reg, "tags == nothing"), Sort: byTime, Length: 10, Histogram: &Histogram{Field: spi.FirstPacket, Interval: time.Hour}},
		"only the number": {Expr: parse(t, reg, "ip == 10")},
		"a page":          {Expr: parse(t, reg, "ip == 10"), Sort: byTime, Start: 100, Length: 50},
		"past the end":    {Expr: parse(t, reg, "ip == 10"), Sort: byTime, Start: 100000, Length: 50},
		"two days of three": {Expr: parse(t, reg, ""), Sort: byTime, Length: 2000,
			Days: Days{{day, day}, {day + 2, day + 5}}},
		"histogram of first packets": {Expr: parse(t, reg, "port == 80"), Histogram: &Histogram{Field: spi.FirstPacket, Interval: time.Hour}},
		"histogram of last packets":  {Expr: parse(t, reg, "port == 80"), Histogram: &Histogram{Field: spi.LastPacket, Interval: time.Minute}},
	}
	for name, bounding := range map[string]Bounding{"first": BoundingFirst, "last": BoundingLast, "both": BoundingBoth, "either": BoundingEither, "database": BoundingDatabase} {
		for _, w := range []Window{{From: noon - 300_000, To: noon + 300_000}, {From: noon}, {To: noon}} {
			w.Bounding = bounding
			out[fmt.Sprintf("bounding %s from %d to %d", name, w.From, w.To)] = &Search{Expr: parse(t, reg, ""), Window: w, Sort: byTime, Length: 2000,
				Histogram: &Histogram{Field: spi.FirstPacket, Interval: time.Minute}}
		}
	}
	for _, by := range []spi.FieldID{spi.FirstPacket, spi.LastPacket, spi.SourceIP, spi.DestinationIP, spi.SourcePort, spi.NetworkBytes, spi.SourceCountry, spi.Node} {
		for _, descending := range []bool{false, true} {
			// The start time makes the order one of a kind.
			out[fmt.Sprintf("by %s descending %v", reg.Field(by).Path, descending)] = &Search{
				Expr: parse(t, reg, "packets > 20"), Sort: []Sort{{by, descending}, {spi.FirstPacket, false}}, Length: 2000}
		}
	}
	return out
}

// foundIDs is [ids] by one search.
func foundIDs(t *testing.T, e Engine, s *Search) []string {
	t.Helper()
	page := *s
	page.Length = sampleSize
	result, err := e.Search(context.Background(), &page)
	if err != nil {
		t.Fatalf("%s: %v", s.Expr, err)
	}
	out := rowIDs(result.Rows)
	slices.Sort(out)
	return out
}

func rowIDs(rows []*spi.Document) []string {
	out := make([]string, 0, len(rows))
	for _, d := range rows {
		out = append(out, d.String(spi.ID))
	}
	return out
}

// compareSearches runs [searches] on both engines.
func compareSearches(t *testing.T, reg *spi.Registry, got, want Engine) {
	for name, s := range searches(t, reg) {
		g, err := got.Search(context.Background(), s)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		w, err := want.Search(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		if g.Total != w.Total || !slices.Equal(rowIDs(g.Rows), rowIDs(w.Rows)) || !reflect.DeepEqual(g.Buckets, w.Buckets) || len(g.Warnings) > 0 {
			t.Errorf("%s:\n got %d %.6v %.2v %v\nwant %d %.6v %.2v", name, g.Total, head(rowIDs(g.Rows)), head(g.Buckets), g.Warnings, w.Total, head(rowIDs(w.Rows)), head(w.Buckets))
		}
	}
}

func head[T any](s []T) []T { return s[:min(len(s), 5)] }

func TestElasticSearch(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	engine, _ := indexed(t, reg, docs)
	compareSearches(t, reg, engine, &reference{reg, docs})

	ctx := context.Background()
	if n, err := engine.Total(ctx); n != sampleSize || err != nil {
		t.Errorf("Total: %d, %v", n, err)
	}
	asked := []string{docs[7].String(spi.ID), "nothing", docs[3].String(spi.ID)}
	found, _, err := engine.Get(ctx, asked, nil)
	if err != nil || len(found) != 3 || found[0].String(spi.ID) != asked[0] || found[1] != nil || found[2].String(spi.ID) != asked[2] {
		t.Errorf("Get(%v): %v, %v", asked, found, err)
	}
	hot := func(f *spi.Field) bool { return elastic.Indexed(f) || f.ID == spi.ID }
	if got, want := string(found[0].AppendJSON(nil, nil)), string(docs[7].AppendJSON(nil, hot)); got != want {
		t.Errorf("hot document:\n got %s\nwant %s", got, want)
	}
	if _, err := engine.Search(ctx, &Search{Expr: parse(t, reg, "http.user-agent == x")}); err == nil {
		t.Error("a field that is not hot was searched")
	}
}
