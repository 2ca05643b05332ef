package sensor

import (
	"testing"
	"time"
)

// A segment in which all packets are copies becomes no chunk, and they are counted.
func TestSegmentsOfCopies(t *testing.T) {
	cfg := liveConfig(t)
	cfg.ChunkSpan, cfg.Dedup.Window = time.Second, time.Second
	const n = 1000
	g := &generator{lane: "gen0-0", to: n, rate: 300, packet: func(int) []byte { return numbered(0) }, time: func(int) int64 { return testStart }}
	store := fileStore(t)
	s := newSensor(t, store, cfg, g)
	if err := s.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := readArchive(t, store)
	if st := s.Status(); st.Drops.Duplicates != n-1 || st.Sealed.Packets != 1 || len(a.chunks) != 1 {
		t.Errorf("%d packets in %d chunks and %d copies, want 1 in 1 and %d", st.Sealed.Packets, len(a.chunks), st.Drops.Duplicates, n-1)
	}
}
