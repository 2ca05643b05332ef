package sessionfile

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/bloom"
	"github.com/parquet-go/parquet-go/encoding/delta"
	"github.com/parquet-go/parquet-go/encoding/thrift"
	"github.com/parquet-go/parquet-go/format"
)

const (
	// pageRows is how many rows a data page holds. Smaller pages read less for a single
	// row and prune better by time; larger ones compress better. All columns of a row
	// group have their page borders at the same rows.
	pageRows = 8192

	// bloomBitsPerValue gives about one false positive in a hundred.
	bloomBitsPerValue = 10

	// minBloomValues is the fewest distinct values worth a bloom filter: below it the
	// dictionary is as small as the filter.
	minBloomValues = 32

	// maxStatBytes is the longest text kept as minimum or maximum of a column chunk.
	// Longer ones are left out: cut ones would be taken for exact by readers.
	maxStatBytes = 128

	// maxIndexBytes is where minimum and maximum of a page are cut in the column index.
	maxIndexBytes = 64
)

// chunkEncoder encodes the column chunks of one file, one after the other. Its buffers
// are reused.
type chunkEncoder struct {
	zstd   *zstd.Encoder
	thrift bytes.Buffer

	body    []byte // one page before compression
	packed  []byte // the same, after
	indexes []uint32
	order   []sortKey
	remap   []uint32
	ints    map[int64]uint32
	dict    []int64
	text    []byte
	ends    []uint32
}

// encodedChunk is what the footer and the indexes need to know of a column chunk.
type encodedChunk struct {
	meta        format.ColumnMetaData
	columnIndex *format.ColumnIndex
	offsetIndex *format.OffsetIndex
	bloom       []byte // header and bits, nil for none
}

func newChunkEncoder() (*chunkEncoder, error) {
	// Hashes and ids in hexadecimal have no matches, and yet half of them is redundant: their letters are coded too.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedDefault), zstd.WithAllLitEntropyCompression(true), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, err
	}
	return &chunkEncoder{zstd: z, ints: make(map[int64]uint32)}, nil
}

// encode appends the column chunk of b to out, which stands at offset of the file.
func (e *chunkEncoder) encode(out []byte, offset int64, b *columnBuffer, rows int) ([]byte, encodedChunk) {
	if len(b.defs) == 0 {
		return e.encodeNull(out, offset, b.col, rows)
	}
	b.pad(rows)
	start := len(out)
	at := func() int64 { return offset + int64(len(out)-start) }
	c := encodedChunk{meta: format.ColumnMetaData{
		Type:         physicalType(b.col.field.Type),
		PathInSchema: b.col.path,
		Codec:        format.Zstd,
		NumValues:    int64(len(b.defs)),
	}}
	c.meta.Statistics.NullCount = int64(len(b.defs) - b.numValues())
	v := e.choose(b)
	if v.dict != nil {
		c.meta.DictionaryPageOffset = at()
		out = e.page(out, &c.meta, format.PageHeader{
			Type:                 format.DictionaryPage,
			DictionaryPageHeader: thrift.New(format.DictionaryPageHeader{NumValues: int32(v.dictLen), Encoding: format.Plain, IsSorted: true}), //nolint:gosec // G115: at most the entries of a row group
		}, v.dict)
	}
	c.meta.DataPageOffset = at()
	c.meta.Encoding = []format.Encoding{v.encoding, format.RLE}
	c.offsetIndex = &format.OffsetIndex{}
	c.columnIndex = &format.ColumnIndex{BoundaryOrder: format.Unordered}
	entry, value := 0, 0
	for row := 0; row < rows; row += pageRows {
		endEntry := b.entryAfter(entry, min(pageRows, rows-row))
		endValue := value + countLevel(b.defs[entry:endEntry], b.col.maxDef)
		e.body = appendLevels(e.body[:0], b, entry, endEntry)
		e.body = v.appendPage(e.body, value, endValue)
		c.offsetIndex.PageLocations = append(c.offsetIndex.PageLocations, format.PageLocation{Offset: at(), FirstRowIndex: int64(row)})
		before := len(out)
		out = e.page(out, &c.meta, format.PageHeader{
			Type: format.DataPage,
			DataPageHeader: thrift.New(format.DataPageHeader{
				NumValues:               int32(endEntry - entry), //nolint:gosec // G115: entries of a page
				Encoding:                v.encoding,
				DefinitionLevelEncoding: format.RLE,
				RepetitionLevelEncoding: format.RLE,
			}),
		}, e.body)
		loc := &c.offsetIndex.PageLocations[len(c.offsetIndex.PageLocations)-1]
		loc.CompressedPageSize = int32(len(out) - before) //nolint:gosec // G115: a page
		addPageBounds(c.columnIndex, v, value, endValue, int64(endEntry-entry))
		entry, value = endEntry, endValue
	}
	if v.bounds == nil {
		c.columnIndex = nil
	} else if lo, hi := v.bounds(0, b.numValues()); len(lo) <= maxStatBytes && len(hi) <= maxStatBytes {
		c.meta.Statistics.MinValue, c.meta.Statistics.MaxValue = slices.Clone(lo), slices.Clone(hi)
	}
	c.meta.TotalCompressedSize = int64(len(out) - start)
	if b.col.field.Bloom && !b.col.numeric() && b.set.len() >= minBloomValues {
		c.bloom = e.bloomFilter(b.set.hashes)
	}
	return out, c
}

