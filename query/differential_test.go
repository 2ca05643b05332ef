package query

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing"

	"wirelake/internal/expr/exprtest"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// stored returns a store whose Parquet files hold the documents, two files to each day and sensor.
func stored(t testing.TB, reg *spi.Registry, docs []*spi.Document) objstore.Store {
	t.Helper()
	ctx := context.Background()
	store, err := objstore.Open(ctx, "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	schema, err := sessionfile.NewSchema(reg)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]*spi.Document{}
	for i, d := range docs {
		key := fmt.Sprintf("sessions/day=%s/sensor=%s/%d.parquet", DayName(dayOfFirst(d)), d.String(spi.Node), i%2)
		files[key] = append(files[key], d)
	}
	for key, docs := range files {
		var b bytes.Buffer
		w, err := sessionfile.NewWriter(&b, schema, sessionfile.Options{Sensor: docs[0].String(spi.Node)})
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			if err := w.Write(d); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := objstore.PutBytes(ctx, store, key, b.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

func parquetOf(t testing.TB, reg *spi.Registry, store objstore.Store) *Parquet {
	t.Helper()
	p, err := NewParquet(store, reg, DefaultParquetConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestDifferential runs every expression on Parquet files, on Elasticsearch, on the planner that divides the days between
// them, and on the documents themselves: all find the same sessions.
func TestDifferential(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	parquet := parquetOf(t, reg, stored(t, reg, docs))
	es, _ := indexed(t, reg, docs)
	first := DayOf(exprtest.First().UnixMilli())
	planner := NewPlanner(parquet, es, nil, reg, nil)
	planner.held = func(context.Context) (Days, error) { return Days{{first + 1, first + 1}}, nil }
	want := &reference{reg, docs}
	engines := []struct {
		name    string
		engine  Engine
		hotOnly bool
	}{{"Parquet", parquet, false}, {"Elasticsearch", es, true}, {"the planner", planner, false}}
	compared := map[string]int{}
	for _, text := range exprtest.Expressions() {
		e := parse(t, reg, text)
		s := &Search{Expr: e, Fields: []spi.FieldID{}}
		want := ids(t, want, s)
		for _, c := range engines {
			if c.hotOnly && !e.UsesOnlyHot() {
				continue
			}
			compared[c.name]++
			find := ids
			if c.hotOnly {
				find = foundIDs // one request instead of three
			}
			if got := find(t, c.engine, s); !slices.Equal(got, want) {
				t.Errorf("%s: %s finds %d, the documents have %d%s", text, c.name, len(got), len(want), difference(docs, e, got, want))
			}
		}
	}
	t.Logf("expressions compared: %v", compared)
	if compared["Parquet"] < 150 || compared["Elasticsearch"] < 150 {
		t.Errorf("too few expressions: %v", compared)
	}
}

func TestParquetSearches(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	compareSearches(t, reg, parquetOf(t, reg, stored(t, reg, docs)), &reference{reg, docs})
}

// TestParquetDocuments holds that whole documents come back as they were.
func TestParquetDocuments(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, 300)
	parquet := parquetOf(t, reg, stored(t, reg, docs))
	ctx := context.Background()
	byID := map[string]*spi.Document{}
	asked := []string{"240229-nothing"}
	for _, d := range docs {
		byID[d.String(spi.ID)] = d
		asked = append(asked, d.String(spi.ID))
	}
	found, warnings, err := parquet.Get(ctx, asked, nil)
	if err != nil || len(warnings) > 0 || len(found) != len(asked) || found[0] != nil {
		t.Fatalf("Get: %d documents, %v, %v", len(found), warnings, err)
	}
	n := 0
	check := func(d *spi.Document) {
		n++
		if got, want := string(d.AppendJSON(nil, nil)), string(byID[d.String(spi.ID)].AppendJSON(nil, nil)); got != want {
			t.Fatalf("document changed:\n got %s\nwant %s", got, want)
		}
	}
	for _, d := range found[1:] {
		check(d)
	}
	for d, err := range parquet.Each(ctx, &Search{Expr: parse(t, reg, "")}) {
		if err != nil {
			t.Fatal(err)
		}
		check(d)
	}
	if n != 2*len(docs) {
		t.Errorf("%d documents seen, want %d", n, 2*len(docs))
	}
}
