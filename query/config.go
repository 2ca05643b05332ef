package query

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"time"
)

// Config says how the query service listens and what a request may take. Start from DefaultConfig.
type Config struct {
	Listen     string        `koanf:"listen" help:"address to serve on, host:port; loopback only, for there is no authentication"`
	Hosts      []string      `koanf:"hosts" help:"host names that requests may be addressed to, beside localhost and addresses"`
	Timeout    time.Duration `koanf:"timeout" help:"longest time of a search; exports may take longer"`
	Concurrent int           `koanf:"concurrent" help:"searches and exports at once, others wait and then are refused"`
	MaxRows    int           `koanf:"max_rows" help:"most rows that one search may page to, start and length together"`
	Parquet    ParquetConfig `koanf:"parquet"`
	Packets    PacketsConfig `koanf:"packets"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		Listen:     "127.0.0.1:8005",
		Timeout:    2 * time.Minute,
		Concurrent: 4 * runtime.GOMAXPROCS(0),
		MaxRows:    2_000_000,
		Parquet:    DefaultParquetConfig(),
		Packets:    DefaultPacketsConfig(),
	}
}

// Validate reports every bad setting.
func (c Config) Validate() error {
	var errs []error
	if err := checkListen(c.Listen); err != nil {
		errs = append(errs, fmt.Errorf("listen: %w", err))
	}
	if c.Timeout <= 0 {
		errs = append(errs, fmt.Errorf("timeout: %v is not positive", c.Timeout))
	}
	if c.Concurrent < 1 {
		errs = append(errs, fmt.Errorf("concurrent: %d is under 1", c.Concurrent))
	}
	if c.MaxRows < 1 {
		errs = append(errs, fmt.Errorf("max_rows: %d is under 1", c.MaxRows))
	}
	return errors.Join(errs...)
}

// checkListen refuses addresses that other machines reach: packets are not served to whoever asks.
func checkListen(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%q is not host:port", addr)
	}
	if host == "localhost" {
		return nil
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Unmap().IsLoopback() {
		return fmt.Errorf("%q is not a loopback address such as 127.0.0.1:8005, and without authentication no other is served; put a proxy that authenticates in front", addr)
	}
	return nil
}
