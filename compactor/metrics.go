package compactor

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	chunks, bytes, packets, sessions, batches, parquetBytes, skipped, failures prometheus.Counter
	lanes, backlog                                                             prometheus.Gauge
}

func newMetrics(reg prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "wirelake", Subsystem: "compactor", Name: name, Help: help})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Namespace: "wirelake", Subsystem: "compactor", Name: name, Help: help})
	}
	m := metrics{
		chunks:       counter("chunks_total", "Chunks dissected."),
		bytes:        counter("chunk_bytes_total", "Bytes of packet records dissected, decompressed."),
		packets:      counter("packets_total", "Packets dissected."),
		sessions:     counter("sessions_total", "Session documents written."),
		batches:      counter("batches_total", "Batches committed."),
		parquetBytes: counter("parquet_bytes_total", "Bytes of Parquet written."),
		skipped:      counter("chunks_damaged_total", "Chunks of which packets could not be read."),
		failures:     counter("lane_failures_total", "Times that work on a lane failed, and began again at its checkpoint."),
		lanes:        gauge("lanes", "Lanes that are followed."),
		backlog:      gauge("elastic_backlog_files", "Parquet files that Elasticsearch has not taken yet."),
	}
	if reg != nil {
		reg.MustRegister(m.chunks, m.bytes, m.packets, m.sessions, m.batches, m.parquetBytes, m.skipped, m.failures, m.lanes, m.backlog)
	}
	return m
}
