package chunk

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// addressTable numbers the different addresses of the flows of a chunk, ascending.
// The short ones, which come first, are those of IPv4, or whatever else has
// zeros after the 4th byte. It is two sorted slices: a chunk of a scan has a
// million addresses, for which a map would take more memory than its packets.
type addressTable struct {
	short []uint32
	long  [][16]byte
}

func isShort(a *[16]byte) bool { return [12]byte(a[4:]) == [12]byte{} }

func newAddressTable(flows []FlowEntry) *addressTable {
	t := &addressTable{short: make([]uint32, 0, 2*len(flows))}
	add := func(a *[16]byte) {
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
	t.short = slices.Compact(t.short)
	slices.SortFunc(t.long, compareAddresses)
	t.long = slices.Compact(t.long)
	return t
}

func compareAddresses(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) }

func shortAddress(v uint32) (a [16]byte) {
	binary.BigEndian.PutUint32(a[:], v)
	return a
}

// number returns the number of an address, which must be in the table.
func (t *addressTable) number(a *[16]byte) uint64 {
	if isShort(a) {
		i, _ := slices.BinarySearch(t.short, binary.BigEndian.Uint32(a[:]))
		return uint64(i) //nolint:gosec // not negative
	}
	i, _ := slices.BinarySearchFunc(t.long, *a, compareAddresses)
	return uint64(len(t.short) + i) //nolint:gosec // not negative
}

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
