package sessionfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"

	"github.com/parquet-go/parquet-go/format"
)

var (
	// ErrCorrupt is wrapped by every error about the content of a file.
	ErrCorrupt = errors.New("corrupt Parquet file")
	// ErrVersion is wrapped by the error about a file of a later version than this program reads.
	ErrVersion = errors.New("unknown version")
)

// corrupt is an error that names the object and the offset.
func corrupt(key string, offset int64, reason string, args ...any) error {
	return fmt.Errorf("%q at offset %d: %w: %s", key, offset, ErrCorrupt, fmt.Sprintf(reason, args...))
}

const (
	// maxGroupRows and maxChunkValues bound what a footer is believed: what is above
	// them was not written by this package, and must not size a buffer.
	maxGroupRows   = 1 << 22
	maxChunkValues = 1 << 25
)

// rowGroup is what the footer says of one row group.
type rowGroup struct {
	rows   int
	chunks []chunkMeta // of the columns that have a value
	index  []uint16    // per column of the schema, 1 + its place in chunks; 0: no value
}

// chunk returns what is said of a column of the schema, nil when it has no value.
func (g *rowGroup) chunk(column int) *chunkMeta {
	if i := g.index[column]; i > 0 {
		return &g.chunks[i-1]
	}
	return nil
}

// chunkMeta is what the footer says of one column chunk.
type chunkMeta struct {
	values     int64 // entries, nulls included
	nulls      int64 // of them without a value, -1 unknown
	start, end int64 // its bytes in the file
	dictOffset int64 // 0: none
	dataOffset int64
	lo, hi     []byte // plain-encoded bounds; nil both: unknown
	bloomOff   int64  // 0: none
	bloomLen   int64
	colIdxOff  int64
	colIdxLen  int64
	offIdxOff  int64
	offIdxLen  int64
	codec      format.CompressionCodec
	dictOnly   bool // all values are dictionary indexes
}

// footer is a decoded footer.
type footer struct {
	version  int
	sensor   string
	firstMin int64
	firstMax int64
	lastMax  int64
	timed    bool // the three above are there
	rows     int64
	groups   []rowGroup
	unknown  int // columns that the schema does not have
}

// parseFooter decodes the thrift structure b, which stands at offset at of the file.
func parseFooter(key string, s *Schema, b []byte, at int64) (*footer, error) {
	r := &thriftReader{b: b}
	f := &footer{}
	var columns []int // per column of the file, that of the schema, -1 for none
	var meta = map[string]string{}
	var problem error
	r.fields(func(id int16, typ byte) {
		switch {
		case id == 2 && typ == thriftList:
			columns, problem = parseSchema(r, typ, s)
			for _, c := range columns {
				if c < 0 {
					f.unknown++
				}
			}
		case id == 3 && typ == thriftI64:
			f.rows = r.int()
		case id == 4 && typ == thriftList && problem == nil:
			r.each(typ, thriftStruct, func(int, int) {
				g := rowGroup{index: make([]uint16, len(s.columns))}
				if err := g.parse(r, columns, at); err != nil && problem == nil {
					problem = err
				}
				f.groups = append(f.groups, g)
			})
		case id == 5 && typ == thriftList:
			r.each(typ, thriftStruct, func(int, int) {
				var k, v string
				r.fields(func(id int16, typ byte) {
					switch {
					case id == 1 && typ == thriftBinary:
						k = string(r.binary())
					case id == 2 && typ == thriftBinary:
						v = string(r.binary())
					default:
						r.skip(typ)
					}
				})
				meta[k] = v
			})
		default:
			r.skip(typ)
		}
	})
	if r.err != nil {
		return nil, corrupt(key, at, "footer: %v", r.err)
	}
	if problem != nil {
		return nil, corrupt(key, at, "footer: %v", problem)
	}
	if columns == nil {
		return nil, corrupt(key, at, "footer has no schema")
	}
	var total int64
	for i := range f.groups {
		total += int64(f.groups[i].rows)
	}
	if total != f.rows {
		return nil, corrupt(key, at, "footer says %d rows, its row groups %d", f.rows, total)
	}
	if err := f.readMeta(meta); err != nil {
		return nil, fmt.Errorf("%q: %w", key, err)
	}
	return f, nil
}

