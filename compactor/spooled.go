package compactor

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"wirelake/internal/sessionfile"
)

// spooledFile is a Parquet file in the making, on the local disk.
type spooledFile struct {
	tmp *os.File
	buf *bufio.Writer
	w   *sessionfile.Writer
}

func newSpooledFile(schema *sessionfile.Schema, sensor string) (*spooledFile, error) {
	tmp, err := tempFile()
	if err != nil {
		return nil, err
	}
	f := &spooledFile{tmp: tmp, buf: bufio.NewWriterSize(tmp, 256<<10)}
	f.w, err = sessionfile.NewWriter(f.buf, schema, sessionfile.Options{Sensor: sensor})
	if err != nil {
		return nil, errors.Join(err, tmp.Close())
	}
	return f, nil
}

// tempFile makes a file whose name is given up at once: it goes with the process, however that ends.
func tempFile() (*os.File, error) {
	tmp, err := os.CreateTemp("", "wirelake-sessions-*")
	if err != nil {
		return nil, fmt.Errorf("spool sessions: %w", err)
	}
	if err := os.Remove(tmp.Name()); err != nil {
		return nil, errors.Join(fmt.Errorf("spool sessions: %w", err), tmp.Close())
	}
	return tmp, nil
}

// finish ends the file, which can then be read from tmp.
func (f *spooledFile) finish() (sessionfile.Info, error) {
	info, err := f.w.Close()
	if err != nil {
		return info, err
	}
	if err := f.buf.Flush(); err != nil {
		return info, fmt.Errorf("spool sessions: %w", err)
	}
	if _, err := f.tmp.Seek(0, io.SeekStart); err != nil {
		return info, fmt.Errorf("spool sessions: %w", err)
	}
	return info, nil
}
