package query

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wirelake/internal/elastic"
	"wirelake/internal/objstore"
	"wirelake/internal/spi"
)

// Planner divides searches: Elasticsearch answers for the days that it holds all of, when it has all fields that
// decide which sessions match; Parquet answers for all other days, and for all when Elasticsearch fails.
type Planner struct {
	parquet Engine
	elastic *Elastic // nil: everything is asked of Parquet
	held    func(context.Context) (Days, error)
	failed  func(error) // Elasticsearch failed: held is to leave it out for a while
	reg     *spi.Registry
	log     *slog.Logger
}

var _ Engine = (*Planner)(nil)

// NewPlanner returns the planner over Parquet and, unless it is nil, Elasticsearch; the store says which
// days the latter holds.
func NewPlanner(parquet Engine, es *Elastic, store objstore.Store, reg *spi.Registry, log *slog.Logger) *Planner {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	p := &Planner{parquet: parquet, elastic: es, reg: reg, log: log}
	p.held, p.failed = func(context.Context) (Days, error) { return noDays(), nil }, func(error) {}
	if es != nil {
		cache := &heldDays{store: store, client: es.client}
		p.held, p.failed = cache.get, cache.failed
	}
	return p
}

// heldDays remembers for a moment which days Elasticsearch holds all of: those that the compactor has noted as
// whole and that have an index. The note alone is not enough, for an index may have been deleted by hand, and a search of
// nothing finds nothing without an error.
type heldDays struct {
	store  objstore.Store
	client *elastic.Client

	mu     sync.Mutex
	days   Days
	err    error
	loaded time.Time
	retry  time.Time // after a failure, when to ask again
}

const (
	// heldFor is short against the time that a day stays complete once it is.
	heldFor = 2 * time.Second
	// avoidFor is how long searches leave out an Elasticsearch that failed, rather than wait for it each.
	avoidFor = 10 * time.Second
)

func (h *heldDays) get(ctx context.Context) (Days, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.err != nil && now.Before(h.retry) || h.err == nil && now.Sub(h.loaded) < heldFor {
		return h.days, h.err
	}
	days, err := h.load(ctx)
	if err != nil && ctx.Err() != nil {
		return nil, err // of this request alone
	}
	h.days, h.err, h.loaded, h.retry = days, err, now, time.Now().Add(avoidFor)
	return days, err
}

// failed notes that a search failed.
func (h *heldDays) failed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.days, h.err, h.retry = nil, err, time.Now().Add(avoidFor)
}

func (h *heldDays) load(ctx context.Context) (Days, error) {
	noted, err := elastic.LoadDays(ctx, h.store)
	if err != nil || len(noted) == 0 {
		return noDays(), err
	}
	indices, err := h.client.Indices(ctx)
	if err != nil {
		return nil, err
	}
	var whole []int
	for _, index := range indices {
		if day, ok := parseDay(index.Day); ok && noted[index.Day].Whole {
			whole = append(whole, day)
		}
	}
	return daysOf(whole), nil
}

// split returns the days of s that each engine answers for, and why.
func (p *Planner) split(ctx context.Context, s *Search) (es, parquet Days, why string) {
	all := s.Days.intersect(s.Window.days())
	switch {
	case p.elastic == nil:
		return noDays(), all, "no Elasticsearch is configured"
	case !p.elastic.CanAnswer(s):
		return noDays(), all, "the search looks at fields, or sorts by fields, that are not in Elasticsearch"
	}
	held, err := p.held(ctx)
	if err != nil {
		p.log.WarnContext(ctx, "days of Elasticsearch unknown, searching Parquet", "error", err)
		return noDays(), all, fmt.Sprintf("Elasticsearch did not answer (%v); searched Parquet instead", err)
	}
	es, parquet = all.intersect(held), all.intersect(held.complement())
	return es, parquet, fmt.Sprintf("Elasticsearch holds %s of the days searched, Parquet is asked for %s", describe(es), describe(parquet))
}

// describe writes a set of days for people.
func describe(d Days) string {
	if len(d) == 0 {
		return "none"
	}
	var b bytes.Buffer
	for i, r := range d {
		if i > 0 {
			b.WriteString(", ")
		}
		from, to := "the first", "the last"
		if r.From > firstDay {
			from = DayName(r.From)
		}
		if r.To < lastDay {
			to = DayName(r.To)
		}
		if from == to {
			b.WriteString(from)
			continue
		}
		b.WriteString(from + " to " + to)
	}
	return b.String()
}