// readMeta takes what the key-value metadata says. A file without it, written by another
// program, is read all the same.
func (f *footer) readMeta(meta map[string]string) error {
	f.sensor = meta[KeySensor]
	if v := meta[KeyVersion]; v != "" {
		n, err := strconv.Atoi(v)
		if err != nil || n < 1 {
			return fmt.Errorf("%w: %s is %q", ErrCorrupt, KeyVersion, v)
		}
		if n > Version {
			return fmt.Errorf("%w: session file of version %d, this program reads versions up to %d", ErrVersion, n, Version)
		}
		f.version = n
	}
	var errs [3]error
	f.firstMin, errs[0] = strconv.ParseInt(meta[KeyFirstMin], 10, 64)
	f.firstMax, errs[1] = strconv.ParseInt(meta[KeyFirstMax], 10, 64)
	f.lastMax, errs[2] = strconv.ParseInt(meta[KeyLastMax], 10, 64)
	f.timed = errors.Join(errs[:]...) == nil
	return nil
}

// fileNode is a schema element while the schema is read.
type fileNode struct {
	name     string
	rep      int64
	typ      int64 // -1 for a group
	children int
}

// parseSchema returns, for each leaf of the file's schema, the column of s that it is.
func parseSchema(r *thriftReader, typ byte, s *Schema) ([]int, error) {
	var nodes []fileNode
	r.each(typ, thriftStruct, func(int, int) {
		n := fileNode{typ: -1}
		r.fields(func(id int16, typ byte) {
			switch {
			case id == 1 && typ == thriftI32:
				n.typ = r.int()
			case id == 3 && typ == thriftI32:
				n.rep = r.int()
			case id == 4 && typ == thriftBinary:
				n.name = string(r.binary())
			case id == 5 && typ == thriftI32:
				n.children = int(r.int())
				n.typ = -1
			default:
				r.skip(typ)
			}
		})
		nodes = append(nodes, n)
	})
	if r.err != nil || len(nodes) == 0 {
		return nil, errors.New("schema is cut")
	}
	byPath := make(map[string]int, len(s.columns))
	for i := range s.columns {
		byPath[pathOf(s.columns[i].path)] = i
	}
	m := schemaMatcher{nodes: nodes[1:], schema: s, byPath: byPath, columns: []int{}}
	for range nodes[0].children {
		if err := m.match("", 0, 0, 0); err != nil {
			return nil, err
		}
	}
	if len(m.nodes) > 0 {
		return nil, errors.New("schema has elements beyond its root")
	}
	return m.columns, nil
}

type schemaMatcher struct {
	nodes   []fileNode
	schema  *Schema
	byPath  map[string]int
	columns []int
}

func (m *schemaMatcher) match(path string, def, rep uint8, depth int) error {
	if len(m.nodes) == 0 || depth > maxThriftDepth {
		return errors.New("schema is cut or nested too deep")
	}
	n := m.nodes[0]
	m.nodes = m.nodes[1:]
	if path != "" {
		path += "."
	}
	path += n.name
	switch format.FieldRepetitionType(n.rep) { //nolint:gosec // G115: an unknown one is required
	case format.Optional:
		def++
	case format.Repeated:
		def++
		rep++
	}
	if n.typ < 0 {
		for range n.children {
			if err := m.match(path, def, rep, depth+1); err != nil {
				return err
			}
		}
		return nil
	}
	i, ok := m.byPath[path]
	if !ok {
		m.columns = append(m.columns, -1)
		return nil
	}
	c := &m.schema.columns[i]
	if def != c.maxDef || rep != c.maxRep || format.Type(n.typ) != physicalType(c.field.Type) { //nolint:gosec // G115: compared
		return fmt.Errorf("column %s has type %d and levels %d/%d, want %d and %d/%d", path, n.typ, def, rep,
			physicalType(c.field.Type), c.maxDef, c.maxRep)
	}
	m.columns = append(m.columns, i)
	return nil
}

// parse decodes one row group. Chunks must end before limit, where the footer begins.
func (g *rowGroup) parse(r *thriftReader, columns []int, limit int64) error {
	var problem error
	r.fields(func(id int16, typ byte) {
		switch {
		case id == 1 && typ == thriftList:
			count := 0
			r.each(typ, thriftStruct, func(i, n int) {
				count = n
				var c chunkMeta
				c.parse(r)
				if r.err != nil || i >= len(columns) {
					return
				}
				if err := c.check(limit); err != nil && problem == nil {
					problem = fmt.Errorf("column %d: %w", i, err)
				}
				if columns[i] >= 0 && c.values != c.nulls && g.index[columns[i]] == 0 {
					g.chunks = append(g.chunks, c)
					g.index[columns[i]] = uint16(len(g.chunks)) //nolint:gosec // G115: some hundreds
				}
			})
			if count != len(columns) && problem == nil {
				problem = fmt.Errorf("row group has %d columns, the schema %d", count, len(columns))
			}
		case id == 3 && typ == thriftI64:
			n := r.int()
			if n < 0 || n > maxGroupRows {
				problem = fmt.Errorf("row group of %d rows", n)
				n = 0
			}
			g.rows = int(n)
		default:
			r.skip(typ)
		}
	})
	return problem
}

