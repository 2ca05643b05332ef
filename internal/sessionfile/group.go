package sessionfile

import (
	"context"
	"encoding/binary"
	"fmt"
	"sort"

	"github.com/cespare/xxhash/v2"
	"github.com/parquet-go/parquet-go/bloom"

	"wirelake/internal/spi"
)

// Group reads one row group. It keeps what it fetched, so it should live for one
// request only. It is not safe for concurrent use.
type Group struct {
	f       *File
	meta    *rowGroup
	got     *extents
	blooms  *Blooms
	scratch scratch
	columns map[spi.FieldID]*Column
}

// Group returns a reader of row group i.
func (f *File) Group(i int) *Group {
	return &Group{f: f, meta: &f.footer.groups[i], got: &extents{}, columns: map[spi.FieldID]*Column{}}
}

// Blooms holds bloom filters of a file that were fetched for several row groups at once.
// It is safe for concurrent use.
type Blooms struct{ got extents }

// Blooms fetches the filters of the columns of these fields in all row groups: those of one
// column lie side by side.
func (f *File) Blooms(ctx context.Context, fields []spi.FieldID) (*Blooms, error) {
	b := &Blooms{}
	var spans []span
	for _, id := range fields {
		for i := range f.footer.groups {
			if m := f.footer.groups[i].chunk(f.reader.schema.byField[id]); m != nil && m.bloomOff > 0 {
				spans = append(spans, span{m.bloomOff, m.bloomLen})
			}
		}
	}
	return b, f.fetch(ctx, &b.got, spans)
}

// Use makes the row group look into filters that are there already.
func (g *Group) Use(b *Blooms) { g.blooms = b }

// Rows returns the number of rows.
func (g *Group) Rows() int { return g.meta.rows }

// Column is one column chunk. Its dictionary and pages are fetched and decoded when asked for.
type Column struct {
	g     *Group
	col   *column
	meta  *chunkMeta
	dict  *Dict
	spots []pageSpot
}

// pageSpot says where a data page is and what it holds.
type pageSpot struct {
	span
	first, rows int
	bounds      *pageBounds
}

type pageBounds struct {
	null   bool
	lo, hi []byte
}

// Column returns the column of a field, or nil when no row has a value.
func (g *Group) Column(f spi.FieldID) *Column {
	if c, ok := g.columns[f]; ok {
		return c
	}
	i := g.f.reader.schema.byField[f]
	var c *Column
	if m := g.meta.chunk(i); m != nil {
		c = &Column{g: g, col: &g.f.reader.schema.columns[i], meta: m}
	}
	g.columns[f] = c
	return c
}

// Size returns the bytes of the column chunk in the file.
func (c *Column) Size() int64 { return c.meta.end - c.meta.start }

// Complete reports whether every row has exactly one value.
func (c *Column) Complete() bool { return c.meta.nulls == 0 && c.col.maxRep == 0 }

// Numeric reports whether the values are numbers.
func (c *Column) Numeric() bool { return c.col.numeric() }

// IntBounds returns the smallest and largest number, false when they are not known.
func (c *Column) IntBounds() (lo, hi int64, ok bool) {
	if !c.col.numeric() {
		return 0, 0, false
	}
	return c.meta.intBounds()
}

// StringBounds returns the first and last text in byte order, false when they are not known.
func (c *Column) StringBounds() (lo, hi string, ok bool) {
	if c.col.numeric() || c.meta.lo == nil {
		return "", "", false
	}
	return string(c.meta.lo), string(c.meta.hi), true
}

// DictionaryOnly reports whether all values are entries of the dictionary: what is not
// in it is not in the column.
func (c *Column) DictionaryOnly() bool { return c.meta.dictOnly }

// HasBloom reports whether the column has a bloom filter.
func (c *Column) HasBloom() bool { return c.meta.bloomOff > 0 }

// MayHold reports whether one of the values may be in the column, by its bloom filter: false is certain.
func (c *Column) MayHold(ctx context.Context, values []string) (bool, error) {
	if !c.HasBloom() {
		return true, nil
	}
	at := span{c.meta.bloomOff, c.meta.bloomLen}
	got := c.g.got
	if c.g.blooms != nil {
		got = &c.g.blooms.got
	}
	b, err := c.g.f.bytes(ctx, got, at)
	if err != nil {
		return false, err
	}
	r := &thriftReader{b: b}
	size := int64(-1)
	r.fields(func(id int16, typ byte) {
		if id == 1 && typ == thriftI32 {
			size = r.int()
			return
		}
		r.skip(typ)
	})
	if r.err != nil || size <= 0 || size%bloom.BlockSize != 0 || size > int64(len(b)-r.at) {
		return false, corrupt(c.g.f.Object.Key, c.meta.bloomOff, "bloom filter of %d bytes", size)
	}
	// The filter may stand at any address: it is looked at block by block, in a copy that is aligned.
	bits := b[r.at : int64(r.at)+size]
	for _, v := range values {
		h := xxhash.Sum64String(v)
		block := ((h >> 32) * uint64(len(bits)/bloom.BlockSize)) >> 32
		var words bloom.Block
		for i := range words {
			words[i] = bloom.Word(binary.LittleEndian.Uint32(bits[block*bloom.BlockSize+uint64(4*i):]))
		}
		if words.Check(uint32(h)) { //nolint:gosec // G115: the low half, as the format says
			return true, nil
		}
	}
	return false, nil
}

