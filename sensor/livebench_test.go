package sensor

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"

	"wirelake/internal/config"
	"wirelake/internal/pcapfile"
	"wirelake/internal/pcapfile/pcaptest"
	"wirelake/sensor/capture"
	"wirelake/sensor/spool"
)

// benchCapture returns a file of mixed traffic. WIRELAKE_BENCH_SIZE and
// WIRELAKE_BENCH_PCAP give another size or file.
func benchCapture(b *testing.B, size string) string {
	b.Helper()
	if file := os.Getenv("WIRELAKE_BENCH_PCAP"); file != "" {
		return file
	}
	if s := os.Getenv("WIRELAKE_BENCH_SIZE"); s != "" {
		size = s
	}
	file := filepath.Join(b.TempDir(), "mixed.pcap")
	if out, err := exec.Command("go", "run", "wirelake/testenv/gen", "-size", size, "-o", file).CombinedOutput(); err != nil {
		b.Fatalf("generate traffic: %v\n%s", err, out)
	}
	return file
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

// BenchmarkSeal seals a segment of mixed traffic, and for the yardstick compresses the
// same bytes with the fastest level of the zstd package, in turns. The ratio is of their
// CPU times; the stages are CPU seconds for a gigabyte of captured packets.
func BenchmarkSeal(b *testing.B) {
	file := benchCapture(b, "256MiB")
	raw, err := os.ReadFile(file)
	if err != nil {
		b.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.Name, cfg.Spool, cfg.ChunkBytes, cfg.ChunkSpan = "s1", b.TempDir(), config.GiB, time.Hour
	s := newSensor(b, fileStore(b), cfg, &generator{})
	s.spool, err = spool.Open(spool.Config{Dir: cfg.Spool, Sensor: "s1", SegmentBytes: int64(cfg.ChunkBytes), Span: time.Hour, Sync: time.Second, Quota: 16 << 30, Policy: spool.DropNew})
	if err != nil {
		b.Fatal(err)
	}
	l, err := s.spool.Lane("bench")
	if err != nil {
		b.Fatal(err)
	}
	live := &liveLane{s: s, spool: l, log: s.log}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	out := make([]byte, 0, len(raw))
	var spooling, sealing, yardstick time.Duration
	var sealed, captured int64
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if err := l.Open(capture.Interface{Name: "eth0", LinkType: 1, Snaplen: 262144}); err != nil {
			b.Fatal(err)
		}
		before := cpuTime(b)
		captured = replay(b, file, l)
		g := l.NextSegment(context.Background()) // its last sync is over
		spooling += cpuTime(b) - before

		var cpu atomic.Int64
		before = cpuTime(b)
		done := make(chan error, 1)
		go background(cfg.SealNice, &cpu, func() { done <- live.seal(context.Background(), g) })
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		sealing += cpuTime(b) - before
		c := l.NextUpload(context.Background(), nil)
		sealed = c.Bytes
		if err := c.Uploaded("x"); err != nil {
			b.Fatal(err)
		}

		before = cpuTime(b)
		out = enc.EncodeAll(raw, out[:0])
		yardstick += cpuTime(b) - before
	}
	s.spool.Stop(context.Background())
	gb := float64(captured) / 1e9 * float64(b.N)
	b.ReportMetric(spooling.Seconds()/gb, "spool-cpu-s/GB")
	b.ReportMetric(sealing.Seconds()/gb, "seal-cpu-s/GB")
	b.ReportMetric(yardstick.Seconds()/gb, "zstd-cpu-s/GB")
	b.ReportMetric(yardstick.Seconds()/sealing.Seconds(), "seal/zstd")
	b.ReportMetric(float64(sealed)/float64(captured), "size/raw")
	b.ReportMetric(float64(len(out))/float64(len(raw)), "zstd-size/raw")
}

// replay puts the packets of a capture into a sink, from memory, and closes it.
func replay(b *testing.B, file string, sink capture.Sink) (captured int64) {
	b.Helper()
	r := pcaptest.Open(b, file)
	var rec pcapfile.Record
	var packet capture.Record
	for {
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		packet = capture.Record{TimeNanos: rec.TimeNanos, WireLen: rec.WireLen, Data: rec.Data}
		if err := sink.Packet(&packet); err != nil {
			b.Fatal(err)
		}
		captured += int64(len(rec.Data))
	}
	if err := sink.Close(); err != nil {
		b.Fatal(err)
	}
	return captured
}
