package sensor

import (
	"github.com/prometheus/client_golang/prometheus"

	"wirelake/internal/sensorstatus"
)

// collector makes metrics of the status, so that both say the same.
type collector struct {
	s *Sensor

	packets, bytes, malformed, secrets, drops, up           *prometheus.Desc
	backlog, backlogItems, quota, free, cache, full, oldest *prometheus.Desc
	chunks, chunkBytes, failures, existed, conflicts        *prometheus.Desc
	sealedPackets, sealedRaw, sealedBytes, sealCPU          *prometheus.Desc
	cutPackets, cutBytes, duplicates, oddTimes, offset      *prometheus.Desc
}

func (s *Sensor) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("wirelake_sensor_"+name, help, labels, nil)
	}
	return reg.Register(&collector{
		s:             s,
		packets:       desc("packets_total", "Packets delivered by a source.", "interface"),
		bytes:         desc("wire_bytes_total", "Their bytes on the wire.", "interface"),
		malformed:     desc("interface_malformed_total", "What came in at a source and was no packet.", "interface"),
		secrets:       desc("interface_secrets_total", "Key logs of TLS that came in at a source and were not kept.", "interface"),
		up:            desc("interface_up", "1 when the source delivers.", "interface"),
		drops:         desc("dropped_packets_total", "Packets that are in no chunk, by cause: kernel, quota_oldest, quota_new, disk, damaged, malformed.", "cause"),
		backlog:       desc("spool_bytes", "Bytes on local disk that the store does not have yet."),
		backlogItems:  desc("spool_items", "Segments and chunks that wait.", "kind"),
		quota:         desc("spool_quota_bytes", "Bytes that the spool may take."),
		free:          desc("spool_free_bytes", "Free bytes of the spool's file system."),
		cache:         desc("spool_cache_bytes", "Bytes of uploaded chunks kept."),
		full:          desc("spool_full", "1 while the spool takes no packets."),
		oldest:        desc("oldest_unsent_packet_seconds", "Time of the oldest packet that the store does not have, seconds since 1970; 0 when it has all."),
		chunks:        desc("uploaded_chunks_total", "Chunks stored."),
		chunkBytes:    desc("uploaded_bytes_total", "Their bytes."),
		failures:      desc("upload_failures_total", "Uploads that failed and are repeated."),
		existed:       desc("upload_existed_total", "Chunks that the store had already."),
		conflicts:     desc("upload_conflicts_total", "Chunks whose key was taken by other content."),
		sealedPackets: desc("sealed_packets_total", "Packets sealed into chunks."),
		sealedRaw:     desc("sealed_raw_bytes_total", "Bytes of their records before compression."),
		sealedBytes:   desc("sealed_bytes_total", "Bytes of the chunks."),
		sealCPU:       desc("seal_cpu_seconds_total", "CPU time that sealing took."),
		cutPackets:    desc("cut_packets_total", "Packets cut to their headers by a rule."),
		cutBytes:      desc("cut_bytes_total", "Bytes cut off by rules."),
		duplicates:    desc("duplicate_packets_total", "Packets left out as copies of others."),
		oddTimes:      desc("odd_time_packets_total", "Packets whose time is outside 1970 to 2106."),
		offset:        desc("clock_offset_seconds", "The sensor's clock less the store's."),
	})
}

// Describe tells which metrics there are.
func (c *collector) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, ch) }

// Collect makes the metrics.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	var st sensorstatus.Status
	if c.s.running.Load() {
		st = c.s.Status()
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...) //nolint:promlinter // declared in register
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...) //nolint:promlinter // declared in register
	}
	truth := func(b bool) float64 {
		if b {
			return 1
		}
		return 0
	}
	for _, i := range st.Interfaces {
		count(c.packets, float64(i.Packets), i.Name)
		count(c.bytes, float64(i.Bytes), i.Name)
		count(c.malformed, float64(i.Malformed), i.Name)
		count(c.secrets, float64(i.Secrets), i.Name)
		gauge(c.up, truth(i.Up), i.Name)
	}
	d, p, u, e := st.Drops, st.Spool, st.Uploads, st.Sealed
	count(c.drops, float64(d.Kernel), "kernel")
	count(c.drops, float64(d.QuotaOldest), "quota_oldest")
	count(c.drops, float64(d.QuotaNew), "quota_new")
	count(c.drops, float64(d.Disk), "disk")
	count(c.drops, float64(d.Damaged), "damaged")
	count(c.drops, float64(d.Malformed), "malformed")
	gauge(c.backlog, float64(p.BacklogBytes))
	gauge(c.backlogItems, float64(p.Segments), "segment")
	gauge(c.backlogItems, float64(p.Chunks), "chunk")
	gauge(c.quota, float64(p.QuotaBytes))
	gauge(c.free, float64(p.FreeBytes))
	gauge(c.cache, float64(p.CacheBytes))
	gauge(c.full, truth(p.Full))
	oldest := 0.0
	if !p.OldestUnsent.IsZero() {
		oldest = float64(p.OldestUnsent.UnixNano()) / 1e9
	}
	gauge(c.oldest, oldest)
	count(c.chunks, float64(u.Chunks))
	count(c.chunkBytes, float64(u.Bytes))
	count(c.failures, float64(u.Failures))
	count(c.existed, float64(u.Existed))
	count(c.conflicts, float64(u.Conflicts))
	count(c.sealedPackets, float64(e.Packets))
	count(c.sealedRaw, float64(e.RawBytes))
	count(c.sealedBytes, float64(e.Bytes))
	count(c.sealCPU, e.CPUSeconds)
	count(c.cutPackets, float64(e.CutPackets))
	count(c.cutBytes, float64(e.CutBytes))
	count(c.duplicates, float64(d.Duplicates))
	count(c.oddTimes, float64(p.OddTimes))
	if st.ClockOffset != nil {
		gauge(c.offset, *st.ClockOffset)
	}
}
