package chunk

import (
	"encoding/binary"
	"fmt"
)

// Frame is a frame of the chunk.
type Frame struct {
	Offset    int64  // in the object
	Size      uint32 // in the object, bytes
	RawOffset uint64 // of its content in the stream
	RawSize   uint32 // of its content, bytes
	CRC       uint32 // CRC32C of the frame as it is in the object; 0 when its blocks are raw
}

// The seek table is the last skippable frame of a file in the zstd project's
// seekable format 0.1.0 (contrib/seekable_format/zstd_seekable_compression_format.md).
// It has an entry for every frame before it, ours of the index included, and no
// checksums: frames carry their own, and the index one over this table.
const (
	seekTableSkippable = skippableMagic | 0xe
	seekableMagic      = 0x8f92eab1
	seekFooterSize     = 9
	seekEntrySize      = 8
)

// appendSeekTable appends the seek table of the data frames and an index frame of this size.
func appendSeekTable(dst []byte, frames []Frame, indexSize int) []byte {
	le := binary.LittleEndian
	n := len(frames) + 1
	dst = le.AppendUint32(dst, seekTableSkippable)
	dst = le.AppendUint32(dst, uint32(n*seekEntrySize+seekFooterSize)) //nolint:gosec // MaxFrames bounds it
	dst = appendSeekEntries(dst, frames)
	dst = le.AppendUint32(dst, uint32(indexSize)) //nolint:gosec // MaxIndexBytes bounds it
	dst = le.AppendUint32(dst, 0)
	dst = le.AppendUint32(dst, uint32(n)) //nolint:gosec // MaxFrames bounds it
	dst = append(dst, 0)                  // descriptor: no checksums
	return le.AppendUint32(dst, seekableMagic)
}

func appendSeekEntries(dst []byte, frames []Frame) []byte {
	for _, f := range frames {
		dst = binary.LittleEndian.AppendUint32(dst, f.Size)
		dst = binary.LittleEndian.AppendUint32(dst, f.RawSize)
	}
	return dst
}

// decodeSeekFooter returns the size of the seek table frame whose last bytes
// these seekFooterSize are.
func decodeSeekFooter(b []byte) (tableSize int, reason string) {
	le := binary.LittleEndian
	n := le.Uint32(b)
	switch {
	case le.Uint32(b[5:]) != seekableMagic:
		return 0, fmt.Sprintf("no seek table at the end: magic %#08x", le.Uint32(b[5:]))
	case b[4] != 0:
		return 0, fmt.Sprintf("seek table descriptor is %#02x", b[4])
	case n < 2 || n > MaxFrames:
		return 0, fmt.Sprintf("seek table of %d frames, want 2 to %d", n, MaxFrames)
	}
	return skippableHeaderSize + int(n)*seekEntrySize + seekFooterSize, ""
}

// decodeSeekTable decodes a whole seek table frame into the data frames and the
// size of the index frame behind them. CRCs are left at 0, for the index has them.
func decodeSeekTable(b []byte) (frames []Frame, indexSize int, reason string) {
	le := binary.LittleEndian
	if len(b) < skippableHeaderSize+seekFooterSize {
		return nil, 0, fmt.Sprintf("seek table is cut: %d bytes", len(b))
	}
	size, reason := decodeSeekFooter(b[len(b)-seekFooterSize:])
	switch {
	case reason != "":
		return nil, 0, reason
	case size != len(b):
		return nil, 0, fmt.Sprintf("seek table of %d bytes, its entries make it %d", len(b), size)
	case le.Uint32(b) != seekTableSkippable:
		return nil, 0, fmt.Sprintf("no seek table here: magic %#08x", le.Uint32(b))
	case le.Uint32(b[4:]) != uint32(len(b)-skippableHeaderSize): //nolint:gosec // MaxFrames bounds it
		return nil, 0, fmt.Sprintf("seek table frame says %d bytes, has %d", le.Uint32(b[4:]), len(b)-skippableHeaderSize)
	}
	entries := b[skippableHeaderSize : len(b)-seekFooterSize]
	n := len(entries)/seekEntrySize - 1
	frames = make([]Frame, n)
	var offset int64
	var raw uint64
	for i := range frames {
		e := entries[i*seekEntrySize:]
		f := Frame{Offset: offset, Size: le.Uint32(e), RawOffset: raw, RawSize: le.Uint32(e[4:])}
		// A frame is never larger than its content and the headers of raw blocks.
		if f.RawSize == 0 || f.RawSize > maxFrameRawBytes || f.Size == 0 || int(f.Size) > int(f.RawSize)+rawOverhead(int(f.RawSize)) {
			return nil, 0, fmt.Sprintf("seek table entry %d: frame of %d bytes with %d bytes of content", i, f.Size, f.RawSize)
		}
		frames[i] = f
		offset += int64(f.Size)
		raw += uint64(f.RawSize)
	}
	last := entries[n*seekEntrySize:]
	if le.Uint32(last[4:]) != 0 {
		return nil, 0, fmt.Sprintf("seek table says that the index has %d bytes of content", le.Uint32(last[4:]))
	}
	if raw > MaxRawBytes+maxFrameRawBytes || frames[0].RawSize != pcapHeaderBytes {
		return nil, 0, fmt.Sprintf("seek table of a stream of %d bytes that begins with a frame of %d", raw, frames[0].RawSize)
	}
	return frames, int(le.Uint32(last)), ""
}
