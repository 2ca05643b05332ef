// Package pcaptest gives tests the captures they read, whole and in memory.
package pcaptest

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"wirelake/internal/pcapfile"
)

// Capture is what a capture file holds.
type Capture struct {
	Interfaces []pcapfile.Interface
	Records    []pcapfile.Record        // with bytes of their own
	Cut        *pcapfile.TruncatedError // where the file is cut, nil: it is whole
}

// LinkType returns the link type of the capture's first interface, 0 without one.
func (c *Capture) LinkType() uint32 {
	if len(c.Interfaces) == 0 {
		return 0
	}
	return c.Interfaces[0].LinkType
}

// Open opens a capture file until the test ends.
func Open(t testing.TB, path string) *pcapfile.Reader {
	t.Helper()
	f, err := os.Open(path) //nolint:gosec // a file of the test
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapfile.NewReader(f, path)
	if err != nil {
		_ = f.Close() // it was only read, and the test ends
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = r.Close()
		_ = f.Close() // it was only read
	})
	return r
}

// Read reads a capture file. Anything wrong with it ends the test.
func Read(t testing.TB, path string) Capture {
	t.Helper()
	return whole(t, ReadCut(t, path))
}

// ReadCut is Read of a file that may be cut: its packets before the cut.
func ReadCut(t testing.TB, path string) Capture {
	t.Helper()
	return records(t, Open(t, path))
}

// ReadBytes is Read of a capture in memory.
func ReadBytes(t testing.TB, b []byte, name string) Capture {
	t.Helper()
	r, err := pcapfile.NewReader(bytes.NewReader(b), name)
	if err != nil {
		t.Fatal(err)
	}
	return whole(t, records(t, r))
}

func whole(t testing.TB, c Capture) Capture {
	t.Helper()
	if c.Cut != nil {
		t.Fatal(c.Cut)
	}
	return c
}

func records(t testing.TB, r *pcapfile.Reader) (c Capture) {
	t.Helper()
	for {
		var rec pcapfile.Record
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) || errors.As(err, &c.Cut) {
			c.Interfaces = r.Interfaces()
			return c
		}
		if err != nil {
			t.Fatal(err)
		}
		rec.Data = bytes.Clone(rec.Data)
		c.Records = append(c.Records, rec)
	}
}

// Root returns the module's directory.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's directory")
		}
		dir = up
	}
}

// Sample returns the path of the capture that ships with the project.
func Sample(t testing.TB) string { return filepath.Join(Root(t), "testenv/sample/sample.pcap.gz") }

// Corpus returns the capture files of a collection beside the module, and says so when there is none.
func Corpus(t testing.TB) []string {
	t.Helper()
	dir := filepath.Join(Root(t), "../shared/corpus")
	files, err := filepath.Glob(filepath.Join(dir, "*.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Logf("%s is missing: the captures that ship with the project are used alone", dir)
	}
	return files
}
