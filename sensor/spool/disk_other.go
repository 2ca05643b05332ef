//go:build !linux

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
	return int64(st.Blocks) * int64(st.Bsize), int64(st.Bavail) * int64(st.Bsize), nil
}

// fdatasync makes what was written to f durable.
func fdatasync(f *os.File) error { return f.Sync() }
