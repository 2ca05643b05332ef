package config_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"wirelake/internal/config"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]config.Size{
		"0": 0, "512": 512, "512B": 512, "1KiB": 1024, "64MiB": 64 << 20, "1.5GiB": 3 << 29, "2TiB": 2 << 40,
		"10MB": 10e6, "1kB": 1000, "1KB": 1000, " 3 GB ": 3e9, "8191PiB": -1, "-1": -1, "-1KiB": -1, "": -1, "MiB": -1,
		"1e3": -1, "0x10": -1, "NaN": -1, "Inf": -1, "1_000": -1, "9223372036854775807": 9223372036854775807,
		"9223372036854775808": -1, "8388608TiB": -1, "8388607TiB": 8388607 << 40, "64mib": -1, "1 2": -1,
	} {
		got, err := config.ParseSize(text)
		if want < 0 {
			if err == nil {
				t.Errorf("%q is %d, want an error", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
			continue
		}
		if again, err := config.ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%d is written as %q, which reads %d, %v", got, got, again, err)
		}
	}
}

func TestParseDuration(t *testing.T) {
	const bad = -1
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "90s": 90 * time.Second, "8m": 8 * time.Minute, "1h30m": 90 * time.Minute, "7d": 7 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "-1d": -24 * time.Hour, "-1d12h": -36 * time.Hour, "1.5h": 90 * time.Minute, "250ms": 250 * time.Millisecond,
		"": bad, "5": bad, "d": bad, "1d-1h": bad, "1.5d": bad, "1w": bad, "200000d": bad, "9999999999999999999d": bad, "1d 1h": bad,
	} {
		got, err := config.ParseDuration(text)
		if want == bad {
			if err == nil {
				t.Errorf("%q is %v, want an error", text, got)
			}
			continue
		}
		if err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", text, got, err, want)
			continue
		}
		if again, err := config.ParseDuration(config.FormatDuration(got)); err != nil || again != got {
			t.Errorf("%v is written as %q, which reads %v, %v", got, config.FormatDuration(got), again, err)
		}
	}
	for d, want := range map[time.Duration]string{0: "0s", 8 * time.Minute: "8m", 10 * time.Second: "10s", time.Hour: "1h", 48 * time.Hour: "2d", 90 * time.Minute: "1h30m"} {
		if got := config.FormatDuration(d); got != want {
			t.Errorf("%v is written as %q, want %q", d, got, want)
		}
	}
}

func TestSecretsAreNotTold(t *testing.T) {
	s := config.Secret("hunter2")
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S config.Secret }{s})
	encoded, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{
		"%v": fmt.Sprintf("%v", s), "Sprint": fmt.Sprint(s), "%q": fmt.Sprintf("%q", s), "%#v": fmt.Sprintf("%#v", s),
		"%+v of a struct": fmt.Sprintf("%+v", struct{ S config.Secret }{s}), "slog": log.String(), "JSON": string(encoded),
	} {
		if strings.Contains(text, "hunter2") {
			t.Errorf("%s tells it: %s", how, text)
		}
	}
	if string(s) != "hunter2" || config.Secret("").String() != "" {
		t.Error("a secret is not itself")
	}
}
