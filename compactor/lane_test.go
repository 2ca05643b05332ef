package compactor

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/dissect"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/session"
	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// datagram is a UDP packet of IPv4 in Ethernet from port sport of 10.0.0.1 to port 9 of 10.0.0.2.
func datagram(sport uint16, payload string) []byte {
	b := make([]byte, 42, 42+len(payload))
	copy(b, "\x02\x00\x00\x00\x00\x02\x02\x00\x00\x00\x00\x01\x08\x00\x45")
	binary.BigEndian.PutUint16(b[16:], uint16(28+len(payload)))
	b[22], b[23] = 64, 17
	copy(b[26:], "\x0a\x00\x00\x01\x0a\x00\x00\x02")
	binary.BigEndian.PutUint16(b[34:], sport)
	binary.BigEndian.PutUint16(b[36:], 9)
	binary.BigEndian.PutUint16(b[38:], uint16(8+len(payload)))
	return append(b, payload...)
}

const (
	testSensor = "edge"
	testLane   = "eth0-0"
	testStart  = int64(1_772_532_000_000_000_000) // 2026-03-03 10:00 UTC
)

// putChunk stores a chunk of the test's lane with a packet of each port at each of the times, in seconds after testStart.
func putChunk(t testing.TB, store objstore.Store, seq uint64, final bool, linkType uint32, ports []uint16, seconds ...int64) string {
	t.Helper()
	return putChunkAt(t, store, seq, final, linkType, testStart+seconds[0]*1e9, ports, seconds...)
}

