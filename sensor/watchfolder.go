package sensor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxSettling are files that are watched for growth at once; the rest has its turn later.
const maxSettling = 100_000

// folderSource is a folder and all below it. Regular files only: links are not
// followed, and names that programs give to files they have not finished are passed over.
type folderSource struct {
	dir      string // absolute
	cfg      WatchConfig
	skip     []string // folders below dir that hold what was moved there
	settling map[string]settling
	notes    *folderNotes // nil where the system has none
	log      *slog.Logger
}

// settling is a file that may grow.
type settling struct {
	version string
	since   time.Time
}

func newFolderSource(dir string, cfg WatchConfig, log *slog.Logger) (*folderSource, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, errors.New("is not a folder")
	}
	f := &folderSource{dir: dir, cfg: cfg, settling: map[string]settling{}, log: log}
	for _, to := range []string{cfg.MoveTo, cfg.Aside} {
		if to == "" {
			continue
		}
		abs, err := filepath.Abs(to)
		if err != nil {
			return nil, err
		}
		if within(dir, abs) {
			return nil, fmt.Errorf("files cannot be moved to %s: the watched folder is in it", abs)
		}
		if within(abs, dir) {
			f.skip = append(f.skip, abs)
		}
	}
	if f.notes, err = newFolderNotes(); err != nil {
		log.Warn("folder is listed only: the kernel does not tell of changes", "folder", dir, "error", err) //nolint:sloglint // no context here
	}
	return f, nil
}

// list walks the folder. Names are held one folder a level.
func (f *folderSource) list(ctx context.Context) iter.Seq2[watchItem, error] {
	return func(yield func(watchItem, error) bool) {
		seen := map[string]settling{}
		began := time.Now()
		stopped := errors.New("stopped")
		err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
			switch {
			case ctx.Err() != nil:
				return context.Cause(ctx)
			case err != nil && path != f.dir && isGone(err):
				return nil
			case err != nil:
				return err
			case d.IsDir():
				return f.enter(path)
			case !d.Type().IsRegular() || unfinished(d.Name()):
				return nil
			}
			info, err := d.Info()
			if err != nil {
				if isGone(err) {
					return nil
				}
				return err
			}
			it := f.item(path, info)
			if it.size > 0 && !yield(it, nil) {
				return stopped
			}
			if s, ok := f.settling[it.name]; ok {
				seen[it.name] = s
			}
			return nil
		})
		switch {
		case errors.Is(err, stopped):
		case err != nil:
			yield(watchItem{}, err)
		default:
			f.settling = seen
			if f.notes != nil {
				f.notes.forget(began)
			}
		}
	}
}

// enter decides on a folder below, and has changes in it told.
func (f *folderSource) enter(path string) error {
	for _, s := range f.skip {
		if path == s {
			return fs.SkipDir
		}
	}
	if path != f.dir && strings.HasPrefix(filepath.Base(path), ".") {
		return fs.SkipDir
	}
	if f.notes != nil {
		if err := f.notes.watch(path); err != nil && !isGone(err) {
			f.log.Debug("changes in folder are not told", "folder", path, "error", err) //nolint:sloglint // no context here
		}
	}
	return nil
}

func (f *folderSource) item(path string, info fs.FileInfo) watchItem {
	rel, err := filepath.Rel(f.dir, path)
	if err != nil {
		rel = path // not on a walk of dir
	}
	return watchItem{
		name: filepath.ToSlash(rel), order: strings.ReplaceAll(rel, string(filepath.Separator), "\x00"), // as WalkDir goes
		version: fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano()), changed: changeTime(info), size: info.Size(),
	}
}

// ready reports whether a file has not changed for the settle time, by the clock
// of this process alone, or was renamed into the folder, and so was whole.
func (f *folderSource) ready(it watchItem) bool {
	if f.notes != nil && f.notes.takeMoved(filepath.Join(f.dir, filepath.FromSlash(it.name))) {
		return true
	}
	s, ok := f.settling[it.name]
	if !ok && len(f.settling) >= maxSettling {
		return false
	}
	if !ok || s.version != it.version {
		s = settling{version: it.version, since: time.Now()}
		f.settling[it.name] = s
	}
	if time.Since(s.since) < f.cfg.Settle {
		return false
	}
	delete(f.settling, it.name)
	return true
}

func (f *folderSource) input(it watchItem) input {
	return input{path: filepath.Join(f.dir, filepath.FromSlash(it.name)), size: it.size, walked: true}
}

// imported deletes or moves a file, unless it changed meanwhile.
func (f *folderSource) imported(_ context.Context, it watchItem, damaged bool) error {
	path := f.input(it).path
	to := ""
	switch {
	case damaged:
		to = f.cfg.Aside
	case f.cfg.After == AfterMove:
		to = f.cfg.MoveTo
	}
	if to == "" && (damaged || f.cfg.After != AfterDelete) {
		return nil
	}
	info, err := os.Lstat(path)
	if isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if f.item(path, info).version != it.version {
		return fmt.Errorf("%s has changed since it was imported", path)
	}
	if to == "" {
		return os.Remove(path)
	}
	return moveFile(path, filepath.Join(to, filepath.FromSlash(it.name)))
}

func (f *folderSource) wake() <-chan struct{} {
	if f.notes == nil {
		return nil
	}
	return f.notes.changed
}

func (f *folderSource) close() error {
	if f.notes == nil {
		return nil
	}
	return f.notes.close()
}

// moveFile renames a file, under another name where that is taken: nothing is replaced.
func moveFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	const tries = 10_000
	name := to
	for i := 1; i < tries; i++ {
		err := os.Link(from, name) // fails when the name is taken, as Rename does not
		switch {
		case err == nil:
			return os.Remove(from)
		case errors.Is(err, errors.ErrUnsupported), errors.Is(err, fs.ErrPermission): // a file system without links
			if _, err := os.Lstat(name); isGone(err) {
				return os.Rename(from, name)
			}
		case !errors.Is(err, fs.ErrExist):
			return err
		}
		name = fmt.Sprintf("%s.%d", to, i)
	}
	return fmt.Errorf("%s: %d files of that name are there", to, tries)
}

// unfinished tells names that are given to files while they are written.
func unfinished(name string) bool {
	if strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") {
		return true
	}
	for _, s := range []string{".part", ".partial", ".filepart", ".tmp", ".temp", ".crdownload"} {
		if strings.HasSuffix(strings.ToLower(name), s) {
			return true
		}
	}
	return false
}
