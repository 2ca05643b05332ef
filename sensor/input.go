package sensor

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"wirelake/internal/pcapfile"
)

// Stdin is the path that stands for the standard input.
const Stdin = "-"

// identityBytes of a file's beginning, and its path, tell it from others.
const identityBytes = 1 << 20

// input is a capture file to import.
type input struct {
	path   string // absolute, Stdin, or the URL of an object
	size   int64  // of the file, -1 when unknown
	walked bool   // found in a folder: what is no capture is passed over

	get func(context.Context) (io.ReadCloser, error) // opens what is not a file of this machine; nil for files
}

// findInputs returns the files that the paths name: files as they are given,
// folders by their files in the order of their names, all levels.
func findInputs(paths []string) ([]input, error) {
	var all []input
	for _, p := range paths {
		if p == Stdin {
			all = append(all, input{path: Stdin, size: -1})
			continue
		}
		abs, err := filepath.Abs(p)
		if err != nil {
			return nil, fmt.Errorf("path %q: %w", p, err)
		}
		info, err := os.Stat(abs)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			all = append(all, input{path: abs, size: sizeOf(info)})
			continue
		}
		err = filepath.WalkDir(abs, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			info, err := os.Stat(path) // follows links to files; WalkDir does not follow those to folders
			if errors.Is(err, fs.ErrNotExist) {
				return nil // a dangling link
			}
			if err != nil || !info.Mode().IsRegular() {
				return err
			}
			all = append(all, input{path: path, size: info.Size(), walked: true})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func sizeOf(info fs.FileInfo) int64 {
	if info.Mode().IsRegular() {
		return info.Size()
	}
	return -1 // a pipe
}

// openInput is an input being read.
type openInput struct {
	input
	identity string // lane name of the file, but for the interface
	reader   *pcapfile.Reader
	counter  *countingReader
	file     io.Closer
}

func (in *openInput) Close() error { return errors.Join(in.reader.Close(), in.file.Close()) }

// open begins to read a file. stdin is read for Stdin.
func (in input) open(ctx context.Context, stdin io.Reader) (*openInput, error) {
	src := stdin
	var closer io.Closer = io.NopCloser(nil)
	switch {
	case in.get != nil:
		r, err := in.get(ctx)
		if err != nil {
			return nil, readError{err}
		}
		src, closer = r, r
	case in.path != Stdin:
		f, err := os.Open(in.path)
		if err != nil {
			return nil, readError{err}
		}
		src, closer = f, f
	case stdin == nil:
		return nil, errors.New("no standard input")
	}
	counter := &countingReader{ctx: ctx, r: src}
	first := make([]byte, identityBytes)
	n, err := io.ReadFull(counter, first)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.Join(fmt.Errorf("read %s: %w", in.path, err), closer.Close())
	}
	first = first[:n]
	out := &openInput{input: in, identity: identity(in.path, first), counter: counter, file: closer}
	if out.reader, err = pcapfile.NewReader(io.MultiReader(bytes.NewReader(first), counter), in.path); err != nil {
		return nil, errors.Join(err, closer.Close())
	}
	return out, nil
}

// piped reports whether the input can be read but once.
func (in input) piped() bool { return in.size < 0 && in.get == nil }

// tlsKeys has f called with the TLS key logs that a file holds, for they may stand behind what they decrypt. Those of a pipe
// come with its packets.
func (in input) tlsKeys(ctx context.Context, f func(lines []byte)) (err error) {
	if in.piped() {
		return nil
	}
	var src io.ReadCloser
	if in.get != nil {
		src, err = in.get(ctx)
	} else {
		src, err = os.Open(in.path)
	}
	if err != nil {
		return err
	}
	return errors.Join(pcapfile.TLSKeys(ctx, src, in.path, f), src.Close())
}

// identity is 10 base32 characters of a hash of path and beginning of a file: 50
// bits. It stays when the file grows beyond its first MiB.
func identity(path string, first []byte) string {
	h := sha256.New()
	_, _ = io.WriteString(h, path+"\x00") // never fails
	_, _ = h.Write(first)
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil))[:10])
}

// countingReader counts what is read for the progress, and ends when ctx does.
type countingReader struct {
	ctx context.Context // lives as long as the reading of one file
	r   io.Reader
	n   int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF { //nolint:errorlint // as io.Reader gives it
		err = readError{err}
	}
	return n, err
}

// readError tells that a file could not be read, in contrast to what its bytes mean. Another time it may be.
type readError struct{ error }

func (e readError) Unwrap() error { return e.error }

// inTimeOrder sorts the files of a series by the time of their first packet,
// and by name where that is equal. Files without packets come last.
func inTimeOrder(ctx context.Context, inputs []input) ([]input, error) {
	type dated struct {
		input
		nanos int64
	}
	all := make([]dated, len(inputs))
	for i, in := range inputs {
		if in.path == Stdin {
			return nil, errors.New("a series is made of files, not of the standard input")
		}
		nanos, err := firstTime(ctx, in)
		if err != nil {
			return nil, err
		}
		all[i] = dated{in, nanos}
	}
	slices.SortStableFunc(all, func(a, b dated) int {
		if a.nanos != b.nanos {
			if a.nanos < b.nanos {
				return -1
			}
			return 1
		}
		return strings.Compare(a.path, b.path)
	})
	for i := range all {
		inputs[i] = all[i].input
	}
	return inputs, nil
}

const noPackets = 1<<63 - 1

func firstTime(ctx context.Context, in input) (nanos int64, err error) {
	o, err := in.open(ctx, nil)
	if err != nil {
		if in.walked && errors.Is(err, pcapfile.ErrFormat) {
			return noPackets, nil // told when it is its turn
		}
		return 0, err
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	var rec pcapfile.Record
	if err := o.reader.Next(&rec); err != nil {
		return noPackets, nil //nolint:nilerr // told when it is its turn
	}
	return rec.TimeNanos, nil
}
