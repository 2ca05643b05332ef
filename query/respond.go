package query

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"unicode/utf8"
)

// httpError is an error with the status it is answered with.
type httpError struct {
	status int
	text   string
}

func (e *httpError) Error() string { return e.text }

// errorBody is the answer to a bad request: Arkime's keys, and where in the expression the error is.
type errorBody struct {
	Error           string `json:"error"`
	Column          int    `json:"column,omitempty"`
	Length          int    `json:"length,omitempty"`
	Suggestion      string `json:"suggestion,omitempty"`
	Success         bool   `json:"success"`
	Data            []int  `json:"data"`
	RecordsTotal    int    `json:"recordsTotal"`
	RecordsFiltered int    `json:"recordsFiltered"`
}

// statusClientClosed is what proxies log when the client left before the answer.
const statusClientClosed = 499

// statusOf returns the status that tells what kind an error is of.
func statusOf(err error) int {
	var bad *badRequest
	var own *httpError
	switch {
	case errors.As(err, &bad):
		return http.StatusBadRequest
	case errors.As(err, &own):
		return own.status
	case errors.Is(err, ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, ErrGone):
		return http.StatusGone
	case errors.Is(err, context.Canceled):
		return statusClientClosed
	case errors.Is(err, context.DeadlineExceeded):
		return http.StatusGatewayTimeout
	case errors.Is(err, ErrUnavailable):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// fail answers with an error. With compat=200 its status is 200, as Arkime's is.
func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	status := statusOf(err)
	body := errorBody{Error: err.Error(), Data: []int{}}
	var bad *badRequest
	if errors.As(err, &bad) && bad.expr != nil {
		body.Column, body.Length, body.Suggestion = bad.expr.Column, bad.expr.Length, bad.expr.Suggestion
	}
	switch {
	case status == http.StatusGatewayTimeout:
		body.Error = "the search took longer than " + a.Config.Timeout.String() + ": narrow its time"
		a.Log.WarnContext(r.Context(), "search timed out", "path", r.URL.Path, "query", shortened(r.URL.RawQuery))
	case status >= 500:
		a.Log.ErrorContext(r.Context(), "request failed", "path", r.URL.Path, "query", shortened(r.URL.RawQuery), "error", err)
	}
	if r.URL.Query().Get("compat") == "200" {
		status = http.StatusOK
	}
	a.writeJSON(w, r, status, body)
}

// shortened cuts what a log line need not have whole.
func shortened(s string) string {
	const most = 1000
	if len(s) <= most {
		return s
	}
	s = s[:most]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

func (a *API) writeJSON(w http.ResponseWriter, r *http.Request, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // the type says that it is JSON; URIs stay readable
	if err := enc.Encode(v); err != nil {
		a.Log.ErrorContext(r.Context(), "answer cannot be encoded", "path", r.URL.Path, "error", err)
		http.Error(w, `{"error":"the answer cannot be encoded"}`, http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if _, err := w.Write(b.Bytes()); err != nil {
		a.Log.DebugContext(r.Context(), "client left", "path", r.URL.Path, "error", err)
	}
}
