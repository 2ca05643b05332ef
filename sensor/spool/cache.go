package spool

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cache is the chunks that stay on disk after their upload, under their object keys:
// the folder can be read as a store of its own. Under the spool's lock.
type cache struct {
	files []cacheFile // oldest first
	bytes int64
}

type cacheFile struct {
	path  string
	bytes int64
	at    time.Time
}

// openCache finds what is in the cache.
func (s *Spool) openCache() error {
	root := filepath.Join(s.cfg.Dir, cacheFolder)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if strings.HasSuffix(path, chunkExt) {
			s.cache.files = append(s.cache.files, cacheFile{path, info.Size(), info.ModTime()})
			s.cache.bytes += info.Size()
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	slices.SortFunc(s.cache.files, func(a, b cacheFile) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	for s.overCache() && s.evict() {
	}
	return nil
}

func (s *Spool) overCache() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cache.bytes > s.cfg.Cache
}

// toCache moves an uploaded chunk into the cache, or deletes it.
func (s *Spool) toCache(c *Chunk, key string) error {
	if s.cfg.Cache <= 0 || c.Bytes > s.cfg.Cache || !filepath.IsLocal(key) {
		if err := os.Remove(c.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	path := filepath.Join(s.cfg.Dir, cacheFolder, filepath.FromSlash(key))
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	if err := os.Rename(c.Path, path); err != nil {
		return err
	}
	s.mu.Lock()
	s.cache.files = append(s.cache.files, cacheFile{path, c.Bytes, time.Now()})
	s.cache.bytes += c.Bytes
	s.mu.Unlock()
	for s.overCache() && s.evict() {
	}
	return nil
}

// evict deletes the oldest chunk of the cache; false when it is empty.
func (s *Spool) evict() bool {
	s.mu.Lock()
	if len(s.cache.files) == 0 {
		s.mu.Unlock()
		return false
	}
	f := s.cache.files[0]
	s.cache.files = s.cache.files[1:]
	s.cache.bytes -= f.bytes
	s.mu.Unlock()
	if err := os.Remove(f.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Warn("cached chunk not deleted", "file", f.path, "error", err)
	}
	// Folders of days that are empty now; others refuse.
	for dir, root := filepath.Dir(f.path), filepath.Join(s.cfg.Dir, cacheFolder); dir != root && os.Remove(dir) == nil; dir = filepath.Dir(dir) {
	}
	return true
}
