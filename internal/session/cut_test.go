package session

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"wirelake/internal/dissect"
	"wirelake/internal/pcapfile"
	"wirelake/internal/pcapfile/pcaptest"
)

// everyCut is set by `make damage`.
var everyCut = flag.Bool("every-cut", false, "cut all captures' packets at every length and files at every byte, not the large ones at some")

// What is cut without -every-cut: captures whose packets and lengths multiply to at most sampleWork at every length,
// larger ones at every length of headers and a spread of those behind; files of at most sampleFile bytes at every byte,
// larger ones around the edges of each packet's header and at a spread of the others.
const (
	sampleWork    = 20_000
	sampleHeaders = 96
	sampleLengths = 48
	sampleFile    = 512
	sampleBytes   = 256
)

// inParallel calls do for 0 to n-1 on all processors, under a watch each.
func inParallel(t *testing.T, n int, do func(w *watch, i int)) {
	var next atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			w := newWatch(t)
			defer w.end()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(w, i)
			}
		})
	}
	workers.Wait()
}

// TestCorpusCutPackets cuts the packets of captures at every length, as a snaplen does, and holds what
// [checkFive] says of what is left.
func TestCorpusCutPackets(t *testing.T) {
	type job struct {
		name   string
		link   uint32
		frames []frame
		length int
	}
	var jobs []job
	captures, packets, whole := 0, 0, 0
	for n, name := range append(corpus(t), tlsCaptures(t)...) {
		capture := pcaptest.ReadCut(t, name)
		frames, longest := framesOf(&capture), 0
		for _, f := range frames {
			longest = max(longest, len(f.data))
		}
		all := *everyCut || longest*len(frames) <= sampleWork
		if all {
			whole++
		}
		captures++
		packets += len(frames)
		rng := rand.New(rand.NewPCG(uint64(n), 5))
		for length := 0; length <= longest; length++ {
			if all || length < sampleHeaders || length == longest || rng.IntN(max(1, longest/sampleLengths)) == 0 {
				jobs = append(jobs, job{filepath.Base(name), capture.LinkType(), frames, length})
			}
		}
	}
	set := dissect.New()
	var cut, largest atomic.Int64
	inParallel(t, len(jobs), func(w *watch, i int) {
		j := jobs[i]
		fs := make([]frame, len(j.frames))
		for k, f := range j.frames {
			n := min(len(f.data), j.length)
			fs[k] = frame{nanos: f.nanos, data: f.data[:n:n], cut: f.cut + len(f.data) - n}
		}
		what := fmt.Sprintf("%s cut to %d bytes a packet", j.name, j.length)
		most := w.run(what, len(fs), func() int64 { return checkFive(t, set, what, j.link, fs) })
		cut.Add(int64(len(fs)))
		for old := largest.Load(); most > old && !largest.CompareAndSwap(old, most); old = largest.Load() {
		}
	})
	t.Logf("%d captures of %d packets, %d of them at every length: %d cuts, %d packets dissected, %d bytes in the largest session",
		captures, packets, whole, len(jobs), cut.Load(), largest.Load())
}

// TestCorpusCutFiles cuts capture files at every byte, and holds that all packets before the cut are read, that a packet
// which is cut is told with its offset, and that sessions of any number of whole packets hold what [checkFive] says.
func TestCorpusCutFiles(t *testing.T) {
	set := dissect.New()
	files := pcaptest.Corpus(t)
	if len(files) == 0 {
		files = tlsCaptures(t)
	}
	captures := make([]pcaptest.Capture, len(files))
	for i, path := range files {
		captures[i] = pcaptest.ReadCut(t, path)
	}
	var cuts, boundaries atomic.Int64
	inParallel(t, len(files), func(w *watch, i int) {
		path, name := files[i], filepath.Base(files[i])
		b, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			return
		}
		capture := &captures[i]
		frames := framesOf(capture)
		edges := map[int]bool{len(b) - 1: true, len(b): true}
		for _, rec := range capture.Records {
			for _, at := range [...]int{-1, 0, 1, pcapRecordHead - 1, pcapRecordHead, pcapRecordHead + 1} {
				edges[int(rec.Offset)+at] = true
			}
		}
		for n := range len(frames) + 1 {
			boundaries.Add(1)
			what := fmt.Sprintf("%s cut behind packet %d", name, n)
			w.run(what, n, func() int64 { return checkFive(t, set, what, capture.LinkType(), frames[:n]) })
		}
		rng := rand.New(rand.NewPCG(uint64(i), 6))
		for cut := range len(b) + 1 {
			if !*everyCut && len(b) > sampleFile && !edges[cut] && rng.IntN(sampleBytes) > 0 {
				continue
			}
			cuts.Add(1)
			what := fmt.Sprintf("%s cut at byte %d", name, cut)
			w.run(what, len(frames), func() int64 { checkCutFile(t, what, b[:cut], capture.Records); return 0 })
		}
	})
	t.Logf("%d files cut at %d bytes, and sessions made of the packets before each of %d places between packets", len(files), cuts.Load(), boundaries.Load())
}

// tlsCaptures returns captures that ship with the project and are no larger than those of a collection.
func tlsCaptures(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pcaptest.Root(t), "cmd/wirelake/testdata/*/*.pcap"))
	if err != nil || len(files) == 0 {
		t.Fatalf("captures of the project: %v, %v", files, err)
	}
	return files
}

const pcapFileHead, pcapRecordHead = 24, 16 // bytes

// checkCutFile reads the start of a pcap file whose records, were it whole, are known.
func checkCutFile(t *testing.T, what string, b []byte, records []pcapfile.Record) {
	t.Helper()
	r, err := pcapfile.NewReader(bytes.NewReader(b), what)
	if err != nil {
		var cut *pcapfile.TruncatedError
		if len(b) >= pcapFileHead || !errors.Is(err, pcapfile.ErrFormat) && !errors.As(err, &cut) {
			t.Errorf("%s: %v", what, err)
		}
		return
	}
	defer r.Close() //nolint:errcheck // it only read
	end := int64(pcapFileHead)
	var rec pcapfile.Record
	for n := 0; ; n++ {
		err := r.Next(&rec)
		var cut *pcapfile.TruncatedError
		switch {
		case err == nil:
			if n >= len(records) || rec.TimeNanos != records[n].TimeNanos || !bytes.Equal(rec.Data, records[n].Data) {
				t.Errorf("%s: packet %d is not that of the file", what, n)
				return
			}
			end = rec.Offset + pcapRecordHead + int64(len(rec.Data))
			continue
		case n < len(records) && records[n].Offset+pcapRecordHead+int64(len(records[n].Data)) <= int64(len(b)):
			t.Errorf("%s: %v at packet %d, which is whole", what, err, n)
		case errors.Is(err, io.EOF):
			if int64(len(b)) > end {
				t.Errorf("%s: nothing is said of %d bytes behind packet %d", what, int64(len(b))-end, n)
			}
		case !errors.As(err, &cut) || cut.Offset != end:
			t.Errorf("%s: %v, want one that the file is cut at offset %d", what, err, end)
		}
		return
	}
}
