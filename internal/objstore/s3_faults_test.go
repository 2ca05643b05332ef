package objstore_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
	"wirelake/testenv"
)

// throughProxy returns the bucket behind a proxy, and options that count repeats.
func throughProxy(t *testing.T) (*testenv.FaultyProxy, *testenv.S3, objstore.Options, *storetest.Repeats) {
	t.Helper()
	bucket := s3Bucket(t)
	proxy := testenv.Proxy(t, bucket.Addr())
	repeats := &storetest.Repeats{}
	opts := testOptions()
	opts.Logger = slog.New(repeats)
	return proxy, bucket.Via(proxy.Addr()), opts, repeats
}

func wantRepeats(t *testing.T, repeats *storetest.Repeats) {
	t.Helper()
	if n := repeats.Lines(); n == 0 {
		t.Error("nothing was repeated: the faults did not hit")
	} else {
		t.Logf("%d requests repeated", n)
	}
}

func TestS3StoreWithLatency(t *testing.T) {
	proxy, bucket, opts, _ := throughProxy(t)
	proxy.Latency(10*time.Millisecond, 8*time.Millisecond)
	storetest.Run(t, opener(bucket, opts))
}

func TestS3StoreWithResets(t *testing.T) {
	proxy, bucket, opts, repeats := throughProxy(t)
	// The proxy resets a connection at its next answer. In between are times in
	// which a request comes through.
	done, finished := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(finished)
		for {
			proxy.Reset(0)
			time.Sleep(15 * time.Millisecond)
			proxy.Clear()
			select {
			case <-done:
				return
			case <-time.After(repeats.Pause(80 * time.Millisecond)):
			}
		}
	}()
	storetest.Run(t, opener(bucket, opts))
	close(done)
	<-finished
	wantRepeats(t, repeats)
}

func TestS3StoreWithTruncatedAnswers(t *testing.T) {
	proxy, bucket, opts, repeats := throughProxy(t)
	proxy.Truncate(100_000)
	storetest.Run(t, opener(bucket, opts))
	wantRepeats(t, repeats)
}

// TestS3StoreLargeWithFaults moves the large objects over connections that break
// after some MiB in either direction.
func TestS3StoreLargeWithFaults(t *testing.T) {
	proxy, bucket, opts, repeats := throughProxy(t)
	proxy.Latency(2*time.Millisecond, time.Millisecond)
	proxy.TruncateRequests(31_000_000)
	proxy.Truncate(17_000_000)
	// The proxy runs in this process, and holds what is under way.
	storetest.RunLarge(t, 1<<30, opener(bucket, opts))
	wantRepeats(t, repeats)
}

// TestS3OutageIsOutlasted takes the server away for two seconds.
func TestS3OutageIsOutlasted(t *testing.T) {
	proxy, bucket, opts, repeats := throughProxy(t)
	s := opener(bucket, opts)(t)
	proxy.Down()
	time.AfterFunc(2*time.Second, proxy.Up)
	if _, err := objstore.PutBytes(t.Context(), s, "through/an/outage", []byte("x"), objstore.IfAbsent()); err != nil {
		t.Fatal(err)
	}
	wantRepeats(t, repeats)
}

// TestS3Silence has a server that takes requests and never answers.
func TestS3Silence(t *testing.T) {
	proxy, bucket, opts, repeats := throughProxy(t)
	opts.Timeout, opts.MaxAttempts = time.Second, 3
	s := opener(bucket, opts)(t)
	before := repeats.Lines() // a busy machine is silent, too
	proxy.Hang(0)
	start := time.Now()
	_, err := s.Head(t.Context(), "key/asked/for")
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() || !strings.Contains(err.Error(), "key/asked/for") {
		t.Errorf("head: got %v, want a timeout that names the key", err)
	}
	if took := time.Since(start); took < 3*opts.Timeout {
		t.Errorf("gave up after %v", took)
	}
	if got := repeats.Lines() - before; got != 2 {
		t.Errorf("%d repeats, want 2", got)
	}
	// The caller's deadline counts, not the attempts.
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := s.Head(ctx, "key"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("head with a deadline: %v", err)
	}
}

