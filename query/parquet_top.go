package query

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"wirelake/internal/sessionfile"
	"wirelake/internal/spi"
)

// sortKey is what a row sorts by in one criterion.
type sortKey struct {
	present bool
	number  int64
	text    string // of an address, its 16 bytes
}

// topRows keeps the first rows of an order. It is safe for concurrent use.
type topRows struct {
	reg   *spi.Registry
	sort  []Sort
	limit int

	mu   sync.Mutex
	heap rowHeap // the last of them on top
}

func newTopRows(reg *spi.Registry, by []Sort, limit int) *topRows {
	return &topRows{reg: reg, sort: by, limit: limit, heap: rowHeap{sort: by}}
}

// add offers the rows of the set.
func (t *topRows) add(ctx context.Context, g *groupScan, set rowSet) error {
	if t.limit == 0 || t.cannotEnter(g) {
		return nil
	}
	rows := set.rows()
	keys := make([]sortKey, len(rows)*len(t.sort))
	for i, by := range t.sort {
		if err := g.sortKeys(ctx, t.reg.Field(by.Field), by.Descending, set, rows, keys[i:], len(t.sort)); err != nil {
			return err
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range rows {
		if len(t.sort) > 0 && t.sort[0].Descending {
			i = len(rows) - 1 - i // rows are in order of time: the first that come are likely to stay
		}
		r := rowRef{keys: keys[i*len(t.sort) : (i+1)*len(t.sort)], file: g.file, number: g.number, group: g.index, row: rows[i]}
		if len(t.heap.refs) < t.limit {
			r.keys = slices.Clone(r.keys)
			heap.Push(&t.heap, r)
			continue
		}
		if t.heap.compare(&r, &t.heap.refs[0]) < 0 {
			r.keys = slices.Clone(r.keys)
			t.heap.refs[0] = r
			heap.Fix(&t.heap, 0)
		}
	}
	return nil
}

// cannotEnter reports whether no row of the group can come before those that are there, by the group's statistics.
func (t *topRows) cannotEnter(g *groupScan) bool {
	if len(t.sort) == 0 {
		return false
	}
	by := t.sort[0]
	c := g.group.Column(by.Field)
	if c == nil || !c.Complete() {
		return false
	}
	lo, hi, ok := c.IntBounds()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !ok || len(t.heap.refs) < t.limit || !t.heap.refs[0].keys[0].present {
		return false
	}
	worst := t.heap.refs[0].keys[0].number
	if by.Descending {
		return hi < worst
	}
	return lo > worst
}

// sorted returns the rows of a page, in order.
func (t *topRows) sorted(start, length int) []rowRef {
	slices.SortFunc(t.heap.refs, func(a, b rowRef) int { return t.heap.compare(&a, &b) })
	refs := t.heap.refs[min(start, len(t.heap.refs)):]
	return refs[:min(length, len(refs))]
}

// rowHeap is a heap whose top is the row that comes last.
type rowHeap struct {
	sort []Sort
	refs []rowRef
}

func (h *rowHeap) Len() int           { return len(h.refs) }
func (h *rowHeap) Less(i, j int) bool { return h.compare(&h.refs[i], &h.refs[j]) > 0 }
func (h *rowHeap) Swap(i, j int)      { h.refs[i], h.refs[j] = h.refs[j], h.refs[i] }
func (h *rowHeap) Push(x any)         { h.refs = append(h.refs, x.(rowRef)) }
func (h *rowHeap) Pop() any {
	last := h.refs[len(h.refs)-1]
	h.refs = h.refs[:len(h.refs)-1]
	return last
}

// compare orders rows by the criteria, then by where they are.
func (h *rowHeap) compare(a, b *rowRef) int {
	for i, by := range h.sort {
		x, y := &a.keys[i], &b.keys[i]
		switch {
		case !x.present && !y.present:
			continue
		case !x.present:
			return 1
		case !y.present:
			return -1
		}
		c := cmp.Or(cmp.Compare(x.number, y.number), strings.Compare(x.text, y.text))
		if by.Descending {
			c = -c
		}
		if c != 0 {
			return c
		}
	}
	// Files are numbered in the order they are searched, which the sort decides: so this is the same at every call.
	return cmp.Or(cmp.Compare(a.number, b.number), cmp.Compare(a.group, b.group), cmp.Compare(a.row, b.row))
}

// sortKeys writes the key of each row to keys, stride apart.
func (g *groupScan) sortKeys(ctx context.Context, f *spi.Field, descending bool, set rowSet, rows []int, keys []sortKey, stride int) error {
	c := g.group.Column(f.ID)
	if c == nil {
		return nil
	}
	if err := g.group.Fetch(ctx, []spi.FieldID{f.ID}); err != nil {
		return err
	}
	next := 0 // rows and values both ascend by row
	return g.pages(ctx, c, set, func(p *sessionfile.Page) {
		p.EachValue(func(row, value int) {
			for next < len(rows) && rows[next] < row {
				next++
			}
			if next == len(rows) || rows[next] != row {
				return
			}
			k := &keys[next*stride]
			v := sortKey{present: true}
			switch {
			case f.Type.Numeric():
				v.number = p.Int(value)
			case f.Type == spi.IP:
				v.text = addressKey(p.String(value))
			default:
				v.text = p.String(value)
			}
			c := cmp.Or(cmp.Compare(v.number, k.number), strings.Compare(v.text, k.text))
			if !k.present || descending && c > 0 || !descending && c < 0 {
				*k = v
			}
		})
	})
}

// addressKey returns bytes that sort as the addresses do.
func addressKey(s string) string {
	a, err := netip.ParseAddr(s)
	if err != nil {
		return s
	}
	b := a.As16()
	return string(bytes.Clone(b[:]))
}
