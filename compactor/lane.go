package compactor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/internal/session"
	"wirelake/internal/spi"
)

// lane follows one lane. It belongs to one goroutine at a time; what it holds in
// memory is thrown away after an error and built again from the checkpoint.
type lane struct {
	c            *Compactor
	sensor, name string
	log          *slog.Logger

	cp      *checkpoint
	builder *session.Builder
	chunks  map[uint32]*chunkRef // chunks that open sessions have packets in, by sequence number
	keys    *laneKeys            // of the builder
	batch   *batch
	raw     int64     // decompressed bytes of the batch's chunks
	oldest  time.Time // when the batch's first chunk was taken
	moved   time.Time // when a chunk was last taken, or the lane first looked at
	err     error     // of a document that could not be written
	indexed finished

	rest  time.Duration // how long a lane that has ended is left alone: of imported files there are many
	awake time.Time
}

// maxRest bounds how late it is seen that a lane goes on which had ended, should nobody say so (see Compactor.wake).
const maxRest = 24 * time.Hour

// quietSuffix ends the names of the files that hold what a quiet lane had open.
const quietSuffix = "-quiet"

// openFlow is session.OpenFlow with the object key of its first chunk: sequence
// numbers alone would not find it.
type openFlow struct {
	Key        []byte `json:"key"` // packet.Key.AppendBinary
	FirstNanos int64  `json:"first"`
	Chunk      string `json:"chunk"`
	Offset     uint64 `json:"offset"`
	Segments   int    `json:"segments,omitempty"`

	Told json.RawMessage `json:"told,omitempty"` // what another session told of it
}

// chunkRef is what is kept of a chunk while sessions have packets in it.
type chunkRef struct {
	key      string
	file     string // it was imported from, "" for none
	linkType uint32
	frames   []chunk.Frame
	loss     uint64
}

func newLane(c *Compactor, sensor, name string) *lane {
	return &lane{c: c, sensor: sensor, name: name, log: c.log.With("sensor", sensor, "lane", name), moved: time.Now()}
}

// reset forgets all that is in memory, so that the next step begins at the checkpoint.
func (l *lane) reset() {
	l.discard()
	l.cp, l.builder, l.chunks, l.batch, l.raw, l.err = nil, nil, nil, nil, 0, nil
}

// discard gives back the disk space of a batch that is not committed.
func (l *lane) discard() {
	if l.batch == nil {
		return
	}
	if err := l.batch.discard(); err != nil {
		l.log.Warn("spooled sessions not discarded", "error", err)
	}
	l.batch = nil
}

// step takes the chunks that are new, commits full batches, and with drain all
// of them. It reports whether it took any.
func (l *lane) step(ctx context.Context, drain bool) (took bool, err error) {
	defer func() {
		if err != nil {
			l.reset()
		}
	}()
	if l.cp == nil {
		if l.cp, err = loadCheckpoint(ctx, l.c.store, l.sensor, l.name); err != nil {
			return false, err
		}
		if len(l.cp.Unindexed) > 0 && l.c.index != nil {
			l.c.index.later(l, l.cp.Unindexed)
		}
		flushing, err := l.flushBegan(ctx)
		if err != nil {
			return false, err
		}
		if flushing {
			if err := l.flushQuiet(ctx); err != nil {
				return false, err
			}
		}
	}
	ended := l.cp.Final && l.batch == nil && len(l.cp.Unindexed) == 0
	if ended && time.Now().Before(l.awake) {
		return false, nil
	}
	// Within a batch the checkpoint in memory is ahead of the stored one.
	for obj, err := range l.c.store.List(ctx, chunk.LanePrefix(l.sensor, l.name), l.cp.Chunk) {
		if err != nil {
			return took, err
		}
		if err := l.take(ctx, obj); err != nil {
			return took, err
		}
		took = true
		l.moved, l.rest = time.Now(), 0
		if l.raw >= int64(l.c.cfg.BatchBytes) {
			if err := l.commit(ctx); err != nil {
				return took, err
			}
		}
	}
	if l.batch != nil && (drain || l.cp.Final || time.Since(l.oldest) >= l.c.cfg.BatchDelay) {
		return took, l.commit(ctx)
	}
	if l.batch == nil && !l.cp.Final && !l.cp.Flushed && l.cp.Chunk != "" && time.Since(l.moved) >= l.c.cfg.LaneQuiet {
		return took, l.flushQuiet(ctx)
	}
	if ended && !took {
		l.rest = min(max(2*l.rest, l.c.cfg.Interval), maxRest)
		l.awake = time.Now().Add(l.rest)
	}
	return took, l.forgetIndexed(ctx)
}

