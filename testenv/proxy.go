package testenv

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/Shopify/toxiproxy/v2/collectors"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// FaultyProxy stands between a client and a TCP server and disturbs what flows (toxiproxy, in this process). Faults
// hold for open and new connections until Clear.
type FaultyProxy struct {
	t        testing.TB
	proxy    *toxiproxy.Proxy
	received *prometheus.Registry
}

// Proxy starts a proxy on a free port of 127.0.0.1 for the server at upstream (host:port). It ends with the test.
func Proxy(t testing.TB, upstream string) *FaultyProxy {
	t.Helper()
	addr := FreeAddr(t) // also while it is down
	metrics := toxiproxy.NewMetricsContainer(prometheus.NewRegistry())
	metrics.ProxyMetrics = collectors.NewProxyMetricCollectors()
	server := toxiproxy.NewServer(metrics, zerolog.Nop())
	p := &FaultyProxy{t: t, proxy: toxiproxy.NewProxy(server, "testenv", addr, upstream), received: prometheus.NewRegistry()}
	p.received.MustRegister(metrics.ProxyMetrics.ReceivedBytesTotal)
	if err := p.proxy.Start(); err != nil {
		t.Fatalf("proxy for %s: %v", upstream, err)
	}
	t.Cleanup(p.proxy.Stop)
	return p
}

// Addr returns host:port of the proxy. It stays the same over Down and Up.
func (p *FaultyProxy) Addr() string { return p.proxy.Listen }

// Latency delays answers by d, give or take jitter.
func (p *FaultyProxy) Latency(d, jitter time.Duration) {
	p.t.Helper()
	p.add("latency", "downstream", map[string]any{"latency": d.Milliseconds(), "jitter": jitter.Milliseconds()})
}

// Bandwidth limits answers to so many KiB a second.
func (p *FaultyProxy) Bandwidth(kib int64) {
	p.t.Helper()
	p.add("bandwidth", "downstream", map[string]any{"rate": kib})
}

// BandwidthRequests limits requests to so many KiB a second.
func (p *FaultyProxy) BandwidthRequests(kib int64) {
	p.t.Helper()
	p.add("bandwidth", "upstream", map[string]any{"rate": kib})
}

// RequestBytes returns the bytes of requests on connections that have ended.
func (p *FaultyProxy) RequestBytes() int64 {
	p.t.Helper()
	families, err := p.received.Gather()
	if err != nil {
		p.t.Fatal(err)
	}
	var n float64
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == "direction" && l.GetValue() == "upstream" {
					n += m.GetCounter().GetValue()
				}
			}
		}
	}
	return int64(n)
}

// Reset ends each connection with a TCP reset, d after data first come from the server.
func (p *FaultyProxy) Reset(d time.Duration) {
	p.t.Helper()
	p.add("reset_peer", "downstream", map[string]any{"timeout": d.Milliseconds()})
}

// Truncate closes each connection after so many bytes of answers.
func (p *FaultyProxy) Truncate(bytes int64) {
	p.t.Helper()
	p.add("limit_data", "downstream", map[string]any{"bytes": bytes})
}

// TruncateRequests closes each connection after so many bytes of requests, so that an upload breaks off.
func (p *FaultyProxy) TruncateRequests(bytes int64) {
	p.t.Helper()
	p.add("limit_data", "upstream", map[string]any{"bytes": bytes})
}

// Hang lets nothing through, and closes each connection after d (0: never).
func (p *FaultyProxy) Hang(d time.Duration) {
	p.t.Helper()
	p.add("timeout", "downstream", map[string]any{"timeout": d.Milliseconds()})
}

func (p *FaultyProxy) add(kind, stream string, attributes map[string]any) {
	p.t.Helper()
	toxic, err := json.Marshal(map[string]any{
		"name": kind + "_" + stream, "type": kind, "stream": stream, "toxicity": 1, "attributes": attributes,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.proxy.Toxics.AddToxicJson(bytes.NewReader(toxic)); err != nil {
		p.t.Fatalf("proxy: add %s: %v", toxic, err)
	}
}

// Clear removes all faults.
func (p *FaultyProxy) Clear() { p.proxy.Toxics.ResetToxics(context.Background()) }

// Down closes all connections and refuses new ones, as a server that is not there.
func (p *FaultyProxy) Down() { p.proxy.Stop() }

// Up takes connections again.
func (p *FaultyProxy) Up() {
	p.t.Helper()
	if err := p.proxy.Start(); err != nil {
		p.t.Fatalf("proxy %s: %v", p.proxy.Listen, err)
	}
}