// wholeBytes is up to which size a column chunk is fetched whole where its dictionary alone
// may do: what a second round trip would cost.
const wholeBytes = joinGap

// Fetch gets with few requests what a search of these columns needs first: page indexes, and
// of each column all, or when it is large and its dictionary may rule it out, the dictionary.
func (g *Group) Fetch(ctx context.Context, fields []spi.FieldID) error {
	var spans []span
	for _, f := range fields {
		c := g.Column(f)
		if c == nil {
			continue
		}
		spans = append(spans, span{c.meta.offIdxOff, c.meta.offIdxLen}, span{c.meta.colIdxOff, c.meta.colIdxLen})
		if c.meta.dictOnly && c.Size() > wholeBytes {
			spans = append(spans, c.dictSpan())
			continue
		}
		if c.Size() <= wholeBytes {
			spans = append(spans, span{c.meta.start, c.Size()})
		}
	}
	return g.f.fetch(ctx, g.got, spans)
}

func (c *Column) dictSpan() span {
	return span{c.meta.dictOffset, c.meta.dataOffset - c.meta.dictOffset}
}

// Dict returns the dictionary, nil when the column has none.
func (c *Column) Dict(ctx context.Context) (*Dict, error) {
	if c.dict != nil || c.meta.dictOffset == 0 || c.meta.dictOffset >= c.meta.dataOffset {
		return c.dict, nil
	}
	b, err := c.g.f.bytes(ctx, c.g.got, c.dictSpan())
	if err != nil {
		return nil, err
	}
	d, _, err := decodeDict(c.g.f.reader.zstd, c.col, c.meta, b)
	if err != nil {
		return nil, c.corrupt(c.meta.dictOffset, err)
	}
	c.dict = d
	return d, nil
}

func (c *Column) corrupt(off int64, err error) error {
	return corrupt(c.g.f.Object.Key, off, "column %s: %v", pathOf(c.col.path), err)
}

// locate finds the pages by the offset index, with the bounds of the column index. Without an
// offset index it returns none: then the chunk is read from its beginning to its end.
func (c *Column) locate(ctx context.Context) ([]pageSpot, error) {
	if c.spots != nil || c.meta.offIdxOff == 0 {
		return c.spots, nil
	}
	b, err := c.g.f.bytes(ctx, c.g.got, span{c.meta.offIdxOff, c.meta.offIdxLen})
	if err != nil {
		return nil, err
	}
	r := &thriftReader{b: b}
	var spots []pageSpot
	r.fields(func(id int16, typ byte) {
		if id != 1 {
			r.skip(typ)
			return
		}
		r.each(typ, thriftStruct, func(int, int) {
			var s pageSpot
			r.fields(func(id int16, typ byte) {
				switch {
				case id == 1 && typ == thriftI64:
					s.off = r.int()
				case id == 2 && typ == thriftI32:
					s.n = r.int()
				case id == 3 && typ == thriftI64:
					s.first = int(r.int())
				default:
					r.skip(typ)
				}
			})
			spots = append(spots, s)
		})
	})
	if r.err != nil || len(spots) == 0 {
		return nil, c.corrupt(c.meta.offIdxOff, fmt.Errorf("offset index of %d pages: %w", len(spots), r.err))
	}
	for i := range spots {
		s, end := &spots[i], c.g.meta.rows
		if i+1 < len(spots) {
			end = spots[i+1].first
		}
		s.rows = end - s.first
		if s.rows <= 0 || s.first < 0 || i == 0 && s.first != 0 || s.off < c.meta.dataOffset || s.n <= 0 || s.n > c.meta.end-s.off {
			return nil, c.corrupt(c.meta.offIdxOff, fmt.Errorf("page %d at %d of %d bytes with %d rows from %d", i, s.off, s.n, s.rows, s.first))
		}
	}
	if err := c.readBounds(ctx, spots); err != nil {
		return nil, err
	}
	c.spots = spots
	return spots, nil
}

// readBounds adds the bounds of the column index to the pages, where there is one.
func (c *Column) readBounds(ctx context.Context, spots []pageSpot) error {
	if c.meta.colIdxOff == 0 || len(spots) < 2 {
		return nil
	}
	b, err := c.g.f.bytes(ctx, c.g.got, span{c.meta.colIdxOff, c.meta.colIdxLen})
	if err != nil {
		return err
	}
	r := &thriftReader{b: b}
	bounds := make([]pageBounds, len(spots))
	counts := [3]int{}
	r.fields(func(id int16, typ byte) {
		if id < 1 || id > 3 {
			r.skip(typ)
			return
		}
		want := byte(thriftBinary)
		if id == 1 {
			want = thriftTrue
		}
		r.each(typ, want, func(i, n int) {
			counts[id-1] = n
			var v []byte
			null := false
			if id == 1 {
				null = r.byte() == thriftTrue
			} else {
				v = r.binary()
			}
			if i >= len(bounds) {
				return
			}
			switch id {
			case 1:
				bounds[i].null = null
			case 2:
				bounds[i].lo = v
			case 3:
				bounds[i].hi = v
			}
		})
	})
	if r.err != nil || counts != [3]int{len(spots), len(spots), len(spots)} {
		return c.corrupt(c.meta.colIdxOff, fmt.Errorf("column index of %v pages, %d wanted: %w", counts, len(spots), r.err))
	}
	for i := range spots {
		spots[i].bounds = &bounds[i]
	}
	return nil
}

