package query

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// Search implements [Engine].
func (p *Parquet) Search(ctx context.Context, s *Search) (result *Result, err error) {
	err = unchanged(func() error {
		result, err = p.search(ctx, s)
		return err
	})
	return result, err
}

func (p *Parquet) search(ctx context.Context, s *Search) (*Result, error) {
	began := time.Now()
	var read objstore.Counter
	if s.Explain {
		ctx = objstore.WithCounter(ctx, &read)
	}
	var c counts
	warn := &warnings{log: p.log}
	top := newTopRows(p.reg, s.Sort, s.Start+s.Length)
	if s.Length == 0 {
		top.limit = 0
	}
	buckets := newBucketSums(s.Histogram)
	var mu sync.Mutex
	var total int64
	newest := len(s.Sort) > 0 && s.Sort[0].Descending && s.Sort[0].Field == spi.FirstPacket
	err := p.eachGroup(ctx, s, newest, &c, warn, func(ctx context.Context, g *groupScan) error {
		set, err := g.match(ctx)
		if err != nil {
			return err
		}
		n := set.count()
		if n == 0 {
			return nil
		}
		sums, err := g.sums(ctx, s.Histogram, set)
		if err != nil {
			return err
		}
		if err := top.add(ctx, g, set); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		total += int64(n)
		buckets.merge(sums)
		return nil
	})
	if err != nil {
		return nil, err
	}
	result := &Result{Total: total, Buckets: buckets.sorted()}
	if result.Rows, err = p.materialise(ctx, top.sorted(s.Start, s.Length), p.rowFields(s), warn); err != nil {
		return nil, err
	}
	result.Warnings = warn.sorted()
	if s.Explain {
		result.Explain = &Explain{Engine: "parquet", Took: time.Since(began), Rows: total, Gets: read.Gets.Load(), Bytes: read.Bytes.Load(), Steps: c.steps()}
	}
	return result, nil
}

// rowRef is a row of the answer before it is put together.
type rowRef struct {
	keys   []sortKey
	file   *sessionfile.File
	number int // of the file, for ties
	group  int
	row    int
}

// materialise reads the rows, those of one row group together, in the order given. Rows of a file that turns out
// damaged are left out.
func (p *Parquet) materialise(ctx context.Context, refs []rowRef, fields []spi.FieldID, warn *warnings) ([]*spi.Document, error) {
	type place struct {
		file  *sessionfile.File
		group int
	}
	at := map[place][]int{} // indexes of refs
	for i, r := range refs {
		k := place{r.file, r.group}
		at[k] = append(at[k], i)
	}
	docs := make([]*spi.Document, len(refs))
	var wg sync.WaitGroup
	errs := make(chan error, len(at))
	for k, indexes := range at {
		slices.SortFunc(indexes, func(a, b int) int { return cmp.Compare(refs[a].row, refs[b].row) })
		rows := make([]int, len(indexes))
		for i, n := range indexes {
			rows[i] = refs[n].row
		}
		wg.Go(func() {
			select {
			case p.slots <- struct{}{}:
				defer func() { <-p.slots }()
			case <-ctx.Done():
				errs <- ctx.Err()
				return
			}
			err := guarded(func() error {
				found, err := k.file.Group(k.group).Documents(ctx, rows, fields)
				for i, d := range found {
					docs[indexes[i]] = d
				}
				return err
			})
			errs <- warn.add(ctx, k.file.Object.Key, err)
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return slices.DeleteFunc(docs, func(d *spi.Document) bool { return d == nil }), nil
}

// bucketSums are a histogram's buckets by their start.
type bucketSums map[int64]*Bucket

func newBucketSums(h *Histogram) bucketSums {
	if h == nil {
		return nil
	}
	return bucketSums{}
}

func (b bucketSums) merge(o bucketSums) {
	for start, bucket := range o {
		if have := b[start]; have != nil {
			have.Add(*bucket)
		} else {
			b[start] = bucket
		}
	}
}

func (b bucketSums) sorted() []Bucket {
	if b == nil {
		return nil
	}
	out := make([]Bucket, 0, len(b))
	for _, bucket := range b {
		out = append(out, *bucket)
	}
	slices.SortFunc(out, func(x, y Bucket) int { return cmp.Compare(x.Start, y.Start) })
	return out
}

// sums adds up the rows of the set by time, column by column.
func (g *groupScan) sums(ctx context.Context, h *Histogram, set rowSet) (bucketSums, error) {
	if h == nil {
		return nil, nil
	}
	fields := []spi.FieldID{h.Field, spi.SourcePackets, spi.DestinationPackets, spi.SourceBytes, spi.DestinationBytes, spi.ClientBytes, spi.ServerBytes}
	if err := g.group.Fetch(ctx, fields); err != nil {
		return nil, err
	}
	width := h.Interval.Milliseconds()
	sums := bucketSums{}
	rows := make([]*Bucket, g.group.Rows())
	bucketOf := func(ms int64) *Bucket {
		start := ms - ms%width
		b := sums[start]
		if b == nil {
			b = &Bucket{Start: start}
			sums[start] = b
		}
		return b
	}
	last := bucketOf(0)
	timed := newRowSet(g.group.Rows())
	err := g.ints(ctx, h.Field, set, func(row int, ms int64) {
		if ms < last.Start || ms >= last.Start+width {
			last = bucketOf(ms)
		}
		rows[row] = last
		last.Sessions++
		timed[row>>6] |= 1 << (row & 63)
	})
	if err != nil {
		return nil, err
	}
	for _, row := range set.rows() {
		if !timed.has(row) { // without a time it counts as at zero
			rows[row] = bucketOf(0)
			rows[row].Sessions++
		}
	}
	for i, add := range []func(b *Bucket, v int64){
		func(b *Bucket, v int64) { b.SourcePackets += v },
		func(b *Bucket, v int64) { b.DestinationPackets += v },
		func(b *Bucket, v int64) { b.SourceBytes += v },
		func(b *Bucket, v int64) { b.DestinationBytes += v },
		func(b *Bucket, v int64) { b.ClientBytes += v },
		func(b *Bucket, v int64) { b.ServerBytes += v },
	} {
		if err := g.ints(ctx, fields[i+1], set, func(row int, v int64) { add(rows[row], v) }); err != nil {
			return nil, err
		}
	}
	if sums[0].Sessions == 0 {
		delete(sums, 0)
	}
	return sums, nil
}

// ints calls fn for each number that a row of the set has in the column.
func (g *groupScan) ints(ctx context.Context, f spi.FieldID, set rowSet, fn func(row int, v int64)) error {
	c := g.group.Column(f)
	if c == nil {
		return nil
	}
	return g.pages(ctx, c, set, func(p *sessionfile.Page) {
		p.EachValue(func(row, value int) {
			if set.has(row) {
				fn(row, p.Int(value))
			}
		})
	})
}

// pages hands the pages with a row of the set to fn.
func (g *groupScan) pages(ctx context.Context, c *sessionfile.Column, set rowSet, fn func(*sessionfile.Page)) error {
	want := func(s sessionfile.PageSpot) bool { return !s.AllNull() && set.any(s.First, s.First+s.Rows) }
	pages, skipped, err := c.Pages(ctx, want, func(p *sessionfile.Page) error {
		fn(p)
		return nil
	})
	g.counts.pages.Add(int64(pages))
	g.counts.pagesSkipped.Add(int64(skipped))
	return err
}
