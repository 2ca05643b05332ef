package rules

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/indicators"
	"wirelake/internal/sigma"
	"wirelake/internal/spi"
)

// Tagger applies the rules and lists in force to documents. It is safe for concurrent use. A nil
// *Tagger has no rules.
type Tagger struct {
	cfg     Config
	reg     *spi.Registry
	log     *slog.Logger
	metrics metrics
	loader  *indicators.Loader

	current atomic.Pointer[state]
	scratch sync.Pool // of *indicators.Matcher

	mu    sync.Mutex // held while what follows, or current, is changed
	lists []*list
	stamp stamp      // of what was read last
	sigma *sigma.Set // what was read last; empty without Sigma rules
}

// state is what documents are tagged by: it is exchanged as a whole.
type state struct {
	program *program
	set     *indicators.Set
}

// Parts is what a Tagger works with. Log and Metrics may be nil.
type Parts struct {
	Registry  *spi.Registry
	Log       *slog.Logger
	Metrics   prometheus.Registerer
	UserAgent string // for URLs of lists
}

// Open reads the rules file and the Sigma rules of the configuration and returns a Tagger with them, without the
// file's lists: see Load and Run. Without either it returns nil.
func Open(cfg Config, p Parts) (*Tagger, error) {
	if cfg.File == "" && len(cfg.Sigma) == 0 {
		return nil, nil //nolint:nilnil // a nil Tagger is one without rules
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	t := &Tagger{cfg: cfg, reg: p.Registry, log: p.Log, metrics: newMetrics(p.Metrics)}
	t.loader = indicators.NewLoader(indicators.LoaderOptions{
		Cache: cfg.cache(), Timeout: cfg.FetchTimeout, MaxBytes: int64(cfg.FetchBytes), UserAgent: p.UserAgent,
	})
	t.scratch.New = func() any { return &indicators.Matcher{} }
	stamp, err := stampOf(cfg)
	if err != nil {
		return nil, err
	}
	f, set, err := readAll(cfg, t.reg)
	if err != nil {
		return nil, err
	}
	t.stamp = stamp
	t.mu.Lock()
	defer t.mu.Unlock()
	t.use(f, set)
	return t, nil
}

// Apply adds the tags of the lists that d matches, then those of the rules that are true for it.
func (t *Tagger) Apply(d *spi.Document) {
	if t == nil {
		return
	}
	s := t.current.Load()
	m := t.scratch.Get().(*indicators.Matcher) //nolint:forcetypeassert // New makes nothing else
	if m.Find(s.set, d) > 0 {
		m.Apply(s.set, d)
		t.metrics.indicators.Inc()
	}
	t.scratch.Put(m)
	if s.program.apply(d) > 0 {
		t.metrics.ruled.Inc()
	}
}

// use puts the rules of a file in force. Lists whose source has not changed stay, the others have
// the entries of an older list of their name until they are loaded. It returns the lists that are gone. The caller holds mu.
func (t *Tagger) use(f *File, set *sigma.Set) (gone []*list) {
	t.useSigma(set)
	old := t.lists
	t.lists = nil
	for i := range f.Lists {
		src := f.Lists[i]
		l := newList(src)
		if at := slices.IndexFunc(old, func(o *list) bool { return o.src.Name == src.Name }); at >= 0 {
			if o := old[at]; o.src.Same(&src) {
				l = o
				l.src = src // tags may differ
			} else {
				l.have = o.have // until its own entries are loaded
			}
		}
		t.lists = append(t.lists, l)
	}
	for _, o := range old {
		if slices.Contains(t.lists, o) {
			continue
		}
		gone = append(gone, o)
		if !slices.ContainsFunc(t.lists, func(l *list) bool { return l.src.Name == o.src.Name }) {
			t.metrics.entries.DeleteLabelValues(o.src.Name)
		}
	}
	p := compile(t.reg, f.Rules)
	t.metrics.rules.Set(float64(len(p.rules)))
	t.publish(p)
	return gone
}

// publish puts a program and the lists as they are in force. The caller holds mu.
func (t *Tagger) publish(p *program) {
	var members []indicators.Member
	for _, l := range t.lists {
		if l.have != nil {
			members = append(members, indicators.Member{Name: l.src.Name, Tags: l.src.Tags, List: l.have})
		}
	}
	t.current.Store(&state{p, indicators.NewSet(t.reg, members)})
}

// Load loads all lists once. It is for commands that run once, in place of Run; the error
// names every list that could not be loaded.
func (t *Tagger) Load(ctx context.Context) error {
	if t == nil {
		return nil
	}
	defer t.loader.Close()
	var errs []error
	for _, l := range t.lists {
		list, err := t.loader.Load(ctx, &l.src, t.room(l), false)
		if list == nil && l.src.URL != nil && ctx.Err() == nil {
			// A copy of yesterday is better than nothing.
			if cached, failed := t.loader.Cached(ctx, &l.src, t.room(l)); failed == nil {
				t.log.WarnContext(ctx, "indicator list not fetched, its last copy is used", "list", l.src.Name, "error", err)
				list, err = cached, nil
			}
		}
		if list != nil {
			t.loaded(ctx, l, list)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("list %s: %w", l.src.Name, err))
		}
	}
	return errors.Join(errs...)
}

// room returns how many entries a list may have beside the others.
func (t *Tagger) room(l *list) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := indicators.MaxEntries
	for _, o := range t.lists {
		if o != l && o.have != nil {
			n -= o.have.Entries
		}
	}
	return max(n, 0)
}

// loaded puts a newer state of a list in force.
func (t *Tagger) loaded(ctx context.Context, l *list, have *indicators.List) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l.have = have
	if !slices.Contains(t.lists, l) {
		return // the rules file left it out meanwhile
	}
	t.publish(t.current.Load().program)
	t.metrics.entries.WithLabelValues(l.src.Name).Set(float64(have.Entries))
	log := t.log.With("list", l.src.Name, "entries", have.Entries, "bytes", have.MemoryBytes())
	if have.Bad > 0 {
		log.WarnContext(ctx, "indicator list loaded, bad lines passed over", "bad", have.Bad, "line", have.First.Line, "reason", have.First.Reason)
		return
	}
	log.InfoContext(ctx, "indicator list loaded")
}

// ListStatus is how a list stands.
type ListStatus struct {
	Source indicators.Source
	List   *indicators.List // nil when it is not loaded
}

// Lists returns the lists in the order of the file.
func (t *Tagger) Lists() []ListStatus {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([]ListStatus, len(t.lists))
	for i, l := range t.lists {
		out[i] = ListStatus{l.src, l.have}
	}
	return out
}

// Rules returns the rules in force, how many of them have tags, and how many of these are evaluated only for
// documents with a value that they need.
func (t *Tagger) Rules() (rules []Rule, tagging, pruned int) {
	if t == nil {
		return nil, 0, 0
	}
	p := t.current.Load().program
	return p.all, len(p.rules), p.pruned()
}
