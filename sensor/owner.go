package sensor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
)

// errNotOwner says that another sensor may have the name now, or that the lease could
// not be renewed in time. Nothing may be uploaded meanwhile.
var errNotOwner = errors.New("the sensor's name is not ours at present")

// nameHolder names the process that has a sensor's name.
type nameHolder struct {
	Host  string `json:"host"`
	PID   int    `json:"pid"`
	Spool string `json:"spool"` // identity of its spool, which one process at a time can have open
	Nonce string `json:"nonce"` // of the process
}

// nameLease is the object state/sensors/<sensor>.lease.
type nameLease struct {
	Version int         `json:"version"`
	Holder  *nameHolder `json:"holder,omitempty"` // none: the name is free
	Taken   time.Time   `json:"taken"`
	Renewed time.Time   `json:"renewed"` // for people; no process compares clocks
}

// HeldError says that another sensor runs under the name.
type HeldError struct {
	Sensor, Host string
	PID          int
	Taken        time.Time
	Renewed      time.Time
}

func (e *HeldError) Error() string {
	return fmt.Sprintf("sensor %s runs already, on host %s (pid %d) for %v, with a sign of life %v ago: give this one another name, or stop that one",
		e.Sensor, e.Host, e.PID, time.Since(e.Taken).Round(time.Second), time.Since(e.Renewed).Round(time.Second))
}

// owner is the right to upload under a sensor's name, for as long as it is renewed.
//
// Another process takes the name when the record has not changed for the TTL by its
// own clock, so clocks of different machines need not agree. The holder counts itself
// out a third of the TTL before that. A process with the same spool takes it at once:
// it has the spool's lock, so the holder is gone.
type owner struct {
	store  objstore.Store
	sensor string
	ttl    time.Duration
	log    *slog.Logger
	self   nameHolder

	mu     sync.Mutex
	record nameLease
	etag   string
	until  time.Time // monotonic; the name counts as ours until then
	held   error     // why it is not ours

	// Of another's record: its ETag, since when it has not changed, and whether it ever did.
	seen   string
	seenAt time.Time
	alive  bool
}

func newOwner(store objstore.Store, sensor, spoolID string, ttl time.Duration, log *slog.Logger) *owner {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return &owner{store: store, sensor: sensor, ttl: ttl, log: log, held: errNotOwner,
		self: nameHolder{Host: host, PID: os.Getpid(), Spool: spoolID, Nonce: rand.Text()}}
}

// acquire takes the name, or returns a HeldError when another sensor shows that it
// lives. Any other error is of the store.
func (o *owner) acquire(ctx context.Context) error {
	told := false
	for {
		other, err := o.try(ctx)
		if errors.Is(err, errRaced) {
			continue
		}
		if err != nil || other == nil {
			return err
		}
		if o.alive {
			return o.heldBy(other)
		}
		if !told {
			told = true
			o.log.WarnContext(ctx, "another sensor has the name; waiting for a sign of life of it", "sensor", o.sensor, "host", other.Holder.Host, "pid", other.Holder.PID, "wait", o.ttl)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(o.ttl / 12):
		}
	}
}

func (o *owner) heldBy(other *nameLease) error {
	return &HeldError{Sensor: o.sensor, Host: other.Holder.Host, PID: other.Holder.PID, Taken: other.Taken, Renewed: other.Renewed}
}

// try takes the name when it is free or ours, and returns the record of who has it otherwise.
func (o *owner) try(ctx context.Context) (*nameLease, error) {
	asked := time.Now()
	key := sensorstatus.LeaseKey(o.sensor)
	b, obj, err := objstore.GetAll(ctx, o.store, key)
	var current nameLease
	switch {
	case errors.Is(err, objstore.ErrNotFound):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(b, &current); err != nil {
			return nil, fmt.Errorf("%q: %w", key, err)
		}
	}
	free := current.Holder == nil || current.Holder.Spool == o.self.Spool
	if !free {
		if obj.ETag != o.seen {
			o.alive = o.seen != ""
			o.seen, o.seenAt = obj.ETag, asked
		} else if time.Since(o.seenAt) >= o.ttl {
			free = true
		}
	}
	if !free {
		return &current, nil
	}
	taken := asked.UTC()
	if current.Holder != nil && current.Holder.Nonce == o.self.Nonce {
		taken = current.Taken
	}
	return nil, o.put(ctx, nameLease{Version: 1, Holder: &o.self, Taken: taken, Renewed: asked.UTC()}, obj.ETag, asked)
}

// errRaced says that the lease changed while we wrote it.
var errRaced = errors.New("another sensor took the name at the same time")

func (o *owner) put(ctx context.Context, r nameLease, etag string, asked time.Time) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	opt := objstore.IfAbsent()
	if etag != "" {
		opt = objstore.IfMatch(etag)
	}
	obj, err := objstore.PutBytes(ctx, o.store, sensorstatus.LeaseKey(o.sensor), b, opt)
	if errors.Is(err, objstore.ErrExists) || errors.Is(err, objstore.ErrMismatch) {
		return errRaced
	}
	if err != nil {
		return err
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.held != nil {
		o.log.InfoContext(ctx, "sensor name taken", "sensor", o.sensor)
	}
	o.record, o.etag, o.until, o.held = r, obj.ETag, asked.Add(o.ttl*2/3), nil
	return nil
}

// keep renews the lease until ctx ends, and takes it again when it was lost: capture
// goes on in any case, only uploads wait.
func (o *owner) keep(ctx context.Context) {
	tick := time.NewTicker(o.ttl / 6)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		attempt, cancel := context.WithTimeout(ctx, o.ttl/3)
		err := o.renew(attempt)
		cancel()
		if err != nil && ctx.Err() == nil {
			o.log.WarnContext(ctx, "sensor name not renewed", "sensor", o.sensor, "error", err)
		}
	}
}

func (o *owner) renew(ctx context.Context) error {
	o.mu.Lock()
	record, etag, ours := o.record, o.etag, o.held == nil
	o.mu.Unlock()
	if ours {
		asked := time.Now()
		record.Renewed = asked.UTC()
		err := o.put(ctx, record, etag, asked)
		if !errors.Is(err, errRaced) {
			return err
		}
	}
	other, err := o.try(ctx)
	if err == nil && other != nil {
		err = o.heldBy(other)
	}
	if err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.held = err
		if !errors.Is(err, errNotOwner) {
			o.held = fmt.Errorf("%w: %w", errNotOwner, err)
		}
	}
	return err
}

// check returns an error that wraps errNotOwner while the name may be another's.
func (o *owner) check() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.held != nil && errors.Is(o.held, errNotOwner):
		return o.held
	case o.held != nil:
		return fmt.Errorf("%w: %w", errNotOwner, o.held)
	case time.Now().After(o.until):
		return fmt.Errorf("%w: its lease could not be renewed", errNotOwner)
	}
	return nil
}

// release lets the next sensor of the name begin at once.
func (o *owner) release(ctx context.Context) error {
	o.mu.Lock()
	ours, etag, r := o.held == nil, o.etag, o.record
	o.held, o.until = errNotOwner, time.Time{}
	o.mu.Unlock()
	if !ours {
		return nil
	}
	r.Holder = nil
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = objstore.PutBytes(ctx, o.store, sensorstatus.LeaseKey(o.sensor), b, objstore.IfMatch(etag))
	if errors.Is(err, objstore.ErrMismatch) {
		return nil // another's already
	}
	return err
}
