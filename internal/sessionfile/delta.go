package sessionfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unsafe"
)

// maxDeltaBlock bounds the block size of DELTA_BINARY_PACKED that is believed; writers use 128.
const maxDeltaBlock = 1 << 16

// decodeDelta decodes the n DELTA_BINARY_PACKED values at the start of b over dst[:0], and
// returns what follows them (parquet-format, Encodings.md).
func decodeDelta(dst []int64, b []byte, n int) ([]int64, []byte, error) {
	next := func() uint64 {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			b = nil
			return 0
		}
		b = b[k:]
		return v
	}
	block, minis, total, first := next(), next(), next(), next()
	switch {
	case b == nil:
		return dst, nil, errors.New("delta header is cut")
	case total != uint64(n): //nolint:gosec // G115: never negative
		return nil, nil, fmt.Errorf("%d delta values, %d wanted", total, n)
	case block == 0 || block > maxDeltaBlock || minis == 0 || block%minis != 0 || block/minis%8 != 0:
		return nil, nil, fmt.Errorf("delta blocks of %d in %d", block, minis)
	}
	dst = slices.Grow(dst[:0], min(n, 2*pageRows)) // no more than a page of ours before it is seen that they are there
	if n == 0 {
		return dst, b, nil
	}
	value := unzigzag(first)
	dst = append(dst, value)
	perMini := int(block / minis) //nolint:gosec // G115: at most maxDeltaBlock
	for len(dst) < n {
		minDelta := unzigzag(next())
		if uint64(len(b)) < minis {
			return nil, nil, errors.New("delta block is cut")
		}
		widths := b[:minis]
		b = b[minis:]
		for _, w := range widths {
			if len(dst) == n {
				break // what is left of the block has no values, and no bytes
			}
			width := int(w)
			size := perMini * width / 8
			if width > 64 || len(b) < size {
				return nil, nil, fmt.Errorf("delta miniblock of width %d is cut", width)
			}
			mini := b[:size]
			b = b[size:]
			mask := uint64(1)<<width - 1
			for i, bit := 0, 0; i < perMini && len(dst) < n; i, bit = i+1, bit+width {
				var v uint64
				if at := bit >> 3; width <= 56 && at+8 <= len(mini) {
					v = binary.LittleEndian.Uint64(mini[at:]) >> (bit & 7) & mask
				} else {
					v = bitsAt(mini, bit, width)
				}
				value += minDelta + int64(v) //nolint:gosec // G115: wraps as the format says
				dst = append(dst, value)
			}
		}
	}
	return dst, b, nil
}

func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) } //nolint:gosec // G115: zigzag

// bitsAt returns width bits from bit on, the least significant first.
func bitsAt(b []byte, bit, width int) uint64 {
	if width == 0 {
		return 0
	}
	at, shift := bit>>3, bit&7
	var v uint64
	if at+8 <= len(b) {
		v = binary.LittleEndian.Uint64(b[at:])
	} else {
		var word [8]byte
		copy(word[:], b[at:])
		v = binary.LittleEndian.Uint64(word[:])
	}
	v >>= shift
	if shift+width > 64 {
		v |= uint64(b[at+8]) << (64 - shift)
	}
	if width < 64 {
		v &= 1<<width - 1
	}
	return v
}

// texts are strings one after the other, gap bytes apart: text i ends at ends[i].
type texts struct {
	all  string
	ends []uint32
	gap  uint32
}

func (t *texts) at(i int) string {
	start := t.gap
	if i > 0 {
		start += t.ends[i-1]
	}
	return t.all[start:t.ends[i]]
}

// stringOf returns the bytes as text without copying them. They must not change any more.
func stringOf(b []byte) string {
	return unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // G103: b is not written again, as said above
}

// decodeDeltaLength decodes n DELTA_LENGTH_BYTE_ARRAY values, which must fill b. It keeps b.
// The lengths are decoded over lengths[:0], which is returned.
func decodeDeltaLength(b []byte, n int, lengths []int64) (texts, []int64, error) {
	lengths, rest, err := decodeDelta(lengths, b, n)
	if err != nil {
		return texts{}, lengths, err
	}
	t := texts{ends: make([]uint32, n)}
	at := uint64(0)
	for i, l := range lengths {
		if l < 0 || uint64(l) > uint64(len(rest))-at {
			return texts{}, lengths, fmt.Errorf("text %d of %d bytes is cut", i, l)
		}
		at += uint64(l)
		t.ends[i] = uint32(at) //nolint:gosec // G115: pages end before maxPageBytes
	}
	t.all = stringOf(rest[:at])
	return t, lengths, nil
}

// decodePlainTexts decodes n PLAIN byte arrays. It keeps b.
func decodePlainTexts(b []byte, n int) (texts, error) {
	const prefix = 4 // the length before each text
	if n > len(b)/prefix {
		return texts{}, fmt.Errorf("%d texts in %d bytes", n, len(b))
	}
	t := texts{all: stringOf(b), ends: make([]uint32, n), gap: prefix}
	at := 0
	for i := range t.ends {
		if len(b)-at < prefix {
			return texts{}, fmt.Errorf("text %d is cut", i)
		}
		l := binary.LittleEndian.Uint32(b[at:])
		at += prefix
		if uint64(l) > uint64(len(b)-at) {
			return texts{}, fmt.Errorf("text %d of %d bytes is cut", i, l)
		}
		at += int(l)
		t.ends[i] = uint32(at) //nolint:gosec // G115: pages end before maxPageBytes
	}
	return t, nil
}

// decodePlainInts decodes n PLAIN numbers over dst[:0].
func decodePlainInts(dst []int64, b []byte, n int) ([]int64, error) {
	if n > len(b)/8 {
		return dst, fmt.Errorf("%d numbers in %d bytes", n, len(b))
	}
	dst = dst[:0]
	for i := range n {
		dst = append(dst, int64(binary.LittleEndian.Uint64(b[8*i:]))) //nolint:gosec // G115: the bits
	}
	return dst, nil
}
