package objstore

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Folders and files of the store are for the user and his group: packets are
// confidential. (The umask may take more away from folders.)
const (
	folderMode = 0o750
	fileMode   = 0o640
)

// placeAttempts bounds how often a file is put into a folder that a Delete in
// another process keeps removing in between.
const placeAttempts = 100

func (s *fileStore) Put(ctx context.Context, key string, r io.Reader, size int64, opts ...PutOption) (Object, error) {
	o, err := s.put(ctx, key, r, size, opts)
	if err != nil {
		return Object{}, fmt.Errorf("put %q: %w", key, err)
	}
	return o, nil
}

func (s *fileStore) put(ctx context.Context, key string, r io.Reader, size int64, opts []PutOption) (_ Object, err error) {
	path, err := s.path(key)
	if err != nil {
		return Object{}, err
	}
	po, err := newPutOptions(opts)
	if err != nil {
		return Object{}, err
	}
	if po.ifAbsent {
		// Only to spare the bytes: what decides is the link below.
		if _, err := s.stat(ctx, key); err == nil {
			return Object{}, ErrExists
		}
	}
	temp, err := s.upload(ctx, po.paced(ctx, r), size)
	if err != nil {
		return Object{}, err
	}
	defer func() {
		if rmErr := os.Remove(temp); rmErr != nil && !errors.Is(rmErr, fs.ErrNotExist) {
			err = errors.Join(err, rmErr)
		}
	}()
	if po.ifAbsent {
		info, err := stamp(temp, time.Time{})
		if err != nil {
			return Object{}, err
		}
		err = s.place(path, func() error { return os.Link(temp, path) })
		if errors.Is(err, fs.ErrExist) {
			return Object{}, ErrExists
		}
		return describe(key, info), err
	}
	return s.replace(ctx, key, path, temp, po.ifMatch)
}

// replace renames temp to the object's path, under the lock of its key.
func (s *fileStore) replace(ctx context.Context, key, path, temp, ifMatch string) (_ Object, err error) {
	unlock, err := s.lock(ctx, key)
	if err != nil {
		return Object{}, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old, err := s.stat(ctx, key)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Object{}, err
	}
	if ifMatch != "" && old.ETag != ifMatch {
		return Object{}, ErrMismatch
	}
	info, err := stamp(temp, old.ModTime)
	if err != nil {
		return Object{}, err
	}
	err = s.place(path, func() error { return os.Rename(temp, path) })
	return describe(key, info), err
}

// upload writes r to a new synced file in the reserved folder.
func (s *fileStore) upload(ctx context.Context, r io.Reader, size int64) (_ string, err error) {
	folder := filepath.Join(s.root, reservedFolder, "uploads")
	if err := makeFolders(folder); err != nil {
		return "", fileError(err)
	}
	f, err := os.CreateTemp(folder, "*")
	if err != nil {
		return "", fileError(err)
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err := f.Chmod(fileMode); err != nil {
		return "", err
	}
	if _, err := io.Copy(f, &sizedReader{ctx: ctx, r: r, want: size}); err != nil {
		return "", err
	}
	if err := f.Sync(); err != nil {
		return "", err
	}
	return f.Name(), nil
}

// stamp gives the file a modification time that is exact to the nanosecond and
// above that of the object it replaces, so that no two writes of a key share an
// ETag, however coarse the kernel's clock and however soon inodes are reused. It
// returns the file's status, which stays the same when the file is put in place.
func stamp(path string, above time.Time) (fs.FileInfo, error) {
	now := time.Now()
	if !now.After(above) {
		now = above.Add(time.Nanosecond)
	}
	if err := os.Chtimes(path, now, now); err != nil {
		return nil, err
	}
	return os.Stat(path)
}

// place makes the folders of path, calls put to give the file its name there,
// and syncs the folder, so that the name outlives a power cut.
func (s *fileStore) place(path string, put func() error) error {
	folder := filepath.Dir(path)
	for attempt := 1; ; attempt++ {
		if err := makeFolders(folder); err != nil {
			if errors.Is(err, fs.ErrNotExist) && attempt < placeAttempts {
				continue // a Delete removed a parent just made
			}
			return placeError(err)
		}
		err := put()
		if errors.Is(err, fs.ErrNotExist) && attempt < placeAttempts {
			continue // likewise
		}
		if err != nil {
			return placeError(err)
		}
		return syncFolder(folder)
	}
}

// placeError explains what cannot happen on S3.
func placeError(err error) error {
	switch {
	case isNotDir(err), errors.Is(err, unix.EISDIR):
		return fmt.Errorf("%w: in a file store a key cannot be the folder of another: %w", ErrKey, err)
	case errors.Is(err, fs.ErrExist):
		if info, statErr := os.Stat(linkTarget(err)); statErr == nil && info.IsDir() {
			return fmt.Errorf("%w: in a file store a key cannot be the folder of another: %w", ErrKey, stripExist(err))
		}
		return err
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("the file system may lack hard links, which put-if-absent needs: %w", err)
	}
	return fileError(err)
}

func linkTarget(err error) string {
	var l *os.LinkError
	if errors.As(err, &l) {
		return l.New
	}
	return ""
}

// stripExist keeps the text but not the identity of an EEXIST that is about a
// folder: the caller must not take it for an object that exists.
func stripExist(err error) error { return errors.New(err.Error()) }

// makeFolders is os.MkdirAll that syncs the parent of each folder it makes.
func makeFolders(dir string) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: unix.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeFolders(parent); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, folderMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncFolder(parent)
}

func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed by a Delete, which syncs what is above
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// lockPoll is how long a waiter for a lock sleeps at most; a holder needs a
// rename and a sync, some milliseconds.
const lockPoll = 5 * time.Millisecond

// lock takes the lock of the key's shard, against other goroutines and other
// processes alike; it falls with the process that holds it.
func (s *fileStore) lock(ctx context.Context, key string) (unlock func() error, err error) {
	folder := filepath.Join(s.root, reservedFolder, "locks")
	if err := makeFolders(folder); err != nil {
		return nil, fileError(err)
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(key)) // never fails
	f, err := os.OpenFile(filepath.Join(folder, fmt.Sprintf("%02x", h.Sum32()&0xff)), os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, fileError(err)
	}
	wait := 100 * time.Microsecond
	for {
		// Not the blocking call: it would hold a thread and not heed ctx.
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return f.Close, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(wait):
			wait = min(2*wait, lockPoll)
		}
	}
}

// removeStale clears away what dead processes left half-written. It is a
// courtesy: a failure costs disk space and nothing else, so it stays silent.
func (s *fileStore) removeStale() {
	folder := filepath.Join(s.root, reservedFolder, "uploads")
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > staleUpload {
			_ = os.Remove(filepath.Join(folder, e.Name()))
		}
	}
}

// sizedReader reads r until ctx ends, and fails when r holds fewer or more bytes
// than want. A want of -1 takes any number.
type sizedReader struct {
	ctx  context.Context
	r    io.Reader
	want int64
	n    int64
}

func (s *sizedReader) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	s.n += int64(n)
	if s.want >= 0 {
		switch {
		case s.n > s.want:
			// None of the surplus is handed on: io.ReadFull would drop the error.
			return 0, fmt.Errorf("the source holds more than the %d bytes announced", s.want)
		case err == io.EOF && s.n < s.want:
			return n, fmt.Errorf("the source ended after %d of %d bytes: %w", s.n, s.want, io.ErrUnexpectedEOF)
		}
	}
	return n, err
}
