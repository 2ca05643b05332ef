package objstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reservedFolder in the root holds what is not an object: files being written
// and locks. No key begins with it.
const reservedFolder = ".objstore"

// staleUpload is the age at which Open takes a half-written file for the remains
// of a process that died.
const staleUpload = 24 * time.Hour

// fileStore keeps each object in a file of the same path below root.
//
// An object is written to a file in the reserved folder, synced, and then
// renamed to its place, or linked there for IfAbsent, which fails when the name
// is taken. Both are atomic between processes. Renaming, and deleting, happen
// under a lock (flock) on the key's shard, so that nothing comes between the
// comparison and the rename of an IfMatch. Reading takes no locks.
//
// Unlike on S3, a key cannot be the folder of another ("a" beside "a/b"), and
// the parts of a key are limited to what the file system takes (255 bytes).
type fileStore struct {
	root string // absolute
}

func openFile(dir string, opts Options) (*fileStore, error) {
	s := &fileStore{root: dir}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) && opts.MustExist:
		return nil, fmt.Errorf("store %s: %w: there is no such folder; check the path, or import something into it first", s.URL(), ErrNotFound)
	case errors.Is(err, fs.ErrNotExist):
		if err := makeFolders(dir); err != nil {
			return nil, fmt.Errorf("store %s: %w", s.URL(), err)
		}
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("store %s: %w: %w", s.URL(), ErrDenied, err)
	case err != nil:
		return nil, fmt.Errorf("store %s: %w", s.URL(), err)
	case !info.IsDir():
		return nil, fmt.Errorf("store %s is a file, not a folder", s.URL())
	}
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("store %s: %w", s.URL(), fileError(err))
	}
	s.removeStale()
	return s, nil
}

func (s *fileStore) URL() string { return "file://" + s.root }

// path returns the file of key, or an error that wraps ErrKey.
func (s *fileStore) path(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	if key == reservedFolder || strings.HasPrefix(key, reservedFolder+"/") {
		return "", fmt.Errorf("%w: %q is reserved: %q", ErrKey, reservedFolder, key)
	}
	return filepath.Join(s.root, key), nil
}

// describe makes an Object of a file's status. The ETag holds the modification
// time, which finish sets to the nanosecond and never twice the same for a key.
func describe(key string, info fs.FileInfo) Object {
	var inode uint64
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		inode = st.Ino
	}
	return Object{
		Key:     key,
		Size:    info.Size(),
		ETag:    fmt.Sprintf("%x-%x-%x", info.ModTime().UnixNano(), info.Size(), inode),
		ModTime: info.ModTime().UTC(),
	}
}

// open returns the object's file, positioned at its start.
func (s *fileStore) open(ctx context.Context, key string) (*os.File, Object, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return nil, Object{}, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, Object{}, fileError(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = ErrNotFound // a folder of other keys
	}
	if err != nil {
		return nil, Object{}, errors.Join(err, f.Close())
	}
	return f, describe(key, info), nil
}

func (s *fileStore) Get(ctx context.Context, key string) (io.ReadCloser, Object, error) {
	f, o, err := s.open(ctx, key)
	if err != nil {
		return nil, Object{}, fmt.Errorf("get %q: %w", key, err)
	}
	return &fileBody{ctx: ctx, f: f, o: o}, o, nil
}

// fileBody reads an object's file, ending when ctx does.
type fileBody struct {
	ctx context.Context
	f   *os.File
	o   Object
	pos int64
}

func (b *fileBody) Read(p []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, fmt.Errorf("get %q at byte %d: %w", b.o.Key, b.pos, err)
	}
	n, err := b.f.Read(p)
	b.pos += int64(n)
	switch {
	case err == io.EOF && b.pos < b.o.Size:
		return n, fmt.Errorf("get %q: file cut to %d of %d bytes: %w", b.o.Key, b.pos, b.o.Size, io.ErrUnexpectedEOF)
	case err != nil && err != io.EOF:
		return n, fmt.Errorf("get %q at byte %d: %w", b.o.Key, b.pos, err)
	}
	return n, err
}

func (b *fileBody) Close() error { return b.f.Close() }

