package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/spi"
	"wirelake/query"
)

// perClass is how many sessions of each size are fetched.
const perClass = 250

// sharedBytes is the size up to which flows share a frame (docs/chunk-format.md).
const sharedBytes = 64 << 10

// stored is a session and where its packets are.
type stored struct {
	doc   *spi.Document
	parts []part
}

// part is what a chunk holds of a session.
type part struct {
	key          string
	offset, size int64  // of the frames, in the object
	skip, raw    uint64 // of the records, in the frames' content
}

// own returns the part's share of the frames that hold it, their compressed bytes by its share of their content, and the
// number of these frames.
func (p part) own(frames []chunk.Frame) (bytes float64, touched int) {
	var start, end uint64
	for _, f := range frames {
		if f.Offset == p.offset {
			start = f.RawOffset + p.skip
			end = start + p.raw
		}
		if f.Offset < p.offset || f.Offset >= p.offset+p.size {
			continue
		}
		touched++
		from, to := max(start, f.RawOffset), min(end, f.RawOffset+uint64(f.RawSize))
		bytes += float64(f.Size) * float64(to-from) / float64(f.RawSize)
	}
	return bytes, touched
}

// ranges exports sessions of all sizes, each alone, from MinIO, and compares the
// bytes that this takes with the bytes that they are compressed.
func (b *bench) ranges(ctx context.Context) error {
	a, err := b.mixedArchive(ctx)
	if err != nil {
		return err
	}
	if !a.compacted {
		if _, err := b.compact(ctx, a); err != nil {
			return err
		}
	}
	small, large, err := b.sample(ctx, a)
	if err != nil {
		return err
	}
	frames := map[string][]chunk.Frame{}
	var indexBytes int64
	flows := 0
	for obj, err := range a.store.List(ctx, "chunks/", "") {
		if err != nil {
			return err
		}
		r, err := chunk.Open(ctx, a.store, obj.Key)
		if err != nil {
			return err
		}
		frames[obj.Key] = r.Frames()
		indexBytes += r.IndexBytes()
		flows += len(r.Flows())
	}
	s, err := fetchAll(ctx, a.store, small, frames)
	if err != nil {
		return err
	}
	l, err := fetchAll(ctx, a.store, large, frames)
	if err != nil {
		return err
	}
	b.report.add(
		row{what: fmt.Sprintf("%d sessions above 64 KiB, bytes fetched", len(large)), measured: number(l.fetched/1e6) + " MB",
			yardstick: "their own compressed " + number(l.own/1e6) + " MB", ratio: l.fetched / l.own, required: 1.1},
		row{what: "the worst of those above 64 KiB in each chunk", ratio: l.worst, required: 1.1},
		row{what: fmt.Sprintf("%d sessions to 64 KiB, frames fetched a chunk, at most", len(small)), measured: number(s.fetched/float64(len(small))) + " B a session",
			ratio: float64(s.frames), required: 1, unit: "frames"},
		row{what: "range GETs a chunk, at most", ratio: max(s.gets, l.gets), required: 1},
		row{what: fmt.Sprintf("index of %d chunks", len(frames)), ratio: float64(indexBytes) / float64(flows), unit: "B a flow"})
	return nil
}

// sample chooses sessions to 64 KiB and above evenly from all.
func (b *bench) sample(ctx context.Context, a *archive) (small, large []stored, err error) {
	fields := []spi.FieldID{spi.ID, spi.FirstPacket, spi.LastPacket, spi.NetworkPackets,
		spi.ChunkKey, spi.ChunkLinkType, spi.ChunkOffset, spi.ChunkLength, spi.ChunkSkip, spi.ChunkSize, spi.ChunkPackets}
	for d, err := range b.documents(ctx, a, fields) {
		if err != nil {
			return nil, nil, err
		}
		s := stored{doc: d}
		var raw uint64
		for o := range d.Objects(spi.ChunkList, spi.Root) {
			number := func(f spi.FieldID) int64 { n, _ := d.IntIn(o, f); return n }
			p := part{key: d.StringIn(o, spi.ChunkKey), offset: number(spi.ChunkOffset), size: number(spi.ChunkLength),
				skip: uint64(number(spi.ChunkSkip)), raw: uint64(number(spi.ChunkSize))}
			raw += p.raw
			s.parts = append(s.parts, p)
		}
		if len(s.parts) == 0 {
			return nil, nil, fmt.Errorf("session %s does not say where its packets are", d.String(spi.ID))
		}
		if raw <= sharedBytes {
			small = append(small, s)
		} else {
			large = append(large, s)
		}
	}
	log.Printf("%d sessions to 64 KiB, %d above", len(small), len(large))
	return evenly(small), evenly(large), nil
}

// evenly keeps perClass of the sessions.
func evenly(sessions []stored) (out []stored) {
	n := min(perClass, len(sessions))
	for i := range n {
		out = append(out, sessions[i*len(sessions)/n])
	}
	return out
}

// cost is what fetching sessions took.
type cost struct {
	fetched, own float64 // bytes
	worst        float64 // of a session without a part that shares its frame, fetched over own
	frames       int     // of one part, at most
	gets         float64 // of one session, range GETs a chunk, at most
}

func fetchAll(ctx context.Context, store objstore.Store, sessions []stored, frames map[string][]chunk.Frame) (c cost, err error) {
	fetcher, err := query.NewFetcher(store, query.DefaultPacketsConfig(), nil, nil)
	if err != nil {
		return c, err
	}
	for _, s := range sessions {
		chunks := map[string]bool{}
		own, alone := 0.0, true
		for _, p := range s.parts {
			bytes, touched := p.own(frames[p.key])
			own += bytes
			alone = alone && p.raw > sharedBytes
			c.frames = max(c.frames, touched)
			chunks[p.key] = true
		}
		var count objstore.Counter
		stats, err := fetcher.Export(objstore.WithCounter(ctx, &count), io.Discard, query.PCAPNG, one(s.doc))
		if err != nil {
			return c, err
		}
		if want, _ := s.doc.Int(spi.NetworkPackets); stats.Packets != want {
			return c, fmt.Errorf("session %s: %d packets fetched, it has %d", s.doc.String(spi.ID), stats.Packets, want)
		}
		fetched := float64(count.Bytes.Load())
		c.fetched += fetched
		c.own += own
		if alone {
			c.worst = max(c.worst, fetched/own)
		}
		c.gets = max(c.gets, float64(count.Gets.Load())/float64(len(chunks)))
	}
	return c, nil
}

// one yields a single session.
func one(d *spi.Document) iter.Seq2[*spi.Document, error] {
	return func(yield func(*spi.Document, error) bool) { yield(d, nil) }
}
