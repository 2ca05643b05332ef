package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"wirelake/sensor/capture"
)

// ringOf is a ring that a test delivers from: blocks of packets, in order.
type ringOf struct {
	id     uint64
	blocks []int // packets in each
	first  int   // number of its first packet
	drops  uint64
}

// deliver gives a lane all from p on, as a ring does, and returns where it ended. The
// number of each packet follows from its place.
func (r *ringOf) deliver(t testing.TB, l *Lane, p capture.Position) capture.Position {
	t.Helper()
	if p.Ring != r.id {
		p = capture.Position{Ring: r.id, Block: 1}
	}
	passed := 0
	for b, n := range r.blocks {
		block := uint64(b + 1)
		if block < p.Block {
			passed += n
			continue
		}
		skip := 0
		if block == p.Block {
			skip = int(p.Packet)
		}
		at := capture.Position{Ring: r.id, Block: block, Packet: uint64(skip), Passed: uint64(passed + skip), Drops: r.drops}
		l.At(at)
		put(t, l, r.first+passed+skip, r.first+passed+n)
		passed += n
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		p = at
		p.Packet, p.Passed = uint64(n), uint64(passed)
	}
	return p
}

func (r *ringOf) packets() (n int) {
	for _, b := range r.blocks {
		n += b
	}
	return n
}

func resume(t testing.TB, l *Lane) capture.Position {
	t.Helper()
	p, err := l.Resume()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closeLane(t testing.TB, l *Lane) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestResumeAfterAnyCut cuts the last segment of a log at every byte, delivers the ring
// once more from where the log then ends, and finds each packet once.
func TestResumeAfterAnyCut(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	ring := ringOf{id: 77, blocks: []int{3, 1, 4, 2}}
	end := ring.deliver(t, l, capture.Position{})
	closeLane(t, l)
	stop(t, s)
	path := filepath.Join(l.dir, "0000000000.wal")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, err := headerSize(whole)
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for cut := len(whole); cut >= head; cut-- {
		part := filepath.Join(t.TempDir(), "cut.wal")
		if cut%64 == 0 || cut == len(whole) { // files are slow, and what reads them is the same
			if err := os.WriteFile(part, whole[:cut], 0o600); err != nil {
				t.Fatal(err)
			}
			if p, _, err := walk(part, capture.Position{}, false); err != nil || p != positionIn(t, whole[:cut]) {
				t.Fatalf("cut at %d: %+v, %v", cut, p, err)
			}
		}
		p := positionIn(t, whole[:cut])
		if cut == len(whole) && p != end {
			t.Fatalf("the whole log ends at %+v, want %+v", p, end)
		}
		numbers, _ := records(t, whole[:cut])
		if p.Passed != uint64(len(numbers)) || p.Ring == 0 && len(numbers) > 0 {
			t.Fatalf("cut at %d: position %+v behind %d packets", cut, p, len(numbers))
		}
		inBlocks := uint64(0)
		for _, n := range ring.blocks[:max(p.Block, 1)-1] {
			inBlocks += uint64(n)
		}
		if p.Passed != inBlocks+p.Packet {
			t.Fatalf("cut at %d: position %+v is not in the ring's order", cut, p)
		}
		if rng.IntN(200) == 0 {
			redeliver(t, cfg, &ring, whole[:cut])
		}
	}
}

func positionIn(t testing.TB, segment []byte) capture.Position {
	t.Helper()
	r, err := NewReader(bytes.NewReader(segment), "cut", nil)
	if err != nil {
		t.Fatal(err)
	}
	var rec Record
	for r.Next(&rec) == nil {
	}
	return r.Position()
}

// redeliver has a spool go on from a segment that was cut, and finds each packet once.
func redeliver(t *testing.T, cfg Config, ring *ringOf, segment []byte) {
	t.Helper()
	cfg.Dir = t.TempDir()
	dir := filepath.Join(cfg.Dir, lanesFolder, "eth0-0")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "0000000000.wal"), segment, 0o600); err != nil {
		t.Fatal(err)
	}
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	ring.deliver(t, l, resume(t, l))
	closeLane(t, l)
	stop(t, s)
	numbers, _, _ := readAll(t, cfg.Dir, "eth0-0")
	wantAll(t, numbers, ring.packets())
}

