package sessionfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/parquet-go/parquet-go/format"

	"wirelake/internal/spi"
)

// Version is the version of the file layout that this package writes, kept in the
// footer under KeyVersion. Readers refuse a higher one.
const Version = 1

// Keys of the footer's key-value metadata.
const (
	KeyVersion  = "wirelake.version"
	KeySensor   = "wirelake.sensor"
	KeyFirstMin = "wirelake.first_packet.min" // ms since 1970, as are the next two
	KeyFirstMax = "wirelake.first_packet.max"
	KeyLastMax  = "wirelake.last_packet.max"
	KeyRows     = "wirelake.rows"
)

const (
	magic = "PAR1"

	// groupRows is how many rows a row group holds at most: enough for dictionaries to
	// pay, few enough for time, statistics and bloom filters to leave most groups out.
	groupRows = 65536

	// maxGroupBytes ends a row group early when its text is long: it bounds the memory
	// of a writer, and keeps every page below the format's 2 GiB.
	maxGroupBytes = 64 << 20
)

// Options say what a file's metadata tells of it.
type Options struct {
	Sensor string // "" when the rows are of several
}

// Info describes a finished file.
type Info struct {
	Rows      int64
	Bytes     int64
	RowGroups int
	// Times in ms since 1970 of first and last packets; zero without rows.
	FirstMin, FirstMax, LastMax int64
}

// Writer writes one Parquet file. It is not safe for concurrent use.
//
// It holds one row group in memory, at most 64 Ki rows or about 64 MiB of text.
type Writer struct {
	out     io.Writer
	schema  *Schema
	opts    Options
	enc     *chunkEncoder
	columns []columnBuffer
	rows    int
	bytes   int // of values in the row group
	offset  int64
	times   []int64 // firstPacket of each row
	groups  []format.RowGroup
	indexes []encodedChunk // of all groups, group by group
	info    Info
	buf     []byte
	shred   shredder
	scratch permuteScratch
	err     error
}

// NewWriter begins a file on out. Nothing is written before the first row group is full or Close.
func NewWriter(out io.Writer, s *Schema, opts Options) (*Writer, error) {
	enc, err := newChunkEncoder()
	if err != nil {
		return nil, err
	}
	w := &Writer{out: out, schema: s, opts: opts, enc: enc, columns: make([]columnBuffer, len(s.columns))}
	w.info = Info{FirstMin: math.MaxInt64, FirstMax: math.MinInt64, LastMax: math.MinInt64}
	for i := range w.columns {
		w.columns[i].col = &s.columns[i]
	}
	return w, nil
}

// Write adds a document as a row. It does not keep d. The error, of an earlier row group
// that could not be written, is final.
func (w *Writer) Write(d *spi.Document) error {
	if w.err != nil {
		return w.err
	}
	if d.Registry() != w.schema.registry {
		return errors.New("session file: document of another registry than the schema's")
	}
	first, _ := d.Int(spi.FirstPacket)
	last, ok := d.Int(spi.LastPacket)
	if !ok {
		last = first
	}
	w.info.FirstMin, w.info.FirstMax = min(w.info.FirstMin, first), max(w.info.FirstMax, first)
	w.info.LastMax = max(w.info.LastMax, last)
	w.times = append(w.times, first)
	w.bytes += w.addRow(d)
	w.rows++
	if w.rows == groupRows || w.bytes >= maxGroupBytes {
		w.err = w.flush()
	}
	return w.err
}

// flush writes the row group and begins the next.
func (w *Writer) flush() error {
	if w.rows == 0 {
		return nil
	}
	if w.offset == 0 {
		w.buf = append(w.buf[:0], magic...)
		if err := w.write(w.buf); err != nil {
			return err
		}
	}
	order := sortedOrder(w.times)
	g := format.RowGroup{
		Columns:    make([]format.ColumnChunk, len(w.columns)),
		NumRows:    int64(w.rows),
		FileOffset: w.offset,
		Ordinal:    int16(len(w.groups)), //nolint:gosec // G115: checked below
		SortingColumns: []format.SortingColumn{{
			ColumnIdx: int32(w.schema.byField[spi.FirstPacket]), NullsFirst: true, //nolint:gosec // G115: some hundreds
		}},
	}
	if len(w.groups) > math.MaxInt16 {
		return fmt.Errorf("session file: more than %d row groups", math.MaxInt16)
	}
	for i := range w.columns {
		b := &w.columns[i]
		if len(b.defs) > 0 && order != nil {
			b.pad(w.rows)
			b.permute(order, &w.scratch)
		}
		var c encodedChunk
		w.buf, c = w.enc.encode(w.buf[:0], w.offset, b, w.rows)
		if err := w.write(w.buf); err != nil {
			return err
		}
		g.Columns[i].MetaData = c.meta
		g.TotalByteSize += c.meta.TotalUncompressedSize
		g.TotalCompressedSize += c.meta.TotalCompressedSize
		w.indexes = append(w.indexes, c)
		b.reset()
	}
	w.groups = append(w.groups, g)
	w.info.Rows += int64(w.rows)
	w.rows, w.bytes, w.times = 0, 0, w.times[:0]
	return nil
}

