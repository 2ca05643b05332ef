package compactor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"wirelake/internal/chunk"
	"wirelake/internal/dissect"
	"wirelake/internal/elastic"
	"wirelake/internal/lease"
	"wirelake/internal/objstore"
	"wirelake/internal/session"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// Tagger adds tags to documents that are complete but for them. It is called by several goroutines.
type Tagger interface{ Apply(d *spi.Document) }

// Parts is what a Compactor works with. Geo, Rules, Elastic, Log and Metrics may be nil.
type Parts struct {
	Store   objstore.Store
	Set     *dissect.Set
	Session session.Config
	Geo     session.Lookup
	Rules   Tagger
	Elastic *elastic.Client
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// leaseKey is the one lease of a store: it says which process compacts it.
const leaseKey = "state/compactor/lease.json"

// Compactor writes the sessions of a store's chunks.
type Compactor struct {
	cfg      Config
	store    objstore.Store
	set      *dissect.Set
	session  session.Config
	geo      session.Lookup
	rules    Tagger // nil without rules
	schema   *sessionfile.Schema
	index    *indexer        // nil without Elasticsearch
	newIndex func() *indexer // nil without Elasticsearch
	lease    *lease.Lease    // to write sessions and checkpoints
	log      *slog.Logger
	metrics  metrics
	lanes    map[string]*lane // by prefix

	caughtUp chan struct{} // closed once there was nothing left to do
}

// New returns a compactor. The configuration must be valid.
func New(cfg Config, p Parts) (*Compactor, error) {
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	schema, err := sessionfile.NewSchema(p.Set.Registry())
	if err != nil {
		return nil, err
	}
	c := &Compactor{
		cfg: cfg, store: p.Store, set: p.Set, session: p.Session, geo: p.Geo, rules: p.Rules, log: p.Log,
		schema: schema, metrics: newMetrics(p.Metrics), lanes: make(map[string]*lane),
		caughtUp: make(chan struct{}),
	}
	if p.Elastic != nil {
		files, err := sessionfile.NewReader(p.Store, schema)
		if err != nil {
			return nil, err
		}
		c.newIndex = func() *indexer { return newIndexer(p.Store, p.Elastic, files, cfg.HotDays, p.Log, c.metrics.backlog) }
	}
	return c, nil
}

// Run follows all lanes until ctx ends. With once it returns when every chunk
// that is in the store is compacted and Elasticsearch has taken what it lacked.
//
// It waits for the lease of the store first. Should the lease be lost, for the store was
// away for long or another process has it, it waits for it again. A lane that fails is
// tried again, from its checkpoint. An error means that the lease could not be asked for
// at the start, or, with once, that it was lost or a lane failed.
func (c *Compactor) Run(ctx context.Context, once bool) error {
	c.lease = lease.New(lease.Config{Store: c.store, Key: leaseKey, TTL: c.cfg.LeaseTTL, Self: lease.ThisProcess(), Fenced: true, Log: c.log})
	if err := c.lease.Acquire(ctx, true); err != nil {
		return err
	}
	for {
		err := c.tenure(ctx, once)
		if once || !errors.Is(err, lease.ErrLost) {
			return err
		}
		c.log.WarnContext(ctx, "the lease of the store is lost; compaction waits for it, and goes on from the checkpoints", "error", err)
		for err != nil {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(c.cfg.LeaseTTL / 6):
			}
			if err = c.lease.Acquire(ctx, true); err != nil && ctx.Err() == nil {
				c.log.WarnContext(ctx, "the lease of the store was not taken", "error", err)
			}
		}
	}
}

// tenure works for as long as the lease is held.
func (c *Compactor) tenure(ctx context.Context, once bool) (err error) {
	c.log.InfoContext(ctx, "compacting", "store", c.store.URL(), "epoch", c.lease.Epoch())
	// Nothing of an earlier tenure: another process may have worked since.
	clear(c.lanes)
	if c.newIndex != nil {
		c.index = c.newIndex()
	}
	defer func() {
		release, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, c.lease.Release(release))
	}()

	work, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var background errgroup.Group
	background.Go(func() error {
		err := c.lease.Keep(work, false)
		if err != nil {
			stop(err)
		}
		return err
	})
	if c.index != nil {
		background.Go(func() error { return c.index.run(work) })
	}
	err = c.follow(work, once)
	for _, l := range c.lanes {
		l.discard()
	}
	stop(nil)
	if failed := background.Wait(); failed != nil {
		return failed
	}
	if ctx.Err() != nil && !once {
		return nil // asked to stop
	}
	return err
}

