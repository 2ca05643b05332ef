// Package telemetry sets up what every service tells of itself: the log, the
// metrics, its health and its version. It knows nothing of what is told.
package telemetry

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"
)

// LogConfig says how to log. Start from DefaultLogConfig.
type LogConfig struct {
	Level  string `koanf:"level" help:"least severe lines to log: debug, info, warn or error"`
	Format string `koanf:"format" help:"text for people, json for machines"`
}

// DefaultLogConfig logs from level info, as text.
func DefaultLogConfig() LogConfig { return LogConfig{Level: "info", Format: "text"} }

// Validate reports every bad field.
func (c LogConfig) Validate() error {
	var errs []error
	if _, ok := level(c.Level); !ok {
		errs = append(errs, fmt.Errorf("level: %q is none of debug, info, warn, error", c.Level))
	}
	if c.Format != "text" && c.Format != "json" {
		errs = append(errs, fmt.Errorf("format: %q is neither text nor json", c.Format))
	}
	return errors.Join(errs...)
}

func level(name string) (slog.Level, bool) {
	switch name {
	case "debug":
		return slog.LevelDebug, true
	case "info":
		return slog.LevelInfo, true
	case "warn":
		return slog.LevelWarn, true
	case "error":
		return slog.LevelError, true
	}
	return slog.LevelInfo, false
}

// NewLogger returns a logger that writes lines to w, with times in UTC. c is valid.
func NewLogger(w io.Writer, c LogConfig) *slog.Logger {
	least, _ := level(c.Level)
	opts := &slog.HandlerOptions{
		Level: least,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			switch a.Value.Kind() {
			case slog.KindTime:
				return slog.Time(a.Key, a.Value.Time().UTC())
			case slog.KindDuration:
				// JSON would have nanoseconds as a bare number; both formats get "1.5s".
				return slog.String(a.Key, a.Value.Duration().Round(time.Microsecond).String())
			}
			return a
		},
	}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, opts))
	}
	return slog.New(slog.NewTextHandler(w, opts))
}
