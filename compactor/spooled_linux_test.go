package compactor

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"
)

// Batches that are under way when a compactor ends, or loses its lease, give back their disk space at once.
func TestSpooledFilesEndWithTenure(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	spooled := func() (n int) {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		for _, fd := range fds {
			target, err := os.Readlink("/proc/self/fd/" + fd.Name())
			if err == nil && strings.HasPrefix(target, dir+"/wirelake-sessions-") { // an error: closed meanwhile
				n++
			}
		}
		return n
	}
	store := fileStore(t)
	c := newTestCompactor(t, store, func(cfg *Config) { cfg.BatchDelay = time.Hour })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx, false) }()
	if err := c.WaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	putChunk(t, store, 0, false, 1, []uint16{1001}, 0)
	putChunk(t, store, 1, false, 1, []uint16{1002}, 1000) // ends the session before
	eventually(t, "sessions are spooled", func() bool { return spooled() == 1 })
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if n := spooled(); n != 0 {
		t.Errorf("%d files are open, of %d lanes", n, len(c.lanes))
	}
}
