package elastic

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"wirelake/internal/objstore"
)

// daysKey holds which days' indices hold every session of their day. Searches
// ask Elasticsearch only for those.
const daysKey = "state/elastic/days.json"

type daysRecord struct {
	Version int             `json:"version"`
	Days    map[string]bool `json:"days"` // day -> its index holds all of it
}

// Days says, for each day that has an index, whether the index holds every
// session of that day. A day that is missing has no index.
type Days map[string]bool

// LoadDays returns the state of all days.
func LoadDays(ctx context.Context, store objstore.Store) (Days, error) {
	days, _, err := loadDays(ctx, store)
	return days, err
}

func loadDays(ctx context.Context, store objstore.Store) (Days, string, error) {
	b, obj, err := objstore.GetAll(ctx, store, daysKey)
	if errors.Is(err, objstore.ErrNotFound) {
		return Days{}, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	var r daysRecord
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, "", fmt.Errorf("%q: %w", daysKey, err)
	}
	if r.Version != 1 {
		return nil, "", fmt.Errorf("%q: version %d, this program knows 1", daysKey, r.Version)
	}
	if r.Days == nil {
		r.Days = map[string]bool{}
	}
	return r.Days, obj.ETag, nil
}

// UpdateDays applies change to the state of the days and stores it, again if
// another process changed it meanwhile. Change reports whether it changed
// anything; it may be called several times.
func UpdateDays(ctx context.Context, store objstore.Store, change func(Days) bool) error {
	for {
		days, etag, err := loadDays(ctx, store)
		if err != nil {
			return err
		}
		if !change(days) {
			return nil
		}
		b, err := json.Marshal(daysRecord{Version: 1, Days: days})
		if err != nil {
			return err
		}
		opt := objstore.IfAbsent()
		if etag != "" {
			opt = objstore.IfMatch(etag)
		}
		_, err = objstore.PutBytes(ctx, store, daysKey, b, opt)
		if !errors.Is(err, objstore.ErrExists) && !errors.Is(err, objstore.ErrMismatch) {
			return err
		}
	}
}
