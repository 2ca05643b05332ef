package pcapfile

import (
	"errors"
	"fmt"
)

// ErrFormat is returned by NewReader for what is neither pcap nor pcapng.
var ErrFormat = errors.New("neither pcap nor pcapng")

// TruncatedError tells that the file ends inside a record. All records before it were returned; the next
// call of Next returns io.EOF.
type TruncatedError struct {
	Name   string // of the file
	Offset int64  // of the record that is cut, in the decompressed stream
	Have   int64  // bytes of it that are there
}

func (e *TruncatedError) Error() string {
	return fmt.Sprintf("%s: offset %d: file ends inside a record, %d bytes after its start", e.Name, e.Offset, e.Have)
}

// CorruptError tells that bytes of the file were skipped. Next may be called again: it goes on with the
// record after them, or returns io.EOF when there is none.
type CorruptError struct {
	Name    string // of the file
	Offset  int64  // of the first bad byte, in the decompressed stream
	Reason  string
	Skipped int64 // bytes from Offset to the next record, or to the end
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("%s: offset %d: %s; %d bytes skipped", e.Name, e.Offset, e.Reason, e.Skipped)
}
