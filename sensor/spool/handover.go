package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
)

// HandOver makes the folder of a spool, if it is not there, and gives it with all of
// the spool in it to a user. A folder with other things in it and no spool is refused:
// a mistyped path must not give what is another's away.
func HandOver(dir string, uid, gid int) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("spool: %w", err)
		}
	}()
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	ours := []string{identityFile, lockFile, lanesFolder, cacheFolder}
	if _, err := root.Lstat(identityFile); errors.Is(err, fs.ErrNotExist) {
		entries, err := fs.ReadDir(root.FS(), ".")
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Name() != "lost+found" && !slices.Contains(ours, e.Name()) {
				return fmt.Errorf("%s is no spool, and has %s in it: name a folder for the spool alone", dir, e.Name())
			}
		}
	} else if err != nil {
		return err
	}
	for _, name := range ours {
		err := fs.WalkDir(root.FS(), name, func(path string, _ fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return root.Lchown(path, uid, gid)
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return root.Lchown(".", uid, gid)
}
