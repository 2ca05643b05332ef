package sensor

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/testenv"
)

// watching is a watcher of a test and what it told.
type watching struct {
	*Watcher
	t     testing.TB
	store objstore.Store
	log   *logBuffer
	reg   *prometheus.Registry
}

type logBuffer struct {
	mu  sync.Mutex
	b   strings.Builder
	off bool
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.off {
		return len(p), nil
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func watch(t testing.TB, store objstore.Store, change func(*WatchConfig)) *watching {
	t.Helper()
	cfg := DefaultWatchConfig()
	cfg.Interval, cfg.Settle = minWatchInterval, 300*time.Millisecond
	change(&cfg)
	w := &watching{t: t, store: store, log: &logBuffer{}, reg: prometheus.NewRegistry()}
	im := newImporter(t, store, smallConfig(), ImportOptions{Logger: slog.New(slog.NewTextHandler(w.log, nil)), Registerer: w.reg})
	var err error
	if w.Watcher, err = NewWatcher(t.Context(), im, cfg, objstore.Options{}); err != nil {
		t.Fatal(err)
	}
	return w
}

// run watches until stop, which waits.
func (w *watching) run() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

func (w *watching) files(result string) int {
	families, err := w.reg.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "wirelake_watch_files_total" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == result {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	return 0
}

func (w *watching) wait(what string, ok func() bool) {
	w.t.Helper()
	for end := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(5 * time.Millisecond) { // two cores shared by many tests are slow
		if time.Now().After(end) {
			w.t.Fatalf("waited for %s; log:\n%s", what, w.log)
		}
	}
}

// archived counts the packets in a store by the file they are of.
func archived(t testing.TB, s objstore.Store) map[string]int {
	t.Helper()
	files := map[string]int{}
	for obj, err := range s.List(t.Context(), "chunks/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := chunk.Open(t.Context(), s, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		files[r.Meta().File] += int(r.Meta().Packets)
	}
	return files
}

func wantArchived(t testing.TB, s objstore.Store, want map[string]int) {
	t.Helper()
	got := archived(t, s)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("archived %v, want %v", got, want)
	}
}

func TestWatchTakesSettledAndRenamedFiles(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	store := newStore(t)
	packets := makePackets(300, 200, time.Millisecond)
	whole := pcap(packets)
	write(t, dir, "before.pcap", whole)
	write(t, dir, ".hidden.pcap", whole)
	write(t, dir, "unfinished.pcap.part", whole)
	write(t, dir, "notes.txt", []byte("of the sensor at the edge"))
	write(t, dir, "empty.pcap", nil)
	w := watch(t, store, func(c *WatchConfig) { c.Sources = []string{dir}; c.Settle = 700 * time.Millisecond })
	w.run()
	w.wait("the file that was there", func() bool { return w.files("imported") == 1 })
	want := map[string]int{filepath.Join(dir, "before.pcap"): 300}
	wantArchived(t, store, want)

	// One that is renamed into the folder is whole.
	moved := filepath.Join(dir, "moved.pcap")
	if err := os.Rename(write(t, elsewhere, "x.pcap", whole), moved); err != nil {
		t.Fatal(err)
	}
	w.wait("the renamed file", func() bool { return w.files("imported") == 2 })
	want[moved] = 300
	wantArchived(t, store, want)
	w.wait("the file that is no capture", func() bool { return w.files("no_capture") == 1 })
	if n := w.files("damaged"); n != 0 {
		t.Errorf("%d files were damaged; log:\n%s", n, w.log)
	}
	if s := w.States(); len(s) != 1 || !s[0].Up || s[0].Packets != 600 || s[0].Kind != "folder" || s[0].Name != dir || s[0].Error != "" {
		t.Errorf("states are %+v", s)
	}
}

// A file that grows is not taken before it rests.
func TestWatchWaitsUntilFilesRest(t *testing.T) {
	whole := pcap(makePackets(300, 200, time.Millisecond))
	for settle := 700 * time.Millisecond; ; settle *= 2 {
		dir, store := t.TempDir(), newStore(t)
		w := watch(t, store, func(c *WatchConfig) { c.Sources = []string{dir}; c.Settle = settle })
		stop := w.run()
		growing := filepath.Join(dir, "sub", "growing.pcap")
		if err := os.Mkdir(filepath.Dir(growing), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(growing)
		if err != nil {
			t.Fatal(err)
		}
		var rest time.Duration // the longest between two writes
		last := time.Now()
		for part := 0; part < len(whole); part += len(whole)/10 + 1 {
			if _, err := f.Write(whole[part:min(len(whole), part+len(whole)/10+1)]); err != nil {
				t.Fatal(err)
			}
			rest, last = max(rest, time.Since(last)), time.Now()
			time.Sleep(150 * time.Millisecond)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		early := w.files("imported")
		if max(rest, time.Since(last)) > settle/2 { // the machine is too busy for so short a time
			stop()
			continue
		}
		if early != 0 {
			t.Fatalf("%d files were imported while one grew; log:\n%s", early, w.log)
		}
		w.wait("the file that has grown", func() bool { return w.files("imported") == 1 })
		wantArchived(t, store, map[string]int{growing: 300})
		return
	}
}

func TestRenamedFilesNeedNotSettle(t *testing.T) {
	dir := t.TempDir()
	w := watch(t, newStore(t), func(c *WatchConfig) { c.Sources = []string{dir}; c.Settle = time.Hour })
	w.run()
	w.wait("the first listing", func() bool { return w.States()[0].Up })
	path := write(t, dir, "a.part", pcap(makePackets(10, 100, time.Millisecond)))
	write(t, dir, "b.pcap", pcap(makePackets(10, 100, time.Millisecond)))
	if err := os.Rename(path, filepath.Join(dir, "a.pcap")); err != nil {
		t.Fatal(err)
	}
	w.wait("the renamed file", func() bool { return w.files("imported") == 1 })
	wantArchived(t, w.store, map[string]int{filepath.Join(dir, "a.pcap"): 10})
}

// A restart reads nothing again, and what came meanwhile is found.
func TestWatchJournal(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t)
	want := map[string]int{}
	for i := range 20 {
		path := write(t, dir, fmt.Sprintf("f%02d.pcap", i), pcap(makePackets(10+i, 100, time.Millisecond)))
		want[path] = 10 + i
	}
	change := func(c *WatchConfig) { c.Sources = []string{dir} }
	w := watch(t, store, change)
	stop := w.run()
	w.wait("all files", func() bool { return w.files("imported") == 20 })
	stop()
	wantArchived(t, store, want)

	want[write(t, dir, "f05x.pcap", pcap(makePackets(5, 100, time.Millisecond)))] = 5
	w = watch(t, store, change)
	w.run()
	w.wait("the new file", func() bool { return w.files("imported") == 1 })
	time.Sleep(3 * minWatchInterval)
	if n := w.files("imported"); n != 1 {
		t.Errorf("%d files were read after the restart", n)
	}
	wantArchived(t, store, want)
}

func TestWatchDeletesOrMovesWhatIsImported(t *testing.T) {
	for _, after := range []string{AfterDelete, AfterMove} {
		t.Run(after, func(t *testing.T) {
			dir := t.TempDir()
			store := newStore(t)
			good := pcap(makePackets(50, 100, time.Millisecond))
			bad := append([]byte{}, good...)
			copy(bad[len(bad)/2:], strings.Repeat("\xff", 300))
			write(t, dir, "good.pcap", good)
			write(t, dir, "bad.pcap", bad)
			write(t, dir, "header.pcap", good[:10])
			write(t, dir, "notes.txt", []byte("kept in any case"))
			done, aside := filepath.Join(dir, "done"), filepath.Join(dir, "aside")
			if err := os.Mkdir(done, 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, done, "good.pcap", []byte("of another day"))
			w := watch(t, store, func(c *WatchConfig) {
				c.Sources, c.After, c.Aside = []string{dir}, after, aside
				if after == AfterMove {
					c.MoveTo = done
				} else {
					c.MoveTo = done // excluded from the watch
				}
			})
			w.run()
			w.wait("all files", func() bool { return w.files("imported")+w.files("damaged")+w.files("no_capture") == 4 })
			w.wait("the move", func() bool { _, err := os.Stat(filepath.Join(aside, "header.pcap")); return err == nil })
			there := map[string]bool{}
			err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
				if err == nil && !d.IsDir() {
					there[strings.TrimPrefix(path, dir+"/")] = true
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]bool{"notes.txt": true, "done/good.pcap": true, "aside/bad.pcap": true, "aside/header.pcap": true}
			if after == AfterMove {
				want["done/good.pcap.1"] = true
			}
			if fmt.Sprint(there) != fmt.Sprint(want) {
				t.Errorf("files are %v, want %v; log:\n%s", there, want, w.log)
			}
			got := archived(t, store)
			if got[filepath.Join(dir, "good.pcap")] != 50 || got[filepath.Join(dir, "bad.pcap")] < 20 {
				t.Errorf("archived %v", got)
			}
			for _, text := range []string{"bad.pcap", "header.pcap", "set aside"} {
				if !strings.Contains(w.log.String(), text) {
					t.Errorf("the log does not tell of %q:\n%s", text, w.log)
				}
			}
			if s := w.States()[0]; s.Malformed == 0 || !strings.Contains(s.Error, "set aside") {
				t.Errorf("state is %+v", s)
			}
		})
	}
}

// brokenGet fails to read one object, and counts what is read.
type brokenGet struct {
	watched
	broken string
	gets   atomic.Int64
}

func (b *brokenGet) input(it watchItem) input {
	in := b.watched.input(it)
	b.gets.Add(1)
	if it.name == b.broken {
		in.path = filepath.Join(filepath.Dir(in.path), "\x00") // cannot be opened
	}
	return in
}

// What cannot be read is tried again, later each time, and in the end set aside; the rest goes on.
func TestWatchTriesUnreadableFilesAgain(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t)
	write(t, dir, "a.pcap", pcap(makePackets(10, 100, time.Millisecond)))
	write(t, dir, "b.pcap", pcap(makePackets(20, 100, time.Millisecond)))
	w := watch(t, store, func(c *WatchConfig) { c.Sources = []string{dir} })
	s := w.sources[0]
	b := &brokenGet{watched: s.watched, broken: "a.pcap"}
	s.watched = b
	for try := 1; try <= maxAttempts+1; try++ {
		if err := w.list(t.Context(), s, true); err != nil {
			t.Fatal(err)
		}
		if r := s.journal.retry["a.pcap"]; try < maxAttempts && (r == nil || r.Attempts != try || time.Until(r.Next) < time.Second) {
			t.Fatalf("after %d attempts: %+v", try, r)
		} else if r != nil {
			r.Next = time.Time{} // as if the time had come
		}
	}
	if len(s.journal.retry) != 0 || s.journal.asideTotal != 1 || s.journal.aside[0].Name != "a.pcap" || !strings.Contains(s.journal.aside[0].Reason, "invalid argument") {
		t.Errorf("journal: retry %v, aside %+v", s.journal.retry, s.journal.aside)
	}
	if n := b.gets.Load(); n != maxAttempts+1 {
		t.Errorf("%d files were opened, want %d times the one and the other once", n, maxAttempts)
	}
	if w.files("unreadable") != maxAttempts-1 || w.files("damaged") != 1 || w.files("imported") != 1 {
		t.Errorf("log:\n%s", w.log)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
}

// A changed file is not what its chunks say: it is named and set aside, and what is stored stays.
func TestWatchSetsAsideFilesThatGrewLater(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t)
	whole := pcap(makePackets(20_000, 400, time.Millisecond)) // more than the MiB that tells it
	path := write(t, dir, "a.pcap", whole[:len(whole)-500_000])
	w := watch(t, store, func(c *WatchConfig) { c.Sources = []string{dir} })
	w.run()
	w.wait("the file", func() bool { return w.files("imported") == 1 })
	before := archived(t, store)
	// It is written elsewhere: between two writes into it here it could rest.
	if err := os.Rename(write(t, t.TempDir(), "a.pcap", whole), path); err != nil {
		t.Fatal(err)
	}
	w.wait("the grown file", func() bool { return w.files("damaged") == 1 })
	if s := w.States()[0]; !strings.Contains(s.Error, path) || !strings.Contains(s.Error, "other packets") {
		t.Errorf("state is %+v", s)
	}
	if got := archived(t, store); got[path] < before[path] {
		t.Errorf("archived %v, before %v", got, before)
	}
}

func TestWatchObjects(t *testing.T) {
	minio := testenv.MinIO(t)
	minio.Setenv(t)
	source, err := objstore.Open(t.Context(), minio.URL("mirror/pcaps"), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	put := func(key string, b []byte) {
		t.Helper()
		if _, err := objstore.PutBytes(t.Context(), source, key, b); err != nil {
			t.Fatal(err)
		}
	}
	archive := newStore(t)
	url, _, _ := strings.Cut(source.URL(), "?")
	want := map[string]int{}
	for i := range 12 {
		key := fmt.Sprintf("2026/03/%02d.pcap", i)
		put(key, pcap(makePackets(100+i, 300, time.Millisecond)))
		want[url+"/"+key] = 100 + i
	}
	bad := pcap(makePackets(50, 100, time.Millisecond))
	copy(bad[len(bad)/2:], strings.Repeat("\xff", 300))
	put("2026/03/05-damaged.pcap", bad)
	put("2026/index.json", []byte("{}"))
	w := watch(t, archive, func(c *WatchConfig) { c.Sources = []string{source.URL()} })
	stop := w.run()
	w.wait("all objects", func() bool { return w.files("imported")+w.files("damaged")+w.files("no_capture") == 14 })
	put("2026/00-late.pcap", pcap(makePackets(7, 300, time.Millisecond))) // sorts before all
	want[url+"/2026/00-late.pcap"] = 7
	w.wait("the late object", func() bool { return w.files("imported") == 13 })
	stop()
	got := archived(t, archive)
	if n := got[url+"/2026/03/05-damaged.pcap"]; n < 20 || n > 49 {
		t.Errorf("%d packets of the damaged object", n)
	}
	delete(got, url+"/2026/03/05-damaged.pcap")
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("archived %v, want %v", got, want)
	}

	// A restart reads nothing; with delete, what is new goes once it is imported, and damaged objects stay.
	w = watch(t, archive, func(c *WatchConfig) { c.Sources, c.After = []string{source.URL()}, AfterDelete })
	w.run()
	put("2026/new.pcap", pcap(makePackets(9, 300, time.Millisecond)))
	put("2026/new-damaged.pcap", bad)
	w.wait("the new objects", func() bool { return w.files("imported") == 1 && w.files("damaged") == 1 })
	w.wait("the deletion", func() bool {
		_, err := source.Head(t.Context(), "2026/new.pcap")
		return errors.Is(err, objstore.ErrNotFound)
	})
	for _, key := range []string{"2026/new-damaged.pcap", "2026/03/00.pcap"} {
		if _, err := source.Head(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if n := w.files("no_capture") + w.files("unreadable"); n != 0 {
		t.Errorf("%d objects were read again", n)
	}
}

// The watch outlives an archive that cannot be written for a while, and sets nothing aside for that.
func TestWatchOutlivesTheArchive(t *testing.T) {
	minio := testenv.MinIO(t)
	minio.Setenv(t)
	proxy := testenv.Proxy(t, minio.Addr())
	via := minio.Via(proxy.Addr())
	t.Setenv("AWS_ENDPOINT_URL_S3", via.Endpoint)
	cfg := objstore.DefaultConfig()
	cfg.MaxAttempts = 1 // where the archive is away, the connection is refused
	archive, err := objstore.Open(t.Context(), via.URL("archive"), objstore.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	w := watch(t, archive, func(c *WatchConfig) { c.Sources = []string{dir} })
	w.run()
	w.wait("the first listing", func() bool { return w.States()[0].Up })
	proxy.Down()
	path := write(t, dir, "a.pcap", pcap(makePackets(100, 100, time.Millisecond)))
	w.wait("the trouble", func() bool { s := w.States()[0]; return !s.Up && s.Error != "" })
	proxy.Up()
	w.wait("the file", func() bool { return w.files("imported") == 1 })
	w.wait("the state", func() bool { return w.States()[0].Up })
	if w.files("damaged") != 0 {
		t.Errorf("log:\n%s", w.log)
	}
	wantArchived(t, archive, map[string]int{path: 100})
}

func TestWatchRefusesWhatCannotWork(t *testing.T) {
	store := newStore(t)
	dir := t.TempDir()
	file := write(t, dir, "a", nil)
	im := newImporter(t, store, smallConfig(), ImportOptions{})
	for name, change := range map[string]func(*WatchConfig){
		"the archive":            func(c *WatchConfig) { c.Sources = []string{store.URL()} },
		"no such folder":         func(c *WatchConfig) { c.Sources = []string{dir + "/missing"} },
		"a file":                 func(c *WatchConfig) { c.Sources = []string{file} },
		"twice":                  func(c *WatchConfig) { c.Sources = []string{dir, dir} },
		"moving objects":         func(c *WatchConfig) { c.Sources = []string{"s3://b/p"}; c.After, c.MoveTo = AfterMove, dir },
		"moving nowhere":         func(c *WatchConfig) { c.Sources = []string{dir}; c.After = AfterMove },
		"moving above":           func(c *WatchConfig) { c.Sources = []string{dir}; c.After, c.MoveTo = AfterMove, filepath.Dir(dir) },
		"something else":         func(c *WatchConfig) { c.Sources = []string{dir}; c.After = "burn" },
		"an interval of nothing": func(c *WatchConfig) { c.Sources = []string{dir}; c.Interval = 0 },
	} {
		cfg := DefaultWatchConfig()
		change(&cfg)
		if w, err := NewWatcher(t.Context(), im, cfg, objstore.Options{}); err == nil {
			t.Errorf("%s: was taken", name)
			_ = w.close()
		}
	}
}

// Memory does not grow with the files that were imported.
func TestWatchMemory(t *testing.T) {
	dir := t.TempDir()
	store := newStore(t)
	file := pcap(makePackets(3, 50, time.Millisecond))
	w := watch(t, store, func(c *WatchConfig) { c.Sources, c.After = []string{dir}, AfterDelete })
	w.log.off = true
	s := w.sources[0]
	heap := func() uint64 {
		for range 3 { // what is in pools outlives two
			runtime.GC()
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	round := func(n, from int) {
		for i := range n {
			binary.LittleEndian.PutUint32(file[24:], uint32(1772532000+from+i))
			write(t, dir, fmt.Sprintf("%d.pcap", from+i), file)
		}
		if err := w.list(t.Context(), s, true); err != nil {
			t.Fatal(err)
		}
	}
	round(100, 0)
	before := heap()
	round(300, 100)
	after := heap()
	if grown := int64(after) - int64(before); grown > 300*400 { // an entry of the journal each
		t.Errorf("300 files left %d bytes", grown)
	}
	if n := w.files("imported"); n != 400 {
		t.Errorf("%d files imported", n)
	}
	if err := w.close(); err != nil {
		t.Error(err)
	}
}
