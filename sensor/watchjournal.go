package sensor

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"wirelake/internal/objstore"
)

// What bounds a journal, whatever it is of.
const (
	// journalSlack is how far the time of a change may be in the past when the change shows: an object on S3
	// has the time at which its multipart upload was begun, and an upload may take a week.
	journalSlack = 7 * 24 * time.Hour
	// maxRetries are files that wait to be tried again. With more, something is wrong with all of them.
	maxRetries = 1000
	// maxAside are the last files set aside that a journal names.
	maxAside = 1000
	// maxJournalBytes is some millions of recent files.
	maxJournalBytes = 64 << 20

	journalVersion = 1
)

// watchItem is a file or an object that may hold packets.
type watchItem struct {
	name    string    // relative to the source, "/" between its parts
	order   string    // sorts as the source lists
	version string    // changes with the content
	changed time.Time // at this time or later it became as it is
	size    int64
}

// journal remembers which items of a source were dealt with. An item is done when
// it changed before doneBefore, or is noted itself; so memory and object hold
// the items of the last week only. docs/import.md, "The journal", is its format.
type journal struct {
	store objstore.Store
	key   string

	source     string
	doneBefore time.Time
	pass       journalPass          // the listing under way
	recent     map[uint64]time.Time // by hash of name and version; when it changed
	retry      map[string]*journalRetry
	aside      []journalAside
	asideTotal uint64
	loaded     bool
	dirty      bool
}

// journalPass says how far a listing has come: items that changed before, and
// are not behind the last, are done.
type journalPass struct {
	Before time.Time `json:"before"`
	Last   string    `json:"last"`
}

