package storetest

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wirelake/internal/objstore"
)

// MemoryLimit is what a Put or Get of any size may add to the heap: by default
// five parts of 8 MiB, what the client needs, and as much again and more until the
// garbage collector comes round.
const MemoryLimit = 160 << 20

// RunLarge tests what takes many requests: 10,000 keys, an object of 300 MiB. The
// heap may grow by memoryLimit bytes meanwhile.
func RunLarge(t *testing.T, memoryLimit uint64, open func(t *testing.T) objstore.Store) {
	t.Run("10,000 keys are listed", func(t *testing.T) { testManyKeys(t, open(t)) })
	t.Run("300 MiB in bounded memory", func(t *testing.T) { testLargeObject(t, memoryLimit, open(t)) })
}

func testManyKeys(t *testing.T, s objstore.Store) {
	const count, perDay = 10_000, 500
	key := func(i int) string {
		return fmt.Sprintf("chunks/sensor=s/lane=%d/day=2024-01-%02d/%020d.pcap.zst", i/(count/2), 1+i/perDay, i)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < count; i = int(next.Add(1)) - 1 {
				if _, err := objstore.PutBytes(t.Context(), s, key(i), []byte{byte(i)}); err != nil {
					t.Errorf("put: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
	keys := keysOf(t, s, "", "")
	if len(keys) != count {
		t.Fatalf("listed %d keys, want %d", len(keys), count)
	}
	for i, k := range keys {
		if k != key(i) {
			t.Fatalf("key %d is %q, want %q", i, k, key(i))
		}
	}
	for _, from := range []int{0, 998, 999, 1000, 4321, count - 2, count - 1} {
		if got := keysOf(t, s, "chunks/", key(from)); len(got) != count-from-1 || len(got) > 0 && got[0] != key(from+1) {
			t.Errorf("listed %d keys after the one of index %d, want %d", len(got), from, count-from-1)
		}
	}
	if got := keysOf(t, s, "chunks/sensor=s/lane=1/", ""); len(got) != count/2 {
		t.Errorf("listed %d keys of a lane, want %d", len(got), count/2)
	}
	days, err := s.ListPrefixes(t.Context(), "chunks/sensor=s/lane=1/", "/")
	if err != nil || len(days) != count/2/perDay {
		t.Errorf("a lane has the days %q, %v", days, err)
	}
}

// largeBytes is 300 MiB and a bit, so that the last part is short.
const largeBytes = 300<<20 + 12345

func testLargeObject(t *testing.T, memoryLimit uint64, s objstore.Store) {
	peak, stop := watchHeap()
	want := sha256.New()
	o, err := s.Put(t.Context(), "large/known", io.TeeReader(noise(largeBytes), want), largeBytes, objstore.IfAbsent())
	if err != nil {
		t.Fatal(err)
	}
	if o.Size != largeBytes {
		t.Errorf("stored %d bytes", o.Size)
	}
	if _, err := s.Put(t.Context(), "large/known", noise(largeBytes), largeBytes, objstore.IfAbsent()); err == nil {
		t.Error("a second put if absent is no error")
	}
	r, got, err := s.Get(t.Context(), "large/known")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if got.ETag != o.ETag || got.Size != largeBytes {
		t.Errorf("got %+v, put %+v", got, o)
	}
	wantSum(t, sum, want)

	// Of unknown size, replaced by a put if match.
	again := sha256.New()
	unknown, err := s.Put(t.Context(), "large/known", io.TeeReader(noise(100<<20), again), -1, objstore.IfMatch(o.ETag))
	if err != nil {
		t.Fatal(err)
	}
	if unknown.Size != 100<<20 {
		t.Errorf("stored %d bytes", unknown.Size)
	}
	_, err = s.Put(t.Context(), "large/known", noise(30<<20), -1, objstore.IfMatch(o.ETag))
	wantErr(t, "put of 30 MiB if match of an old ETag", err, objstore.ErrMismatch, "large/known")
	if added := stop(); added > memoryLimit {
		t.Errorf("the heap grew by %d MiB, want %d at most", added>>20, memoryLimit>>20)
	} else {
		t.Logf("the heap grew by %d MiB", *peak>>20)
	}
	sum = sha256.New()
	for off := int64(0); off < 100<<20; off += 32 << 20 {
		b, _, err := s.GetRange(t.Context(), "large/known", off, 32<<20)
		if err != nil {
			t.Fatal(err)
		}
		sum.Write(b)
	}
	wantSum(t, sum, again)
	wantKeys(t, s, "", "", []string{"large/known"})
}

func wantSum(t *testing.T, got, want hash.Hash) {
	t.Helper()
	if g, w := got.Sum(nil), want.Sum(nil); string(g) != string(w) {
		t.Errorf("SHA-256 of what was read is %x, of what was put %x", g, w)
	}
}

// noise is a source of n bytes that do not compress.
func noise(n int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte([]byte(strings.Repeat("n", 32)))), n)
}

// watchHeap samples the live heap until stop, which returns how far it rose.
func watchHeap() (peak *uint64, stop func() uint64) {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	base := stats.HeapInuse
	peak = new(uint64)
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				runtime.ReadMemStats(&stats)
				if stats.HeapInuse > base {
					*peak = max(*peak, stats.HeapInuse-base)
				}
			}
		}
	}()
	return peak, func() uint64 {
		close(done)
		<-finished
		return *peak
	}
}
