package rules

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"wirelake/internal/spi"
)

// logs collects log lines.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// bench is a folder with a rules file, and what a Tagger of it needs.
type bench struct {
	t    *testing.T
	dir  string
	cfg  Config
	reg  *spi.Registry
	logs *logs
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), reg: testRegistry(), logs: &logs{}}
	b.cfg = DefaultConfig()
	b.cfg.File = filepath.Join(b.dir, "rules.yaml")
	b.cfg.Cache = filepath.Join(b.dir, "cache")
	b.cfg.Poll = 100 * time.Millisecond
	return b
}

// write replaces a file as editors do: by renaming a new one.
func (b *bench) write(name, text string) {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) open() *Tagger {
	b.t.Helper()
	t, err := Open(b.cfg, Parts{Registry: b.reg, Log: slog.New(slog.NewTextHandler(b.logs, nil)), UserAgent: "wirelake/test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return t
}

// run follows the rules until the test ends, and returns when the lists were tried. End stops it.
func (b *bench) run(t *Tagger) (reload chan<- struct{}, end func()) {
	b.t.Helper()
	ctx, cancel := context.WithCancel(b.t.Context())
	hup, ready, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { done <- t.Run(ctx, hup, func() { close(ready) }) }()
	var once sync.Once
	end = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(end)
	select {
	case <-ready:
	case <-time.After(patience):
		b.t.Fatalf("not ready; log:\n%s", b.logs)
	}
	return hup, end
}

// patience bounds what a test waits for; two cores shared by many tests are slow.
const patience = 2 * time.Minute

// tags returns what a session to address and host is tagged with.
func (b *bench) tags(t *Tagger, address, host string) []string {
	d := b.reg.NewDocument()
	d.AddIP(spi.DestinationIP, netip.MustParseAddr(address))
	d.AddString(spi.Protocol, "tcp")
	f, _ := b.reg.ByPath("dns.host")
	d.AddString(f.ID, host)
	t.Apply(d)
	var out []string
	for v := range d.Each(spi.Tags) {
		out = append(out, v.Str)
	}
	return out
}

// wait waits until a session to 192.0.2.1 and www.example.org has these tags.
func (b *bench) wait(t *Tagger, want ...string) {
	b.t.Helper()
	var got []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = b.tags(t, "192.0.2.1", "www.example.org"); slices.Equal(got, want) {
			return
		}
	}
	b.t.Fatalf("tags %v, want %v; log:\n%s", got, want, b.logs)
}

// waitLog waits until the log has all of the words in one line.
func (b *bench) waitLog(words ...string) {
	b.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		for line := range strings.Lines(b.logs.String()) {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
				return
			}
		}
	}
	b.t.Fatalf("no line with %q in the log:\n%s", words, b.logs)
}

const rulesText = `lists:
- {name: nets, file: nets.txt, kind: ip, tags: [net]}
rules:
- {name: both, expression: tags == net && protocols == tcp, tags: [tcp-net]}
`

