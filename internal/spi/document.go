package spi

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of one document: a hostile session must not grow without bound.
const (
	// MaxValues is the most values one field keeps in one object. It is above what
	// honest sessions hold, and keeps the search for duplicates short.
	MaxValues = 1000
	// MaxDocumentBytes bounds the memory of one document, unless SetLimit says otherwise.
	// Past it values are dropped and Truncated says so.
	MaxDocumentBytes = 448 << 10

	valueBytes, objectBytes = 40, 16 // besides the text
)

// ObjectID names an object of a list within one document; Root is the document itself.
type ObjectID uint16

// Root is the document itself.
const Root ObjectID = 0

// Value is one value of one field in one object of a document.
type Value struct {
	Field  FieldID
	Object ObjectID
	Int    int64  // Integer and Date
	Str    string // all other types
}

type object struct {
	list   ListID
	parent ObjectID
	first  int // no value of the object lies before this one: keeps searches in long documents short
}

// Document is one session document. Lists are sets: adding a value that is
// there already does nothing. The zero Document is not usable; see [Registry.NewDocument].
// A Document is not safe for concurrent use.
type Document struct {
	reg       *Registry
	values    []Value
	objects   []object // objects[0] is the document
	bytes     int      // of text
	limit     int
	endAtZero bool
	sorted    bool
	truncated bool
}

// NewDocument returns an empty document. It freezes the registry, so the first
// call must come before the registry is shared between goroutines.
func (r *Registry) NewDocument() *Document {
	r.Freeze()
	return &Document{reg: r, objects: make([]object, 1, 4), limit: MaxDocumentBytes}
}

// SetLimit sets how many bytes of memory the document may take; it holds after Reset too.
func (d *Document) SetLimit(bytes int) { d.limit = bytes }

// EndAtZero says whether texts end at their first zero byte, as those do that programs in C keep; it holds after Reset
// too. Else only the zeros that pad a text's end are left out.
func (d *Document) EndAtZero(on bool) { d.endAtZero = on }

// Reset empties d and keeps its memory.
func (d *Document) Reset() {
	clear(d.values) // lets go of the strings
	d.values = d.values[:0]
	d.objects = d.objects[:1]
	d.bytes, d.sorted, d.truncated = 0, false, false
}

// Registry returns the registry whose fields d holds.
func (d *Document) Registry() *Registry { return d.reg }

// Truncated reports whether a value was dropped because of a limit.
func (d *Document) Truncated() bool { return d.truncated }

// Size returns about how many bytes of memory d holds.
func (d *Document) Size() int { return d.bytes + cap(d.values)*valueBytes + cap(d.objects)*objectBytes }

// NewObject appends an object to a list and returns its id. Parent is Root, or
// the object that holds the list. It returns false when the document is full.
func (d *Document) NewObject(list ListID, parent ObjectID) (ObjectID, bool) {
	if len(d.objects) > MaxValues || d.full(objectBytes) {
		d.truncated = true
		return Root, false
	}
	d.objects = append(d.objects, object{list, parent, len(d.values)})
	d.sorted = false
	return ObjectID(len(d.objects) - 1), true
}

// Objects calls yield for each object of the list below parent, in the order they were made.
func (d *Document) Objects(list ListID, parent ObjectID) iter.Seq[ObjectID] {
	return func(yield func(ObjectID) bool) {
		for i, o := range d.objects[1:] {
			if o.list == list && o.parent == parent && !yield(ObjectID(i+1)) {
				return
			}
		}
	}
}

// SetInt sets a scalar, replacing what it held.
func (d *Document) SetInt(f FieldID, n int64) { d.SetIntIn(Root, f, n) }

// SetIntIn is SetInt within an object.
func (d *Document) SetIntIn(o ObjectID, f FieldID, n int64) {
	if v := d.find(o, f); v != nil {
		v.Int = n
		return
	}
	d.push(Value{Field: f, Object: o, Int: n})
}

// SetString sets a scalar, replacing what it held.
func (d *Document) SetString(f FieldID, s string) { d.SetStringIn(Root, f, s) }

