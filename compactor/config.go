package compactor

import (
	"errors"
	"fmt"
	"runtime"
	"time"

	"wirelake/internal/config"
)

// Config says how the compactor works. Start from DefaultConfig.
type Config struct {
	Interval   time.Duration `koanf:"interval" help:"how often new chunks are looked for"`
	Lanes      int           `koanf:"lanes" help:"lanes worked on at once"`
	BatchBytes config.Size   `koanf:"batch_bytes" help:"commit after so many bytes of decompressed chunks"`
	BatchDelay time.Duration `koanf:"batch_delay" help:"commit when the oldest chunk of a batch waited so long"`
	LaneQuiet  time.Duration `koanf:"lane_quiet" help:"save a lane's open sessions after so long without a chunk"`
	LeaseTTL   time.Duration `koanf:"lease_ttl" help:"another process takes over after so long without a sign of life"`
	HotDays    int           `koanf:"hot_days" help:"days kept in Elasticsearch, 0 for all"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{
		Interval:   5 * time.Second,
		Lanes:      runtime.GOMAXPROCS(0),
		BatchBytes: 1 << 30,
		BatchDelay: time.Minute,
		LaneQuiet:  15 * time.Minute,
		LeaseTTL:   30 * time.Second,
	}
}

// Validate reports every bad setting.
func (c Config) Validate() error {
	var errs []error
	positive := func(name string, d time.Duration) {
		if d <= 0 {
			errs = append(errs, fmt.Errorf("%s: %v is not positive", name, d))
		}
	}
	positive("interval", c.Interval)
	positive("batch_delay", c.BatchDelay)
	positive("lane_quiet", c.LaneQuiet)
	if c.LeaseTTL < time.Second {
		errs = append(errs, fmt.Errorf("lease_ttl: %v is under 1s", c.LeaseTTL))
	}
	if c.Lanes < 1 {
		errs = append(errs, fmt.Errorf("lanes: %d is under 1", c.Lanes))
	}
	if c.BatchBytes < 1<<20 {
		errs = append(errs, fmt.Errorf("batch_bytes: %d is under 1 MiB", c.BatchBytes))
	}
	if c.HotDays < 0 {
		errs = append(errs, fmt.Errorf("hot_days: %d is negative", c.HotDays))
	}
	return errors.Join(errs...)
}
