package main

import (
	"fmt"

	"wirelake/compactor"
	"wirelake/internal/config"
	"wirelake/internal/elastic"
	"wirelake/internal/geo"
	"wirelake/internal/objstore"
	"wirelake/internal/rules"
	"wirelake/internal/session"
	"wirelake/internal/telemetry"
	"wirelake/query"
	"wirelake/sensor"
)

// settings is the configuration file: what all commands share, and a section for
// each component, declared there with its defaults and checks.
type settings struct {
	Store string              `koanf:"store" help:"where the archive is: s3://bucket/prefix or file:///dir"`
	Log   telemetry.LogConfig `koanf:"log"`

	ObjectStore   objstore.Config     `koanf:"object_store"`
	Import        sensor.ImportConfig `koanf:"import"`
	Sensor        sensor.Config       `koanf:"sensor"`
	Session       session.Config      `koanf:"session"`
	Compactor     compactor.Config    `koanf:"compactor"`
	Elasticsearch elastic.Config      `koanf:"elasticsearch"`
	Query         query.Config        `koanf:"query"`
	GeoIP         geo.Config          `koanf:"geoip"`
	Rules         rules.Config        `koanf:"rules"`
}

func defaultSettings() settings {
	return settings{
		Store: "file://./.wirelake",
		Log:   telemetry.DefaultLogConfig(),

		ObjectStore:   objstore.DefaultConfig(),
		Import:        sensor.DefaultImportConfig(),
		Sensor:        sensor.DefaultConfig(),
		Session:       session.DefaultConfig(),
		Compactor:     compactor.DefaultConfig(),
		Elasticsearch: elastic.DefaultConfig(),
		Query:         query.DefaultConfig(),
		GeoIP:         geo.DefaultConfig(),
		Rules:         rules.DefaultConfig(),
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
