package chunk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// A scan has at most three segments in memory: one being fetched, one waiting,
// one being decoded; and as many decoded frames as scanFrames.
const (
	segmentBytes = 4 << 20
	scanFrames   = 4
)

// ReadFlows reads the whole chunk from its beginning and calls fn for each flow, in
// the order of Flows, with its records in capture order; e is the reader's. What fn leaves unread of
// them is skipped, but checked. It fetches and decodes ahead of fn.
//
// It ends with the first error of fn, or of reading: every checksum of the chunk
// is checked, and that the records are those that the index tells of.
func (r *Reader) ReadFlows(ctx context.Context, fn func(e *FlowEntry, records *FlowRecords) error) error {
	scanCtx, cancel := context.WithCancel(ctx)
	s := scan{r: r, segments: make(chan segment, 1), frames: make(chan scannedFrame, scanFrames), free: make(chan []byte, scanFrames+2)}
	var wg sync.WaitGroup
	wg.Go(func() { s.fetch(scanCtx) })
	wg.Go(func() { s.decode(scanCtx) })
	defer wg.Wait()
	defer cancel()
	err := s.run(fn)
	if errors.Is(err, errCancelled) {
		return fmt.Errorf("chunk %q: %w", r.key, context.Cause(ctx))
	}
	return err
}

// errCancelled is the end of frames without an error of their own.
var errCancelled = errors.New("scan cancelled")

// Verify reads the whole chunk and checks all there is to check.
func (r *Reader) Verify(ctx context.Context) error {
	return r.ReadFlows(ctx, func(*FlowEntry, *FlowRecords) error { return nil })
}

type scan struct {
	r        *Reader
	segments chan segment
	frames   chan scannedFrame
	free     chan []byte

	frame scannedFrame // that at is in
	at    []byte       // content of frame not read yet
	raw   uint64       // offset of at in the stream
}

// segment is some frames fetched at once.
type segment struct {
	frames []Frame
	data   []byte
	err    error
}

type scannedFrame struct {
	Frame
	content []byte
	err     error
}

// fetch sends the data frames of the chunk in segments, until an error or the end.
func (s *scan) fetch(ctx context.Context) {
	defer close(s.segments)
	frames := s.r.index.frames
	for len(frames) > 0 {
		n, size := 0, int64(0)
		for n < len(frames) && (n == 0 || size+int64(frames[n].Size) <= segmentBytes) {
			size += int64(frames[n].Size)
			n++
		}
		seg := segment{frames: frames[:n]}
		seg.data, seg.err = s.r.fetch(ctx, frames[0].Offset, size)
		select {
		case s.segments <- seg:
		case <-ctx.Done():
			return
		}
		if seg.err != nil {
			return
		}
		frames = frames[n:]
	}
}

// decode sends the content of each frame, until an error or the end.
func (s *scan) decode(ctx context.Context) {
	defer close(s.frames)
	var sum contentSum
	for seg := range s.segments {
		if seg.err != nil {
			s.send(ctx, scannedFrame{err: seg.err})
			return
		}
		for _, f := range seg.frames {
			out := scannedFrame{Frame: f}
			out.content, out.err = s.decodeFrame(f, seg.data[:f.Size])
			if out.err == nil {
				sum.add(len(out.content), le32(seg.data[f.Size-checksumSize:]))
			}
			if !s.send(ctx, out) || out.err != nil {
				return
			}
			seg.data = seg.data[f.Size:]
		}
	}
	if got, want := sum.Sum64(), s.r.index.contentSum; ctx.Err() == nil && got != want {
		s.send(ctx, scannedFrame{err: corrupt(s.r.key, s.r.dataSize(), "content sum is %016x, the index says %016x", got, want)})
	}
}

