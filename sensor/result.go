package sensor

import (
	"errors"
	"fmt"
	"io"
	"time"

	"wirelake/internal/pcapfile"
)

// ImportResult tells what an import did.
type ImportResult struct {
	Files []FileResult
	Took  time.Duration
}

// FileResult tells what became of one file.
type FileResult struct {
	Path       string // absolute, or "-"
	NotCapture bool   // found in a folder, neither pcap nor pcapng, passed over
	Packets    uint64 // recorded
	Bytes      uint64 // theirs on the wire

	Chunks      int   // stored now
	StoredBytes int64 // their size
	Existed     int   // chunks that were stored already

	Comments  uint64    // packets with comments
	Skipped   uint64    // packets that no chunk can hold
	Problems  []Problem // the first of them, and of all that is damaged
	Corrupt   int       // corrupt places
	Truncated bool      // the file ends inside a record
	Err       error     // why reading ended early
}

// Problem is a place in a file where something was lost.
type Problem struct {
	Offset int64 // in the file, decompressed
	Text   string
}

// maxProblems of a file are kept; a hostile one could have millions.
const maxProblems = 100

func (f *FileResult) problem(offset int64, text string) {
	if len(f.Problems) < maxProblems {
		f.Problems = append(f.Problems, Problem{offset, text})
	}
}

// damage notes an error of reading, and says whether reading goes on.
func (f *FileResult) damage(err error) bool {
	var truncated *pcapfile.TruncatedError
	var corrupt *pcapfile.CorruptError
	switch {
	case errors.Is(err, io.EOF):
		return false
	case errors.As(err, &truncated):
		f.Truncated = true
		f.problem(truncated.Offset, err.Error())
		return true
	case errors.As(err, &corrupt):
		f.Corrupt++
		f.problem(corrupt.Offset, err.Error())
		return true
	}
	f.fail(err)
	return false
}

func (f *FileResult) skip(offset int64, err error) {
	f.Skipped++
	f.problem(offset, fmt.Sprintf("%s: offset %d: %v", f.Path, offset, err))
}

// fail notes the first error that ended the reading of the file.
func (f *FileResult) fail(err error) {
	if f.Err == nil {
		f.Err = err
	}
}

// err says how many files were not imported as they should be.
func (r ImportResult) err() error {
	var corrupt, failed int
	var first error
	for i := range r.Files {
		f := &r.Files[i]
		switch {
		case f.Err != nil:
			failed++
			if first == nil {
				first = f.Err
			}
		case f.Corrupt > 0:
			corrupt++
		}
	}
	var errs []error
	if failed > 0 {
		errs = append(errs, fmt.Errorf("%d of %d files not imported: %w", failed, len(r.Files), first))
	}
	if corrupt > 0 {
		errs = append(errs, fmt.Errorf("%d of %d files %w", corrupt, len(r.Files), ErrDamaged))
	}
	return errors.Join(errs...)
}

// ErrDamaged is wrapped in the error of an import of which files were corrupt in
// the middle. What is good of them was imported.
var ErrDamaged = errors.New("have corrupt records, without which they were imported")
