package sessionfile

import (
	"strings"
	"unicode/utf8"

	"github.com/cespare/xxhash/v2"
)

// stringSet holds the distinct strings of one column while a row group is built, in one
// arena, found by hash. A column whose values hardly repeat stops looking for repetitions:
// then a string may be held more than once.
type stringSet struct {
	arena  []byte
	ends   []uint32 // per entry, the end of its bytes in arena
	hashes []uint64 // per entry; xxHash64, which the bloom filter takes too
	slots  []uint32 // open addressing: entry+1, 0 empty; nil when not looked up
	added  int      // values, repetitions included
	unique bool     // repetitions are no longer looked for
}

const (
	// uniqueAfter is how many values are added before it is decided whether they repeat.
	uniqueAfter = 2048
	minSlots    = 16
)

func (s *stringSet) reset() {
	s.arena, s.ends, s.hashes = s.arena[:0], s.ends[:0], s.hashes[:0]
	clear(s.slots)
	s.added, s.unique = 0, false
}

func (s *stringSet) len() int { return len(s.ends) }

// at returns the bytes of an entry.
func (s *stringSet) at(i uint32) []byte {
	start := uint32(0)
	if i > 0 {
		start = s.ends[i-1]
	}
	return s.arena[start:s.ends[i]]
}

// add returns the entry of v, a new one or the one it has.
func (s *stringSet) add(v string) uint32 {
	h := xxhash.Sum64String(v)
	s.added++
	if s.unique {
		return s.push(v, h)
	}
	if s.added == uniqueAfter && len(s.ends) > uniqueAfter*3/4 {
		s.unique = true
		return s.push(v, h)
	}
	if 2*len(s.ends) >= len(s.slots) {
		s.grow()
	}
	mask := uint64(len(s.slots) - 1)
	for at := h & mask; ; at = (at + 1) & mask {
		e := s.slots[at]
		if e == 0 {
			s.slots[at] = uint32(len(s.ends)) + 1 //nolint:gosec // G115: a row group has fewer values
			return s.push(v, h)
		}
		if s.hashes[e-1] == h && string(s.at(e-1)) == v {
			return e - 1
		}
	}
}

func (s *stringSet) push(v string, h uint64) uint32 {
	s.arena = append(s.arena, v...)
	s.ends = append(s.ends, uint32(len(s.arena))) //nolint:gosec // G115: row groups end before 4 GiB, see maxGroupBytes
	s.hashes = append(s.hashes, h)
	return uint32(len(s.ends) - 1) //nolint:gosec // G115: as above
}

func (s *stringSet) grow() {
	n := max(minSlots, 2*len(s.slots))
	s.slots = make([]uint32, n)
	mask := uint64(n - 1)
	for e, h := range s.hashes {
		at := h & mask
		for s.slots[at] != 0 {
			at = (at + 1) & mask
		}
		s.slots[at] = uint32(e) + 1 //nolint:gosec // G115: as above
	}
}

// validText returns v with each byte that is no UTF-8 replaced by U+FFFD, as
// spi.Document writes it in JSON: readers refuse a Parquet string that is not UTF-8.
func validText(v string) string {
	if utf8.ValidString(v) {
		return v
	}
	var b strings.Builder
	for i := 0; i < len(v); {
		r, size := utf8.DecodeRuneInString(v[i:])
		if r == utf8.RuneError && size == 1 {
			b.WriteRune(utf8.RuneError)
		} else {
			b.WriteString(v[i : i+size])
		}
		i += size
	}
	return b.String()
}
