package query

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/expr/exprtest"
	"wirelake/internal/spi"
	"wirelake/web"
)

// A session that was saved in segments is exported segment by segment, or whole by /api/session/entire.
func TestCaptureEntire(t *testing.T) {
	a := newArchive(t)
	root := a.docs[1].String(spi.ID)
	segments := map[int]bool{}
	for _, d := range a.docs[1:4] {
		d.SetString(spi.RootID, root)
		segments[flowOf(d)] = true
	}
	for _, d := range a.docs {
		d.SetString(spi.Node, "s")
		first, _ := d.Int(spi.FirstPacket)
		d.SetInt(spi.LastPacket, first)
	}
	reg := exprtest.Registry()
	api := &API{
		Config: DefaultConfig(), Registry: reg, Engine: &reference{reg, a.docs}, Packets: a.fetcher(t, nil),
		GUI: web.Handler(), Metrics: prometheus.NewRegistry(), now: exprtest.Now,
	}
	h, err := api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	own, single := flowOf(a.docs[2]), flowOf(a.docs[7])
	for path, want := range map[string]func(int) bool{
		"/api/session/s/" + a.docs[2].String(spi.ID) + ".pcap":        func(f int) bool { return f == own },
		"/api/session/entire/s/" + a.docs[2].String(spi.ID) + ".pcap": func(f int) bool { return segments[f] },
		"/api/session/entire/s/" + root + "/pcapng":                   func(f int) bool { return segments[f] },
		"/api/session/entire/s/" + a.docs[7].String(spi.ID) + ".pcap": func(f int) bool { return f == single },
	} {
		status, body, _ := get(t, s.URL+path)
		if status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", path, status, body)
		}
		a.compare(t, []byte(body), want)
	}
}
