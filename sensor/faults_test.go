package sensor

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
	"wirelake/testenv"
)

// TestImportThroughFaults imports into a real MinIO whose connections break again
// and again, and compares with an undisturbed import, object for object.
func TestImportThroughFaults(t *testing.T) {
	packets := makePackets(30_000, 1400, time.Millisecond)
	file := write(t, t.TempDir(), "a.pcap", pcap(packets))
	minio := testenv.MinIO(t)
	minio.Setenv(t)
	proxy := testenv.Proxy(t, minio.Addr())
	cfg := smallConfig()
	cfg.ChunkBytes = 10 << 20 // large enough for an upload in parts

	repeats := &storetest.Repeats{}
	run := func(url string) {
		t.Helper()
		s, err := objstore.Open(t.Context(), url, objstore.Options{Logger: slog.New(repeats)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := newImporter(t, s, cfg, ImportOptions{}).Import(t.Context(), []string{file}); err != nil {
			t.Fatal(err)
		}
	}
	run(minio.URL("clean"))

	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n := 0; ctx.Err() == nil; n++ {
			switch n % 4 {
			case 0:
				proxy.Reset(5 * time.Millisecond)
			case 1:
				proxy.TruncateRequests(100_000)
			case 2:
				proxy.Truncate(200)
			case 3:
				proxy.Latency(20*time.Millisecond, 10*time.Millisecond)
			}
			time.Sleep(60 * time.Millisecond)
			proxy.Clear()
			select {
			case <-ctx.Done():
			case <-time.After(repeats.Pause(100 * time.Millisecond)):
			}
		}
	}()
	faulty := minio.Via(proxy.Addr())
	t.Setenv("AWS_ENDPOINT_URL_S3", faulty.Endpoint)
	run(faulty.URL("faulty"))
	stop()
	<-done
	proxy.Clear()
	if repeats.Lines() == 0 {
		t.Error("no request was repeated: the faults had no effect")
	}
	sameObjects(t, objects(t, minio.URL("faulty")), objects(t, minio.URL("clean")))
}
