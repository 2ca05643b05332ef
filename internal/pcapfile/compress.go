package pcapfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

const (
	// maxZstdWindow is what zstd's own tool decompresses without being told to (--long=27).
	maxZstdWindow = 128 << 20
	// maxXzDict is what xz -9 needs. The library allocates what the file asks for, up to 4 GiB; more than
	// this in the first block is refused.
	maxXzDict = 64 << 20
)

// xzMagic starts an xz stream.
const xzMagic = "\xfd7zXZ\x00"

// source is the stream under a decompressor. It remembers its own error, which is one of I/O and not of
// the file's content.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// decompress returns the decompressor that the first bytes of a stream call for, nil when they call for
// none, and what releases it.
func decompress(head []byte, r io.Reader) (io.Reader, func(), error) {
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("gzip: %w", err)
		}
		return z, func() {}, nil
	case bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd}),
		len(head) >= 4 && head[0]&0xf0 == 0x50 && bytes.Equal(head[1:4], []byte{0x2a, 0x4d, 0x18}): // skippable frame
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, nil, fmt.Errorf("zstd: %w", err)
		}
		return z, z.Close, nil
	case bytes.HasPrefix(head, []byte(xzMagic)):
		if n := xzDict(head); n > maxXzDict {
			return nil, nil, fmt.Errorf("xz: dictionary of %d bytes, at most %d", n, maxXzDict)
		}
		z, err := xz.NewReader(r)
		if err != nil {
			return nil, nil, fmt.Errorf("xz: %w", err)
		}
		return z, func() {}, nil
	}
	return nil, nil, nil
}

// xzDict returns the dictionary size in the first block header of an xz stream, 0 when it is not found
// (the decompressor then says what is wrong). Format: tukaani.org/xz/xz-file-format.txt, section 3.1.
func xzDict(head []byte) int64 {
	const streamHeader, lzma2 = 12, 0x21
	if len(head) < streamHeader+2 {
		return 0
	}
	flags, b := head[streamHeader+1], head[streamHeader+2:]
	for _, present := range []bool{flags&0x40 != 0, flags&0x80 != 0} { // sizes, as variable-length integers
		for present && len(b) > 0 {
			present = b[0]&0x80 != 0
			b = b[1:]
		}
	}
	if flags&3 != 0 || len(b) < 3 || b[0] != lzma2 || b[1] != 1 || b[2] > 40 {
		return 0
	}
	if b[2] == 40 {
		return 1<<32 - 1
	}
	return int64(2|b[2]&1) << (b[2]/2 + 11)
}
