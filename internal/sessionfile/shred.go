package sessionfile

import "wirelake/internal/spi"

// shredder holds what finds the objects and values of a document; it is reused for each.
type shredder struct {
	starts     []int          // per object and one past the last, its first value
	firstChild []spi.ObjectID // per object, the first object it holds; 0 for none
	lastChild  []spi.ObjectID
	next       []spi.ObjectID // per object, the next one of the same parent
}

// addRow adds d to the columns as row w.rows and returns about how many bytes it added.
// The levels are those of Dremel (Melnik et al., 2010), with the counts of [Schema].
func (w *Writer) addRow(d *spi.Document) (size int) {
	vals := d.Values()
	n := 0
	for n < len(vals) && vals[n].Object == spi.Root {
		n++
	}
	size = w.addValues(vals[:n])
	if d.NumObjects() == 1 {
		return size
	}
	s := &w.shred
	s.index(d, vals)
	for _, l := range w.schema.lists[spi.RootList].lists {
		if o := s.childOf(d, spi.Root, l); o != spi.Root {
			for _, c := range w.schema.lists[l].all {
				b := &w.columns[c]
				b.pad(w.rows)
				b.rows++
			}
			size += w.addObjects(d, vals, o, l, 0)
		}
	}
	return size
}

// addValues adds the document's own values: runs of one field, each to its column.
func (w *Writer) addValues(vals []spi.Value) (size int) {
	last := -1
	for i := range vals {
		v := &vals[i]
		c := w.schema.byField[v.Field]
		b := &w.columns[c]
		if len(b.col.lists) > 0 {
			continue // belongs into an object; the document itself cannot hold it
		}
		rep := uint8(0)
		if c == last {
			if !b.col.field.List {
				continue // a scalar has one value; the first is the one that documents show
			}
			rep = 1
		} else {
			b.pad(w.rows)
			b.rows++
			last = c
		}
		if b.col.numeric() {
			b.addInt(rep, v.Int)
			size += 8
		} else {
			b.addString(rep, v.Str)
			size += len(v.Str) + 4
		}
	}
	return size
}

// addObjects adds the objects of list l that follow o among the children of its parent.
// rep is the repetition level of the first one.
func (w *Writer) addObjects(d *spi.Document, vals []spi.Value, o spi.ObjectID, l spi.ListID, rep uint8) (size int) {
	s := &w.shred
	n := &w.schema.lists[l]
	present := 2 * n.depth // definition level: the object is there, what is in it not
	for ; o != spi.Root; o = s.nextOf(d, o, l) {
		mine := vals[s.starts[o]:s.starts[o+1]]
		for _, c := range n.columns {
			b := &w.columns[c]
			r, found := rep, false
			// Values are in path order, as the columns are.
			for len(mine) > 0 && mine[0].Field == b.col.field.ID {
				if found && !b.col.field.List {
					mine = mine[1:]
					continue
				}
				if b.col.numeric() {
					b.addInt(r, mine[0].Int)
				} else {
					b.addString(r, mine[0].Str)
				}
				size += 8 + len(mine[0].Str)
				r, found = n.depth+1, true
				mine = mine[1:]
			}
			if !found {
				b.entry(rep, present)
				size++
			}
		}
		for _, child := range n.lists {
			if first := s.childOf(d, o, child); first != spi.Root {
				size += w.addObjects(d, vals, first, child, rep)
				continue
			}
			for _, c := range w.schema.lists[child].all {
				w.columns[c].entry(rep, present)
				size++
			}
		}
		rep = n.depth
	}
	return size
}

// index finds where each object's values begin and which objects it holds.
func (s *shredder) index(d *spi.Document, vals []spi.Value) {
	n := d.NumObjects()
	s.starts = append(s.starts[:0], make([]int, n+1)...)
	s.firstChild = append(s.firstChild[:0], make([]spi.ObjectID, n)...)
	s.lastChild = append(s.lastChild[:0], make([]spi.ObjectID, n)...)
	s.next = append(s.next[:0], make([]spi.ObjectID, n)...)
	i := 0
	for o := range n {
		for i < len(vals) && int(vals[i].Object) < o {
			i++
		}
		s.starts[o] = i
	}
	s.starts[n] = len(vals)
	for o := spi.ObjectID(1); int(o) < n; o++ {
		_, parent := d.ObjectOf(o)
		if s.firstChild[parent] == spi.Root {
			s.firstChild[parent] = o
		} else {
			s.next[s.lastChild[parent]] = o
		}
		s.lastChild[parent] = o
	}
}

// childOf returns the first object of list l in parent, Root for none.
func (s *shredder) childOf(d *spi.Document, parent spi.ObjectID, l spi.ListID) spi.ObjectID {
	o := s.firstChild[parent]
	for o != spi.Root {
		if list, _ := d.ObjectOf(o); list == l {
			return o
		}
		o = s.next[o]
	}
	return o
}

// nextOf returns the next object of list l beside o, Root for none.
func (s *shredder) nextOf(d *spi.Document, o spi.ObjectID, l spi.ListID) spi.ObjectID {
	for o = s.next[o]; o != spi.Root; o = s.next[o] {
		if list, _ := d.ObjectOf(o); list == l {
			return o
		}
	}
	return o
}
