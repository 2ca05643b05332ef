// Package web serves the browser GUI from the binary.
//
// The GUI is built by Vite into dist (`make web`); it reaches the rest of wirelake through the HTTP API alone, and this
// package imports nothing of it. A binary built without dist serves one page that says how to build the GUI.
package web

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// The pattern matches the committed page dist-missing.html always and dist when it is built, so that a fresh clone
// compiles without Node. "all:" keeps bundler output whose name begins with a dot or an underscore.
//
//go:embed all:dist*
var files embed.FS

const missingPage = "dist-missing.html"

// contentSecurityPolicy lets the pages load what the binary serves and nothing else: packets are hostile input, and a
// payload that finds its way into the page must find no way out.
const contentSecurityPolicy = "default-src 'self'; img-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; " +
	"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"

// Handler serves the GUI: its files, and index.html for every path that is a page of it (/, /sessions).
//
// Files below /assets carry a hash of their content in the name and are cached for good; all else is revalidated. A
// missing file (a path whose last element has a dot) is a 404, so that a stale page does not get HTML for its script.
// Only GET and HEAD are answered.
func Handler() http.Handler { return handler(files) }

func handler(fsys fs.FS) http.Handler {
	dist, err := newSite(fsys)
	if err != nil {
		return missing(fsys, err)
	}
	return dist
}

type site struct {
	dist  fs.FS
	index []byte
}

// newSite opens dist in fsys; it fails when the GUI has not been built.
func newSite(fsys fs.FS) (*site, error) {
	dist, err := fs.Sub(fsys, "dist")
	if err != nil {
		return nil, fmt.Errorf("open dist: %w", err)
	}
	index, err := fs.ReadFile(dist, "index.html")
	if err != nil {
		return nil, fmt.Errorf("open dist: %w", err)
	}
	return &site{dist: dist, index: index}, nil
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	switch {
	case name == "" || name == "index.html":
		servePage(w, r, s.index, http.StatusOK)
	case s.isFile(name):
		s.serveFile(w, r, name)
	case strings.Contains(path.Base(name), "."):
		http.NotFound(w, r)
	default:
		servePage(w, r, s.index, http.StatusOK)
	}
}

func (s *site) isFile(name string) bool {
	info, err := fs.Stat(s.dist, name)
	return err == nil && info.Mode().IsRegular()
}

func (s *site) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	body, err := fs.ReadFile(s.dist, name)
	if err != nil { // embedded, so only a race with nothing: still an answer, not a silence
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if strings.HasPrefix(name, "assets/") {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	} else {
		w.Header().Set("Cache-Control", "no-cache")
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(body))
}

// missing serves the page that tells how to build the GUI, with 503: the service runs, this part of it is not there.
func missing(fsys fs.FS, reason error) http.Handler {
	page, err := fs.ReadFile(fsys, missingPage)
	if err != nil {
		page = []byte("The GUI is not built: " + errors.Join(reason, err).Error())
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if readOnly(w, r) {
			servePage(w, r, page, http.StatusServiceUnavailable)
		}
	})
}

func readOnly(w http.ResponseWriter, r *http.Request) bool {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return true
	}
	w.Header().Set("Allow", "GET, HEAD")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return false
}

func servePage(w http.ResponseWriter, r *http.Request, page []byte, status int) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	// The client is gone when this fails, and there is nobody left to tell.
	_, _ = w.Write(page)
}
