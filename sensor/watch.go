package sensor

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/objstore"
	"wirelake/sensor/capture"
)

// Watcher imports capture files as they appear in folders and under prefixes of
// object stores, for as long as it runs. A journal in the archive tells a restart
// what was imported; without it, all would be read and compared again, and nothing stored twice.
//
// A file that is damaged is imported as far as it is good, named, and not tried
// again. One that cannot be read is tried again with growing waits, and then set
// aside as well. When the archive cannot be reached, nothing is set aside.
type Watcher struct {
	cfg     WatchConfig
	im      *Importer
	log     *slog.Logger
	metrics *watchMetrics
	sources []*watchSource

	importing sync.Mutex // one file at a time, whatever the source: memory is that of one import
}

// watched is where items come from: a folder or an object store.
type watched interface {
	// list yields the items in the order of their order. It yields an error once, as the last.
	list(ctx context.Context) iter.Seq2[watchItem, error]
	// ready reports whether an item will not grow any more.
	ready(it watchItem) bool
	// input returns what the importer reads.
	input(it watchItem) input
	// imported does with a file what is to be done with imported or with damaged ones.
	imported(ctx context.Context, it watchItem, damaged bool) error
	// wake tells of changes; nil when only listing does.
	wake() <-chan struct{}
	close() error
}

// watchSource is one source and its state.
type watchSource struct {
	name string
	kind string
	watched
	journal *journal
	saved   time.Time

	mu    sync.Mutex
	state capture.State
}

// NewWatcher returns a watcher that imports into im's store, below whose state it
// keeps its journals. Objects of s3:// sources are read with the settings of opts; with
// Unasked, neither they nor the archive need to answer before Run.
func NewWatcher(ctx context.Context, im *Importer, cfg WatchConfig, opts objstore.Options) (*Watcher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	metrics, err := newWatchMetrics(im.opts.Registerer)
	if err != nil {
		return nil, fmt.Errorf("watch: %w", err)
	}
	w := &Watcher{cfg: cfg, im: im, log: im.log, metrics: metrics}
	for _, name := range cfg.Sources {
		s, err := w.open(ctx, name, opts)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("watch %s: %w", name, err), w.close())
		}
		w.sources = append(w.sources, s)
	}
	return w, nil
}

func (w *Watcher) open(ctx context.Context, name string, opts objstore.Options) (*watchSource, error) {
	s := &watchSource{name: name, state: capture.State{Name: name}}
	if isStoreURL(name) {
		opts.MustExist = true
		store, err := objstore.Open(ctx, name, opts)
		if err != nil {
			return nil, err
		}
		url, _, _ := strings.Cut(store.URL(), "?") // where a bucket is reached may change
		if archive, _, _ := strings.Cut(w.im.store.URL(), "?"); archive == url {
			return nil, errors.New("it is the archive itself")
		}
		s.name, s.kind, s.watched = strings.TrimSuffix(url, "/"), "objects", &objectSource{store: store, url: strings.TrimSuffix(url, "/"), after: w.cfg.After}
	} else {
		dir, err := filepath.Abs(name)
		if err != nil {
			return nil, err
		}
		f, err := newFolderSource(dir, w.cfg, w.log)
		if err != nil {
			return nil, err
		}
		s.name, s.kind, s.watched = dir, "folder", f
	}
	s.state.Name, s.state.Kind = s.name, s.kind
	s.journal = newJournal(w.im.store, journalKey(w.im.cfg.Sensor, s.name), s.name)
	if !opts.Unasked {
		if err := s.journal.load(ctx); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	return s, nil
}

// States tells how each source fares.
func (w *Watcher) States() []capture.State {
	var all []capture.State
	for _, s := range w.sources {
		s.mu.Lock()
		all = append(all, s.state)
		s.mu.Unlock()
	}
	return all
}

// Run watches until ctx ends.
func (w *Watcher) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	for _, s := range w.sources {
		wg.Go(func() { w.watch(ctx, s) })
	}
	wg.Wait()
	return w.close()
}

// Once imports what is there and new, without waiting for files to settle. The error
// says what could not be listed or stored, or names how many files are damaged.
func (w *Watcher) Once(ctx context.Context) error {
	var errs []error
	for _, s := range w.sources {
		before := s.journal.asideTotal
		err := w.list(ctx, s, true)
		if n := s.journal.asideTotal - before; n > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %d files %w", s.name, n, ErrDamaged))
		}
		if n := len(s.journal.retry); n > 0 {
			err = errors.Join(err, fmt.Errorf("%s: %d files could not be read", s.name, n))
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, w.close())...)
}

