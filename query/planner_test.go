package query

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"wirelake/internal/elastic"
	"wirelake/internal/expr/exprtest"
	"wirelake/internal/objstore"
	"wirelake/internal/spi"
	"wirelake/testenv"
)

func TestDays(t *testing.T) {
	d := daysOf([]int{5, 3, 4, 9, 3})
	if want := (Days{{3, 5}, {9, 9}}); !slices.Equal(d, want) {
		t.Fatalf("daysOf: got %v, want %v", d, want)
	}
	c := d.complement()
	if want := (Days{{firstDay, 2}, {6, 8}, {10, lastDay}}); !slices.Equal(c, want) {
		t.Errorf("complement: got %v, want %v", c, want)
	}
	if got := c.complement(); !slices.Equal(got, d) {
		t.Errorf("complement of the complement: got %v, want %v", got, d)
	}
	if got := d.intersect(Days{{0, 4}, {9, 20}}); !slices.Equal(got, Days{{3, 4}, {9, 9}}) {
		t.Errorf("intersect: got %v", got)
	}
	if got := Days(nil).intersect(d); !slices.Equal(got, d) {
		t.Errorf("all days and some: got %v", got)
	}
	if noDays().Contains(0) || !Days(nil).Contains(0) {
		t.Error("no days and all days are mistaken for each other")
	}
	for ms, want := range map[int64]int{0: 0, 86399999: 0, 86400000: 1, -1: -1, -86400000: -1, -86400001: -2} {
		if got := DayOf(ms); got != want {
			t.Errorf("DayOf(%d): got %d, want %d", ms, got, want)
		}
	}
}

// planned returns a planner whose Elasticsearch holds the given days of the documents.
func planned(t *testing.T, reg *spi.Registry, docs []*spi.Document, es *testenv.Elastic, held ...int) *Planner {
	t.Helper()
	cfg := elastic.DefaultConfig()
	cfg.URLs, cfg.IndexPrefix = []string{es.URL}, es.Prefix
	client, err := elastic.New(cfg, reg, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	store, err := objstore.Open(context.Background(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var there []*spi.Document
	for _, d := range docs {
		if slices.Contains(held, dayOfFirst(d)) {
			there = append(there, d)
		}
	}
	index(t, client, there)
	err = elastic.UpdateDays(context.Background(), store, func(days elastic.Days) bool {
		for _, day := range held {
			days[DayName(day)] = elastic.Day{Whole: true}
		}
		days["2024-03-05"] = elastic.Day{} // is being filled
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return NewPlanner(&reference{reg, docs}, NewElastic(client, reg, nil), store, reg, nil)
}

func TestPlanner(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	first := DayOf(exprtest.First().UnixMilli())
	es := testenv.NewElasticsearch(t)
	planner := planned(t, reg, docs, es, first, first+2) // a hole between
	want := &reference{reg, docs}
	compareSearches(t, reg, planner, want)

	ctx := context.Background()
	for _, text := range []string{"", "ip == 10", "http.user-agent == curl*", "tags == nothing", "id == \"" + docs[3].String(spi.ID) + "\""} {
		s := &Search{Expr: parse(t, reg, text), Fields: []spi.FieldID{spi.ChunkKey, spi.SourceIP}}
		if got, want := ids(t, planner, s), ids(t, want, s); !slices.Equal(got, want) {
			t.Errorf("Each of %q: got %d, want %d", text, len(got), len(want))
		}
		days := []int{}
		for d, err := range planner.Each(ctx, s) {
			if err != nil {
				t.Fatal(err)
			}
			days = append(days, dayOfFirst(d))
		}
		if !slices.IsSorted(days) {
			t.Errorf("Each of %q: days are not in order", text)
		}
	}

	// Fields that are not hot come from Parquet, also for what Elasticsearch found.
	agent, _ := reg.ByPath("http.useragent")
	s := &Search{Expr: parse(t, reg, "packets > 10"), Sort: []Sort{{Field: spi.FirstPacket}}, Length: 500, Fields: []spi.FieldID{agent.ID}, Explain: true}
	result, err := planner.Search(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range result.Rows {
		if d.Has(agent.ID) && (dayOfFirst(d) == first || dayOfFirst(d) == first+2) {
			seen++
		}
	}
	if seen == 0 {
		t.Error("no row of the days in Elasticsearch has its cold field")
	}
	if e := result.Explain; e == nil || len(e.Parts) != 2 || !strings.Contains(e.Notes[0], "Elasticsearch holds 2024-02-29, 2024-03-02 of the days searched") {
		t.Errorf("explain: %+v", e)
	}

	// An index deleted behind our back is noticed, and its day read from Parquet.
	if err := planner.elastic.client.DeleteIndex(ctx, DayName(first)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(heldFor)
	compareSearches(t, reg, planner, want)

	// Elasticsearch gone: the same answers, and a word about it.
	es.Stop()
	for _, text := range []string{"", "ip == 10"} {
		s := &Search{Expr: parse(t, reg, text), Sort: []Sort{{Field: spi.FirstPacket}}, Length: 50, Explain: true}
		got, err := planner.Search(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		reference, err := want.Search(ctx, s)
		if err != nil {
			t.Fatal(err)
		}
		if got.Total != reference.Total || !slices.Equal(rowIDs(got.Rows), rowIDs(reference.Rows)) {
			t.Errorf("%q without Elasticsearch: got %d, want %d", text, got.Total, reference.Total)
		}
		// The second search leaves it out from the start.
		if e := got.Explain; e == nil || !strings.Contains(e.Notes[0], "Elasticsearch did not answer") {
			t.Errorf("explain: %+v", got.Explain)
		}
		if got, want := ids(t, planner, s), ids(t, want, s); !slices.Equal(got, want) {
			t.Errorf("Each of %q without Elasticsearch: got %d, want %d", text, len(got), len(want))
		}
	}
}
