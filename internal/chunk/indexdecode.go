package chunk

import (
	"encoding/binary"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/packet"
)

// decodeIndex decodes the content of the index frame, which belongs to a chunk
// with these frames, whose CRCs it fills. A reason says what is damaged; version
// is not Version when the index is of another one.
func decodeIndex(b []byte, frames []Frame, dec *zstd.Decoder) (ix *index, version int, reason string) {
	if len(b) < indexMinSize || string(b[:len(indexMagic)]) != indexMagic {
		return nil, Version, "no flow index here"
	}
	body, sum := b[:len(b)-checksumSize], binary.LittleEndian.Uint32(b[len(b)-checksumSize:])
	if got := crc32c(0, body); got != sum {
		return nil, Version, fmt.Sprintf("index has CRC32C %08x, stored is %08x", got, sum)
	}
	if v := int(body[len(indexMagic)]); v != Version {
		return nil, v, "version"
	}
	sections, reason := unpackSections(body[indexHeaderSize:], dec)
	if reason != "" {
		return nil, Version, "index: " + reason
	}
	ix = &index{frames: frames}
	for _, step := range []func(*[numSections][]byte) string{ix.decodeMeta, ix.decodeFrames, ix.decodeFlows, ix.check, ix.decodeComments} {
		if reason := step(sections); reason != "" {
			return nil, Version, "index: " + reason
		}
	}
	return ix, Version, ""
}

func unpackSections(b []byte, dec *zstd.Decoder) (*[numSections][]byte, string) {
	var s [numSections][]byte
	total := uint64(0)
	for i := range s {
		size, n1 := binary.Uvarint(b)
		if n1 <= 0 {
			return nil, fmt.Sprintf("section %d: bad size", i)
		}
		stored, n2 := binary.Uvarint(b[n1:])
		if n2 <= 0 || stored > uint64(len(b)-n1-n2) || stored > size {
			return nil, fmt.Sprintf("section %d: bad stored size", i)
		}
		if total += size; size > MaxIndexBytes || total > MaxIndexBytes {
			return nil, fmt.Sprintf("sections of more than %d bytes", MaxIndexBytes)
		}
		b = b[n1+n2:]
		if stored == size {
			s[i] = b[:size]
		} else {
			h, reason := parseSectionHeader(b[:stored])
			if reason != "" || uint64(h) != size {
				return nil, fmt.Sprintf("section %d: want a frame of %d bytes of content, have %d %s", i, size, h, reason)
			}
			var err error
			if s[i], err = dec.DecodeAll(b[:stored], nil); err != nil {
				return nil, fmt.Sprintf("section %d: %v", i, err)
			}
			if uint64(len(s[i])) != size {
				return nil, fmt.Sprintf("section %d has %d bytes, want %d", i, len(s[i]), size)
			}
		}
		b = b[stored:]
	}
	if len(b) > 0 {
		return nil, fmt.Sprintf("%d bytes after the last section", len(b))
	}
	return &s, ""
}

// parseSectionHeader returns the content size that the frame of a section
// announces; a section may be larger than any frame of data.
func parseSectionHeader(b []byte) (content int, reason string) {
	var h zstd.Header
	if err := h.Decode(b); err != nil {
		return 0, err.Error()
	}
	if !h.HasFCS || h.Skippable || h.FrameContentSize > MaxIndexBytes {
		return 0, "(no content size)"
	}
	return int(h.FrameContentSize), "" //nolint:gosec // checked
}

// column reads varints one after the other. After the first bad one, or one
// above max, bad stays set and all are 0, so that it need be asked once.
type column struct {
	b   []byte
	max uint64
	bad bool
}

