package query

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/expr/exprtest"
	"wirelake/internal/spi"
)

// slow is an engine whose searches end only with their context, and whose exports never do.
type slow struct {
	reference
	begun chan struct{}
}

func (s *slow) Search(ctx context.Context, _ *Search) (*Result, error) {
	s.begun <- struct{}{}
	<-ctx.Done()
	return nil, ctx.Err()
}

func (s *slow) Each(ctx context.Context, _ *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for _, d := range s.docs {
			if !yield(d, nil) {
				return
			}
		}
		s.begun <- struct{}{}
		<-ctx.Done()
		yield(nil, ctx.Err())
	}
}

func serveSlow(t *testing.T, change func(*Config)) (*httptest.Server, *slow) {
	t.Helper()
	reg := exprtest.Registry()
	engine := &slow{reference{reg, exprtest.Documents(reg, 300)}, make(chan struct{}, 10)}
	cfg := DefaultConfig()
	change(&cfg)
	api := &API{Config: cfg, Registry: reg, Engine: engine, Metrics: prometheus.NewRegistry()}
	h, err := api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s, engine
}

func TestSearchTimesOut(t *testing.T) {
	s, _ := serveSlow(t, func(c *Config) { c.Timeout = 100 * time.Millisecond })
	if a := getJSON(t, s.URL+"/api/sessions?date=-1", http.StatusGatewayTimeout); a.Error == "" {
		t.Error("no error text")
	}
}

// TestClientLeaves holds that a search ends when its client does.
func TestClientLeaves(t *testing.T) {
	s, engine := serveSlow(t, func(*Config) {})
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL+"/api/sessions?date=-1", nil)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		ended <- err
	}()
	<-engine.begun
	cancel()
	if err := <-ended; err == nil {
		t.Error("the request was answered")
	}
	closed := make(chan struct{})
	go func() { s.Close(); close(closed) }() // waits for the handlers
	select {
	case <-closed:
	case <-time.After(10 * time.Second):
		t.Error("the search went on without its client")
	}
}

// TestDownloadsDoNotBlockSearches holds an export open in the only place there is for one, and searches.
func TestDownloadsDoNotBlockSearches(t *testing.T) {
	s, engine := serveSlow(t, func(c *Config) { c.Concurrent, c.Timeout = 1, 300*time.Millisecond })
	// Compressed, all of it would fit into a buffer and wait there.
	plain := http.Client{Transport: &http.Transport{DisableCompression: true}}
	resp, err := plain.Get(s.URL + "/api/sessions.csv?date=-1")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	<-engine.begun
	// It runs, and into its own time limit, rather than being refused for want of a place.
	getJSON(t, s.URL+"/api/sessions?date=-1", http.StatusGatewayTimeout)
}

// TestExportBreaksOff holds that an export which fails on the way does not look whole.
func TestExportBreaksOff(t *testing.T) {
	reg := exprtest.Registry()
	engine := &halfway{reference{reg, exprtest.Documents(reg, 3000)}}
	s := newAPI(t, engine)
	resp, err := http.Get(s.URL + "/api/sessions.csv?date=-1&fields=id,source.ip,destination.ip,http.uri")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("%d bytes came to a proper end", len(b))
	}
}

// halfway is an engine that fails after its last document.
type halfway struct{ reference }

func (h *halfway) Each(context.Context, *Search) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for _, d := range h.docs {
			if !yield(d, nil) {
				return
			}
		}
		yield(nil, ErrUnavailable)
	}
}