// sortedOrder returns the rows in order of time, equal times as they came, or nil when
// they are in order.
func sortedOrder(times []int64) []uint32 {
	if slices.IsSorted(times) {
		return nil
	}
	order := make([]uint32, len(times))
	for i := range order {
		order[i] = uint32(i) //nolint:gosec // G115: at most groupRows
	}
	slices.SortStableFunc(order, func(a, b uint32) int {
		switch {
		case times[a] < times[b]:
			return -1
		case times[a] > times[b]:
			return 1
		}
		return 0
	})
	return order
}

// Close writes the last row group, bloom filters, page indexes and footer. It does not close out.
func (w *Writer) Close() (Info, error) {
	if w.err != nil {
		return Info{}, w.err
	}
	w.err = errors.New("session file: closed")
	if err := w.flush(); err != nil {
		return Info{}, err
	}
	if w.info.Rows == 0 {
		w.info.FirstMin, w.info.FirstMax, w.info.LastMax = 0, 0, 0
		if err := w.write([]byte(magic)); err != nil {
			return Info{}, err
		}
	}
	// Filters of one column lie together: a look-up reads those of all groups at once.
	for col := range w.columns {
		for g := range w.groups {
			c := &w.indexes[g*len(w.columns)+col]
			if c.bloom == nil {
				continue
			}
			m := &w.groups[g].Columns[col].MetaData
			m.BloomFilterOffset = w.offset
			m.BloomFilterLength = int32(len(c.bloom)) //nolint:gosec // G115: some bytes a row
			if err := w.write(c.bloom); err != nil {
				return Info{}, err
			}
		}
	}
	if err := w.writePageIndexes(); err != nil {
		return Info{}, err
	}
	return w.finish()
}

func (w *Writer) writePageIndexes() error {
	for i := range w.indexes {
		if ci := w.indexes[i].columnIndex; ci != nil {
			c := &w.groups[i/len(w.columns)].Columns[i%len(w.columns)]
			b := w.enc.marshal(ci)
			c.ColumnIndexOffset, c.ColumnIndexLength = w.offset, int32(len(b)) //nolint:gosec // G115: some bytes a page
			if err := w.write(b); err != nil {
				return err
			}
		}
	}
	for i := range w.indexes {
		if oi := w.indexes[i].offsetIndex; oi != nil {
			c := &w.groups[i/len(w.columns)].Columns[i%len(w.columns)]
			b := w.enc.marshal(oi)
			c.OffsetIndexOffset, c.OffsetIndexLength = w.offset, int32(len(b)) //nolint:gosec // G115: some bytes a page
			if err := w.write(b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *Writer) finish() (Info, error) {
	orders := make([]format.ColumnOrder, len(w.columns))
	for i := range orders {
		orders[i].Value = &format.TypeDefinedOrder{}
	}
	footer := w.enc.marshal(&format.FileMetaData{
		Version:      1,
		Schema:       w.schema.elements,
		NumRows:      w.info.Rows,
		RowGroups:    w.groups,
		CreatedBy:    "wirelake version " + strconv.Itoa(Version),
		ColumnOrders: orders,
		KeyValueMetadata: []format.KeyValue{
			{Key: KeyVersion, Value: strconv.Itoa(Version)},
			{Key: KeySensor, Value: w.opts.Sensor},
			{Key: KeyFirstMin, Value: strconv.FormatInt(w.info.FirstMin, 10)},
			{Key: KeyFirstMax, Value: strconv.FormatInt(w.info.FirstMax, 10)},
			{Key: KeyLastMax, Value: strconv.FormatInt(w.info.LastMax, 10)},
			{Key: KeyRows, Value: strconv.FormatInt(w.info.Rows, 10)},
		},
	})
	b := append(w.buf[:0], footer...)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(footer))) //nolint:gosec // G115: some MiB
	b = append(b, magic...)
	if err := w.write(b); err != nil {
		return Info{}, err
	}
	w.info.Bytes, w.info.RowGroups = w.offset, len(w.groups)
	return w.info, nil
}

func (w *Writer) write(b []byte) error {
	n, err := w.out.Write(b)
	w.offset += int64(n)
	if err != nil {
		return fmt.Errorf("session file: write at offset %d: %w", w.offset, err)
	}
	return nil
}