// encodeNull encodes a chunk without any value: one page that is nothing but levels.
func (e *chunkEncoder) encodeNull(out []byte, offset int64, col *column, rows int) ([]byte, encodedChunk) {
	e.body = e.body[:0]
	for _, maxLevel := range []uint8{col.maxRep, col.maxDef} {
		if maxLevel > 0 {
			run := append(binary.AppendUvarint(nil, uint64(rows)<<1), 0)
			e.body = binary.LittleEndian.AppendUint32(e.body, uint32(len(run))) //nolint:gosec // G115: some bytes
			e.body = append(e.body, run...)
		}
	}
	c := encodedChunk{meta: format.ColumnMetaData{
		Type:           physicalType(col.field.Type),
		Encoding:       []format.Encoding{format.Plain, format.RLE},
		PathInSchema:   col.path,
		Codec:          format.Uncompressed,
		NumValues:      int64(rows),
		DataPageOffset: offset,
	}}
	c.meta.Statistics.NullCount = int64(rows)
	start := len(out)
	out = e.page(out, &c.meta, format.PageHeader{
		Type: format.DataPage,
		DataPageHeader: thrift.New(format.DataPageHeader{
			NumValues: int32(rows), Encoding: format.Plain, //nolint:gosec // G115: at most groupRows
			DefinitionLevelEncoding: format.RLE, RepetitionLevelEncoding: format.RLE,
		}),
	}, e.body)
	c.meta.TotalCompressedSize = int64(len(out) - start)
	return out, c
}

// page appends one page, header and body, to out.
func (e *chunkEncoder) page(out []byte, m *format.ColumnMetaData, h format.PageHeader, body []byte) []byte {
	packed := body
	if m.Codec == format.Zstd {
		e.packed = e.zstd.EncodeAll(body, e.packed[:0])
		packed = e.packed
	}
	h.UncompressedPageSize = int32(len(body)) //nolint:gosec // G115: bounded by maxGroupBytes
	h.CompressedPageSize = int32(len(packed)) //nolint:gosec // G115: as above
	h.CRC = int32(crc32.ChecksumIEEE(packed)) //nolint:gosec // G115: the format stores the bits as signed
	header := e.marshal(&h)
	m.TotalUncompressedSize += int64(len(header) + len(body))
	return append(append(out, header...), packed...)
}

// marshal encodes a Parquet structure; the result is valid until the next call.
func (e *chunkEncoder) marshal(v any) []byte {
	e.thrift.Reset()
	if err := thrift.NewEncoder(new(thrift.CompactProtocol).NewWriter(&e.thrift)).Encode(v); err != nil {
		panic("sessionfile: " + err.Error()) // writes to memory, of our own structures: cannot fail
	}
	return e.thrift.Bytes()
}

func (e *chunkEncoder) bloomFilter(hashes []uint64) []byte {
	f := make(bloom.SplitBlockFilter, bloom.NumSplitBlocksOf(int64(len(hashes)), bloomBitsPerValue))
	f.InsertBulk(hashes)
	header := e.marshal(&format.BloomFilterHeader{
		NumBytes:    int32(len(f) * bloom.BlockSize), //nolint:gosec // G115: some bytes a row
		Algorithm:   format.BloomFilterAlgorithm{Value: &format.SplitBlockAlgorithm{}},
		Hash:        format.BloomFilterHash{Value: &format.XxHash{}},
		Compression: format.BloomFilterCompression{Value: &format.BloomFilterUncompressed{}},
	})
	return append(slices.Clone(header), f.Bytes()...)
}

// entryAfter returns the entry at which the row begins that is rows after the one that
// begins at entry.
func (b *columnBuffer) entryAfter(entry, rows int) int {
	if b.col.maxRep == 0 {
		return entry + rows
	}
	for i, rep := range b.reps[entry:] {
		if rep == 0 {
			if rows == 0 {
				return entry + i
			}
			rows--
		}
	}
	return len(b.reps)
}

func countLevel(levels []uint8, level uint8) (n int) {
	return bytes.Count(levels, []byte{level})
}

