package chunk

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// The index is a skippable frame behind the data. Its content is the magic, the
// version, the sections below in this order, and a CRC32C over all of that.
const (
	indexSkippable  = skippableMagic | 0xd
	indexMagic      = "WLFI"
	indexHeaderSize = len(indexMagic) + 1
	indexMinSize    = indexHeaderSize + numSections*2 + checksumSize
)

// Sections of the index. Flows are stored by column, for like compresses with like.
const (
	secMeta     = iota
	secFrames   // CRC32C of the compressed frames, of the seek entries; content sum
	secShort    // addresses whose bytes after the 4th are 0, ascending
	secLong     // the other addresses, ascending
	secKind     // Key.Kind, a byte a flow
	secProto    // Key.Proto, a byte a flow
	secAddrA    // which address is Key.A
	secAddrB    // which address is Key.B
	secSwap     // 1 when PortA is the higher port
	secPortLow  // lower port: all high bytes, then all low bytes
	secPortHigh // higher port, likewise
	secFirst    // FirstNanos less that of the flow before, in units of time
	secDuration // LastNanos less FirstNanos, in units of time
	secPackets0 // Packets[0]
	secPackets1 // Packets[1]
	secBytes0   // Bytes[0]
	secBytes1   // Bytes[1]
	secCut      // bytes on the wire less captured bytes, signed
	secComments // of packets
	numSections
)

// index is what the index frame holds. Frames carry their sizes in from the seek
// table, and only their CRCs are stored here.
type index struct {
	meta       Meta
	contentSum uint64
	frames     []Frame
	flows      []FlowEntry
	order      []uint32 // flows in the order of the stream; nil when flows is in it
	comments   []Comment
}

func (ix *index) flow(i int) *FlowEntry {
	if ix.order != nil {
		i = int(ix.order[i])
	}
	return &ix.flows[i]
}

// encode returns the index as a skippable frame.
func (ix *index) encode(enc *zstd.Encoder) ([]byte, error) {
	sections := ix.encodeFlows()
	sections[secMeta] = encodeMeta(ix.meta)
	sections[secFrames] = encodeFrameCRCs(ix.frames, ix.contentSum)
	sections[secComments] = encodeComments(ix.comments)

	b := append([]byte(indexMagic), Version)
	var packed []byte
	total := 0
	for _, s := range sections {
		total += len(s)
		packed = packed[:0]
		if len(s) > 0 {
			packed = enc.EncodeAll(s, packed)
		}
		b = binary.AppendUvarint(b, uint64(len(s)))
		if len(packed) < len(s) {
			b = binary.AppendUvarint(b, uint64(len(packed)))
			b = append(b, packed...)
		} else {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	}
	if total > MaxIndexBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errIndexTooLarge, total, MaxIndexBytes)
	}
	b = binary.LittleEndian.AppendUint32(b, crc32c(0, b))
	return appendSkippable(make([]byte, 0, skippableHeaderSize+len(b)), indexSkippable, b), nil
}

func encodeMeta(m Meta) []byte {
	var b []byte
	for _, s := range []string{m.Sensor, m.Lane, m.Interface, m.File, m.Generator} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	var flags uint64
	if m.Final {
		flags |= flagFinal
	}
	for _, v := range []uint64{
		uint64(m.LinkType), uint64(m.Snaplen), m.Sequence, uint64(m.KeyNanos), flags, m.KernelDrops, m.SpoolDrops, //nolint:gosec // validate: not negative
		uint64(m.FirstNanos), uint64(m.LastNanos - m.FirstNanos), m.Packets, m.Bytes, //nolint:gosec // checkPacket: not negative
	} {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

const flagFinal = 1

func encodeFrameCRCs(frames []Frame, contentSum uint64) []byte {
	b := make([]byte, 0, len(frames)*4+12)
	for _, f := range frames {
		b = binary.LittleEndian.AppendUint32(b, f.CRC)
	}
	b = binary.LittleEndian.AppendUint32(b, seekEntriesCRC(frames))
	return binary.LittleEndian.AppendUint64(b, contentSum)
}

// seekEntriesCRC is the CRC32C of the seek table's entries of the data frames.
func seekEntriesCRC(frames []Frame) uint32 {
	return crc32c(0, appendSeekEntries(make([]byte, 0, len(frames)*seekEntrySize), frames))
}

// timeUnit is the largest of 1 s, 1 ms, 1 µs and 1 ns that divides the times of
// all flows. Most captures have microseconds, whose nanoseconds would be stored for nothing.
func (ix *index) timeUnit() int64 {
	unit := int64(nanosPerSecond)
	for i := range ix.flows {
		e := &ix.flows[i]
		for e.FirstNanos%unit != 0 || e.LastNanos%unit != 0 {
			unit /= 1000
		}
	}
	return unit
}

func (ix *index) encodeFlows() *[numSections][]byte {
	var s [numSections][]byte
	n := len(ix.flows)
	addrs := newAddressTable(ix.flows)
	s[secShort], s[secLong] = addrs.encode()
	for _, sec := range []int{secKind, secProto, secSwap} {
		s[sec] = make([]byte, n)
	}
	for _, sec := range []int{secPortLow, secPortHigh} {
		s[sec] = make([]byte, 2*n)
	}
	unit := ix.timeUnit()
	s[secFirst] = binary.AppendUvarint(s[secFirst], uint64(unit)) //nolint:gosec // positive
	var before int64
	for i := range n {
		e := ix.flow(i)
		k := &e.Key
		s[secKind][i], s[secProto][i] = byte(k.Kind), k.Proto
		s[secAddrA] = binary.AppendUvarint(s[secAddrA], addrs.number(&k.A))
		s[secAddrB] = binary.AppendUvarint(s[secAddrB], addrs.number(&k.B))
		low, high := k.PortA, k.PortB
		if low > high {
			low, high = high, low
			s[secSwap][i] = 1
		}
		s[secPortLow][i], s[secPortLow][n+i] = byte(low>>8), byte(low)
		s[secPortHigh][i], s[secPortHigh][n+i] = byte(high>>8), byte(high)
		s[secFirst] = binary.AppendUvarint(s[secFirst], uint64((e.FirstNanos-before)/unit))            //nolint:gosec // ascending
		s[secDuration] = binary.AppendUvarint(s[secDuration], uint64((e.LastNanos-e.FirstNanos)/unit)) //nolint:gosec // not negative
		before = e.FirstNanos
		s[secPackets0] = binary.AppendUvarint(s[secPackets0], uint64(e.Packets[0]))
		s[secPackets1] = binary.AppendUvarint(s[secPackets1], uint64(e.Packets[1]))
		s[secBytes0] = binary.AppendUvarint(s[secBytes0], e.Bytes[0])
		s[secBytes1] = binary.AppendUvarint(s[secBytes1], e.Bytes[1])
		cut := int64(e.Bytes[0]+e.Bytes[1]) - int64(e.Length) + int64(e.packets())*recordHeaderSize //nolint:gosec // far below 2^63
		s[secCut] = binary.AppendVarint(s[secCut], cut)
	}
	return &s
}

// packets is the number of records of the flow.
func (e *FlowEntry) packets() uint64 { return uint64(e.Packets[0]) + uint64(e.Packets[1]) }