// journalRetry is an item that could not be read.
type journalRetry struct {
	Version  string    `json:"version"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
	Error    string    `json:"error"`
}

// journalAside is an item that is damaged, or could not be read again and again.
type journalAside struct {
	Name   string    `json:"name"`
	Time   time.Time `json:"time"`
	Reason string    `json:"reason"`
}

// journalObject is the journal in the store.
type journalObject struct {
	Version    int                      `json:"version"`
	Source     string                   `json:"source"`
	DoneBefore time.Time                `json:"done_before"`
	Pass       journalPass              `json:"pass"`
	Recent     string                   `json:"recent"` // base64 of entries of 16 bytes
	Retry      map[string]*journalRetry `json:"retry,omitempty"`
	Aside      []journalAside           `json:"aside,omitempty"`
	AsideTotal uint64                   `json:"aside_total"`
}

const recentBytes = 16 // hash and time of an entry, big-endian

// newJournal returns the journal of a source, which must be loaded before all else.
func newJournal(store objstore.Store, key, source string) *journal {
	return &journal{store: store, key: key, source: source, recent: map[uint64]time.Time{}, retry: map[string]*journalRetry{}}
}

// load reads the journal, once; one that is not there is empty.
func (j *journal) load(ctx context.Context) error {
	if j.loaded {
		return nil
	}
	b, o, err := j.store.GetRange(ctx, j.key, 0, maxJournalBytes)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		j.loaded = true
		return nil
	case err != nil:
		return err
	case o.Size > maxJournalBytes:
		return fmt.Errorf("journal %q: %d bytes, at most %d", j.key, o.Size, maxJournalBytes)
	}
	if err := j.decode(b); err != nil {
		return fmt.Errorf("journal %q: %w: delete it to have everything compared again", j.key, err)
	}
	j.loaded = true
	return nil
}

func (j *journal) decode(b []byte) error {
	var o journalObject
	if err := json.Unmarshal(b, &o); err != nil {
		return err
	}
	if o.Version != journalVersion {
		return fmt.Errorf("version %d, supported is %d", o.Version, journalVersion)
	}
	if o.Source != j.source {
		return fmt.Errorf("it is of %s", o.Source)
	}
	recent, err := base64.StdEncoding.DecodeString(o.Recent)
	if err != nil {
		return fmt.Errorf("recent: %w", err)
	}
	if len(recent)%recentBytes != 0 {
		return fmt.Errorf("recent: %d bytes are no whole entries", len(recent))
	}
	for e := range slices.Chunk(recent, recentBytes) {
		j.recent[binary.BigEndian.Uint64(e)] = time.Unix(0, int64(binary.BigEndian.Uint64(e[8:])))
	}
	j.doneBefore, j.pass, j.aside, j.asideTotal = o.DoneBefore, o.Pass, o.Aside, o.AsideTotal
	j.aside = j.aside[max(0, len(j.aside)-maxAside):]
	for name, r := range o.Retry {
		if r == nil {
			return fmt.Errorf("retry: %q has no entry", name)
		}
		j.retry[name] = r
	}
	return nil
}

func (j *journal) encode() ([]byte, error) {
	hashes := make([]uint64, 0, len(j.recent))
	for h := range j.recent {
		hashes = append(hashes, h)
	}
	slices.Sort(hashes)
	recent := make([]byte, 0, recentBytes*len(hashes))
	for _, h := range hashes {
		recent = binary.BigEndian.AppendUint64(recent, h)
		recent = binary.BigEndian.AppendUint64(recent, uint64(j.recent[h].UnixNano()))
	}
	return json.Marshal(journalObject{
		Version: journalVersion, Source: j.source, DoneBefore: j.doneBefore, Pass: j.pass,
		Recent: base64.StdEncoding.EncodeToString(recent), Retry: j.retry, Aside: j.aside, AsideTotal: j.asideTotal,
	})
}

// save writes the journal when something is new.
func (j *journal) save(ctx context.Context) error {
	if !j.dirty {
		return nil
	}
	b, err := j.encode()
	if err != nil {
		return err
	}
	if _, err := objstore.PutBytes(ctx, j.store, j.key, b, objstore.ContentType("application/json")); err != nil {
		return err
	}
	j.dirty = false
	return nil
}

// begin starts a listing, or goes on with one that was not finished.
func (j *journal) begin(now time.Time) {
	if j.pass.Before.IsZero() {
		j.pass = journalPass{Before: now.Add(-journalSlack)}
	}
}

// end tells that a listing was finished: all that it showed is done or noted.
func (j *journal) end() {
	if j.pass.Last != "" || len(j.retry) > 0 {
		j.dirty = true
	}
	if j.doneBefore.Before(j.pass.Before) {
		j.doneBefore = j.pass.Before
	}
	j.pass = journalPass{}
	for h, changed := range j.recent {
		if changed.Before(j.doneBefore) {
			delete(j.recent, h)
			j.dirty = true
		}
	}
}

// todo reports whether an item is to be imported now.
func (j *journal) todo(it watchItem, now time.Time) bool {
	if r := j.retry[it.name]; r != nil && r.Version == it.version {
		return !now.Before(r.Next)
	}
	if it.changed.Before(j.doneBefore) || it.changed.Before(j.pass.Before) && it.order <= j.pass.Last {
		return false
	}
	_, noted := j.recent[itemHash(it)]
	return !noted
}

// done notes an item that was dealt with.
func (j *journal) done(it watchItem) {
	delete(j.retry, it.name)
	j.note(it)
}

// failed notes an item that is to be tried again later.
func (j *journal) failed(it watchItem, now time.Time, err error) (attempts int) {
	const first, most = 30 * time.Second, 6 * time.Hour
	r := j.retry[it.name]
	if r == nil || r.Version != it.version {
		r = &journalRetry{Version: it.version}
		j.retry[it.name] = r
	}
	wait := min(first<<min(r.Attempts, 20), most)
	r.Attempts++
	r.Next, r.Error = now.Add(wait), err.Error()
	j.note(it)
	return r.Attempts
}

// setAside notes an item that is done, though not as it should be.
func (j *journal) setAside(it watchItem, now time.Time, reason string) {
	j.done(it)
	if len(j.aside) >= maxAside {
		j.aside = slices.Delete(j.aside, 0, len(j.aside)-maxAside+1)
	}
	j.aside = append(j.aside, journalAside{Name: it.name, Time: now.UTC(), Reason: reason})
	j.asideTotal++
}

func (j *journal) note(it watchItem) {
	j.dirty = true
	if it.changed.Before(j.pass.Before) {
		if it.order > j.pass.Last {
			j.pass.Last = it.order
		}
		return
	}
	j.recent[itemHash(it)] = it.changed
}

// forget drops what waits to be tried again and is not there any more.
func (j *journal) forget(seen map[string]bool) {
	for name := range j.retry {
		if !seen[name] {
			delete(j.retry, name)
			j.dirty = true
		}
	}
}

func itemHash(it watchItem) uint64 {
	d := xxhash.New()
	_, _ = d.WriteString(it.name)
	_, _ = d.WriteString("\x00")
	_, _ = d.WriteString(it.version)
	return d.Sum64()
}

// journalKey returns the object key of a source's journal.
func journalKey(sensor, source string) string {
	return "state/imports/" + sensor + "/" + strings.ToLower(identity(source, nil)) + ".json"
}
