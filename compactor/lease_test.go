package compactor

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os/exec"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wirelake/internal/objstore"
)

func fileStore(t testing.TB) objstore.Store {
	t.Helper()
	s, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }

// TestLeaseHasOneHolder races candidates for one lease.
func TestLeaseHasOneHolder(t *testing.T) {
	store := fileStore(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	var held atomic.Int32
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			l, err := acquireLease(ctx, store, time.Minute, quietLog())
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a candidate that has to wait: %v", err)
				}
				return
			}
			held.Add(1)
			if l.check() != nil || l.epoch() != 1 {
				t.Errorf("the holder counts itself out, or has epoch %d", l.epoch())
			}
		})
	}
	wg.Wait()
	if held.Load() != 1 {
		t.Errorf("%d candidates hold the lease, want 1", held.Load())
	}
}

// TestLeaseIsTakenOver holds that a silent holder loses the lease after the TTL
// and not before, knows it, and cannot get it back.
func TestLeaseIsTakenOver(t *testing.T) {
	store := fileStore(t)
	const ttl = time.Second
	first, err := acquireLease(t.Context(), store, ttl, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	asked := time.Now()
	second, err := acquireLease(t.Context(), store, ttl, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	if waited := time.Since(asked); waited < ttl {
		t.Errorf("the lease was taken over after %v, want %v or more", waited, ttl)
	}
	if second.epoch() != 2 {
		t.Errorf("second holder has epoch %d, want 2", second.epoch())
	}
	if err := first.check(); !errors.Is(err, errLeaseLost) {
		t.Errorf("the first holder checks its lease: got %v, want errLeaseLost", err)
	}
	if err := first.keep(t.Context()); !errors.Is(err, errLeaseLost) {
		t.Errorf("the first holder renews its lease: got %v, want errLeaseLost", err)
	}
}

func TestLeaseIsKept(t *testing.T) {
	t.Parallel()
	store := fileStore(t)
	const ttl = 6 * time.Second // renewed each second: a busy machine must not make it late
	l, err := acquireLease(t.Context(), store, ttl, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*ttl)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- l.keep(ctx) }()
	if _, err := acquireLease(ctx, store, ttl, quietLog()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a second candidate got %v, want to wait", err)
	}
	if err := <-done; err != nil {
		t.Errorf("keep: %v", err)
	}
}

func TestLeaseOfADeadProcessIsFree(t *testing.T) {
	store := fileStore(t)
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := thisProcess()
	if h.Machine == "" {
		t.Fatal("this system does not say which boot it is: /proc is missing")
	}
	h.PID, h.Started = cmd.Process.Pid, started(cmd.Process.Pid)
	if h.dead() {
		t.Error("a running process counts as dead")
	}
	b, err := json.Marshal(leaseRecord{Version: 1, Epoch: 7, Holder: &h})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.PutBytes(t.Context(), store, leaseKey, b); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	began := time.Now()
	l, err := acquireLease(t.Context(), store, time.Hour, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	if l.epoch() != 8 || time.Since(began) > time.Minute {
		t.Errorf("epoch %d after %v, want 8 at once", l.epoch(), time.Since(began))
	}
}

func TestReleasedLeaseIsFree(t *testing.T) {
	store := fileStore(t)
	l, err := acquireLease(t.Context(), store, time.Hour, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.check(); !errors.Is(err, errLeaseLost) {
		t.Errorf("after release: got %v, want errLeaseLost", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := acquireLease(ctx, store, time.Hour, quietLog()); err != nil {
		t.Errorf("the next candidate: %v", err)
	}
}
