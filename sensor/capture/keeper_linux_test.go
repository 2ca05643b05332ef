package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"wirelake/internal/config"
	"wirelake/internal/systemd"
	"wirelake/testenv"
)

// heldLog is a Log that a test lets write, or not, and that knows where it ended.
type heldLog struct {
	recordedLane *recordedLane

	mu      sync.Mutex
	at      Position
	taken   uint64
	written uint64
	hold    bool // nothing is written any more
	noted   []byte
	places  []Position // of the calls of At
	err     error      // of Resume
}

func (l *heldLog) Packet(r *Record) error {
	if err := l.recordedLane.Packet(r); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken++
	l.at.Packet++
	l.at.Passed++
	if !l.hold {
		l.written = l.taken
	}
	return nil
}

func (l *heldLog) Drops(n uint64) {
	l.recordedLane.Drops(n)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at.Drops += n
}

func (l *heldLog) Flush() error { return nil }
func (l *heldLog) Close() error { return l.recordedLane.Close() }

func (l *heldLog) At(p Position) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.at = p
	l.places = append(l.places, p)
}

func (l *heldLog) Resume() (Position, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at, l.err
}

func (l *heldLog) Taken() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.taken
}

func (l *heldLog) Written() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.written
}

func (l *heldLog) Hurry() {}

func (l *heldLog) Note(b []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.noted = bytes.Clone(b)
	return nil
}

func (l *heldLog) Noted() ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.noted, nil
}

// logs opens one heldLog for each lane, and the same again.
type logs struct {
	rec  *recorder
	mu   sync.Mutex
	byLn map[string]*heldLog
}

func (l *logs) Open(lane string, i Interface) (Sink, error) {
	s, err := l.rec.Open(lane, i)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byLn[lane] == nil {
		l.byLn[lane] = &heldLog{recordedLane: s.(*recordedLane)}
	}
	return l.byLn[lane], nil
}

// newPortOf opens a port of one worker that nobody keeps, and its ring.
func newPortOf(t *testing.T, name string, c AFPacketConfig) (*port, *ring) {
	t.Helper()
	l, err := findLink(name)
	if err != nil {
		t.Fatal(err)
	}
	p, err := openPort(c, l, "udp", nil, slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.close() })
	return p, p.rings[0]
}

