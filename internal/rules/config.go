package rules

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"wirelake/internal/config"
)

// Config says which rules are in force and how their lists are fetched. Start from DefaultConfig.
type Config struct {
	File         string        `koanf:"file" help:"YAML file with the rules and indicator lists that tag sessions; empty for none"`
	Sigma        []string      `koanf:"sigma" help:"files of Sigma rules, and folders with them, that tag sessions (docs/rules.md); empty for none"`
	Poll         time.Duration `koanf:"poll" help:"how often the rules file, Sigma rules and files of lists are looked at for changes"`
	Cache        string        `koanf:"cache" help:"folder with the last good copy of each list from a URL; empty for wirelake/lists in the user's cache folder"`
	FetchTimeout time.Duration `koanf:"fetch_timeout" help:"give up fetching a list after"`
	FetchBytes   config.Size   `koanf:"fetch_bytes" help:"most bytes that a URL of a list may send"`
}

// DefaultConfig returns the documented defaults.
func DefaultConfig() Config {
	return Config{Poll: 5 * time.Second, FetchTimeout: 5 * time.Minute, FetchBytes: 1 << 30}
}

// Validate reports every bad setting. What is in the file, Read checks.
func (c Config) Validate() error {
	var errs []error
	if c.Poll < 100*time.Millisecond {
		errs = append(errs, fmt.Errorf("poll: %v is under 100ms", c.Poll))
	}
	if c.FetchTimeout < time.Second {
		errs = append(errs, fmt.Errorf("fetch_timeout: %v is under 1s", c.FetchTimeout))
	}
	if c.FetchBytes < 1 {
		errs = append(errs, fmt.Errorf("fetch_bytes: %d is under 1", c.FetchBytes))
	}
	return errors.Join(errs...)
}

// cache returns the folder for copies of lists.
func (c Config) cache() string {
	if c.Cache != "" {
		return c.Cache
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir() // a service without a home
	}
	return filepath.Join(dir, "wirelake", "lists")
}
