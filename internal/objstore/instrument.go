package objstore

import (
	"context"
	"errors"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Counter adds up what the requests made with its context have read, to tell of
// one search or export what it cost. Only instrumented stores count.
type Counter struct {
	Gets  atomic.Int64 // Get and GetRange
	Heads atomic.Int64
	Lists atomic.Int64 // List and ListPrefixes, however many pages each has
	Bytes atomic.Int64 // of objects, as they were read

	parent *Counter
}

type counterKey struct{}

// WithCounter returns a context whose requests are counted in c, and in the
// counters that ctx has already. A Counter is used in one WithCounter only.
func WithCounter(ctx context.Context, c *Counter) context.Context {
	c.parent, _ = ctx.Value(counterKey{}).(*Counter)
	return context.WithValue(ctx, counterKey{}, c)
}

// eachCounter calls add with every counter of the context.
func eachCounter(ctx context.Context, add func(*Counter)) {
	c, _ := ctx.Value(counterKey{}).(*Counter)
	for ; c != nil; c = c.parent {
		add(c)
	}
}

// Instrument returns s with its requests measured in reg under the component's
// name ("sensor", "query"), and counted in the Counter of their context. Any
// number of stores may share a registry; a nil one measures nothing.
func Instrument(s Store, reg prometheus.Registerer, component string) Store {
	m := &measured{Store: s}
	labels := []string{"component", "op"}
	m.requests = register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wirelake_objstore_requests_total",
		Help: "Requests to the object store by operation and result (ok, not_found, exists, mismatch, canceled, error).",
	}, append(labels, "result"))).MustCurryWith(prometheus.Labels{"component": component})
	m.seconds = register(reg, prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "wirelake_objstore_request_seconds",
		Help:    "Time that requests to the object store took, repeats included; for get until the reader is closed.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 12),
	}, labels)).MustCurryWith(prometheus.Labels{"component": component})
	m.bytes = register(reg, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "wirelake_objstore_bytes_total",
		Help: "Bytes of objects read (get, get_range) and written (put).",
	}, labels)).MustCurryWith(prometheus.Labels{"component": component})
	return m
}

// register returns the collector that reg has under the same name, or c.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	err := reg.Register(c)
	var known prometheus.AlreadyRegisteredError
	if errors.As(err, &known) {
		if same, ok := known.ExistingCollector.(C); ok {
			return same
		}
	}
	return c
}

// unwrap returns the store that Instrument was given, s itself when it was none.
func unwrap(s Store) Store {
	if m, ok := s.(*measured); ok {
		return m.Store
	}
	return s
}

// measured is a Store that counts. Its methods return what the store's do.
type measured struct {
	Store

	requests *prometheus.CounterVec
	seconds  prometheus.ObserverVec
	bytes    *prometheus.CounterVec
}

func (m *measured) done(op string, start time.Time, bytes int64, err error) {
	m.requests.WithLabelValues(op, result(err)).Inc()
	m.seconds.WithLabelValues(op).Observe(time.Since(start).Seconds())
	if bytes > 0 {
		m.bytes.WithLabelValues(op).Add(float64(bytes))
	}
}

func result(err error) string {
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	case errors.Is(err, ErrExists):
		return "exists"
	case errors.Is(err, ErrMismatch):
		return "mismatch"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "error"
}

func (m *measured) Get(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	start := time.Now()
	eachCounter(ctx, func(c *Counter) { c.Gets.Add(1) })
	r, o, err := m.Store.Get(ctx, key)
	if err != nil {
		m.done("get", start, 0, err)
		return nil, o, err
	}
	return &measuredBody{ReadCloser: r, ctx: ctx, m: m, start: start}, o, nil
}

// measuredBody counts the bytes of a Get as they are read.
type measuredBody struct {
	io.ReadCloser
	ctx    context.Context
	m      *measured
	start  time.Time
	n      int64
	err    error
	closed bool
}

func (b *measuredBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	eachCounter(b.ctx, func(c *Counter) { c.Bytes.Add(int64(n)) })
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

func (b *measuredBody) Close() error {
	err := b.ReadCloser.Close()
	if !b.closed {
		b.closed = true
		b.m.done("get", b.start, b.n, errors.Join(b.err, err))
	}
	return err
}

func (m *measured) GetRange(ctx context.Context, key string, off, n int64) ([]byte, Object, error) {
	start := time.Now()
	b, o, err := m.Store.GetRange(ctx, key, off, n)
	m.done("get_range", start, int64(len(b)), err)
	eachCounter(ctx, func(c *Counter) {
		c.Gets.Add(1)
		c.Bytes.Add(int64(len(b)))
	})
	return b, o, err
}

func (m *measured) Put(ctx context.Context, key string, r io.Reader, size int64, opts ...PutOption) (Object, error) {
	start := time.Now()
	o, err := m.Store.Put(ctx, key, r, size, opts...)
	m.done("put", start, o.Size, err)
	return o, err
}

func (m *measured) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		start := time.Now()
		eachCounter(ctx, func(c *Counter) { c.Lists.Add(1) })
		var last error
		for o, err := range m.Store.List(ctx, prefix, startAfter) {
			last = err
			if !yield(o, err) {
				break
			}
		}
		m.done("list", start, 0, last)
	}
}

func (m *measured) ListPrefixes(ctx context.Context, prefix, delim string) ([]string, error) {
	start := time.Now()
	eachCounter(ctx, func(c *Counter) { c.Lists.Add(1) })
	list, err := m.Store.ListPrefixes(ctx, prefix, delim)
	m.done("list_prefixes", start, 0, err)
	return list, err
}

func (m *measured) Head(ctx context.Context, key string) (Object, error) {
	start := time.Now()
	eachCounter(ctx, func(c *Counter) { c.Heads.Add(1) })
	o, err := m.Store.Head(ctx, key)
	m.done("head", start, 0, err)
	return o, err
}

func (m *measured) Delete(ctx context.Context, key string) error {
	start := time.Now()
	err := m.Store.Delete(ctx, key)
	m.done("delete", start, 0, err)
	return err
}
