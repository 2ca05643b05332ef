package spool

import "path/filepath"

// UploadNote returns the path of the file that notes the lane's upload under way: one
// at a time, for its chunks are uploaded in order.
func (l *Lane) UploadNote() string { return filepath.Join(l.dir, "upload.json") }
