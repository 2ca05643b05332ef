package dissect

import (
	"errors"
	"math"

	"golang.org/x/net/http2/hpack"
)

// QPACK is the header compression of HTTP/3 (RFC 9204). A field section may name entries of a table that the sender fills on
// a stream of its own, and which may come later than the section.

const (
	qpackMaxTable = http2MaxTable
	qpackEntry    = 32 // bytes that an entry counts beside its name and value (RFC 9204 section 3.2.1)
)

var (
	errQPACK        = errors.New("no QPACK")
	errQPACKBlocked = errors.New("entries of the table are missing")
)

// qpackTable is the dynamic table of one sender.
type qpackTable struct {
	static   []hpack.HeaderField
	entries  []hpack.HeaderField // of which the first is the oldest
	dropped  uint64              // entries before it, so that the first has this absolute index
	size     uint64
	capacity uint64 // as the sender set it
	most     uint64 // what the receiver allows in its SETTINGS
	settled  bool   // which were seen
}

func (t *qpackTable) inserted() uint64 { return t.dropped + uint64(len(t.entries)) }

// at returns the entry of an absolute index.
func (t *qpackTable) at(i uint64) (hpack.HeaderField, bool) {
	if i < t.dropped || i >= t.inserted() {
		return hpack.HeaderField{}, false
	}
	return t.entries[i-t.dropped], true
}

func (t *qpackTable) insert(f hpack.HeaderField) bool {
	size := qpackSize(f)
	if size > t.capacity {
		return false
	}
	t.evict(t.capacity - size)
	t.entries = append(t.entries, f)
	t.size += size
	return true
}

// evict drops the oldest entries until no more than size bytes are left.
func (t *qpackTable) evict(size uint64) {
	n := 0
	for ; t.size > size; n++ {
		t.size -= qpackSize(t.entries[n])
	}
	clear(t.entries[:n]) // their text need not wait until append moves the rest
	t.entries = t.entries[n:]
	t.dropped += uint64(n) //nolint:gosec // not negative
}

func qpackSize(f hpack.HeaderField) uint64 { return uint64(len(f.Name)+len(f.Value)) + qpackEntry }

// instructions reads what stands on the encoder's stream (RFC 9204 section 4.3), and returns how much of it: the rest is cut.
func (t *qpackTable) instructions(b []byte) (n int, err error) {
	for n < len(b) {
		r := qpackReader{b: b[n:]}
		switch first := b[n]; {
		case first&0x80 != 0:
			var f hpack.HeaderField
			var bad bool
			i := r.integer(6)
			if first&0x40 != 0 {
				f, bad = t.fixed(i)
			} else {
				f, bad = t.relative(t.inserted(), i)
			}
			r.bad = r.bad || bad && !r.cut
			f.Value = r.text(7)
			r.bad = r.bad || !r.cut && !t.insert(f)
		case first&0x40 != 0:
			f := hpack.HeaderField{Name: r.text(5)}
			f.Value = r.text(7)
			r.bad = r.bad || !r.cut && !t.insert(f)
		case first&0x20 != 0:
			if size := r.integer(5); size > qpackMaxTable {
				r.bad = true
			} else if !r.cut {
				t.evict(min(size, t.size))
				t.capacity = size
			}
		default:
			i := r.integer(5)
			f, bad := t.relative(t.inserted(), i)
			r.bad = r.bad || !r.cut && (bad || !t.insert(f))
		}
		if r.cut {
			return n, nil
		}
		if r.bad {
			return n, errQPACK
		}
		n = len(b) - len(r.b)
	}
	return n, nil
}

// fixed returns an entry of the static table.
func (t *qpackTable) fixed(i uint64) (f hpack.HeaderField, bad bool) {
	if i >= uint64(len(t.static)) {
		return f, true
	}
	return t.static[i], false
}

// relative returns the entry that lies i before that of the absolute index base-1.
func (t *qpackTable) relative(base, i uint64) (f hpack.HeaderField, bad bool) {
	if i >= base {
		return f, true
	}
	f, ok := t.at(base - 1 - i)
	return f, !ok
}

