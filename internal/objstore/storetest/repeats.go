package storetest

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"
)

// Repeats is a slog.Handler that counts what a store repeats: it writes a line each time. It paces tests that let
// connections break again and again: on a slow machine a request takes longer than the time between two faults, and would
// be hit until the store gives up.
type Repeats struct{ lines, worst atomic.Int64 }

// Lines returns how often something was repeated.
func (r *Repeats) Lines() int64 { return r.lines.Load() }

// Pause returns how long the next fault is to wait: least, and much longer for a request that was hit more than twice.
func (r *Repeats) Pause(least time.Duration) time.Duration {
	const most = 8 // a store tries no more by default
	for range min(r.worst.Swap(0), most) - 2 {
		least *= 4
	}
	return least
}

// Enabled is part of slog.Handler.
func (r *Repeats) Enabled(context.Context, slog.Level) bool { return true }

// Handle is part of slog.Handler.
func (r *Repeats) Handle(_ context.Context, record slog.Record) error {
	if record.Message != "object store request repeated" && record.Message != "object read resumed" {
		return nil
	}
	r.lines.Add(1)
	record.Attrs(func(a slog.Attr) bool {
		if a.Key != "attempt" {
			return true
		}
		attempt := a.Value.Int64()
		for {
			worst := r.worst.Load()
			if attempt <= worst || r.worst.CompareAndSwap(worst, attempt) {
				return false
			}
		}
	})
	return nil
}

// WithAttrs is part of slog.Handler.
func (r *Repeats) WithAttrs([]slog.Attr) slog.Handler { return r }

// WithGroup is part of slog.Handler.
func (r *Repeats) WithGroup(string) slog.Handler { return r }
