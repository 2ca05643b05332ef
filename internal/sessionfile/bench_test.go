package sessionfile

import (
	"bytes"
	"context"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"

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

// cpuSeconds returns the time that this process has had of all processors: what rows cost, whatever else the
// machine does meanwhile.
func cpuSeconds(b *testing.B) float64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

func benchmarkWriter(b *testing.B, keep func(*spi.Document) bool) {
	s, docs := copies(b, 100_000, keep)
	var out bytes.Buffer
	b.ReportAllocs()
	rows, before := 0, cpuSeconds(b)
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
	b.ReportMetric(float64(rows)/(cpuSeconds(b)-before), "rows/cpu-s")
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
	rows, before := 0, cpuSeconds(b)
	for b.Loop() {
		for _, err := range f.Documents(context.Background(), nil) {
			if err != nil {
				b.Fatal(err)
			}
			rows++
		}
	}
	b.ReportMetric(float64(rows)/(cpuSeconds(b)-before), "rows/cpu-s")
}

// BenchmarkParquetGoRows writes the same rows with parquet-go's writer, shredded already: what this package's
// writer is measured against.
func BenchmarkParquetGoRows(b *testing.B) {
	s, docs := copies(b, 20_000, nil)
	data, _ := encode(b, s, docs)
	f, err := parquet.OpenFile(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		b.Fatal(err)
	}
	var rows []parquet.Row
	for _, g := range f.RowGroups() {
		r := g.Rows()
		buf := make([]parquet.Row, 1000)
		for {
			n, err := r.ReadRows(buf)
			for _, row := range buf[:n] {
				rows = append(rows, row.Clone())
			}
			if err != nil {
				break
			}
		}
		if err := r.Close(); err != nil {
			b.Fatal(err)
		}
	}
	var out bytes.Buffer
	b.ReportAllocs()
	written, before := 0, cpuSeconds(b)
	for b.Loop() {
		out.Reset()
		w := parquet.NewGenericWriter[any](&out, f.Schema(), parquet.Compression(&parquet.Zstd))
		for part := range slices.Chunk(rows, 1000) {
			if _, err := w.WriteRows(part); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		written += len(rows)
	}
	b.ReportMetric(float64(written)/(cpuSeconds(b)-before), "rows/cpu-s")
	b.ReportMetric(float64(out.Len())/float64(len(rows)), "B/row")
}
