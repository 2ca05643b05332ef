package query

import (
	"bytes"
	"context"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/expr"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/sessionfile/sessiontest"
	"wirelake/internal/spi"
)

// dayOfSessions returns the engine of a store with one file of two row groups, beside days that are broken, the size of
// the file, and an address that one session has.
func dayOfSessions(t *testing.T, n int) (engine *Parquet, size int64, address string) {
	t.Helper()
	ctx := context.Background()
	plain, err := objstore.Open(ctx, "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg := dissect.New().Registry()
	schema, err := sessionfile.NewSchema(reg)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := sessionfile.NewWriter(&b, schema, sessionfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	i := 0
	for d := range sessiontest.Documents(reg, n) {
		if i++; i == n/2 {
			d.SetString(spi.DestinationIP, "203.0.113.77")
			address = "203.0.113.77"
		}
		if err := w.Write(d); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(); err != nil {
		t.Fatal(err)
	}
	store := objstore.Instrument(plain, nil, "query")
	if _, err := objstore.PutBytes(ctx, store, "sessions/day=2024-03-05/sensor=s/a.parquet", b.Bytes()); err != nil {
		t.Fatal(err)
	}
	for _, day := range []string{"2024-02-20", "2024-03-04", "2024-03-06"} {
		if _, err := objstore.PutBytes(ctx, store, "sessions/day="+day+"/sensor=s/a.parquet", b.Bytes()[:0]); err != nil {
			t.Fatal(err)
		}
	}
	if engine, err = NewParquet(store, reg, DefaultParquetConfig(), nil); err != nil {
		t.Fatal(err)
	}
	return engine, int64(b.Len()), address
}

// TestParquetReadsLittle holds searches to what they may read of a file of two row groups.
func TestParquetReadsLittle(t *testing.T) {
	engine, size, address := dayOfSessions(t, 80_000)
	start := sessiontest.Start().UnixMilli()
	hour := time.Hour.Milliseconds()
	all := Days{{DayOf(start), DayOf(start)}}
	for _, test := range []struct {
		name    string
		expr    string
		window  Window
		length  int
		total   int64 // -1: some
		skipped map[string]int64
		bytes   float64 // at most, of the file
		gets    int64   // at most
	}{
		{"nothing is read to count all", "", Window{}, 0, 80_000, nil, 0, 0},
		{"an address that is nowhere", "ip == 198.51.100.1", Window{}, 10, 0, map[string]int64{"row groups by bloom filter": 2}, 0.05, 3},
		{"an address that is in one session", "ip == " + address, Window{}, 10, 1, map[string]int64{"row groups by bloom filter": 1}, 0.6, 25},
		{"a number outside of what there is", "packets > 100000000", Window{}, 10, 0, map[string]int64{"row groups by statistics": 2}, 0, 0},
		{"a path that is in no dictionary", "http.method == BREW", Window{}, 10, 0, map[string]int64{}, 0.02, 4},
		{"an hour of the first row group", "", Window{From: start + hour, To: start + 2*hour, Bounding: BoundingFirst}, 0, -1,
			map[string]int64{"row groups by statistics": 1, "pages": 7}, 0.02, 6},
		{"an hour of another day", "", Window{From: start + 48*hour, To: start + 49*hour, Bounding: BoundingFirst}, 10, 0,
			map[string]int64{"partitions": 4}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, err := expr.Parse(test.expr, engine.reg, time.UnixMilli(start))
			if err != nil {
				t.Fatal(err)
			}
			s := &Search{Expr: e, Window: test.window, Length: test.length, Sort: []Sort{{Field: spi.FirstPacket}}, Fields: []spi.FieldID{}, Explain: true}
			if test.window == (Window{}) {
				s.Days = all
			}
			for range 2 { // the second time with the footer at hand
				result, err := engine.Search(context.Background(), s)
				if err != nil || len(result.Warnings) > 0 {
					t.Fatal(result, err)
				}
				if test.total >= 0 && result.Total != test.total || test.total < 0 && result.Total == 0 {
					t.Errorf("%d matches, want %d", result.Total, test.total)
				}
				x := result.Explain
				for _, step := range x.Steps {
					if want, ok := test.skipped[step.What]; ok && step.Skipped != want {
						t.Errorf("%s: %d of %d skipped, want %d", step.What, step.Skipped, step.Total, want)
					}
				}
				if footer := int64(128 << 10); x.Bytes > int64(test.bytes*float64(size))+footer || x.Gets > test.gets+1 {
					t.Errorf("%d GETs of %d bytes, want at most %d and %.0f and the footer", x.Gets, x.Bytes, test.gets+1, test.bytes*float64(size))
				}
			}
		})
	}
}

// TestParquetLooksBack finds sessions of earlier partitions that last into the window.
func TestParquetLooksBack(t *testing.T) {
	reg := spi.NewRegistry().Freeze()
	midnight := sessiontest.Start().UnixMilli()
	day := 24 * time.Hour.Milliseconds()
	var docs []*spi.Document
	for i, times := range [][2]int64{
		{midnight - day - 5000, midnight + 5000}, // from the day before yesterday into the window
		{midnight - 5000, midnight - 4000},
		{midnight + 1000, midnight + 2000},
	} {
		d := reg.NewDocument()
		d.SetString(spi.ID, []string{"a", "b", "c"}[i])
		d.SetInt(spi.FirstPacket, times[0])
		d.SetInt(spi.LastPacket, times[1])
		docs = append(docs, d)
	}
	engine, _ := storedSessions(t, reg, docs, 1)
	for bounding, want := range map[Bounding]int64{BoundingLast: 2, BoundingEither: 2, BoundingFirst: 1, BoundingBoth: 1} {
		s := &Search{Expr: parse(t, reg, ""), Window: Window{From: midnight, To: midnight + 10_000, Bounding: bounding}}
		result, err := engine.Search(context.Background(), s)
		if err != nil || result.Total != want {
			t.Errorf("bounding %d: %d sessions, want %d, %v", bounding, result.Total, want, err)
		}
	}
}
