package sessionfile

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"wirelake/internal/spi"
)

// Documents returns the rows of the row group, which must ascend, as documents with the
// fields given; nil fields are all.
func (g *Group) Documents(ctx context.Context, rows []int, fields []spi.FieldID) ([]*spi.Document, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	if rows[0] < 0 || rows[len(rows)-1] >= g.meta.rows {
		return nil, fmt.Errorf("%q: rows %d to %d of a row group of %d", g.f.Object.Key, rows[0], rows[len(rows)-1], g.meta.rows)
	}
	columns, err := g.prefetch(ctx, rows, fields)
	if err != nil {
		return nil, err
	}
	a := newAssembly(g.f.reader.schema.registry, rows, len(rows) < pageRows/8)
	for _, c := range columns {
		if _, _, err := c.Pages(ctx, func(s PageSpot) bool { return s.RowsIn(rows) }, a.page); err != nil {
			return nil, err
		}
	}
	return a.docs, nil
}

// prefetch gets what the rows need of the columns with few requests: the page indexes, then
// dictionaries and pages.
func (g *Group) prefetch(ctx context.Context, rows []int, fields []spi.FieldID) ([]*Column, error) {
	var columns []*Column
	if fields == nil {
		for i := range g.f.reader.schema.columns {
			if c := g.Column(g.f.reader.schema.columns[i].field.ID); c != nil {
				columns = append(columns, c)
			}
		}
	}
	seen := map[spi.FieldID]bool{}
	for _, f := range fields {
		if c := g.Column(f); c != nil && !seen[f] {
			seen[f] = true
			columns = append(columns, c)
		}
	}
	var spans []span
	for _, c := range columns {
		if c.meta.offIdxOff > 0 {
			spans = append(spans, span{c.meta.offIdxOff, c.meta.offIdxLen})
			if c.meta.colIdxOff > 0 {
				spans = append(spans, span{c.meta.colIdxOff, c.meta.colIdxLen})
			}
		}
	}
	if err := g.f.fetch(ctx, g.got, spans); err != nil {
		return nil, err
	}
	spans = spans[:0]
	for _, c := range columns {
		spots, err := c.locate(ctx)
		if err != nil {
			return nil, err
		}
		if spots == nil {
			spans = append(spans, span{c.meta.start, c.Size()})
			continue
		}
		if c.meta.dictOffset > 0 && c.dict == nil {
			spans = append(spans, c.dictSpan())
		}
		for i := range spots {
			if (PageSpot{First: spots[i].first, Rows: spots[i].rows}).RowsIn(rows) {
				spans = append(spans, spots[i].span)
			}
		}
	}
	return columns, g.f.fetch(ctx, g.got, spans)
}

// Documents yields all rows of the file in order, as documents with the fields given; nil
// fields are all. Each document is the caller's to keep. An error ends it.
//
// It holds one row group's bytes and pageRows documents at a time.
func (f *File) Documents(ctx context.Context, fields []spi.FieldID) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) {
		for i := range f.footer.groups {
			g := f.Group(i)
			for first := 0; first < g.Rows(); first += pageRows {
				rows := make([]int, min(pageRows, g.Rows()-first))
				for j := range rows {
					rows[j] = first + j
				}
				docs, err := g.Documents(ctx, rows, fields)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, d := range docs {
					if !yield(d, nil) {
						return
					}
				}
			}
		}
	}
}

// assembly puts documents together from columns, one column after the other.
type assembly struct {
	rows    []int
	docs    []*spi.Document
	objects []map[place]spi.ObjectID // per document: what was made of its lists so far
	clone   bool                     // texts are few: let go of the pages they lie in
	path    []spi.ObjectID           // per list around the column, the current object
	ordinal []int                    // per list, its number in its parent
}

// place is where an object stands.
type place struct {
	list    spi.ListID
	parent  spi.ObjectID
	ordinal int
}

func newAssembly(r *spi.Registry, rows []int, clone bool) *assembly {
	a := &assembly{rows: rows, docs: make([]*spi.Document, len(rows)), objects: make([]map[place]spi.ObjectID, len(rows)), clone: clone}
	for i := range a.docs {
		a.docs[i] = r.NewDocument()
	}
	return a
}

// page adds what a page has of the rows.
func (a *assembly) page(p *Page) error {
	next := 0
	for next < len(a.rows) && a.rows[next] < p.First {
		next++
	}
	row, value := p.First-1, 0
	depth := len(p.col.lists)
	for e := range p.entries {
		rep, def := uint8(0), p.col.maxDef
		if p.reps != nil {
			rep = p.reps[e]
		}
		if p.defs != nil {
			def = p.defs[e]
		}
		if rep == 0 {
			row++
		}
		for next < len(a.rows) && a.rows[next] < row {
			next++
		}
		if next == len(a.rows) {
			break
		}
		if a.rows[next] == row && def > 0 {
			object := spi.Root
			if depth > 0 {
				object = a.object(next, p.col, rep, def)
			}
			if def == p.col.maxDef && (depth == 0 || object != spi.Root) {
				a.add(next, p, object, value)
			}
		}
		if def == p.col.maxDef {
			value++
		}
	}
	return nil
}

func (a *assembly) add(doc int, p *Page, object spi.ObjectID, value int) {
	v := spi.Value{Field: p.col.field.ID, Object: object}
	if p.col.numeric() {
		v.Int = p.Int(value)
	} else if v.Str = p.String(value); a.clone {
		v.Str = strings.Clone(v.Str)
	}
	a.docs[doc].Append(v)
}

// object returns the innermost object around an entry, making those that are new. It
// returns Root when there is none: the list is null or empty, or the document is full.
func (a *assembly) object(doc int, c *column, rep, def uint8) spi.ObjectID {
	depth := len(c.lists)
	if len(a.path) < depth {
		a.path, a.ordinal = make([]spi.ObjectID, depth), make([]int, depth)
	}
	present := min(int(def)/2, depth) // lists, from the outside, that have an object here
	for k := range depth {
		level := uint8(k + 1) //nolint:gosec // G115: two or three
		switch {
		case rep == 0 || level > rep:
			a.ordinal[k] = 0
		case level == rep:
			a.ordinal[k]++
		}
		if k >= present {
			return spi.Root
		}
		parent := spi.Root
		if k > 0 {
			parent = a.path[k-1]
		}
		if a.path[k] = a.make(doc, place{c.lists[k], parent, a.ordinal[k]}); a.path[k] == spi.Root {
			return spi.Root
		}
	}
	return a.path[depth-1]
}

func (a *assembly) make(doc int, p place) spi.ObjectID {
	if o, ok := a.objects[doc][p]; ok {
		return o
	}
	if a.objects[doc] == nil {
		a.objects[doc] = make(map[place]spi.ObjectID)
	}
	o, ok := a.docs[doc].NewObject(p.list, p.parent)
	if !ok {
		return spi.Root
	}
	a.objects[doc][p] = o
	return o
}
