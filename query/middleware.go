package query

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
)

type apiMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	bytes    prometheus.Counter
}

func newAPIMetrics(reg prometheus.Registerer) apiMetrics {
	m := apiMetrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "wirelake", Subsystem: "query", Name: "requests_total",
			Help: "HTTP requests answered, by route and status."}, []string{"route", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "wirelake", Subsystem: "query", Name: "request_seconds",
			Help: "Time of HTTP requests by route.", Buckets: prometheus.ExponentialBuckets(0.002, 3, 11)}, []string{"route"}),
		bytes: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "wirelake", Subsystem: "query", Name: "response_bytes_total",
			Help: "Bytes of the bodies of HTTP answers, as sent."}),
	}
	reg.MustRegister(m.requests, m.seconds, m.bytes)
	return m
}

// recordRequest writes a line of the access log and counts, for each request.
func (a *API) recordRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		// A client that does not read its answer must not hold a place for good; downloads move this on as they go.
		// Writers without deadlines (in tests) need none.
		_ = http.NewResponseController(w).SetWriteDeadline(began.Add(slotWait + a.Config.Timeout + stallAfter))
		rec := middleware.NewWrapResponseWriter(w, r.ProtoMajor)
		defer func() {
			status := rec.Status()
			if status == 0 {
				status = http.StatusOK
			}
			route := "gui"
			if p := chi.RouteContext(r.Context()).RoutePattern(); p != "" && p != "/*" {
				route = p
			}
			took := time.Since(began)
			a.metrics.requests.WithLabelValues(route, strconv.Itoa(status)).Inc()
			a.metrics.seconds.WithLabelValues(route).Observe(took.Seconds())
			a.metrics.bytes.Add(float64(rec.BytesWritten()))
			a.Log.InfoContext(r.Context(), "request", "method", r.Method, "path", r.URL.Path, "query", shortened(r.URL.RawQuery),
				"status", status, "bytes", rec.BytesWritten(), "took", took, "remote", r.RemoteAddr)
		}()
		next.ServeHTTP(rec, r)
	})
}

// recoverPanic turns a panic into a 500 that is logged with its stack; the process lives.
func (a *API) recoverPanic(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
				panic(v) // ends the connection, as meant
			}
			a.Log.ErrorContext(r.Context(), "request panicked", "path", r.URL.Path, "query", shortened(r.URL.RawQuery), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			a.writeJSON(w, r, http.StatusInternalServerError, errorBody{Error: "internal error, see the log", Data: []int{}})
		}()
		next.ServeHTTP(w, r)
	})
}

// checkHost refuses requests addressed to other names than the configured: a web page whose name was made to
// resolve to 127.0.0.1 (DNS rebinding) must not read packets through the browser that shows it.
func (a *API) checkHost(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.allowedHost(r.Host) {
			a.fail(w, r, &httpError{http.StatusForbidden, "requests to the host " + r.Host + " are refused; add it to query.hosts to allow them"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *API) allowedHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" || host == "" {
		return true
	}
	return slices.ContainsFunc(a.Config.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// download is the writer of an export. Nothing is sent before the first byte, so that an error before it is still
// answered as one; and the client has to read, or the connection is closed.
type download struct {
	w           http.ResponseWriter
	control     *http.ResponseController
	contentType string
	filename    string
	started     bool
	hold        int    // so many bytes are held back before the first goes out
	held        []byte // what is held back
}

// stallAfter is how long a client of an export may read nothing.
const stallAfter = time.Minute

func newDownload(w http.ResponseWriter, contentType, filename string) *download {
	return &download{w: w, control: http.NewResponseController(w), contentType: contentType, filename: filename}
}

// start sends the header.
func (d *download) start() {
	if d.started {
		return
	}
	d.started = true
	h := d.w.Header()
	h.Set("Content-Type", d.contentType)
	h.Set("Content-Disposition", `attachment; filename="`+d.filename+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	d.w.WriteHeader(http.StatusOK)
}

// Write implements [io.Writer].
func (d *download) Write(b []byte) (int, error) {
	if !d.started && len(d.held)+len(b) < d.hold {
		d.held = append(d.held, b...)
		return len(b), nil
	}
	if err := d.release(); err != nil {
		return 0, err
	}
	return d.send(b)
}

// release sends what is held back.
func (d *download) release() error {
	held := d.held
	d.held, d.hold = nil, 0
	d.start()
	if len(held) == 0 {
		return nil
	}
	_, err := d.send(held)
	return err
}

func (d *download) send(b []byte) (int, error) {
	// A server without deadlines (in tests) does not support them, and needs none.
	_ = d.control.SetWriteDeadline(time.Now().Add(stallAfter))
	return d.w.Write(b)
}

// Flush sends what is buffered.
func (d *download) Flush() {
	if d.started {
		_ = d.control.Flush() // a failure shows at the next write
	}
}

// finish ends the download. After the first byte an error can only be told by breaking the connection off: a
// capture cut short must not look whole.
func (d *download) finish(err error) error {
	if err != nil && !d.started {
		return err
	}
	if err == nil {
		err = d.release()
	}
	if err == nil {
		return nil
	}
	panic(http.ErrAbortHandler)
}
