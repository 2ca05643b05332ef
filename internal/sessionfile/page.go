package sessionfile

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// Dict is the dictionary of one column chunk. Those that this package writes are sorted.
type Dict struct {
	n     int
	ints  []int64
	texts texts
}

// Len returns the number of entries.
func (d *Dict) Len() int { return d.n }

// Int returns an entry of a numeric column.
func (d *Dict) Int(i int) int64 { return d.ints[i] }

// String returns an entry of another column; it shares the dictionary's memory.
func (d *Dict) String(i int) string { return d.texts.at(i) }

// scratch are the buffers that pages are decoded into, one after the other.
type scratch struct {
	body       []byte
	defs, reps []uint8
	index      []uint32
	ints       []int64
}

// resize returns n elements of b, which it grows.
func resize[T any](b *[]T, n int) []T {
	if cap(*b) < n {
		*b = make([]T, n)
	}
	*b = (*b)[:n]
	return *b
}

// Page is a decoded data page. It is valid until the next page of its row group is read,
// save for its texts.
type Page struct {
	First, Rows int // rows of the row group
	col         *column
	defs, reps  []uint8 // per entry; reps nil outside of lists, defs nil when every entry has a value
	entries     int
	values      int
	dict        *Dict
	index       []uint32 // per value, with a dictionary
	ints        []int64  // per value, without one
	texts       texts
}

// Values returns the number of values, nulls not counted.
func (p *Page) Values() int { return p.values }

// Entry returns the dictionary entry of a value, false when the page has no dictionary.
func (p *Page) Entry(i int) (uint32, bool) {
	if p.dict == nil {
		return 0, false
	}
	return p.index[i], true
}

// Int returns a value of a numeric column.
func (p *Page) Int(i int) int64 {
	if p.dict != nil {
		return p.dict.ints[p.index[i]]
	}
	return p.ints[i]
}

// String returns a value of another column; it shares the page's memory.
func (p *Page) String(i int) string {
	if p.dict != nil {
		return p.dict.texts.at(int(p.index[i]))
	}
	return p.texts.at(i)
}

// Entries returns the dictionary entry of each value; nil without a dictionary.
func (p *Page) Entries() []uint32 { return p.index }

// EachValue calls fn with the row, counted from the row group's start, of each value.
func (p *Page) EachValue(fn func(row, value int)) {
	row, value := p.First, 0
	if p.col.maxRep == 0 {
		if p.defs == nil {
			for i := range p.values {
				fn(row+i, i)
			}
			return
		}
		for i, def := range p.defs {
			if def == p.col.maxDef {
				fn(row+i, value)
				value++
			}
		}
		return
	}
	row--
	for i, rep := range p.reps {
		if rep == 0 {
			row++
		}
		if p.defs == nil || p.defs[i] == p.col.maxDef {
			fn(row, value)
			value++
		}
	}
}

// MarkEntries sets the bit of each row that has a value whose dictionary entry is accepted.
// The page must have a dictionary of len(accept) entries.
func (p *Page) MarkEntries(accept []bool, rows []uint64) {
	if p.col.maxRep > 0 || p.defs != nil {
		p.EachValue(func(row, value int) {
			if accept[p.index[value]] {
				rows[row>>6] |= 1 << (row & 63)
			}
		})
		return
	}
	for i, entry := range p.index {
		if accept[entry] {
			row := p.First + i
			rows[row>>6] |= 1 << (row & 63)
		}
	}
}

// MarkValues is MarkEntries for pages without a dictionary: accept is asked of each value by number.
func (p *Page) MarkValues(accept func(value int) bool, rows []uint64) {
	p.EachValue(func(row, value int) {
		if accept(value) {
			rows[row>>6] |= 1 << (row & 63)
		}
	})
}

type pageHeader struct {
	typ          int64
	uncompressed int64
	compressed   int64
	crc          int64
	hasCRC       bool
	values       int64
	encoding     format.Encoding
	defEncoding  format.Encoding
	repEncoding  format.Encoding
}

