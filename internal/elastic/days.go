package elastic

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"wirelake/internal/objstore"
)

// daysKey holds which days' indices hold every session of their day. Searches
// ask Elasticsearch only for those.
const daysKey = "state/elastic/days.json"

type daysRecord struct {
	Version int               `json:"version"`
	Days    map[string]bool   `json:"days"`            // day -> its index holds all of it
	Fills   map[string]string `json:"fills,omitempty"` // day -> Day.Fill
}

// Day is the state of a day's index.
type Day struct {
	Whole bool   // it holds every session of the day
	Fill  string // names the last BeginFill
}

// Days has the days that have an index.
type Days map[string]Day

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
	days := make(Days, len(r.Days))
	for day, whole := range r.Days {
		days[day] = Day{Whole: whole, Fill: r.Fills[day]}
	}
	return days, obj.ETag, nil
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
		r := daysRecord{Version: 1, Days: make(map[string]bool, len(days)), Fills: make(map[string]string)}
		for day, d := range days {
			r.Days[day] = d.Whole
			if d.Fill != "" {
				r.Fills[day] = d.Fill
			}
		}
		b, err := json.Marshal(r)
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

// BeginFill notes that the day's index is being filled, and returns a name of this fill. Who has filled it declares the
// day whole only while Day.Fill is that name: otherwise another process has emptied the index since, and may not have
// come to the end.
func BeginFill(ctx context.Context, store objstore.Store, day string) (string, error) {
	name := rand.Text()[:10]
	err := UpdateDays(ctx, store, func(d Days) bool {
		d[day] = Day{Fill: name}
		return true
	})
	return name, err
}
