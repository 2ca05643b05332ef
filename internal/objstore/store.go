// Package objstore is the object storage that everything of wirelake is kept in:
// a small interface, and two real implementations of it, [Open]ed by URL.
//
//	s3://bucket/prefix   S3 and what speaks its API (MinIO and others)
//	file:///dir          a folder of a local disk, with the same semantics
//
// An object is written whole or not at all, is visible to every reader as soon
// as the write returns, and never changes under a reader that has it open.
// Conditional writes ([IfAbsent], [IfMatch]) are atomic between processes, and
// between machines on S3; leases and checkpoints are built on them.
//
// The package knows nothing of chunks, sessions or what else the bytes mean.
// Both implementations pass the conformance suite in storetest.
package objstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"
	"unicode/utf8"
)

// What a caller may decide on. Every error of a Store names the object key or
// the prefix it is about, and wraps one of these where one fits.
var (
	ErrNotFound = errors.New("no such object")
	ErrExists   = errors.New("object exists already")             // IfAbsent lost
	ErrMismatch = errors.New("object is not the one expected")    // IfMatch lost: changed or gone
	ErrRange    = errors.New("range begins beyond the object")    // GetRange with off above the size
	ErrDenied   = errors.New("access denied by the object store") // credentials are missing, wrong or not enough
	ErrAway     = errors.New("the object store does not answer")  // of Open and Check: it may later
	ErrKey      = errors.New("invalid object key")
)

// MaxKeyBytes is the longest key, prefix included, that S3 stores.
const MaxKeyBytes = 1024

// Object describes a stored object.
type Object struct {
	Key     string    // relative to the store's URL, "/" between its parts, no leading "/"
	Size    int64     // bytes
	ETag    string    // opaque; changes whenever the object is written; for IfMatch
	ModTime time.Time // last write, UTC, to the precision that the store keeps
}

// Store is one bucket, prefix or folder of objects. Its methods may be called
// by many goroutines at once. Failures that a repeat can mend are repeated
// inside, with backoff, until ctx ends or the configured attempts are used up.
type Store interface {
	// Get opens the object for reading from its start. A body that breaks off
	// on the way is resumed inside; Read never ends with io.EOF before
	// Object.Size bytes, and at the end with an error instead when the content
	// is not what was stored: so read up to io.EOF. The caller closes the reader, also after an error.
	Get(ctx context.Context, key string) (io.ReadCloser, Object, error)

	// GetRange returns the n bytes from off, or what there is of them when the
	// object ends first (off equal to its size gives none, and no error). A
	// negative off asks for the last -off bytes, or the whole object when it is
	// shorter; n is then ignored. The slice is the caller's. Object.Size is the
	// size of the whole object. An off beyond the end is ErrRange.
	GetRange(ctx context.Context, key string, off, n int64) ([]byte, Object, error)

	// Put stores size bytes of r under key, replacing what is there unless an
	// option says otherwise. A size of -1 means until r ends. When r gives fewer
	// or more bytes than size, nothing is stored. On return the object is durable.
	// When r is an io.ReaderAt and an io.Seeker, as bytes.Reader and os.File are,
	// it may be read at several places at once and is not copied; it is then left
	// at any position.
	Put(ctx context.Context, key string, r io.Reader, size int64, opts ...PutOption) (Object, error)

	// List yields the objects whose key begins with prefix, in lexicographic
	// order of the key's bytes, strictly after startAfter (all for ""). Objects
	// written or deleted meanwhile may or may not be seen. After an error, which
	// is yielded once with a zero Object, the sequence ends.
	List(ctx context.Context, prefix, startAfter string) iter.Seq2[Object, error]

	// ListPrefixes returns, in order and each once, the keys that begin with
	// prefix cut after the first delim behind it. Keys without one are left out.
	// With delim "/" these are the folders in the folder prefix, such as
	// "chunks/sensor=a/" for "chunks/".
	ListPrefixes(ctx context.Context, prefix, delim string) ([]string, error)

	// Head describes the object without reading it.
	Head(ctx context.Context, key string) (Object, error)

	// Delete removes the object; one that is not there is no error.
	Delete(ctx context.Context, key string) error

	// URL names the store, as Open takes it, without secrets.
	URL() string
}

