package sensor

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// maxMoved bounds the files remembered as renamed into a folder; others settle as all do.
const maxMoved = 10_000

// folderNotes has the kernel tell of files that were renamed into folders or
// closed by their writer (inotify(7)). It only makes things faster: who lists finds all of it.
type folderNotes struct {
	fd      *os.File
	changed chan struct{} // has a value when something happened
	done    chan struct{}

	mu     sync.Mutex
	dirs   map[int32]string
	byPath map[string]bool
	moved  map[string]time.Time // when, by path
}

func newFolderNotes() (*folderNotes, error) {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("inotify_init1", err)
	}
	n := &folderNotes{fd: os.NewFile(uintptr(fd), "inotify"), changed: make(chan struct{}, 1), done: make(chan struct{}),
		dirs: map[int32]string{}, byPath: map[string]bool{}, moved: map[string]time.Time{}}
	go n.run()
	return n, nil
}

// watch has changes in a folder told. It costs nothing when that is so already.
func (n *folderNotes) watch(dir string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.byPath[dir] {
		return nil
	}
	raw, err := n.fd.SyscallConn()
	if err != nil {
		return err
	}
	var id int
	var addErr error
	err = raw.Control(func(fd uintptr) {
		id, addErr = unix.InotifyAddWatch(int(fd), dir, unix.IN_MOVED_TO|unix.IN_CLOSE_WRITE|unix.IN_ONLYDIR)
	})
	if err = errors.Join(err, addErr); err != nil {
		return &fs.PathError{Op: "inotify", Path: dir, Err: err}
	}
	delete(n.byPath, n.dirs[int32(id)])
	n.dirs[int32(id)], n.byPath[dir] = dir, true
	return nil
}

// takeMoved reports, once, whether a file was renamed to path.
func (n *folderNotes) takeMoved(path string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ok := n.moved[path]
	delete(n.moved, path)
	return ok
}

// forget drops what was renamed before a listing that did not ask for it.
func (n *folderNotes) forget(before time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	maps.DeleteFunc(n.moved, func(_ string, at time.Time) bool { return at.Before(before) })
}

func (n *folderNotes) close() error {
	err := n.fd.Close()
	<-n.done
	return err
}

func (n *folderNotes) run() {
	defer close(n.done)
	buf := make([]byte, 64<<10)
	for {
		size, err := n.fd.Read(buf)
		if err != nil {
			return // closed
		}
		if n.events(buf[:size]) {
			select {
			case n.changed <- struct{}{}:
			default:
			}
		}
	}
}

// events takes what the kernel tells, and says whether a listing may find something.
func (n *folderNotes) events(b []byte) (changed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(b) >= unix.SizeofInotifyEvent {
		id, mask := int32(binary.NativeEndian.Uint32(b)), binary.NativeEndian.Uint32(b[4:])
		length := int(binary.NativeEndian.Uint32(b[12:]))
		b = b[unix.SizeofInotifyEvent:]
		name := b[:min(length, len(b))]
		b = b[len(name):]
		dir := n.dirs[id]
		switch {
		case mask&unix.IN_IGNORED != 0: // the folder is gone
			delete(n.byPath, dir)
			delete(n.dirs, id)
			continue
		case mask&unix.IN_MOVED_TO != 0 && mask&unix.IN_ISDIR == 0 && len(n.moved) < maxMoved:
			if i := bytes.IndexByte(name, 0); i >= 0 {
				name = name[:i]
			}
			n.moved[filepath.Join(dir, string(name))] = time.Now()
		}
		changed = true
	}
	return changed
}

// changeTime is when the file's content, name or attributes changed last: unlike
// the time of modification nobody can set it, and renaming renews it.
func changeTime(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}
