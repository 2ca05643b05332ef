package sensor

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/internal/config"
	"wirelake/internal/objstore"
	"wirelake/sensor/spool"
	"wirelake/testenv"
)

// outage is how long the store is away. WIRELAKE_TEST_OUTAGE gives another time.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("WIRELAKE_TEST_OUTAGE")
	if text == "" {
		return 2 * time.Minute
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestStoreFaults captures while MinIO is away, slow, answers 503, and its connections
// break in the middle of a part: every packet arrives, once.
func TestStoreFaults(t *testing.T) {
	minio := testenv.MinIO(t)
	minio.Setenv(t)
	proxy := testenv.Proxy(t, minio.Addr())
	upstream, err := url.Parse("http://" + proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	var refuse atomic.Bool
	var refused atomic.Int64
	forward := httputil.NewSingleHostReverseProxy(upstream) // keeps the Host header, which is signed
	forward.ErrorHandler = func(w http.ResponseWriter, _ *http.Request, _ error) {
		// The connection behind broke: so does this one.
		panic(http.ErrAbortHandler)
	}
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refuse.Load() {
			refused.Add(1)
			http.Error(w, "<Error><Code>SlowDown</Code></Error>", http.StatusServiceUnavailable)
			return
		}
		forward.ServeHTTP(w, r)
	}))
	defer front.Close()
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	via := minio.Via(strings.TrimPrefix(front.URL, "http://"))
	t.Setenv("AWS_ENDPOINT_URL_S3", via.Endpoint)
	opts := objstore.Options{Config: objstore.DefaultConfig()}
	opts.MaxAttempts, opts.Timeout, opts.PartSize = 2, 2*time.Second, 5*config.MiB // so that failures reach the sensor
	store, err := objstore.Open(t.Context(), via.URL("faults"), opts)
	if err != nil {
		t.Fatal(err)
	}
	cfg := liveConfig(t)
	cfg.ChunkBytes, cfg.ChunkSpan, cfg.StopTimeout = 12*config.MiB, 4*time.Second, 10*time.Minute // of several parts
	g := &generator{lane: "gen0-0", to: 1 << 30, rate: 5000, sent: make(chan int, 1)}
	s := newSensor(t, store, cfg, g)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	uploads := func() uint64 { return s.counts.uploads.Load() }
	recovers := func(phase string) {
		t.Helper()
		proxy.Clear()
		before := uploads()
		waitFor(t, "uploads after "+phase, func() bool { return uploads() > before+1 })
	}
	waitFor(t, "the first upload", func() bool { return uploads() > 0 })

	proxy.Down()
	time.Sleep(outage(t))
	if s.counts.failures.Load() == 0 || s.Status().Uploads.FailingSince.IsZero() {
		t.Error("the store was away and no upload failed")
	}
	proxy.Up()
	recovers("the outage")

	proxy.Latency(300*time.Millisecond, 100*time.Millisecond)
	before := uploads()
	waitFor(t, "uploads into a slow store", func() bool { return uploads() > before })
	recovers("slowness")

	refuse.Store(true)
	waitFor(t, "answers 503", func() bool { return refused.Load() > 6 })
	refuse.Store(false)
	recovers("503")

	failures := s.counts.failures.Load()
	proxy.TruncateRequests(8_000_000) // in the middle of a part
	waitFor(t, "broken uploads", func() bool { return s.counts.failures.Load() > failures })
	recovers("breaks within parts")

	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	st := s.Status()
	if st.Drops.Lost() != 0 || st.Spool.BacklogBytes != 0 {
		t.Errorf("lost %+v, spool %+v", st.Drops, st.Spool)
	}
	n := <-g.sent
	t.Logf("%d packets in %d chunks; %d uploads failed and were repeated", n, st.Uploads.Chunks, st.Uploads.Failures)
	readArchive(t, store).wantPackets(t, n, 0)
}

// TestSensorOnAFullDisk has so small a disk, and a store so slow, that packets are
// dropped: what is in the archive and what the counters say is all that was sent.
func TestSensorOnAFullDisk(t *testing.T) {
	for _, policy := range []spool.Policy{spool.DropOldest, spool.DropNew} {
		t.Run(string(policy), func(t *testing.T) {
			dir := t.TempDir()
			if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=16m"); err != nil {
				t.Fatalf("mount a tmpfs (this test needs root): %v", err)
			}
			t.Cleanup(func() {
				if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
					t.Error(err)
				}
			})
			store := fileStore(t)
			cfg := liveConfig(t)
			cfg.Spool, cfg.Policy = filepath.Join(dir, "spool"), string(policy)
			cfg.ChunkSpan = 5 * time.Second
			const n = 60_000 // 40 MB
			g := &generator{lane: "gen0-0", to: n, rate: 30_000, dropsEvery: 1000, sent: make(chan int, 1)}
			// Until all is sent the store takes nothing.
			slow := &gate{Store: store, put: func(ctx context.Context, key string) error {
				if !strings.HasPrefix(key, "chunks/") {
					return nil
				}
				select {
				case all := <-g.sent:
					g.sent <- all
					return nil
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}}
			s := newSensor(t, slow, cfg, g)
			if err := s.Run(t.Context()); err != nil {
				t.Fatal(err)
			}
			st := s.Status()
			lost := st.Drops.QuotaOldest + st.Drops.QuotaNew + st.Drops.Disk
			if lost == 0 {
				t.Fatal("nothing was dropped: the disk was not full")
			}
			a := readArchive(t, store)
			a.wantPackets(t, n, lost)
			kernel, dropped := a.losses()
			if kernel != n/1000 || dropped != lost {
				t.Errorf("chunks tell of %d packets lost in the kernel and %d in the spool, the counters of %d and %d", kernel, dropped, n/1000, lost)
			}
			t.Logf("%d of %d packets dropped", lost, n)
		})
	}
}
