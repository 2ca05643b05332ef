//go:build !linux

package sensor

import (
	"errors"
	"io/fs"
	"time"
)

// folderNotes is there on Linux only; elsewhere folders are listed.
type folderNotes struct{ changed chan struct{} }

func newFolderNotes() (*folderNotes, error)  { return nil, errors.ErrUnsupported }
func (n *folderNotes) watch(string) error    { return nil }
func (n *folderNotes) takeMoved(string) bool { return false }
func (n *folderNotes) forget(time.Time)      {}
func (n *folderNotes) close() error          { return nil }
func changeTime(info fs.FileInfo) time.Time  { return info.ModTime() }
