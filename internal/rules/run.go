package rules

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"sync"
	"time"

	"wirelake/internal/indicators"
	"wirelake/internal/sigma"
)

// list is an indicator list that is followed.
type list struct {
	src  indicators.Source
	have *indicators.List // nil until it is loaded

	once  sync.Once
	tried chan struct{} // closed by once, when it was tried to load it
	look  chan struct{} // asks to look at it now
	stop  context.CancelFunc
}

func (l *list) wasTried() { l.once.Do(func() { close(l.tried) }) }

func newList(src indicators.Source) *list {
	return &list{src: src, tried: make(chan struct{}), look: make(chan struct{}, 1)}
}

// Run follows the rules file and the lists until ctx ends: what has changed is put in force, and
// what is wrong is told in the log and leaves the old in force. A value on reload has
// everything looked at now. Ready is called once, when every list has been tried.
func (t *Tagger) Run(ctx context.Context, reload <-chan struct{}, ready func()) error {
	if t == nil {
		ready()
		return nil
	}
	defer t.loader.Close()
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()

	t.mu.Lock()
	first := t.lists
	t.mu.Unlock()
	t.LogRefused(ctx)
	t.start(ctx, &running)
	running.Go(func() {
		for _, l := range first {
			select {
			case <-l.tried:
			case <-ctx.Done():
				return
			}
		}
		ready()
	})
	tick := time.NewTicker(t.cfg.Poll)
	defer tick.Stop()
	var seen stamp // at the last tick
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-reload:
			t.reload(ctx, &running)
			t.lookNow()
		case <-tick.C:
			stamp, err := stampOf(t.cfg)
			if err != nil {
				continue // it is being replaced; if it stays away, the rules stay
			}
			// A file that changed since the last tick may still be written to.
			if stamp != t.stamp && stamp == seen {
				t.reload(ctx, &running)
			}
			seen = stamp
		}
	}
}

// reload reads the rules file and the Sigma rules again and puts them in force, if they are good.
func (t *Tagger) reload(ctx context.Context, running *sync.WaitGroup) {
	// A file that is wrong is not read again until it changes, or somebody asks.
	stamp, err := stampOf(t.cfg)
	var f *File
	var set *sigma.Set
	if err == nil {
		t.stamp = stamp
		f, set, err = readAll(t.cfg, t.reg)
	}
	if err != nil {
		t.metrics.reloads.WithLabelValues("refused").Inc()
		var bad *Error
		if !errors.As(err, &bad) {
			t.log.ErrorContext(ctx, "rules not read, the old ones stay", "error", err)
			return
		}
		for _, p := range bad.Problems {
			one := &Error{File: bad.File, Problems: []Problem{p}}
			t.log.ErrorContext(ctx, "rules refused, the old ones stay", "error", one)
		}
		return
	}
	t.mu.Lock()
	gone := t.use(f, set)
	n := len(t.current.Load().program.rules)
	t.mu.Unlock()
	for _, l := range gone {
		if l.stop != nil {
			l.stop()
		}
	}
	t.start(ctx, running)
	t.metrics.reloads.WithLabelValues("taken").Inc()
	t.log.InfoContext(ctx, "rules loaded", "file", t.cfg.File, "rules", n, "lists", len(f.Lists))
	t.LogRefused(ctx)
}

// start follows the lists that are not followed yet.
func (t *Tagger) start(ctx context.Context, running *sync.WaitGroup) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lists {
		if l.stop != nil {
			continue
		}
		var own context.Context
		own, l.stop = context.WithCancel(ctx)
		running.Go(func() { t.follow(own, l) })
	}
}

func (t *Tagger) lookNow() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.lists {
		select {
		case l.look <- struct{}{}:
		default: // it was asked already
		}
	}
}

// source returns the source of a list, whose tags may change.
func (t *Tagger) source(l *list) indicators.Source {
	t.mu.Lock()
	defer t.mu.Unlock()
	return l.src
}

// firstRetry is how long after a failure a list is tried again; it doubles each time, up to the refresh interval.
const firstRetry = 5 * time.Second

// follow keeps a list up to date until ctx ends.
func (t *Tagger) follow(ctx context.Context, l *list) {
	defer l.wasTried()
	src := t.source(l)
	if src.URL == nil {
		t.followFile(ctx, l)
		return
	}
	list, err := t.loader.Cached(ctx, &src, t.room(l))
	switch {
	case err == nil:
		t.loaded(ctx, l, list)
		l.wasTried()
	case !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil:
		t.log.WarnContext(ctx, "copy of an indicator list not read", "list", src.Name, "error", err)
	}
	retry := firstRetry
	for ctx.Err() == nil {
		wait := src.Refresh
		// What is in memory must be what the server calls not modified.
		list, err := t.loader.Load(ctx, &src, t.room(l), l.have != nil)
		if list != nil {
			t.loaded(ctx, l, list)
		}
		if err != nil && !errors.Is(err, indicators.ErrNotModified) && ctx.Err() == nil {
			t.failed(ctx, l, err)
			wait = retryAfter(err, min(retry, src.Refresh))
			retry = min(2*retry, src.Refresh)
		} else {
			retry = firstRetry
		}
		l.wasTried()
		// Not all sensors of a site at once.
		wait += time.Duration(rand.Int64N(int64(wait)/10 + 1)) //nolint:gosec // nothing secret
		select {
		case <-ctx.Done():
		case <-l.look:
		case <-time.After(wait):
		}
	}
}

// retryAfter returns how long to wait after an error: as long as the server asks for, if that is longer.
func retryAfter(err error, wait time.Duration) time.Duration {
	var status *indicators.StatusError
	if errors.As(err, &status) {
		return max(wait, status.RetryAfter)
	}
	return wait
}

// followFile loads a list when its file has changed and stays as it is for a poll interval, or somebody asks.
func (t *Tagger) followFile(ctx context.Context, l *list) {
	var tried, seen indicators.Stamp
	load := func() {
		src := t.source(l)
		stamp, err := indicators.StampOf(src.File)
		tried = stamp
		var list *indicators.List
		if err == nil {
			list, err = t.loader.Load(ctx, &src, t.room(l), true)
		}
		if list != nil {
			t.loaded(ctx, l, list)
		}
		if err != nil && ctx.Err() == nil {
			t.failed(ctx, l, err)
		}
	}
	load()
	l.wasTried()
	tick := time.NewTicker(t.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.look:
			load()
		case <-tick.C:
			stamp, err := indicators.StampOf(t.source(l).File)
			if err != nil {
				continue // it is being replaced; if it stays away, the list stays
			}
			if stamp != tried && stamp == seen {
				load()
			}
			seen = stamp
		}
	}
}

func (t *Tagger) failed(ctx context.Context, l *list, err error) {
	name := t.source(l).Name
	t.metrics.failures.WithLabelValues(name).Inc()
	t.log.ErrorContext(ctx, "indicator list not loaded, what was loaded of it before stays", "list", name, "error", err)
}