// Search implements [Engine].
func (p *Planner) Search(ctx context.Context, s *Search) (*Result, error) {
	began := time.Now()
	es, parquet, why := p.split(ctx, s)
	result, err := p.searchBoth(ctx, s, es, parquet)
	if err != nil && len(es) > 0 && ctx.Err() == nil && !errors.Is(err, errParquet) {
		// Whatever is wrong with it, Elasticsearch is a cache: Parquet has the answer.
		p.log.WarnContext(ctx, "elasticsearch did not answer, searching Parquet", "error", err)
		if errors.Is(err, ErrUnavailable) {
			p.failed(err)
		}
		notice := fmt.Sprintf("Elasticsearch did not answer (%v); searched Parquet instead", err)
		why += "; " + notice
		if result, err = p.searchBoth(ctx, s, noDays(), s.Days.intersect(s.Window.days())); err == nil {
			result.Warnings = append([]string{notice}, result.Warnings...)
		}
	}
	if err != nil {
		return nil, err
	}
	if s.Explain {
		parts := result.Explain
		result.Explain = &Explain{Engine: "planner", Took: time.Since(began), Rows: result.Total, Notes: []string{why}, Parts: parts.Parts}
		for _, part := range parts.Parts {
			result.Explain.Gets += part.Gets
			result.Explain.Bytes += part.Bytes
		}
	}
	return result, nil
}

// errParquet marks errors that asking Parquet again will not mend.
var errParquet = errors.New("search of Parquet")

