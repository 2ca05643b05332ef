package chunk

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// addressTable numbers the different addresses of the flows of a chunk. The
// short ones are those of IPv4, or whatever else has zeros after the 4th byte.
type addressTable struct {
	numbers map[[16]byte]uint32
	short   []uint32
	long    [][16]byte
}

func isShort(a *[16]byte) bool { return [12]byte(a[4:]) == [12]byte{} }

func newAddressTable(flows []FlowEntry) *addressTable {
	t := &addressTable{numbers: map[[16]byte]uint32{}}
	add := func(a *[16]byte) {
		if _, ok := t.numbers[*a]; ok {
			return
		}
		t.numbers[*a] = 0
		if isShort(a) {
			t.short = append(t.short, binary.BigEndian.Uint32(a[:]))
		} else {
			t.long = append(t.long, *a)
		}
	}
	for i := range flows {
		add(&flows[i].Key.A)
		add(&flows[i].Key.B)
	}
	slices.Sort(t.short)
	slices.SortFunc(t.long, func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	for i, v := range t.short {
		t.numbers[shortAddress(v)] = uint32(i) //nolint:gosec // at most 2*MaxFlows
	}
	for i, a := range t.long {
		t.numbers[a] = uint32(len(t.short) + i) //nolint:gosec // at most 2*MaxFlows
	}
	return t
}

func shortAddress(v uint32) (a [16]byte) {
	binary.BigEndian.PutUint32(a[:], v)
	return a
}

func (t *addressTable) number(a *[16]byte) uint64 { return uint64(t.numbers[*a]) }

// encode returns the short addresses, each less the one before, and the long ones as they are.
func (t *addressTable) encode() (short, long []byte) {
	var before uint32
	for _, v := range t.short {
		short = binary.AppendUvarint(short, uint64(v-before))
		before = v
	}
	for i := range t.long {
		long = append(long, t.long[i][:]...)
	}
	return short, long
}

// decodeAddresses is the inverse of addressTable.encode: the addresses by number.
func decodeAddresses(short, long []byte) (addrs [][16]byte, reason string) {
	c := column{b: short, max: 1<<32 - 1}
	var v uint64
	for len(c.b) > 0 {
		d := c.next()
		if d == 0 && len(addrs) > 0 {
			return nil, "short addresses do not ascend"
		}
		if v += d; v > 1<<32-1 {
			return nil, "short address above 32 bits"
		}
		addrs = append(addrs, shortAddress(uint32(v)))
		if c.bad {
			return nil, "short addresses: bad varint"
		}
	}
	if len(long)%16 != 0 {
		return nil, "long addresses: cut"
	}
	for n := 0; len(long) > 0; long, n = long[16:], n+1 {
		a := [16]byte(long)
		if isShort(&a) || n > 0 && bytes.Compare(addrs[len(addrs)-1][:], a[:]) >= 0 {
			return nil, "long addresses do not ascend, or are short"
		}
		addrs = append(addrs, a)
	}
	return addrs, ""
}