// section reads a field section (RFC 9204 section 4.5). It returns errQPACKBlocked, and has called emit for nothing, while
// entries that the section needs are not in the table.
func (t *qpackTable) section(b []byte, emit func(hpack.HeaderField)) error {
	r := qpackReader{b: b}
	required := r.integer(8)
	if len(r.b) == 0 || r.bad {
		return errQPACK
	}
	negative := r.b[0]&0x80 != 0
	delta := r.integer(7)
	if required > 0 {
		if !t.settled {
			return errQPACKBlocked
		}
		var ok bool
		if required, ok = t.required(required); !ok {
			return errQPACK
		}
		if required > t.inserted() {
			return errQPACKBlocked
		}
	}
	base := required + delta
	if negative {
		if delta >= required {
			return errQPACK
		}
		base = required - delta - 1
	}
	for len(r.b) > 0 && !r.cut && !r.bad {
		var f hpack.HeaderField
		var bad bool
		switch first := r.b[0]; {
		case first&0xc0 == 0xc0:
			f, bad = t.fixed(r.integer(6))
		case first&0x80 != 0:
			f, bad = t.relative(base, r.integer(6))
		case first&0xc0 == 0x40:
			if i := r.integer(4); first&0x10 != 0 {
				f, bad = t.fixed(i)
			} else {
				f, bad = t.relative(base, i)
			}
			f.Value = r.text(7)
		case first&0xe0 == 0x20:
			f.Name = r.text(3)
			f.Value = r.text(7)
		default: // behind the base
			value, prefix := first&0x10 == 0, 4
			if value {
				prefix = 3
			}
			var ok bool
			f, ok = t.at(base + r.integer(prefix))
			bad = !ok
			if value {
				f.Value = r.text(7)
			}
		}
		r.bad = r.bad || bad
		if !r.cut && !r.bad {
			emit(f)
		}
	}
	if r.cut || r.bad {
		return errQPACK
	}
	return nil
}

// required returns the Required Insert Count that a section begins with (RFC 9204 section 4.5.1.1).
func (t *qpackTable) required(encoded uint64) (uint64, bool) {
	entries := t.most / qpackEntry
	whole := 2 * entries
	if encoded > whole {
		return 0, false
	}
	most := t.inserted() + entries
	n := most/whole*whole + encoded - 1
	if n > most {
		if n <= whole {
			return 0, false
		}
		n -= whole
	}
	return n, n > 0
}

// qpackReader reads integers and strings (RFC 9204 section 4.1).
type qpackReader struct {
	b   []byte
	cut bool // more bytes are needed
	bad bool
}

// integer reads an integer whose first byte has it in that many bits (RFC 7541 section 5.1).
func (r *qpackReader) integer(prefix int) uint64 {
	if len(r.b) == 0 {
		r.cut = true
		return 0
	}
	mask := uint64(1)<<prefix - 1
	v := uint64(r.b[0]) & mask
	r.b = r.b[1:]
	if v < mask {
		return v
	}
	for shift := 0; ; shift += 7 {
		switch {
		case shift > 28: // lengths and indices are far less
			r.bad = true
			return 0
		case len(r.b) == 0:
			r.cut = true
			return 0
		}
		c := r.b[0]
		r.b = r.b[1:]
		if v += uint64(c&0x7f) << shift; c&0x80 == 0 {
			return v
		}
	}
}

// text reads a string, of whose first byte the length has that many bits behind the one that says it is compressed.
func (r *qpackReader) text(prefix int) string {
	if r.cut || r.bad {
		return ""
	}
	if len(r.b) == 0 {
		r.cut = true
		return ""
	}
	huffman := r.b[0]>>prefix&1 != 0
	n := r.integer(prefix)
	switch {
	case r.cut || r.bad:
		return ""
	case n > httpMaxLine || n > math.MaxInt32:
		r.bad = true
		return ""
	case n > uint64(len(r.b)):
		r.cut = true
		return ""
	}
	b := r.b[:n]
	r.b = r.b[n:]
	if !huffman {
		return string(b)
	}
	text, err := hpack.HuffmanDecodeToString(b)
	if err != nil {
		r.bad = true
	}
	return text
}
