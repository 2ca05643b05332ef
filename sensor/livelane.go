package sensor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/lease"
	"wirelake/sensor/spool"
)

// liveLane seals and uploads a lane: one goroutine for each, so that both are in order.
type liveLane struct {
	s     *Sensor
	spool *spool.Lane
	log   *slog.Logger

	sealed chan struct{} // closed when no chunk comes any more

	// The sealing goroutine's.
	cutter *cutter
	dedup  *deduper

	mu      sync.Mutex
	known   bool       // last is what the store has
	last    chunk.Meta // of the lane's last chunk in the store: Sequence, KeyNanos; none when empty
	empty   bool       // the store has no chunk of the lane
	lastKey string     // of the last chunk stored by us
	waiting waitingKeys
}

// Backoff of what failed: doubled each time, with half of it left to chance, forever.
const (
	firstBackoff = 500 * time.Millisecond
	lastBackoff  = time.Minute

	// tellUpload is how often a repeated upload fails for another line in the log: of
	// thousands of lanes each would fill it when the store is away for a week.
	tellUpload = 15
)

// backoff waits before the n-th repetition, from 0; false when ctx has ended.
func backoff(ctx context.Context, n int) bool {
	d := min(firstBackoff<<min(n, 10), lastBackoff)
	d = d/2 + rand.N(d/2) //nolint:gosec // no secret
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// learn finds out what the store has of the lane, once.
func (l *liveLane) learn(ctx context.Context) error {
	l.mu.Lock()
	known := l.known
	l.mu.Unlock()
	if known {
		return nil
	}
	return l.learnAgain(ctx)
}

// learnAgain asks for the last key of the lane: its last day, and the last key in that.
func (l *liveLane) learnAgain(ctx context.Context) error {
	prefix := chunk.LanePrefix(l.s.cfg.Name, l.spool.Name())
	days, err := l.s.store.ListPrefixes(ctx, prefix, "/")
	if err != nil {
		return fmt.Errorf("days of lane %s: %w", l.spool.Name(), err)
	}
	var last chunk.Meta
	found := false
	for i := len(days) - 1; i >= 0 && !found; i-- { // a day without a chunk is one whose chunks expired meanwhile
		for obj, err := range l.s.store.List(ctx, days[i], "") {
			if err != nil {
				return fmt.Errorf("last chunk of lane %s: %w", l.spool.Name(), err)
			}
			if m, err := chunk.ParseKey(obj.Key); err == nil {
				last, found = m, true
			} else {
				l.log.WarnContext(ctx, "object in the lane's folder that is no chunk", "key", obj.Key)
			}
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.known, l.empty = true, !found
	if found {
		l.last = last
		l.spool.Advance(last.Sequence+1, last.KeyNanos)
	}
	return nil
}

// after reports whether a chunk with this place comes after all that the store has.
func (l *liveLane) after(sequence uint64, keyNanos int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.empty || sequence > l.last.Sequence && keyNanos >= l.last.KeyNanos
}

// sealAll seals the lane's segments until ctx ends, or the spool has stopped and none is left.
func (l *liveLane) sealAll(ctx context.Context) {
	// The sequence is best known from the store before the first chunk is sealed. Where
	// the store does not answer, the spool's own notes do, and uploading puts it right.
	first, cancel := context.WithTimeout(ctx, stateTimeout)
	if err := l.learn(first); err != nil && ctx.Err() == nil {
		l.log.WarnContext(ctx, "the store did not tell the lane's last chunk; sealing by the spool's notes", "error", err)
	}
	cancel()
	failures := 0
	for {
		g := l.spool.NextSegment(ctx)
		if g == nil {
			return
		}
		err := l.s.sealing.Acquire(ctx, 1)
		if err == nil {
			done := make(chan struct{})
			go func() {
				defer close(done)
				background(l.s.cfg.SealNice, &l.s.counts.sealCPU, func() { err = l.seal(ctx, g) })
			}()
			<-done
			l.s.sealing.Release(1)
		}
		if err == nil {
			failures = 0
			continue
		}
		g.Release()
		if ctx.Err() != nil {
			return
		}
		l.log.ErrorContext(ctx, "segment not sealed; it is tried again", "file", g.Path, "error", err)
		l.s.trouble.note(err)
		if !backoff(ctx, failures) {
			return
		}
		failures++
	}
}

// uploadAll uploads the lane's chunks until ctx ends, or all is sealed and none is left.
func (l *liveLane) uploadAll(ctx context.Context) {
	failures := 0
	for {
		c := l.spool.NextUpload(ctx, l.sealed)
		if c == nil {
			if ctx.Err() == nil {
				l.abandonUpload(ctx) // of a chunk that was dropped
			}
			return
		}
		err := l.s.owner.Check()
		if err == nil {
			if err = l.s.uploading.Acquire(ctx, 1); err == nil {
				err = l.upload(ctx, c)
				l.s.uploading.Release(1)
			}
		}
		if err == nil {
			failures = 0
			l.s.counts.failingSince.Store(0)
			continue
		}
		c.Release()
		if ctx.Err() != nil {
			return
		}
		l.s.counts.failures.Add(1)
		l.s.counts.failingSince.CompareAndSwap(0, time.Now().UnixNano())
		if failures == 0 || failures%tellUpload == 0 && !errors.Is(err, lease.ErrLost) {
			l.log.WarnContext(ctx, "chunk not uploaded; it is tried again", "file", c.Path, "error", err)
		}
		l.s.trouble.note(err)
		if !backoff(ctx, failures) {
			return
		}
		failures++
	}
}
