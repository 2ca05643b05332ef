package objstore_test

import (
	"io"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"wirelake/internal/objstore"
	"wirelake/internal/objstore/storetest"
)

func TestInstrument(t *testing.T) {
	reg := prometheus.NewPedanticRegistry()
	s := objstore.Instrument(openFile(t), reg, "query")
	other := objstore.Instrument(openFile(t), reg, "sensor") // shares the metrics

	var outer, inner objstore.Counter
	ctx := objstore.WithCounter(t.Context(), &outer)
	nested := objstore.WithCounter(ctx, &inner)

	for _, store := range []objstore.Store{s, other} {
		if _, err := objstore.PutBytes(ctx, store, "a/key", make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := objstore.PutBytes(ctx, s, "a/key", nil, objstore.IfAbsent()); err == nil {
		t.Error("put if absent over an object is no error")
	}
	if _, _, err := objstore.GetAll(ctx, s, "a/key"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.GetRange(nested, "a/key", 900, 200); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.GetRange(nested, "missing", 0, 1); err == nil {
		t.Error("a missing key is no error")
	}
	if _, err := s.Head(nested, "a/key"); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.List(nested, "", "") {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.ListPrefixes(nested, "", "/"); err != nil {
		t.Fatal(err)
	}
	r, _, err := s.Get(ctx, "a/key") // read in part
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, r, 10); err != nil {
		t.Fatal(err)
	}
	for range 2 { // closed twice, counted once
		_ = r.Close()
	}
	if err := s.Delete(ctx, "a/key"); err != nil {
		t.Fatal(err)
	}

	if g, b := outer.Gets.Load(), outer.Bytes.Load(); g != 4 || b != 1000+100+10 {
		t.Errorf("outer counter has %d gets of %d bytes, want 4 of 1110", g, b)
	}
	if g, b, h, l := inner.Gets.Load(), inner.Bytes.Load(), inner.Heads.Load(), inner.Lists.Load(); g != 2 || b != 100 || h != 1 || l != 2 {
		t.Errorf("inner counter has %d gets of %d bytes, %d heads, %d lists, want 2 of 100, 1, 2", g, b, h, l)
	}
	want := `
wirelake_objstore_bytes_total{component="query",op="get"} 1010
wirelake_objstore_bytes_total{component="query",op="get_range"} 100
wirelake_objstore_bytes_total{component="query",op="put"} 1000
wirelake_objstore_bytes_total{component="sensor",op="put"} 1000
wirelake_objstore_requests_total{component="query",op="delete",result="ok"} 1
wirelake_objstore_requests_total{component="query",op="get",result="ok"} 2
wirelake_objstore_requests_total{component="query",op="get_range",result="not_found"} 1
wirelake_objstore_requests_total{component="query",op="get_range",result="ok"} 1
wirelake_objstore_requests_total{component="query",op="head",result="ok"} 1
wirelake_objstore_requests_total{component="query",op="list",result="ok"} 1
wirelake_objstore_requests_total{component="query",op="list_prefixes",result="ok"} 1
wirelake_objstore_requests_total{component="query",op="put",result="exists"} 1
wirelake_objstore_requests_total{component="query",op="put",result="ok"} 1
wirelake_objstore_requests_total{component="sensor",op="put",result="ok"} 1
`
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	var got strings.Builder
	got.WriteString("\n")
	for line := range strings.Lines(answer.Body.String()) {
		if strings.HasPrefix(line, "wirelake_objstore_bytes_total") || strings.HasPrefix(line, "wirelake_objstore_requests_total") {
			got.WriteString(line)
		}
	}
	if got.String() != want {
		t.Errorf("metrics are:%s\nwant:%s", got.String(), want)
	}
}

// TestInstrumentedStore keeps the contract, with nothing to measure in.
func TestInstrumentedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) objstore.Store { return objstore.Instrument(openFile(t), nil, "test") })
}