// searchBoth asks each engine for its days and merges.
func (p *Planner) searchBoth(ctx context.Context, s *Search, es, parquet Days) (*Result, error) {
	ask := *s
	if len(es) > 0 && len(parquet) > 0 {
		// Any of a page's rows may come from either.
		ask.Start, ask.Length = 0, s.Start+s.Length
		if s.Length == 0 {
			ask.Length = 0
		}
	}
	results := make([]*Result, 2)
	group, groupCtx := errgroup.WithContext(ctx)
	if len(es) > 0 {
		group.Go(func() error {
			part := ask
			part.Days = es
			var err error
			results[0], err = p.searchElastic(groupCtx, &part)
			return err
		})
	}
	if len(parquet) > 0 {
		group.Go(func() error {
			part := ask
			part.Days = parquet
			var err error
			results[1], err = p.parquet.Search(groupCtx, &part)
			if err != nil {
				return fmt.Errorf("%w: %w", errParquet, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	return p.merge(s, results), nil
}

// searchElastic searches, and takes the rows from Parquet when fields are wanted that are not hot.
func (p *Planner) searchElastic(ctx context.Context, s *Search) (*Result, error) {
	whole := p.needsParquet(s.Fields)
	ask := *s
	if whole {
		ask.Fields = []spi.FieldID{}
	}
	result, err := p.elastic.Search(ctx, &ask)
	if err != nil || !whole || len(result.Rows) == 0 {
		return result, err
	}
	var warnings []string
	result.Rows, warnings, err = p.complete(ctx, result.Rows, s)
	result.Warnings = append(result.Warnings, warnings...)
	return result, err
}

// needsParquet reports whether fields (nil: all) are not all in hot documents.
func (p *Planner) needsParquet(fields []spi.FieldID) bool {
	return fields == nil || slices.ContainsFunc(fields, func(id spi.FieldID) bool {
		return id != spi.ID && !elastic.Indexed(p.reg.Field(id))
	})
}

// complete replaces hot documents by those of Parquet. What Parquet lacks, as when its file is corrupt, stays hot.
func (p *Planner) complete(ctx context.Context, rows []*spi.Document, s *Search) ([]*spi.Document, []string, error) {
	ids := make([]string, len(rows))
	for i, d := range rows {
		ids[i] = d.String(spi.ID)
	}
	fields := s.Fields
	if fields != nil {
		fields = append([]spi.FieldID{spi.ID, spi.Node, spi.FirstPacket, spi.LastPacket}, fields...)
		for _, by := range s.Sort {
			fields = append(fields, by.Field)
		}
	}
	whole, warnings, err := p.parquet.Get(ctx, ids, fields)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errParquet, err)
	}
	lost := 0
	for i, d := range whole {
		if d == nil {
			lost++
			whole[i] = rows[i]
		}
	}
	if lost > 0 {
		warnings = append(warnings, fmt.Sprintf("%d sessions are in Elasticsearch but could not be read from Parquet: not all of their fields are shown", lost))
	}
	return whole, warnings, nil
}

// merge joins the answers of engines for different days; a nil one is of an engine that was not asked.
func (p *Planner) merge(s *Search, results []*Result) *Result {
	out := &Result{}
	if s.Explain {
		out.Explain = &Explain{}
	}
	asked := 0
	for _, r := range results {
		if r == nil {
			continue
		}
		asked++
		out.Total += r.Total
		out.Warnings = append(out.Warnings, r.Warnings...)
		out.Buckets = append(out.Buckets, r.Buckets...)
		out.Rows = append(out.Rows, r.Rows...)
		if s.Explain && r.Explain != nil {
			out.Explain.Parts = append(out.Explain.Parts, r.Explain)
		}
	}
	if s.Histogram != nil {
		out.Buckets = joinBuckets(out.Buckets)
	}
	if asked > 1 {
		slices.SortStableFunc(out.Rows, func(a, b *spi.Document) int { return compareDocuments(p.reg, s.Sort, a, b) })
		start := min(s.Start, len(out.Rows))
		out.Rows = out.Rows[start:min(start+s.Length, len(out.Rows))]
	}
	return out
}

// joinBuckets sorts buckets and adds those of the same time: a bucket by last packets may have sessions of two days.
func joinBuckets(in []Bucket) []Bucket {
	slices.SortStableFunc(in, func(a, b Bucket) int { return cmp.Compare(a.Start, b.Start) })
	out := []Bucket{}
	for _, b := range in {
		if n := len(out); n > 0 && out[n-1].Start == b.Start {
			out[n-1].Add(b)
			continue
		}
		out = append(out, b)
	}
	return out
}

// compareDocuments orders documents by the criteria as [Sort] says.
func compareDocuments(reg *spi.Registry, by []Sort, a, b *spi.Document) int {
	for _, s := range by {
		if c := compareField(reg.Field(s.Field), s.Descending, a, b); c != 0 {
			return c
		}
	}
	return 0
}

func compareField(f *spi.Field, descending bool, a, b *spi.Document) int {
	x, okX := extreme(f, descending, a)
	y, okY := extreme(f, descending, b)
	switch {
	case !okX && !okY:
		return 0
	case !okX:
		return 1
	case !okY:
		return -1
	}
	c := compareValues(f, x, y)
	if descending {
		return -c
	}
	return c
}

// extreme returns the smallest value of the field, or the largest.
func extreme(f *spi.Field, largest bool, d *spi.Document) (best spi.Value, ok bool) {
	for v := range d.Each(f.ID) {
		c := 0
		if ok {
			c = compareValues(f, v, best)
		}
		if !ok || largest && c > 0 || !largest && c < 0 {
			best, ok = v, true
		}
	}
	return best, ok
}

func compareValues(f *spi.Field, x, y spi.Value) int {
	switch {
	case f.Type.Numeric():
		return cmp.Compare(x.Int, y.Int)
	case f.Type == spi.IP:
		p, errP := netip.ParseAddr(x.Str)
		q, errQ := netip.ParseAddr(y.Str)
		if errP == nil && errQ == nil {
			a, b := p.As16(), q.As16()
			return bytes.Compare(a[:], b[:])
		}
	}
	return cmp.Compare(x.Str, y.Str)
}

// manyMatches is how many sessions are fetched from Parquet one by one, by the ids that Elasticsearch found; for
// more, reading the days' files is cheaper.
const manyMatches = 5000

// Each implements [Engine]. Few matches of a long time are found in Elasticsearch and fetched by id.
func (p *Planner) Each(ctx context.Context, s *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		found, rest, err := p.few(ctx, s)
		if err != nil {
			yield(nil, err)
			return
		}
		next := 0
		// The rest's days lie between those of the found: all go out in order of days.
		for _, r := range rest {
			for ; next < len(found) && dayOfFirst(found[next]) < r.From; next++ {
				if !yield(found[next], nil) {
					return
				}
			}
			part := *s
			part.Days = Days{r}
			for d, err := range p.parquet.Each(ctx, &part) {
				if !yield(d, err) {
					return
				}
			}
		}
		for _, d := range found[next:] {
			if !yield(d, nil) {
				return
			}
		}
	}
}

func dayOfFirst(d *spi.Document) int {
	first, _ := d.Int(spi.FirstPacket)
	return DayOf(first)
}

// few returns the matches of the days that Elasticsearch holds, when they are few, and the days that are
// to be read from Parquet.
func (p *Planner) few(ctx context.Context, s *Search) ([]*spi.Document, Days, error) {
	es, parquet, _ := p.split(ctx, s)
	all := s.Days.intersect(s.Window.days())
	if len(es) == 0 {
		return nil, parquet, nil
	}
	ask := *s
	ask.Days, ask.Start, ask.Length, ask.Histogram = es, 0, manyMatches, nil
	ask.Sort = []Sort{{Field: spi.FirstPacket}}
	result, err := p.searchElastic(ctx, &ask)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, errParquet) {
			return nil, nil, err
		}
		p.log.WarnContext(ctx, "elasticsearch did not answer, reading Parquet", "error", err)
		if errors.Is(err, ErrUnavailable) {
			p.failed(err)
		}
		return nil, all, nil
	}
	if result.Total > manyMatches || len(result.Warnings) > 0 {
		return nil, all, nil // Parquet says itself what it cannot read
	}
	return result.Rows, parquet, nil
}

// Get implements [Engine].
func (p *Planner) Get(ctx context.Context, ids []string, fields []spi.FieldID) ([]*spi.Document, []string, error) {
	return p.parquet.Get(ctx, ids, fields)
}

// Total implements [Engine].
func (p *Planner) Total(ctx context.Context) (int64, error) { return p.parquet.Total(ctx) }
