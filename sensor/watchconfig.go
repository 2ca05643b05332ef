package sensor

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// WatchConfig says which folders and prefixes are watched for capture files, and
// what becomes of them. Start from DefaultWatchConfig, which watches nothing.
type WatchConfig struct {
	Sources  []string      `koanf:"sources" help:"folders and s3://bucket/prefix or file:///dir whose capture files are imported as they come"`
	Interval time.Duration `koanf:"interval" help:"how often a source is listed"`
	Settle   time.Duration `koanf:"settle" help:"a file of a folder is taken when it has not changed for this long; one that was renamed into it at once"`
	After    string        `koanf:"after" help:"what becomes of an imported file: keep, delete, or move (files of folders only)"`
	MoveTo   string        `koanf:"move_to" help:"folder on the same file system to move imported files to"`
	Aside    string        `koanf:"aside" help:"folder on the same file system to move damaged files to; empty: they stay where they are"`
}

// What becomes of imported files.
const (
	AfterKeep   = "keep"
	AfterDelete = "delete"
	AfterMove   = "move"
)

// DefaultWatchConfig returns the documented defaults.
func DefaultWatchConfig() WatchConfig {
	return WatchConfig{Interval: 10 * time.Second, Settle: 10 * time.Second, After: AfterKeep}
}

const minWatchInterval = 100 * time.Millisecond

// Validate reports every bad field, not only the first.
func (c WatchConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Interval < minWatchInterval {
		bad("interval: %v is under %v", c.Interval, minWatchInterval)
	}
	if c.Settle < 0 {
		bad("settle: %v is negative", c.Settle)
	}
	switch {
	case !slices.Contains([]string{AfterKeep, AfterDelete, AfterMove}, c.After):
		bad("after: %q is not one of keep, delete and move", c.After)
	case c.After == AfterMove && c.MoveTo == "":
		bad("move_to: is empty, though after is move")
	}
	seen := map[string]bool{}
	for _, s := range c.Sources {
		switch {
		case s == "":
			bad("sources: one is empty")
		case seen[s]:
			bad("sources: %q is there twice", s)
		case c.After == AfterMove && isStoreURL(s):
			bad("after: objects of %s cannot be moved: use keep or delete", s)
		}
		seen[s] = true
	}
	return errors.Join(errs...)
}

// isStoreURL tells what is listed as an object store from a folder.
func isStoreURL(source string) bool { return strings.Contains(source, "://") }

// within reports whether path is folder or below it. Both are absolute.
func within(path, folder string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}
