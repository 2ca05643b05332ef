package chunk

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// A frame is compressed unless a sample of it looks random: samples of 128 bytes,
// evenly spread over the frame, 4 KiB at most, and the order-0 entropy of those.
// TLS and QUIC frames have 7.8 to 7.98 bits a byte, their packet headers included;
// base64 has 6, text under 5.5, programs about 6.5. Above the limit compression
// would gain a few percent for half of the CPU of a seal.
const (
	samplePiece   = 128
	sampleBytes   = 4 << 10
	maxSampleBits = 7.5
	minSample     = 1 << 10 // a smaller sample cannot show what random looks like
)

// looksRandom says whether src is not worth compressing.
func looksRandom(src []byte) bool {
	if len(src) < minSample {
		return false
	}
	// Four histograms, so that equal neighbours do not wait for one another.
	var hist [4][256]uint16
	n := 0
	step := max(samplePiece, len(src)/(sampleBytes/samplePiece))
	for off := 0; off+samplePiece <= len(src) && n < sampleBytes; off += step {
		p := src[off : off+samplePiece]
		for i := 0; i+3 < len(p); i += 4 {
			hist[0][p[i]]++
			hist[1][p[i+1]]++
			hist[2][p[i+2]]++
			hist[3][p[i+3]]++
		}
		n += samplePiece
	}
	var sum float64
	for i := range 256 {
		if c := hist[0][i] + hist[1][i] + hist[2][i] + hist[3][i]; c > 0 {
			sum += float64(c) * math.Log2(float64(c))
		}
	}
	bits := math.Log2(float64(n)) - sum/float64(n)
	// A sample of n bytes of a random source falls short of 8 bits by this much.
	bias := 255 / (2 * math.Ln2 * float64(n))
	return bits+bias > maxSampleBits
}

// newEncoder returns a compressor of whole frames, for one goroutine.
func newEncoder(level zstd.EncoderLevel) (*zstd.Encoder, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true), zstd.WithSingleSegment(true), zstd.WithWindowSize(FlowFrameBytes), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return enc, nil
}

// encodedFrame is a frame in parts to be written one after the other. The parts
// are those of its content and of buf; both are used again for the next frame.
type encodedFrame struct {
	parts      [][]byte
	buf        []byte // compressed frame, or the headers of a raw one
	compressed int    // bytes of the frame
	content    int    // bytes in it
	raw        bool
	crc        uint32 // CRC32C of the frame; 0 when it is raw
	sum        uint32 // the frame's own checksum: low 32 bits of XXH64 of the content
}

// encode makes f a frame of src, which must not be empty.
func (f *encodedFrame) encode(enc *zstd.Encoder, src []byte) {
	if looksRandom(src) {
		f.encodeRaw(src)
		return
	}
	f.buf = enc.EncodeAll(src, f.buf[:0])
	if len(f.buf) >= len(src)+rawOverhead(len(src)) {
		f.encodeRaw(src)
		return
	}
	f.parts = append(f.parts[:0], f.buf)
	f.compressed, f.content, f.raw = len(f.buf), len(src), false
	f.crc = crc32c(0, f.buf)
	f.sum = binary.LittleEndian.Uint32(f.buf[len(f.buf)-checksumSize:])
}

// rawOverhead is the bytes of a raw frame that are not content.
func rawOverhead(n int) int {
	var h [16]byte
	return len(appendFrameHeader(h[:0], n)) + (n+maxBlockBytes-1)/maxBlockBytes*blockHeaderSize + checksumSize
}

// encodeRaw makes f a frame of raw blocks, without copying src.
func (f *encodedFrame) encodeRaw(src []byte) {
	if need := rawOverhead(len(src)); cap(f.buf) < need {
		f.buf = make([]byte, 0, need)
	}
	f.content, f.raw = len(src), true
	f.sum = uint32(xxhash.Sum64(src)) //nolint:gosec // the low half is meant
	h := appendFrameHeader(f.buf[:0], len(src))
	f.parts = append(f.parts[:0], h)
	for rest := src; len(rest) > 0; {
		n := min(len(rest), maxBlockBytes)
		at := len(h)
		h = h[:at+blockHeaderSize]
		putBlockHeader(h[at:], n == len(rest), blockRaw, n)
		f.parts = append(f.parts, h[at:], rest[:n])
		rest = rest[n:]
	}
	at := len(h)
	h = binary.LittleEndian.AppendUint32(h, f.sum)
	f.parts = append(f.parts, h[at:])
	f.crc, f.compressed = 0, len(src)+len(h)
}

// crc32c continues the Castagnoli CRC of RFC 3720, appendix B.4.
func crc32c(crc uint32, b []byte) uint32 {
	return crc32.Update(crc, crc32.MakeTable(crc32.Castagnoli), b)
}
