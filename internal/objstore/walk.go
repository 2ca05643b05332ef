package objstore

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// walk visits the object files below root in the order of their keys. It holds
// the names of one folder a level, never those of the whole store.
type walk struct {
	root   string
	prefix string // keys must begin with it
	after  string // keys must be above it; visit may raise it to skip ahead

	visit func(key string, e fs.DirEntry) bool // false ends the walk
}

// run starts at the deepest folder that holds all keys of the prefix.
func (w *walk) run(ctx context.Context) error {
	if !possiblePrefix(w.prefix) || strings.HasPrefix(w.prefix, reservedFolder+"/") {
		return nil
	}
	_, err := w.folder(ctx, w.prefix[:strings.LastIndexByte(w.prefix, '/')+1])
	return err
}

// folder visits the folder whose keys begin with at, which is "" or ends in "/".
// It reports whether the walk goes on.
func (w *walk) folder(ctx context.Context, at string) (bool, error) {
	entries, err := os.ReadDir(filepath.Join(w.root, at))
	switch {
	case errors.Is(err, fs.ErrNotExist), isNotDir(err):
		return true, nil // nothing below the prefix, or deleted on the way
	case err != nil:
		return false, err
	}
	// A folder's keys sort by its name with the slash: "a-b" comes before "a/b".
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(sortName(a), sortName(b)) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		key := at + sortName(e)
		if key == reservedFolder+"/" {
			continue
		}
		if e.IsDir() {
			inPrefix := strings.HasPrefix(key, w.prefix) || strings.HasPrefix(w.prefix, key)
			passed := key <= w.after && !strings.HasPrefix(w.after, key)
			if !inPrefix || passed {
				continue
			}
			if more, err := w.folder(ctx, key); !more || err != nil {
				return false, err
			}
			continue
		}
		if !e.Type().IsRegular() || !strings.HasPrefix(key, w.prefix) || key <= w.after {
			continue
		}
		if !w.visit(key, e) {
			return false, nil
		}
	}
	return true, nil
}

func sortName(e fs.DirEntry) string {
	if e.IsDir() {
		return e.Name() + "/"
	}
	return e.Name()
}
