package sensor

import (
	"log/slog"
	"testing"

	"wirelake/internal/keylog"
	"wirelake/sensor/spool"
)

// TestWaitingKeysAreBounded holds that a lane forgets the connections of chunks that are stored or dropped, and takes no more than it may.
func TestWaitingKeysAreBounded(t *testing.T) {
	begun := func(n int) [][keylog.RandomLen]byte { return make([][keylog.RandomLen]byte, n) }
	l := &liveLane{log: slog.New(slog.DiscardHandler)}
	want := func(what string, chunks, n int) {
		t.Helper()
		if len(l.waiting.begun) != chunks || l.waiting.n != n {
			t.Errorf("%s: %d connections of %d chunks wait, want %d of %d", what, l.waiting.n, len(l.waiting.begun), n, chunks)
		}
	}
	l.expect(t.Context(), 1, [][][keylog.RandomLen]byte{begun(3), nil, begun(2)})
	want("two chunks with connections", 2, 5)
	l.expect(t.Context(), 1, [][][keylog.RandomLen]byte{begun(4), begun(1)})
	want("sealed again", 3, 7)
	l.expect(t.Context(), 2, [][][keylog.RandomLen]byte{begun(maxWaitingKeys - 7), begun(1)})
	want("as many as may be, and one more", 4, maxWaitingKeys)
	l.forgetKeys(&spool.Chunk{Segment: 1, Part: 1})
	want("two are stored", 2, maxWaitingKeys-5)
	l.forgetKeys(&spool.Chunk{Segment: 3})
	want("a later one is stored", 0, 0)
}