// TestS3SlowIsNotSilent moves bytes for longer than the timeout.
func TestS3SlowIsNotSilent(t *testing.T) {
	proxy, bucket, opts, repeats := throughProxy(t)
	opts.Timeout = 3 * time.Second // longer than a busy machine lets nothing move
	s := opener(bucket, opts)(t)
	content := storetest.Bytes(9, 600<<10)
	if _, err := objstore.PutBytes(t.Context(), s, "slow", content); err != nil {
		t.Fatal(err)
	}
	proxy.Bandwidth(150)
	start := time.Now()
	got, _, err := objstore.GetAll(t.Context(), s, "slow")
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
	if took := time.Since(start); took < opts.Timeout {
		t.Errorf("took %v: the bandwidth was not limited", took)
	}
	if n := repeats.Lines(); n != 0 {
		t.Errorf("%d repeats", n)
	}
}

// meddler is a reverse proxy in front of MinIO that can lose answers and damage
// bodies, which needs HTTP to be understood.
type meddler struct {
	proxy *httputil.ReverseProxy
	// lose tells to drop the connection instead of the answer, which MinIO has given.
	lose func(r *http.Request) bool
	// damage flips a byte of the request's body.
	damage func(r *http.Request) bool
	// damageAnswer flips a byte of the answer's body.
	damageAnswer func(r *http.Request) bool
	lost         atomic.Int64
	damaged      atomic.Int64
}

func never(*http.Request) bool { return false }

func newMeddler(t *testing.T) (*meddler, func(t *testing.T) objstore.Store) {
	t.Helper()
	bucket := s3Bucket(t)
	target, err := url.Parse(bucket.Endpoint)
	if err != nil {
		t.Fatal(err)
	}
	m := &meddler{lose: never, damage: never, damageAnswer: never}
	m.proxy = &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // it is signed
		},
		ModifyResponse: func(r *http.Response) error {
			if m.damageAnswer(r.Request) {
				m.damaged.Add(1)
				r.Body = &flipped{ReadCloser: r.Body}
			}
			return nil
		},
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	return m, opener(bucket.Via(strings.TrimPrefix(server.URL, "http://")), testOptions())
}

