package spool

import (
	"os"

	"golang.org/x/sys/unix"
)

// diskSize returns the bytes of the file system of a folder, and those that are free.
func diskSize(dir string) (total, free int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Blocks) * st.Bsize, int64(st.Bavail) * st.Bsize, nil //nolint:gosec // far below 2^63
}

// fdatasync makes what was written to f durable, and of what is told about it only what is needed to read it.
func fdatasync(f *os.File) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) {
		for {
			if failed = unix.Fdatasync(int(fd)); failed != unix.EINTR { //nolint:errorlint // a plain errno
				return
			}
		}
	}); err != nil {
		return err
	}
	return failed
}