// again maps the ring of another once more, as the next process does.
func again(t *testing.T, r *ring, c AFPacketConfig) *ring {
	t.Helper()
	fd, err := unix.FcntlInt(uintptr(r.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	l := r.link
	next, index, err := adoptRing(keptRing{name: geometryOf(c, l, 0).name(r.state.id), fd: fd, geometry: geometryOf(c, l, 0)}, c)
	if err != nil {
		t.Fatal(err)
	}
	if index != l.index {
		t.Errorf("interface %d, want %d", index, l.index)
	}
	t.Cleanup(func() { _ = next.close() })
	return next
}

// TestBlocksAreNumberedInTheirOrder holds what finding the place again rests on: the
// kernel numbers blocks from 1, block n is at place (n-1) mod blocks, it leaves the private area
// alone, and what it hands over stays until it is given back.
func TestBlocksAreNumberedInTheirOrder(t *testing.T) {
	testenv.Veth(t, "sq0", "sq1")
	c := smallRing()
	c.BlockBytes, c.Blocks, c.Snaplen = minBlockBytes, minBlocks, 64*config.KiB
	_, r := newPortOf(t, "sq0", c)
	out := newSender(t, "sq1")
	id, frame := r.state.id, join(numbered(53, 0), make([]byte, 1000))
	var rec Record
	var counts counters
	sink := &tallySink{}
	sent := 0
	for n := uint64(1); n < 6*minBlocks; n++ {
		if sink.packets >= sent-out.lost() { // else a block was handed over between two packets
			for range 5 {
				out.send(frame)
				sent++
			}
		}
		waitFor(t, "the block", func() bool { b, err := r.handedOver(); return b != nil && err == nil })
		block := r.block(n)
		if got := sequenceOf(block); got != n {
			t.Fatalf("block %d is at the place of block %d", got, n)
		}
		if got := binary.NativeEndian.Uint32(block[blockFirst:]); got != blockHeader+privateBytes {
			t.Fatalf("the first packet is at %d", got)
		}
		if more, err := r.step(&rec, sink, &counts); !more || err != nil {
			t.Fatal(more, err)
		}
		if now := r.totals(); now.released != n || now.passed != uint64(sink.packets) {
			t.Fatalf("behind block %d with %d packets: %+v", n, sink.packets, now)
		}
	}
	waitFor(t, "all packets", func() bool {
		if _, err := r.step(&rec, sink, &counts); err != nil {
			t.Fatal(err)
		}
		return sink.packets >= sent-out.lost()
	})
	if r.state.id != id || r.state.magic != ringMagic {
		t.Errorf("the private area became %+v", r.state)
	}
	if got, err := r.statistics(); err != nil || got.accepted != uint64(sink.packets) {
		t.Errorf("the kernel gave %d packets, delivered %d, %v", got.accepted, sink.packets, err)
	}
}

// TestBlocksWaitForTheLog holds that no block is given back before it is written, that the
// worker goes on meanwhile until all of the ring is its own, and that what the kernel then
// drops is counted.
func TestBlocksWaitForTheLog(t *testing.T) {
	testenv.Veth(t, "hb0", "hb1")
	c := smallRing()
	c.BlockBytes, c.Blocks, c.Snaplen = minBlockBytes, minBlocks, 64*config.KiB
	_, r := newPortOf(t, "hb0", c)
	out := newSender(t, "hb1")
	log := &heldLog{recordedLane: &recordedLane{rec: newRecorder(t)}, hold: true}
	r.begin(log, slog.New(slog.DiscardHandler))
	var rec Record
	var counts counters
	frame := join(numbered(53, 0), make([]byte, 1000))
	sent := 0
	step := func() bool {
		t.Helper()
		more, err := r.step(&rec, log, &counts)
		if err != nil {
			t.Fatal(err)
		}
		return more
	}
	waitFor(t, "all of the ring to be held", func() bool {
		for range 50 {
			out.send(frame)
			sent++
		}
		step()
		return r.held() == r.blocks
	})
	if now := r.totals(); now.released != 0 {
		t.Fatalf("given back: %+v", now)
	}
	for range 100 { // nowhere to put them
		out.send(frame)
		sent++
	}
	waitFor(t, "the drops", func() bool {
		if step() {
			t.Fatal("a block where none can be")
		}
		return counts.drops.Load() >= uint64(100-out.lost())
	})
	log.mu.Lock()
	log.hold, log.written = false, log.taken
	log.mu.Unlock()
	waitFor(t, "the ring to go on", func() bool {
		out.send(frame)
		sent++
		step()
		return r.next > r.blocks+3 && r.held() == 0
	})
	settled := func() uint64 { return uint64(len(log.recordedLane.packets)) + counts.drops.Load() }
	waitFor(t, "the last block", func() bool { step(); return settled() >= uint64(sent-out.lost()) })
	if got := settled(); got != uint64(sent-out.lost()) {
		t.Errorf("delivered and dropped %d, sent %d", got, sent)
	}
}

// TestRingGoesOnAnywhere has one process after the other take over a ring after each step,
// at any packet, killed between any two writes of the state: each packet is delivered once.
func TestRingGoesOnAnywhere(t *testing.T) {
	testenv.Veth(t, "an0", "an1")
	c := smallRing()
	c.BlockBytes, c.Blocks, c.Snaplen = minBlockBytes, minBlocks, 64*config.KiB
	_, first := newPortOf(t, "an0", c)
	out := newSender(t, "an1")
	log := &heldLog{recordedLane: &recordedLane{rec: newRecorder(t)}}
	quiet := slog.New(slog.DiscardHandler)
	var rec Record
	var counts counters
	sent := 0
	r := first
	r.begin(log, quiet)
	for round := range 40 {
		for range 1 + round%7 {
			out.send(numbered(53, sent))
			sent++
		}
		waitFor(t, "a block", func() bool { b, err := r.handedOver(); return b != nil && err == nil })
		switch round % 4 {
		case 0: // killed when all is delivered, nothing written, nothing given back
			log.hold = true
			if _, err := r.step(&rec, log, &counts); err != nil {
				t.Fatal(err)
			}
		case 1: // killed within a block: only some of its packets are in the log
			if _, _, err := r.deliver(r.block(r.next), &rec, log); err != nil {
				t.Fatal(err)
			}
			if n := log.at.Packet; n > 1 {
				log.at.Packet, log.at.Passed = n-1, log.at.Passed-1
				log.recordedLane.packets = log.recordedLane.packets[:len(log.recordedLane.packets)-1]
			}
		case 2: // killed between the note that a block is given back and the deed
			block := r.block(r.next)
			if _, err := r.step(&rec, log, &counts); err != nil {
				t.Fatal(err)
			}
			r.release()
			*status(block) |= unix.TP_STATUS_USER
		case 3: // killed while the state is written: what does not count is garbage
			if _, err := r.step(&rec, log, &counts); err != nil {
				t.Fatal(err)
			}
			r.release()
			r.state.slots[1-r.state.current] = ringSlot{released: 1 << 60, drops: 1 << 60}
		}
		log.hold, log.written = false, log.taken
		r = again(t, r, c)
		r.begin(log, quiet)
	}
	waitFor(t, "all packets", func() bool {
		if _, err := r.step(&rec, log, &counts); err != nil {
			t.Fatal(err)
		}
		return len(log.recordedLane.packets) >= sent-out.lost()
	})
	for i, p := range log.recordedLane.packets {
		if n := numberOf(t, p.Data); n != i && out.lost() == 0 {
			t.Fatalf("packet %d is number %d", i, n)
		}
	}
	if counts.drops.Load() != 0 || log.recordedLane.drops != 0 {
		t.Errorf("%d drops", counts.drops.Load())
	}
}

// TestDropsAreNeverForgotten kills a process behind the reading of the kernel's counters,
// at every step of what follows: the next one tells each drop once.
func TestDropsAreNeverForgotten(t *testing.T) {
	s := &ringState{}
	s.initialize()
	total := uint64(0)
	for i := range 100 {
		// As the kernel writes them.
		s.set(s.totals())
		s.slots[s.current].fresh = unix.TpacketStatsV3{Packets: uint32(7 + i), Drops: uint32(i)}
		total += uint64(i)
		if got := s.totals(); got.drops != total || got.fresh.Drops != 0 {
			t.Fatalf("read and killed: %d drops, want %d", got.drops, total)
		}
		s.slots[1-s.current] = s.totals() // killed before it counts
		if got := s.totals(); got.drops != total {
			t.Fatalf("killed while it was noted: %d drops, want %d", got.drops, total)
		}
		s.set(s.totals())
		if got := s.totals(); got.drops != total || got.accepted != uint64(7*(i+1)) {
			t.Fatalf("noted: %+v, want %d drops", got, total)
		}
	}
}

// TestKeptBySource runs one AFPacket after the other with a descriptor store between: what
// comes while none runs is delivered by the next, and rings that no longer fit are emptied.
func TestKeptBySource(t *testing.T) {
	testenv.Veth(t, "ks0", "ks1")
	store := testenv.NewDescriptorStore(t)
	var said bytes.Buffer
	text := slog.New(slog.NewTextHandler(&said, nil))
	t.Setenv("NOTIFY_SOCKET", store.Path())
	manager := systemd.FromEnvironment()
	all := &logs{rec: newRecorder(t), byLn: map[string]*heldLog{}}
	out := newSender(t, "ks1")
	sent := 0
	send := func(n int) {
		for range n {
			out.send(numbered(53, sent))
			sent++
		}
	}
	handed := func() (files []systemd.File) {
		t.Helper()
		kept, err := store.Files()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range kept {
			fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, systemd.File{Name: f.Name(), FD: fd})
		}
		return files
	}
	c := smallRing()
	c.Workers = 2
	run := func(c AFPacketConfig, want int) {
		t.Helper()
		k := NewKeeper(manager, handed(), text)
		s, err := NewAFPacket("ks0", c, k, text)
		if err != nil {
			t.Fatal(err)
		}
		end := capturing(t, s, all.Open)
		waitFor(t, "the rings", func() bool { names, err := store.Kept(); return err == nil && len(names) == want && s.State().Up })
		send(300)
		end()
		send(200) // between two processes
	}
	run(c, 2)
	run(c, 2)
	c.Workers = 3
	run(c, 3)
	c.Blocks = 8
	run(c, 3)
	// The interface is not captured from any more.
	c.Interfaces = []string{"another0"}
	k := NewKeeper(manager, handed(), text)
	leftover, err := k.Leftover(c, text)
	if err != nil || len(leftover) != 1 {
		t.Fatal(leftover, err)
	}
	if err := leftover[0].Run(context.Background(), all.Open); err != nil {
		t.Fatal(err)
	}
	if names, err := store.Kept(); err != nil || len(names) != 0 {
		t.Errorf("kept at the end: %q, %v", names, err)
	}
	var numbers []int
	for _, lane := range all.rec.names() {
		for _, p := range all.rec.lane(lane).packets {
			numbers = append(numbers, numberOf(t, p.Data))
		}
	}
	slices.Sort(numbers)
	if len(numbers) != sent-out.lost() || len(slices.Compact(slices.Clone(numbers))) != len(numbers) {
		t.Errorf("%d packets, %d different, sent %d\n%s", len(numbers), len(slices.Compact(numbers)), sent, &said)
	}
	if strings.Contains(said.String(), "level=ERROR") {
		t.Errorf("%s", &said)
	}
}

// TestForeignFiles holds that what is no ring of ours is closed and said.
func TestForeignFiles(t *testing.T) {
	testenv.NeedNamespace(t)
	store := testenv.NewDescriptorStore(t)
	t.Setenv("NOTIFY_SOCKET", store.Path())
	var said bytes.Buffer
	text := slog.New(slog.NewTextHandler(&said, nil))
	socket := func() int {
		t.Helper()
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		return fd
	}
	c := smallRing()
	name := geometryOf(c, link{name: "lo", linkType: 1}, 0).name(1)
	other, named := socket(), socket()
	k := NewKeeper(systemd.FromEnvironment(), []systemd.File{{Name: "http", FD: other}, {Name: name, FD: named}}, text)
	if _, err := unix.FcntlInt(uintptr(other), unix.F_GETFD, 0); !errors.Is(err, unix.EBADF) {
		t.Errorf("the file of another name: %v", err)
	}
	s, err := NewAFPacket("lo", c, k, text)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Open(); err != nil {
		t.Fatal(err)
	}
	defer s.closePort(nil) //nolint:errcheck // the test ends
	for _, want := range []string{"none of the sensor's", "a packet ring of the process before is lost"} {
		if !strings.Contains(said.String(), want) {
			t.Errorf("no %q in\n%s", want, &said)
		}
	}
}

// TestManagerThatIsGone captures all the same.
func TestManagerThatIsGone(t *testing.T) {
	testenv.Veth(t, "km0", "km1")
	t.Setenv("NOTIFY_SOCKET", t.TempDir()+"/nobody")
	var said bytes.Buffer
	text := slog.New(slog.NewTextHandler(&said, nil))
	c := smallRing()
	c.Workers = 2
	s, err := NewAFPacket("km0", c, NewKeeper(systemd.FromEnvironment(), nil, text), text)
	if err != nil {
		t.Fatal(err)
	}
	rec := newRecorder(t)
	end := capturing(t, s, rec.Open)
	out := newSender(t, "km1")
	for i := range 100 {
		out.send(numbered(53, i))
	}
	end()
	if got := len(rec.lane("km0-0").packets) + len(rec.lane("km0-1").packets); got != 100-out.lost() {
		t.Errorf("%d packets of 100", got)
	}
	if !strings.Contains(said.String(), "does not keep the packet sockets") {
		t.Errorf("%s", &said)
	}
}

func TestRingNames(t *testing.T) {
	for _, iface := range []string{"eth0", "eth0.100", "a,b", "x%2", "ü+1", "\x01"} {
		g := geometry{iface: iface, worker: 3, workers: 4, blocks: 64, blockBytes: 1 << 20, linkType: 113, promiscuous: true}
		name := g.name(0xabc)
		if strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' }) {
			t.Errorf("name %q cannot be one in sd_notify", name)
		}
		if got, err := parseRingName(name); err != nil || got != g {
			t.Errorf("%q: %+v, %v", name, got, err)
		}
	}
}

func FuzzRingName(f *testing.F) {
	f.Add(geometry{iface: "eth0", workers: 1, blocks: 64, blockBytes: 1 << 20, linkType: 1}.name(7))
	f.Add("ring1,eth0,0,1,64,1048576,1,0,")
	f.Fuzz(func(t *testing.T, name string) {
		g, err := parseRingName(name)
		if err == nil && (g.worker >= g.workers || g.blocks*g.blockBytes <= 0 || config.Size(g.blocks)*config.Size(g.blockBytes) > maxRingBytes) {
			t.Fatalf("%q: %+v", name, g)
		}
	})
}
