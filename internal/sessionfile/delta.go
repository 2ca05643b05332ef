package sessionfile

import (
	"encoding/binary"
	"errors"
	"fmt"
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
		return nil, nil, errors.New("delta header is cut")
	case total != uint64(n): //nolint:gosec // G115: never negative
		return nil, nil, fmt.Errorf("%d delta values, %d wanted", total, n)
	case block == 0 || block > maxDeltaBlock || minis == 0 || block%minis != 0 || block/minis%8 != 0:
		return nil, nil, fmt.Errorf("delta blocks of %d in %d", block, minis)
	}
	dst = dst[:0]
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
			for i, bit := 0, 0; i < perMini && len(dst) < n; i, bit = i+1, bit+width {
				value += minDelta + int64(bitsAt(mini, bit, width)) //nolint:gosec // G115: wraps as the format says
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

// texts are strings one after the other: text i ends at ends[i], where the next begins.
type texts struct {
	all  string
	ends []uint32
}

func (t *texts) at(i int) string {
	start := uint32(0)
	if i > 0 {
		start = t.ends[i-1]
	}
	return t.all[start:t.ends[i]]
}

// decodeDeltaLength decodes n DELTA_LENGTH_BYTE_ARRAY values, which must fill b.
func decodeDeltaLength(b []byte, n int) (texts, error) {
	lengths, rest, err := decodeDelta(nil, b, n)
	if err != nil {
		return texts{}, err
	}
	t := texts{ends: make([]uint32, n)}
	at := uint64(0)
	for i, l := range lengths {
		if l < 0 || uint64(l) > uint64(len(rest))-at {
			return texts{}, fmt.Errorf("text %d of %d bytes is cut", i, l)
		}
		at += uint64(l)
		t.ends[i] = uint32(at) //nolint:gosec // G115: pages end before maxPageBytes
	}
	t.all = string(rest[:at])
	return t, nil
}

// decodePlainTexts decodes n PLAIN byte arrays.
func decodePlainTexts(b []byte, n int) (texts, error) {
	if n > len(b)/4 {
		return texts{}, fmt.Errorf("%d texts in %d bytes", n, len(b))
	}
	t := texts{ends: make([]uint32, n)}
	all := make([]byte, 0, len(b)-4*n)
	for i := range n {
		if len(b) < 4 {
			return texts{}, fmt.Errorf("text %d is cut", i)
		}
		l := binary.LittleEndian.Uint32(b)
		b = b[4:]
		if uint64(l) > uint64(len(b)) {
			return texts{}, fmt.Errorf("text %d of %d bytes is cut", i, l)
		}
		all = append(all, b[:l]...)
		b = b[l:]
		t.ends[i] = uint32(len(all)) //nolint:gosec // G115: as above
	}
	t.all = string(all)
	return t, nil
}

func decodePlainInts(b []byte, n int) ([]int64, error) {
	if n > len(b)/8 {
		return nil, fmt.Errorf("%d numbers in %d bytes", n, len(b))
	}
	out := make([]int64, n)
	for i := range out {
		out[i] = int64(binary.LittleEndian.Uint64(b[8*i:])) //nolint:gosec // G115: the bits
	}
	return out, nil
}
