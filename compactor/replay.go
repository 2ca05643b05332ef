package compactor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/session"
	"wirelake/internal/spi"
)

const (
	// readAhead is what is fetched with one request of a chunk whose sessions are read one after the other.
	readAhead = 4 << 20

	// openChunks is how many chunks are held open: long sessions are in several.
	openChunks = 16
)

// replay makes documents of sessions again, from the packets that theirs point to.
type replay struct {
	parts   Parts
	out     *rewrite
	chunks  []*openChunk // the one used last first
	decoder *chunk.Decoder

	builder *session.Builder
	lane    string // of the builder
	keys    *laneKeys
	current *target
	err     error
	gone    int64
}

func newReplay(p Parts, out *rewrite) *replay { return &replay{parts: p, out: out} }

// all makes the documents of the targets, those of a lane in the order in which their sessions began: what one tells of
// another, as FTP does of its data connections, is then known.
func (r *replay) all(ctx context.Context, targets []*target) (err error) {
	if r.decoder, err = chunk.NewDecoder(1); err != nil {
		return err
	}
	chains := map[string][]*target{} // by root
	var roots []string
	for _, t := range targets {
		root := cmp.Or(t.root, t.id)
		if chains[root] == nil {
			roots = append(roots, root)
		}
		chains[root] = append(chains[root], t)
	}
	for _, chain := range chains {
		slices.SortFunc(chain, func(a, b *target) int { return cmp.Compare(a.segment, b.segment) })
	}
	slices.SortStableFunc(roots, func(a, b string) int { return compareStart(chains[a][0], chains[b][0]) })
	for _, root := range roots {
		if err := r.chain(ctx, chains[root]); err != nil {
			return err
		}
	}
	return nil
}

// compareStart orders sessions by lane and by where their packets begin.
func compareStart(a, b *target) int {
	if c := cmp.Compare(a.lane, b.lane); c != 0 || len(a.runs) == 0 || len(b.runs) == 0 {
		return cmp.Or(c, cmp.Compare(len(a.runs), len(b.runs)))
	}
	x, y := a.runs[0], b.runs[0]
	return cmp.Or(cmp.Compare(x.key, y.key), cmp.Compare(x.offset, y.offset), cmp.Compare(x.skip, y.skip))
}

// chain replays one session: the segments that it was saved in, from its first packet to the last that a target has.
func (r *replay) chain(ctx context.Context, segments []*target) error {
	if r.builder == nil || r.lane != segments[0].lane {
		r.lane = segments[0].lane
		cfg := r.parts.Session
		cfg.Sensor, cfg.Lane = r.out.old.Sensor(), r.lane
		var err error
		if r.keys, err = openLaneKeys(ctx, r.parts.Store, cfg.Keys, cfg.Sensor, r.lane); err != nil {
			return err
		}
		cfg.Keys = r.keys.log
		// The documents say where sessions and their segments end.
		cfg.TCPIdle, cfg.UDPIdle, cfg.SCTPIdle, cfg.ICMPIdle, cfg.ESPIdle, cfg.OtherIdle = never, never, never, never, never, never
		cfg.TCPCloseLag, cfg.SegmentAge, cfg.SegmentPackets = never, never, math.MaxInt
		r.builder = session.New(r.parts.Set, cfg, r.parts.Geo, r.emit)
	}
	var lost error // why the rest of the session cannot be dissected as it was
	for i, t := range segments {
		if lost == nil {
			r.current = t
			lost = r.feed(ctx, t)
		}
		switch {
		case lost == nil && i < len(segments)-1:
			r.builder.Segment()
		case lost == nil:
			r.builder.Flush()
		case !errors.Is(lost, objstore.ErrNotFound) && !errors.Is(lost, chunk.ErrCorrupt) && !errors.Is(lost, chunk.ErrVersion):
			return lost
		case !t.context:
			r.parts.Log.WarnContext(ctx, "session kept as it is", "id", t.id, "error", lost)
			if errors.Is(lost, objstore.ErrNotFound) {
				r.gone++
			}
		}
	}
	r.current = nil
	r.builder.Flush()
	return r.err
}