// PageSpot describes a page before it is read.
type PageSpot struct {
	First, Rows int
	spot        *pageSpot
	numeric     bool
}

// AllNull reports whether no row of the page has a value.
func (s PageSpot) AllNull() bool { return s.spot.bounds != nil && s.spot.bounds.null }

// IntBounds returns the page's smallest and largest number, false when they are not known.
func (s PageSpot) IntBounds() (lo, hi int64, ok bool) {
	if b := s.spot.bounds; b != nil && s.numeric && !b.null && len(b.lo) == 8 && len(b.hi) == 8 {
		return int64(binary.LittleEndian.Uint64(b.lo)), int64(binary.LittleEndian.Uint64(b.hi)), true //nolint:gosec // G115: the bits
	}
	return 0, 0, false
}

// StringBounds returns texts that no text of the page is below or above, false when they are not known.
func (s PageSpot) StringBounds() (lo, hi string, ok bool) {
	if b := s.spot.bounds; b != nil && !s.numeric && !b.null {
		return string(b.lo), string(b.hi), true
	}
	return "", "", false
}

// Pages decodes the pages that want accepts, in order, and hands each to fn. A column
// without a page index is read whole, and want not asked. It returns how many pages there
// are and how many were left out.
func (c *Column) Pages(ctx context.Context, want func(PageSpot) bool, fn func(*Page) error) (pages, skipped int, err error) {
	dict, err := c.Dict(ctx)
	if err != nil {
		return 0, 0, err
	}
	spots, err := c.locate(ctx)
	if err != nil {
		return 0, 0, err
	}
	if spots == nil {
		n, err := c.scan(ctx, dict, fn)
		return n, 0, err
	}
	var chosen []pageSpot
	var spans []span
	for i := range spots {
		if want == nil || want(PageSpot{spots[i].first, spots[i].rows, &spots[i], c.col.numeric()}) {
			chosen = append(chosen, spots[i])
			spans = append(spans, spots[i].span)
		}
	}
	if err := c.g.f.fetch(ctx, c.g.got, spans); err != nil {
		return 0, 0, err
	}
	for _, s := range chosen {
		b, err := c.g.f.bytes(ctx, c.g.got, s.span)
		if err != nil {
			return 0, 0, err
		}
		p, _, err := decodePage(c.g.f.reader.zstd, c.col, c.meta, dict, b, &c.g.scratch)
		if err != nil {
			return 0, 0, c.corrupt(s.off, err)
		}
		p.First = s.first
		if p.Rows != s.rows {
			return 0, 0, c.corrupt(s.off, fmt.Errorf("page of %d rows, its index says %d", p.Rows, s.rows))
		}
		if err := fn(p); err != nil {
			return 0, 0, err
		}
	}
	return len(spots), len(spots) - len(chosen), nil
}

// scan decodes all pages of a chunk one after the other.
func (c *Column) scan(ctx context.Context, dict *Dict, fn func(*Page) error) (pages int, err error) {
	b, err := c.g.f.bytes(ctx, c.g.got, span{c.meta.dataOffset, c.meta.end - c.meta.dataOffset})
	if err != nil {
		return 0, err
	}
	at, row, values := 0, 0, int64(0)
	for ; values < c.meta.values; pages++ {
		p, n, err := decodePage(c.g.f.reader.zstd, c.col, c.meta, dict, b[at:], &c.g.scratch)
		if err != nil {
			return pages, c.corrupt(c.meta.dataOffset+int64(at), err)
		}
		if p.entries == 0 {
			return pages, c.corrupt(c.meta.dataOffset+int64(at), fmt.Errorf("empty page"))
		}
		p.First = row
		at, row, values = at+n, row+p.Rows, values+int64(p.entries)
		if row > c.g.meta.rows {
			return pages, c.corrupt(c.meta.dataOffset, fmt.Errorf("more rows than the row group's %d", c.g.meta.rows))
		}
		if err := fn(p); err != nil {
			return pages, err
		}
	}
	if row != c.g.meta.rows {
		return pages, c.corrupt(c.meta.dataOffset, fmt.Errorf("%d rows of %d", row, c.g.meta.rows))
	}
	return pages, nil
}

// RowsIn reports whether one of the rows, which ascend, is in the page.
func (s PageSpot) RowsIn(rows []int) bool {
	i := sort.SearchInts(rows, s.First)
	return i < len(rows) && rows[i] < s.First+s.Rows
}