// take gives a chunk's packets to the session builder. A chunk that is damaged
// loses what cannot be read and nothing else.
func (l *lane) take(ctx context.Context, obj objstore.Object) error {
	began := time.Now()
	name, err := chunk.ParseKey(obj.Key)
	if err != nil {
		return err
	}
	r, err := chunk.Open(ctx, l.c.store, obj.Key)
	if errors.Is(err, chunk.ErrCorrupt) || errors.Is(err, chunk.ErrVersion) {
		l.skip(ctx, obj.Key, err)
		return l.taken(obj.Key, name.Sequence, l.cp.Nanos, false)
	}
	if err != nil {
		return err
	}
	meta := r.Meta()
	if l.builder == nil {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	if err := l.keys.load(ctx, obj.Key); err != nil {
		return err
	}
	seq := uint32(meta.Sequence) //nolint:gosec // a lane of a chunk a second lasts 136 years
	l.chunks[seq] = &chunkRef{key: obj.Key, linkType: meta.LinkType, file: meta.File, frames: r.Frames(), loss: meta.KernelDrops + meta.SpoolDrops}
	if l.batch == nil {
		l.batch = l.c.newBatch(l.sensor, l.name, meta.Sequence, "")
		l.oldest = began
	}
	f := feeder{builder: l.builder, failed: &l.err, seq: seq, decoder: packet.NewDecoder(meta.LinkType, packet.Options{}), comments: r.Comments()}
	l.builder.Rewind(meta.LastNanos)
	if err := f.chunk(ctx, r); err != nil {
		return err
	}
	if f.damage != nil {
		l.skip(ctx, obj.Key, f.damage)
	}
	l.builder.Advance(meta.LastNanos)
	l.raw += int64(r.RawBytes()) //nolint:gosec // of one chunk, at most 2 GiB
	l.c.metrics.chunks.Inc()
	l.c.metrics.bytes.Add(float64(r.RawBytes()))
	l.c.metrics.packets.Add(float64(f.packets))
	l.log.DebugContext(ctx, "chunk dissected", "key", obj.Key, "packets", f.packets, "bytes", r.RawBytes(), "open", l.builder.Open(), "took", time.Since(began))
	return l.taken(obj.Key, meta.Sequence, meta.LastNanos, meta.Final)
}

// taken moves the checkpoint in memory behind a chunk; commit stores it.
func (l *lane) taken(key string, sequence uint64, nanos int64, final bool) error {
	l.cp.Chunk, l.cp.Next = key, sequence+1
	l.cp.Nanos, l.cp.Clock = max(l.cp.Nanos, nanos), 0
	if l.builder != nil && l.builder.Now() < l.cp.Nanos {
		l.cp.Clock = l.builder.Now()
	}
	l.cp.Flushed, l.cp.Final = false, final
	if final && l.builder != nil {
		l.builder.Flush()
	}
	if l.batch == nil {
		l.batch = l.c.newBatch(l.sensor, l.name, sequence, "")
		l.oldest = time.Now()
	}
	return l.err
}

func (l *lane) skip(ctx context.Context, key string, err error) {
	l.log.ErrorContext(ctx, "damaged chunk, what cannot be read of it is lost", "key", key, "error", err)
	l.c.metrics.skipped.Inc()
	l.cp.Skipped = append(l.cp.Skipped, skippedChunk{Key: key, Reason: err.Error()})
}

// begin makes the session builder, and gives it back the sessions that were open
// at the checkpoint by reading their packets again.
func (l *lane) begin(ctx context.Context) error {
	cfg := l.c.session
	cfg.Sensor, cfg.Lane = l.sensor, l.name
	var err error
	if l.keys, err = openLaneKeys(ctx, l.c.store, cfg.Keys, l.sensor, l.name); err != nil {
		return err
	}
	cfg.Keys = l.keys.log
	l.builder = session.New(l.c.set, cfg, l.c.geo, l.emit)
	l.chunks = make(map[uint32]*chunkRef)
	if len(l.cp.Open) == 0 {
		return nil
	}
	began := time.Now()
	flows := make([]session.OpenFlow, len(l.cp.Open))
	wanted := make(map[packet.Key]bool, len(flows))
	for i, o := range l.cp.Open {
		name, err := chunk.ParseKey(o.Chunk)
		if err != nil {
			return fmt.Errorf("%q: open flow %d: %w", checkpointKey(l.sensor, l.name), i, err)
		}
		k, err := packet.DecodeKey(o.Key)
		if err != nil {
			return fmt.Errorf("%q: open flow %d: %w", checkpointKey(l.sensor, l.name), i, err)
		}
		flows[i] = session.OpenFlow{Key: k, FirstNanos: o.FirstNanos, First: session.Position{Chunk: uint32(name.Sequence), Offset: o.Offset}, Segments: o.Segments, Told: string(o.Told)} //nolint:gosec // see take
		wanted[k] = true
	}
	if err := l.builder.Restore(flows); err != nil {
		return fmt.Errorf("%q: %w", checkpointKey(l.sensor, l.name), err)
	}
	packets := 0
	last := l.cp.Chunk
	for _, key := range l.cp.chunksSince(ctx, l.c.store, l.cp.Open[0].Chunk, last, &l.err) {
		name, err := chunk.ParseKey(key)
		if err != nil {
			return err
		}
		r, err := chunk.Open(ctx, l.c.store, key)
		if errors.Is(err, chunk.ErrCorrupt) || errors.Is(err, chunk.ErrVersion) {
			continue // was skipped, and said so, before the checkpoint
		}
		if err != nil {
			return err
		}
		if err := l.keys.load(ctx, key); err != nil {
			return err
		}
		m := r.Meta()
		seq := uint32(name.Sequence) //nolint:gosec // see take
		l.chunks[seq] = &chunkRef{key: key, linkType: m.LinkType, file: m.File, frames: r.Frames(), loss: m.KernelDrops + m.SpoolDrops}
		f := feeder{builder: l.builder, failed: &l.err, seq: seq, decoder: packet.NewDecoder(m.LinkType, packet.Options{}), comments: r.Comments()}
		if err := f.flows(ctx, r, func(k packet.Key) bool { return wanted[k] }); err != nil {
			return err
		}
		packets += f.packets
	}
	if l.err != nil {
		return l.err
	}
	if err := l.builder.Resume(cmp.Or(l.cp.Clock, l.cp.Nanos)); err != nil {
		l.log.WarnContext(ctx, "some open sessions begin anew", "error", err)
	}
	l.log.InfoContext(ctx, "open sessions restored", "sessions", len(flows), "packets", packets, "took", time.Since(began))
	return nil
}

// chunksSince lists the lane's chunks from first to last, both included.
func (c *checkpoint) chunksSince(ctx context.Context, store objstore.Store, first, last string, errp *error) []string {
	keys := []string{first}
	if first == last {
		return keys
	}
	for obj, err := range store.List(ctx, chunk.LanePrefix(c.Sensor, c.Lane), first) {
		if err != nil {
			*errp = err
			return nil
		}
		if obj.Key > last {
			break
		}
		keys = append(keys, obj.Key)
	}
	return keys
}

// emit takes a finished document: it adds where the packets are, and the batch
// keeps it under its day.
func (l *lane) emit(s *session.Session) {
	if l.err != nil {
		return
	}
	var loss uint64
	for _, r := range s.Ranges {
		ref := l.chunks[r.Chunk]
		if ref == nil {
			l.err = fmt.Errorf("session %s has packets in chunk %d, which is not known", s.ID, r.Chunk)
			return
		}
		loss += ref.loss
		if ref.file != "" { // a session of a series may be in several
			s.Doc.AddString(spi.FilePath, ref.file)
		}
		run := chunkRun{key: ref.key, linkType: ref.linkType, size: r.End - r.Start, packets: int64(r.Packets)}
		run.offset, run.length, run.skip = chunk.RangeOf(ref.frames, r.Start, r.End-r.Start)
		run.add(s.Doc)
	}
	if loss > 0 {
		s.Doc.SetInt(spi.CaptureLoss, int64(loss)) //nolint:gosec // a count of packets
	}
	finish(s.Doc, l.c.rules)
	l.c.metrics.sessions.Inc()
	day := time.Unix(0, s.First).UTC().Format(time.DateOnly)
	l.err = l.batch.add(s.Doc, day)
}

// finish ends a document that has all its fields. Rules may be nil.
func finish(d *spi.Document, rules Tagger) {
	if d.Truncated() {
		d.AddString(spi.Tags, "spi-truncated")
	}
	if rules != nil {
		rules.Apply(d)
	}
}

// commit makes the batch count: Parquet first, then the checkpoint, then Elasticsearch.
func (l *lane) commit(ctx context.Context) error {
	if l.err != nil {
		return l.err
	}
	began := time.Now()
	b := l.batch
	files, err := b.put(ctx, l.c.store, l.c.lease.Check)
	if err != nil {
		return err
	}
	l.takeIndexed()
	var size int64
	for _, f := range files {
		size += f.Size
		if l.c.index != nil {
			l.cp.Unindexed = append(l.cp.Unindexed, f.Key)
		}
	}
	l.cp.Epoch = l.c.lease.Epoch()
	if l.cp.Open, err = l.openFlows(); err != nil {
		return err
	}
	if err := l.c.lease.Check(); err != nil {
		return err
	}
	if err := l.cp.save(ctx, l.c.store); err != nil {
		return err
	}
	l.log.InfoContext(ctx, "batch committed", "sessions", b.rows, "bytes", size, "chunk", l.cp.Chunk, "open", len(l.cp.Open), "took", time.Since(began))
	l.c.metrics.batches.Inc()
	l.c.metrics.parquetBytes.Add(float64(size))
	if l.c.index != nil {
		l.c.index.add(ctx, l, files, b.hot)
	}
	l.batch, l.raw = nil, 0
	if l.cp.Final {
		l.builder, l.chunks, l.keys = nil, nil, nil
		return b.discard()
	}
	return errors.Join(l.forgetChunks(), b.discard())
}

// openFlows returns the open flows as the checkpoint keeps them, in order of their first packets.
func (l *lane) openFlows() ([]openFlow, error) {
	if l.builder == nil {
		return l.cp.Open, nil
	}
	flows := l.builder.OpenFlows()
	out := make([]openFlow, len(flows))
	for i, f := range flows {
		k, err := f.Key.AppendBinary(nil)
		if err != nil {
			return nil, err
		}
		out[i] = openFlow{Key: k, FirstNanos: f.FirstNanos, Chunk: l.chunks[f.First.Chunk].key, Offset: f.First.Offset, Segments: f.Segments, Told: json.RawMessage(f.Told)}
	}
	return out, nil
}

// forgetChunks lets go of the chunks before the oldest that an open session has packets in.
func (l *lane) forgetChunks() error {
	oldest := l.cp.Next
	if len(l.cp.Open) > 0 {
		first, err := chunk.ParseKey(l.cp.Open[0].Chunk)
		if err != nil {
			return err
		}
		oldest = first.Sequence
	}
	maps.DeleteFunc(l.chunks, func(seq uint32, _ *chunkRef) bool { return uint64(seq) < oldest })
	return nil
}

// flushBegan reports whether a process that was killed had begun to save the open
// sessions of a quiet lane: its files are in the store and the checkpoint does not
// count them. It must be finished before chunks that came since are taken, or
// their sessions would be there twice.
func (l *lane) flushBegan(ctx context.Context) (bool, error) {
	if len(l.cp.Open) == 0 {
		return false, nil
	}
	b := batch{sensor: l.sensor, lane: l.name, first: l.cp.Next, suffix: quietSuffix}
	first := l.cp.Nanos
	for _, o := range l.cp.Open {
		first = min(first, o.FirstNanos)
	}
	for day := time.Unix(0, first).UTC().Truncate(24 * time.Hour); !day.After(time.Unix(0, l.cp.Nanos)); day = day.AddDate(0, 0, 1) {
		_, err := l.c.store.Head(ctx, b.key(day.Format(time.DateOnly)))
		if !errors.Is(err, objstore.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

// flushQuiet saves the open sessions of a lane that brought nothing for long: its
// sensor is gone, or its link is. What comes later begins new sessions.
func (l *lane) flushQuiet(ctx context.Context) error {
	if len(l.cp.Open) == 0 {
		return nil
	}
	if l.builder == nil {
		if err := l.begin(ctx); err != nil {
			return err
		}
	}
	l.batch = l.c.newBatch(l.sensor, l.name, l.cp.Next, quietSuffix)
	l.builder.Flush()
	l.cp.Flushed = true
	return l.commit(ctx)
}

// takeIndexed takes the Parquet files off the checkpoint that Elasticsearch has meanwhile.
func (l *lane) takeIndexed() (taken bool) {
	for _, file := range l.indexed.take() {
		if i := slices.Index(l.cp.Unindexed, file); i >= 0 {
			l.cp.Unindexed = slices.Delete(l.cp.Unindexed, i, i+1)
			taken = true
		}
	}
	return taken
}

// forgetIndexed stores a checkpoint that lists fewer files to index.
func (l *lane) forgetIndexed(ctx context.Context) error {
	if l.batch != nil || !l.takeIndexed() {
		return nil
	}
	if err := l.c.lease.Check(); err != nil {
		return err
	}
	return l.cp.save(ctx, l.c.store)
}

// feeder decodes the packets of one chunk for the session builder.
type feeder struct {
	builder *session.Builder
	failed  *error // of a document that could not be written; may be nil
	seq     uint32
	decoder *packet.Decoder
	packets int
	damage  error // what made packets of the chunk unreadable

	comments []chunk.Comment // of the chunk, by offset

	rec chunk.Record
	p   packet.Packet
}

// recordReader is what gives the records of one flow.
type recordReader interface{ Next(r *chunk.Record) error }

// chunk reads the whole chunk, flow after flow. When a part is damaged it goes
// on flow by flow, and keeps the first error in damage.
func (f *feeder) chunk(ctx context.Context, r *chunk.Reader) error {
	next := 0 // flow after those that gave all or some of their packets
	last := r.Meta().LastNanos
	err := r.ReadFlows(ctx, func(e *chunk.FlowEntry, recs *chunk.FlowRecords) error {
		before := f.packets
		err := f.flow(e, recs)
		if err == nil {
			f.builder.FlowAdvance(last) // the chunk has no more of it
		}
		if err == nil || f.packets > before {
			next++
		}
		return errors.Join(err, *f.failed)
	})
	if err == nil || !errors.Is(err, chunk.ErrCorrupt) || *f.failed != nil {
		return err
	}
	f.damage = err
	flows := r.Flows()
	for i := next; i < len(flows); i++ {
		if err := f.one(ctx, r, i); err != nil {
			return err
		}
	}
	return nil
}

// flows reads the flows that are wanted, each by its own byte range.
func (f *feeder) flows(ctx context.Context, r *chunk.Reader, want func(packet.Key) bool) error {
	for i, e := range r.Flows() {
		if !want(e.Key) {
			continue
		}
		if err := f.one(ctx, r, i); err != nil {
			return err
		}
	}
	return nil
}

// one reads flow i; damage costs the rest of the flow.
func (f *feeder) one(ctx context.Context, r *chunk.Reader, i int) error {
	recs, err := r.ReadFlow(ctx, i)
	if err == nil {
		err = f.flow(&r.Flows()[i], recs)
	}
	if errors.Is(err, chunk.ErrCorrupt) {
		if f.damage == nil {
			f.damage = err
		}
		return nil
	}
	return err
}

// flow gives the records of a flow to the builder.
func (f *feeder) flow(e *chunk.FlowEntry, recs recordReader) error {
	return f.records(e.Key, e.Offset, recs)
}

// records gives records of one flow to the builder, the first of which is at offset of the chunk's stream.
func (f *feeder) records(key packet.Key, offset uint64, recs recordReader) error {
	for {
		err := recs.Next(&f.rec)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		f.decoder.Decode(f.rec.Data, f.rec.TimeNanos, f.rec.WireLen, &f.p)
		// The sensor saw the packets in capture order, and so knew the flow of
		// every fragment; here they come flow by flow.
		f.p.Join(key)
		f.p.Comment = f.comment(offset)
		length := f.rec.RawLen()
		f.builder.Packet(&f.p, session.Position{Chunk: f.seq, Length: uint32(length), Offset: offset}) //nolint:gosec // of one record
		offset += length
		f.packets++
	}
}

// comment returns what was written about the packet whose record is at offset.
func (f *feeder) comment(offset uint64) string {
	if len(f.comments) == 0 {
		return ""
	}
	i, found := slices.BinarySearchFunc(f.comments, offset, func(c chunk.Comment, o uint64) int { return cmp.Compare(c.Offset, o) })
	if !found {
		return ""
	}
	return f.comments[i].Text
}
