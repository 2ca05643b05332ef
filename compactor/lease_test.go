package compactor

import (
	"context"
	"testing"
	"time"

	"wirelake/internal/objstore"
)

// TestLeaseTaken holds that a compactor whose lease another process took waits for it, and goes on where the lane then is.
func TestLeaseTaken(t *testing.T) {
	store := fileStore(t)
	c := newTestCompactor(t, store, func(cfg *Config) { cfg.LeaseTTL = time.Second })
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	putChunk(t, store, 0, false, 1, []uint16{1001, 1002}, 0, 10)
	go func() { ended <- c.Run(ctx, false) }()
	if err := c.WaitCaughtUp(ctx); err != nil {
		t.Fatal(err)
	}
	other := `{"version":1,"epoch":99,"holder":{"host":"other","pid":1,"nonce":"other"},"renewed":"2026-01-01T00:00:00Z"}`
	if _, err := objstore.PutBytes(t.Context(), store, leaseKey, []byte(other)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the lease is lost", func() bool { return c.lease.Check() != nil || c.lease.Epoch() > 99 })
	putChunk(t, store, 1, false, 1, []uint16{1001}, 40, 80)
	putChunk(t, store, 2, true, 1, []uint16{1001, 1003}, 120)
	want := []string{"1001 0-120000 5 udp of 0,1,2", "1002 0-10000 2 udp of 0", "1003 120000-120000 1 udp of 2"}
	eventually(t, "the sessions are there", func() bool {
		select {
		case err := <-ended:
			t.Fatalf("the compactor ended: %v", err)
		default:
		}
		got := sessions(t, store)
		return hasSession(got, want[0]) && hasSession(got, want[1]) && hasSession(got, want[2])
	})
	if epoch := c.lease.Epoch(); epoch < 100 { // more where the machine was too busy for so short a TTL
		t.Errorf("epoch %d, want the one behind the other process's", epoch)
	}
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the compactor ended: %v", err)
	}
}