func (s *fileStore) GetRange(ctx context.Context, key string, off, n int64) (_ []byte, _ Object, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("get %q %s: %w", key, rangeText(off, n), err)
		}
	}()
	if off >= 0 && n < 0 {
		return nil, Object{}, fmt.Errorf("negative length %d", n)
	}
	f, o, err := s.open(ctx, key)
	if err != nil {
		return nil, Object{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	start, length, err := clampRange(off, n, o.Size)
	if err != nil {
		return nil, Object{}, err
	}
	b := make([]byte, length)
	if _, err := f.ReadAt(b, start); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, Object{}, err
	}
	return b, o, nil
}

// clampRange returns what of an object of size bytes a range names: its first
// byte and length.
func clampRange(off, n, size int64) (start, length int64, err error) {
	switch {
	case off < 0:
		// -off overflows for the smallest int64, hence the comparison this way round.
		if off < -size {
			return 0, size, nil
		}
		return size + off, -off, nil
	case off > size:
		return 0, 0, fmt.Errorf("%w of %d bytes", ErrRange, size)
	}
	return off, min(n, size-off), nil
}

// rangeText names a range in errors.
func rangeText(off, n int64) string {
	if off < 0 {
		return fmt.Sprintf("last %d bytes", uint64(-off))
	}
	return fmt.Sprintf("bytes %d+%d", off, n)
}

func (s *fileStore) Head(ctx context.Context, key string) (Object, error) {
	o, err := s.stat(ctx, key)
	if err != nil {
		return Object{}, fmt.Errorf("head %q: %w", key, err)
	}
	return o, nil
}

func (s *fileStore) stat(ctx context.Context, key string) (Object, error) {
	path, err := s.path(key)
	if err != nil {
		return Object{}, err
	}
	if err := ctx.Err(); err != nil {
		return Object{}, err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return Object{}, fileError(err)
	}
	if !info.Mode().IsRegular() {
		return Object{}, ErrNotFound
	}
	return describe(key, info), nil
}

func (s *fileStore) List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		var statErr error
		w := walk{root: s.root, prefix: prefix, after: startAfter}
		w.visit = func(key string, e fs.DirEntry) bool {
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return true // deleted since the folder was read
			}
			if err != nil {
				statErr = err
				return false
			}
			return yield(describe(key, info), nil)
		}
		if err := errors.Join(w.run(ctx), statErr); err != nil {
			yield(Object{}, fmt.Errorf("list %q after %q: %w", prefix, startAfter, fileError(err)))
		}
	}
}

func (s *fileStore) ListPrefixes(ctx context.Context, prefix, delim string) ([]string, error) {
	if delim == "" {
		return nil, fmt.Errorf("list prefixes of %q: the delimiter is empty", prefix)
	}
	var found []string
	w := walk{root: s.root, prefix: prefix}
	w.visit = func(key string, _ fs.DirEntry) bool {
		head, _, ok := strings.Cut(key[len(prefix):], delim)
		if ok {
			common := prefix + head + delim
			found = append(found, common)
			w.after = common + "\xff" // above every key that begins so: keys are UTF-8
		}
		return true
	}
	if err := w.run(ctx); err != nil {
		return nil, fmt.Errorf("list prefixes of %q: %w", prefix, fileError(err))
	}
	return found, nil
}

func (s *fileStore) Delete(ctx context.Context, key string) error {
	if err := s.remove(ctx, key); err != nil {
		return fmt.Errorf("delete %q: %w", key, err)
	}
	return nil
}

func (s *fileStore) remove(ctx context.Context, key string) (err error) {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if info, err := os.Lstat(path); err == nil && info.IsDir() {
		return nil // a folder of other keys: no object of this one
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(fileError(err), ErrNotFound) {
			return nil
		}
		return fileError(err)
	}
	// What is left empty goes too, so that a folder stands for objects in it.
	folder := filepath.Dir(path)
	for folder != s.root && os.Remove(folder) == nil {
		folder = filepath.Dir(folder)
	}
	return syncFolder(folder)
}

// fileError wraps the package's sentinel for what the system reported.
func fileError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), isNotDir(err):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(err, unix.ENAMETOOLONG):
		return fmt.Errorf("%w: %w", ErrKey, err)
	}
	return err
}

// isNotDir tells that a part of the path is a file: a key below an object.
func isNotDir(err error) bool { return errors.Is(err, unix.ENOTDIR) }
