package config

import (
	"fmt"
	"log/slog"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes, written as "512", "64KiB", "1.5GiB" or "10MB".
type Size int64

// The multiples of a byte by powers of 1024.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
	TiB Size = 1 << 40
)

type sizeUnit struct {
	name  string
	bytes int64
}

// sizeUnits has longer names before those that they end in.
func sizeUnits() []sizeUnit {
	return []sizeUnit{
		{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
		{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1},
	}
}

// ParseSize reads a size.
func ParseSize(s string) (Size, error) {
	number, unit := strings.TrimSpace(s), int64(1)
	for _, u := range sizeUnits() {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		if n < 0 || n > math.MaxInt64/unit {
			return 0, fmt.Errorf("%q is not between 0 and 8 EiB", s)
		}
		return Size(n * unit), nil
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || strings.ContainsAny(number, "eExXpPnN_") { // 1e9, 0x10, NaN and Inf are no sizes
		return 0, fmt.Errorf("%q is not a size such as 64MiB", s)
	}
	bytes := f * float64(unit)
	if bytes < 0 || bytes >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is not between 0 and 8 EiB", s)
	}
	return Size(bytes), nil
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(b []byte) error {
	v, err := ParseSize(string(b))
	if err == nil {
		*s = v
	}
	return err
}

// MarshalText writes the size as String does.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size exactly, in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range []sizeUnit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s != 0 && int64(s)%u.bytes == 0 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Set reads a size from a flag.
func (s *Size) Set(text string) error { return s.UnmarshalText([]byte(text)) }

// Type names the value in a flag's help.
func (s *Size) Type() string { return "size" }

// Secret is a value that is never printed: no password in a log, a dump or an
// error. It is taken from the environment only, so that none lies in a file that
// is copied about. Reveal it where it is used: string(secret).
type Secret string

const redacted = "[redacted]"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the secret from JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue hides the secret from logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

const day = 24 * time.Hour

// ParseDuration is time.ParseDuration that also takes whole days: "7d", "1d12h".
func ParseDuration(s string) (time.Duration, error) {
	text := strings.TrimSpace(s)
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		d, err := time.ParseDuration(text)
		if err != nil {
			return 0, fmt.Errorf("%q is not a duration such as 90s, 8m or 7d", s)
		}
		return d, nil
	}
	n, err := strconv.ParseInt(days, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is not a duration such as 90s, 8m or 7d", s)
	}
	var more time.Duration
	if rest != "" {
		if more, err = time.ParseDuration(rest); err != nil || more < 0 {
			return 0, fmt.Errorf("%q is not a duration such as 90s, 8m or 7d", s)
		}
	}
	if n < -int64(math.MaxInt64/day)+1 || n > int64(math.MaxInt64/day)-1 || more > day*2 && n != 0 {
		return 0, fmt.Errorf("%q is longer than 290 years", s)
	}
	if strings.HasPrefix(days, "-") {
		more = -more
	}
	return time.Duration(n)*day + more, nil
}

// FormatDuration writes d as ParseDuration reads it, without zero parts: "8m".
func FormatDuration(d time.Duration) string {
	if d != 0 && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
