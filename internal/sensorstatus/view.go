package sensorstatus

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"wirelake/internal/objstore"
)

// Condition is what the status of a sensor comes to.
type Condition string

// Conditions, the worst of which is told.
const (
	OK        Condition = "ok"
	InTrouble Condition = "trouble" // packets come in, but something is wrong: a source is down, uploads fail
	Losing    Condition = "losing"  // packets are being lost, or were in the last minute
	Stale     Condition = "stale"   // nothing was heard for three intervals: it died, or does not reach the store
	Stopped   Condition = "stopped" // it was stopped in order
)

// LossProblem begins the problem that tells of packets lost a short time ago.
const LossProblem = "packets were lost"

// View is a status as it is shown.
type View struct {
	Condition  Condition `json:"state"`
	AgeSeconds float64   `json:"age_seconds"` // of the status, 0 when the clocks disagree
	Lost       uint64    `json:"lost"`        // packets, of all causes, since the sensor started

	Status
}

// NewView judges a status at a time. The sensor's clock is corrected by its offset to the store's.
func NewView(s Status, now time.Time) View {
	written := s.Written
	if s.ClockOffset != nil {
		written = written.Add(-time.Duration(*s.ClockOffset * float64(time.Second)))
	}
	age := max(now.Sub(written), 0)
	v := View{Condition: s.condition(), AgeSeconds: age.Seconds(), Lost: s.Drops.Lost(), Status: s}
	if age > 3*Interval && !s.Stopped {
		v.Condition = Stale
	}
	return v
}

func (s *Status) condition() Condition {
	losing, down := s.Spool.Full, false
	for i := range s.Interfaces {
		losing = losing || s.Interfaces[i].DropsPerSecond > 0
		down = down || !s.Interfaces[i].Up
	}
	for _, p := range s.Problems {
		losing = losing || strings.HasPrefix(p, LossProblem)
	}
	switch {
	case s.Stopped:
		return Stopped
	case losing:
		return Losing
	case down || len(s.Problems) > 0:
		return InTrouble
	}
	return OK
}

// readers is how many status objects are read at once.
const readers = 8

// List reads the status of every sensor, in the order of their names. What cannot
// be decoded is told in damaged, beside the others; the error is that of the store.
func List(ctx context.Context, store objstore.Store, now time.Time) (all []View, damaged []error, err error) {
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(readers)
	for o, err := range store.List(ctx, Prefix, "") {
		if err != nil {
			return nil, nil, errors.Join(fmt.Errorf("list %s: %w", Prefix, err), g.Wait())
		}
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, Prefix), suffix)
		if !ok || strings.Contains(name, "/") {
			continue
		}
		g.Go(func() error {
			s, err := Get(ctx, store, name)
			mu.Lock()
			defer mu.Unlock()
			var bad *DecodeError
			switch {
			case errors.Is(err, objstore.ErrNotFound): // deleted meanwhile
			case errors.As(err, &bad):
				damaged = append(damaged, err)
			case err != nil:
				return err
			default:
				all = append(all, NewView(s, now))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, nil, err
	}
	slices.SortFunc(all, func(a, b View) int { return strings.Compare(a.Sensor, b.Sensor) })
	slices.SortFunc(damaged, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return all, damaged, nil
}

// DecodeError says that an object is no status, or one of another version.
type DecodeError struct {
	Key    string
	Reason error
}

func (e *DecodeError) Error() string { return fmt.Sprintf("%q: %v", e.Key, e.Reason) }

func (e *DecodeError) Unwrap() error { return e.Reason }
