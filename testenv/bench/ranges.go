package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/spi"
)

// perClass is how many sessions of each size are fetched.
const perClass = 250

// sharedBytes is the size up to which flows share a frame (docs/chunk-format.md).
const sharedBytes = 64 << 10

// part is what a chunk holds of a session.
type part struct {
	key          string
	offset, size int64 // of the frames, in the object
	skip, raw    uint64
	packets      int64
}

// own returns the part's share of the frames that hold it: their compressed bytes, by its share of their content.
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

// ranges fetches the packets of sessions of all sizes from MinIO, and compares the bytes that this takes with the bytes
// that they are compressed.
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
	for obj, err := range a.store.List(ctx, "chunks/", "") {
		if err != nil {
			return err
		}
		r, err := chunk.Open(ctx, a.store, obj.Key)
		if err != nil {
			return err
		}
		frames[obj.Key] = r.Frames()
	}
	s, err := b.fetchAll(ctx, a, small, frames)
	if err != nil {
		return err
	}
	l, err := b.fetchAll(ctx, a, large, frames)
	if err != nil {
		return err
	}
	b.report.add(
		row{what: fmt.Sprintf("%d sessions above 64 KiB: bytes fetched", len(large)), measured: number(l.fetched/1e6) + " MB",
			yardstick: "their own compressed " + number(l.own/1e6) + " MB", ratio: l.fetched / l.own, required: 1.1},
		row{what: "the worst of them", ratio: l.worst, required: 1.1},
		row{what: fmt.Sprintf("%d sessions to 64 KiB: frames fetched a chunk, at most", len(small)), measured: number(s.fetched/float64(len(small))) + " B a session",
			ratio: float64(s.frames), required: 1, unit: "frames"},
		row{what: "range GETs a chunk, at most", ratio: max(s.ranges, l.ranges), required: 1})
	return nil
}

// sample chooses sessions to 64 KiB and above evenly from all.
func (b *bench) sample(ctx context.Context, a *archive) (small, large [][]part, err error) {
	fields := []spi.FieldID{spi.ID, spi.ChunkKey, spi.ChunkOffset, spi.ChunkLength, spi.ChunkSkip, spi.ChunkSize, spi.ChunkPackets}
	for d, err := range b.documents(ctx, a, fields) {
		if err != nil {
			return nil, nil, err
		}
		var parts []part
		var raw uint64
		for o := range d.Objects(spi.ChunkList, spi.Root) {
			number := func(f spi.FieldID) int64 { n, _ := d.IntIn(o, f); return n }
			p := part{key: d.StringIn(o, spi.ChunkKey), offset: number(spi.ChunkOffset), size: number(spi.ChunkLength),
				skip: uint64(number(spi.ChunkSkip)), raw: uint64(number(spi.ChunkSize)), packets: number(spi.ChunkPackets)}
			raw += p.raw
			parts = append(parts, p)
		}
		if len(parts) == 0 {
			return nil, nil, fmt.Errorf("session %s does not say where its packets are", d.String(spi.ID))
		}
		if raw <= sharedBytes {
			small = append(small, parts)
		} else {
			large = append(large, parts)
		}
	}
	log.Printf("%d sessions to 64 KiB, %d above", len(small), len(large))
	return evenly(small), evenly(large), nil
}

// evenly keeps perClass of the sessions.
func evenly(sessions [][]part) (out [][]part) {
	n := min(perClass, len(sessions))
	for i := range n {
		out = append(out, sessions[i*len(sessions)/n])
	}
	return out
}

// cost is what fetching sessions took.
type cost struct {
	fetched, own float64 // bytes
	worst        float64 // of one session, fetched over own
	frames       int     // of one part, at most
	ranges       float64 // of one session, range GETs a chunk, at most
}

func (b *bench) fetchAll(ctx context.Context, a *archive, sessions [][]part, frames map[string][]chunk.Frame) (c cost, err error) {
	for _, parts := range sessions {
		var own float64
		chunks := map[string]bool{}
		for _, p := range parts {
			bytes, touched := p.own(frames[p.key])
			own += bytes
			c.frames = max(c.frames, touched)
			chunks[p.key] = true
		}
		var count objstore.Counter
		if err := fetch(objstore.WithCounter(ctx, &count), a.store, parts); err != nil {
			return c, err
		}
		fetched := float64(count.Bytes.Load())
		c.fetched += fetched
		c.own += own
		c.worst = max(c.worst, fetched/own)
		c.ranges = max(c.ranges, float64(count.Gets.Load())/float64(len(chunks)))
	}
	return c, nil
}

// fetch reads a session's packets by byte range.
func fetch(ctx context.Context, s objstore.Store, parts []part) error {
	var rec chunk.Record
	for _, p := range parts {
		data, _, err := s.GetRange(ctx, p.key, p.offset, p.size)
		if err != nil {
			return err
		}
		records, err := chunk.DecodeRange(p.key, p.offset, data, p.skip, p.raw)
		if err != nil {
			return err
		}
		var n int64
		for {
			err := records.Next(&rec)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return err
			}
			n++
		}
		if n != p.packets {
			return fmt.Errorf("%d packets in %q at %d, want %d", n, p.key, p.offset, p.packets)
		}
	}
	return nil
}
