package lease

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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

const key = "state/x/lease.json"

// acquire waits for a fenced lease as a process of its own.
func acquire(ctx context.Context, store objstore.Store, ttl time.Duration) (*Lease, error) {
	l := New(Config{Store: store, Key: key, TTL: ttl, Self: ThisProcess(), Fenced: true, Log: slog.New(slog.DiscardHandler)})
	return l, l.Acquire(ctx, true)
}

// owner is a process that wants a lease that is not fenced, by its spool.
func owner(store objstore.Store, ttl time.Duration, spool string) *Lease {
	return New(Config{Store: store, Key: key, TTL: ttl, Self: Holder{Host: "h", PID: 7, Spool: spool, Nonce: "of " + spool}, Log: slog.New(slog.DiscardHandler)})
}

// The tests of what time does run on a clock of their own, which stands while anything is done: a busy machine makes no
// holder late.

// TestLeaseHasOneHolder races candidates for one lease.
func TestLeaseHasOneHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fileStore(t)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		var held atomic.Int32
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				l, err := acquire(ctx, store, time.Minute)
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("a candidate that has to wait: %v", err)
					}
					return
				}
				held.Add(1)
				if l.Check() != nil || l.Epoch() != 1 {
					t.Errorf("the holder counts itself out, or has epoch %d", l.Epoch())
				}
			})
		}
		wg.Wait()
		if held.Load() != 1 {
			t.Errorf("%d candidates hold the lease, want 1", held.Load())
		}
	})
}

// TestLeaseIsTakenOver holds that a silent holder loses the lease after the TTL
// and not before, knows it, and cannot get it back.
func TestLeaseIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fileStore(t)
		const ttl = time.Second
		first, err := acquire(t.Context(), store, ttl)
		if err != nil {
			t.Fatal(err)
		}
		asked := time.Now()
		second, err := acquire(t.Context(), store, ttl)
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(asked); waited < ttl || waited > 2*ttl {
			t.Errorf("the lease was taken over after %v, want %v or little more", waited, ttl)
		}
		if second.Epoch() != 2 {
			t.Errorf("second holder has epoch %d, want 2", second.Epoch())
		}
		if err := first.Check(); !errors.Is(err, ErrLost) {
			t.Errorf("the first holder checks its lease: got %v, want ErrLost", err)
		}
		if err := first.Keep(t.Context(), false); !errors.Is(err, ErrLost) {
			t.Errorf("the first holder renews its lease: got %v, want ErrLost", err)
		}
	})
}

func TestLeaseIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fileStore(t)
		const ttl = 6 * time.Second
		l, err := acquire(t.Context(), store, ttl)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*ttl)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- l.Keep(ctx, false) }()
		if _, err := acquire(ctx, store, ttl); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a second candidate got %v, want to wait", err)
		}
		if err := <-done; err != nil {
			t.Errorf("keep: %v", err)
		}
	})
}

func TestLeaseOfADeadProcessIsFree(t *testing.T) {
	store := fileStore(t)
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := ThisProcess()
	if h.Machine == "" {
		t.Fatal("this system does not say which boot it is: /proc is missing")
	}
	h.PID, h.Started = cmd.Process.Pid, started(cmd.Process.Pid)
	if h.dead() {
		t.Error("a running process counts as dead")
	}
	b, err := json.Marshal(Record{Version: 1, Epoch: 7, Holder: &h})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := objstore.PutBytes(t.Context(), store, key, b); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	began := time.Now()
	l, err := acquire(t.Context(), store, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if l.Epoch() != 8 || time.Since(began) > time.Minute {
		t.Errorf("epoch %d after %v, want 8 at once", l.Epoch(), time.Since(began))
	}
}

func TestReleasedLeaseIsFree(t *testing.T) {
	store := fileStore(t)
	l, err := acquire(t.Context(), store, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.Check(); !errors.Is(err, ErrLost) {
		t.Errorf("after release: got %v, want ErrLost", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := acquire(ctx, store, time.Hour); err != nil {
		t.Errorf("the next candidate: %v", err)
	}
}

// TestContent holds what other versions of the program read and write.
func TestContent(t *testing.T) {
	now := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	for want, r := range map[string]Record{
		`{"version":1,"epoch":7,"holder":{"host":"h","pid":5,"machine":"m","started":"9","nonce":"N"},"renewed":"2026-02-03T04:05:06Z"}`: {
			Version: 1, Epoch: 7, Holder: &Holder{Host: "h", PID: 5, Machine: "m", Started: "9", Nonce: "N"}, Renewed: now,
		},
		`{"version":1,"holder":{"host":"h","pid":5,"spool":"S","nonce":"N"},"taken":"2026-02-03T04:05:06Z","renewed":"2026-02-03T04:05:06Z"}`: {
			Version: 1, Holder: &Holder{Host: "h", PID: 5, Spool: "S", Nonce: "N"}, Taken: now, Renewed: now,
		},
		`{"version":1,"epoch":7,"renewed":"2026-02-03T04:05:06Z"}`: {Version: 1, Epoch: 7, Renewed: now},
	} {
		if got, err := json.Marshal(r); err != nil || string(got) != want {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

// TestHolderThatLives refuses an impatient candidate as soon as the holder renews.
func TestHolderThatLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fileStore(t)
		const ttl = 3 * time.Second
		first := owner(store, ttl, "one")
		if err := first.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- first.Keep(ctx, true) }()
		var held *HeldError
		err := owner(store, ttl, "two").Acquire(t.Context(), false)
		if !errors.As(err, &held) || !errors.Is(err, ErrLost) || held.Holder.Host != "h" || held.Taken.IsZero() || held.Epoch != 0 {
			t.Errorf("the second candidate: %v", err)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestSameSpool takes the lease of an earlier process with the same spool at once, and
// the earlier one learns of it.
func TestSameSpool(t *testing.T) {
	store := fileStore(t)
	first, second := owner(store, time.Hour, "one"), owner(store, time.Hour, "one")
	second.Self.Nonce = "another"
	for _, l := range []*Lease{first, second} {
		if err := l.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.renew(t.Context(), false); err == nil {
		t.Error("the earlier process renews")
	}
	if err := first.Check(); !errors.Is(err, ErrLost) {
		t.Errorf("the earlier process checks: %v", err)
	}
	if err := errors.Join(second.renew(t.Context(), false), second.Check()); err != nil {
		t.Error(err)
	}
}

// TestRetake gives a lease that was lost back to who keeps wanting it.
func TestRetake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := fileStore(t)
		const ttl = time.Second
		first, second := owner(store, ttl, "one"), owner(store, ttl, "two")
		if err := first.Acquire(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		if err := second.Acquire(t.Context(), false); err != nil { // first is silent
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- first.Keep(ctx, true) }()
		if err := second.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); first.Check() != nil; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(first.Check())
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestDamagedRecord refuses to guess whose a lease is.
func TestDamagedRecord(t *testing.T) {
	store := fileStore(t)
	if _, err := objstore.PutBytes(t.Context(), store, key, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if _, err := acquire(t.Context(), store, time.Hour); err == nil || !strings.Contains(err.Error(), key) {
		t.Errorf("got %v", err)
	}
}