// emit takes a new document, and gives it what the old one knew of the session's place.
func (r *replay) emit(s *session.Session) {
	t := r.current
	if t == nil || t.context || r.err != nil || r.out.written[t.id] {
		return
	}
	// Were the packets counted otherwise, the bounds of sessions are: the old document stays.
	var want int64
	for _, c := range t.runs {
		want += c.packets
	}
	if got, _ := s.Doc.Int(spi.NetworkPackets); got != want {
		r.parts.Log.Warn("session kept as it is: it has other bounds now", "id", t.id, "packets", want, "now", got)
		return
	}
	d := s.Doc
	d.SetString(spi.ID, t.id)
	if t.root != "" {
		d.SetString(spi.RootID, t.root)
	}
	if t.segment != 0 {
		d.SetInt(spi.SegmentCount, t.segment)
	}
	for _, f := range t.files {
		d.AddString(spi.FilePath, f)
	}
	if t.loss > 0 {
		d.SetInt(spi.CaptureLoss, t.loss)
	}
	for i := range t.runs {
		t.runs[i].add(d)
	}
	finish(d, r.parts.Rules)
	r.err = r.out.add(t.id, d)
}

// feed gives the packets of a document to the builder.
func (r *replay) feed(ctx context.Context, t *target) error {
	if len(t.runs) == 0 {
		return fmt.Errorf("session %s names no chunk: %w", t.id, objstore.ErrNotFound)
	}
	for _, run := range t.runs {
		c, err := r.open(ctx, run.key)
		if err != nil {
			return err
		}
		if err := c.feed(ctx, r, run); err != nil {
			return err
		}
	}
	return nil
}

// open returns a chunk, opened now or before.
func (r *replay) open(ctx context.Context, key string) (*openChunk, error) {
	for i, c := range r.chunks {
		if c.reader.Key() == key {
			copy(r.chunks[1:i+1], r.chunks[:i])
			r.chunks[0] = c
			return c, nil
		}
	}
	name, err := chunk.ParseKey(key)
	if err != nil {
		return nil, err
	}
	reader, err := chunk.Open(ctx, r.parts.Store, key, chunk.WithDecoder(r.decoder))
	if err != nil {
		return nil, err
	}
	if err := r.keys.load(ctx, key); err != nil {
		return nil, err
	}
	m := reader.Meta()
	c := &openChunk{reader: reader, feeder: feeder{seq: uint32(name.Sequence), decoder: packet.NewDecoder(m.LinkType, packet.Options{}), comments: reader.Comments()}} //nolint:gosec // see lane.take
	r.chunks = slices.Insert(r.chunks, 0, c)
	r.chunks = r.chunks[:min(len(r.chunks), openChunks)]
	return c, nil
}

// openChunk is a chunk that packets are read of, and a part of it that was fetched.
type openChunk struct {
	reader *chunk.Reader
	feeder feeder
	at     int64 // of part in the object
	part   []byte
}

// feed gives the packets of a run to the builder.
func (c *openChunk) feed(ctx context.Context, r *replay, run chunkRun) error {
	offset, entry := c.locate(run)
	if entry == nil {
		return &chunk.CorruptError{Key: run.key, Offset: run.offset, Reason: "the chunk has no flow here: it is not the one that was dissected"}
	}
	b, err := c.fetch(ctx, r.parts.Store, run.offset, run.length)
	if err != nil {
		return err
	}
	c.feeder.builder = r.builder
	return c.feeder.records(entry.Key, offset, r.decoder.Range(run.key, run.offset, b, run.skip, run.size))
}

// locate returns where the run begins in the chunk's stream, and the flow that it is of.
func (c *openChunk) locate(run chunkRun) (offset uint64, e *chunk.FlowEntry) {
	frames := c.reader.Frames()
	i, ok := slices.BinarySearchFunc(frames, run.offset, func(f chunk.Frame, o int64) int { return cmp.Compare(f.Offset, o) })
	if !ok {
		return 0, nil
	}
	offset = frames[i].RawOffset + run.skip
	if e = c.reader.FlowAt(offset); e == nil || offset+run.size > e.Offset+e.Length {
		return 0, nil
	}
	return offset, e
}

// fetch returns a range of the object, from the part that was fetched before where that has it.
func (c *openChunk) fetch(ctx context.Context, store objstore.Store, off, n int64) ([]byte, error) {
	if off < c.at || off+n > c.at+int64(len(c.part)) {
		b, _, err := store.GetRange(ctx, c.reader.Key(), off, min(max(n, readAhead), c.reader.SizeBytes()-off))
		if errors.Is(err, objstore.ErrRange) || err == nil && int64(len(b)) < n {
			return nil, &chunk.CorruptError{Key: c.reader.Key(), Offset: off, Reason: fmt.Sprintf("the object ends before %d bytes", n)}
		}
		if err != nil {
			return nil, err
		}
		c.at, c.part = off, b
	}
	return c.part[off-c.at:][:n:n], nil
}
