package elastic

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	documents, bytes, retries, failures, rejected prometheus.Counter
	seconds                                       prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "wirelake", Subsystem: "elastic", Name: name, Help: help})
	}
	m := metrics{
		documents: counter("documents_indexed_total", "Documents that Elasticsearch took."),
		bytes:     counter("bulk_bytes_total", "Bytes of bulk requests that were answered."),
		retries:   counter("documents_retried_total", "Documents sent again because Elasticsearch had no room for them."),
		failures:  counter("bulk_failures_total", "Bulk requests that failed as a whole."),
		rejected:  counter("documents_rejected_total", "Documents that Elasticsearch rejected for good."),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Namespace: "wirelake", Subsystem: "elastic", Name: "bulk_seconds",
			Help: "Time of bulk requests.", Buckets: prometheus.ExponentialBuckets(0.005, 2, 14)}),
	}
	if reg != nil {
		reg.MustRegister(m.documents, m.bytes, m.retries, m.failures, m.rejected, m.seconds)
	}
	return m
}
