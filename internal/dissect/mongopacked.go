package dissect

import (
	"bytes"
	"encoding/binary"
	"io"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
)

// mongoUnpack returns the message that one of type OP_COMPRESSED holds, or its beginning, as it was before; nil when that
// cannot be told ("MongoDB Wire Protocol", OP_COMPRESSED: the type, the length and the compressor stand in front).
func mongoUnpack(m []byte) []byte {
	const none, snappy, zlibID, zstdID = 0, 1, 2, 3
	w := wire{b: m[mongoHeader:]}
	kind, size, compressor := w.le(4), w.le(4), w.le(1)
	if w.bad || kind == mongoPacked || size > 64<<20 {
		return nil
	}
	out := make([]byte, mongoHeader, mongoHeader+min(int(size), mongoMaxRead))
	copy(out, m[:mongoHeader])
	binary.LittleEndian.PutUint32(out[12:], uint32(kind))
	switch compressor {
	case none:
		return append(out, w.b...)
	case snappy: // a block, which must be there as a whole
		if n, err := s2.DecodedLen(w.b); err != nil || n > 4*mongoMaxRead {
			return nil
		}
		body, err := s2.Decode(nil, w.b)
		if err != nil {
			return nil
		}
		return append(out, body...)
	case zlibID:
		r, err := zlib.NewReader(bytes.NewReader(w.b))
		if err != nil {
			return nil
		}
		return mongoInflate(out, r)
	case zstdID:
		r, err := zstd.NewReader(bytes.NewReader(w.b), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(1<<20))
		if err != nil {
			return nil
		}
		defer r.Close()
		return mongoInflate(out, r)
	}
	return nil
}

// mongoInflate appends what r gives, up to the part of a message that is read. That r's input ends early does not matter:
// long messages are cut.
func mongoInflate(out []byte, r io.Reader) []byte {
	n := len(out)
	out = append(out, make([]byte, mongoMaxRead)...)
	read, err := io.ReadFull(r, out[n:])
	if err != nil && read == 0 {
		return nil
	}
	return out[:n+read]
}