// SetStringIn is SetString within an object.
func (d *Document) SetStringIn(o ObjectID, f FieldID, s string) {
	s = d.fold(f, s)
	if v := d.find(o, f); v != nil {
		d.bytes += len(s) - len(v.Str)
		v.Str = s
		return
	}
	d.push(Value{Field: f, Object: o, Str: s})
}

// AddInt adds to a list, unless the value is there already.
func (d *Document) AddInt(f FieldID, n int64) { d.AddIntIn(Root, f, n) }

// AddIntIn is AddInt within an object.
func (d *Document) AddIntIn(o ObjectID, f FieldID, n int64) {
	count := 0
	for i := d.objects[o].first; i < len(d.values); i++ {
		if v := &d.values[i]; v.Field == f && v.Object == o {
			if v.Int == n {
				return
			}
			count++
		}
	}
	d.pushLimited(Value{Field: f, Object: o, Int: n}, count)
}

// AddString adds to a list, unless the value is there already.
func (d *Document) AddString(f FieldID, s string) { d.AddStringIn(Root, f, s) }

// AddStringIn is AddString within an object.
func (d *Document) AddStringIn(o ObjectID, f FieldID, s string) {
	s = d.fold(f, s)
	count := 0
	for i := d.objects[o].first; i < len(d.values); i++ {
		if v := &d.values[i]; v.Field == f && v.Object == o {
			if v.Str == s {
				return
			}
			count++
		}
	}
	d.pushLimited(Value{Field: f, Object: o, Str: s}, count)
}

// AddBytes is AddString for bytes that the caller keeps; it allocates only when
// the value is new.
func (d *Document) AddBytes(f FieldID, b []byte) { d.AddBytesIn(Root, f, b) }

// AddBytesIn is AddBytes within an object.
func (d *Document) AddBytesIn(o ObjectID, f FieldID, b []byte) {
	for i := d.objects[o].first; i < len(d.values); i++ {
		if v := &d.values[i]; v.Field == f && v.Object == o && v.Str == string(b) {
			return
		}
	}
	d.AddStringIn(o, f, string(b))
}

// Mark is AddString for what is said of the document as a whole, such as a tag: it is added even when the document is full.
// The caller bounds how much it adds.
func (d *Document) Mark(f FieldID, s string) {
	count := 0
	for v := range d.EachIn(Root, f) {
		if v.Str == s {
			return
		}
		count++
	}
	if count >= MaxValues {
		d.truncated = true
		return
	}
	d.push(Value{Field: f, Str: s})
}

// AddIP adds an address to a list in its canonical text; an invalid address is ignored.
// IPv4-mapped IPv6 addresses become IPv4.
func (d *Document) AddIP(f FieldID, a netip.Addr) { d.AddIPIn(Root, f, a) }

// AddIPIn is AddIP within an object.
func (d *Document) AddIPIn(o ObjectID, f FieldID, a netip.Addr) {
	if a.IsValid() {
		d.AddStringIn(o, f, a.Unmap().WithZone("").String())
	}
}

// AddCount adds n to an integer scalar that counts.
func (d *Document) AddCount(f FieldID, n int64) {
	if v := d.find(Root, f); v != nil {
		v.Int += n
		return
	}
	d.push(Value{Field: f, Int: n})
}

// Append appends a value without looking for duplicates or folding its case, for
// decoders of documents that were built under these rules before.
func (d *Document) Append(v Value) { d.push(v) }

// fold returns s without padding, as UTF-8 in the case that the field's type stores.
func (d *Document) fold(f FieldID, s string) string {
	if zero := strings.IndexByte(s, 0); zero > 0 {
		if d.endAtZero {
			s = s[:zero]
		} else {
			s = strings.TrimRight(s, "\x00")
		}
	}
	if !utf8.ValidString(s) {
		s = latin1(s)
	}
	switch d.reg.fields[f].Type {
	case LoTerm:
		return strings.ToLower(s)
	case UpTerm:
		return strings.ToUpper(s)
	}
	return s
}

