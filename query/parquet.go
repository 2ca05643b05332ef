package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"
	"golang.org/x/sync/errgroup"

	"wirelake/internal/config"
	"wirelake/internal/expr"
	"wirelake/internal/objstore"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// ParquetConfig bounds what searches of Parquet take. Start from DefaultParquetConfig.
type ParquetConfig struct {
	Workers      int         `koanf:"workers" help:"row groups that are searched at once, by all searches of this process"`
	FooterBytes  config.Size `koanf:"footer_bytes" help:"memory for the footers of Parquet files, which are kept between searches"`
	LookBackDays int         `koanf:"look_back_days" help:"days before a search's start whose files are looked at for sessions that last into it"`
}

// DefaultParquetConfig returns the documented defaults.
func DefaultParquetConfig() ParquetConfig {
	return ParquetConfig{Workers: max(4, runtime.GOMAXPROCS(0)), FooterBytes: 256 * config.MiB, LookBackDays: 7}
}

// Validate reports every bad setting.
func (c ParquetConfig) Validate() error {
	var errs []error
	if c.Workers < 1 {
		errs = append(errs, fmt.Errorf("workers: %d is under 1", c.Workers))
	}
	if c.FooterBytes < config.MiB {
		errs = append(errs, fmt.Errorf("footer_bytes: %v is under 1MiB", c.FooterBytes))
	}
	if c.LookBackDays < 0 {
		errs = append(errs, fmt.Errorf("look_back_days: %d is negative", c.LookBackDays))
	}
	return errors.Join(errs...)
}

const (
	sessionsPrefix = "sessions/"
	// openAhead is how many files of a search are opened before their rows are searched: it bounds the footers
	// that one search holds.
	openAhead = 64
	// openWorkers is how many footers one search fetches at once.
	openWorkers = 16
)

// Parquet searches the session files of a store. It is safe for concurrent use.
type Parquet struct {
	store  objstore.Store
	reg    *spi.Registry
	reader *sessionfile.Reader
	cfg    ParquetConfig
	log    *slog.Logger
	cache  *footerCache
	slots  chan struct{} // one for each row group that is searched now
}

var _ Engine = (*Parquet)(nil)

// NewParquet returns the engine of a store. Log may be nil.
func NewParquet(store objstore.Store, reg *spi.Registry, cfg ParquetConfig, log *slog.Logger) (*Parquet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	schema, err := sessionfile.NewSchema(reg)
	if err != nil {
		return nil, err
	}
	reader, err := sessionfile.NewReader(store, schema)
	if err != nil {
		return nil, err
	}
	return &Parquet{
		store: store, reg: reg, reader: reader, cfg: cfg, log: log,
		cache: newFooterCache(int64(cfg.FooterBytes)), slots: make(chan struct{}, cfg.Workers),
	}, nil
}

// counts is what one search looked at and skipped.
type counts struct {
	partitions, partitionsSkipped atomic.Int64
	files, filesSkipped           atomic.Int64
	groups                        atomic.Int64
	byStatistics, byBloom, byDict atomic.Int64
	pages, pagesSkipped           atomic.Int64
}

func (c *counts) steps() []Step {
	return []Step{
		{"partitions", c.partitions.Load(), c.partitionsSkipped.Load()},
		{"files", c.files.Load(), c.filesSkipped.Load()},
		{"row groups by statistics", c.groups.Load(), c.byStatistics.Load()},
		{"row groups by bloom filter", c.groups.Load() - c.byStatistics.Load(), c.byBloom.Load()},
		{"row groups by dictionary", c.groups.Load() - c.byStatistics.Load() - c.byBloom.Load(), c.byDict.Load()},
		{"pages", c.pages.Load(), c.pagesSkipped.Load()},
	}
}

// warnings collects what was skipped, each once. It is safe for concurrent use.
type warnings struct {
	mu   sync.Mutex
	list []string
	log  *slog.Logger
}

// add notes an error that costs one file, and returns any other.
func (w *warnings) add(ctx context.Context, key string, err error) error {
	var panicked *panicError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, sessionfile.ErrChanged):
		return err // not lost: what is there now is read
	case errors.As(err, &panicked), errors.Is(err, sessionfile.ErrCorrupt), errors.Is(err, sessionfile.ErrVersion),
		errors.Is(err, objstore.ErrNotFound), errors.Is(err, objstore.ErrRange), errors.Is(err, fs.ErrNotExist):
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	text := fmt.Sprintf("%s skipped: %v", key, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.ContainsFunc(w.list, func(s string) bool { return strings.HasPrefix(s, key+" skipped: ") }) {
		w.log.WarnContext(ctx, "session file skipped", "key", key, "error", err)
		w.list = append(w.list, text)
	}
	return nil
}

