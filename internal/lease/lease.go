// Package lease is the right of one process at a time to do something with an object
// store, for as long as it shows that it lives.
//
// A lease is an object, a [Record] in JSON, written by put-if-absent and put-if-match
// alone, so that of any number of processes one has it. The holder renews it every sixth
// of the TTL. Another process takes it when the record has not changed for the TTL by
// that process's own clock, so clocks of different machines need not agree; the holder
// counts itself out a third of the TTL before that. A holder that is known to be gone is
// not waited for.
//
// The package knows nothing of what a lease is on.
package lease

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"wirelake/internal/objstore"
)

// ErrLost says that another process may have the lease now, or that it could not be
// renewed in time. What it is on must not be done meanwhile.
var ErrLost = errors.New("the lease is not ours")

// errRaced says that the lease changed while we wrote it.
var errRaced = errors.New("another process took it at the same time")

// Version of the record.
const Version = 1

// Record is the content of a lease's object.
type Record struct {
	Version int       `json:"version"`
	Epoch   uint64    `json:"epoch,omitempty"`  // grows by one with each change of holder; only of fenced leases
	Holder  *Holder   `json:"holder,omitempty"` // none: the lease is free
	Taken   time.Time `json:"taken,omitzero"`   // by the holder; only of leases that are not fenced
	Renewed time.Time `json:"renewed"`          // for people; no process compares clocks
}

// HeldError says that another process has the lease, and lives.
type HeldError struct{ Record }

func (e *HeldError) Error() string {
	return fmt.Sprintf("%v: host %s (pid %d) has it, and renewed it %v ago", ErrLost, e.Holder.Host, e.Holder.PID, time.Since(e.Renewed).Round(time.Second))
}

func (e *HeldError) Unwrap() error { return ErrLost }

// Config says which lease, and who wants it.
type Config struct {
	Store  objstore.Store
	Key    string
	TTL    time.Duration
	Self   Holder // from ThisProcess
	Fenced bool   // the record has an epoch, for what is written under the lease
	Log    *slog.Logger
}

// Lease is a lease as one process sees it. Acquire, then Keep, are called by one
// goroutine at a time; the other methods by any.
type Lease struct {
	Config

	mu     sync.Mutex
	record Record
	etag   string
	until  time.Time // monotonic; the lease counts as ours until then
	lost   error     // why it is not ours; nil: it is

	// Of another's record: its ETag, since when it has not changed, and whether it ever did.
	seen   string
	seenAt time.Time
	alive  bool
}

// New returns a lease that is not held yet.
func New(c Config) *Lease { return &Lease{Config: c, lost: ErrLost} }

// Acquire takes the lease, waiting while another process has it. Unless patient, it
// returns a HeldError as soon as that process shows that it lives. Other errors are of
// the store, or that ctx has ended.
func (l *Lease) Acquire(ctx context.Context, patient bool) error {
	for told := false; ; {
		other, err := l.try(ctx)
		if err != nil || other == nil {
			return err
		}
		if l.alive && !patient {
			return &HeldError{*other}
		}
		if !told {
			told = true
			l.Log.WarnContext(ctx, "another process has the lease; waiting for it", "key", l.Key, "host", other.Holder.Host, "pid", other.Holder.PID, "ttl", l.TTL)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(l.TTL / 12):
		}
	}
}

// try takes the lease when it is free, or else returns the record of who has it.
func (l *Lease) try(ctx context.Context) (*Record, error) {
	for {
		asked := time.Now()
		b, obj, err := objstore.GetAll(ctx, l.Store, l.Key)
		if err != nil && !errors.Is(err, objstore.ErrNotFound) {
			return nil, err
		}
		var current Record
		if err == nil {
			if err := json.Unmarshal(b, &current); err != nil {
				return nil, fmt.Errorf("%q: %w", l.Key, err)
			}
		}
		if h := current.Holder; h != nil && !h.gone(&l.Self) && !l.silent(obj.ETag, asked) {
			return &current, nil
		}
		next := Record{Version: Version, Holder: &l.Self}
		switch {
		case l.Fenced:
			next.Epoch = current.Epoch + 1
		case current.Holder != nil && current.Holder.Nonce == l.Self.Nonce:
			next.Taken = current.Taken
		default:
			next.Taken = asked.UTC()
		}
		if err := l.put(ctx, next, obj.ETag, asked); !errors.Is(err, errRaced) {
			return nil, err
		}
	}
}

