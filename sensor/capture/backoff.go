package capture

import (
	"context"
	"math/rand/v2"
	"time"
)

// Waits between attempts to reach what is gone.
const (
	backoffFirst = 500 * time.Millisecond
	backoffMost  = 30 * time.Second
)

// backoff grows from attempt to attempt, with jitter, so that many sensors do not
// come back to a peer in the same moment. The zero value is the first attempt.
type backoff struct{ next time.Duration }

// reset makes the next wait short again, after success.
func (b *backoff) reset() { b.next = 0 }

// wait waits for half of the time that is due at least. It returns false when ctx has ended.
func (b *backoff) wait(ctx context.Context) bool {
	b.next = min(max(2*b.next, backoffFirst), backoffMost)
	t := time.NewTimer(b.next/2 + rand.N(b.next/2)) //nolint:gosec // jitter is no secret
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