func (w *warnings) sorted() []string {
	slices.Sort(w.list)
	return w.list
}

// panicError is a panic while a file was read.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// guarded calls fn; a panic, which only a damaged file brings about, is its error.
func guarded(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{v}
		}
	}()
	return fn()
}

// days returns the days that have a partition and may hold sessions of the search, in ascending order.
func (p *Parquet) days(ctx context.Context, s *Search, c *counts) ([]int, error) {
	prefixes, err := p.store.ListPrefixes(ctx, sessionsPrefix, "/")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	wanted := s.Days.intersect(s.Window.days())
	from := firstDay
	if s.Window.From != 0 {
		from = DayOf(s.Window.From) - p.cfg.LookBackDays
	}
	var days []int
	for _, prefix := range prefixes {
		name, ok := strings.CutPrefix(strings.TrimSuffix(prefix, "/"), sessionsPrefix+"day=")
		if !ok {
			continue
		}
		day, ok := parseDay(name)
		if !ok {
			continue
		}
		c.partitions.Add(1)
		if day < from || !wanted.Contains(int64(day)*dayMillis) {
			c.partitionsSkipped.Add(1)
			continue
		}
		days = append(days, day)
	}
	slices.Sort(days)
	return days, nil
}

// list returns the session files of a day.
func (p *Parquet) list(ctx context.Context, day int) ([]objstore.Object, error) {
	var files []objstore.Object
	for obj, err := range p.store.List(ctx, sessionsPrefix+"day="+DayName(day)+"/", "") {
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if strings.HasSuffix(obj.Key, ".parquet") {
			files = append(files, obj)
		}
	}
	return files, nil
}

