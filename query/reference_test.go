package query

import (
	"bytes"
	"cmp"
	"context"
	"iter"
	"net/netip"
	"slices"
	"sort"

	"wirelake/internal/spi"
)

// reference is the plainest Engine there can be: documents in memory, each looked at. The real engines are
// compared with it.
type reference struct {
	reg  *spi.Registry
	docs []*spi.Document
}

func (r *reference) matches(s *Search) []*spi.Document {
	var out []*spi.Document
	for _, d := range r.docs {
		first, _ := d.Int(spi.FirstPacket)
		last, _ := d.Int(spi.LastPacket)
		if s.Days.Contains(first) && s.Window.Contains(first, last) && s.Expr.Match(d) {
			out = append(out, d)
		}
	}
	return out
}

func (r *reference) Search(_ context.Context, s *Search) (*Result, error) {
	rows := r.matches(s)
	result := &Result{Total: int64(len(rows))}
	if s.Histogram != nil {
		result.Buckets = referenceHistogram(rows, s.Histogram)
	}
	sort.SliceStable(rows, func(i, j int) bool {
		for _, by := range s.Sort {
			if c := compareReference(r.reg.Field(by.Field), rows[i], rows[j], by.Descending); c != 0 {
				return c < 0
			}
		}
		return rows[i].String(spi.ID) < rows[j].String(spi.ID)
	})
	start := min(s.Start, len(rows))
	result.Rows = rows[start:min(start+s.Length, len(rows))]
	if s.Explain {
		result.Explain = &Explain{Engine: "reference", Rows: result.Total}
	}
	return result, nil
}

func (r *reference) Each(_ context.Context, s *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		rows := slices.Clone(r.matches(s))
		slices.SortStableFunc(rows, func(a, b *spi.Document) int {
			return compareReference(r.reg.Field(spi.FirstPacket), a, b, false)
		})
		for _, d := range rows {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func (r *reference) Get(_ context.Context, ids []string, _ []spi.FieldID) ([]*spi.Document, []string, error) {
	out := make([]*spi.Document, len(ids))
	for i, id := range ids {
		for _, d := range r.docs {
			if d.String(spi.ID) == id {
				out[i] = d
			}
		}
	}
	return out, nil, nil
}

func (r *reference) Total(context.Context) (int64, error) { return int64(len(r.docs)), nil }

// compareReference orders by the smallest or largest value of the field, those without one last.
func compareReference(f *spi.Field, a, b *spi.Document, descending bool) int {
	va, vb := slices.Collect(a.Each(f.ID)), slices.Collect(b.Each(f.ID))
	switch {
	case len(va) == 0 && len(vb) == 0:
		return 0
	case len(va) == 0:
		return 1
	case len(vb) == 0:
		return -1
	}
	by := func(x, y spi.Value) int {
		if f.Type.Numeric() {
			return cmp.Compare(x.Int, y.Int)
		}
		if f.Type == spi.IP {
			p, q := netip.MustParseAddr(x.Str).As16(), netip.MustParseAddr(y.Str).As16()
			return bytes.Compare(p[:], q[:])
		}
		return cmp.Compare(x.Str, y.Str)
	}
	if descending {
		return -by(slices.MaxFunc(va, by), slices.MaxFunc(vb, by))
	}
	return by(slices.MinFunc(va, by), slices.MinFunc(vb, by))
}

func referenceHistogram(docs []*spi.Document, h *Histogram) []Bucket {
	at := map[int64]*Bucket{}
	for _, d := range docs {
		ms, _ := d.Int(h.Field)
		start := ms - ms%h.Interval.Milliseconds()
		b := at[start]
		if b == nil {
			b = &Bucket{Start: start}
			at[start] = b
		}
		value := func(f spi.FieldID) int64 { n, _ := d.Int(f); return n }
		b.Add(Bucket{Sessions: 1, SourcePackets: value(spi.SourcePackets), DestinationPackets: value(spi.DestinationPackets),
			SourceBytes: value(spi.SourceBytes), DestinationBytes: value(spi.DestinationBytes), ClientBytes: value(spi.ClientBytes), ServerBytes: value(spi.ServerBytes)})
	}
	out := make([]Bucket, 0, len(at))
	for _, b := range at {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b Bucket) int { return cmp.Compare(a.Start, b.Start) })
	return out
}