// TestWrittenFollowsTheFile checks that packets count as written only when they are in the file.
func TestWrittenFollowsTheFile(t *testing.T) {
	cfg := testConfig(t)
	cfg.Sync = time.Hour // a tick every 100 ms
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	ring := ringOf{id: 5, blocks: make([]int, 200)}
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range ring.blocks {
		ring.blocks[i] = rng.IntN(60)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		ring.deliver(t, l, capture.Position{})
		l.Hurry()
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		written := l.Written()
		if numbers, _, _ := readAll(t, cfg.Dir, "eth0-0"); uint64(len(numbers)) < written {
			t.Fatalf("%d packets are in the file, %d count as written", len(numbers), written)
		}
	}
	waitFor(t, "all to be written", func() bool { return l.Written() == uint64(ring.packets()) })
	if l.Taken() != uint64(ring.packets()) {
		t.Errorf("%d taken, want %d", l.Taken(), ring.packets())
	}
	numbers, _, _ := readAll(t, cfg.Dir, "eth0-0")
	wantAll(t, numbers, ring.packets())
	closeLane(t, l)
	stop(t, s)
}

// TestResumeFromSealedSegments seals all, or all but the last, or drops the oldest for
// the quota: where the log ends is known all the same.
func TestResumeFromSealedSegments(t *testing.T) {
	for name, keep := range map[string]int{"none left": 0, "one left": 1, "several left": 3} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t)
			cfg.SegmentBytes = 100 << 10
			s := openSpool(t, cfg)
			l := lane(t, s, "eth0-0")
			ring := ringOf{id: 9, blocks: []int{900, 1200, 1500}, drops: 11}
			end := ring.deliver(t, l, capture.Position{})
			closeLane(t, l)
			stop(t, s)
			segments := len(l.segments)
			if segments < 5 {
				t.Fatalf("%d segments", segments)
			}
			s = openSpool(t, cfg)
			l = lane(t, s, "eth0-0")
			for i := range segments - keep {
				if i%2 == 1 { // each second is dropped, as for the quota
					if !s.dropOne() {
						t.Fatal("nothing dropped")
					}
					continue
				}
				g := l.NextSegment(t.Context())
				r, f, err := g.Open(nil)
				if err != nil {
					t.Fatal(err)
				}
				var rec Record
				for r.Next(&rec) == nil {
				}
				if err := errors.Join(f.Close(), g.Finish(nil, Losses{}, Losses{}, r.Position())); err != nil {
					t.Fatal(err)
				}
			}
			if p := resume(t, l); p != end {
				t.Errorf("position %+v, want %+v", p, end)
			}
			closeLane(t, l)
			stop(t, s)
			s = openSpool(t, cfg)
			if p := resume(t, lane(t, s, "eth0-0")); p != end {
				t.Errorf("at the next start: position %+v, want %+v", p, end)
			}
			stop(t, s)
		})
	}
}

// TestEachSegmentTellsWhereItBegins checks that one segment alone, without those before, tells the end.
func TestEachSegmentTellsWhereItBegins(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentBytes = 100 << 10
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	ring := ringOf{id: 9, blocks: []int{2000}}
	end := ring.deliver(t, l, capture.Position{})
	closeLane(t, l)
	stop(t, s)
	files, err := filepath.Glob(filepath.Join(l.dir, "*"+segmentExt))
	if err != nil || len(files) < 5 {
		t.Fatal(len(files), err)
	}
	p, placed := capture.Position{}, false
	for i, path := range files {
		q, ok, err := walk(path, capture.Position{}, false)
		if err != nil || !ok {
			t.Fatalf("%s: says where it begins: %v, %v", path, ok, err)
		}
		if placed && !p.Before(q) {
			t.Errorf("segment %d ends at %+v, the one before at %+v", i, q, p)
		}
		p, placed = q, true
	}
	if p != end {
		t.Errorf("the last segment ends at %+v, want %+v", p, end)
	}
}

