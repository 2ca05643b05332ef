package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

func built() fstest.MapFS {
	return fstest.MapFS{
		"dist/index.html":              {Data: []byte("<title>wirelake</title>")},
		"dist/favicon.svg":             {Data: []byte("<svg xmlns='http://www.w3.org/2000/svg'/>")},
		"dist/assets/index-4f2a.js":    {Data: []byte("export {}")},
		"dist/assets/_shared-9c01.css": {Data: []byte("body{}")},
		missingPage:                    {Data: []byte("run <code>make web</code>")},
	}
}

func TestHandler(t *testing.T) {
	const immutable = "public, max-age=31536000, immutable"
	for _, c := range []struct {
		name, method, path string
		status             int
		contentType, cache string
		body               string
	}{
		{"the root is the page", "GET", "/", 200, "text/html", "no-cache", "wirelake"},
		{"a route of the GUI is the page", "GET", "/sessions?date=-1", 200, "text/html", "no-cache", "wirelake"},
		{"a hashed file is cached for good", "GET", "/assets/index-4f2a.js", 200, "text/javascript", immutable, "export"},
		{"a file with an underscore is served", "GET", "/assets/_shared-9c01.css", 200, "text/css", immutable, "body"},
		{"a plain file is revalidated", "GET", "/favicon.svg", 200, "image/svg+xml", "no-cache", "svg"},
		{"a script of another build is not the page", "GET", "/assets/index-0000.js", 404, "text/plain", "", "not found"},
		{"a folder is a route, not a listing", "GET", "/assets/", 200, "text/html", "no-cache", "wirelake"},
		{"a path cannot climb out of dist", "GET", "/../dist-missing.html", 404, "text/plain", "", "not found"},
		{"only reading is allowed", "POST", "/sessions", 405, "text/plain", "", "not allowed"},
		{"head has no body", "HEAD", "/sessions", 200, "text/html", "no-cache", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := httptest.NewRecorder()
			handler(built()).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), c.method, c.path, nil))
			if w.Code != c.status {
				t.Fatalf("status of %s %s: got %d, want %d", c.method, c.path, w.Code, c.status)
			}
			if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, c.contentType) {
				t.Errorf("content type of %s: got %q, want %q", c.path, got, c.contentType)
			}
			if got := w.Header().Get("Cache-Control"); got != c.cache {
				t.Errorf("cache control of %s: got %q, want %q", c.path, got, c.cache)
			}
			if got := w.Body.String(); !strings.Contains(got, c.body) || (c.body == "" && got != "") {
				t.Errorf("body of %s: got %q, want %q in it", c.path, got, c.body)
			}
		})
	}
}

func TestHandlerWithoutBuiltGUISaysHowToBuildIt(t *testing.T) {
	fsys := built()
	delete(fsys, "dist/index.html")
	w := httptest.NewRecorder()
	handler(fsys).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/sessions", nil))
	if w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "make web") {
		t.Errorf("got %d %q, want 503 and a hint at make web", w.Code, w.Body.String())
	}
}

// The committed page must be there whether or not dist is: without it the package does not compile in a fresh clone.
func TestMissingPageIsEmbedded(t *testing.T) {
	page, err := files.ReadFile(missingPage)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "make web") {
		t.Errorf("%s does not say how to build the GUI", missingPage)
	}
}
