package indicators

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Loader loads lists. It is safe for concurrent use, and reads one list at a time, so that
// what reading takes of memory is taken once.
type Loader struct {
	cache   string // folder of what was fetched
	client  *http.Client
	timeout time.Duration
	bytes   int64
	agent   string
	reading chan struct{}
}

// LoaderOptions is what a loader works with.
type LoaderOptions struct {
	Cache     string        // folder that keeps the last good copy of each URL
	Timeout   time.Duration // of a fetch as a whole
	MaxBytes  int64         // of what a URL sends
	UserAgent string
}

// NewLoader returns a loader. The cache folder is made when the first list is fetched.
func NewLoader(o LoaderOptions) *Loader {
	t := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // documented to be one
	t.ResponseHeaderTimeout = min(o.Timeout, 30*time.Second)
	t.DisableCompression = true // a list is stored as it was sent, and Content-Length is of that
	return &Loader{cache: o.Cache, client: &http.Client{Transport: t}, timeout: o.Timeout, bytes: o.MaxBytes, agent: o.UserAgent, reading: make(chan struct{}, 1)}
}

// Close lets go of idle connections.
func (l *Loader) Close() { l.client.CloseIdleConnections() }

// ErrNotModified says that a URL has nothing new.
var ErrNotModified = errors.New("not modified")

// Load reads a list with at most limit entries: of a file what it holds, of a URL what it sends. The copy of a URL that
// was fetched before is kept unless the new one is a list. With fresh, a URL whose server
// says that the copy is still right gives ErrNotModified.
func (l *Loader) Load(ctx context.Context, s *Source, limit int, fresh bool) (*List, error) {
	if s.URL == nil {
		return l.read(ctx, s.File, s.Kind, limit)
	}
	f, err := l.fetch(ctx, s.URL)
	if errors.Is(err, ErrNotModified) && !fresh {
		return l.Cached(ctx, s, limit)
	}
	if err != nil {
		return nil, err
	}
	list, err := l.read(ctx, f.tmp, s.Kind, limit)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.Where(), err), os.Remove(f.tmp))
	}
	return list, f.keep()
}

// Cached reads the copy of a URL that was fetched before; fs.ErrNotExist when there is none.
func (l *Loader) Cached(ctx context.Context, s *Source, limit int) (*List, error) {
	path := l.path(s.URL)
	list, err := l.read(ctx, path, s.Kind, limit)
	if err != nil && !errors.Is(err, fs.ErrNotExist) && ctx.Err() == nil {
		// A copy that cannot be read must not keep the server saying that it is still right.
		err = errors.Join(fmt.Errorf("copy of %s: %w", s.Where(), err), removeIfThere(path+metaSuffix))
	}
	return list, err
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (l *Loader) read(ctx context.Context, path string, kind Kind, limit int) (*List, error) {
	select {
	case l.reading <- struct{}{}:
		defer func() { <-l.reading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	return readFile(ctx, filepath.Clean(path), kind, limit)
}
