package sessionfile

import (
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"

	"wirelake/internal/spi"
)

// Schema maps the fields of a registry to the columns of a Parquet file and back.
// It is immutable, and may be used by several goroutines.
//
// Levels: groups are required, so they add no level. A list, of values or of objects,
// is optional with a repeated group inside and adds two definition levels (null, empty,
// present) and one repetition level; a scalar is optional and adds one definition level.
type Schema struct {
	registry *spi.Registry
	elements []format.SchemaElement
	columns  []column
	byField  []int // per spi.FieldID, the index of its column
	lists    []listNode
}

// column is one leaf of the schema, in depth-first order of the paths.
type column struct {
	field  *spi.Field
	path   []string     // in the Parquet schema: ["http" "uri" "list" "element"]
	lists  []spi.ListID // lists of objects around it, outermost first
	maxDef uint8
	maxRep uint8
}

func (c *column) numeric() bool { return c.field.Type.Numeric() }

// listNode is what lies below one list of objects.
type listNode struct {
	depth   uint8        // 1 for a list of the document itself
	columns []int        // columns of its objects' own fields
	lists   []spi.ListID // lists of objects within its objects
	all     []int        // columns of its own and of all lists below
}

// NewSchema derives the schema. It freezes the registry. It fails when the path of a field
// lies below that of another, which is a mistake in a declaration.
func NewSchema(r *spi.Registry) (*Schema, error) {
	r.Freeze()
	s := &Schema{registry: r, byField: make([]int, len(r.Fields())), lists: make([]listNode, len(r.Lists()))}
	root := &node{}
	for i := range r.Lists()[1:] {
		l := &r.Lists()[i+1]
		n, err := root.at(strings.Split(l.Path, "."))
		if err != nil {
			return nil, err
		}
		n.list = l.ID
	}
	for i := range r.Fields() {
		f := &r.Fields()[i]
		n, err := root.at(strings.Split(f.Path, "."))
		if err != nil {
			return nil, err
		}
		n.field = f
	}
	s.elements = append(s.elements, format.SchemaElement{
		Name:           "session",
		RepetitionType: thrift.New(format.Required),
		NumChildren:    thrift.New(int32(len(root.children))), //nolint:gosec // G115: some hundreds
	})
	for _, c := range root.children {
		if err := s.add(c, nil, nil); err != nil {
			return nil, err
		}
	}
	for i := range s.columns {
		c := &s.columns[i]
		s.byField[c.field.ID] = i
		for depth, l := range c.lists {
			s.lists[l].depth = uint8(depth + 1) //nolint:gosec // G115: two or three
			s.lists[l].all = append(s.lists[l].all, i)
		}
		if n := len(c.lists); n > 0 {
			s.lists[c.lists[n-1]].columns = append(s.lists[c.lists[n-1]].columns, i)
		}
	}
	for i := range r.Lists()[1:] {
		l := &r.Lists()[i+1]
		s.lists[l.Parent].lists = append(s.lists[l.Parent].lists, l.ID)
	}
	return s, nil
}

// Registry returns the registry that the schema was made from.
func (s *Schema) Registry() *spi.Registry { return s.registry }

// ColumnPath returns the path of a field's column in the Parquet schema, dotted.
func (s *Schema) ColumnPath(f spi.FieldID) string {
	return strings.Join(s.columns[s.byField[f]].path, ".")
}

// node is a group, a list of objects or a leaf, while the tree is built.
type node struct {
	name     string
	field    *spi.Field // a leaf
	list     spi.ListID // a list of objects, or RootList
	children []*node    // ordered by name
}

func (n *node) at(path []string) (*node, error) {
	for _, name := range path {
		if n.field != nil {
			return nil, fmt.Errorf("session schema: field %s lies below field %s", strings.Join(path, "."), n.field.Path)
		}
		i, found := slices.BinarySearchFunc(n.children, name, func(c *node, s string) int { return strings.Compare(c.name, s) })
		if !found {
			n.children = slices.Insert(n.children, i, &node{name: name})
		}
		n = n.children[i]
	}
	return n, nil
}

// add appends the schema elements and columns of n.
func (s *Schema) add(n *node, path []string, lists []spi.ListID) error {
	path = append(path[:len(path):len(path)], n.name)
	switch {
	case n.field != nil && len(n.children) > 0:
		return fmt.Errorf("session schema: field %s has fields below it", n.field.Path)
	case n.field != nil:
		s.addLeaf(n, path, lists)
		return nil
	case len(n.children) == 0:
		return fmt.Errorf("session schema: list of objects %s has no fields", strings.Join(path, "."))
	case n.list != spi.RootList:
		s.addListGroups(n.name)
		s.elements = append(s.elements, group("element", format.Required, len(n.children)))
		path = append(path, "list", "element")
		lists = append(lists[:len(lists):len(lists)], n.list)
	default:
		s.elements = append(s.elements, group(n.name, format.Required, len(n.children)))
	}
	for _, c := range n.children {
		if err := s.add(c, path, lists); err != nil {
			return err
		}
	}
	return nil
}

func (s *Schema) addLeaf(n *node, path []string, lists []spi.ListID) {
	depth := uint8(len(lists)) //nolint:gosec // G115: two or three
	c := column{field: n.field, path: path, lists: lists, maxDef: 2*depth + 1, maxRep: depth}
	if n.field.List {
		s.addListGroups(n.name)
		s.elements = append(s.elements, leaf("element", format.Required, n.field.Type))
		c.path = append(c.path, "list", "element")
		c.maxDef++
		c.maxRep++
	} else {
		s.elements = append(s.elements, leaf(n.name, format.Optional, n.field.Type))
	}
	s.columns = append(s.columns, c)
}

// addListGroups appends the two groups around the elements of a list
// (parquet-format, LogicalTypes.md, "Lists").
func (s *Schema) addListGroups(name string) {
	g := group(name, format.Optional, 1)
	g.ConvertedType = thrift.New(deprecated.List)
	g.LogicalType = format.LogicalType{Value: &format.ListType{}}
	s.elements = append(s.elements, g, group("list", format.Repeated, 1))
}

func group(name string, rep format.FieldRepetitionType, children int) format.SchemaElement {
	return format.SchemaElement{Name: name, RepetitionType: thrift.New(rep), NumChildren: thrift.New(int32(children))} //nolint:gosec // G115: some hundreds
}

func leaf(name string, rep format.FieldRepetitionType, t spi.Type) format.SchemaElement {
	e := format.SchemaElement{Name: name, RepetitionType: thrift.New(rep), Type: thrift.New(physicalType(t))}
	switch {
	case t == spi.Date:
		e.ConvertedType = thrift.New(deprecated.TimestampMillis)
		e.LogicalType = format.LogicalType{Value: &format.TimestampType{
			IsAdjustedToUTC: true, Unit: format.TimeUnit{Value: &format.MilliSeconds{}},
		}}
	case !t.Numeric():
		e.ConvertedType = thrift.New(deprecated.UTF8)
		e.LogicalType = format.LogicalType{Value: &format.StringType{}}
	}
	return e
}

func physicalType(t spi.Type) format.Type {
	if t.Numeric() {
		return format.Int64
	}
	return format.ByteArray
}