// putChunkAt is putChunk with a time of its own in the key.
func putChunkAt(t testing.TB, store objstore.Store, seq uint64, final bool, linkType uint32, keyNanos int64, ports []uint16, seconds ...int64) string {
	t.Helper()
	b, err := chunk.NewBuilder(chunk.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	d := packet.NewDecoder(linkType, packet.Options{})
	var p packet.Packet
	for _, s := range seconds {
		for _, port := range ports {
			frame := datagram(port, fmt.Sprintf("%d at %d", port, s))
			d.Decode(frame, testStart+s*1e9, len(frame), &p)
			if err := b.Add(&p, frame); err != nil {
				t.Fatal(err)
			}
		}
	}
	meta := chunk.Meta{Sensor: testSensor, Lane: testLane, File: fmt.Sprintf("rotated-%d.pcap", seq), LinkType: linkType, Snaplen: 65535, Sequence: seq, KeyNanos: keyNanos, Final: final}
	var out bytes.Buffer
	if _, err := b.Seal(meta, &out); err != nil {
		t.Fatal(err)
	}
	key := chunk.Key(meta)
	if _, err := objstore.PutBytes(t.Context(), store, key, out.Bytes(), objstore.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	return key
}

func newTestCompactor(t testing.TB, store objstore.Store, change func(*Config)) *Compactor {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Interval = 20 * time.Millisecond
	if change != nil {
		change(&cfg)
	}
	if err := cfg.Validate(); err != nil {
		t.Fatal(err)
	}
	c, err := New(cfg, Parts{Store: store, Set: dissect.New(), Session: session.DefaultConfig()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// compactOnce runs a new compactor until nothing is left to do.
func compactOnce(t testing.TB, store objstore.Store) {
	t.Helper()
	if err := newTestCompactor(t, store, nil).Run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// documents reads all sessions of the store, each with the key of its file.
func documents(t testing.TB, store objstore.Store) iter.Seq2[string, *spi.Document] {
	t.Helper()
	schema, err := sessionfile.NewSchema(dissect.New().Registry())
	if err != nil {
		t.Fatal(err)
	}
	r, err := sessionfile.NewReader(store, schema)
	if err != nil {
		t.Fatal(err)
	}
	return func(yield func(string, *spi.Document) bool) {
		for obj, err := range store.List(t.Context(), "sessions/", "") {
			if err != nil {
				t.Fatal(err)
			}
			f, err := r.Open(t.Context(), obj.Key)
			if err != nil {
				t.Fatal(err)
			}
			for d, err := range f.Documents(t.Context(), nil) {
				if err != nil {
					t.Fatal(err)
				}
				if !yield(obj.Key, d) {
					return
				}
			}
		}
	}
}

// sessions reads all sessions of the store as "port first-last packets protocols of files", by id.
func sessions(t testing.TB, store objstore.Store) map[string]string {
	t.Helper()
	out := make(map[string]string)
	for _, d := range documents(t, store) {
		port, _ := d.Int(spi.SourcePort)
		first, _ := d.Int(spi.FirstPacket)
		last, _ := d.Int(spi.LastPacket)
		packets, _ := d.Int(spi.NetworkPackets)
		var protocols []string
		for v := range d.Each(spi.Protocol) {
			protocols = append(protocols, v.Str)
		}
		var files []string
		for v := range d.Each(spi.FilePath) {
			files = append(files, strings.TrimSuffix(strings.TrimPrefix(v.Str, "rotated-"), ".pcap"))
		}
		id := d.String(spi.ID)
		if out[id] != "" {
			t.Errorf("session %s is there twice", id)
		}
		out[id] = fmt.Sprintf("%d %d-%d %d %s of %s", port, first-testStart/1e6, last-testStart/1e6, packets, strings.Join(protocols, ","), strings.Join(files, ","))
	}
	return out
}

func hasSession(all map[string]string, want string) bool {
	for _, s := range all {
		if s == want {
			return true
		}
	}
	return false
}

// eventually waits until the condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("it did not happen that %s", what)
}

// TestLaneGoesOn runs three compactors one after the other on a growing lane:
// sessions span chunks and processes, and each comes out once.
func TestLaneGoesOn(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, false, 1, []uint16{1001, 1002}, 0, 10)
	compactOnce(t, store)
	if got := sessions(t, store); len(got) != 0 {
		t.Errorf("sessions that go on were written: %v", got)
	}
	putChunk(t, store, 1, false, 1, []uint16{1001}, 40, 80)
	compactOnce(t, store)
	putChunk(t, store, 2, true, 1, []uint16{1001, 1003}, 120)
	compactOnce(t, store)
	compactOnce(t, store)
	got := sessions(t, store)
	for _, want := range []string{"1001 0-120000 5 udp of 0,1,2", "1002 0-10000 2 udp of 0", "1003 120000-120000 1 udp of 2"} {
		if !hasSession(got, want) {
			t.Errorf("session %q is missing in %v", want, got)
		}
	}
	if len(got) != 3 {
		t.Errorf("%d sessions, want 3: %v", len(got), got)
	}
}

// TestQuietLane holds that a lane whose sensor is gone gives its open sessions,
// and that what comes later begins new ones.
func TestQuietLane(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, false, 1, []uint16{1001}, 0, 10)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	quiet := func(c *Config) { c.LaneQuiet, c.BatchDelay = 300*time.Millisecond, time.Millisecond }
	go func() { done <- newTestCompactor(t, store, quiet).Run(ctx, false) }()
	eventually(t, "the quiet lane's session was saved", func() bool { return len(sessions(t, store)) == 1 })
	putChunk(t, store, 1, false, 1, []uint16{1001}, 20)
	eventually(t, "a session began anew", func() bool { return len(sessions(t, store)) == 2 })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	if got := sessions(t, store); !hasSession(got, "1001 0-10000 2 udp of 0") || !hasSession(got, "1001 20000-20000 1 udp of 1") {
		t.Errorf("got %v, want the session before and the one after the silence", got)
	}
}

// TestQuietLaneKilled holds that saving a quiet lane, cut short before its
// checkpoint, is finished before a chunk that came meanwhile is taken.
func TestQuietLaneKilled(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, false, 1, []uint16{1001}, 0, 10)
	compactOnce(t, store)
	before, _, err := objstore.GetAll(t.Context(), store, checkpointKey(testSensor, testLane))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- newTestCompactor(t, store, func(c *Config) { c.LaneQuiet = time.Millisecond }).Run(ctx, false)
	}()
	eventually(t, "the quiet lane was saved", func() bool {
		cp, err := loadCheckpoint(t.Context(), store, testSensor, testLane)
		return err == nil && cp.Flushed
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	// As if the process had died between the files and the checkpoint.
	if _, err := objstore.PutBytes(t.Context(), store, checkpointKey(testSensor, testLane), before); err != nil {
		t.Fatal(err)
	}
	putChunk(t, store, 1, true, 1, []uint16{1001}, 20)
	compactOnce(t, store)
	got := sessions(t, store)
	if len(got) != 2 || !hasSession(got, "1001 0-10000 2 udp of 0") || !hasSession(got, "1001 20000-20000 1 udp of 1") {
		t.Errorf("got %v, want the session that was saved and a new one", got)
	}
}

// TestUnknownLinkType holds that packets nobody can decode are sessions all the same.
func TestUnknownLinkType(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, true, 147, []uint16{1001, 1002}, 0, 1)
	compactOnce(t, store)
	got := sessions(t, store)
	if len(got) != 1 {
		t.Fatalf("got %v, want one session of all packets of the link type", got)
	}
	for _, s := range got {
		if !strings.HasPrefix(s, "0 0-1000 4") {
			t.Errorf("got %q, want the times and the 4 packets", s)
		}
	}
}

// TestUnreadableChunk holds that an object that is no chunk is passed over, and named in the checkpoint.
func TestUnreadableChunk(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, false, 1, []uint16{1001}, 0)
	bad := chunk.Key(chunk.Meta{Sensor: testSensor, Lane: testLane, Sequence: 1, KeyNanos: testStart + 1})
	if _, err := objstore.PutBytes(t.Context(), store, bad, []byte("no chunk at all")); err != nil {
		t.Fatal(err)
	}
	putChunk(t, store, 2, true, 1, []uint16{1001}, 2)
	compactOnce(t, store)
	if got := sessions(t, store); !hasSession(got, "1001 0-2000 2 udp of 0,2") || len(got) != 1 {
		t.Errorf("got %v, want the session of both good chunks", got)
	}
	cp, err := loadCheckpoint(t.Context(), store, testSensor, testLane)
	if err != nil {
		t.Fatal(err)
	}
	if len(cp.Skipped) != 1 || cp.Skipped[0].Key != bad || cp.Skipped[0].Reason == "" || !cp.Final {
		t.Errorf("checkpoint %+v does not name %s", cp, bad)
	}
}

// A packet from the future ends the sessions that are open then, and not those of every chunk that follows until that
// time has come, also when the compactor is started anew.
func TestPacketFromTheFuture(t *testing.T) {
	const years = 10 * 365 * 24 * 3600
	for _, restarts := range []bool{false, true} {
		store := fileStore(t)
		putChunk(t, store, 0, false, 1, []uint16{1001, 1002}, 0, 10)
		putChunk(t, store, 1, false, 1, []uint16{1001}, 20, years)
		for i := range int64(4) {
			putChunkAt(t, store, 2+uint64(i), i == 3, 1, testStart+years*1e9+1+i, []uint16{1001, 1003}, 30+20*i, 40+20*i)
			if restarts {
				compactOnce(t, store)
			}
		}
		compactOnce(t, store)
		got := sessions(t, store)
		for _, want := range []string{
			"1001 0-20000 3 udp of 0,1", "1002 0-10000 2 udp of 0",
			fmt.Sprintf("1001 %d-%d 1 udp of 1", int64(years)*1000, int64(years)*1000),
			"1001 30000-100000 8 udp of 2,3,4,5", "1003 30000-100000 8 udp of 2,3,4,5",
		} {
			if !hasSession(got, want) {
				t.Errorf("restarts %v: no session %q in %v", restarts, want, got)
			}
		}
		if len(got) != 5 {
			t.Errorf("restarts %v: %d sessions: %v", restarts, len(got), got)
		}
	}
}

// A lane that rests for long is looked at as soon as it is said to go on.
func TestLaneResumed(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, true, 1, []uint16{1001}, 0, 10)
	c := newTestCompactor(t, store, nil)
	if err := c.Run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := c.lease.Acquire(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, l := range c.lanes {
		l.rest, l.awake = maxRest, time.Now().Add(maxRest)
	}
	pass := func(want bool) {
		t.Helper()
		if took, err := c.pass(t.Context(), true); took != want || err != nil {
			t.Errorf("took chunks: %v, %v, want %v", took, err, want)
		}
	}
	pass(false)
	key := chunk.ResumedKey(testSensor, testLane)
	if _, err := objstore.PutBytes(t.Context(), store, key, nil); err != nil {
		t.Fatal(err)
	}
	pass(false)
	for _, l := range c.lanes {
		if l.rest != c.cfg.Interval {
			t.Errorf("a lane that is said to go on rests %v, want %v", l.rest, c.cfg.Interval)
		}
		l.awake = time.Time{} // as if that had passed
	}
	putChunk(t, store, 1, true, 1, []uint16{1001}, 20)
	pass(true)
	if _, err := store.Head(t.Context(), key); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("what said so is there still: %v", err)
	}
	if err := c.lease.Release(t.Context()); err != nil {
		t.Error(err)
	}
	if got := sessions(t, store); len(got) != 2 || !hasSession(got, "1001 20000-20000 1 udp of 1") {
		t.Errorf("got %v, want the sessions of both chunks", got)
	}
}

// A lane that has ended takes no memory and is looked at less and less; that its file was imported again, longer, is seen.
func TestLaneThatEnded(t *testing.T) {
	store := fileStore(t)
	putChunk(t, store, 0, true, 1, []uint16{1001}, 0, 10)
	c := newTestCompactor(t, store, nil)
	if err := c.Run(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	for _, l := range c.lanes {
		if l.builder != nil || l.chunks != nil || l.keys != nil || l.rest != c.cfg.Interval {
			t.Errorf("of the ended lane %s is kept %v, %v, %v; it rests %v", l.name, l.builder, l.chunks, l.keys, l.rest)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- newTestCompactor(t, store, nil).Run(ctx, false) }()
	putChunk(t, store, 1, false, 1, []uint16{1001}, 20)
	putChunk(t, store, 2, true, 1, []uint16{1001}, 30)
	eventually(t, "the lane went on and ended", func() bool { return hasSession(sessions(t, store), "1001 20000-30000 2 udp of 1,2") })
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run ended with %v", err)
	}
	if got := sessions(t, store); len(got) != 2 {
		t.Errorf("sessions %v, want 2", got)
	}
}
