package compactor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"wirelake/internal/objstore"
)

// leaseKey is the one lease of a store: it says which process compacts it.
const leaseKey = "state/compactor/lease.json"

// errLeaseLost says that another process took the lease over, or that it could
// not be renewed in time. Nothing may be written to the store after it.
var errLeaseLost = errors.New("the compactor's lease is lost")

// holder names the process that holds a lease. Machine and Started let another
// process of the same machine see that the holder is dead without waiting.
type holder struct {
	Host    string `json:"host"`
	PID     int    `json:"pid"`
	Machine string `json:"machine,omitempty"` // boot and process namespace
	Started string `json:"started,omitempty"` // start of the process in clock ticks after boot
	Nonce   string `json:"nonce"`
}

type leaseRecord struct {
	Version int       `json:"version"`
	Epoch   uint64    `json:"epoch"` // grows by one with each change of holder
	Holder  *holder   `json:"holder,omitempty"`
	Renewed time.Time `json:"renewed"` // for people; no process compares clocks
}

// lease is the right to write sessions and checkpoints, for as long as it is renewed.
//
// A candidate takes over when the record has not changed for the TTL by the
// candidate's own clock, so clocks of different machines need not agree. The
// holder counts itself out a third of the TTL before that.
type lease struct {
	store objstore.Store
	ttl   time.Duration
	log   *slog.Logger
	self  holder

	mu     sync.Mutex
	record leaseRecord
	etag   string
	until  time.Time // monotonic; the lease counts as held until then
}

// acquireLease waits until the lease is ours or ctx ends.
func acquireLease(ctx context.Context, store objstore.Store, ttl time.Duration, log *slog.Logger) (*lease, error) {
	l := &lease{store: store, ttl: ttl, log: log, self: thisProcess()}
	var seen string
	var seenAt time.Time
	told := false
	for {
		asked := time.Now()
		b, obj, err := objstore.GetAll(ctx, store, leaseKey)
		var current leaseRecord
		switch {
		case errors.Is(err, objstore.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			if err := json.Unmarshal(b, &current); err != nil {
				return nil, fmt.Errorf("%q: %w", leaseKey, err)
			}
		}
		free := current.Holder == nil || current.Holder.dead()
		if obj.ETag != seen {
			seen, seenAt = obj.ETag, asked
		} else if time.Since(seenAt) >= ttl {
			free = true
		}
		if free {
			ok, err := l.take(ctx, current.Epoch+1, obj.ETag)
			if err != nil {
				return nil, err
			}
			if ok {
				return l, nil
			}
			continue
		}
		if !told {
			told = true
			log.InfoContext(ctx, "waiting for another compactor of this store", "host", current.Holder.Host, "pid", current.Holder.PID)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(ttl / 10):
		}
	}
}

// take writes the record with us as its holder; false when somebody was faster.
func (l *lease) take(ctx context.Context, epoch uint64, etag string) (bool, error) {
	began := time.Now()
	record := leaseRecord{Version: 1, Epoch: epoch, Holder: &l.self, Renewed: began.UTC()}
	obj, err := l.put(ctx, record, etag)
	if errors.Is(err, objstore.ErrExists) || errors.Is(err, objstore.ErrMismatch) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record, l.etag, l.until = record, obj.ETag, began.Add(l.ttl*2/3)
	return true, nil
}

func (l *lease) put(ctx context.Context, r leaseRecord, etag string) (objstore.Object, error) {
	b, err := json.Marshal(r)
	if err != nil {
		return objstore.Object{}, err
	}
	opt := objstore.IfAbsent()
	if etag != "" {
		opt = objstore.IfMatch(etag)
	}
	return objstore.PutBytes(ctx, l.store, leaseKey, b, opt)
}

// keep renews the lease until ctx ends, which is no error, or the lease is lost.
func (l *lease) keep(ctx context.Context) error {
	tick := time.NewTicker(l.ttl / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		l.mu.Lock()
		epoch, etag := l.record.Epoch, l.etag
		l.mu.Unlock()
		attempt, cancel := context.WithTimeout(ctx, l.ttl/3)
		ok, err := l.take(attempt, epoch, etag)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && !ok:
			return errLeaseLost
		case err != nil:
			l.log.WarnContext(ctx, "lease not renewed", "error", err)
			if l.check() != nil {
				return fmt.Errorf("%w: %w", errLeaseLost, err)
			}
		}
	}
}

// check returns errLeaseLost once the lease may have passed to another process.
func (l *lease) check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Now().After(l.until) {
		return errLeaseLost
	}
	return nil
}

func (l *lease) epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Epoch
}

// release lets the next process begin at once.
func (l *lease) release(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
	r := l.record
	r.Holder = nil
	_, err := l.put(ctx, r, l.etag)
	if errors.Is(err, objstore.ErrMismatch) {
		return nil // taken over already
	}
	return err
}

func thisProcess() holder {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return holder{Host: host, PID: os.Getpid(), Machine: machine(), Started: started(os.Getpid()), Nonce: rand.Text()}
}

// dead reports whether the holder was a process of this machine that is gone.
// In doubt it is alive.
func (h *holder) dead() bool {
	if h.Machine == "" || h.Started == "" || h.Machine != machine() {
		return false
	}
	return started(h.PID) != h.Started
}

// machine identifies the running system and its process namespace, "" where
// that cannot be told.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	ns, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + ns
}

// started returns when a process began, in clock ticks after boot, "" when it is
// not running (field 22 of /proc/PID/stat, see proc_pid_stat(5)).
func started(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The command name may hold spaces and brackets: count from the last one.
	_, rest, ok := strings.Cut(string(b[strings.LastIndexByte(string(b), ')')+1:]), " ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 || fields[0] == "Z" {
		return ""
	}
	return fields[19]
}