func (s *scan) send(ctx context.Context, f scannedFrame) bool {
	select {
	case s.frames <- f:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *scan) decodeFrame(f Frame, data []byte) ([]byte, error) {
	if err := s.r.checkFrames(f.Offset, data); err != nil {
		return nil, err
	}
	var buf []byte
	select {
	case buf = <-s.free:
	default:
	}
	content, n, err := s.r.dec.frame(s.r.key, f.Offset, data, buf)
	switch {
	case err != nil:
		return nil, err
	case n != len(data) || len(content) != int(f.RawSize):
		return nil, corrupt(s.r.key, f.Offset, "frame of %d bytes with %d of content, the seek table says %d with %d", n, len(content), f.Size, f.RawSize)
	}
	return content, nil
}

func (s *scan) run(fn func(*FlowEntry, *FlowRecords) error) error {
	if err := s.nextFrame(); err != nil {
		return err
	}
	if m := s.r.index.meta; !bytes.Equal(s.at, appendPcapHeader(nil, m.LinkType, m.Snaplen)) {
		return corrupt(s.r.key, 0, "pcap header %x is not that of link type %d, snaplen %d", s.at, m.LinkType, m.Snaplen)
	}
	s.raw += uint64(len(s.at))
	s.at = nil
	records := FlowRecords{scan: s}
	for i := range s.r.index.flows {
		e := &s.r.index.flows[i]
		records.begin(e)
		if err := fn(e, &records); err != nil {
			return err
		}
		if err := records.finish(); err != nil {
			return err
		}
	}
	// The decoder has the last word: it compares the content sum.
	if f, ok := <-s.frames; ok {
		return f.err
	}
	return nil
}

// nextFrame waits for the next frame. There must be one.
func (s *scan) nextFrame() error {
	if cap(s.frame.content) > 0 {
		select {
		case s.free <- s.frame.content:
		default:
		}
	}
	var ok bool
	if s.frame, ok = <-s.frames; !ok {
		return errCancelled // only a cancelled scan ends early without an error
	}
	s.at = s.frame.content
	return s.frame.err
}

// FlowRecords reads the records of one flow in a scan.
type FlowRecords struct {
	scan  *scan
	entry *FlowEntry
	left  uint64 // raw bytes not read
	seen  FlowEntry
	count uint64
	err   error
}

func (f *FlowRecords) begin(e *FlowEntry) {
	*f = FlowRecords{scan: f.scan, entry: e, left: e.Length}
}

// Next decodes the next record of the flow into r, whose Data is valid until the
// next call. After the last it returns io.EOF.
func (f *FlowRecords) Next(r *Record) error {
	if f.err == nil {
		f.err = f.next(r)
	}
	return f.err
}

func (f *FlowRecords) next(r *Record) error {
	s := f.scan
	if f.left == 0 {
		return f.check()
	}
	for len(s.at) == 0 {
		if err := s.nextFrame(); err != nil {
			return err
		}
	}
	n, reason := decodeRecord(s.at, r)
	if reason == "" && uint64(n) > f.left { //nolint:gosec // positive
		reason = "record goes beyond its flow"
	}
	if reason != "" {
		return corrupt(s.r.key, s.frame.Offset, "byte %d of the frame's content: %s", len(s.frame.content)-len(s.at), reason)
	}
	r.Offset = s.raw
	s.at = s.at[n:]
	s.raw += uint64(n)  //nolint:gosec // positive
	f.left -= uint64(n) //nolint:gosec // positive
	f.count++
	if f.count == 1 {
		f.seen.FirstNanos, f.seen.LastNanos = r.TimeNanos, r.TimeNanos
	}
	f.seen.FirstNanos = min(f.seen.FirstNanos, r.TimeNanos)
	f.seen.LastNanos = max(f.seen.LastNanos, r.TimeNanos)
	f.seen.Bytes[0] += uint64(r.WireLen) //nolint:gosec // 32 bits in the record
	return nil
}

// check compares what was read with the index, and is io.EOF when that agrees.
func (f *FlowRecords) check() error {
	e, got := f.entry, &f.seen
	if f.count != e.packets() || got.Bytes[0] != e.Bytes[0]+e.Bytes[1] || got.FirstNanos != e.FirstNanos || got.LastNanos != e.LastNanos {
		return corrupt(f.scan.r.key, f.scan.frame.Offset, "flow at %d of the stream has %d packets of %d bytes from %d to %d, the index says %d of %d from %d to %d",
			e.Offset, f.count, got.Bytes[0], got.FirstNanos, got.LastNanos, e.packets(), e.Bytes[0]+e.Bytes[1], e.FirstNanos, e.LastNanos)
	}
	return io.EOF
}

// finish reads what was left.
func (f *FlowRecords) finish() error {
	var r Record
	for f.err == nil {
		f.err = f.next(&r)
	}
	if f.err == io.EOF { //nolint:errorlint // set by check alone
		return nil
	}
	return f.err
}
