package chunk

import "wirelake/internal/packet"

// FlowEntry is what the index tells of one flow of the chunk.
type FlowEntry struct {
	Key                   packet.Key
	FirstNanos, LastNanos int64     // earliest and latest packet time, ns since 1970
	Packets               [2]uint32 // by packet.Dir
	Bytes                 [2]uint64 // on the wire, by packet.Dir
	Offset, Length        uint64    // of its records in the stream, raw bytes
}

// flowTable numbers flows in the order in which they are first seen: an open
// addressing hash table over a slice of entries, without allocation per flow
// once it has grown.
type flowTable struct {
	entries []FlowEntry
	hashes  []uint32 // of entries; spares comparing keys, and hashing them again
	slots   []uint32 // number of the flow + 1; 0 is free; len is a power of two, at most 3/4 used
	last    uint32   // flow of the previous packet, which is often that of the next
}

const minSlots = 1 << 8

func (t *flowTable) reset() {
	t.entries, t.hashes, t.last = t.entries[:0], t.hashes[:0], 0
	clear(t.slots)
}

// find returns the number of the flow with this key, or that a new entry for it
// would get; h is its hash.
func (t *flowTable) find(k *packet.Key) (flow, h uint32, found bool) {
	if int(t.last) < len(t.entries) && t.entries[t.last].Key == *k {
		return t.last, t.hashes[t.last], true
	}
	h64 := k.Hash()
	h = uint32(h64 ^ h64>>32) //nolint:gosec // folds the halves
	if len(t.slots) == 0 {
		return 0, h, false
	}
	mask := uint32(len(t.slots) - 1) //nolint:gosec // at most 2*MaxFlows
	for i := h & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if n := t.slots[i] - 1; t.hashes[n] == h && t.entries[n].Key == *k {
			t.last = n
			return n, h, true
		}
	}
	return uint32(len(t.entries)), h, false //nolint:gosec // at most MaxFlows
}

// insert adds an entry for a key that find did not find.
func (t *flowTable) insert(e FlowEntry, h uint32) uint32 {
	n := uint32(len(t.entries)) //nolint:gosec // at most MaxFlows
	t.entries = append(t.entries, e)
	t.hashes = append(t.hashes, h)
	t.last = n
	if len(t.entries)*4 > len(t.slots)*3 {
		t.grow()
	} else {
		t.place(n)
	}
	return n
}

func (t *flowTable) grow() {
	t.slots = make([]uint32, max(minSlots, 2*len(t.slots)))
	for n := range t.entries {
		t.place(uint32(n)) //nolint:gosec // at most MaxFlows
	}
}

func (t *flowTable) place(n uint32) {
	mask := uint32(len(t.slots) - 1) //nolint:gosec // at most 2*MaxFlows
	i := t.hashes[n] & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = n + 1
}
