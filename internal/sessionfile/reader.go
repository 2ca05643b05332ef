package sessionfile

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/objstore"
)

const (
	// tailBytes is what the first GET of a file takes of its end: the footer, the page
	// indexes before it, and the whole of a small file.
	tailBytes = 128 << 10

	// maxFooterBytes bounds the footer that is believed: 500 columns in 1000 row groups.
	maxFooterBytes = 64 << 20

	// maxPageBytes bounds a page before compression. It is above maxGroupBytes, which
	// bounds what a writer puts into one.
	maxPageBytes = 256 << 20
)

// Reader opens the session files of one store. It is safe for concurrent use.
type Reader struct {
	store  objstore.Store
	schema *Schema
	zstd   *zstd.Decoder
}

// NewReader returns a reader of files whose columns schema names. Columns that a file
// lacks are read as null, columns that the schema lacks are left out.
func NewReader(store objstore.Store, schema *Schema) (*Reader, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPageBytes), zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(0))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &Reader{store: store, schema: schema, zstd: z}, nil
}

// Schema returns the schema that the reader was made with.
func (r *Reader) Schema() *Schema { return r.schema }

// File is the footer of one object. It is immutable, may be kept in a cache and used by
// several goroutines.
type File struct {
	Object objstore.Object
	reader *Reader
	footer *footer
	tail   []byte // the file's bytes from tailAt to the footer
	tailAt int64
}

// Open reads the footer of the object at key: one GET, or two when the footer is larger
// than 128 KiB. Its errors wrap [ErrCorrupt] when the object is damaged.
func (r *Reader) Open(ctx context.Context, key string) (*File, error) {
	for {
		f, err := r.open(ctx, key)
		if !errors.Is(err, ErrChanged) {
			return f, err
		}
	}
}

// open is Open, or ErrChanged when the object was replaced between the GETs.
func (r *Reader) open(ctx context.Context, key string) (*File, error) {
	tail, obj, err := r.store.GetRange(ctx, key, -tailBytes, 0)
	if err != nil {
		return nil, err
	}
	const trailer = 8 // length of the footer and magic
	if len(tail) < len(magic)+trailer || string(tail[len(tail)-len(magic):]) != magic {
		return nil, corrupt(key, max(0, obj.Size-int64(len(magic))), "no %s at the end of %d bytes", magic, obj.Size)
	}
	n := int64(binary.LittleEndian.Uint32(tail[len(tail)-trailer:]))
	at := obj.Size - trailer - n
	if n > maxFooterBytes || at < int64(len(magic)) {
		return nil, corrupt(key, obj.Size-trailer, "footer of %d bytes in a file of %d", n, obj.Size)
	}
	tailAt := obj.Size - int64(len(tail))
	b := tail
	if at < tailAt {
		var now objstore.Object
		b, now, err = r.store.GetRange(ctx, key, at, tailAt-at)
		if errors.Is(err, objstore.ErrRange) || err == nil && now.ETag != obj.ETag {
			return nil, fmt.Errorf("%w: %q", ErrChanged, key)
		}
		if err != nil {
			return nil, err
		}
		if int64(len(b)) != tailAt-at {
			return nil, corrupt(key, at, "footer is cut")
		}
		b = append(b, tail...)
		tail, tailAt = nil, at
	} else {
		b, tail = tail[at-tailAt:], tail[:at-tailAt]
	}
	f, err := parseFooter(key, r.schema, b[:n], at)
	if err != nil {
		return nil, err
	}
	if len(tail) > 0 && obj.Size > tailBytes {
		tail = append([]byte(nil), tail...) // lets go of the footer's bytes
	}
	return &File{Object: obj, reader: r, footer: f, tail: tail, tailAt: tailAt}, nil
}

// Rows returns the number of rows.
func (f *File) Rows() int64 { return f.footer.rows }

// Sensor returns the sensor of the rows, "" when they are of several or it is not told.
func (f *File) Sensor() string { return f.footer.sensor }

// Times returns the earliest and the latest first packet, and the latest last packet, in ms
// since 1970. It returns false when the file does not tell.
func (f *File) Times() (firstMin, firstMax, lastMax int64, ok bool) {
	return f.footer.firstMin, f.footer.firstMax, f.footer.lastMax, f.footer.timed
}

// Memory returns about how many bytes f holds, for caches.
func (f *File) Memory() int64 { return f.footer.memory() + int64(cap(f.tail)) }

// NumGroups returns the number of row groups.
func (f *File) NumGroups() int { return len(f.footer.groups) }

// Columns returns the dotted paths in the Parquet schema of the columns that have a value in any row group.
func (f *File) Columns() []string {
	var out []string
	for i := range f.reader.schema.columns {
		for g := range f.footer.groups {
			if f.footer.groups[g].chunk(i) != nil {
				out = append(out, strings.Join(f.reader.schema.columns[i].path, "."))
				break
			}
		}
	}
	return out
}
