package indicators

import (
	"math/bits"
	"slices"
)

// table is a set of hashes: sorted, with an index over their leading bits, so that a
// lookup reads one place of the index and one of the hashes. 8.5 to 9 bytes an entry.
type table struct {
	keys   []uint64
	starts []uint32 // keys whose leading bits are i begin at starts[i]
	shift  uint     // what is right of the leading bits
}

// bucketKeys is how many hashes share their leading bits on average: a cache line of them.
const bucketKeys = 8

func (t *table) has(k uint64) bool {
	if len(t.keys) == 0 {
		return false
	}
	b := k >> t.shift
	for _, have := range t.keys[t.starts[b]:t.starts[b+1]] {
		if have == k {
			return true
		}
	}
	return false
}

// builder collects the hashes of a table. They are kept apart by their first byte, so that what
// must be copied when a part grows, and sorted at the end, stays small.
type builder struct {
	parts [256][]uint64
	n     int
}

func (b *builder) add(k uint64) {
	p := &b.parts[k>>56]
	*p = append(*p, k)
	b.n++
}

// table returns the table of all hashes added, each once. The builder is empty then.
func (b *builder) table() table {
	n := 0
	for i, p := range b.parts {
		slices.Sort(p)
		b.parts[i] = slices.Compact(p)
		n += len(b.parts[i])
	}
	if n == 0 {
		return table{}
	}
	t := table{keys: make([]uint64, 0, n)}
	for i, p := range b.parts {
		t.keys = append(t.keys, p...)
		b.parts[i] = nil
	}
	leading := max(1, bits.Len(uint((n-1)/bucketKeys))) //nolint:gosec // not negative
	t.shift = uint(64 - leading)                        //nolint:gosec // at most 63
	t.starts = make([]uint32, 1<<leading+1)
	at := 0
	for i := range t.starts[:1<<leading] {
		for at < n && t.keys[at]>>t.shift < uint64(i) { //nolint:gosec // not negative
			at++
		}
		t.starts[i] = uint32(at) //nolint:gosec // at most maxEntries
	}
	t.starts[1<<leading] = uint32(n) //nolint:gosec // at most maxEntries
	b.n = 0
	return t
}

// bytes returns how much memory the table holds.
func (t *table) bytes() int { return cap(t.keys)*8 + cap(t.starts)*4 }

// filter tells most hashes that are in no table, with one look at memory: a bit for each hash of
// all tables, 8 to 16 times as many bits as hashes.
type filter []uint64

func newFilter(tables []*List) filter {
	n := 0
	for _, l := range tables {
		n += len(l.table.keys)
	}
	if n == 0 {
		return nil
	}
	f := make(filter, 1<<bits.Len(uint(n/8))) //nolint:gosec // not negative
	for _, l := range tables {
		for _, k := range l.table.keys {
			f[k&uint64(len(f)-1)] |= 1 << (k >> 32 & 63)
		}
	}
	return f
}

// may reports false when no table has k.
func (f filter) may(k uint64) bool { return f[k&uint64(len(f)-1)]&(1<<(k>>32&63)) != 0 }
