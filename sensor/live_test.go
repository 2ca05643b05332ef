package sensor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/config"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/sensorstatus"
	"wirelake/sensor/capture"
)

// numbered is a packet that is told from all others by its number, which stands in
// its UDP payload. Flows of 40 hosts and 50 ports are mixed.
func numbered(n int) []byte {
	payload := make([]byte, 20+n*37%1200)
	binary.BigEndian.PutUint64(payload, uint64(n))
	x := uint64(n)*0x9e3779b97f4a7c15 + 1
	for i := 8; i+8 <= len(payload); i += 8 { // xorshift: does not compress
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		binary.LittleEndian.PutUint64(payload[i:], x)
	}
	return udp(byte(n%40), uint16(n*7%50), payload)
}

// generator is a capture.Source of numbered packets.
type generator struct {
	lane       string
	from, to   int
	rate       int // packets a second, 0: as fast as they are taken
	time       func(n int) int64
	packet     func(n int) []byte
	sent       chan int // told how many were sent when it ends; may be nil
	dropsEvery int

	mu    sync.Mutex
	state capture.State
}

func (g *generator) State() capture.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

func (g *generator) Run(ctx context.Context, open capture.Opener) error {
	sink, err := open(g.lane, capture.Interface{Name: "gen0", LinkType: 1, Snaplen: 262144})
	if err != nil {
		return err
	}
	g.mu.Lock()
	g.state = capture.State{Name: g.lane, Kind: "generator", Up: true}
	g.mu.Unlock()
	start := time.Now()
	n := g.from
	for ; n < g.to && ctx.Err() == nil; n++ {
		at := testStart + int64(n)*1000
		if g.time != nil {
			at = g.time(n)
		}
		data := numbered(n)
		if g.packet != nil {
			data = g.packet(n)
		}
		if err := sink.Packet(&capture.Record{TimeNanos: at, WireLen: len(data), Data: data}); err != nil {
			return errors.Join(err, sink.Close())
		}
		g.mu.Lock()
		g.state.Packets++
		g.state.Bytes += uint64(len(data))
		g.mu.Unlock()
		if g.dropsEvery > 0 && n%g.dropsEvery == 0 {
			sink.Drops(1)
		}
		if g.rate > 0 && n%16 == 0 {
			if err := sink.Flush(); err != nil {
				return err
			}
			time.Sleep(time.Until(start.Add(time.Duration(n-g.from) * time.Second / time.Duration(g.rate))))
		}
	}
	if g.sent != nil {
		g.sent <- n - g.from
	}
	return sink.Close()
}

func liveConfig(t testing.TB) Config {
	cfg := DefaultConfig()
	cfg.Name = "s1"
	cfg.Spool = t.TempDir()
	cfg.ChunkBytes, cfg.ChunkSpan, cfg.Quota = config.MiB, time.Second, config.GiB
	cfg.Sync, cfg.LeaseTTL, cfg.StopTimeout = 50*time.Millisecond, minLeaseTTL, 30*time.Second
	return cfg
}

