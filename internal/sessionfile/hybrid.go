package sessionfile

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The RLE/bit-packing hybrid of parquet-format, Encodings.md: levels and dictionary indexes.

// minRun is the shortest run that is written as one; shorter ones are bit-packed in groups of eight.
const minRun = 8

// appendHybrid appends values of the given bit width, without a length in front.
func appendHybrid[T uint8 | uint32](b []byte, values []T, width int) []byte {
	start := 0 // of values not yet written, a multiple of eight before i
	for i := 0; i < len(values); {
		n := runLength(values[i:])
		if n < minRun {
			i += minRun
			continue
		}
		b = appendPacked(b, values[start:i], width)
		b = binary.AppendUvarint(b, uint64(n)<<1)
		for v, left := uint32(values[i]), width; left > 0; left -= 8 {
			b = append(b, byte(v))
			v >>= 8
		}
		i += n
		start = i
	}
	return appendPacked(b, values[start:], width)
}

// runLength counts how often the first value stands at the beginning of values.
func runLength[T uint8 | uint32](values []T) int {
	v := values[0]
	for i, x := range values {
		if x != v {
			return i
		}
	}
	return len(values)
}

// appendPacked appends one bit-packed run; the last group of eight is padded with zeros.
func appendPacked[T uint8 | uint32](b []byte, values []T, width int) []byte {
	if len(values) == 0 {
		return b
	}
	groups := (len(values) + 7) / 8
	b = binary.AppendUvarint(b, uint64(groups)<<1|1)
	end := len(b) + groups*width
	var acc uint64
	held := 0
	for _, v := range values {
		acc |= uint64(v) << held
		held += width
		for held >= 8 {
			b = append(b, byte(acc))
			acc >>= 8
			held -= 8
		}
	}
	if held > 0 {
		b = append(b, byte(acc))
	}
	for len(b) < end {
		b = append(b, 0)
	}
	return b
}

// decodeHybrid decodes len(dst) values and returns what follows them in b. Values
// above limit are an error.
func decodeHybrid[T uint8 | uint32](dst []T, b []byte, width int, limit uint32) ([]byte, error) {
	if width < 0 || width > 32 {
		return nil, fmt.Errorf("bit width %d", width)
	}
	valueBytes := (width + 7) / 8
	mask := uint64(1)<<width - 1
	for len(dst) > 0 {
		header, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, fmt.Errorf("run header is cut, %d values missing", len(dst))
		}
		b = b[n:]
		count := header >> 1
		if count == 0 {
			return nil, fmt.Errorf("empty run, %d values missing", len(dst))
		}
		if header&1 == 0 {
			if len(b) < valueBytes {
				return nil, fmt.Errorf("value of a run is cut")
			}
			var v uint32
			for i := range valueBytes {
				v |= uint32(b[i]) << (8 * i)
			}
			if v > limit {
				return nil, fmt.Errorf("value %d is above %d", v, limit)
			}
			b = b[valueBytes:]
			run := dst
			if count < uint64(len(dst)) {
				run = dst[:count]
			}
			fill(run, T(v))
			dst = dst[len(run):]
			continue
		}
		if count > uint64(len(dst)+7)/8 {
			count = uint64(len(dst)+7) / 8 // the rest would be padding
		}
		size := int(count) * width //nolint:gosec // G115: bounded by len(dst)
		if len(b) < size {
			return nil, fmt.Errorf("bit-packed run of %d bytes is cut at %d", size, len(b))
		}
		run := dst[:min(len(dst), int(count)*8)] //nolint:gosec // G115: as above
		if top := unpack(run, b[:size], width, mask); top > limit {
			return nil, fmt.Errorf("value %d is above %d", top, limit)
		}
		dst = dst[len(run):]
		b = b[size:]
	}
	return b, nil
}

// unpack fills dst from bit-packed src and returns the largest value.
func unpack[T uint8 | uint32](dst []T, src []byte, width int, mask uint64) (top uint32) {
	if width == 0 {
		fill(dst, 0)
		return 0
	}
	var m T
	i, bit := 0, 0
	// Eight bytes at a time while they last: one load serves a value of up to 32 bits.
	for ; i < len(dst); i++ {
		at := bit >> 3
		if at+8 > len(src) {
			break
		}
		v := T(binary.LittleEndian.Uint64(src[at:]) >> (bit & 7) & mask)
		dst[i] = v
		m = max(m, v)
		bit += width
	}
	for ; i < len(dst); i++ {
		var word [8]byte
		copy(word[:], src[bit>>3:])
		v := T(binary.LittleEndian.Uint64(word[:]) >> (bit & 7) & mask)
		dst[i] = v
		m = max(m, v)
		bit += width
	}
	return uint32(m)
}

func fill[T any](dst []T, v T) {
	if len(dst) == 0 {
		return
	}
	dst[0] = v
	for n := 1; n < len(dst); n *= 2 {
		copy(dst[n:], dst[:n])
	}
}

// widthOf returns the bits that hold values up to top.
func widthOf(top int) int { return bits.Len(uint(top)) } //nolint:gosec // G115: never negative