func (w *Watcher) close() error {
	var errs []error
	for _, s := range w.sources {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

const (
	// maxWatchWait is the longest wait after errors of a source or of the archive.
	maxWatchWait = 5 * time.Minute
	// wakeWait is the shortest wait between listings that changes ask for.
	wakeWait = 100 * time.Millisecond
	// journalEvery is the shortest time between writes of a journal; a crash costs comparing what came since.
	journalEvery = 10 * time.Second
)

// watch lists a source again and again.
func (w *Watcher) watch(ctx context.Context, s *watchSource) {
	wait := w.cfg.Interval
	for {
		began := time.Now()
		err := w.list(ctx, s, false)
		took := time.Since(began)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			wait = min(2*wait, max(maxWatchWait, w.cfg.Interval))
			s.trouble(err, false)
			w.log.WarnContext(ctx, "watched source cannot be imported, trying again", "source", s.name, "wait", wait, "error", err)
		default:
			wait = w.cfg.Interval
		}
		var wake <-chan struct{}
		if err == nil {
			wake = s.wake()
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
			timer.Reset(max(wakeWait, 10*took)) // listing must not become all that is done
			select {
			case <-ctx.Done():
			case <-timer.C:
			}
		}
		timer.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// list goes through a source once and imports what is new. An error says that
// the source cannot be listed or the archive not be reached.
func (w *Watcher) list(ctx context.Context, s *watchSource, once bool) (err error) {
	j := s.journal
	if err := j.load(ctx); err != nil {
		return err
	}
	defer func() {
		// What was imported is noted also when ctx has ended.
		save, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxWatchWait/10)
		defer cancel()
		if e := j.save(save); e != nil {
			err = errors.Join(err, fmt.Errorf("journal: %w", e))
		}
	}()
	j.begin(time.Now())
	seen := map[string]bool{} // of what is to be tried again
	for it, err := range s.list(ctx) {
		if err != nil {
			return err
		}
		if j.retry[it.name] != nil {
			seen[it.name] = true
		}
		now := time.Now()
		if !j.todo(it, now) || !once && !it.changed.Before(j.pass.Before) && !s.ready(it) {
			continue
		}
		if err := w.importItem(ctx, s, it); err != nil {
			return err
		}
		seen[it.name] = true
		if len(j.retry) > maxRetries {
			return fmt.Errorf("more than %d files cannot be read, the last is %s: %s", maxRetries, it.name, j.retry[it.name].Error)
		}
		if time.Since(s.saved) > journalEvery {
			if err := j.save(ctx); err != nil {
				return fmt.Errorf("journal: %w", err)
			}
			s.saved = time.Now()
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	j.forget(seen)
	j.end()
	s.setUp()
	return nil
}

// maxAttempts is how often a file is read that cannot be: over more than a day.
const maxAttempts = 10

// importItem imports one file. The error is one of the archive or of ctx.
func (w *Watcher) importItem(ctx context.Context, s *watchSource, it watchItem) error {
	w.importing.Lock()
	defer w.importing.Unlock()
	in := s.input(it)
	file, err := w.im.importOne(ctx, in)
	log := w.log.With("file", in.path, "packets", file.Packets, "bytes", file.Bytes)
	now := time.Now()
	damage := ""
	var unread readError
	switch {
	case errors.Is(err, errOtherPackets):
		damage = err.Error()
	case err != nil:
		return fmt.Errorf("import %s: %w", in.path, err)
	case file.Err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case file.Err != nil && isGone(file.Err):
		s.journal.done(it) // deleted, or renamed, while it was its turn
		return nil
	case errors.As(file.Err, &unread):
		s.trouble(file.Err, true)
		if s.journal.failed(it, now, file.Err) < maxAttempts {
			w.metrics.file("unreadable")
			log.WarnContext(ctx, "watched file cannot be read, trying again", "error", file.Err)
			return nil
		}
		damage = file.Err.Error()
	case file.Err != nil:
		damage = file.Err.Error()
	case file.NotCapture:
		w.metrics.file("no_capture")
		s.journal.done(it)
		log.InfoContext(ctx, "watched file is no capture, passed over")
		return nil
	case file.Corrupt > 0 || file.Skipped > 0:
		damage = fmt.Sprintf("%d places lost, the first: %s", file.Corrupt+int(file.Skipped), file.Problems[0].Text) //nolint:gosec // far below 2^63
	}
	s.count(file)
	if damage != "" {
		s.journal.setAside(it, now, damage)
		s.trouble(fmt.Errorf("%s is set aside: %s", in.path, damage), true)
		w.metrics.file("damaged")
		log.ErrorContext(ctx, "watched file is damaged, set aside", "reason", damage)
	} else {
		s.journal.done(it)
		w.metrics.file("imported")
		log.InfoContext(ctx, "watched file imported", "truncated", file.Truncated)
	}
	if err := s.imported(ctx, it, damage != ""); err != nil {
		s.trouble(err, true)
		log.WarnContext(ctx, "imported file stays where it is", "error", err)
	}
	return nil
}

// count adds what was imported to the state.
func (s *watchSource) count(f FileResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Packets += f.Packets
	s.state.Bytes += f.Bytes
	s.state.Malformed += f.Skipped + uint64(f.Corrupt) //nolint:gosec // not negative
}

func (s *watchSource) trouble(err error, up bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Up, s.state.Error = up, err.Error()
}

// setUp says that the source was listed. What is wrong with a file stays told.
func (s *watchSource) setUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.state.Up {
		s.state.Up, s.state.Error = true, ""
	}
}

// watchMetrics counts files. Nil counts nothing.
type watchMetrics struct{ files *prometheus.CounterVec }

func newWatchMetrics(reg prometheus.Registerer) (*watchMetrics, error) {
	if reg == nil {
		return nil, nil //nolint:nilnil // nil counts nothing
	}
	m := &watchMetrics{files: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wirelake_watch_files_total",
		Help: "Files of watched sources by what became of them: imported, damaged (and set aside), unreadable (and tried again), no_capture."}, []string{"result"})}
	return m, reg.Register(m.files)
}

func (m *watchMetrics) file(result string) {
	if m != nil {
		m.files.WithLabelValues(result).Inc()
	}
}
