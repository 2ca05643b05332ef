package query

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"wirelake/internal/expr/exprtest"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// stored writes documents as a compactor would, perFile rows a file, and returns the engine of the store.
func storedSessions(t testing.TB, reg *spi.Registry, docs []*spi.Document, perFile int) (*Parquet, objstore.Store) {
	t.Helper()
	ctx := context.Background()
	plain, err := objstore.Open(ctx, "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := objstore.Instrument(plain, nil, "query")
	schema, err := sessionfile.NewSchema(reg)
	if err != nil {
		t.Fatal(err)
	}
	byDay := map[string][]*spi.Document{}
	for _, d := range docs {
		first, _ := d.Int(spi.FirstPacket)
		day := DayName(DayOf(first))
		byDay[day] = append(byDay[day], d)
	}
	for day, docs := range byDay {
		n := 0
		for part := range slices.Chunk(docs, perFile) {
			var b bytes.Buffer
			w, err := sessionfile.NewWriter(&b, schema, sessionfile.Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range part {
				if err := w.Write(d); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := w.Close(); err != nil {
				t.Fatal(err)
			}
			n++
			if _, err := objstore.PutBytes(ctx, store, "sessions/day="+day+"/sensor=s/"+string(rune('a'+n%26))+strings.Repeat("z", n/26)+".parquet", b.Bytes()); err != nil {
				t.Fatal(err)
			}
		}
	}
	engine, err := NewParquet(store, reg, DefaultParquetConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return engine, store
}

// TestParquetDifferential runs every expression on Parquet and on the documents themselves.
func TestParquetDifferential(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	engine, _ := storedSessions(t, reg, docs, 200)
	want := &reference{reg, docs}
	for _, text := range exprtest.Expressions() {
		s := &Search{Expr: parse(t, reg, text), Fields: []spi.FieldID{}}
		if got, want := ids(t, engine, s), ids(t, want, s); !slices.Equal(got, want) {
			t.Errorf("%s: Parquet finds %d, the documents have %d%s", text, len(got), len(want), difference(docs, s.Expr, got, want))
		}
		found, err := engine.Search(context.Background(), s)
		if err != nil {
			t.Fatal(err)
		}
		if n := int64(len(ids(t, want, s))); found.Total != n {
			t.Errorf("%s: Parquet counts %d, the documents are %d", text, found.Total, n)
		}
	}
}

func TestParquetSearch(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	engine, _ := storedSessions(t, reg, docs, 200)
	compareSearches(t, reg, engine, &reference{reg, docs})

	ctx := context.Background()
	if n, err := engine.Total(ctx); n != sampleSize || err != nil {
		t.Errorf("Total: %d, %v", n, err)
	}
	asked := []string{docs[7].String(spi.ID), "nothing", docs[3].String(spi.ID), "240229-nothing"}
	found, warnings, err := engine.Get(ctx, asked, nil)
	if err != nil || len(warnings) > 0 || len(found) != 4 || found[1] != nil || found[3] != nil {
		t.Fatalf("Get(%v): %v, %v, %v", asked, found, warnings, err)
	}
	for i, d := range map[int]*spi.Document{0: docs[7], 2: docs[3]} {
		if got, want := string(found[i].AppendJSON(nil, nil)), string(d.AppendJSON(nil, nil)); got != want {
			t.Errorf("document:\n got %s\nwant %s", got, want)
		}
	}
}

func TestParquetSkipsDamagedFiles(t *testing.T) {
	reg := exprtest.Registry()
	docs := exprtest.Documents(reg, sampleSize)
	engine, store := storedSessions(t, reg, docs, 100)
	ctx := context.Background()
	var keys []string
	for obj, err := range store.List(ctx, "sessions/", "") {
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, obj.Key)
	}
	lost := int64(0)
	for i, damage := range []func([]byte) []byte{
		func(b []byte) []byte { return b[:len(b)-5] },                               // cut
		func(b []byte) []byte { clear(b[100:400]); return b },                       // a page
		func([]byte) []byte { return []byte("this is no Parquet file at all") },     // something else
		func(b []byte) []byte { copy(b[len(b)-600:], make([]byte, 300)); return b }, // the footer
		func(b []byte) []byte { clear(b[4 : len(b)/2]); return b },                  // a hole
	} {
		key := keys[i*2]
		b, _, err := objstore.GetAll(ctx, store, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := objstore.PutBytes(ctx, store, key, damage(b)); err != nil {
			t.Fatal(err)
		}
		lost += 100
	}
	s := &Search{Expr: parse(t, reg, "ip.src != 250.250.250.250"), Length: sampleSize, Sort: []Sort{{Field: spi.FirstPacket}}}
	result, err := engine.Search(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if !slices.ContainsFunc(result.Warnings, func(w string) bool { return strings.HasPrefix(w, keys[i*2]) }) {
			t.Errorf("no warning names %s: %q", keys[i*2], result.Warnings)
		}
	}
	if n := int64(len(result.Rows)); n < sampleSize-lost || n == sampleSize {
		t.Errorf("%d rows of %d, %d at most are lost", n, sampleSize, lost)
	}
	warned, rows := 0, int64(0)
	for d, err := range engine.Each(ctx, s) {
		var w *Warning
		switch {
		case errors.As(err, &w):
			warned++
		case err != nil:
			t.Fatal(err)
		case d != nil:
			rows++
		}
	}
	if warned != 5 || rows < sampleSize-lost {
		t.Errorf("Each: %d warnings, %d rows", warned, rows)
	}
}
