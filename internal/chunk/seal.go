package chunk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

// Summary tells what Seal wrote.
type Summary struct {
	Meta       Meta   // as stored, counts included
	Key        string // object key
	SizeBytes  int64  // of the object
	RawBytes   int64  // of the stream
	IndexBytes int    // of the index frame
	Frames     int    // of data, the one of the pcap header included
	RawFrames  int    // of these, how many are not compressed
	Flows      int
	ContentSum uint64 // of the stream; equal for equal packets, however they are compressed
}

// sealer is the memory that Builder.Seal works with.
type sealer struct {
	order     []uint32 // flows by first packet time
	clustered []uint32 // positions of the records in the order of the stream
	next      []uint32 // by flow: where its next record goes in clustered
	plan      []plannedFrame
	slots     []frameSlot
	encoders  []*zstd.Encoder
	level     zstd.EncoderLevel // of the encoders
	frames    []Frame
}

// plannedFrame is the records that a frame holds.
type plannedFrame struct {
	from, to int // in clustered
	raw      int // their bytes
}

// frameSlot is a frame on its way from a worker to the writer.
type frameSlot struct {
	src  []byte
	out  encodedFrame
	done chan struct{}
}

// Seal writes all packets as a chunk to w and returns what it wrote. Fields of m
// that Seal counts are ignored. It compresses with Config.Workers goroutines, all
// of them gone on return, and takes memory for two frames each besides the
// index. The builder keeps its packets until Reset: a failed Seal can be repeated.
func (b *Builder) Seal(m Meta, w io.Writer) (Summary, error) {
	if m.Snaplen == 0 {
		m.Snaplen = defaultSnaplen
	}
	if m.LinkType > 1<<16-1 {
		return Summary{}, fmt.Errorf("seal chunk: link type %d is above 16 bits", m.LinkType)
	}
	b.count(&m)
	if err := m.validate(); err != nil {
		return Summary{}, fmt.Errorf("seal chunk: %w", err)
	}
	s := b.cfg.Pool.getSealer()
	defer b.cfg.Pool.putSealer(s)
	b.cluster(s)
	b.planFrames(s)
	if err := s.prepare(b.cfg.Workers, b.cfg.Level); err != nil {
		return Summary{}, fmt.Errorf("seal chunk: %w", err)
	}
	out := frameWriter{w: w, frames: s.frames[:0]}
	var head encodedFrame
	head.encodeRaw(appendPcapHeader(nil, m.LinkType, m.Snaplen))
	err := out.writeFrame(&head)
	if err == nil {
		err = b.writeFrames(s, &out)
	}
	s.frames = out.frames
	if err != nil {
		return Summary{}, fmt.Errorf("seal chunk %q: %w", Key(m), err)
	}
	sum := Summary{Meta: m, Key: Key(m), RawBytes: int64(b.raw), Frames: len(out.frames), RawFrames: out.rawFrames,
		Flows: len(b.flows.entries), ContentSum: out.contentSum.Sum64()}
	ix := index{meta: m, contentSum: sum.ContentSum, frames: out.frames, flows: b.flows.entries, order: s.order, comments: b.locateComments(s)}
	indexFrame, err := ix.encode(s.encoders[0])
	if err != nil {
		return Summary{}, fmt.Errorf("seal chunk %q: %w", sum.Key, err)
	}
	sum.IndexBytes = len(indexFrame)
	tail := appendSeekTable(indexFrame, out.frames, len(indexFrame))
	if err := out.write(tail); err != nil {
		return Summary{}, fmt.Errorf("seal chunk %q: %w", sum.Key, err)
	}
	sum.SizeBytes = out.size
	return sum, nil
}

// count fills the fields of m that say how many packets there are, and when.
func (b *Builder) count(m *Meta) {
	m.FirstNanos, m.LastNanos, m.Packets, m.Bytes = 0, 0, 0, 0
	for i := range b.flows.entries {
		e := &b.flows.entries[i]
		if i == 0 {
			m.FirstNanos, m.LastNanos = e.FirstNanos, e.LastNanos
		}
		m.FirstNanos = min(m.FirstNanos, e.FirstNanos)
		m.LastNanos = max(m.LastNanos, e.LastNanos)
		m.Packets += uint64(e.Packets[0]) + uint64(e.Packets[1])
		m.Bytes += e.Bytes[0] + e.Bytes[1]
	}
}

// cluster orders the flows by first packet time, those of equal time as they
// were seen, and the records by flow: a counting sort, for their number is known.
func (b *Builder) cluster(s *sealer) {
	flows := b.flows.entries
	s.order = resize(s.order, len(flows))
	for i := range s.order {
		s.order[i] = uint32(i) //nolint:gosec // at most MaxFlows
	}
	byTime := func(i, j uint32) int { return cmp.Compare(flows[i].FirstNanos, flows[j].FirstNanos) }
	if !slices.IsSortedFunc(s.order, byTime) { // sorted already when the capture is in time order
		slices.SortStableFunc(s.order, byTime)
	}
	s.next = resize(s.next, len(flows))
	at, offset := uint32(0), uint64(pcapHeaderBytes)
	for _, f := range s.order {
		e := &flows[f]
		s.next[f], e.Offset = at, offset
		at += e.Packets[0] + e.Packets[1]
		offset += e.Length
	}
	s.clustered = resize(s.clustered, len(b.entries))
	for _, e := range b.entries {
		s.clustered[s.next[e.flow]] = e.pos
		s.next[e.flow]++
	}
}

