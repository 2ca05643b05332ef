package sessionfile

import (
	"bytes"
	"context"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/sessionfile/sessiontest"
	"wirelake/internal/spi"
)

// copies returns documents of the whole registry that may be kept.
func copies(tb testing.TB, n int, keep func(*spi.Document) bool) (*Schema, []*spi.Document) {
	tb.Helper()
	reg := dissect.New().Registry()
	s := testSchema(tb, reg)
	var docs []*spi.Document
	for d := range sessiontest.Documents(reg, n) {
		if keep != nil && !keep(d) {
			continue
		}
		c := reg.NewDocument()
		objects := []spi.ObjectID{spi.Root}
		for o := 1; o < d.NumObjects(); o++ {
			list, parent := d.ObjectOf(spi.ObjectID(o)) //nolint:gosec // G115: few
			id, _ := c.NewObject(list, objects[parent])
			objects = append(objects, id)
		}
		for _, v := range d.Values() {
			c.Append(v)
		}
		c.Values()
		docs = append(docs, c)
	}
	return s, docs
}

func benchmarkWriter(b *testing.B, keep func(*spi.Document) bool) {
	s, docs := copies(b, 100_000, keep)
	var out bytes.Buffer
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		out.Reset()
		w, err := NewWriter(&out, s, Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, d := range docs {
			if err := w.Write(d); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Close(); err != nil {
			b.Fatal(err)
		}
		rows += len(docs)
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(out.Len())/float64(len(docs)), "B/row")
}

func BenchmarkWriterMixed(b *testing.B) { benchmarkWriter(b, nil) }

func BenchmarkWriterDNS(b *testing.B) {
	benchmarkWriter(b, func(d *spi.Document) bool {
		port, _ := d.Int(spi.DestinationPort)
		return port == 53
	})
}

func BenchmarkReadAll(b *testing.B) {
	s, docs := copies(b, 50_000, nil)
	data, _ := encode(b, s, docs)
	f := stored(b, s, data)
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		for _, err := range f.Documents(context.Background(), nil) {
			if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
