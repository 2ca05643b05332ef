package main

import (
	"fmt"

	"wirelake/internal/config"
	"wirelake/internal/telemetry"
)

// settings is the configuration file: what all commands share, and a section for
// each component, declared there with its defaults and checks.
type settings struct {
	Store string              `koanf:"store" help:"where the archive is: s3://bucket/prefix or file:///dir"`
	Log   telemetry.LogConfig `koanf:"log"`
}

func defaultSettings() settings {
	return settings{
		Store: "file://./.wirelake",
		Log:   telemetry.DefaultLogConfig(),
	}
}

// Validate reports every bad field; those of the sections report theirs.
func (s settings) Validate() error {
	if s.Store == "" {
		return fmt.Errorf("store: is empty: write file:///dir or s3://bucket/prefix")
	}
	return nil
}

// configEnv names the configuration file; it is the one variable with our prefix
// that is not in the file.
const configEnv = config.EnvPrefix + "CONFIG"
