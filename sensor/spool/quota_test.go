package spool

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/sensor/capture"
)

// patience bounds what a test waits for; two cores and a disk shared by many tests are slow.
const patience = 2 * time.Minute

func waitFor(t testing.TB, what string, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ready() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// drain reads the segments as sealing does, and returns all packets' numbers and losses.
func drain(t testing.TB, l *Lane) (numbers []int, losses Losses) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		g := l.NextSegment(ctx)
		if g == nil {
			if ctx.Err() != nil {
				t.Fatal("no segment came")
			}
			return numbers, losses
		}
		next := l.NextChunk()
		r, f, err := g.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		for r.Next(&rec) == nil {
			numbers = append(numbers, number(rec.Data))
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		losses.add(r.Losses())
		losses.add(next.Losses)
		if err := g.Finish([]Sealed{sealedFile(t, l, next.Sequence, r.Packets())}, next.Losses, Losses{}, r.Position()); err != nil {
			t.Fatal(err)
		}
	}
}

func number(b []byte) (n int) {
	for _, c := range b[12:20] {
		n = n<<8 | int(c)
	}
	return n
}

func sealedFile(t testing.TB, l *Lane, sequence, packets uint64) Sealed {
	t.Helper()
	f, err := l.TempFile()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("chunk"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return Sealed{Temp: f.Name(), Sequence: sequence, KeyNanos: 5, Packets: packets, Bytes: 5}
}

// balance checks that what came back and what is counted as lost is all that was put in.
func balance(t testing.TB, l *Lane, put int, numbers []int, losses Losses) {
	t.Helper()
	seen := map[int]bool{}
	for _, n := range numbers {
		if seen[n] {
			t.Fatalf("packet %d is there twice", n)
		}
		seen[n] = true
	}
	st := l.Stats()
	lost := st.Losses.Quota + st.Losses.Disk + st.QuotaOldest
	if uint64(put-len(numbers)) != lost {
		t.Errorf("%d of %d packets are missing, the counters say %d: %+v", put-len(numbers), put, lost, st)
	}
	if losses.Spool() != lost {
		t.Errorf("chunks tell of %d lost packets, the counters of %d", losses.Spool(), lost)
	}
}

func TestQuotaDropsTheOldest(t *testing.T) {
	cfg := testConfig(t)
	cfg.Quota = 8 << 20
	s := openSpool(t, cfg)
	l := lane(t, s, "a")
	const n = 40_000 // 31 MB
	put(t, l, 0, n)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the last segment", func() bool { l.spool.mu.Lock(); defer l.spool.mu.Unlock(); return len(l.full) == 0 })
	stop(t, s)
	if st := s.Stats(); st.Bytes > cfg.Quota {
		t.Errorf("%d bytes, quota %d", st.Bytes, cfg.Quota)
	}
	numbers, losses := drain(t, l)
	balance(t, l, n, numbers, losses)
	if st := l.Stats(); st.QuotaOldest < n/2 || len(numbers) == 0 || numbers[len(numbers)-1] != n-1 {
		t.Errorf("%d dropped; the newest that is left is %d", st.QuotaOldest, numbers[len(numbers)-1])
	}
}

func TestQuotaDropsTheNew(t *testing.T) {
	cfg := testConfig(t)
	cfg.Quota, cfg.Policy = 8<<20, DropNew
	s := openSpool(t, cfg)
	l := lane(t, s, "a")
	const n = 40_000
	put(t, l, 0, n)
	if !s.Stats().Full {
		t.Error("the spool is not full")
	}
	// Room comes back when chunks are uploaded: then packets are taken again.
	ctx, cancel := context.WithCancel(t.Context())
	var numbers []int
	var losses Losses
	for range 7 {
		g := l.NextSegment(ctx)
		next := l.NextChunk()
		r, f, err := g.Open(nil)
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		for r.Next(&rec) == nil {
			numbers = append(numbers, number(rec.Data))
		}
		losses.add(r.Losses())
		losses.add(next.Losses)
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := g.Finish(nil, next.Losses, Losses{}, r.Position()); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	waitFor(t, "room", func() bool { return !s.Stats().Full })
	put(t, l, n, n+100)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	more, moreLosses := drain(t, l)
	numbers = append(numbers, more...)
	losses.add(moreLosses)
	balance(t, l, n+100, numbers, losses)
	if numbers[0] != 0 || numbers[len(numbers)-1] != n+99 {
		t.Errorf("packets from %d to %d", numbers[0], numbers[len(numbers)-1])
	}
}

// tmpfs mounts a small file system, which needs root.
func tmpfs(t testing.TB, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Fatalf("mount a tmpfs (this test needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk fills a small disk by something else while packets come, and frees it again.
func TestFullDisk(t *testing.T) {
	for _, policy := range []Policy{DropNew, DropOldest} {
		t.Run(string(policy), func(t *testing.T) {
			dir := tmpfs(t, 24<<20)
			cfg := testConfig(t)
			cfg.Dir, cfg.Policy, cfg.Reserve, cfg.Quota = filepath.Join(dir, "spool"), policy, 2<<20, 1<<30
			s := openSpool(t, cfg)
			l := lane(t, s, "a")
			put(t, l, 0, 3000)
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "the first packets", func() bool { return s.Stats().Bytes > 2_000_000 })
			ballast := filepath.Join(dir, "other")
			if out, err := exec.Command("sh", "-c", "head -c 30000000 /dev/zero > "+ballast).CombinedOutput(); err == nil {
				t.Fatalf("the disk is not full: %s", out)
			}
			time.Sleep(2 * freeFor)
			put(t, l, 3000, 30_000)
			late := lane(t, s, "late") // on a full disk
			put(t, late, 0, 10)
			st := l.Stats()
			if st.Losses.Spool() == 0 {
				t.Error("nothing was lost on a full disk")
			}
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "room", func() bool { return !s.Stats().Full })
			put(t, l, 30_000, 31_000)
			put(t, late, 10, 20)
			for _, l := range []*Lane{l, late} {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
			}
			stop(t, s)
			lateNumbers, lateLosses := drain(t, late)
			balance(t, late, 20, lateNumbers, lateLosses)
			numbers, losses := drain(t, l)
			balance(t, l, 31_000, numbers, losses)
			if last := numbers[len(numbers)-1]; last != 30_999 {
				t.Errorf("the last packet is %d: the spool did not recover", last)
			}
		})
	}
}

// TestReadOnlyDisk makes the disk read-only while packets come, and writable again.
func TestReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatalf("mount a tmpfs (this test needs root): %v", err)
	}
	cfg := testConfig(t)
	cfg.Dir, cfg.Span = filepath.Join(dir, "spool"), 200*time.Millisecond
	// The lock and a segment are open for writing, which the kernel does not remount under: a
	// bind mount that turns read-only refuses new files, as a disk with errors does.
	if err := os.Mkdir(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := openSpool(t, cfg)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	l := lane(t, s, "a")
	put(t, l, 0, 1000)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the first packets", func() bool { return s.Stats().Bytes > 500_000 })
	if err := unix.Mount(cfg.Dir, cfg.Dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("", cfg.Dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	from := 1000
	waitFor(t, "losses", func() bool {
		put(t, l, from, from+2000)
		from += 2000
		return l.Stats().Losses.Disk > 0
	})
	if err := unix.Unmount(cfg.Dir, unix.MNT_DETACH); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "recovery", func() bool { return !s.Stats().Full })
	put(t, l, from, from+500)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	numbers, losses := drain(t, l)
	balance(t, l, from+500, numbers, losses)
	if last := numbers[len(numbers)-1]; last != from+499 {
		t.Errorf("the last packet is %d, want %d", last, from+499)
	}
}

// TestFinishIsAtomic leaves a lane as a crash at each step of Finish would, and opens it again.
func TestFinishIsAtomic(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	l := lane(t, s, "a")
	put(t, l, 0, 100)
	l.Drops(7)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	dir := filepath.Join(cfg.Dir, lanesFolder, "a")
	chunkName := (&Chunk{Segment: 0, Part: 0, KeyNanos: 5, Sequence: 3, Packets: 100}).fileName()
	write := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wal, err := os.ReadFile(filepath.Join(dir, "0000000000.wal"))
	if err != nil {
		t.Fatal(err)
	}
	check := func(step string, segments, chunks int, sequence uint64, carried Losses) {
		t.Helper()
		s := openSpool(t, cfg)
		st := s.Stats()
		l, err := s.Lane("a")
		if err != nil {
			t.Fatal(err)
		}
		if n := l.NextChunk(); st.Segments != segments || st.Chunks != chunks || n.Sequence != sequence || n.Losses != carried {
			t.Errorf("%s: %d segments, %d chunks, next %+v", step, st.Segments, st.Chunks, n)
		}
		stop(t, s)
	}
	write("chunk-1.tmp", "half")
	check("while writing", 1, 0, 0, Losses{})
	if _, err := os.Stat(filepath.Join(dir, "chunk-1.tmp")); err == nil {
		t.Error("the half of a chunk is left")
	}
	write(chunkName, "whole")
	check("named", 1, 0, 0, Losses{})
	write(chunkName, "whole")
	write(stateFile, `{"version":1,"sequence":4,"key_nanos":5,"carried":{},"taken":{"Quota":9},"taken_by":0}`)
	check("state noted", 1, 0, 4, Losses{Quota: 9})
	write(stateFile, `{"version":1,"sequence":4,"key_nanos":5,"carried":{"Kernel":7,"Disk":2},"taken":{"Quota":9},"taken_by":0,"left":{"Kernel":7}}`)
	check("state noted, losses left", 1, 0, 4, Losses{Quota: 9, Disk: 2})
	write("0000000009.wal", string(wal))
	write(stateFile, `{"version":1,"sequence":4,"key_nanos":5,"carried":{"Quota":100},"dropping":"0000000009.wal","taken_by":99}`)
	check("dropped and counted", 1, 0, 4, Losses{Quota: 100})
	write(stateFile, `{"version":1,"sequence":4,"key_nanos":5}`)
	write(chunkName, "whole")
	if err := os.Remove(filepath.Join(dir, "0000000000.wal")); err != nil {
		t.Fatal(err)
	}
	check("segment gone", 0, 1, 4, Losses{})
	// While a chunk gets another sequence there may be two of it.
	write((&Chunk{Segment: 0, Part: 0, KeyNanos: 6, Sequence: 8, Packets: 100}).fileName(), "whole")
	check("replaced", 0, 1, 9, Losses{})
	if len(wal) == 0 || !bytes.HasPrefix(wal, []byte(magic)) {
		t.Error("the segment was none")
	}
}

func TestCache(t *testing.T) {
	cfg := testConfig(t)
	cfg.Cache = 12
	s := openSpool(t, cfg)
	l := lane(t, s, "a")
	for i := range 4 {
		put(t, l, i, i+1)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		g := l.NextSegment(t.Context())
		if err := g.Finish([]Sealed{sealedFile(t, l, uint64(i), 1)}, Losses{}, Losses{}, capture.Position{}); err != nil {
			t.Fatal(err)
		}
		c := l.NextUpload(t.Context(), nil)
		if err := c.Uploaded(fmt.Sprintf("chunks/lane=a/day=%d/%d.pcap.zst", i, i)); err != nil {
			t.Fatal(err)
		}
		if err := l.Open(eth0); err != nil {
			t.Fatal(err)
		}
	}
	if st := s.Stats(); st.CacheBytes != 10 || st.Bytes != 0 || st.Chunks != 0 {
		t.Errorf("stats %+v", st)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	cfg.Cache = 5
	s = openSpool(t, cfg)
	if st := s.Stats(); st.CacheBytes != 5 {
		t.Errorf("after a smaller quota: %+v", st)
	}
	if _, err := os.Stat(filepath.Join(cfg.Dir, cacheFolder, "chunks", "lane=a", "day=3", "3.pcap.zst")); err != nil {
		t.Error(err)
	}
	stop(t, s)
}

// TestPacketAllocatesNothing holds the promise of the hot path.
func TestPacketAllocatesNothing(t *testing.T) {
	s := openSpool(t, testConfig(t))
	l := lane(t, s, "a")
	data := packet(1)
	r := capture.Record{TimeNanos: 1, WireLen: len(data), Data: data, VLAN: 0x81000001}
	for range 20_000 { // buffers are made when they are needed
		if err := l.Packet(&r); err != nil {
			t.Fatal(err)
		}
	}
	if n := testing.AllocsPerRun(1000, func() {
		if err := l.Packet(&r); err != nil {
			t.Fatal(err)
		}
	}); n > 0.01 {
		t.Errorf("%v allocations a packet", n)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
}

func BenchmarkPacket(b *testing.B) {
	for _, size := range []int{64, 700, 1500} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			cfg := testConfig(b)
			cfg.SegmentBytes, cfg.Quota, cfg.Sync = 256<<20, 2<<30, time.Second
			s := openSpool(b, cfg)
			l := lane(b, s, "a")
			data := make([]byte, size)
			r := capture.Record{TimeNanos: 1, WireLen: size, Data: data}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			var before, after unix.Rusage
			if err := unix.Getrusage(unix.RUSAGE_SELF, &before); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := l.Packet(&r); err != nil {
					b.Fatal(err)
				}
			}
			if err := unix.Getrusage(unix.RUSAGE_SELF, &after); err != nil {
				b.Fatal(err)
			}
			cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
			b.ReportMetric(cpu.Seconds()/(float64(b.N)*float64(size)/1e9), "cpu-s/GB")
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
			stop(b, s)
			if lost := l.Stats().Losses.Spool() + l.Stats().QuotaOldest; lost > 0 {
				b.ReportMetric(float64(lost)/float64(b.N), "lost/packet")
			}
		})
	}
}