// PutOption is a rare extra of a single Put.
type PutOption func(*putOptions)

type putOptions struct {
	ifAbsent    bool
	ifMatch     string
	contentType string
	resume      string // path of the note; "": none
	pace        func(ctx context.Context, n int) error
}

func newPutOptions(opts []PutOption) (putOptions, error) {
	var o putOptions
	for _, opt := range opts {
		opt(&o)
	}
	if o.ifAbsent && o.ifMatch != "" {
		return o, errors.New("IfAbsent and IfMatch exclude each other")
	}
	return o, nil
}

// IfAbsent makes Put fail with ErrExists when the key has an object. Of several
// writers at once exactly one succeeds.
func IfAbsent() PutOption { return func(o *putOptions) { o.ifAbsent = true } }

// IfMatch makes Put fail with ErrMismatch unless the key has an object with this
// ETag, which must not be empty. Of several writers at once exactly one succeeds.
func IfMatch(etag string) PutOption {
	return func(o *putOptions) {
		if etag == "" {
			etag = "none" // matches nothing: an empty ETag must not become an unconditional write
		}
		o.ifMatch = etag
	}
}

// ContentType is stored with the object where the store keeps such a thing.
func ContentType(mime string) PutOption { return func(o *putOptions) { o.contentType = mime } }

// PutBytes stores b under key.
func PutBytes(ctx context.Context, s Store, key string, b []byte, opts ...PutOption) (Object, error) {
	return s.Put(ctx, key, bytes.NewReader(b), int64(len(b)), opts...)
}

// GetAll reads the whole object, for objects known to be small.
func GetAll(ctx context.Context, s Store, key string) (b []byte, o Object, err error) {
	r, o, err := s.Get(ctx, key)
	if err != nil {
		return nil, Object{}, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	b = make([]byte, o.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, Object{}, fmt.Errorf("read %q: %w", key, err)
	}
	// The end is where a store tells that the content is damaged.
	var more [1]byte
	if n, err := io.ReadFull(r, more[:]); err != io.EOF {
		return nil, Object{}, fmt.Errorf("read %q: %d bytes behind its end: %w", key, n, err)
	}
	return b, o, nil
}

// CheckKey says what is wrong with a key: it must be one to MaxKeyBytes bytes of
// parts joined by "/", each part not empty, not "." or "..", and without control
// characters, in UTF-8. The error wraps ErrKey.
func CheckKey(key string) error {
	switch {
	case key == "":
		return fmt.Errorf("%w: it is empty", ErrKey)
	case len(key) > MaxKeyBytes:
		return fmt.Errorf("%w: %d bytes long, at most %d: %.60q…", ErrKey, len(key), MaxKeyBytes, key)
	}
	if !utf8.ValidString(key) {
		return fmt.Errorf("%w: it is not UTF-8: %q", ErrKey, key)
	}
	for part := range strings.SplitSeq(key, "/") {
		switch part {
		case "":
			return fmt.Errorf("%w: empty part: %q", ErrKey, key)
		case ".", "..":
			return fmt.Errorf("%w: part %q: %q", ErrKey, part, key)
		}
	}
	for i := range len(key) {
		if key[i] < 0x20 || key[i] == 0x7f {
			return fmt.Errorf("%w: control character at byte %d: %q", ErrKey, i, key)
		}
	}
	return nil
}

// possiblePrefix reports whether keys may begin with prefix, judging by its
// folders. Stores answer for others without asking: as a path they could lead
// out of a folder, and some servers refuse them.
func possiblePrefix(prefix string) bool {
	i := strings.LastIndexByte(prefix, '/')
	return i < 0 || CheckKey(prefix[:i]) == nil
}
