package sensor

import (
	"context"
	"io"
	"sync"
	"time"
)

// throttle bounds the bytes a second of all readers together.
type throttle struct {
	perSecond float64

	mu   sync.Mutex
	next time.Time // when the bytes handed out so far are paid for
}

// throttlePiece is what a reader gets at once, and throttleBurst what may be handed
// out ahead after a quiet time.
const (
	throttlePiece = 64 << 10
	throttleBurst = 100 * time.Millisecond
)

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

// reader bounds r. It hides that r can be read at several places at once, so that
// each byte is read, and counted, once.
func (t *throttle) reader(ctx context.Context, r io.Reader) io.Reader {
	return &throttled{ctx: ctx, r: r, t: t}
}

type throttled struct {
	ctx context.Context //nolint:containedctx // as long as one upload
	r   io.Reader
	t   *throttle
}

func (r *throttled) Read(p []byte) (int, error) {
	n, err := r.r.Read(p[:min(len(p), throttlePiece)])
	if n > 0 {
		if waited := r.t.wait(r.ctx, n); waited != nil {
			return n, waited
		}
	}
	return n, err
}
