package telemetry

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry with the metrics of the process, of the Go
// runtime, and wirelake_build_info.
func NewRegistry(b Build) *prometheus.Registry {
	reg := prometheus.NewRegistry()
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "wirelake_build_info",
		Help:        "Which program this is, in its labels; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": b.Version, "commit": b.Commit, "go": b.Go},
	}, func() float64 { return 1 })
	reg.MustRegister( // cannot fail: the registry is new and the names differ
		info,
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	return reg
}

// MetricsHandler serves the registry for Prometheus to scrape.
func MetricsHandler(reg *prometheus.Registry, log *slog.Logger) http.Handler {
	opts := promhttp.HandlerOpts{Registry: reg, EnableOpenMetrics: true}
	if log != nil {
		opts.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelError)
	}
	return promhttp.HandlerFor(reg, opts)
}

// checkTimeout bounds one readiness check, which stands for something that a
// request would wait on as well.
const checkTimeout = 5 * time.Second

// Health answers whether a service lives and whether it can work. The zero value
// is alive and ready.
type Health struct {
	mu     sync.Mutex
	names  []string
	checks []func(context.Context) error
}

// AddCheck makes readiness depend on check, which returns nil when what name
// stands for ("object store") can be used.
func (h *Health) AddCheck(name string, check func(context.Context) error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = append(h.names, name)
	h.checks = append(h.checks, check)
}

// LiveHandler serves /healthz: 200 as long as the process answers at all. It
// asks nothing else, for restarting the service would mend nothing else.
func (h *Health) LiveHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ok"})
	})
}

// ReadyHandler serves /readyz: 200 when every check passes, else 503, with the
// result of each: {"status":"unavailable","checks":{"object store":"…"}}.
func (h *Health) ReadyHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		results, err := h.run(r.Context())
		if err != nil {
			writeJSON(w, http.StatusServiceUnavailable, map[string]any{"status": "unavailable", "checks": results})
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "checks": results})
	})
}

// run asks all checks at once.
func (h *Health) run(ctx context.Context) (map[string]string, error) {
	h.mu.Lock()
	names, checks := h.names, h.checks
	h.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, check := range checks {
		wg.Go(func() { errs[i] = check(ctx) })
	}
	wg.Wait()
	results := make(map[string]string, len(names))
	for i, name := range names {
		results[name] = "ok"
		if errs[i] != nil {
			results[name] = errs[i].Error()
		}
	}
	return results, errors.Join(errs...)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	// The client may be gone, which is nobody's error.
	_ = json.NewEncoder(w).Encode(v) //nolint:errchkjson // maps of strings always encode
}

// Handle adds /metrics, /healthz and /readyz to mux.
func Handle(mux interface{ Handle(string, http.Handler) }, reg *prometheus.Registry, h *Health, log *slog.Logger) {
	mux.Handle("/metrics", MetricsHandler(reg, log))
	mux.Handle("/healthz", h.LiveHandler())
	mux.Handle("/readyz", h.ReadyHandler())
}