func (m *meddler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if m.damage(r) {
		m.damaged.Add(1)
		r.Body = &flipped{ReadCloser: r.Body}
	}
	if m.lose(r) {
		m.lost.Add(1)
		m.proxy.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	m.proxy.ServeHTTP(w, r)
}

// flipped flips a bit of the first byte that is read.
type flipped struct {
	io.ReadCloser
	done bool
}

func (f *flipped) Read(p []byte) (int, error) {
	n, err := f.ReadCloser.Read(p)
	if n > 0 && !f.done {
		p[0] ^= 1
		f.done = true
	}
	return n, err
}

// once is true for the first request that match is true for.
func once(match func(r *http.Request) bool) func(r *http.Request) bool {
	var done atomic.Bool
	return func(r *http.Request) bool { return match(r) && done.CompareAndSwap(false, true) }
}

func method(name string) func(r *http.Request) bool {
	return func(r *http.Request) bool { return r.Method == name }
}

// isComplete is a CompleteMultipartUpload.
func isComplete(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
}

// TestS3LostAnswers loses the answer to a write that MinIO has made, so that the
// repeat meets the object of the first attempt.
func TestS3LostAnswers(t *testing.T) {
	m, open := newMeddler(t)
	s := open(t)
	small, large := []byte("small"), storetest.Bytes(10, 20<<20)
	current := func(key string) string {
		o, err := s.Head(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return o.ETag
	}
	for _, c := range []struct {
		name    string
		lose    func(r *http.Request) bool
		content []byte
		opts    func() []objstore.PutOption
	}{
		{"put", method(http.MethodPut), small, func() []objstore.PutOption { return nil }},
		{"put if absent", method(http.MethodPut), small, func() []objstore.PutOption { return []objstore.PutOption{objstore.IfAbsent()} }},
		{"put if match", method(http.MethodPut), small, func() []objstore.PutOption {
			return []objstore.PutOption{objstore.IfMatch(current("put if match"))}
		}},
		{"multipart", isComplete, large, func() []objstore.PutOption { return nil }},
		{"multipart if absent", isComplete, large, func() []objstore.PutOption { return []objstore.PutOption{objstore.IfAbsent()} }},
		{"multipart if match", isComplete, large, func() []objstore.PutOption {
			return []objstore.PutOption{objstore.IfMatch(current("multipart if match"))}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if strings.HasSuffix(c.name, "if match") {
				if _, err := objstore.PutBytes(t.Context(), s, c.name, []byte("before")); err != nil {
					t.Fatal(err)
				}
			}
			opts := c.opts()
			m.lose = once(c.lose)
			m.lost.Store(0)
			o, err := objstore.PutBytes(t.Context(), s, c.name, c.content, opts...)
			m.lose = never
			if err != nil {
				t.Fatalf("the write that was made is reported as %v", err)
			}
			if m.lost.Load() != 1 {
				t.Fatalf("%d answers were lost, want 1", m.lost.Load())
			}
			got, read, err := objstore.GetAll(t.Context(), s, c.name)
			if err != nil || !bytes.Equal(got, c.content) || read.ETag != o.ETag {
				t.Errorf("got %d bytes, %+v, %v; put returned %+v", len(got), read, err, o)
			}
			// Of somebody else, it still counts as lost.
			for _, opt := range opts {
				_, err := objstore.PutBytes(t.Context(), s, c.name, c.content, opt)
				if !errors.Is(err, objstore.ErrExists) && !errors.Is(err, objstore.ErrMismatch) {
					t.Errorf("the next writer gets %v", err)
				}
			}
		})
	}
	if t.Failed() {
		return
	}
	// Deletes are repeated without more ado.
	m.lose = once(method(http.MethodDelete))
	if err := s.Delete(t.Context(), "put"); err != nil {
		t.Error(err)
	}
}

// TestS3DamagedUpload flips a byte on the way there: MinIO finds it by the
// checksum, and the repeat mends it.
func TestS3DamagedUpload(t *testing.T) {
	m, open := newMeddler(t)
	s := open(t)
	for name, content := range map[string][]byte{"single": []byte("content"), "multipart": storetest.Bytes(11, 20<<20)} {
		m.damage = once(method(http.MethodPut))
		m.damaged.Store(0)
		if _, err := objstore.PutBytes(t.Context(), s, name, content); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if m.damaged.Load() != 1 {
			t.Errorf("%s: %d requests were damaged, want 1", name, m.damaged.Load())
		}
		if got, _, err := objstore.GetAll(t.Context(), s, name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
	// For good: an error, and nothing stored.
	m.damage = method(http.MethodPut)
	if _, err := objstore.PutBytes(t.Context(), s, "always", []byte("content")); err == nil || !strings.Contains(err.Error(), "always") {
		t.Errorf("put of what is damaged each time: %v", err)
	}
	m.damage = never
	if _, err := s.Head(t.Context(), "always"); !errors.Is(err, objstore.ErrNotFound) {
		t.Errorf("head: %v", err)
	}
}

// TestS3DamagedDownload flips a byte on the way back.
func TestS3DamagedDownload(t *testing.T) {
	m, open := newMeddler(t)
	s := open(t)
	for name, content := range map[string][]byte{"single": []byte("content"), "multipart": storetest.Bytes(12, 20<<20)} {
		if _, err := objstore.PutBytes(t.Context(), s, name, content); err != nil {
			t.Fatal(err)
		}
		m.damageAnswer = once(method(http.MethodGet))
		_, _, err := objstore.GetAll(t.Context(), s, name)
		if err == nil || !strings.Contains(err.Error(), "CRC32C") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: damaged on the way, read with %v", name, err)
		}
		if got, _, err := objstore.GetAll(t.Context(), s, name); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: read again: %v", name, err)
		}
	}
}