// parsePageHeader decodes the header at the start of b and returns its length.
func parsePageHeader(b []byte) (h pageHeader, n int, err error) {
	r := &thriftReader{b: b}
	h.typ, h.uncompressed, h.compressed, h.values = -1, -1, -1, -1
	body := func(id int16, typ byte) {
		switch {
		case typ != thriftI32:
			r.skip(typ)
		case id == 1:
			h.values = r.int()
		case id == 2:
			h.encoding = format.Encoding(r.int()) //nolint:gosec // G115: an unknown one is refused
		case id == 3:
			h.defEncoding = format.Encoding(r.int()) //nolint:gosec // G115: as above
		case id == 4:
			h.repEncoding = format.Encoding(r.int()) //nolint:gosec // G115: as above
		default:
			r.skip(typ)
		}
	}
	h.defEncoding, h.repEncoding = format.RLE, format.RLE
	r.fields(func(id int16, typ byte) {
		switch {
		case id == 1 && typ == thriftI32:
			h.typ = r.int()
		case id == 2 && typ == thriftI32:
			h.uncompressed = r.int()
		case id == 3 && typ == thriftI32:
			h.compressed = r.int()
		case id == 4 && typ == thriftI32:
			h.crc, h.hasCRC = r.int(), true
		case id == 5 && typ == thriftStruct:
			r.fields(body)
		case id == 7 && typ == thriftStruct:
			r.fields(func(id int16, typ byte) {
				if id > 2 {
					r.skip(typ)
					return
				}
				body(id, typ)
			})
		default:
			r.skip(typ)
		}
	})
	if r.err != nil {
		return h, 0, fmt.Errorf("page header: %w", r.err)
	}
	if h.compressed < 0 || h.uncompressed < 0 || h.values < 0 || h.uncompressed > maxPageBytes || h.values > maxChunkValues {
		return h, 0, fmt.Errorf("page header: %d bytes, %d compressed, %d values", h.uncompressed, h.compressed, h.values)
	}
	return h, r.at, nil
}

// content returns the page's body, decompressed over buf[:0], from the bytes after its header.
func (h *pageHeader) content(z *zstd.Decoder, codec format.CompressionCodec, b, buf []byte) ([]byte, error) {
	if h.compressed > int64(len(b)) {
		return nil, fmt.Errorf("page of %d bytes is cut at %d", h.compressed, len(b))
	}
	b = b[:h.compressed]
	if h.hasCRC && uint32(h.crc) != crc32.ChecksumIEEE(b) { //nolint:gosec // G115: the format stores the bits as signed
		return nil, fmt.Errorf("page of %d bytes: checksum differs", h.compressed)
	}
	switch codec {
	case format.Uncompressed:
		if h.compressed != h.uncompressed {
			return nil, fmt.Errorf("page of %d bytes says %d", h.compressed, h.uncompressed)
		}
		return b, nil
	case format.Zstd:
		var head zstd.Header
		if err := head.Decode(b); err != nil {
			return nil, fmt.Errorf("page: zstd: %w", err)
		}
		if head.HasFCS && head.FrameContentSize != uint64(h.uncompressed) {
			return nil, fmt.Errorf("page: zstd frame of %d bytes, header says %d", head.FrameContentSize, h.uncompressed)
		}
		out, err := z.DecodeAll(b, buf[:0])
		if err != nil {
			return nil, fmt.Errorf("page: zstd: %w", err)
		}
		if int64(len(out)) != h.uncompressed {
			return nil, fmt.Errorf("page of %d bytes, header says %d", len(out), h.uncompressed)
		}
		return out, nil
	}
	return nil, fmt.Errorf("codec %v is not supported: session files use zstd", codec)
}

// decodeDict decodes a dictionary page at the start of b and returns the bytes it takes.
func decodeDict(z *zstd.Decoder, c *column, m *chunkMeta, b []byte) (*Dict, int, error) {
	h, n, err := parsePageHeader(b)
	if err != nil {
		return nil, 0, err
	}
	if format.PageType(h.typ) != format.DictionaryPage { //nolint:gosec // G115: compared
		return nil, 0, fmt.Errorf("page of type %d where the dictionary should be", h.typ)
	}
	body, err := h.content(z, m.codec, b[n:], nil)
	if err != nil {
		return nil, 0, err
	}
	d := &Dict{n: int(h.values)}
	if c.numeric() {
		d.ints, err = decodePlainInts(nil, body, d.n)
	} else {
		d.texts, err = decodePlainTexts(body, d.n)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("dictionary: %w", err)
	}
	return d, n + int(h.compressed), nil
}