// TestFollowFiles holds that changed rules and lists take the place of the old ones, and bad ones do not.
func TestFollowFiles(t *testing.T) {
	b := newBench(t)
	b.write("nets.txt", "198.51.100.0/24\n")
	b.write("rules.yaml", rulesText)
	tagger := b.open()
	reload, _ := b.run(tagger)
	b.wait(tagger)
	b.write("nets.txt", "192.0.2.0/24\nrubbish here\n198.51.100.0/24\n")
	b.wait(tagger, "net", "tcp-net")
	b.waitLog("bad lines passed over", "list=nets", "bad=1", "line=2", "rubbish here")

	b.write("rules.yaml", strings.Replace(rulesText, "tags == net", "tagz == net", 1))
	b.waitLog("rules refused, the old ones stay", "rules.yaml:4:28: unknown field tagz")
	b.wait(tagger, "net", "tcp-net")

	b.write("rules.yaml", strings.Replace(rulesText, "[tcp-net]", "[new]", 1))
	b.wait(tagger, "net", "new")

	// A list that is no list, and one that is gone, leave what was loaded.
	b.write("nets.txt", "<html>\nno\n</html>\n")
	b.waitLog("indicator list not loaded", "list=nets", "no list: 3 lines are bad")
	if err := os.Remove(filepath.Join(b.dir, "nets.txt")); err != nil {
		t.Fatal(err)
	}
	reload <- struct{}{}
	b.waitLog("indicator list not loaded", "list=nets", "no such file")
	b.wait(tagger, "net", "new")

	// A list with another file keeps what it had until that is loaded.
	b.write("rules.yaml", strings.Replace(rulesText, "nets.txt", "others.txt", 1))
	b.waitLog("indicator list not loaded", "list=nets", "others.txt: no such file")
	b.wait(tagger, "net", "tcp-net")
	b.write("others.txt", "198.51.100.0/24\n")
	reload <- struct{}{}
	b.wait(tagger)

	// A list that the file does not name any more is gone.
	b.write("rules.yaml", "rules:\n- {name: a, expression: protocols == tcp, tags: [only]}\n")
	b.wait(tagger, "only")
}

// TestReloadAsked holds that a value on reload looks at everything at once, however long the poll interval.
func TestReloadAsked(t *testing.T) {
	b := newBench(t)
	b.cfg.Poll = time.Hour
	b.write("nets.txt", "198.51.100.0/24\n")
	b.write("rules.yaml", rulesText)
	tagger := b.open()
	reload, _ := b.run(tagger)
	b.write("nets.txt", "192.0.2.0/24\n")
	b.write("rules.yaml", strings.Replace(rulesText, "[tcp-net]", "[new]", 1))
	reload <- struct{}{}
	b.wait(tagger, "net", "new")
}

// listServer serves one list, with an ETag, and can be told to fail.
type listServer struct {
	*httptest.Server
	body             atomic.Pointer[[]byte]
	status           atomic.Int32
	full, unmodified atomic.Int32
}

func newListServer(t *testing.T, body string) *listServer {
	t.Helper()
	s := &listServer{}
	s.set(body)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b := *s.body.Load()
		if n := s.status.Load(); n != 0 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "not now", int(n))
			return
		}
		if r.UserAgent() != "wirelake/test" {
			http.Error(w, "who are you?", http.StatusForbidden)
			return
		}
		tag := fmt.Sprintf(`"%d-%x"`, len(b), b[:min(len(b), 8)])
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			s.unmodified.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		s.full.Add(1)
		if r.URL.Path == "/cut" {
			w.Header().Set("Content-Length", fmt.Sprint(len(b)+10))
		}
		if _, err := w.Write(b); err != nil {
			t.Log(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *listServer) set(body string) {
	b := []byte(body)
	s.body.Store(&b)
}

func gzipped(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestFollowURL holds that a list is fetched, asked for again with its ETag, renewed when it changed, kept when
// the server fails or sends something else, and there after a start without the server.
func TestFollowURL(t *testing.T) {
	s := newListServer(t, gzipped(t, "# names\nexample.org\n"))
	b := newBench(t)
	b.write("rules.yaml", fmt.Sprintf("lists:\n- {name: names, url: '%s/names.gz', tags: [bad], refresh: 1s}\n", s.URL))
	tagger := b.open()
	reload, end := b.run(tagger)
	b.wait(tagger, "bad")
	for deadline := time.Now().Add(patience); s.unmodified.Load() < 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d conditional requests; log:\n%s", s.unmodified.Load(), b.logs)
		}
	}
	if n := s.full.Load(); n != 1 {
		t.Errorf("the list was sent %d times, want once", n)
	}
	s.set("other.example\n")
	b.wait(tagger)
	s.set("=www.example.org\n")
	b.wait(tagger, "bad")

	s.status.Store(http.StatusServiceUnavailable)
	reload <- struct{}{}
	b.waitLog("indicator list not loaded", "list=names", "the server answers 503 Service Unavailable")
	b.wait(tagger, "bad")
	s.set("<html><head>\n<title>Log in</title>\n</head></html>\n")
	s.status.Store(0)
	b.waitLog("indicator list not loaded", "list=names", "no list: 3 lines are bad and 0 good")
	b.wait(tagger, "bad")
	end()

	// Another start, without the server: the last good copy serves.
	s.Close()
	again := b.open()
	b.run(again)
	b.wait(again, "bad")
	b.waitLog("indicator list not loaded", "connection refused")
}