// silent reports whether another's record has not changed for the TTL.
func (l *Lease) silent(etag string, asked time.Time) bool {
	if etag != l.seen {
		l.alive = l.seen != ""
		l.seen, l.seenAt = etag, asked
		return false
	}
	return time.Since(l.seenAt) >= l.TTL
}

// put writes the record over the one with this ETag, none for "", and counts the lease
// as ours from when the store was asked.
func (l *Lease) put(ctx context.Context, r Record, etag string, asked time.Time) error {
	r.Renewed = asked.UTC()
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	opt := objstore.IfAbsent()
	if etag != "" {
		opt = objstore.IfMatch(etag)
	}
	obj, err := objstore.PutBytes(ctx, l.Store, l.Key, b, opt)
	if errors.Is(err, objstore.ErrExists) || errors.Is(err, objstore.ErrMismatch) {
		return errRaced
	}
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		l.Log.InfoContext(ctx, "lease taken", "key", l.Key)
	}
	l.record, l.etag, l.until, l.lost = r, obj.ETag, asked.Add(l.TTL*2/3), nil
	return nil
}

// Keep renews the lease until ctx ends, which is no error. When it is lost, Keep takes
// it again as soon as it is free if retake is set, and returns ErrLost otherwise.
func (l *Lease) Keep(ctx context.Context, retake bool) error {
	tick := time.NewTicker(l.TTL / 6)
	defer tick.Stop()
	for failing, lost := false, false; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, l.TTL/3)
		err := l.renew(attempt, retake)
		cancel()
		if ctx.Err() != nil {
			continue
		}
		if err == nil {
			if failing {
				l.Log.InfoContext(ctx, "lease renewed again", "key", l.Key)
			}
			failing, lost = false, false
			continue
		}
		gone := l.Check() != nil
		if !retake && gone {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
		// Told when it begins and when the lease is lost by it: an outage may last a week.
		if !failing || gone != lost {
			l.Log.WarnContext(ctx, "lease not renewed", "key", l.Key, "lost", gone, "error", err)
		}
		failing, lost = true, gone
	}
}

func (l *Lease) renew(ctx context.Context, retake bool) error {
	l.mu.Lock()
	record, etag, ours := l.record, l.etag, l.lost == nil
	l.mu.Unlock()
	err := errRaced
	if ours {
		err = l.put(ctx, record, etag, time.Now())
		if err == nil || !errors.Is(err, errRaced) {
			return err // what the store failed at may succeed in time
		}
	}
	if retake {
		var other *Record
		other, err = l.try(ctx)
		if err == nil && other != nil {
			err = &HeldError{*other}
		}
	}
	if err != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.lost = err
	}
	return err
}

// Check returns an error that wraps ErrLost while the lease may be another's.
func (l *Lease) Check() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.lost != nil && errors.Is(l.lost, ErrLost):
		return l.lost
	case l.lost != nil:
		return fmt.Errorf("%w: %w", ErrLost, l.lost)
	case time.Now().After(l.until):
		return fmt.Errorf("%w: it could not be renewed", ErrLost)
	}
	return nil
}

// Epoch returns the epoch under which the lease was last ours, 0 when it is not fenced.
func (l *Lease) Epoch() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Epoch
}

// Release lets the next process begin at once.
func (l *Lease) Release(ctx context.Context) error {
	l.mu.Lock()
	ours, etag, r := l.lost == nil, l.etag, l.record
	l.lost = ErrLost
	l.mu.Unlock()
	if !ours {
		return nil
	}
	r.Holder = nil
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = objstore.PutBytes(ctx, l.Store, l.Key, b, objstore.IfMatch(etag))
	if errors.Is(err, objstore.ErrMismatch) {
		return nil // another's already
	}
	return err
}
