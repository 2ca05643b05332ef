package sensor

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/objstore"
	"wirelake/sensor/capture"
	"wirelake/testenv"
)

// TestSensorStartsWithoutItsStore captures although the store is away at start, and
// says at once what is wrong with one that refuses.
func TestSensorStartsWithoutItsStore(t *testing.T) {
	minio := testenv.MinIO(t)
	minio.Setenv(t)
	proxy := testenv.Proxy(t, minio.Addr())
	proxy.Down()
	dir := t.TempDir()
	const n = 500
	packets := make([]testPacket, n)
	for i := range packets {
		packets[i] = testPacket{nanos: testStart + int64(i)*1e6, data: numbered(i)}
	}
	file := filepath.Join(dir, "packets.pcap")
	if err := os.WriteFile(file, pcap(packets), 0o600); err != nil {
		t.Fatal(err)
	}
	away := minio.Via(proxy.Addr())
	t.Setenv("AWS_ENDPOINT_URL_S3", away.Endpoint)
	p := startSensor(t, "--name", "away1", "--read", file, "--spool", filepath.Join(dir, "spool"), "--store", away.URL("away"))
	waitFor(t, "capture", func() bool {
		return strings.Contains(p.logged(), "packets wait in the spool until it does") && strings.Contains(p.logged(), "msg=capturing")
	})
	proxy.Up()
	if err := p.cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, p.logged())
	}
	store, err := objstore.Open(t.Context(), minio.URL("away"), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, n, 0)

	absent := *minio
	absent.Bucket = "not-there"
	p = startSensor(t, "--name", "away1", "--read", file, "--spool", filepath.Join(dir, "spool"), "--store", absent.URL(""))
	if err := p.cmd.Wait(); err == nil || !strings.Contains(p.logged(), `there is no bucket "not-there"`) || strings.Contains(p.logged(), "msg=capturing") {
		t.Errorf("without a bucket: %v\n%s", err, p.logged())
	}
}

// silent is a store that does not answer.
type silent struct {
	objstore.Store
	answers atomic.Bool
}

func (s *silent) GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Object, error) {
	if !s.answers.Load() {
		return nil, objstore.Object{}, errors.New("no answer")
	}
	return s.Store.GetRange(ctx, key, off, n)
}

// A folder is watched although the archive is away at start.
func TestWatcherStartsWithoutTheArchive(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pcap"), pcap(makePackets(3, 50, time.Millisecond)), 0o600); err != nil {
		t.Fatal(err)
	}
	store := &silent{Store: newStore(t)}
	log := &logBuffer{}
	im := newImporter(t, store, smallConfig(), ImportOptions{Logger: slog.New(slog.NewTextHandler(log, nil)), Registerer: prometheus.NewRegistry()})
	cfg := DefaultWatchConfig()
	cfg.Sources, cfg.Interval, cfg.Settle = []string{dir}, minWatchInterval, 0
	w, err := NewWatcher(t.Context(), im, cfg, objstore.Options{Unasked: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	waitFor(t, "trouble", func() bool { return strings.Contains(log.String(), "no answer") })
	store.answers.Store(true)
	waitFor(t, "the file", func() bool { return w.States()[0].Packets == 3 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// filtered is a source whose filter can be exchanged, but for bad ones.
type filtered struct {
	generator
	bad     string
	filters []string
}

func (f *filtered) Reload(filter string) error {
	if filter == f.bad {
		return errors.New("not this one")
	}
	f.filters = append(f.filters, filter)
	return nil
}

// A mistake in new settings leaves all as it was.
func TestReloadTakesAllOrNothing(t *testing.T) {
	cfg := liveConfig(t)
	cfg.Filter = "old"
	first, second := &filtered{}, &filtered{bad: "new"}
	s := newSensor(t, fileStore(t), cfg, capture.Source(first), second)
	fresh := cfg
	fresh.Filter, fresh.Cut = "new", []CutRule{{Match: "udp"}}
	if err := s.Reload(fresh); err == nil || s.rules.Load() != nil {
		t.Errorf("with a filter that the second source refuses: %v, rules %v", err, s.rules.Load())
	}
	fresh.Filter, fresh.Cut = "good", []CutRule{{Match: "nonsense"}}
	if err := s.Reload(fresh); err == nil || s.rules.Load() != nil {
		t.Errorf("with a bad rule: %v, rules %v", err, s.rules.Load())
	}
	fresh.Cut = []CutRule{{Match: "udp"}}
	if err := s.Reload(fresh); err != nil || s.rules.Load() == nil {
		t.Errorf("with good settings: %v, rules %v", err, s.rules.Load())
	}
	if want := []string{"new", "old", "good"}; !slices.Equal(first.filters, want) {
		t.Errorf("filters of the first source: %q, want %q", first.filters, want)
	}
	if want := []string{"good"}; !slices.Equal(second.filters, want) {
		t.Errorf("filters of the second source: %q, want %q", second.filters, want)
	}
}
