package indicators

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// metaSuffix ends the name of the file with what the server said of a copy.
const metaSuffix = ".json"

// meta is what a server said of a copy, to ask it whether there is anything newer (RFC 9110 section 13).
type meta struct {
	URL          string `json:"url"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
	Size         int64  `json:"size"` // of the copy: another one is not what the server spoke of
}

// StatusError is an answer that is no list.
type StatusError struct {
	Status     int
	RetryAfter time.Duration // 0 when the server does not say
}

func (e *StatusError) Error() string {
	return fmt.Sprintf("the server answers %d %s", e.Status, http.StatusText(e.Status))
}

// path is where the copy of a URL is.
func (l *Loader) path(u *url.URL) string {
	sum := sha256.Sum256([]byte(u.String()))
	return filepath.Join(l.cache, hex.EncodeToString(sum[:16])+".list")
}

// fetched is what a URL sent, not yet in the place of the older copy.
type fetched struct {
	tmp, path string
	meta      meta
}

// fetch gets what a URL sends into a temporary file; ErrNotModified when it is the copy that is there.
func (l *Loader) fetch(ctx context.Context, u *url.URL) (_ *fetched, err error) {
	defer func() {
		// The URL of the request stands in many errors, its password with it.
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		if err != nil && !errors.Is(err, ErrNotModified) {
			err = fmt.Errorf("%s: %w", u.Redacted(), err)
		}
	}()
	f := &fetched{path: l.path(u)}
	if err := os.MkdirAll(l.cache, 0o750); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, l.timeout, fmt.Errorf("nothing whole within %v", l.timeout))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", l.agent)
	if old, ok := readMeta(f.path); ok && old.URL == u.Redacted() {
		if old.ETag != "" {
			req.Header.Set("If-None-Match", old.ETag)
		}
		if old.LastModified != "" {
			req.Header.Set("If-Modified-Since", old.LastModified)
		}
	}
	res, err := l.client.Do(req)
	if err != nil {
		return nil, causeOf(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // it was only read
	switch {
	case res.StatusCode == http.StatusNotModified && (req.Header.Get("If-None-Match") != "" || req.Header.Get("If-Modified-Since") != ""):
		return nil, ErrNotModified
	case res.StatusCode != http.StatusOK:
		return nil, &StatusError{res.StatusCode, retryAfter(res.Header)}
	case res.ContentLength > l.bytes:
		return nil, fmt.Errorf("%d bytes are more than the %d allowed", res.ContentLength, l.bytes)
	}
	f.meta = meta{URL: u.Redacted(), ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified")}
	if err := f.store(res.Body, l.bytes); err != nil {
		return nil, causeOf(ctx, err)
	}
	return f, nil
}

// causeOf returns why ctx ended, when it did, in place of what came of that.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// store writes the body to the temporary file.
func (f *fetched) store(body io.Reader, limit int64) (err error) {
	out, err := os.CreateTemp(filepath.Dir(f.path), "fetch-*.tmp")
	if err != nil {
		return err
	}
	f.tmp = out.Name()
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.tmp))
		}
	}()
	// net/http reports a body that ends before its Content-Length as an error.
	if f.meta.Size, err = io.Copy(out, io.LimitReader(body, limit+1)); err == nil && f.meta.Size > limit {
		err = fmt.Errorf("more than the %d bytes allowed", limit)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// keep puts what was fetched in the place of the older copy. What the server said goes first and comes last: cut short in
// between, the next fetch is of the whole.
func (f *fetched) keep() error {
	err := removeIfThere(f.path + metaSuffix)
	if err == nil {
		err = os.Rename(f.tmp, f.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep a copy: %w", err), removeIfThere(f.tmp))
	}
	b, err := json.Marshal(f.meta)
	if err != nil {
		return err
	}
	if err := os.WriteFile(f.path+metaSuffix+".tmp", b, 0o600); err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	if err := os.Rename(f.path+metaSuffix+".tmp", f.path+metaSuffix); err != nil {
		return fmt.Errorf("keep a copy: %w", err)
	}
	return nil
}

// readMeta returns what the server said of the copy at path, if that copy is there.
func readMeta(path string) (m meta, ok bool) {
	b, err := os.ReadFile(filepath.Clean(path + metaSuffix))
	if err != nil || json.Unmarshal(b, &m) != nil {
		return m, false // then the whole is fetched
	}
	stamp, err := StampOf(path)
	return m, err == nil && stamp.Size == m.Size
}

// maxRetryAfter bounds how long a server may put us off.
const maxRetryAfter = 24 * time.Hour

// retryAfter reads the header in seconds; as a date it is passed over.
func retryAfter(h http.Header) time.Duration {
	n, err := strconv.ParseUint(h.Get("Retry-After"), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(n)*time.Second, maxRetryAfter)
}
