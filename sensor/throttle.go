package sensor

import (
	"context"
	"sync"
	"time"
)

// throttle bounds the bytes a second of all uploads together.
type throttle struct {
	perSecond float64

	mu   sync.Mutex
	next time.Time // when the bytes handed out so far are paid for
}

// throttleBurst is what may be handed out ahead after a quiet time.
const throttleBurst = 100 * time.Millisecond

// newThrottle returns nil, which bounds nothing, for 0.
func newThrottle(perSecond int64) *throttle {
	if perSecond == 0 {
		return nil
	}
	return &throttle{perSecond: float64(perSecond)}
}

// wait takes n bytes, and waits until they are due.
func (t *throttle) wait(ctx context.Context, n int) error {
	t.mu.Lock()
	now := time.Now()
	if earliest := now.Add(-throttleBurst); t.next.Before(earliest) {
		t.next = earliest
	}
	t.next = t.next.Add(time.Duration(float64(n) / t.perSecond * float64(time.Second)))
	due := t.next
	t.mu.Unlock()
	if wait := due.Sub(now); wait > 0 {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
	return nil
}