// TestPositionsOverDroppedPackets drops packets for the quota: they are counted in the
// log, together with the place behind them, and count as written when that is there.
func TestPositionsOverDroppedPackets(t *testing.T) {
	cfg := testConfig(t)
	cfg.SegmentBytes, cfg.Quota, cfg.Policy = 1<<20, 6<<20, DropNew
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	ring := ringOf{id: 3, blocks: make([]int, 40)}
	for i := range ring.blocks {
		ring.blocks[i] = 700
	}
	end := capture.Position{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		end = ring.deliver(t, l, capture.Position{})
	}()
	<-done
	if l.Stats().Losses.Quota == 0 {
		t.Fatal("nothing was dropped")
	}
	if l.Written() == l.Taken() {
		t.Fatal("what is in no file counts as written")
	}
	waitFor(t, "the stall", func() bool { return l.stalled.Load() == stalledQuota })
	before := l.Stats().Losses
	l.Drops(7) // the ring is full because the spool is
	if got := l.Stats().Losses; got.Quota != before.Quota+7 || got.Kernel != 0 {
		t.Errorf("losses %+v, before %+v", got, before)
	}
	// Room comes: sealed to nothing.
	stopping := make(chan struct{})
	go func() {
		defer close(stopping)
		for g := l.NextSegment(t.Context()); g != nil; g = l.NextSegment(t.Context()) {
			r, f, err := g.Open(nil)
			if err != nil {
				t.Error(err)
				return
			}
			var rec Record
			n := 0
			for ; err == nil; err = r.Next(&rec) {
				n++
			}
			if !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if err := errors.Join(f.Close(), g.Finish(nil, Losses{}, r.Losses(), r.Position())); err != nil {
				t.Error(err)
				return
			}
		}
	}()
	waitFor(t, "all to be settled", func() bool {
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
		return l.Written() == l.Taken()
	})
	closeLane(t, l)
	stop(t, s)
	<-stopping
	s = openSpool(t, cfg)
	l = lane(t, s, "eth0-0")
	end.Drops += 7
	if p := resume(t, l); p != end {
		t.Errorf("position %+v, want %+v", p, end)
	}
	if carried := l.NextChunk().Losses; carried.Quota != before.Quota+7 {
		t.Errorf("losses told %+v, want %d", carried, before.Quota+7)
	}
	stop(t, s)
}

// TestWhatACloseCouldNotWrite ends a lane whose disk is full: what is counted as lost is
// behind the position, and comes no second time.
func TestWhatACloseCouldNotWrite(t *testing.T) {
	cfg := testConfig(t)
	cfg.Dir = tmpfs(t, 4<<20)
	cfg.Policy = DropNew
	s := openSpool(t, cfg)
	fill := filepath.Join(cfg.Dir, "fill")
	l := lane(t, s, "eth0-0")
	first := ringOf{id: 4, blocks: []int{100}}
	at := first.deliver(t, l, capture.Position{})
	waitFor(t, "the first packets", func() bool { return l.Written() == 100 })
	f, err := os.Create(fill)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(bytes.Repeat([]byte{1}, 4096))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l.At(capture.Position{Ring: 4, Block: 2, Passed: 100})
	put(t, l, 100, 400)
	closeLane(t, l)
	time.AfterFunc(200*time.Millisecond, func() {
		_ = os.Truncate(fill, 16<<10) // enough for the notes, not for the packets
		_ = os.WriteFile(fill, nil, 0o600)
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.Stop(ctx)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSpool(t, cfg)
	l = lane(t, s, "eth0-0")
	p := resume(t, l)
	if p.Ring != 4 || p.Before(at) {
		t.Fatalf("position %+v", p)
	}
	numbers, losses, _ := readAll(t, cfg.Dir, "eth0-0")
	losses.add(l.NextChunk().Losses)
	if uint64(len(numbers))+losses.Disk != p.Passed {
		t.Errorf("%d packets in the log and %d counted as lost, but the ring goes on behind %d", len(numbers), losses.Disk, p.Passed)
	}
	stop(t, s)
}

// TestNote checks that a note is there at the next start, until it is taken away.
func TestNote(t *testing.T) {
	cfg := testConfig(t)
	s := openSpool(t, cfg)
	l := lane(t, s, "eth0-0")
	note := func(want string) {
		t.Helper()
		got, err := l.Noted()
		if err != nil || string(got) != want {
			t.Errorf("noted %q, %v, want %q", got, err, want)
		}
	}
	note("")
	for _, text := range []string{`{"longer":1}`, `{}`, ``, `{"a":2}`} {
		if err := l.Note([]byte(text)); err != nil {
			t.Fatal(err)
		}
		note(text)
	}
	stop(t, s)
	s = openSpool(t, cfg)
	l = lane(t, s, "eth0-0")
	note(`{"a":2}`)
	if err := l.Note(make([]byte, capture.MaxNoteBytes+1)); err == nil {
		t.Error("a note that is too long is taken")
	}
	stop(t, s)
}
