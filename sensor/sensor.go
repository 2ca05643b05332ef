package sensor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/semaphore"

	"wirelake/internal/chunk"
	"wirelake/internal/dissect"
	"wirelake/internal/keylog"
	"wirelake/internal/lease"
	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
	"wirelake/sensor/capture"
	"wirelake/sensor/spool"
)

// Sensor captures from its sources into a spool, and beside that seals what is in the
// spool and uploads it. It runs once.
type Sensor struct {
	cfg     Config
	opts    Options
	store   objstore.Store
	sources []capture.Source
	log     *slog.Logger
	set     *dissect.Set
	rules   atomic.Pointer[cutRules]
	filter  string // of the sources; changed by Reload alone

	spool    *spool.Spool
	owner    *lease.Lease // on the sensor's name
	throttle *throttle
	pool     chunk.Pool
	started  time.Time
	running  atomic.Bool // spool and started are set

	sealing   *semaphore.Weighted // segments at once
	uploading *semaphore.Weighted

	mu       sync.Mutex
	lanes    map[string]*liveLane
	builders builders
	workers  sync.WaitGroup // of lanes
	work     context.Context

	counts  counts
	trouble troubles
	rates   rates
}

// Options are what a Sensor is handed in besides its configuration. All may be left out.
type Options struct {
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	Generator  string       // program and version, kept in each chunk
	Protocols  *dissect.Set // for rules that ask for protocols

	// Keys is stored beside the chunks, of each the secrets of the TLS connections that begin in it. Those that come in the
	// sources' streams go into it. Nil stores none.
	Keys *keylog.Log

	Others func() []capture.State // of what else runs beside, for the status

	Capturing func() // told when capture begins
}

// counts are of all lanes, since the start.
type counts struct {
	sealedPackets, sealedRaw, sealedBytes atomic.Uint64
	cutPackets, cutBytes                  atomic.Uint64
	duplicates, oddTimes                  atomic.Uint64
	sealCPU                               atomic.Int64 // ns
	uploads, uploadBytes, failures        atomic.Uint64
	existed, conflicts                    atomic.Uint64
	lastUpload, failingSince              atomic.Int64 // ns since 1970; 0: never, not
}

// New returns a sensor that captures from sources into store. It opens nothing yet.
func New(store objstore.Store, cfg Config, sources []capture.Source, opts Options) (*Sensor, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("sensor: %w", err)
	}
	if len(sources) == 0 && opts.Others == nil {
		return nil, errors.New("sensor: nothing to capture from")
	}
	cfg.Name = cfg.SensorName()
	s := &Sensor{
		filter: cfg.Filter, cfg: cfg, opts: opts, store: store, sources: sources, log: opts.Logger, set: opts.Protocols,
		throttle: newThrottle(int64(cfg.Bandwidth)), lanes: map[string]*liveLane{},
		sealing: semaphore.NewWeighted(int64(cfg.SealWorkers)), uploading: semaphore.NewWeighted(int64(cfg.Uploads)),
	}
	s.builders.cfg = s.sealConfig()
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.set == nil {
		s.set = dissect.New()
	}
	if opts.Keys != nil {
		for _, src := range sources {
			if k, ok := src.(interface{ KeepSecrets(func(lines []byte)) }); ok {
				k.KeepSecrets(opts.Keys.Add)
			}
		}
	}
	rules, err := compileCutRules(cfg.Cut, s.set)
	if err != nil {
		return nil, fmt.Errorf("sensor: %w", err)
	}
	s.rules.Store(rules)
	if err := s.register(opts.Registerer); err != nil {
		return nil, fmt.Errorf("sensor: %w", err)
	}
	return s, nil
}

// stateTimeout bounds what the store may take at start before capture begins without it.
const stateTimeout = 10 * time.Second

// Run captures until ctx ends, a source fails or all are exhausted, then seals and
// uploads what it has. Unless the sources are exhausted that takes Config.StopTimeout
// at most, and what is left waits in the spool for the next start.
//
// It returns a HeldError, before anything is captured, when another sensor of the name
// runs, and what is wrong when the store refuses it; otherwise what a source or the
// spool could not go on for. A store that does not answer is no error: packets wait in
// the spool.
func (s *Sensor) Run(ctx context.Context) (err error) {
	s.started = time.Now()
	cfg := &s.cfg
	s.spool, err = spool.Open(spool.Config{
		Dir: cfg.Spool, Sensor: cfg.Name, SegmentBytes: int64(cfg.ChunkBytes), Span: cfg.ChunkSpan, Sync: cfg.Sync,
		Quota: int64(cfg.Quota), Policy: spool.Policy(cfg.Policy), Reserve: int64(cfg.SealWorkers+1) * int64(cfg.ChunkBytes),
		Cache: int64(cfg.CacheBytes), Logger: s.log, Trouble: s.trouble.note,
	})
	if err != nil {
		return fmt.Errorf("sensor: %w", err)
	}
	defer func() { err = errors.Join(err, s.spool.Close()) }()
	s.running.Store(true)
	s.owner = newOwner(s.store, cfg.Name, s.spool.ID(), cfg.LeaseTTL, s.log)
	if err := s.takeName(ctx); err != nil {
		return err
	}
	// Sealing and uploading outlive ctx, until the deadline after it.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	s.work = work
	var background sync.WaitGroup
	side, endSide := context.WithCancel(work)
	background.Go(func() { _ = s.owner.Keep(side, true) }) // ends with side alone
	background.Go(func() { s.tellStatus(side) })
	defer func() {
		endSide()
		background.Wait()
		err = errors.Join(err, s.sayStopped(work))
	}()
	for _, l := range s.spool.Lanes() { // what an earlier process left
		s.lane(l)
	}
	if n := s.spool.Stats().Recovered; n > 0 {
		s.log.InfoContext(ctx, "spool recovered", "folder", cfg.Spool, "waiting", n)
	}
	err = s.capture(ctx)
	hurry := func() { time.AfterFunc(cfg.StopTimeout, func() { stop(errStopTimeout) }) }
	defer context.AfterFunc(ctx, hurry)()
	if err != nil {
		hurry() // whoever runs the sensor starts it anew: that must not wait for the store
	}
	s.spool.Stop(work)
	s.workers.Wait()
	if errors.Is(context.Cause(work), errStopTimeout) {
		st := s.spool.Stats()
		s.log.WarnContext(ctx, "stopped before all was uploaded: the rest waits in the spool for the next start", "segments", st.Segments, "chunks", st.Chunks, "bytes", st.Bytes)
	}
	return err
}