func fileStore(t testing.TB) objstore.Store {
	t.Helper()
	s, err := objstore.Open(context.Background(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newSensor(t testing.TB, store objstore.Store, cfg Config, sources ...capture.Source) *Sensor {
	t.Helper()
	s, err := New(store, cfg, sources, Options{Generator: "wirelake test", Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// testLog writes to the test's log.
type testLog struct{ t testing.TB }

func (l testLog) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}

// archive is what a store holds of the sensor s1.
type archive struct {
	seen   map[uint64]int // how often each numbered packet is there
	chunks []chunk.Meta   // by lane and order
}

// readArchive reads all chunks, and checks the order of each lane.
func readArchive(t testing.TB, store objstore.Store) archive {
	t.Helper()
	a := archive{seen: map[uint64]int{}}
	ctx := context.Background()
	last := map[string]chunk.Meta{}
	for obj, err := range store.List(ctx, "chunks/", "") {
		if err != nil {
			t.Fatal(err)
		}
		r, err := chunk.Open(ctx, store, obj.Key)
		if err != nil {
			t.Fatal(err)
		}
		m := r.Meta()
		if chunk.Key(m) != obj.Key {
			t.Errorf("chunk %q says that it is %q", obj.Key, chunk.Key(m))
		}
		if before, ok := last[m.Lane]; ok && (m.Sequence <= before.Sequence || m.KeyNanos < before.KeyNanos) {
			t.Errorf("chunk %d at %d comes behind %d at %d", m.Sequence, m.KeyNanos, before.Sequence, before.KeyNanos)
		}
		last[m.Lane] = m
		a.chunks = append(a.chunks, m)
		err = r.ReadFlows(ctx, func(_ *chunk.FlowEntry, records *chunk.FlowRecords) error {
			var rec chunk.Record
			for {
				err := records.Next(&rec)
				if errors.Is(err, io.EOF) {
					return nil
				}
				if err != nil {
					return err
				}
				if len(rec.Data) < 50 {
					t.Fatalf("%q: record of %d bytes", obj.Key, len(rec.Data))
				}
				n := binary.BigEndian.Uint64(rec.Data[42:])
				if !bytes.Equal(rec.Data, numbered(int(n))) {
					t.Fatalf("%q: packet %d is not what was sent", obj.Key, n)
				}
				a.seen[n]++
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// wantPackets checks that the packets from 0 to n are there, each once, but for lost of them.
func (a archive) wantPackets(t testing.TB, n int, lost uint64) {
	t.Helper()
	missing := 0
	for i := range n {
		switch a.seen[uint64(i)] {
		case 0:
			missing++
		case 1:
		default:
			t.Errorf("packet %d is there %d times", i, a.seen[uint64(i)])
		}
	}
	if len(a.seen) > n {
		t.Errorf("%d different packets, %d were sent", len(a.seen), n)
	}
	if uint64(missing) != lost {
		t.Errorf("%d of %d packets are missing, the counters say %d", missing, n, lost)
	}
}

func (a archive) losses() (kernel, spool uint64) {
	for _, m := range a.chunks {
		kernel += m.KernelDrops
		spool += m.SpoolDrops
	}
	return kernel, spool
}

func TestSensorStoresEveryPacket(t *testing.T) {
	store := fileStore(t)
	const n = 30_000
	gens := []capture.Source{
		&generator{lane: "gen0-0", to: n, dropsEvery: 1000},
		&generator{lane: "gen0-1", from: n, to: 2 * n},
	}
	s := newSensor(t, store, liveConfig(t), gens...)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := readArchive(t, store)
	a.wantPackets(t, 2*n, 0)
	if len(a.chunks) < 10 {
		t.Errorf("%d chunks", len(a.chunks))
	}
	if kernel, spool := a.losses(); kernel != n/1000 || spool != 0 {
		t.Errorf("chunks tell of %d packets lost in the kernel and %d in the spool", kernel, spool)
	}
	for _, m := range a.chunks {
		if m.Sensor != "s1" || m.Interface != "gen0" || m.LinkType != 1 || m.Snaplen != 262144 || m.Generator != "wirelake test" {
			t.Errorf("meta %+v", m)
		}
	}
	st, err := sensorstatus.Get(t.Context(), store, "s1")
	if err != nil {
		t.Fatal(err)
	}
	if !st.Stopped || st.Drops.Kernel != n/1000 || st.Drops.Lost() != n/1000 || st.Sealed.Packets != 2*n || int(st.Uploads.Chunks) != len(a.chunks) ||
		st.Spool.BacklogBytes != 0 || len(st.Interfaces) != 2 || st.Interfaces[0].Packets != n || st.ClockOffset == nil || len(st.Lanes) != 2 {
		t.Errorf("status %+v", st)
	}
	// The name is free again.
	if err := newSensor(t, store, liveConfig(t), &generator{lane: "gen0-0", from: 2 * n, to: 2*n + 10}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Another spool of the same sensor went on behind what the store has.
	readArchive(t, store).wantPackets(t, 2*n+10, 0)
}

// TestClocksThatJump sends packets from before 1970, after 2106, an hour back and a day ahead.
func TestClocksThatJump(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	cfg.Sync = 10 * time.Millisecond
	const n = 4000
	g := &generator{lane: "gen0-0", to: n, rate: 4000, time: func(i int) int64 {
		at := testStart + int64(i)*1000
		switch {
		case i == 100:
			return -5e9
		case i == 101:
			return 0
		case i == 102:
			return 1 << 62
		case i >= 1000 && i < 2000:
			return at - int64(time.Hour)
		case i >= 2000 && i < 3000:
			return at + int64(24*time.Hour)
		}
		return at
	}}
	s := newSensor(t, store, cfg, g)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := readArchive(t, store) // which checks the order of keys
	a.wantPackets(t, n, 0)
	if odd := s.Status().Spool.OddTimes; odd != 2 {
		t.Errorf("%d odd times counted, want 2", odd)
	}
}

func TestTwoSensorsWithOneName(t *testing.T) {
	store := fileStore(t)
	cfg := func() Config {
		c := liveConfig(t)
		c.LeaseTTL = 4 * minLeaseTTL // a busy machine must not make the first late
		return c
	}
	first := newSensor(t, store, cfg(), &generator{lane: "gen0-0", to: 1 << 30, rate: 1000})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- first.Run(ctx) }()
	waitFor(t, "the first sensor", func() bool {
		_, err := sensorstatus.Get(t.Context(), store, "s1")
		return err == nil
	})
	sent := make(chan int, 1)
	err := newSensor(t, store, cfg(), &generator{lane: "gen0-0", to: 10, sent: sent}).Run(t.Context())
	var held *HeldError
	if !errors.As(err, &held) || held.Holder.Host != host() || !strings.Contains(err.Error(), "sensor s1 runs already, on host "+host()) {
		t.Errorf("the second sensor: %v", err)
	}
	if len(sent) != 0 {
		t.Error("the second sensor captured")
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("the first sensor: %v", err)
	}
}

// TestLeaseOfADeadSensorIsTaken starts a sensor after another on another machine died.
func TestLeaseOfADeadSensorIsTaken(t *testing.T) {
	store := fileStore(t)
	lease := `{"version":1,"holder":{"host":"gone","pid":1,"spool":"OTHER","nonce":"N"},"taken":"2026-01-01T00:00:00Z","renewed":"2026-01-01T00:00:00Z"}`
	if _, err := objstore.PutBytes(t.Context(), store, sensorstatus.LeaseKey("s1"), []byte(lease)); err != nil {
		t.Fatal(err)
	}
	if err := newSensor(t, store, liveConfig(t), &generator{lane: "gen0-0", to: 100}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, 100, 0)
}

// TestKeyThatIsTaken has the store hold other content under the keys that come next.
func TestKeyThatIsTaken(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	gate := &gate{Store: store}
	s := newSensor(t, gate, cfg, &generator{lane: "gen0-0", to: 3000})
	gate.put = func(ctx context.Context, key string) error {
		if strings.HasPrefix(key, "chunks/") && !gate.done {
			gate.done = true // somebody else is faster
			_, err := objstore.PutBytes(ctx, store, key, foreignChunk(t, key))
			return err
		}
		return nil
	}
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := readArchive(t, store)
	a.wantPackets(t, 3001, 0)
	if st := s.Status(); st.Uploads.Conflicts != 1 || st.Error == nil || !strings.Contains(st.Error.Text, "other content") {
		t.Errorf("%d conflicts, error %+v", st.Uploads.Conflicts, st.Error)
	}
}

// foreignChunk is a chunk for key with packet 3000 in it.
func foreignChunk(t testing.TB, key string) []byte {
	t.Helper()
	m, err := chunk.ParseKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m.LinkType = 1
	return chunkOf(t, m, numbered(3000))
}

// gate is a store whose writes a test sees before they happen.
type gate struct {
	objstore.Store
	put  func(ctx context.Context, key string) error
	done bool
}

func (g *gate) Put(ctx context.Context, key string, r io.Reader, size int64, opts ...objstore.PutOption) (objstore.Object, error) {
	if err := g.put(ctx, key); err != nil {
		return objstore.Object{}, err
	}
	return g.Store.Put(ctx, key, r, size, opts...)
}

// TestUploadedBeforeTheCrash has a chunk in the store and in the spool, as a crash
// between the two leaves it.
func TestUploadedBeforeTheCrash(t *testing.T) {
	store := fileStore(t)
	cfg := liveConfig(t)
	died := errors.New("died here")
	g := &gate{Store: store}
	// The store takes the chunk and its answer is lost, again and again until the deadline.
	after := &afterPut{gate: g, err: died}
	cfg.StopTimeout = 2 * time.Second
	ctx, stop := context.WithCancel(t.Context())
	gen := &generator{lane: "gen0-0", to: 2000, sent: make(chan int, 1)}
	s := newSensor(t, after, cfg, gen)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-gen.sent
	waitFor(t, "a lost answer", func() bool { return s.counts.failures.Load() > 0 })
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if st := s.Status(); st.Spool.Chunks == 0 || st.Uploads.Failures == 0 {
		t.Fatalf("the first run left nothing: %+v", st.Spool)
	}
	s = newSensor(t, store, cfg, &generator{lane: "gen0-0", from: 2000, to: 2100})
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	readArchive(t, store).wantPackets(t, 2100, 0)
	if st := s.Status(); st.Uploads.Existed != 1 || st.Spool.Recovered == 0 {
		t.Errorf("status %+v", st)
	}
}

// afterPut loses the answers of writes of chunks.
type afterPut struct {
	*gate
	err error
}

func (a *afterPut) Put(ctx context.Context, key string, r io.Reader, size int64, opts ...objstore.PutOption) (objstore.Object, error) {
	o, err := a.Store.Put(ctx, key, r, size, opts...)
	if strings.HasPrefix(key, "chunks/") {
		return objstore.Object{}, a.err
	}
	return o, err
}

func TestReady(t *testing.T) {
	store := fileStore(t)
	s := newSensor(t, store, liveConfig(t), &generator{lane: "gen0-0", to: 1 << 30, rate: 2000, dropsEvery: 1 << 29})
	if err := s.Ready(t.Context()); err == nil {
		t.Error("ready before it was started")
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	waitFor(t, "capture", func() bool {
		err := s.Ready(t.Context())
		return err != nil && strings.Contains(err.Error(), "kernel 1")
	})
	stop()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func waitFor(t testing.TB, what string, ready func() bool) {
	t.Helper()
	deadline := time.Now().Add(3 * time.Minute) // two cores shared by many tests are slow
	for !ready() {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestLiveConfig(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("the defaults: %v", err)
	}
	cfg := DefaultConfig()
	cfg.Name, cfg.Policy, cfg.Compression, cfg.Quota, cfg.Workers, cfg.HTTP = "a/b", "drop", "most", config.MiB, 0, "0.0.0.0:80"
	cfg.Cut = []CutRule{{Match: "", Bytes: -1}}
	err := cfg.Validate()
	for _, want := range []string{"name: ", `policy: "drop"`, `compression: "most"`, "quota: ", "workers: ", "cut[0].match: is empty", "cut[0].bytes: ", "http_listen: "} {
		if err == nil || !slices.ContainsFunc(strings.Split(err.Error(), "\n"), func(l string) bool { return strings.HasPrefix(l, want) }) {
			t.Errorf("no line %q in %v", want, err)
		}
	}
}

// chunkOf seals one packet as a chunk.
func chunkOf(t testing.TB, m chunk.Meta, data []byte) []byte {
	t.Helper()
	b, err := chunk.NewBuilder(chunk.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	var p packet.Packet
	packet.NewDecoder(m.LinkType, packet.Options{}).Decode(data, m.KeyNanos, len(data), &p)
	if err := b.Add(&p, data); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := b.Seal(m, &out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