// TestFetchRefuses holds that what does not come whole, or too large, is no list.
func TestFetchRefuses(t *testing.T) {
	for _, tt := range []struct{ name, path, body, want string }{
		{"cut short", "/cut", "example.org\n", "unexpected EOF"},
		{"too large", "/large", strings.Repeat("example.org\n", 100), "allowed"},
		{"gzip cut short", "/gz", gzipped(t, "example.org\n")[:20], "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newListServer(t, tt.body)
			b := newBench(t)
			b.cfg.FetchBytes = 1000
			b.write("rules.yaml", fmt.Sprintf("lists:\n- {name: names, url: '%s', tags: [bad]}\n", strings.Replace(s.URL, "//", "//me:secret@", 1)+tt.path))
			tagger := b.open()
			err := tagger.Load(t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "list names: ") || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v, want %q in it, the list's name and no password", err, tt.want)
			}
			left, err := os.ReadDir(b.cfg.Cache)
			if err != nil || len(left) > 0 {
				t.Errorf("left in the cache: %v, %v", left, err)
			}
		})
	}
}

// TestRoom holds that all lists together have a limit, and the old one stays when a newer one does not fit.
func TestRoom(t *testing.T) {
	b := newBench(t)
	b.write("nets.txt", "192.0.2.0/24\n")
	b.write("rules.yaml", rulesText)
	tagger := b.open()
	if err := tagger.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tagger.room(&list{}); got != 10_000_000-1 {
		t.Errorf("room for %d, want 9,999,999", got)
	}
	if got := tagger.room(tagger.lists[0]); got != 10_000_000 {
		t.Errorf("room for %d, want 10,000,000", got)
	}
}

// TestApplyWhileReloading holds, under the race detector, that documents are tagged by one state of rules and lists.
func TestApplyWhileReloading(t *testing.T) {
	b := newBench(t)
	version := func(n int) string {
		return fmt.Sprintf("lists:\n- {name: nets, file: nets.txt, tags: [list%d]}\nrules:\n- {name: r, expression: tags == list%d, tags: [rule%d]}\n", n, n, n)
	}
	b.write("nets.txt", "192.0.2.0/24\n")
	b.write("rules.yaml", version(0))
	tagger := b.open()
	reload, _ := b.run(tagger)
	var group sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got := b.tags(tagger, "192.0.2.1", "www.example.org")
				if len(got) != 2 || strings.TrimPrefix(got[0], "list") != strings.TrimPrefix(got[1], "rule") {
					t.Errorf("tags of two states: %v", got)
					return
				}
			}
		})
	}
	for n := range 20 {
		b.write("rules.yaml", version(n))
		reload <- struct{}{}
	}
	close(stop)
	group.Wait()
}

// TestNil holds that no rules file is no work.
func TestNil(t *testing.T) {
	tagger, err := Open(DefaultConfig(), Parts{})
	if tagger != nil || err != nil {
		t.Fatal(tagger, err)
	}
	d := testRegistry().NewDocument()
	tagger.Apply(d)
	if err := tagger.Load(t.Context()); err != nil || d.Has(spi.Tags) || len(tagger.Lists()) != 0 {
		t.Error(err)
	}
}