// appendLevels appends the levels of entries, each kind after its length (data page v1).
func appendLevels(body []byte, b *columnBuffer, from, to int) []byte {
	appendKind := func(levels []uint8, maxLevel uint8) {
		at := len(body)
		body = appendHybrid(append(body, 0, 0, 0, 0), levels, widthOf(int(maxLevel)))
		binary.LittleEndian.PutUint32(body[at:], uint32(len(body)-at-4)) //nolint:gosec // G115: a page
	}
	if b.col.maxRep > 0 {
		appendKind(b.reps[from:to], b.col.maxRep)
	}
	appendKind(b.defs[from:to], b.col.maxDef)
	return body
}

func addPageBounds(ci *format.ColumnIndex, v values, from, to int, entries int64) {
	if v.bounds == nil {
		return
	}
	ci.NullPages = append(ci.NullPages, from == to)
	ci.NullCounts = append(ci.NullCounts, entries-int64(to-from))
	lo, hi := []byte{}, []byte{}
	if from < to {
		lo, hi = v.bounds(from, to)
	}
	ci.MinValues = append(ci.MinValues, slices.Clone(cutMin(lo, v.text)))
	ci.MaxValues = append(ci.MaxValues, cutMax(hi, v.text))
}

// cutMin returns a prefix of v at a character's border: a lower bound.
func cutMin(v []byte, text bool) []byte {
	if !text || len(v) <= maxIndexBytes {
		return v
	}
	n := maxIndexBytes
	for n > 0 && !utf8.RuneStart(v[n]) {
		n--
	}
	return v[:n]
}

// cutMax returns a short text that is above v: its prefix with the last character raised.
func cutMax(v []byte, text bool) []byte {
	if !text || len(v) <= maxIndexBytes {
		return slices.Clone(v)
	}
	p := slices.Clone(cutMin(v, text))
	for len(p) > 0 {
		r, size := utf8.DecodeLastRune(p)
		p = p[:len(p)-size]
		if next := r + 1; utf8.ValidRune(next) {
			return utf8.AppendRune(p, next)
		}
	}
	return slices.Clone(v)
}

// values is one column's values under the encoding chosen for them.
type values struct {
	encoding   format.Encoding
	text       bool
	dict       []byte // the body of the dictionary page, nil for none
	dictLen    int
	appendPage func(body []byte, from, to int) []byte
	bounds     func(from, to int) (lo, hi []byte) // nil where bounds say nothing
}

// choose takes a dictionary where values repeat enough to make it the smaller form.
// Dictionaries are sorted: they compress better, bounds are those of indexes, and a
// search by prefix finds its entries side by side.
func (e *chunkEncoder) choose(b *columnBuffer) values {
	if b.numValues() == 0 { // objects that have others of their fields
		return values{encoding: format.Plain, appendPage: func(body []byte, _, _ int) []byte { return body }}
	}
	if b.col.numeric() {
		return e.chooseInts(b.ints)
	}
	return e.chooseStrings(b)
}

func (e *chunkEncoder) chooseInts(ints []int64) values {
	clear(e.ints)
	e.dict = e.dict[:0]
	e.indexes = e.indexes[:0]
	for _, v := range ints {
		if _, ok := e.ints[v]; !ok {
			e.ints[v] = 0
			e.dict = append(e.dict, v)
			if len(e.dict) > len(ints)/4+8 {
				break
			}
		}
	}
	if len(e.dict) > len(ints)/4+8 {
		return e.distinctInts(ints)
	}
	slices.Sort(e.dict)
	var body []byte
	for i, v := range e.dict {
		e.ints[v] = uint32(i) //nolint:gosec // G115: values of a row group
		body = binary.LittleEndian.AppendUint64(body, uint64(v))
	}
	last, index := int64(0), uint32(0)
	for i, v := range ints {
		if i == 0 || v != last {
			last, index = v, e.ints[v]
		}
		e.indexes = append(e.indexes, index)
	}
	return e.dictionary(false, body, len(e.dict), func(i uint32) []byte { return plainInt(e.dict[i]) })
}

// distinctInts takes for numbers that seldom repeat what makes the first page smaller: differences, bit-packed, for times
// and positions; plain ones for counters, most of which are small and some large, so that their high bytes compress.
func (e *chunkEncoder) distinctInts(ints []int64) values {
	v := values{
		encoding: format.DeltaBinaryPacked,
		appendPage: func(body []byte, from, to int) []byte {
			return appendDelta(body, ints[from:to])
		},
		bounds: func(from, to int) (lo, hi []byte) {
			return plainInt(slices.Min(ints[from:to])), plainInt(slices.Max(ints[from:to]))
		},
	}
	first := ints[:min(len(ints), pageRows)]
	e.body = appendDelta(e.body[:0], first)
	e.packed = e.zstd.EncodeAll(e.body, e.packed[:0])
	size := len(e.packed)
	e.body = appendPlainInts(e.body[:0], first)
	if e.packed = e.zstd.EncodeAll(e.body, e.packed[:0]); len(e.packed) < size {
		v.encoding = format.Plain
		v.appendPage = func(body []byte, from, to int) []byte {
			return appendPlainInts(body, ints[from:to])
		}
	}
	return v
}

