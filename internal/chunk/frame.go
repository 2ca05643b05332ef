package chunk

import (
	"encoding/binary"
	"fmt"
)

// Frames of a chunk are the narrow part of RFC 8878 that has one way to write
// each header: single segment, content size, checksum, no dictionary. Readers
// take nothing else, so that a flipped bit in a header cannot pass unseen.
const (
	frameMagic     = 0xfd2fb528
	skippableMagic = 0x184d2a50 // to …5f

	skippableHeaderSize = 8
	checksumSize        = 4
	blockHeaderSize     = 3
	maxBlockBytes       = 128 << 10 // RFC 8878, 3.1.1.2.4

	fhdSingleSegment = 1 << 5
	fhdChecksum      = 1 << 2

	// maxFrameRawBytes is the most content of a frame: one record of the largest packet.
	maxFrameRawBytes = recordHeaderSize + MaxCapturedBytes
)

// Block types of RFC 8878, 3.1.1.2.2.
const (
	blockRaw        = 0
	blockRLE        = 1
	blockCompressed = 2
)

// appendFrameHeader appends the header of a frame with this much content.
func appendFrameHeader(dst []byte, contentSize int) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, frameMagic)
	const fhd = fhdSingleSegment | fhdChecksum
	switch {
	case contentSize < 256:
		return append(dst, fhd, byte(contentSize))
	case contentSize < 256+1<<16:
		return le.AppendUint16(append(dst, fhd|1<<6), uint16(contentSize-256)) //nolint:gosec // by the case
	default:
		return le.AppendUint32(append(dst, fhd|2<<6), uint32(contentSize)) //nolint:gosec // at most maxFrameRawBytes
	}
}

func putBlockHeader(dst []byte, last bool, kind, size int) {
	h := size<<3 | kind<<1
	if last {
		h |= 1
	}
	dst[0], dst[1], dst[2] = byte(h), byte(h>>8), byte(h>>16)
}

// frameSize is what the headers of a frame say about it.
type frameSize struct {
	compressed int // bytes of the whole frame
	content    int // bytes after decompression
	raw        bool
}

// parseFrame finds the extent of the frame at the start of b from its frame and
// block headers. It decodes nothing. Layout: RFC 8878, 3.1.1.
func parseFrame(b []byte) (f frameSize, reason string) {
	if len(b) < 6 {
		return f, fmt.Sprintf("frame header is cut: %d bytes", len(b))
	}
	le := binary.LittleEndian
	if m := le.Uint32(b); m != frameMagic {
		return f, fmt.Sprintf("no zstd frame here: magic %#08x", m)
	}
	const fhd = fhdSingleSegment | fhdChecksum
	var pos int
	switch b[4] {
	case fhd:
		f.content, pos = int(b[5]), 6
	case fhd | 1<<6:
		if len(b) >= 7 {
			f.content, pos = int(le.Uint16(b[5:]))+256, 7
		}
	case fhd | 2<<6:
		if len(b) >= 9 {
			f.content, pos = int(le.Uint32(b[5:])), 9
		}
		if pos > 0 && (f.content < 256+1<<16 || f.content > maxFrameRawBytes) {
			return f, fmt.Sprintf("frame has a content size of %d bytes", f.content)
		}
	default:
		return f, fmt.Sprintf("frame header descriptor is %#02x", b[4])
	}
	if pos == 0 {
		return f, "frame header is cut"
	}
	f.raw = true
	blocks := 0
	for last := false; !last; blocks++ {
		if len(b)-pos < blockHeaderSize {
			return f, fmt.Sprintf("frame is cut at byte %d", len(b))
		}
		h := int(b[pos]) | int(b[pos+1])<<8 | int(b[pos+2])<<16
		pos += blockHeaderSize
		last = h&1 != 0
		kind, size := h>>1&3, h>>3
		if size > maxBlockBytes {
			return f, fmt.Sprintf("block of %d bytes", size)
		}
		switch kind {
		case blockRaw:
		case blockRLE:
			size, f.raw = 1, false
		case blockCompressed:
			f.raw = false
		default:
			return f, "block of reserved type"
		}
		if size > len(b)-pos {
			return f, fmt.Sprintf("frame is cut at byte %d", len(b))
		}
		pos += size
	}
	if len(b)-pos < checksumSize {
		return f, fmt.Sprintf("frame is cut at byte %d", len(b))
	}
	f.compressed = pos + checksumSize
	if f.content > blocks*maxBlockBytes { // a few bytes must not cost a large buffer
		return f, fmt.Sprintf("frame has a content size of %d bytes in %d blocks", f.content, blocks)
	}
	return f, ""
}

// appendSkippable appends a skippable frame. magic is skippableMagic to …5f.
func appendSkippable(dst []byte, magic uint32, content []byte) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, magic)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(content))) //nolint:gosec // MaxIndexBytes and MaxFrames bound it
	return append(dst, content...)
}

func le32(b []byte) uint32 { return binary.LittleEndian.Uint32(b) }
