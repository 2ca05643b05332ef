package compactor

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"wirelake/internal/dissect"
	"wirelake/internal/elastic"
	"wirelake/internal/expr"
	"wirelake/internal/objstore"
	"wirelake/internal/session"
	"wirelake/internal/spi"
	"wirelake/testenv"
)

// tagger is what a dissector of today finds that one of yesterday did not.
type tagger string

func (t tagger) Apply(d *spi.Document) { d.AddString(spi.Tags, string(t)) }

// archive is a store with an Elasticsearch.
type archive struct {
	t     *testing.T
	store objstore.Store
	set   *dissect.Set
	es    *elastic.Client
	// held is the same Elasticsearch, behind a proxy.
	held  *elastic.Client
	proxy *testenv.FaultyProxy
}

func newArchive(t *testing.T) *archive {
	t.Helper()
	bucket, node := testenv.MinIO(t), testenv.Elasticsearch(t)
	bucket.Setenv(t)
	a := &archive{t: t, set: dissect.New(), proxy: testenv.Proxy(t, node.Addr())}
	var err error
	if a.store, err = objstore.Open(t.Context(), bucket.URL(""), objstore.Options{}); err != nil {
		t.Fatal(err)
	}
	client := func(url string) *elastic.Client {
		cfg := elastic.DefaultConfig()
		cfg.URLs, cfg.IndexPrefix, cfg.Timeout, cfg.RetryFor = []string{url}, node.Prefix, time.Minute, 10*time.Minute
		es, err := elastic.New(cfg, a.set.Registry(), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return es
	}
	a.es, a.held = client(node.URL), client("http://"+a.proxy.Addr())
	return a
}

func (a *archive) parts(store objstore.Store, es *elastic.Client, rules Tagger) Parts {
	return Parts{Store: store, Set: a.set, Session: session.DefaultConfig(), Elastic: es, Rules: rules}
}

// compact runs a compactor to its end.
func (a *archive) compact(store objstore.Store) {
	a.t.Helper()
	c, err := New(DefaultConfig(), a.parts(store, a.es, nil))
	if err == nil {
		err = c.Run(a.t.Context(), true)
	}
	if err != nil {
		a.t.Fatal(err)
	}
}

// redissect gives all sessions that match the tag, and replaces them everywhere.
func (a *archive) redissect(store objstore.Store, tag, expression string) {
	a.t.Helper()
	x, err := expr.Parse(expression, a.set.Registry(), time.Now())
	if err != nil {
		a.t.Fatal(err)
	}
	if res, err := Redissect(context.Background(), a.parts(store, a.es, tagger(tag)), RedissectOptions{Expr: x}); err != nil || res.Sessions == 0 {
		a.t.Fatalf("redissect: %+v, %v", res, err)
	}
}

func (a *archive) reindex(store objstore.Store) {
	a.t.Helper()
	if err := Reindex(a.t.Context(), store, a.es, a.set.Registry(), "", "", slog.New(slog.DiscardHandler), func(string, int, int) {}); err != nil {
		a.t.Fatal(err)
	}
}

// same holds that Elasticsearch has what Parquet has, and that sessions have the tags, by source port.
func (a *archive) same(tags map[uint16]string) {
	a.t.Helper()
	want, tagged := map[string]string{}, map[uint16]string{}
	days := map[string]bool{}
	for key, d := range documents(a.t, a.store) {
		days[dayOf(key)] = true
		want[d.String(spi.ID)] = string(elastic.AppendHot(nil, d))
		port, _ := d.Int(spi.SourcePort)
		for v := range d.Each(spi.Tags) {
			tagged[uint16(port)] += v.Str
		}
	}
	if !maps.Equal(tagged, tags) {
		a.t.Errorf("Parquet has the tags %v, want %v", tagged, tags)
	}
	whole, err := elastic.LoadDays(a.t.Context(), a.store)
	if err != nil {
		a.t.Fatal(err)
	}
	for day := range days {
		if !whole[day].Whole {
			a.t.Errorf("the index of %s is not whole: %v", day, whole)
		}
		if err := a.es.Refresh(a.t.Context(), day); err != nil {
			a.t.Fatal(err)
		}
	}
	answer, err := a.es.Search(a.t.Context(), map[string]any{"size": 1000})
	if err != nil {
		a.t.Fatal(err)
	}
	for _, h := range answer.Hits.Hits {
		if got := string(h.Source); got != want[h.ID] {
			a.t.Errorf("Elasticsearch has\n%s\nof %s, want\n%s", got, h.ID, want[h.ID])
		}
		delete(want, h.ID)
	}
	if len(want) != 0 {
		a.t.Errorf("Elasticsearch lacks %v", want)
	}
}

// meanwhile is a store that does something once, when a session file was read and before the reader has it.
type meanwhile struct {
	objstore.Store
	once sync.Once
	do   func()
}

func (m *meanwhile) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	b, o, err := m.Store.GetRange(ctx, key, off, n)
	if strings.HasPrefix(key, "sessions/") {
		m.once.Do(m.do)
	}
	return b, o, err
}