func resize(s []uint32, n int) []uint32 {
	return slices.Grow(s[:0], n)[:n]
}

// planFrames says which records share a frame. It is part of the format that
// this depends on the records alone: equal packets give equal frames.
func (b *Builder) planFrames(s *sealer) {
	s.plan = s.plan[:0]
	var open plannedFrame
	flush := func() {
		if open.raw > 0 {
			s.plan = append(s.plan, open)
		}
		open = plannedFrame{from: open.to, to: open.to}
	}
	for _, f := range s.order {
		e := &b.flows.entries[f]
		n, length := int(e.Packets[0]+e.Packets[1]), int(e.Length) //nolint:gosec // at most MaxRawBytes
		if length <= SharedFrameBytes {
			if open.raw+length > SharedFrameBytes {
				flush()
			}
			open.to, open.raw = open.to+n, open.raw+length
			continue
		}
		flush()
		for _, pos := range s.clustered[open.to : open.to+n] {
			size := storedRecordSize(b.records.at(pos))
			if open.raw+size > FlowFrameBytes {
				flush()
			}
			open.to, open.raw = open.to+1, open.raw+size
		}
		flush()
	}
	flush()
}

// storedRecordSize is the raw bytes of the record at the start of b.
func storedRecordSize(b []byte) int {
	return recordHeaderSize + int(binary.LittleEndian.Uint32(b[8:]))
}

func (s *sealer) prepare(workers int, level zstd.EncoderLevel) error {
	level = max(level, zstd.SpeedFastest)
	if s.level != level {
		s.encoders, s.level = nil, level
	}
	for len(s.encoders) < workers {
		enc, err := newEncoder(level)
		if err != nil {
			return err
		}
		s.encoders = append(s.encoders, enc)
	}
	for len(s.slots) < 2*workers {
		s.slots = append(s.slots, frameSlot{done: make(chan struct{}, 1)})
	}
	return nil
}

// writeFrames compresses the planned frames in parallel and writes them in order.
func (b *Builder) writeFrames(s *sealer, out *frameWriter) error {
	if len(s.plan)+2 > MaxFrames {
		return fmt.Errorf("%d frames, at most %d", len(s.plan)+2, MaxFrames)
	}
	jobs := make(chan int, len(s.slots)) // never full: a frame is handed out when its slot is free
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(jobs)
	for _, enc := range s.encoders[:b.cfg.Workers] {
		work := func() {
			for i := range jobs {
				slot := &s.slots[i%len(s.slots)]
				slot.src = b.gather(slot.src[:0], s.clustered[s.plan[i].from:s.plan[i].to], s.plan[i].raw)
				slot.out.encode(enc, slot.src)
				slot.done <- struct{}{}
			}
		}
		wg.Go(func() {
			if b.cfg.Worker != nil {
				b.cfg.Worker(work)
			} else {
				work()
			}
		})
	}
	for next, written := 0, 0; written < len(s.plan); written++ {
		for ; next < len(s.plan) && next-written < len(s.slots); next++ {
			jobs <- next
		}
		slot := &s.slots[written%len(s.slots)]
		<-slot.done
		if err := out.writeFrame(&slot.out); err != nil {
			for i := written + 1; i < next; i++ {
				<-s.slots[i%len(s.slots)].done
			}
			return err
		}
	}
	return nil
}

// gather appends the records at the positions, which have size raw bytes, to dst.
func (b *Builder) gather(dst []byte, positions []uint32, size int) []byte {
	if cap(dst) < size {
		dst = make([]byte, 0, max(size, FlowFrameBytes))
	}
	for _, pos := range positions {
		r := b.records.at(pos)
		dst = append(dst, r[:storedRecordSize(r)]...)
	}
	return dst
}

// frameWriter writes frames, and notes for the index and the seek table what they are.
type frameWriter struct {
	w          io.Writer
	size       int64
	raw        uint64
	frames     []Frame
	rawFrames  int
	contentSum contentSum
}

func (o *frameWriter) writeFrame(f *encodedFrame) error {
	for _, p := range f.parts {
		if _, err := o.w.Write(p); err != nil {
			return err
		}
	}
	o.frames = append(o.frames, Frame{Offset: o.size, Size: uint32(f.compressed), RawOffset: o.raw, RawSize: uint32(f.content), CRC: f.crc}) //nolint:gosec // maxFrameRawBytes bounds both
	o.size += int64(f.compressed)
	o.raw += uint64(f.content) //nolint:gosec // positive
	o.contentSum.add(f.content, f.sum)
	if f.raw {
		o.rawFrames++
	}
	return nil
}

func (o *frameWriter) write(b []byte) error {
	n, err := o.w.Write(b)
	o.size += int64(n)
	return err
}

// contentSum identifies a stream: XXH64 over the content size and the checksum
// of each frame, both 32 bits little-endian. The zero value is ready.
type contentSum struct{ d *xxhash.Digest }

func (c *contentSum) add(content int, sum uint32) {
	if c.d == nil {
		c.d = xxhash.New()
	}
	var b [8]byte
	binary.LittleEndian.PutUint32(b[:], uint32(content)) //nolint:gosec // maxFrameRawBytes bounds it
	binary.LittleEndian.PutUint32(b[4:], sum)
	_, _ = c.d.Write(b[:]) // never fails
}

// Sum64 is the sum of what was added; nothing was is an error of the caller.
func (c *contentSum) Sum64() uint64 { return c.d.Sum64() }

var errIndexTooLarge = errors.New("index is too large")
