package spi

import (
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Type is the type of a field's values. It decides how values are stored,
// compared and searched.
type Type uint8

// The types of fields, named as in Arkime's catalogue.
const (
	Integer Type = iota // 64-bit signed
	Date                // milliseconds since 1970-01-01 UTC; held in Value.Int
	IP                  // IPv4 or IPv6 address, in netip's canonical text
	Term                // text, as it is
	LoTerm              // text, stored in lower case
	UpTerm              // text, stored in upper case
	Text                // text that is searched by its words
)

// String returns the name of the type in Arkime's catalogue and in GET /api/fields.
func (t Type) String() string {
	switch t {
	case Integer:
		return "integer"
	case Date:
		return "date"
	case IP:
		return "ip"
	case Term:
		return "termfield"
	case LoTerm:
		return "lotermfield"
	case UpTerm:
		return "uptermfield"
	case Text:
		return "textfield"
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// Numeric reports whether values of the type are held in Value.Int.
func (t Type) Numeric() bool { return t == Integer || t == Date }

// FieldID names a field within one registry. IDs are not stable between
// builds of the registry: nothing stored may hold one.
type FieldID uint16

// ListID names a list of objects, such as dns or dns.answers.
// RootList is the document itself.
type ListID uint8

// RootList is the list of a field that is not inside a list of objects.
const RootList ListID = 0

// Field describes one field of the session document.
type Field struct {
	ID   FieldID
	Path string // dotted path in the document: "http.uri"
	Type Type
	List bool   // an array in the document (within its object, when it is in one)
	In   ListID // the list of objects that holds it, RootList for none

	Exprs []string // names in the expression language; the first is the one shown, none: not searchable by name
	Name  string   // friendly name
	Help  string
	Group string // protocol or "general"

	Hot   bool   // also indexed in Elasticsearch
	Bloom bool   // Parquet keeps a bloom filter of its values
	Port  string // path of the field that holds the port that belongs to this address, "" for none

	segments []string // Path split at dots
	rank     int      // position among all fields and lists in path order
}

// Expr returns the name shown for the field in the expression language, "" for none.
func (f *Field) Expr() string {
	if len(f.Exprs) == 0 {
		return ""
	}
	return f.Exprs[0]
}

// List describes a list of objects in the document.
type List struct {
	ID     ListID
	Path   string // "dns.answers"
	Parent ListID // RootList, or the list whose objects hold this one

	segments []string
	rank     int
	fields   []FieldID // in it and in the lists below it
}

// Registry is the set of all fields. Declare everything first; after the first
// Document is made from it, a registry must not change, and may be used by
// several goroutines.
type Registry struct {
	fields []Field
	lists  []List // lists[0] is the document
	byPath map[string]FieldID
	byExpr map[string]FieldID
	frozen bool
}

// NewRegistry returns a registry that holds the core fields (core.go).
func NewRegistry() *Registry {
	r := &Registry{
		lists:  []List{{}},
		byPath: make(map[string]FieldID),
		byExpr: make(map[string]FieldID),
	}
	r.declareCore()
	return r
}

// Objects declares a list of objects at path and returns its id. Fields
// declared after it whose path lies below belong to it. Declaring a list again
// returns the same id.
func (r *Registry) Objects(path string) ListID {
	for _, l := range r.lists[1:] {
		if l.Path == path {
			return l.ID
		}
	}
	r.mustBeOpen(path)
	id := ListID(len(r.lists))
	r.lists = append(r.lists, List{ID: id, Path: path, Parent: r.listOf(path), segments: strings.Split(path, ".")})
	return id
}

// Declare adds a field and returns its id. The id and the list are filled in.
// Declaring a path again with the same type returns the existing id, so that
// two dissectors may share a field; the expression names of the second are added.
//
// It panics when a path is declared with two types, an expression name is
// taken, or the registry is in use: mistakes in the program, found by any test.
func (r *Registry) Declare(f Field) FieldID {
	if id, ok := r.byPath[f.Path]; ok {
		old := &r.fields[id]
		if old.Type != f.Type || old.List != f.List {
			panic(fmt.Sprintf("spi: field %s declared as %v list=%v and as %v list=%v", f.Path, old.Type, old.List, f.Type, f.List))
		}
		return id
	}
	r.mustBeOpen(f.Path)
	f.ID = FieldID(len(r.fields))
	f.In = r.listOf(f.Path)
	f.segments = strings.Split(f.Path, ".")
	if f.Name == "" {
		f.Name = f.Path
	}
	if f.Group == "" {
		f.Group = f.segments[0]
	}
	for _, e := range f.Exprs {
		if other, taken := r.byExpr[e]; taken {
			panic(fmt.Sprintf("spi: expression name %s of %s belongs to %s", e, f.Path, r.fields[other].Path))
		}
		r.byExpr[e] = f.ID
	}
	r.byPath[f.Path] = f.ID
	r.fields = append(r.fields, f)
	return f.ID
}

func (r *Registry) mustBeOpen(path string) {
	if r.frozen {
		panic("spi: " + path + " declared after the registry was put to use")
	}
}

// listOf returns the innermost declared list of objects that holds path.
func (r *Registry) listOf(path string) ListID {
	best := RootList
	for _, l := range r.lists[1:] {
		if strings.HasPrefix(path, l.Path+".") && len(l.Path) > len(r.lists[best].Path) {
			best = l.ID
		}
	}
	return best
}

// Freeze ends the declarations: it ranks fields and lists by path. It is
// idempotent, and called by whoever builds the registry, before it is shared.
func (r *Registry) Freeze() *Registry {
	if r.frozen {
		return r
	}
	type item struct {
		segments []string
		rank     *int
	}
	var all []item
	for i := range r.fields {
		all = append(all, item{r.fields[i].segments, &r.fields[i].rank})
	}
	for i := range r.lists[1:] {
		all = append(all, item{r.lists[i+1].segments, &r.lists[i+1].rank})
	}
	sort.Slice(all, func(i, j int) bool { return slices.Compare(all[i].segments, all[j].segments) < 0 })
	for i := range all {
		*all[i].rank = i
	}
	for i := range r.fields {
		for in := r.fields[i].In; in != RootList; in = r.lists[in].Parent {
			r.lists[in].fields = append(r.lists[in].fields, FieldID(i))
		}
	}
	r.frozen = true
	return r
}

// Fields returns all fields by id. The slice must not be changed.
func (r *Registry) Fields() []Field { return r.fields }

// Lists returns all lists of objects by id; the first is the document itself.
func (r *Registry) Lists() []List { return r.lists }

// Field returns the field with the id.
func (r *Registry) Field(id FieldID) *Field { return &r.fields[id] }

// ByPath returns the field at a document path.
func (r *Registry) ByPath(path string) (*Field, bool) {
	id, ok := r.byPath[path]
	if !ok {
		return nil, false
	}
	return &r.fields[id], true
}

// ByExpr returns the fields that a name of the expression language stands for:
// one field for an ordinary name, several for a name that fans out ("ip" is
// every address, "host" every host.*), the field at a path for "db:path".
// It returns nil for an unknown name.
func (r *Registry) ByExpr(name string) []*Field {
	if path, ok := strings.CutPrefix(name, "db:"); ok {
		if f, ok := r.ByPath(path); ok {
			return []*Field{f}
		}
		return nil
	}
	if id, ok := r.byExpr[name]; ok {
		return []*Field{&r.fields[id]}
	}
	match := fanOut(name)
	if match == nil {
		return nil
	}
	var out []*Field
	for i := range r.fields {
		if f := &r.fields[i]; len(f.Exprs) > 0 && match(f) {
			out = append(out, f)
		}
	}
	return out
}

// FanOutNames returns the names of the expression language that stand for
// several fields, with what they stand for.
func FanOutNames() map[string]string {
	return map[string]string{
		"ip":      "every IP address",
		"host":    "every host name",
		"port":    "every port",
		"mac":     "every MAC address",
		"md5":     "every MD5 of a file or body",
		"sha256":  "every SHA-256 of a file or body",
		"country": "every country",
		"asn":     "every autonomous system",
		"oui":     "every MAC vendor",
		"rir":     "every regional registry",
	}
}

// fanOut returns the predicate behind a name that stands for several fields.
func fanOut(name string) func(*Field) bool {
	if _, ok := FanOutNames()[name]; !ok {
		return nil
	}
	if name == "ip" {
		// Not dns.answers.ip: dns.ip has the same addresses, and searching both would cost twice.
		return func(f *Field) bool { return f.Type == IP && !strings.HasPrefix(f.Path, "dns.answers.") }
	}
	prefix := name + "."
	return func(f *Field) bool {
		return slices.ContainsFunc(f.Exprs, func(e string) bool { return strings.HasPrefix(e, prefix) })
	}
}