func (c *chunkMeta) parse(r *thriftReader) {
	c.nulls = -1
	r.fields(func(id int16, typ byte) {
		switch {
		case id == 3 && typ == thriftStruct:
			c.parseMeta(r)
		case id == 4 && typ == thriftI64:
			c.offIdxOff = r.int()
		case id == 5 && typ == thriftI32:
			c.offIdxLen = r.int()
		case id == 6 && typ == thriftI64:
			c.colIdxOff = r.int()
		case id == 7 && typ == thriftI32:
			c.colIdxLen = r.int()
		default:
			r.skip(typ)
		}
	})
}

func (c *chunkMeta) parseMeta(r *thriftReader) {
	var size int64
	c.dictOnly = true
	seenDict := false
	r.fields(func(id int16, typ byte) {
		switch {
		case id == 2 && typ == thriftList:
			r.each(typ, thriftI32, func(int, int) {
				switch format.Encoding(r.int()) { //nolint:gosec // G115: compared
				case format.RLEDictionary, format.PlainDictionary: //nolint:staticcheck // SA1019: older writers still use it
					seenDict = true
				case format.RLE, format.BitPacked:
				default:
					c.dictOnly = false
				}
			})
		case id == 4 && typ == thriftI32:
			c.codec = format.CompressionCodec(r.int()) //nolint:gosec // G115: an unknown one is refused when read
		case id == 5 && typ == thriftI64:
			c.values = r.int()
		case id == 7 && typ == thriftI64:
			size = r.int()
		case id == 9 && typ == thriftI64:
			c.dataOffset = r.int()
		case id == 11 && typ == thriftI64:
			c.dictOffset = r.int()
		case id == 12 && typ == thriftStruct:
			c.parseStatistics(r)
		case id == 14 && typ == thriftI64:
			c.bloomOff = r.int()
		case id == 15 && typ == thriftI32:
			c.bloomLen = r.int()
		default:
			r.skip(typ)
		}
	})
	c.dictOnly = c.dictOnly && seenDict && c.dictOffset > 0
	c.start = c.dataOffset
	if c.dictOffset > 0 && c.dictOffset < c.start {
		c.start = c.dictOffset
	}
	c.end = c.start + size
}

func (c *chunkMeta) parseStatistics(r *thriftReader) {
	r.fields(func(id int16, typ byte) {
		switch {
		case id == 3 && typ == thriftI64:
			c.nulls = r.int()
		case id == 5 && typ == thriftBinary:
			c.hi = append([]byte{}, r.binary()...)
		case id == 6 && typ == thriftBinary:
			c.lo = append([]byte{}, r.binary()...)
		default:
			r.skip(typ)
		}
	})
	if c.lo == nil || c.hi == nil {
		c.lo, c.hi = nil, nil
	}
}

// check refuses positions outside the file's data and counts that cannot be.
func (c *chunkMeta) check(limit int64) error {
	inside := func(off, n int64) bool { return off >= int64(len(magic)) && n >= 0 && off <= limit && n <= limit-off }
	switch {
	case c.values < 0 || c.values > maxChunkValues:
		return fmt.Errorf("%d values", c.values)
	case c.nulls > c.values:
		return fmt.Errorf("%d nulls of %d values", c.nulls, c.values)
	case !inside(c.start, c.end-c.start) || c.dataOffset > c.end:
		return fmt.Errorf("bytes %d-%d lie outside the data", c.start, c.end)
	case c.bloomOff != 0 && !inside(c.bloomOff, c.bloomLen),
		c.colIdxOff != 0 && !inside(c.colIdxOff, c.colIdxLen),
		c.offIdxOff != 0 && !inside(c.offIdxOff, c.offIdxLen):
		return errors.New("an index lies outside the file")
	}
	return nil
}

// bounds returns the decoded minimum and maximum of a numeric column's chunk.
func (c *chunkMeta) intBounds() (lo, hi int64, ok bool) {
	if len(c.lo) != 8 || len(c.hi) != 8 {
		return 0, 0, false
	}
	return int64(binary.LittleEndian.Uint64(c.lo)), int64(binary.LittleEndian.Uint64(c.hi)), true //nolint:gosec // G115: the bits
}

// memory returns about how many bytes the footer holds.
func (f *footer) memory() int64 {
	n := int64(256)
	for i := range f.groups {
		g := &f.groups[i]
		n += int64(cap(g.chunks))*176 + int64(len(g.index))*2 + 64
		for j := range g.chunks {
			n += int64(len(g.chunks[j].lo) + len(g.chunks[j].hi))
		}
	}
	return n
}
