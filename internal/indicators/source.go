package indicators

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// Source says where a list is. One of File and URL is set.
type Source struct {
	Name    string
	File    string        // path
	URL     *url.URL      // http or https
	Kind    Kind          // of all entries
	Tags    []string      // for sessions that match
	Refresh time.Duration // between two looks at a URL
	Line    int           // where the rules file has it
}

// Where returns the file or URL, without a password.
func (s *Source) Where() string {
	if s.URL != nil {
		return s.URL.Redacted()
	}
	return s.File
}

// Same reports whether two sources have the same entries: whether what was read of one serves the other.
func (s *Source) Same(o *Source) bool {
	where := func(s *Source) string {
		if s.URL != nil {
			return s.URL.String()
		}
		return s.File
	}
	return where(s) == where(o) && s.Kind == o.Kind && s.Refresh == o.Refresh
}

// Stamp tells whether a file has changed.
type Stamp struct {
	Size  int64
	Nanos int64 // time of the last change
}

// StampOf returns the stamp of a file.
func StampOf(path string) (Stamp, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Stamp{}, err
	}
	if !info.Mode().IsRegular() {
		return Stamp{}, fmt.Errorf("%q is no file", path)
	}
	return Stamp{info.Size(), info.ModTime().UnixNano()}, nil
}

// readFile reads the list in a file. The stamp is of before it was read, so that what is written meanwhile counts as a change.
func readFile(ctx context.Context, path string, kind Kind, limit int) (_ *List, err error) {
	stamp, err := StampOf(path)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	l, err := Read(ctx, f, kind, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	l.Stamp = stamp
	return l, nil
}
