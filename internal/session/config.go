package session

import (
	"errors"
	"fmt"
	"time"

	"wirelake/internal/config"
	"wirelake/internal/dissect"
)

// Config says when sessions end and what they may cost. Start from DefaultConfig.
type Config struct {
	Lane   string // ordered stream the packets belong to; part of the session ids
	Sensor string // document field node; "" leaves it out
	File   string // path of the imported capture; "" leaves it out

	TCPIdle     time.Duration `koanf:"tcp_idle" help:"a TCP session ends after so long without a packet"`
	UDPIdle     time.Duration `koanf:"udp_idle" help:"a UDP session ends after so long without a packet"`
	SCTPIdle    time.Duration `koanf:"sctp_idle" help:"a SCTP session ends after so long without a packet"`
	ICMPIdle    time.Duration `koanf:"icmp_idle" help:"an ICMP session ends after so long without a packet"`
	ESPIdle     time.Duration `koanf:"esp_idle" help:"an ESP or AH session ends after so long without a packet"`
	OtherIdle   time.Duration `koanf:"other_idle" help:"any other session ends after so long without a packet"`
	TCPCloseLag time.Duration `koanf:"tcp_close_lag" help:"packets so long after RST or both FINs still belong to the session"`

	SegmentAge     time.Duration `koanf:"segment_age" help:"an open TCP session is saved in part after so long"`
	SegmentPackets int           `koanf:"segment_packets" help:"any session is saved in part after so many packets"`

	// Disorder is how much earlier than the latest packet of the lane a packet may
	// come: flows are closed for being idle only that much later.
	Disorder time.Duration `koanf:"disorder" help:"how much earlier than the latest packet of its lane a packet may come"`

	ReassemblyBytes config.Size    `koanf:"reassembly_bytes" help:"out-of-order bytes kept for one direction of a TCP session"`
	MemoryBytes     config.Size    `koanf:"memory_bytes" help:"memory of a lane's open sessions; past it the idle longest are saved early"`
	Limits          dissect.Limits // what one session may cost in dissection

	// Reference writes documents as Arkime 6.7.1 does where we differ on purpose:
	// tcpseq.dst is 0 unless the SYN-ACK came before the SYN, and the outer MAC
	// addresses of source and destination change places.
	Reference bool
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		TCPIdle: 480 * time.Second, UDPIdle: 60 * time.Second, SCTPIdle: 60 * time.Second,
		ICMPIdle: 60 * time.Second, ESPIdle: 600 * time.Second, OtherIdle: 60 * time.Second,
		TCPCloseLag: 5 * time.Second,
		SegmentAge:  480 * time.Second, SegmentPackets: 10000,
		Disorder:        5 * time.Second,
		ReassemblyBytes: 256 << 10, MemoryBytes: 512 << 20,
		Limits: dissect.DefaultLimits(),
	}
}

// Validate reports every bad field, not only the first.
func (c Config) Validate() error {
	var errs []error
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"tcp_idle", c.TCPIdle}, {"udp_idle", c.UDPIdle}, {"sctp_idle", c.SCTPIdle}, {"icmp_idle", c.ICMPIdle},
		{"esp_idle", c.ESPIdle}, {"other_idle", c.OtherIdle}, {"tcp_close_lag", c.TCPCloseLag}, {"segment_age", c.SegmentAge},
	} {
		if d.d <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v is not positive", d.name, d.d))
		}
	}
	if c.Disorder < 0 {
		errs = append(errs, fmt.Errorf("disorder: %v is negative", c.Disorder))
	}
	if c.SegmentPackets < 1 {
		errs = append(errs, fmt.Errorf("segment_packets: %d is under 1", c.SegmentPackets))
	}
	if c.ReassemblyBytes < minReassembly {
		errs = append(errs, fmt.Errorf("reassembly_bytes: %d is under %d, one full window", c.ReassemblyBytes, minReassembly))
	}
	if c.MemoryBytes < minMemory {
		errs = append(errs, fmt.Errorf("memory_bytes: %d is under %d", c.MemoryBytes, int64(minMemory)))
	}
	if c.Limits.Buffer < minReassembly {
		errs = append(errs, fmt.Errorf("session_buffer: %d is under %d", c.Limits.Buffer, minReassembly))
	}
	return errors.Join(errs...)
}

const (
	minReassembly = 64 << 10
	minMemory     = 1 << 20
)
