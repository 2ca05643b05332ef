package sessionfile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// thriftReader decodes the compact protocol (thrift, doc/specs/thrift-compact-protocol.md)
// of footers, page headers and indexes that may be damaged: no count is believed beyond
// the bytes that are left, and nothing is allocated before. The first error sticks.
type thriftReader struct {
	b   []byte
	at  int
	err error
}

// Types of fields and list elements in the compact protocol.
const (
	thriftTrue   = 1
	thriftFalse  = 2
	thriftByte   = 3
	thriftI16    = 4
	thriftI32    = 5
	thriftI64    = 6
	thriftDouble = 7
	thriftBinary = 8
	thriftList   = 9
	thriftSet    = 10
	thriftMap    = 11
	thriftStruct = 12
)

// maxThriftDepth bounds how deep structures nest that are skipped.
const maxThriftDepth = 16

var errCut = errors.New("cut short")

func (r *thriftReader) fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("byte %d of %d: %w", r.at, len(r.b), err)
	}
	r.at = len(r.b)
}

func (r *thriftReader) byte() byte {
	if r.at >= len(r.b) {
		r.fail(errCut)
		return 0
	}
	c := r.b[r.at]
	r.at++
	return c
}

func (r *thriftReader) uvarint() uint64 {
	if r.at < len(r.b) && r.b[r.at] < 0x80 {
		r.at++
		return uint64(r.b[r.at-1])
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.fail(errors.New("bad integer"))
		return 0
	}
	r.at += n
	return v
}

func (r *thriftReader) int() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1) //nolint:gosec // G115: zigzag
}

// binary returns the bytes of a string or binary, within the reader's own.
func (r *thriftReader) binary() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)-r.at) {
		r.fail(errCut)
		return nil
	}
	b := r.b[r.at : r.at+int(n) : r.at+int(n)] //nolint:gosec // G115: bounded above
	r.at += int(n)                             //nolint:gosec // G115: bounded above
	return b
}

// list returns the count and type of a list's elements. Every element takes a byte at least.
func (r *thriftReader) list() (n int, elem byte) {
	h := r.byte()
	count := uint64(h >> 4)
	if count == 15 {
		count = r.uvarint()
	}
	if count > uint64(len(r.b)-r.at) {
		r.fail(errCut)
		return 0, 0
	}
	return int(count), h & 15 //nolint:gosec // G115: bounded above
}

// fields calls fn for each field of a structure; fn must consume the value or skip it. For
// a bool the type is its value.
func (r *thriftReader) fields(fn func(id int16, typ byte)) {
	id := int16(0)
	for r.err == nil {
		h := r.byte()
		typ := h & 15
		if typ == 0 {
			return
		}
		if d := h >> 4; d != 0 {
			id += int16(d)
		} else {
			id = int16(r.int()) //nolint:gosec // G115: an unknown id is skipped
		}
		fn(id, typ)
	}
}

func (r *thriftReader) skip(typ byte) { r.skipAt(typ, 0) }

func (r *thriftReader) skipAt(typ byte, depth int) {
	if depth > maxThriftDepth {
		r.fail(errors.New("nested too deep"))
		return
	}
	switch typ {
	case thriftTrue, thriftFalse:
	case thriftByte:
		r.byte()
	case thriftI16, thriftI32, thriftI64:
		r.uvarint()
	case thriftDouble:
		for range 8 {
			r.byte()
		}
	case thriftBinary:
		r.binary()
	case thriftList, thriftSet:
		n, elem := r.list()
		for i := 0; i < n && r.err == nil; i++ {
			r.skipElem(elem, depth+1)
		}
	case thriftMap:
		n := r.uvarint()
		if n == 0 {
			return
		}
		kv := r.byte()
		for i := uint64(0); i < n && r.err == nil; i++ {
			r.skipElem(kv>>4, depth+1)
			r.skipElem(kv&15, depth+1)
		}
	case thriftStruct:
		r.fields(func(_ int16, t byte) { r.skipAt(t, depth+1) })
	default:
		r.fail(fmt.Errorf("unknown type %d", typ))
	}
}

// skipElem skips an element of a list or map, where a bool takes a byte.
func (r *thriftReader) skipElem(typ byte, depth int) {
	if typ == thriftTrue || typ == thriftFalse {
		r.byte()
		return
	}
	r.skipAt(typ, depth)
}

// each calls fn for each element of a list of the wanted type, or skips the list.
func (r *thriftReader) each(typ, want byte, fn func(i, n int)) {
	if typ != thriftList {
		r.skip(typ)
		return
	}
	n, elem := r.list()
	for i := 0; i < n && r.err == nil; i++ {
		if elem != want && (want != thriftTrue || elem != thriftFalse) {
			r.skipElem(elem, 0)
			continue
		}
		fn(i, n)
	}
}