func (c *column) next() uint64 {
	if len(c.b) > 0 && c.b[0] < 0x80 && uint64(c.b[0]) <= c.max { // most are one byte
		v := c.b[0]
		c.b = c.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(c.b)
	if n <= 0 || v > c.max {
		c.b, c.bad = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *column) done() bool { return !c.bad && len(c.b) == 0 }

func (c *column) text() string {
	n := c.next()
	if n > MaxNameBytes || n > uint64(len(c.b)) {
		c.b, c.bad = nil, true
		return ""
	}
	s := string(c.b[:n])
	c.b = c.b[n:]
	return s
}

const maxInt63 = 1<<63 - 1

func (ix *index) decodeMeta(s *[numSections][]byte) string {
	c := column{b: s[secMeta], max: maxInt63}
	m := &ix.meta
	for _, to := range []*string{&m.Sensor, &m.Lane, &m.Interface, &m.File, &m.Generator} {
		*to = c.text()
	}
	linkType, snaplen := c.next(), c.next()
	m.Sequence, m.KeyNanos = c.next(), int64(c.next()) //nolint:gosec // max
	flags := c.next()
	m.KernelDrops, m.SpoolDrops = c.next(), c.next()
	c.max = MaxTimeNanos - 1
	first, span := c.next(), c.next()
	c.max = maxInt63
	m.Packets, m.Bytes = c.next(), c.next()
	m.FirstNanos, m.LastNanos = int64(first), int64(first+span) //nolint:gosec // max
	m.Final = flags&flagFinal != 0
	m.LinkType, m.Snaplen = uint32(linkType), uint32(snaplen) //nolint:gosec // checked next
	if !c.done() || linkType > 1<<32-1 || snaplen > 1<<32-1 || flags > flagFinal {
		return "meta does not decode"
	}
	if err := m.validate(); err != nil {
		return err.Error()
	}
	return ""
}

func (ix *index) decodeFrames(s *[numSections][]byte) string {
	b := s[secFrames]
	if len(b) != len(ix.frames)*4+12 {
		return fmt.Sprintf("CRCs of %d frames, the seek table has %d", (len(b)-12)/4, len(ix.frames))
	}
	for i := range ix.frames {
		ix.frames[i].CRC = binary.LittleEndian.Uint32(b[4*i:])
	}
	b = b[4*len(ix.frames):]
	if got, want := seekEntriesCRC(ix.frames), binary.LittleEndian.Uint32(b); got != want {
		return fmt.Sprintf("seek table has CRC32C %08x, stored is %08x", got, want)
	}
	ix.contentSum = binary.LittleEndian.Uint64(b[4:])
	return ""
}

func (ix *index) decodeFlows(s *[numSections][]byte) string {
	n := len(s[secKind])
	if n > MaxFlows {
		return fmt.Sprintf("%d flows, at most %d", n, MaxFlows)
	}
	if len(s[secProto]) != n || len(s[secSwap]) != n || len(s[secPortLow]) != 2*n || len(s[secPortHigh]) != 2*n {
		return fmt.Sprintf("columns of %d flows differ in length", n)
	}
	addrs, reason := decodeAddresses(s[secShort], s[secLong])
	if reason != "" {
		return reason
	}
	var cols [numSections]column
	for sec, limit := range map[int]uint64{
		secAddrA: uint64(len(addrs)) - 1, secAddrB: uint64(len(addrs)) - 1, secFirst: MaxTimeNanos, secDuration: MaxTimeNanos,
		secPackets0: 1<<32 - 1, secPackets1: 1<<32 - 1, secBytes0: 1 << 52, secBytes1: 1 << 52, secCut: 1<<64 - 1,
	} {
		cols[sec] = column{b: s[sec], max: limit}
	}
	unit := cols[secFirst].next()
	if unit != 1 && unit != 1e3 && unit != 1e6 && unit != 1e9 {
		return fmt.Sprintf("unit of time is %d ns", unit)
	}
	if n > 0 && len(addrs) == 0 {
		return "flows without addresses"
	}
	ix.flows = make([]FlowEntry, n)
	first, offset := uint64(0), uint64(pcapHeaderBytes)
	for i := range ix.flows {
		e := &ix.flows[i]
		k := &e.Key
		k.Kind, k.Proto = packet.Kind(s[secKind][i]), s[secProto][i]
		k.A, k.B = addrs[cols[secAddrA].next()], addrs[cols[secAddrB].next()]
		k.PortA = uint16(s[secPortLow][i])<<8 | uint16(s[secPortLow][n+i])
		k.PortB = uint16(s[secPortHigh][i])<<8 | uint16(s[secPortHigh][n+i])
		if s[secSwap][i] > 1 || k.PortA > k.PortB || s[secSwap][i] == 1 && k.PortA == k.PortB {
			return fmt.Sprintf("flow %d: ports are out of order", i)
		}
		if s[secSwap][i] == 1 {
			k.PortA, k.PortB = k.PortB, k.PortA
		}
		if err := checkKey(k); err != nil {
			return fmt.Sprintf("flow %d: %v", i, err)
		}
		d, duration := cols[secFirst].next(), cols[secDuration].next()
		if d > MaxTimeNanos/unit || duration > MaxTimeNanos/unit {
			return fmt.Sprintf("flow %d: time is out of range", i)
		}
		first += d * unit
		last := first + duration*unit
		if last >= MaxTimeNanos {
			return fmt.Sprintf("flow %d: time is out of range", i)
		}
		e.FirstNanos, e.LastNanos = int64(first), int64(last)                                     //nolint:gosec // below MaxTimeNanos
		e.Packets = [2]uint32{uint32(cols[secPackets0].next()), uint32(cols[secPackets1].next())} //nolint:gosec // max
		e.Bytes = [2]uint64{cols[secBytes0].next(), cols[secBytes1].next()}
		z := cols[secCut].next()
		cut := int64(z>>1) ^ -int64(z&1)                                                                               //nolint:gosec // zigzag
		length := int64(e.Bytes[0]+e.Bytes[1]) - cut + int64(e.packets())*recordHeaderSize                             //nolint:gosec // checked next
		if e.packets() == 0 || length < int64(e.packets())*recordHeaderSize || length > MaxRawBytes+maxFrameRawBytes { //nolint:gosec // below 2^38
			return fmt.Sprintf("flow %d: %d packets in %d bytes", i, e.packets(), length)
		}
		e.Offset, e.Length = offset, uint64(length) //nolint:gosec // checked
		offset += e.Length
	}
	for sec := range cols {
		if !cols[sec].done() {
			return fmt.Sprintf("column %d does not decode", sec)
		}
	}
	return ""
}

// checkKey says why k is no flow key.
func checkKey(k *packet.Key) error {
	var b [packet.KeyLen]byte
	enc, _ := k.AppendBinary(b[:0]) // the error is always nil
	_, err := packet.DecodeKey(enc)
	return err
}

// check compares the totals of the flows with what meta and the frames say.
func (ix *index) check(*[numSections][]byte) string {
	var packets, bytes uint64
	offset := uint64(pcapHeaderBytes)
	var last int64
	for i := range ix.flows {
		e := &ix.flows[i]
		packets += e.packets()
		bytes += e.Bytes[0] + e.Bytes[1]
		offset += e.Length
		last = max(last, e.LastNanos)
	}
	m := &ix.meta
	end := ix.frames[len(ix.frames)-1]
	switch {
	case packets != m.Packets || bytes != m.Bytes:
		return fmt.Sprintf("flows have %d packets of %d bytes, meta says %d of %d", packets, bytes, m.Packets, m.Bytes)
	case end.RawOffset+uint64(end.RawSize) != offset:
		return fmt.Sprintf("flows end at %d, frames at %d of the stream", offset, end.RawOffset+uint64(end.RawSize))
	case len(ix.flows) > 0 && (ix.flows[0].FirstNanos != m.FirstNanos || last != m.LastNanos):
		return "times of the flows differ from meta"
	case len(ix.flows) == 0 && (m.FirstNanos != 0 || m.LastNanos != 0):
		return "times without flows"
	}
	return ""
}
