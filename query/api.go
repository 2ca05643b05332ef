package query

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/klauspost/compress/gzhttp"
	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/objstore"
	"wirelake/internal/spi"
	"wirelake/internal/telemetry"
)

// API serves Arkime's HTTP API and the GUI.
type API struct {
	Config   Config
	Registry *spi.Registry
	Engine   Engine
	Packets  Packets              // nil: requests for packets are answered with 503
	Store    objstore.Store       // holds the status of the sensors; nil: requests for it are answered with 503
	GUI      http.Handler         // serves /, nil for none
	Health   *telemetry.Health    // serves /healthz and /readyz
	Metrics  *prometheus.Registry // serves /metrics, and takes the API's own
	Log      *slog.Logger

	metrics apiMetrics
	now     func() time.Time
}

// Handler returns the handler of all paths. It is called once.
func (a *API) Handler() (http.Handler, error) {
	if a.Log == nil {
		a.Log = slog.New(slog.DiscardHandler)
	}
	if a.now == nil {
		a.now = time.Now
	}
	if a.Metrics == nil {
		a.Metrics = prometheus.NewRegistry()
	}
	if a.Health == nil {
		a.Health = &telemetry.Health{}
	}
	a.metrics = newAPIMetrics(a.Metrics)
	// Captures do not shrink, and must reach the client range by range.
	compress, err := gzhttp.NewWrapper(gzhttp.ContentTypes([]string{"application/json", "text/csv", "text/html", "text/plain", "text/javascript", "application/javascript", "text/css", "image/svg+xml"}))
	if err != nil {
		return nil, err
	}
	r := chi.NewRouter()
	r.Use(a.recordRequest, a.recoverPanic, a.checkHost, func(h http.Handler) http.Handler { return compress(h) })
	telemetry.Handle(r, a.Metrics, a.Health, a.Log)

	both := func(path string, h http.HandlerFunc) {
		r.Get(path, h)
		r.Post(path, h)
	}
	// Apart, so that slow downloads do not keep searches waiting.
	search := a.bounded(make(chan struct{}, a.Config.Concurrent), a.Config.Timeout)
	export := a.bounded(make(chan struct{}, a.Config.Concurrent), 0)
	both("/api/sessions", search(a.sessions))
	both("/sessions.json", search(a.sessions))
	both("/api/sessions.csv", export(a.sessionsCSV))
	both("/api/sessions/csv", export(a.sessionsCSV))
	both("/api/sessions/csv/*", export(a.sessionsCSV))
	both("/sessions.csv", export(a.sessionsCSV))
	for _, format := range []Format{PCAP, PCAPNG} {
		h := export(a.sessionsCapture(format))
		both("/api/sessions."+string(format), h)
		both("/api/sessions/"+string(format), h)
		both("/api/sessions/"+string(format)+"/*", h)
		both("/sessions."+string(format), h)
		both("/sessions."+string(format)+"/*", h)
		one, entire := export(a.sessionCapture(format, false)), export(a.sessionCapture(format, true))
		r.Get("/api/session/{node}/{id}/"+string(format), one)
		r.Get("/api/session/entire/{node}/{id}/"+string(format), entire)
		r.Get("/api/session/entire/{node}/{id:[^.]+}."+string(format), entire)
		r.Get("/api/session/{node}/{id:[^.]+}."+string(format), one)
	}
	r.Get("/api/session/{node}/{id}/packets", export(a.packets))
	r.Get("/api/session/{node}/{id}/detail", search(a.session))
	r.Get("/api/session/{node}/{id}", search(a.session))
	r.Get("/api/session/{id}", search(a.session))
	both("/api/spigraph", search(a.spigraph))
	r.Get("/api/fields", a.fields)
	r.Get("/api/v1/sensors", search(a.sensors))
	r.Get("/link", a.link)
	// What is below /api and not known must not get the GUI's page for JSON.
	r.HandleFunc("/api", a.unknown)
	r.HandleFunc("/api/*", a.unknown)
	if a.GUI != nil {
		r.Handle("/*", a.GUI)
	}
	return r, nil
}

func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, &httpError{status: http.StatusNotFound, text: "there is no " + r.Method + " " + r.URL.Path + " in this API"})
}

// handler answers a request, or returns the error to answer with.
type handler func(w http.ResponseWriter, r *http.Request, p *params) error

// bounded limits how many handlers run at once, to the capacity of slots, and for how long each (0: as long as the
// client reads).
func (a *API) bounded(slots chan struct{}, timeout time.Duration) func(handler) http.HandlerFunc {
	return func(h handler) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			p, err := readParams(w, r)
			if err != nil {
				a.fail(w, r, err)
				return
			}
			ctx := r.Context()
			if timeout > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, timeout)
				defer cancel()
			}
			if !acquire(ctx, slots) {
				w.Header().Set("Retry-After", "5")
				a.fail(w, r, &httpError{status: http.StatusServiceUnavailable, text: "too many requests are under way, try again"})
				return
			}
			defer func() { <-slots }()
			if err := h(w, r.WithContext(ctx), p); err != nil {
				a.fail(w, r.WithContext(ctx), err)
			}
		}
	}
}

// slotWait is how long a request waits for another to end before it is refused.
const slotWait = 10 * time.Second

func acquire(ctx context.Context, slots chan<- struct{}) bool {
	wait := time.NewTimer(slotWait)
	defer wait.Stop()
	select {
	case slots <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-wait.C:
	}
	return false
}