func (e *chunkEncoder) chooseStrings(b *columnBuffer) values {
	set := &b.set
	total := 0
	if !set.unique {
		for _, i := range b.strs {
			total += len(set.at(i))
		}
		index := len(b.strs) * widthOf(set.len()-1) / 8
		if plain := total + 4*len(b.strs); len(set.arena)+4*set.len()+index > plain*9/10 && len(b.strs) > 64 {
			return e.plainStrings(b)
		}
		return e.dictionaryStrings(b)
	}
	return e.plainStrings(b)
}

func (e *chunkEncoder) plainStrings(b *columnBuffer) values {
	return values{
		encoding: format.DeltaLengthByteArray,
		text:     true,
		appendPage: func(body []byte, from, to int) []byte {
			e.text, e.ends = e.text[:0], append(e.ends[:0], 0)
			for _, i := range b.strs[from:to] {
				e.text = append(e.text, b.set.at(i)...)
				e.ends = append(e.ends, uint32(len(e.text))) //nolint:gosec // G115: a page
			}
			return appendDeltaLength(body, e.text, e.ends)
		},
	}
}

type sortKey struct {
	prefix uint64 // the first eight bytes, big-endian
	entry  uint32
}

func (e *chunkEncoder) dictionaryStrings(b *columnBuffer) values {
	set := &b.set
	e.order = e.order[:0]
	for i := range uint32(set.len()) { //nolint:gosec // G115: values of a row group
		var word [8]byte
		copy(word[:], set.at(i))
		e.order = append(e.order, sortKey{binary.BigEndian.Uint64(word[:]), i})
	}
	slices.SortFunc(e.order, func(x, y sortKey) int {
		if x.prefix != y.prefix {
			if x.prefix < y.prefix {
				return -1
			}
			return 1
		}
		return bytes.Compare(set.at(x.entry), set.at(y.entry))
	})
	e.remap = append(e.remap[:0], make([]uint32, set.len())...)
	body := make([]byte, 0, len(set.arena)+4*set.len())
	for i, k := range e.order {
		e.remap[k.entry] = uint32(i) //nolint:gosec // G115: as above
		v := set.at(k.entry)
		body = binary.LittleEndian.AppendUint32(body, uint32(len(v))) //nolint:gosec // G115: as above
		body = append(body, v...)
	}
	e.indexes = e.indexes[:0]
	for _, i := range b.strs {
		e.indexes = append(e.indexes, e.remap[i])
	}
	return e.dictionary(true, body, set.len(), func(i uint32) []byte { return set.at(e.order[i].entry) })
}

func (e *chunkEncoder) dictionary(text bool, body []byte, n int, at func(uint32) []byte) values {
	width := widthOf(n - 1)
	return values{
		encoding: format.RLEDictionary,
		text:     text,
		dict:     body,
		dictLen:  n,
		appendPage: func(body []byte, from, to int) []byte {
			return appendHybrid(append(body, byte(width)), e.indexes[from:to], width)
		},
		bounds: func(from, to int) (lo, hi []byte) {
			return at(slices.Min(e.indexes[from:to])), at(slices.Max(e.indexes[from:to]))
		},
	}
}

func plainInt(v int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) } //nolint:gosec // G115: the bits

func appendPlainInts(body []byte, ints []int64) []byte {
	for _, v := range ints {
		body = binary.LittleEndian.AppendUint64(body, uint64(v)) //nolint:gosec // G115: the bits
	}
	return body
}

// appendDelta appends DELTA_BINARY_PACKED values; parquet-go's encoder writes to a buffer of its own.
func appendDelta(body []byte, ints []int64) []byte {
	enc, err := new(delta.BinaryPackedEncoding).EncodeInt64(nil, ints)
	if err != nil {
		panic("sessionfile: " + err.Error()) // only for a wrong type of input
	}
	return append(body, enc...)
}

func appendDeltaLength(body, text []byte, ends []uint32) []byte {
	enc, err := new(delta.LengthByteArrayEncoding).EncodeByteArray(nil, text, ends)
	if err != nil {
		panic("sessionfile: " + err.Error()) // only for offsets out of order
	}
	return append(body, enc...)
}

// pathOf joins a column's path for messages.
func pathOf(path []string) string { return strings.Join(path, ".") }