// Documents that a compactor holds for Elasticsearch must not replace those of the sessions dissected meanwhile.
func TestRedissectBesideBacklog(t *testing.T) {
	a := newArchive(t)
	putChunk(t, a.store, 0, false, 1, []uint16{1001, 1002}, 0)
	putChunk(t, a.store, 1, false, 1, []uint16{1003}, 1000) // ends the sessions before
	cfg := DefaultConfig()
	cfg.Interval, cfg.BatchDelay = 20*time.Millisecond, 20*time.Millisecond
	c, err := New(cfg, a.parts(a.store, a.held, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, false) }()
	unindexed := func() int {
		cp, err := loadCheckpoint(t.Context(), a.store, testSensor, testLane)
		if err != nil {
			t.Fatal(err)
		}
		return len(cp.Unindexed)
	}
	eventually(t, "the first sessions are indexed", func() bool {
		days, err := elastic.LoadDays(t.Context(), a.store)
		return err == nil && days["2026-03-03"].Whole && unindexed() == 0
	})
	a.proxy.Down()
	putChunk(t, a.store, 2, true, 1, []uint16{1004}, 2000)
	eventually(t, "sessions wait for Elasticsearch", func() bool { return unindexed() == 1 })
	a.redissect(a.store, "anew", "port.src >= 1003")
	a.proxy.Up()
	eventually(t, "Elasticsearch has taken all", func() bool { return unindexed() == 0 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	a.same(map[uint16]string{1003: "anew", 1004: "anew"})
}

// Nor must what any other writer of Elasticsearch had read before.
func TestRedissectBesideReaders(t *testing.T) {
	fill := func(a *archive, store objstore.Store) {
		putChunk(a.t, a.store, 1, true, 1, []uint16{1003}, 10)
		a.compact(store)
	}
	redissect := func(a *archive, store objstore.Store) {
		// The first file that it reads is the one to replace, the second the new one to index.
		first := &meanwhile{Store: a.store}
		first.do = func() { first.Store = store }
		a.redissect(first, "other", "port.src == 1002")
	}
	for name, tt := range map[string]struct {
		indexed bool // before
		read    func(*archive, objstore.Store)
		want    map[uint16]string
	}{
		"reindex":                      {true, (*archive).reindex, map[uint16]string{1001: "anew"}},
		"a compactor that fills a day": {false, fill, map[uint16]string{1001: "anew"}},
		"another redissect":            {true, redissect, map[uint16]string{1001: "anew", 1002: "other"}},
	} {
		t.Run(name, func(t *testing.T) {
			a := newArchive(t)
			putChunk(t, a.store, 0, true, 1, []uint16{1001, 1002}, 0)
			if tt.indexed {
				a.compact(a.store)
			} else {
				compactOnce(t, a.store)
			}
			tt.read(a, &meanwhile{Store: a.store, do: func() { a.redissect(a.store, "anew", "port.src == 1001") }})
			a.same(tt.want)
		})
	}
}

// A compactor that goes on while a day is filled anew must not declare it whole for whoever fills it; nor for ever
// leave it to one that has died.
func TestReindexBesideCompactor(t *testing.T) {
	const day = "2026-03-03"
	a := newArchive(t)
	cfg := DefaultConfig()
	cfg.Interval, cfg.BatchDelay = 20*time.Millisecond, 20*time.Millisecond
	c, err := New(cfg, a.parts(a.store, a.es, nil))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	putChunk(t, a.store, 0, false, 1, []uint16{1001, 1002}, 0)
	go func() { ended <- c.Run(ctx, false) }()
	if err := c.WaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	// next stores a chunk, which ends the session of that before, and waits until the compactor is done with it.
	next := func(seq uint64) {
		putChunk(t, a.store, seq, false, 1, []uint16{1001 + uint16(seq)}, 1000*int64(seq))
		eventually(t, "its sessions are indexed", func() bool {
			cp, err := loadCheckpoint(t.Context(), a.store, testSensor, testLane)
			return err == nil && cp.Next == seq+1 && len(cp.Unindexed) == 0
		})
		if err := c.index.drain(t.Context()); err != nil {
			t.Error(err)
		}
	}
	next(1)
	whole := func() bool {
		days, err := elastic.LoadDays(t.Context(), a.store)
		if err != nil {
			t.Error(err)
		}
		return days[day].Whole
	}
	if !whole() {
		t.Error("the day that the compactor has filled is not whole")
	}
	a.reindex(&meanwhile{Store: a.store, do: func() {
		next(2)
		if whole() {
			t.Error("a day that is being filled anew is whole")
		}
	}})
	a.same(map[uint16]string{})
	next(3)
	a.same(map[uint16]string{})

	dying, die := context.WithCancel(t.Context())
	err = Reindex(dying, &meanwhile{Store: a.store, do: die}, a.es, a.set.Registry(), "", "", slog.New(slog.DiscardHandler), func(string, int, int) {})
	if !errors.Is(err, context.Canceled) || whole() {
		t.Errorf("a reindex that was cut short ended with %v, the day is whole: %v", err, whole())
	}
	next(4) // the compactor learns of it
	if whole() {
		t.Error("a day that was left half filled is whole")
	}
	next(5)
	a.same(map[uint16]string{})
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// A file that is deleted is no work that remains.
func TestIndexFileDeleted(t *testing.T) {
	a := newArchive(t)
	putChunk(t, a.store, 0, true, 1, []uint16{1001}, 0)
	compactOnce(t, a.store)
	var key string
	for k := range documents(t, a.store) {
		key = k
	}
	store := &meanwhile{Store: a.store, do: func() {
		if err := a.store.Delete(context.Background(), key); err != nil {
			t.Error(err)
		}
	}}
	a.reindex(store)
}
