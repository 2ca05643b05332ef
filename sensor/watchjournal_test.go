package sensor

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"wirelake/internal/objstore"
)

// The example of docs/import.md, "The journal".
func TestJournalVector(t *testing.T) {
	text := `{"version":1,"source":"/captures","done_before":"2026-02-24T10:00:00Z","pass":{"before":"0001-01-01T00:00:00Z","last":""},"recent":"lnN5kri1kl8YmUx2dQNAAA==","aside_total":0}`
	j := &journal{source: "/captures", recent: map[uint64]time.Time{}, retry: map[string]*journalRetry{}}
	if err := j.decode([]byte(text)); err != nil {
		t.Fatal(err)
	}
	changed := time.Date(2026, 3, 3, 10, 0, 0, 0, time.UTC)
	it := watchItem{name: "a.pcap", order: "a.pcap", version: "100 1772532000000000000", changed: changed}
	if at, ok := j.recent[itemHash(it)]; !ok || !at.Equal(changed) || j.todo(it, changed) {
		t.Errorf("recent is %v, and the hash %016x", j.recent, itemHash(it))
	}
	it.version = "101 1772532000000000000"
	if !j.todo(it, changed) {
		t.Error("a changed file is done")
	}
	if b, err := j.encode(); err != nil || string(b) != text {
		t.Errorf("encoded again: %s, %v", b, err)
	}
}

func openJournal(t *testing.T, store objstore.Store, key string) *journal {
	t.Helper()
	j := newJournal(store, key, "s3://b/p")
	if err := j.load(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j
}

// The journal of a source with very many files is as large as those of the last week.
func TestJournalForgets(t *testing.T) {
	store := newStore(t)
	key := journalKey("import", "s3://b/p")
	j := openJournal(t, store, key)
	item := func(i int, changed time.Time) watchItem {
		name := fmt.Sprintf("%09d.pcap", i)
		return watchItem{name: name, order: name, version: "1", changed: changed}
	}
	now := time.Now()
	old := now.Add(-30 * 24 * time.Hour)
	j.begin(now)
	const n = 200_000
	for i := range n {
		it := item(i, old)
		if !j.todo(it, now) {
			t.Fatalf("item %d is done before its time", i)
		}
		j.done(it)
		if i == n/2 { // killed, and started again in the middle of the first listing
			if err := j.save(t.Context()); err != nil {
				t.Fatal(err)
			}
			j = openJournal(t, store, key)
			j.begin(now.Add(time.Hour))
			for _, k := range []int{0, n / 4, n / 2} {
				if j.todo(item(k, old), now) {
					t.Errorf("item %d is to be read again", k)
				}
			}
		}
	}
	recent := item(n+1, now)
	j.done(recent)
	j.failed(item(n+2, old), now, errors.New("disk on fire"))
	j.end()
	if err := j.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	o, err := store.Head(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if o.Size > 2000 || len(j.recent) != 1 {
		t.Errorf("journal of %d bytes, %d recent", o.Size, len(j.recent))
	}
	j = openJournal(t, store, key)
	j.begin(now)
	changed := item(3, now)
	changed.version = "2"
	again := item(n+2, old)
	for _, c := range []struct {
		it   watchItem
		at   time.Time
		want bool
	}{{item(7, old), now, false}, {recent, now, false}, {changed, now, true}, {again, now, false}, {again, now.Add(time.Hour), true}, {item(n+3, now), now, true}} {
		if got := j.todo(c.it, c.at); got != c.want {
			t.Errorf("%+v at %v: got %v", c.it, c.at, got)
		}
	}
	later := now.Add(journalSlack + time.Hour)
	j.pass = journalPass{}
	j.begin(later)
	j.end()
	if len(j.recent) != 0 || j.todo(recent, later) {
		t.Errorf("%d recent after a week", len(j.recent))
	}
}

func FuzzJournal(f *testing.F) {
	j := &journal{source: "/captures", recent: map[uint64]time.Time{}, retry: map[string]*journalRetry{}}
	j.begin(time.Unix(1772532000, 0))
	j.done(watchItem{name: "a", version: "1", changed: time.Unix(1772532000, 5)})
	j.setAside(watchItem{name: "b", order: "b", version: "1"}, time.Unix(1772532000, 0), "damaged")
	j.failed(watchItem{name: "c", version: "1"}, time.Unix(1772532000, 0), errors.New("unreadable"))
	b, err := j.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		j := &journal{source: "/captures", recent: map[uint64]time.Time{}, retry: map[string]*journalRetry{}}
		if j.decode(b) != nil {
			return
		}
		again, err := j.encode()
		if err != nil {
			return // a year that RFC 3339 has not
		}
		k := &journal{source: "/captures", recent: map[uint64]time.Time{}, retry: map[string]*journalRetry{}}
		if err := k.decode(again); err != nil {
			t.Fatalf("%v: %s", err, again)
		}
		if len(k.recent) != len(j.recent) || len(k.retry) != len(j.retry) || len(k.aside) != len(j.aside) || !k.doneBefore.Equal(j.doneBefore) {
			t.Errorf("%s became %s", b, again)
		}
	})
}
