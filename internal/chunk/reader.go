package chunk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"

	"wirelake/internal/objstore"
)

// rangeGetter is what a reader needs of an object store.
type rangeGetter interface {
	// GetRange returns n bytes from off, or the last -off when off is negative.
	GetRange(ctx context.Context, key string, off, n int64) ([]byte, objstore.Object, error)
}

// tailBytes is the first suffix GET of Open. A chunk of 64 MiB of mixed traffic has
// 40 KiB of index and seek table, so that nearly always one GET is enough; that
// of DNS alone has 2 MiB and takes two. On S3 half a megabyte takes no longer than
// the round trip that it may spare.
const tailBytes = 512 << 10

// Reader reads one chunk by byte ranges. It holds its index in memory, and
// fetches data when asked. Its methods may be called by several goroutines at once.
type Reader struct {
	src   rangeGetter
	key   string
	size  int64 // of the object
	index *index
	tail  []byte // last bytes of the object, as far as Open fetched them
	dec   *Decoder
}

// Option is a rare extra of Open.
type Option func(*Reader)

// WithDecoder makes the reader decode with d instead of a decoder of its own.
func WithDecoder(d *Decoder) Option { return func(r *Reader) { r.dec = d } }

// Open fetches and checks the end of the object: seek table and index, with one
// suffix GET, and a second one when they are larger than half a megabyte. The error
// wraps ErrCorrupt or ErrVersion when the object is no chunk that can be read.
func Open(ctx context.Context, src rangeGetter, key string, opts ...Option) (*Reader, error) {
	r := &Reader{src: src, key: key}
	for _, opt := range opts {
		opt(r)
	}
	if r.dec == nil {
		var err error
		if r.dec, err = NewDecoder(1); err != nil {
			return nil, err
		}
	}
	if err := r.fetchTail(ctx, tailBytes); err != nil {
		return nil, err
	}
	if err := r.readTail(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *Reader) fetchTail(ctx context.Context, n int64) error {
	b, obj, err := r.src.GetRange(ctx, r.key, -n, n)
	if err != nil {
		return fmt.Errorf("chunk %q: %w", r.key, err)
	}
	if r.size != 0 && obj.Size != r.size {
		return corrupt(r.key, 0, "object changed from %d to %d bytes while it was read", r.size, obj.Size)
	}
	if int64(len(b)) != min(n, obj.Size) {
		return fmt.Errorf("chunk %q: store gave %d of the last %d bytes", r.key, len(b), min(n, obj.Size))
	}
	r.tail, r.size = b, obj.Size
	return nil
}

// readTail finds the seek table and the index in the tail, fetching more of it if needed.
func (r *Reader) readTail(ctx context.Context) error {
	if len(r.tail) < seekFooterSize {
		return corrupt(r.key, 0, "object of %d bytes is too short for a chunk", r.size)
	}
	tableSize, reason := decodeSeekFooter(r.tail[len(r.tail)-seekFooterSize:])
	if reason != "" {
		return corrupt(r.key, r.size-seekFooterSize, "%s", reason)
	}
	if err := r.need(ctx, int64(tableSize)); err != nil {
		return err
	}
	table := r.tail[len(r.tail)-tableSize:]
	tableOffset := r.size - int64(tableSize)
	frames, indexSize, reason := decodeSeekTable(table)
	if reason != "" {
		return corrupt(r.key, tableOffset, "%s", reason)
	}
	last := frames[len(frames)-1]
	indexOffset := last.Offset + int64(last.Size)
	if indexOffset+int64(indexSize) != tableOffset || indexSize < skippableHeaderSize || indexSize > MaxIndexBytes {
		return corrupt(r.key, tableOffset, "frames of the seek table end at %d, and the index of %d bytes at %d", indexOffset, indexSize, indexOffset+int64(indexSize))
	}
	if err := r.need(ctx, int64(tableSize+indexSize)); err != nil {
		return err
	}
	frame := r.tail[len(r.tail)-tableSize-indexSize:][:indexSize]
	if le32(frame) != indexSkippable || le32(frame[4:]) != uint32(indexSize-skippableHeaderSize) { //nolint:gosec // MaxIndexBytes
		return corrupt(r.key, indexOffset, "no index frame of %d bytes here", indexSize)
	}
	ix, version, reason := decodeIndex(frame[skippableHeaderSize:], frames, r.dec.zstd)
	if version != Version {
		return fmt.Errorf("chunk %q offset %d: %w: found %d, supported is %d", r.key, indexOffset, ErrVersion, version, Version)
	}
	if reason != "" {
		return corrupt(r.key, indexOffset, "%s", reason)
	}
	r.index = ix
	return nil
}

// need makes the tail hold the last n bytes of the object.
func (r *Reader) need(ctx context.Context, n int64) error {
	if n > r.size {
		return corrupt(r.key, r.size, "object of %d bytes is cut: its end tells of %d", r.size, n)
	}
	if n <= int64(len(r.tail)) {
		return nil
	}
	// A seek table that is large says that the index is, too.
	return r.fetchTail(ctx, min(r.size, 2*n))
}

// Key is the object key.
func (r *Reader) Key() string { return r.key }

// Meta says what the chunk holds.
func (r *Reader) Meta() Meta { return r.index.meta }

// SizeBytes is the size of the object.
func (r *Reader) SizeBytes() int64 { return r.size }

// RawBytes is the size of the stream.
func (r *Reader) RawBytes() uint64 {
	last := r.index.frames[len(r.index.frames)-1]
	return last.RawOffset + uint64(last.RawSize)
}

// IndexBytes is the size of the index frame.
func (r *Reader) IndexBytes() int64 {
	return r.size - r.dataSize() - int64(skippableHeaderSize+(len(r.index.frames)+1)*seekEntrySize+seekFooterSize)
}

// dataSize is the size of all data frames, which begin the object.
func (r *Reader) dataSize() int64 {
	last := r.index.frames[len(r.index.frames)-1]
	return last.Offset + int64(last.Size)
}

// ContentSum identifies the packets: equal in two chunks of the same stream,
// whichever program compressed it.
func (r *Reader) ContentSum() uint64 { return r.index.contentSum }

// Flows returns the flows in the order of the stream: by first packet time. The
// slice is the reader's.
func (r *Reader) Flows() []FlowEntry { return r.index.flows }

// Frames returns the data frames in order, the first of which is the pcap
// header's. The slice is the reader's.
func (r *Reader) Frames() []Frame { return r.index.frames }

// CompressedRange returns the whole frames that hold the raw bytes
// [off, off+length) of the stream: size bytes from offset of the object, in whose
// content the wanted begins at skip. It panics when the stream has no such range,
// which those of Flows always are in.
func (r *Reader) CompressedRange(off, length uint64) (offset, size int64, skip uint64) {
	if length == 0 || off+length > r.RawBytes() || off+length < off {
		panic(fmt.Sprintf("chunk: range %d+%d of a stream of %d bytes", off, length, r.RawBytes()))
	}
	return RangeOf(r.index.frames, off, length)
}

// RangeOf is Reader.CompressedRange for a caller that kept the Frames and not the
// Reader. The range must be one of the stream.
func RangeOf(frames []Frame, off, length uint64) (offset, size int64, skip uint64) {
	first := frames[frameAt(frames, off)]
	last := frames[frameAt(frames, off+length-1)]
	return first.Offset, last.Offset + int64(last.Size) - first.Offset, off - first.RawOffset
}

// frameAt returns the number of the frame with byte off of the stream.
func frameAt(frames []Frame, off uint64) int {
	return sort.Search(len(frames), func(i int) bool { return frames[i].RawOffset > off }) - 1
}

// ReadFlow fetches the frames of flow i of Flows with one GET, and returns its records.
func (r *Reader) ReadFlow(ctx context.Context, i int) (*Records, error) {
	e := r.index.flows[i]
	offset, size, skip := r.CompressedRange(e.Offset, e.Length)
	b, err := r.fetch(ctx, offset, size)
	if err != nil {
		return nil, err
	}
	if err := r.checkFrames(offset, b); err != nil {
		return nil, err
	}
	return r.dec.Range(r.key, offset, b, skip, e.Length), nil
}

// fetch returns a range of the object, from the tail if Open has fetched that.
func (r *Reader) fetch(ctx context.Context, offset, size int64) ([]byte, error) {
	if at := offset - (r.size - int64(len(r.tail))); at >= 0 {
		return slices.Clip(r.tail[at : at+size]), nil
	}
	b, _, err := r.src.GetRange(ctx, r.key, offset, size)
	if err != nil {
		if errors.Is(err, objstore.ErrRange) {
			return nil, corrupt(r.key, offset, "object ends before byte %d", offset+size)
		}
		return nil, fmt.Errorf("chunk %q bytes %d-%d: %w", r.key, offset, offset+size-1, err)
	}
	if int64(len(b)) != size {
		return nil, corrupt(r.key, offset, "object ends before byte %d", offset+size)
	}
	return b, nil
}

// checkFrames compares the CRCs of the whole frames b, which begin at offset. In a
// frame of raw blocks the checksum over the content leaves nothing unchecked; in
// a compressed one some bits have no influence on the content.
func (r *Reader) checkFrames(offset int64, b []byte) error {
	frames := r.index.frames
	i := sort.Search(len(frames), func(i int) bool { return frames[i].Offset >= offset })
	for ; len(b) > 0; i++ {
		f := frames[i]
		size, reason := parseFrame(b[:f.Size])
		if reason != "" {
			return corrupt(r.key, f.Offset, "%s", reason)
		}
		if !size.raw {
			if got := crc32c(0, b[:f.Size]); got != f.CRC {
				return corrupt(r.key, f.Offset, "frame of %d bytes has CRC32C %08x, the index says %08x", f.Size, got, f.CRC)
			}
		}
		b = b[f.Size:]
	}
	return nil
}
