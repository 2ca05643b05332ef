package dissect

import "encoding/binary"

// bsonElement is an element of a BSON document (bsonspec.org, version 1.1).
type bsonElement struct {
	kind  byte
	name  []byte
	value []byte // of a string its bytes, of a document the whole, of others as they are
}

// The types of elements that are read.
const (
	bsonString   = 0x02
	bsonDocument = 0x03
	bsonBinary   = 0x05
)

// bsonEach calls f for the elements of the document at the front of b until it returns false. What is cut off or
// damaged ends it.
func bsonEach(b []byte, f func(bsonElement) bool) {
	if len(b) < 5 {
		return
	}
	w := wire{b: b[4:min(int64(len(b)), max(4, int64(binary.LittleEndian.Uint32(b))))]}
	for len(w.b) > 1 {
		e := bsonElement{kind: w.b[0]}
		w.take(1)
		e.name = w.cstring()
		switch e.kind {
		case 0x01, 0x09, 0x11, 0x12: // double, date, timestamp, int64
			e.value = w.take(8)
		case bsonString, 0x0d, 0x0e: // string, code, symbol
			if n := int(int32(w.le(4))); n > 0 {
				if e.value = w.take(n); e.value != nil {
					e.value = e.value[:n-1]
				}
			} else {
				w.bad = true
			}
		case bsonDocument, 0x04, 0x0f: // document, array, code with scope: their length is in front
			if len(w.b) < 4 {
				return
			}
			e.value = w.take(int(int32(binary.LittleEndian.Uint32(w.b))))
		case bsonBinary:
			n := int(int32(w.le(4)))
			w.take(1)
			e.value = w.take(n)
		case 0x06, 0x0a, 0x7f, 0xff: // undefined, null, the keys
		case 0x07: // object id
			e.value = w.take(12)
		case 0x08: // boolean
			e.value = w.take(1)
		case 0x0b: // regular expression
			w.cstring()
			w.cstring()
		case 0x0c: // pointer
			w.take(int(int32(w.le(4))) + 12)
		case 0x10: // int32
			e.value = w.take(4)
		case 0x13: // decimal128
			e.value = w.take(16)
		default:
			return
		}
		if w.bad || !f(e) {
			return
		}
	}
}

// bsonText returns the string of the name in the document, nil for none.
func bsonText(b []byte, name string) (text []byte) {
	bsonEach(b, func(e bsonElement) bool {
		if e.kind == bsonString && string(e.name) == name {
			text = e.value
			return false
		}
		return true
	})
	return text
}

// bsonWithin returns the document of the name in the document, nil for none.
func bsonWithin(b []byte, name string) (doc []byte) {
	bsonEach(b, func(e bsonElement) bool {
		if e.kind == bsonDocument && string(e.name) == name {
			doc = e.value
			return false
		}
		return true
	})
	return doc
}