// follow works on all lanes, again and again or once.
func (c *Compactor) follow(ctx context.Context, once bool) error {
	tick := time.NewTicker(c.cfg.Interval)
	defer tick.Stop()
	for {
		// What is there at the start is wanted at once; later batches may fill up.
		took, err := c.pass(ctx, once || !c.CaughtUp())
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if once && err != nil {
			return err
		}
		if once && !took {
			return c.drainIndex(ctx)
		}
		if took {
			continue
		}
		if err == nil && !c.CaughtUp() {
			close(c.caughtUp)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// CaughtUp reports whether every chunk that was in the store when Run began is compacted.
func (c *Compactor) CaughtUp() bool {
	select {
	case <-c.caughtUp:
		return true
	default:
		return false
	}
}

// WaitCaughtUp waits until CaughtUp, or ctx ends.
func (c *Compactor) WaitCaughtUp(ctx context.Context) error {
	select {
	case <-c.caughtUp:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// drainIndex waits until Elasticsearch has everything, and stores that it has.
func (c *Compactor) drainIndex(ctx context.Context) error {
	if c.index == nil {
		return nil
	}
	if err := c.index.drain(ctx); err != nil {
		return err
	}
	for _, l := range c.lanes {
		if err := l.forgetIndexed(ctx); err != nil {
			return err
		}
	}
	return nil
}

// pass looks at every lane once.
func (c *Compactor) pass(ctx context.Context, drain bool) (took bool, err error) {
	if err := c.discover(ctx); err != nil {
		c.log.WarnContext(ctx, "lanes not listed", "error", err)
		return false, err
	}
	var group errgroup.Group
	group.SetLimit(c.cfg.Lanes)
	results := make(chan bool, len(c.lanes))
	for _, l := range c.lanes {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			more, err := l.step(ctx, drain)
			results <- more
			if err != nil && ctx.Err() == nil {
				c.metrics.failures.Inc()
				l.log.ErrorContext(ctx, "lane failed, it begins again at its checkpoint", "error", err)
				return fmt.Errorf("lane %s of sensor %s: %w", l.name, l.sensor, err)
			}
			return nil
		})
	}
	err = group.Wait()
	close(results)
	for more := range results {
		took = took || more
	}
	return took && err == nil, err
}

// discover finds the lanes of the store.
func (c *Compactor) discover(ctx context.Context) error {
	sensors, err := c.store.ListPrefixes(ctx, "chunks/", "/")
	if err != nil {
		return err
	}
	for _, sensor := range sensors {
		lanes, err := c.store.ListPrefixes(ctx, sensor, "/")
		if err != nil {
			return err
		}
		for _, prefix := range lanes {
			if c.lanes[prefix] != nil {
				continue
			}
			s, ok1 := strings.CutPrefix(path.Base(sensor), "sensor=")
			l, ok2 := strings.CutPrefix(path.Base(prefix), "lane=")
			if !ok1 || !ok2 {
				c.log.WarnContext(ctx, "folder that is no lane", "prefix", prefix)
				continue
			}
			c.lanes[prefix] = newLane(c, s, l)
		}
	}
	c.metrics.lanes.Set(float64(len(c.lanes)))
	return c.wake(ctx)
}

// wake has the lanes looked at that had ended and go on.
func (c *Compactor) wake(ctx context.Context) error {
	for obj, err := range c.store.List(ctx, chunk.ResumedPrefix, "") {
		if err == nil {
			err = c.lease.Check()
		}
		if err == nil {
			err = c.store.Delete(ctx, obj.Key)
		}
		if err != nil {
			return err
		}
		// Its chunk may not be there yet: the rests begin anew with the shortest.
		if l := c.lanes[chunk.ResumedLane(obj.Key)]; l != nil {
			l.rest, l.awake = 0, time.Time{}
		}
	}
	return nil
}

func (c *Compactor) newBatch(sensor, lane string, first uint64, suffix string) *batch {
	body := 0
	if c.index != nil {
		body = c.index.bodyBytes()
	}
	b := newBatch(sensor, lane, first, c.schema, body)
	b.suffix = suffix
	return b
}