// decodePage decodes the data page at the start of b; dict is nil without one. It returns
// the bytes it takes. The caller sets First.
func decodePage(z *zstd.Decoder, c *column, m *chunkMeta, dict *Dict, b []byte, s *scratch) (*Page, int, error) {
	h, n, err := parsePageHeader(b)
	if err != nil {
		return nil, 0, err
	}
	if format.PageType(h.typ) != format.DataPage { //nolint:gosec // G115: compared
		return nil, 0, fmt.Errorf("page of type %d: session files have data pages of version 1", h.typ)
	}
	if h.values > m.values {
		return nil, 0, fmt.Errorf("page of %d values in a column chunk of %d", h.values, m.values)
	}
	var buf []byte // texts keep what they are decoded from
	if c.numeric() || dict != nil {
		buf = s.body
	}
	body, err := h.content(z, m.codec, b[n:], buf)
	if err != nil {
		return nil, 0, err
	}
	if m.codec != format.Uncompressed && (dict != nil || c.numeric()) {
		s.body = body
	}
	p := &Page{col: c, entries: int(h.values)}
	if h.defEncoding != format.RLE || h.repEncoding != format.RLE {
		return nil, 0, fmt.Errorf("levels are encoded as %v and %v", h.defEncoding, h.repEncoding)
	}
	if c.maxRep > 0 {
		if p.reps, body, err = decodeLevels(resize(&s.reps, p.entries), body, c.maxRep); err != nil {
			return nil, 0, fmt.Errorf("repetition levels: %w", err)
		}
		if len(p.reps) > 0 && p.reps[0] != 0 {
			return nil, 0, fmt.Errorf("page begins within a row")
		}
	}
	if p.defs, body, err = decodeLevels(resize(&s.defs, p.entries), body, c.maxDef); err != nil {
		return nil, 0, fmt.Errorf("definition levels: %w", err)
	}
	p.values = countLevel(p.defs, c.maxDef)
	if c.maxRep > 0 {
		p.Rows = countLevel(p.reps, 0)
	} else {
		p.Rows = p.entries
	}
	if p.values == p.entries {
		p.defs = nil
	}
	if err := p.decodeValues(h.encoding, dict, body, s); err != nil {
		return nil, 0, err
	}
	return p, n + int(h.compressed), nil
}

func decodeLevels(levels []uint8, b []byte, maxLevel uint8) (_ []uint8, rest []byte, err error) {
	if len(b) < 4 {
		return nil, nil, errCut
	}
	size := binary.LittleEndian.Uint32(b)
	b = b[4:]
	if uint64(size) > uint64(len(b)) {
		return nil, nil, errCut
	}
	if _, err := decodeHybrid(levels, b[:size], widthOf(int(maxLevel)), uint32(maxLevel)); err != nil {
		return nil, nil, err
	}
	return levels, b[size:], nil
}

func (p *Page) decodeValues(encoding format.Encoding, dict *Dict, body []byte, s *scratch) (err error) {
	if p.values == 0 {
		if dict != nil {
			p.dict, p.index = dict, []uint32{}
		}
		return nil
	}
	switch {
	case (encoding == format.RLEDictionary || encoding == format.PlainDictionary) && dict != nil: //nolint:staticcheck // SA1019: older writers still use it
		if len(body) == 0 || dict.n == 0 {
			return fmt.Errorf("indexes without a bit width or a dictionary")
		}
		p.dict, p.index = dict, resize(&s.index, p.values)
		if _, err = decodeHybrid(p.index, body[1:], int(body[0]), uint32(dict.n-1)); err != nil { //nolint:gosec // G115: positive
			err = fmt.Errorf("dictionary indexes: %w", err)
		}
	case encoding == format.Plain && p.col.numeric():
		s.ints, err = decodePlainInts(s.ints, body, p.values)
		p.ints = s.ints
	case encoding == format.Plain:
		if dict != nil {
			body = slices.Clone(body) // it lies in the scratch
		}
		p.texts, err = decodePlainTexts(body, p.values)
	case encoding == format.DeltaBinaryPacked && p.col.numeric():
		p.ints, _, err = decodeDelta(s.ints, body, p.values)
		s.ints = p.ints
	case encoding == format.DeltaLengthByteArray && !p.col.numeric():
		if dict != nil {
			body = slices.Clone(body) // it lies in the scratch
		}
		p.texts, s.ints, err = decodeDeltaLength(body, p.values, s.ints)
	default:
		err = fmt.Errorf("encoding %v of column %s", encoding, pathOf(p.col.path))
	}
	return err
}