// errStopTimeout ends sealing and uploading after a signal.
var errStopTimeout = errors.New("the time to stop is over")

// takeName makes sure that no other sensor of the name runs, as far as the store can tell now.
func (s *Sensor) takeName(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, s.cfg.LeaseTTL+stateTimeout)
	defer cancel()
	first, cancelFirst := context.WithTimeout(ctx, stateTimeout)
	defer cancelFirst()
	err := objstore.Check(first, s.store)
	if err != nil && ctx.Err() == nil && !errors.Is(err, objstore.ErrAway) {
		return fmt.Errorf("sensor: %w", err) // whoever sets a sensor up must see it at once
	}
	if err == nil {
		_, err = s.store.Head(first, sensorstatus.LeaseKey(s.cfg.Name)) // what is no S3 was not asked yet
	}
	if err == nil || errors.Is(err, objstore.ErrNotFound) {
		err = s.owner.Acquire(limit, false)
	}
	var held *lease.HeldError
	switch {
	case errors.As(err, &held):
		return fmt.Errorf("sensor: %w", &HeldError{s.cfg.Name, held.Record})
	case ctx.Err() != nil: // asked to stop: what the sources hold already is taken first
	case err != nil:
		s.trouble.note(err)
		s.log.WarnContext(ctx, "the store does not answer: packets wait in the spool until it does", "store", s.store.URL(), "error", err)
	}
	return nil
}

// capture runs all sources. It returns when all have ended.
func (s *Sensor) capture(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	errs := make(chan error, len(s.sources))
	for _, src := range s.sources {
		go func() {
			err := src.Run(running, s.openLane)
			if err != nil {
				err = fmt.Errorf("sensor: %s: %w", src.State().Name, err)
			}
			errs <- err
		}()
	}
	s.log.InfoContext(ctx, "capturing", "sensor", s.cfg.Name, "sources", len(s.sources), "spool", s.cfg.Spool, "store", s.store.URL())
	if s.opts.Capturing != nil {
		s.opts.Capturing()
	}
	var all []error
	for range s.sources {
		if err := <-errs; err != nil {
			all = append(all, err)
			s.trouble.note(err)
			stop() // the service is started anew, with all its sources
		}
	}
	if len(s.sources) == 0 {
		<-ctx.Done() // it is there for what runs beside it
	}
	return errors.Join(all...)
}

// openLane is the capture.Opener of all sources.
func (s *Sensor) openLane(name string, i capture.Interface) (capture.Sink, error) {
	if err := chunk.CheckName(name); err != nil {
		return nil, err
	}
	l, err := s.spool.Lane(name)
	if err != nil {
		return nil, err
	}
	if err := l.Open(i); err != nil {
		return nil, err
	}
	s.lane(l)
	return l, nil
}

// lane begins to seal and upload a lane, once.
func (s *Sensor) lane(l *spool.Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes[l.Name()] != nil {
		return
	}
	live := &liveLane{s: s, spool: l, log: s.log.With("lane", l.Name()), sealed: make(chan struct{})}
	s.lanes[l.Name()] = live
	s.workers.Go(func() {
		defer close(live.sealed)
		live.sealAll(s.work)
	})
	s.workers.Go(func() { live.uploadAll(s.work) })
}

// Reload takes new rules, and a new filter for the sources that can exchange theirs
// while they run. On an error all is as before. It is not safe for concurrent use.
func (s *Sensor) Reload(cfg Config) error {
	if err := s.reload(cfg); err != nil {
		s.trouble.note(err)
		return fmt.Errorf("reload: %w", err)
	}
	s.log.Info("filter and rules reloaded", "cut_rules", len(cfg.Cut), "filter", cfg.Filter)
	// What the sensor runs with, but for what was exchanged now.
	others := s.cfg
	others.Name, others.Cut, others.Filter = cfg.Name, cfg.Cut, cfg.Filter
	if !reflect.DeepEqual(others, cfg) || s.cfg.Name != cfg.SensorName() {
		s.log.Warn("other settings have changed as well: they need a restart of the sensor")
	}
	return nil
}

func (s *Sensor) reload(cfg Config) error {
	rules, err := compileCutRules(cfg.Cut, s.set)
	if err != nil {
		return err
	}
	var done []capture.Reloader
	for _, src := range s.sources {
		r, ok := src.(capture.Reloader)
		if !ok {
			continue
		}
		if err := r.Reload(cfg.Filter); err != nil {
			err = fmt.Errorf("%s: %w", src.State().Name, err)
			for _, r := range done {
				err = errors.Join(err, r.Reload(s.filter))
			}
			return err
		}
		done = append(done, r)
	}
	s.filter = cfg.Filter
	s.rules.Store(rules)
	return nil
}

func host() string {
	h, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return h
}