// latin1 returns as UTF-8 what is none: each byte is the character of its number, as in ISO 8859-1, so that text of
// protocols that never heard of UTF-8 can be read and no byte is lost. UTF-8 that was cut within a character loses it.
func latin1(s string) string {
	for cut := 1; cut < utf8.UTFMax && cut < len(s); cut++ {
		if head := s[:len(s)-cut]; !utf8.FullRuneInString(s[len(head):]) && utf8.ValidString(head) && utf8.RuneCountInString(head) < len(head) {
			return head
		}
	}
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func (d *Document) find(o ObjectID, f FieldID) *Value {
	for i := d.objects[o].first; i < len(d.values); i++ {
		if v := &d.values[i]; v.Field == f && v.Object == o {
			return v
		}
	}
	return nil
}

func (d *Document) pushLimited(v Value, count int) {
	if count >= MaxValues || d.full(valueBytes+len(v.Str)) {
		d.truncated = true
		return
	}
	d.push(v)
}

// full reports whether n bytes more would be too many.
func (d *Document) full(n int) bool {
	return d.bytes+len(d.values)*valueBytes+len(d.objects)*objectBytes+n > d.limit
}

func (d *Document) push(v Value) {
	d.values = append(d.values, v)
	d.bytes += len(v.Str)
	d.sorted = false
}

// Values returns all values ordered by object, then by field path; values of one
// field keep the order in which they were added. The slice is d's own, and valid until d changes.
func (d *Document) Values() []Value {
	if !d.sorted {
		slices.SortStableFunc(d.values, func(a, b Value) int {
			if c := cmp.Compare(a.Object, b.Object); c != 0 {
				return c
			}
			return cmp.Compare(d.reg.fields[a.Field].rank, d.reg.fields[b.Field].rank)
		})
		d.sorted = true
		for o, i := 0, 0; o < len(d.objects); o++ {
			for i < len(d.values) && int(d.values[i].Object) < o {
				i++
			}
			d.objects[o].first = i
		}
	}
	return d.values
}

// Each calls yield for every value of the field, in all objects.
func (d *Document) Each(f FieldID) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for i := range d.values {
			if d.values[i].Field == f && !yield(d.values[i]) {
				return
			}
		}
	}
}

// EachIn calls yield for every value of the field in one object.
func (d *Document) EachIn(o ObjectID, f FieldID) iter.Seq[Value] {
	return func(yield func(Value) bool) {
		for i := d.objects[o].first; i < len(d.values); i++ {
			if v := &d.values[i]; v.Field == f && v.Object == o && !yield(*v) {
				return
			}
		}
	}
}

// Has reports whether the field has a value in any object.
func (d *Document) Has(f FieldID) bool {
	for i := range d.values {
		if d.values[i].Field == f {
			return true
		}
	}
	return false
}

// Int returns the first value of a numeric field, or false when it has none.
func (d *Document) Int(f FieldID) (int64, bool) {
	for i := range d.values {
		if d.values[i].Field == f {
			return d.values[i].Int, true
		}
	}
	return 0, false
}

// String returns the first value of a text or address field, or "" when it has none.
func (d *Document) String(f FieldID) string {
	for i := range d.values {
		if d.values[i].Field == f {
			return d.values[i].Str
		}
	}
	return ""
}

// IntIn returns a numeric scalar of one object.
func (d *Document) IntIn(o ObjectID, f FieldID) (int64, bool) {
	if v := d.find(o, f); v != nil {
		return v.Int, true
	}
	return 0, false
}

// StringIn returns a text scalar of one object, or "" when it has none.
func (d *Document) StringIn(o ObjectID, f FieldID) string {
	if v := d.find(o, f); v != nil {
		return v.Str
	}
	return ""
}

// ObjectOf returns the list an object belongs to and the object that holds it.
func (d *Document) ObjectOf(o ObjectID) (ListID, ObjectID) {
	return d.objects[o].list, d.objects[o].parent
}

// NumObjects returns how many objects d holds, the document itself included.
func (d *Document) NumObjects() int { return len(d.objects) }
