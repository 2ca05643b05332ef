package chunk

import (
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Decoder decodes the frames of chunks. It is safe for concurrent use, and one
// serves a whole process. Nothing of it must be closed.
type Decoder struct {
	zstd    *zstd.Decoder
	buffers sync.Pool // of *[]byte, for the content of frames
}

// NewDecoder returns a decoder that decodes at most concurrency frames at once.
func NewDecoder(concurrency int) (*Decoder, error) {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(max(1, concurrency)), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxIndexBytes))
	if err != nil {
		return nil, fmt.Errorf("zstd decoder: %w", err)
	}
	return &Decoder{zstd: d}, nil
}

// frame decodes the frame at the start of b over dst[:0]. The checksum over the
// content is checked by zstd.
func (d *Decoder) frame(key string, offset int64, b, dst []byte) (content []byte, size int, err error) {
	f, reason := parseFrame(b)
	if reason != "" {
		return nil, 0, corrupt(key, offset, "%s", reason)
	}
	if cap(dst) < f.content {
		dst = make([]byte, 0, max(f.content, FlowFrameBytes))
	}
	content, err = d.zstd.DecodeAll(b[:f.compressed], dst[:0])
	if err != nil {
		return nil, 0, corrupt(key, offset, "frame of %d bytes: %v", f.compressed, err)
	}
	if len(content) != f.content {
		return nil, 0, corrupt(key, offset, "frame has %d bytes of content, its header says %d", len(content), f.content)
	}
	return content, f.compressed, nil
}

// Records reads the records of a range one after the other.
type Records struct {
	dec    *Decoder
	key    string
	offset int64   // in the object, of the next frame
	rest   []byte  // frames not decoded yet
	buf    *[]byte // content of the current frame; from the decoder's pool
	at     []byte  // what of it is not read yet
	frame  int64   // offset of the current frame
	skip   uint64
	left   uint64 // raw bytes of records not read yet
	err    error
}

// Range reads records from a part of the object that the caller fetched, with
// no need of the index: compressed is whole frames beginning at byte offset of
// object key, the records wanted begin skip raw bytes into the content of the
// first of them and take length raw bytes. The numbers are those of
// Reader.CompressedRange. Frames are decoded as they are reached; compressed must
// not change meanwhile.
func (d *Decoder) Range(key string, offset int64, compressed []byte, skip, length uint64) *Records {
	return &Records{dec: d, key: key, offset: offset, rest: compressed, skip: skip, left: length}
}

// DecodeRange is Decoder.Range for a caller that keeps no Decoder.
func DecodeRange(key string, offset int64, compressed []byte, skip, length uint64) (*Records, error) {
	d, err := NewDecoder(1)
	if err != nil {
		return nil, err
	}
	return d.Range(key, offset, compressed, skip, length), nil
}

// Next decodes the next record into r, whose Data is valid until the next call.
// The end of the range is io.EOF; damage is a CorruptError, and final.
func (s *Records) Next(r *Record) error {
	if s.err == nil {
		if s.err = s.next(r); s.err != nil && s.buf != nil {
			s.dec.buffers.Put(s.buf)
			s.buf, s.at = nil, nil
		}
	}
	return s.err
}

func (s *Records) next(r *Record) error {
	for len(s.at) == 0 {
		if s.left == 0 {
			return io.EOF
		}
		if err := s.nextFrame(); err != nil {
			return err
		}
	}
	n, reason := decodeRecord(s.at, r)
	if reason == "" && uint64(n) > s.left { //nolint:gosec // positive
		reason = fmt.Sprintf("range ends within a record: %d bytes of %d", s.left, n)
	}
	if reason != "" {
		return corrupt(s.key, s.frame, "byte %d of the frame's content: %s", len(*s.buf)-len(s.at), reason)
	}
	s.at = s.at[n:]
	if s.left -= uint64(n); s.left == 0 { //nolint:gosec // positive
		s.at = nil
	}
	return nil
}

func (s *Records) nextFrame() error {
	if len(s.rest) == 0 {
		return corrupt(s.key, s.offset, "range ends %d raw bytes early", s.left)
	}
	if s.buf == nil {
		s.buf, _ = s.dec.buffers.Get().(*[]byte)
		if s.buf == nil {
			s.buf = new([]byte)
		}
	}
	content, n, err := s.dec.frame(s.key, s.offset, s.rest, *s.buf)
	if err != nil {
		return err
	}
	*s.buf = content
	if s.skip > uint64(len(content)) {
		return corrupt(s.key, s.offset, "range begins %d bytes into a frame of %d", s.skip, len(content))
	}
	s.at, s.frame = content[s.skip:], s.offset
	s.skip = 0
	s.rest = s.rest[n:]
	s.offset += int64(n)
	return nil
}
