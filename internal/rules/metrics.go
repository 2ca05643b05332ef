package rules

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	rules             prometheus.Gauge
	sigma             *prometheus.GaugeVec
	reloads           *prometheus.CounterVec
	entries           *prometheus.GaugeVec
	failures          *prometheus.CounterVec
	ruled, indicators prometheus.Counter
}

func newMetrics(reg prometheus.Registerer) metrics {
	const namespace, subsystem = "wirelake", "rules"
	m := metrics{
		rules:      prometheus.NewGauge(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "loaded", Help: "Rules in force."}),
		sigma:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "sigma", Help: "Sigma rules by what came of them: converted, refused, retired (deprecated or unsupported) or other (not for networks)."}, []string{"state"}),
		reloads:    prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "reloads_total", Help: "Times that the rules file was read again, by what came of it: taken or refused."}, []string{"result"}),
		entries:    prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: "list_entries", Help: "Entries of an indicator list in force."}, []string{"list"}),
		failures:   prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "list_failures_total", Help: "Times that an indicator list could not be loaded."}, []string{"list"}),
		ruled:      prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "sessions_total", Help: "Sessions that a rule was true for."}),
		indicators: prometheus.NewCounter(prometheus.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: "indicator_sessions_total", Help: "Sessions that matched an indicator."}),
	}
	if reg != nil {
		reg.MustRegister(m.rules, m.sigma, m.reloads, m.entries, m.failures, m.ruled, m.indicators)
	}
	return m
}
