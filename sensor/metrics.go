package sensor

import (
	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/chunk"
)

// importMetrics counts what imports do. Nil counts nothing.
type importMetrics struct {
	packets, bytes prometheus.Counter
	lost           *prometheus.CounterVec
	chunks         *prometheus.CounterVec
	stored         prometheus.Counter
}

func newImportMetrics(reg prometheus.Registerer) (*importMetrics, error) {
	if reg == nil {
		return nil, nil //nolint:nilnil // nil counts nothing
	}
	m := &importMetrics{
		packets: prometheus.NewCounter(prometheus.CounterOpts{Name: "wirelake_import_packets_total", Help: "Packets read from capture files and recorded."}),
		bytes:   prometheus.NewCounter(prometheus.CounterOpts{Name: "wirelake_import_wire_bytes_total", Help: "Their bytes on the wire."}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wirelake_import_damage_total",
			Help: "Places where something of a capture file was not imported: corrupt, truncated, unrecordable."}, []string{"reason"}),
		chunks: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "wirelake_import_chunks_total",
			Help: "Chunks by what became of them: stored, or existed already."}, []string{"result"}),
		stored: prometheus.NewCounter(prometheus.CounterOpts{Name: "wirelake_import_stored_bytes_total", Help: "Bytes of the chunks stored."}),
	}
	for _, c := range []prometheus.Collector{m.packets, m.bytes, m.lost, m.chunks, m.stored} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// file counts a file that was read.
func (m *importMetrics) file(f *FileResult) {
	if m == nil {
		return
	}
	m.packets.Add(float64(f.Packets))
	m.bytes.Add(float64(f.Bytes))
	m.lost.WithLabelValues("corrupt").Add(float64(f.Corrupt))
	m.lost.WithLabelValues("unrecordable").Add(float64(f.Skipped))
	if f.Truncated {
		m.lost.WithLabelValues("truncated").Inc()
	}
}

// chunk counts a chunk that is stored.
func (m *importMetrics) chunk(sum chunk.Summary, existed bool) {
	switch {
	case m == nil:
	case existed:
		m.chunks.WithLabelValues("existed").Inc()
	default:
		m.chunks.WithLabelValues("stored").Inc()
		m.stored.Add(float64(sum.SizeBytes))
	}
}
