package query

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/expr/exprtest"
	"wirelake/internal/objstore"
	"wirelake/internal/sensorstatus"
	"wirelake/testenv"
)

func TestSensorsAPI(t *testing.T) {
	store, err := objstore.Open(t.Context(), "file://"+t.TempDir(), objstore.Options{})
	if err != nil {
		t.Fatal(err)
	}
	reg := exprtest.Registry()
	api := &API{Config: DefaultConfig(), Registry: reg, Engine: &reference{reg, nil}, Store: store, Metrics: prometheus.NewRegistry(), now: exprtest.Now}
	h, err := api.Handler()
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)

	if status, body, _ := get(t, s.URL+"/api/v1/sensors"); status != 200 || !strings.Contains(body, `"sensors":[]`) {
		t.Errorf("without sensors: %d %s", status, body)
	}
	for _, st := range []sensorstatus.Status{
		{Sensor: "edge2", Written: exprtest.Now().Add(-time.Hour), Interfaces: []sensorstatus.Interface{{Name: "eth0", Up: true}}},
		{Sensor: "edge1", Written: exprtest.Now().Add(-4 * time.Second), Interfaces: []sensorstatus.Interface{{Name: "eth0", Up: true, DropsPerSecond: 3}},
			Drops: sensorstatus.Drops{Kernel: 40, Duplicates: 2}},
	} {
		if _, err := sensorstatus.Put(t.Context(), store, &st); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := objstore.PutBytes(t.Context(), store, sensorstatus.Key("bad"), []byte("{")); err != nil {
		t.Fatal(err)
	}
	status, body, header := get(t, s.URL+"/api/v1/sensors")
	var got struct {
		Now     time.Time `json:"now"`
		Sensors []struct {
			Sensor     string         `json:"sensor"`
			State      string         `json:"state"`
			Age        float64        `json:"age_seconds"`
			Lost       int            `json:"lost"`
			Interfaces []any          `json:"interfaces"`
			Spool      map[string]any `json:"spool"`
		} `json:"sensors"`
		Warnings []string `json:"warnings"`
	}
	if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %v: %s", status, header, err, body)
	}
	if len(got.Sensors) != 2 || !got.Now.Equal(exprtest.Now()) {
		t.Fatalf("got %s", body)
	}
	if e := got.Sensors[0]; e.Sensor != "edge1" || e.State != "losing" || e.Age != 4 || e.Lost != 40 || len(e.Interfaces) != 1 || e.Spool == nil {
		t.Errorf("got %+v", e)
	}
	if e := got.Sensors[1]; e.Sensor != "edge2" || e.State != "stale" || e.Age != 3600 || e.Lost != 0 {
		t.Errorf("got %+v", e)
	}
	if len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "state/sensors/bad.json") {
		t.Errorf("warnings %v", got.Warnings)
	}

	// A store that cannot be read is no empty answer.
	denied := *api
	denied.Store, denied.Metrics = deniedStore(t), prometheus.NewRegistry()
	if h, err = denied.Handler(); err != nil {
		t.Fatal(err)
	}
	s2 := httptest.NewServer(h)
	t.Cleanup(s2.Close)
	if status, body, _ := get(t, s2.URL+"/api/v1/sensors"); status != 503 || !strings.Contains(body, "state/sensors/") {
		t.Errorf("with a store that is away: %d %s", status, body)
	}
}

// deniedStore is a real store on MinIO that cannot be reached any more.
func deniedStore(t *testing.T) objstore.Store {
	t.Helper()
	minio := testenv.MinIO(t)
	minio.Setenv(t)
	proxy := testenv.Proxy(t, minio.Addr())
	via := minio.Via(proxy.Addr())
	t.Setenv("AWS_ENDPOINT_URL_S3", via.Endpoint)
	cfg := objstore.DefaultConfig()
	cfg.MaxAttempts, cfg.Timeout = 1, time.Second
	store, err := objstore.Open(t.Context(), via.URL("archive"), objstore.Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	proxy.Down()
	return store
}
