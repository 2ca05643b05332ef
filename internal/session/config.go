package session

import (
	"errors"
	"fmt"
	"time"

	"wirelake/internal/config"
	"wirelake/internal/dissect"
	"wirelake/internal/keylog"
	"wirelake/internal/spi"
)

// Config says when sessions end and what they may cost. Start from DefaultConfig.
type Config struct {
	Lane   string      // ordered stream the packets belong to; part of the session ids
	Sensor string      // document field node; "" leaves it out
	File   string      // path of the imported capture; "" leaves it out
	Keys   *keylog.Log // what TLS is decrypted with; nil decrypts nothing. From the files of KeyLog

	TCPIdle     time.Duration `koanf:"tcp_idle" help:"a TCP session ends after so long without a packet"`
	UDPIdle     time.Duration `koanf:"udp_idle" help:"the same for UDP"`
	SCTPIdle    time.Duration `koanf:"sctp_idle" help:"the same for SCTP"`
	ICMPIdle    time.Duration `koanf:"icmp_idle" help:"the same for ICMP and ICMPv6"`
	ESPIdle     time.Duration `koanf:"esp_idle" help:"the same for ESP and AH"`
	OtherIdle   time.Duration `koanf:"other_idle" help:"the same for everything else"`
	TCPCloseLag time.Duration `koanf:"tcp_close_lag" help:"packets so soon after a RST or both FINs still belong to the session"`

	SegmentAge     time.Duration `koanf:"segment_age" help:"an open TCP session is saved in part when a packet comes so long after the part began"`
	SegmentPackets int           `koanf:"segment_packets" help:"any session is saved in part after so many packets"`

	// Sessions are closed for being idle only Disorder later than their time, so
	// that the result does not depend on when Advance was called.
	Disorder time.Duration `koanf:"disorder" help:"how much earlier than the latest packet of its lane a packet may come"`

	ReassemblyBytes config.Size `koanf:"reassembly_bytes" help:"out-of-order bytes kept for one direction of a TCP session"`
	BufferBytes     config.Size `koanf:"buffer_bytes" help:"bytes that the dissectors of one session may hold back"`
	EarlyBytes      config.Size `koanf:"early_bytes" help:"a lane's memory for pieces of SMB files that came before those in front of them, 16 MiB a file; 0: 192 KiB a file, within buffer_bytes"`
	DocumentBytes   config.Size `koanf:"document_bytes" help:"memory of one session's document; past it values are left out and the session is tagged"`
	MemoryBytes     config.Size `koanf:"memory_bytes" help:"for all open sessions of a lane; past it those idle longest are saved early"`

	// KeyLog is read by who makes the configuration, into Keys.
	KeyLog []string `koanf:"keylog" help:"key log files (SSLKEYLOGFILE): TLS 1.2 and 1.3 of the sessions they name is decrypted"`

	// Reference writes documents as Arkime 6.7.1 does where we differ on purpose:
	// tcpseq.dst is 0 unless the SYN-ACK came before the SYN, and the outer MAC
	// addresses of source and destination change places; no payload is counted
	// of a TCP session whose SYN was not seen. Sessions end and are
	// saved in part when Arkime would look at them, and those of a DHCP exchange are one (see reference.go), so packets must
	// come in capture order, and Advance, Disorder and restarts mean nothing.
	Reference bool `koanf:"reference" help:"write documents with the quirks of Arkime 6.7.1 (docs/dissectors.md)"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		TCPIdle: 480 * time.Second, UDPIdle: 60 * time.Second, SCTPIdle: 60 * time.Second,
		ICMPIdle: 60 * time.Second, ESPIdle: 600 * time.Second, OtherIdle: 60 * time.Second,
		TCPCloseLag: 5 * time.Second,
		SegmentAge:  480 * time.Second, SegmentPackets: 10000,
		Disorder: 5 * time.Second,
		// Together a megabyte a session, with ReassemblyBytes for each direction and EarlyBytes at 0.
		ReassemblyBytes: 128 << 10, BufferBytes: config.Size(dissect.DefaultLimits().Buffer), DocumentBytes: spi.MaxDocumentBytes, MemoryBytes: 512 << 20,
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
	if c.DocumentBytes < minDocument {
		errs = append(errs, fmt.Errorf("document_bytes: %d is under %d", c.DocumentBytes, minDocument))
	}
	if c.MemoryBytes < minMemory {
		errs = append(errs, fmt.Errorf("memory_bytes: %d is under %d", c.MemoryBytes, minMemory))
	}
	if c.BufferBytes < minReassembly {
		errs = append(errs, fmt.Errorf("buffer_bytes: %d is under %d", c.BufferBytes, minReassembly))
	}
	if c.EarlyBytes < 0 || c.EarlyBytes > c.MemoryBytes/2 {
		errs = append(errs, fmt.Errorf("early_bytes: %d is not from 0 up to half of memory_bytes, %d", c.EarlyBytes, c.MemoryBytes))
	}
	return errors.Join(errs...)
}

const (
	minReassembly = 64 << 10
	minDocument   = 16 << 10
	minMemory     = 1 << 20
)
