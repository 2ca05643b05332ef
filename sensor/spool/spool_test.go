package spool

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wirelake/sensor/capture"
)

func testConfig(t testing.TB) Config {
	return Config{
		Dir: t.TempDir(), Sensor: "s1", SegmentBytes: 1 << 20, Span: time.Minute, Sync: 20 * time.Millisecond,
		Quota: 1 << 30, Policy: DropOldest, Reserve: 0,
	}
}

var eth0 = capture.Interface{Name: "eth0", LinkType: 1, Snaplen: 262144} //nolint:gochecknoglobals // as a constant

func openSpool(t testing.TB, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stop(t testing.TB, s *Spool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s.Stop(ctx)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func lane(t testing.TB, s *Spool, name string) *Lane {
	t.Helper()
	l, err := s.Lane(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Open(eth0); err != nil {
		t.Fatal(err)
	}
	return l
}

// packet i is told from all others by its content.
func packet(i int) []byte {
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	b := make([]byte, 20+rng.IntN(1480))
	binary.BigEndian.PutUint64(b[12:], uint64(i))
	for j := 20; j < len(b); j++ {
		b[j] = byte(i + j)
	}
	return b
}

// readAll returns the numbers of the packets of all segments in a lane's folder.
func readAll(t testing.TB, dir, name string) (numbers []int, losses Losses, damages []Damage) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, lanesFolder, name, "*"+segmentExt))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		r, err := NewReader(f, path, func(d Damage) { damages = append(damages, d) })
		if errors.Is(err, io.EOF) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		for {
			err := r.Next(&rec)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			i := int(binary.BigEndian.Uint64(rec.Data[12:]))
			if !bytes.Equal(rec.Data, packet(i)) || rec.TimeNanos != int64(i)*1000 || rec.WireLen != len(rec.Data)+i%3 {
				t.Fatalf("%s: offset %d: packet %d is not what was written", path, rec.Offset, i)
			}
			numbers = append(numbers, i)
		}
		losses.add(r.Losses())
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return numbers, losses, damages
}

func put(t testing.TB, l *Lane, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		b := packet(i)
		if err := l.Packet(&capture.Record{TimeNanos: int64(i) * 1000, WireLen: len(b) + i%3, Data: b}); err != nil {
			t.Fatal(err)
		}
	}
}

func wantAll(t testing.TB, numbers []int, n int) {
	t.Helper()
	if len(numbers) != n {
		t.Fatalf("%d packets, want %d", len(numbers), n)
	}
	for i, got := range numbers {
		if got != i {
			t.Fatalf("packet %d comes as number %d", got, i)
		}
	}
}

func TestEveryPacketComesBackInOrder(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	const n = 20_000
	for i := 0; i < n; i += 100 {
		put(t, l, i, i+100)
		if i%700 == 0 {
			if err := l.Flush(); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		if i%1000 == 0 {
			l.Drops(3)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	numbers, losses, damages := readAll(t, cfg.Dir, "eth0-0")
	wantAll(t, numbers, n)
	if losses != (Losses{Kernel: 60}) || damages != nil {
		t.Errorf("losses %+v, damages %v", losses, damages)
	}
	if st := l.Stats(); st.Packets != n || st.LastNanos != (n-1)*1000 || st.Losses.Kernel != 60 {
		t.Errorf("stats %+v", st)
	}
	files, err := filepath.Glob(filepath.Join(cfg.Dir, lanesFolder, "eth0-0", "*"+segmentExt))
	if err != nil || len(files) < 10 {
		t.Errorf("%d segments, %v", len(files), err)
	}
	for _, path := range files {
		if info, err := os.Stat(path); err != nil || info.Size() > cfg.SegmentBytes+1000 {
			t.Errorf("segment of %d bytes, %v", info.Size(), err)
		}
	}
}

// TestFlushReachesTheFile checks that packets are in the file soon after Flush, with
// nothing more happening: what a SIGKILL then leaves.
func TestFlushReachesTheFile(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	put(t, l, 0, 10)
	if err := l.Flush(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the packets in the file", func() bool {
		numbers, _, _ := readAll(t, cfg.Dir, "eth0-0")
		return len(numbers) == 10
	})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
}

func TestSecondProcessAndOtherSensorAreRefused(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	if _, err := Open(cfg); !errors.Is(err, ErrLocked) {
		t.Errorf("opened twice: %v", err)
	}
	id := s.ID()
	stop(t, s)
	again := openSpool(t, cfg)
	if again.ID() != id {
		t.Errorf("id %s became %s", id, again.ID())
	}
	stop(t, again)
	cfg.Sensor = "s2"
	if _, err := Open(cfg); err == nil || !strings.Contains(err.Error(), "belongs to sensor s1") {
		t.Errorf("another sensor's spool: %v", err)
	}
}

func TestVLANTagIsPutBack(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	frame := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0, 0x45, 0}
	if err := l.Packet(&capture.Record{TimeNanos: -5, WireLen: 100, Data: frame, VLAN: 0x8100<<16 | 0x2005}); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	f, err := os.Open(filepath.Join(cfg.Dir, lanesFolder, "eth0-0", "0000000000.wal"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	r, err := NewReader(f, f.Name(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	if err := r.Next(&rec); err != nil {
		t.Fatal(err)
	}
	want := []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x81, 0, 0x20, 5, 8, 0, 0x45, 0}
	if !bytes.Equal(rec.Data, want) || rec.WireLen != 104 || rec.TimeNanos != -5 {
		t.Errorf("got %x, %d bytes on the wire, at %d", rec.Data, rec.WireLen, rec.TimeNanos)
	}
	if h := r.Header; h.Sensor != "s1" || h.Lane != "eth0-0" || h.Interface != "eth0" || h.LinkType != 1 || h.Snaplen != 262144 {
		t.Errorf("header %+v", h)
	}
}
