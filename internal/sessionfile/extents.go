package sessionfile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"wirelake/internal/objstore"
)

// ErrChanged means that a file was replaced after its footer was read: open it again.
var ErrChanged = errors.New("session file was replaced while it was read")

const (
	// joinGap is the gap up to which two ranges are fetched as one: what a round trip
	// to S3 costs in bytes at 10 ms and some 10 MB/s for one request.
	joinGap = 128 << 10

	// fetchWorkers is how many ranges of one row group are fetched at once.
	fetchWorkers = 8
)

// span is a range of bytes of a file.
type span struct{ off, n int64 }

func (s span) end() int64 { return s.off + s.n }

// extents are the parts of a file that one reading has fetched.
type extents struct {
	mu   sync.Mutex
	list []extent
}

type extent struct {
	off int64
	b   []byte
}

// find returns the bytes of s when one extent holds them all.
func (e *extents) find(s span) ([]byte, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, x := range e.list {
		if s.off >= x.off && s.end() <= x.off+int64(len(x.b)) {
			return x.b[s.off-x.off : s.end()-x.off : s.end()-x.off], true
		}
	}
	return nil, false
}

// fetch gets the spans that are not here, near ones with one request.
func (f *File) fetch(ctx context.Context, e *extents, spans []span) error {
	var missing []span
	for _, s := range spans {
		if s.n <= 0 || f.inTail(s) {
			continue
		}
		if _, ok := e.find(s); !ok {
			missing = append(missing, s)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	slices.SortFunc(missing, func(a, b span) int { return int(min(1, max(-1, a.off-b.off))) })
	joined := missing[:1:1]
	for _, s := range missing[1:] {
		last := &joined[len(joined)-1]
		if s.off <= last.end()+joinGap {
			last.n = max(last.end(), s.end()) - last.off
			continue
		}
		joined = append(joined, s)
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(fetchWorkers)
	for _, s := range joined {
		group.Go(func() error {
			b, obj, err := f.reader.store.GetRange(ctx, f.Object.Key, s.off, s.n)
			if errors.Is(err, objstore.ErrRange) || err == nil && obj.ETag != f.Object.ETag {
				return fmt.Errorf("%w: %q", ErrChanged, f.Object.Key)
			}
			if err != nil {
				return err
			}
			if int64(len(b)) != s.n {
				return corrupt(f.Object.Key, s.off, "%d bytes of %d", len(b), s.n)
			}
			e.mu.Lock()
			e.list = append(e.list, extent{s.off, b})
			e.mu.Unlock()
			return nil
		})
	}
	return group.Wait()
}

func (f *File) inTail(s span) bool {
	return s.off >= f.tailAt && s.end() <= f.tailAt+int64(len(f.tail))
}

// bytes returns the bytes of s, fetching them when they are not here.
func (f *File) bytes(ctx context.Context, e *extents, s span) ([]byte, error) {
	if f.inTail(s) {
		return f.tail[s.off-f.tailAt : s.end()-f.tailAt], nil
	}
	if b, ok := e.find(s); ok {
		return b, nil
	}
	if err := f.fetch(ctx, e, []span{s}); err != nil {
		return nil, err
	}
	b, _ := e.find(s)
	return b, nil
}