// open returns the footers of the files that may hold rows of the window, nil for others and those that are skipped.
func (p *Parquet) open(ctx context.Context, objs []objstore.Object, w Window, c *counts, warn *warnings) ([]*sessionfile.File, error) {
	files := make([]*sessionfile.File, len(objs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(openWorkers)
	for i, obj := range objs {
		c.files.Add(1)
		group.Go(func() error {
			f, err := p.footer(ctx, obj)
			if err != nil {
				c.filesSkipped.Add(1)
				return warn.add(ctx, obj.Key, err)
			}
			if !mayHold(f, w) {
				c.filesSkipped.Add(1)
				return nil
			}
			files[i] = f
			return nil
		})
	}
	return files, group.Wait()
}

func (p *Parquet) footer(ctx context.Context, obj objstore.Object) (f *sessionfile.File, err error) {
	if f := p.cache.get(obj); f != nil {
		return f, nil
	}
	err = guarded(func() error {
		f, err = p.reader.Open(ctx, obj.Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	p.cache.put(obj, f)
	return f, nil
}

// mayHold reports whether the window may select sessions of the file, by the times in its footer.
func mayHold(f *sessionfile.File, w Window) bool {
	firstMin, firstMax, lastMax, ok := f.Times()
	if f.Rows() == 0 {
		return false
	}
	if !ok {
		return true
	}
	if w.To != 0 && firstMin > w.To {
		return false // nothing begins, and so nothing ends, in time
	}
	if w.Bounding == BoundingFirst || w.Bounding == BoundingBoth {
		return firstMax >= w.From
	}
	return lastMax >= w.From
}

// predicate joins the window and the expression into one tree.
func predicate(reg *spi.Registry, s *Search) expr.Node {
	to := s.Window.To
	if to == 0 {
		to = 1<<63 - 1
	}
	between := func(f spi.FieldID, lo, hi int64) expr.Node {
		return &expr.Leaf{Field: reg.Field(f), Kind: expr.Ints, Ints: []expr.IntRange{{Lo: lo, Hi: hi}}}
	}
	var nodes expr.And
	if s.Window.From != 0 || s.Window.To != 0 {
		from := s.Window.From
		switch s.Window.Bounding {
		case BoundingFirst:
			nodes = append(nodes, between(spi.FirstPacket, from, to))
		case BoundingBoth:
			nodes = append(nodes, between(spi.FirstPacket, from, 1<<63-1), between(spi.LastPacket, -1<<63, to))
		case BoundingEither:
			nodes = append(nodes, between(spi.FirstPacket, -1<<63, to), between(spi.LastPacket, from, 1<<63-1))
		default:
			nodes = append(nodes, between(spi.LastPacket, from, to))
		}
	}
	switch root := s.Expr.Root.(type) {
	case expr.All:
	case expr.And:
		nodes = append(nodes, root...)
	default:
		nodes = append(nodes, root)
	}
	switch len(nodes) {
	case 0:
		return expr.All{}
	case 1:
		return nodes[0]
	}
	return nodes
}

// eachGroup calls fn for every row group that may hold rows, several at once, each with the file's number in the
// order of the search. With newest set it goes from the newest day, file and row group to the oldest.
func (p *Parquet) eachGroup(ctx context.Context, s *Search, newest bool, c *counts, warn *warnings, fn func(ctx context.Context, g *groupScan) error) error {
	days, err := p.days(ctx, s, c)
	if err != nil {
		return err
	}
	if newest {
		slices.Reverse(days)
	}
	root := predicate(p.reg, s)
	number := 0
	for _, day := range days {
		objs, err := p.list(ctx, day)
		if err != nil {
			return err
		}
		if newest {
			slices.Reverse(objs)
		}
		for part := range slices.Chunk(objs, openAhead) {
			files, err := p.open(ctx, part, s.Window, c, warn)
			if err != nil {
				return err
			}
			if err := p.scanFiles(ctx, files, number, newest, root, c, warn, fn); err != nil {
				return err
			}
			number += len(part)
		}
	}
	return nil
}

func (p *Parquet) scanFiles(ctx context.Context, files []*sessionfile.File, number int, newest bool, root expr.Node, c *counts, warn *warnings, fn func(ctx context.Context, g *groupScan) error) error {
	group, groupCtx := errgroup.WithContext(ctx)
	for i, f := range files {
		if f == nil {
			continue
		}
		var blooms *sessionfile.Blooms
		if exact := exactFields(root); len(exact) > 0 && f.NumGroups() > 1 {
			var err error
			if blooms, err = f.Blooms(ctx, exact); err != nil {
				if err := warn.add(ctx, f.Object.Key, err); err != nil {
					return errors.Join(err, group.Wait())
				}
				continue
			}
		}
		for n := range f.NumGroups() {
			if newest {
				n = f.NumGroups() - 1 - n
			}
			select {
			case p.slots <- struct{}{}:
			case <-groupCtx.Done():
				return cmp.Or(group.Wait(), ctx.Err())
			}
			group.Go(func() error {
				defer func() { <-p.slots }()
				g := newGroupScan(f, n, number+i, root, c)
				if blooms != nil {
					g.group.Use(blooms)
				}
				return warn.add(groupCtx, f.Object.Key, guarded(func() error { return fn(groupCtx, g) }))
			})
		}
	}
	return group.Wait()
}

// Each implements [Engine].
func (p *Parquet) Each(ctx context.Context, s *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		var c counts
		warn := &warnings{log: p.log}
		days, err := p.days(ctx, s, &c)
		if err != nil {
			yield(nil, err)
			return
		}
		root := predicate(p.reg, s)
		told := 0
		// tell hands out new warnings.
		tell := func() bool {
			for ; told < len(warn.list); told++ {
				if !yield(nil, &Warning{warn.list[told]}) {
					return false
				}
			}
			return true
		}
		for _, day := range days {
			objs, err := p.list(ctx, day)
			if err != nil {
				yield(nil, err)
				return
			}
			for part := range slices.Chunk(objs, openAhead) {
				files, err := p.open(ctx, part, s.Window, &c, warn)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, f := range files {
					if f == nil {
						continue
					}
					more, err := p.eachOnce(ctx, f, root, p.rowFields(s), &c, yield)
					if err := warn.add(ctx, f.Object.Key, err); err != nil {
						yield(nil, err)
						return
					}
					if !more {
						return
					}
				}
				if !tell() {
					return
				}
			}
		}
	}
}

// rereads is how often what was replaced while it was read is read again.
const rereads = 3

// unchanged calls fn again when a file was replaced meanwhile.
func unchanged(fn func() error) error {
	for n := 0; ; n++ {
		err := fn()
		switch {
		case !errors.Is(err, sessionfile.ErrChanged):
			return err
		case n == rereads:
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// eachOnce yields the matches of one file, each once even when the file is replaced meanwhile by one
// with new documents of the same sessions.
func (p *Parquet) eachOnce(ctx context.Context, f *sessionfile.File, root expr.Node, fields []spi.FieldID, c *counts, yield func(*spi.Document, error) bool) (more bool, err error) {
	seen := map[uint64]struct{}{} // hashes of ids
	again := false
	once := func(d *spi.Document, err error) bool {
		h := xxhash.Sum64String(d.String(spi.ID))
		if _, had := seen[h]; had && again {
			return true
		}
		seen[h] = struct{}{}
		return yield(d, err)
	}
	err = unchanged(func() error {
		if again {
			if f, err = p.reader.Open(ctx, f.Object.Key); err != nil {
				return err
			}
		}
		more, err = p.eachOf(ctx, f, root, fields, c, once)
		again = true
		return err
	})
	return more, err
}

// eachBatch is how many documents Each puts together at once.
const eachBatch = 2048

// eachOf yields the matches of one file. It returns false when yield did.
func (p *Parquet) eachOf(ctx context.Context, f *sessionfile.File, root expr.Node, fields []spi.FieldID, c *counts, yield func(*spi.Document, error) bool) (more bool, err error) {
	for n := range f.NumGroups() {
		g := newGroupScan(f, n, 0, root, c)
		var rows []int
		err := guarded(func() error {
			set, err := g.match(ctx)
			rows = set.rows()
			return err
		})
		if err != nil {
			return true, err
		}
		for batch := range slices.Chunk(rows, eachBatch) {
			var docs []*spi.Document
			err := guarded(func() error {
				docs, err = g.group.Documents(ctx, batch, fields)
				return err
			})
			if err != nil {
				return true, err
			}
			for _, d := range docs {
				if !yield(d, nil) {
					return false, nil
				}
			}
		}
	}
	return true, nil
}

// rowFields returns the fields that rows are read with, nil for all.
func (p *Parquet) rowFields(s *Search) []spi.FieldID {
	if s.Fields == nil {
		return nil
	}
	fields := append([]spi.FieldID{spi.ID, spi.Node, spi.FirstPacket, spi.LastPacket}, s.Fields...)
	for _, by := range s.Sort {
		fields = append(fields, by.Field)
	}
	return fields
}

// Get implements [Engine].
func (p *Parquet) Get(ctx context.Context, ids []string, fields []spi.FieldID) (docs []*spi.Document, warnings []string, err error) {
	err = unchanged(func() error {
		docs, warnings, err = p.get(ctx, ids, fields)
		return err
	})
	return docs, warnings, err
}

func (p *Parquet) get(ctx context.Context, ids []string, fields []spi.FieldID) ([]*spi.Document, []string, error) {
	byDay := map[int][]string{}
	for _, id := range ids {
		if day, ok := dayOfID(id); ok {
			byDay[day] = append(byDay[day], id)
		}
	}
	found := map[string]*spi.Document{}
	warn := &warnings{log: p.log}
	var c counts
	for day, wanted := range byDay {
		s := &Search{
			Days:   Days{{day, day}},
			Expr:   &expr.Expr{Root: expr.OneOf(p.reg.Field(spi.ID), wanted)},
			Fields: fields,
		}
		var mu sync.Mutex
		err := p.eachGroup(ctx, s, false, &c, warn, func(ctx context.Context, g *groupScan) error {
			set, err := g.match(ctx)
			if err != nil || set.count() == 0 {
				return err
			}
			docs, err := g.group.Documents(ctx, set.rows(), p.rowFields(s))
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for _, d := range docs {
				found[d.String(spi.ID)] = d
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
	}
	docs := make([]*spi.Document, len(ids))
	for i, id := range ids {
		docs[i] = found[id]
	}
	return docs, warn.sorted(), nil
}

// dayOfID returns the day that a session's id begins with: YYMMDD-.
func dayOfID(id string) (int, bool) {
	if len(id) < 7 || id[6] != '-' {
		return 0, false
	}
	t, err := time.Parse("060102", id[:6])
	return DayOf(t.UnixMilli()), err == nil
}

// totalFiles is up to how many footers are fetched to tell the number of sessions.
const totalFiles = 5000

// Total implements [Engine].
func (p *Parquet) Total(ctx context.Context) (int64, error) {
	var objs []objstore.Object
	unknown := 0
	for obj, err := range p.store.List(ctx, sessionsPrefix, "") {
		if err != nil {
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		if strings.HasSuffix(obj.Key, ".parquet") {
			objs = append(objs, obj)
			if _, ok := p.cache.rows(obj); !ok {
				unknown++
			}
		}
	}
	if unknown > totalFiles {
		return -1, nil
	}
	var total atomic.Int64
	warn := &warnings{log: p.log}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(openWorkers)
	for _, obj := range objs {
		if n, ok := p.cache.rows(obj); ok {
			total.Add(n)
			continue
		}
		group.Go(func() error {
			f, err := p.footer(ctx, obj)
			if err != nil {
				return warn.add(ctx, obj.Key, err)
			}
			total.Add(f.Rows())
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return total.Load(), nil
}
