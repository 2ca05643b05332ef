package sensor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"wirelake/internal/chunk"
	"wirelake/internal/keylog"
	"wirelake/internal/packet"
	"wirelake/sensor/capture"
	"wirelake/sensor/spool"
)

// seal makes chunks of a segment: one, or more when it has too many flows for one.
func (l *liveLane) seal(ctx context.Context, g *spool.Segment) (err error) {
	r, file, err := g.Open(l.damaged)
	switch {
	case errors.Is(err, io.EOF): // it was made and nothing written
		return g.Finish(nil, spool.Losses{}, spool.Losses{}, capture.Position{})
	case errors.Is(err, spool.ErrCorrupt), errors.Is(err, spool.ErrVersion):
		l.log.ErrorContext(ctx, "segment cannot be read; it is set aside", "file", g.Path, "error", err)
		l.s.trouble.note(err)
		return g.SetAside()
	case err != nil:
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	j := segmentJob{l: l, g: g, r: r, next: l.spool.NextChunk(), keys: laneKeys{log: l.s.opts.Keys}}
	defer func() {
		if err != nil {
			j.abandon()
		}
	}()
	if err := j.run(ctx); err != nil {
		return err
	}
	if len(j.sealed) == 0 { // no packets but copies: the next chunk tells of losses
		if err := g.Finish(nil, spool.Losses{}, r.Losses(), r.Position()); err != nil {
			return err
		}
		j.count()
		return nil
	}
	l.saveFlows(ctx, g)
	l.expect(ctx, g.Number, j.begun)
	if err := g.Finish(j.sealed, j.next.Losses, spool.Losses{}, r.Position()); err != nil {
		return err
	}
	j.count()
	if err := g.ForgetFlows(); err != nil {
		l.log.WarnContext(ctx, "old files of flows not removed", "error", err)
	}
	return nil
}

func (l *liveLane) damaged(d spool.Damage) {
	// The end of a segment that was cut by a crash is nothing that was promised.
	l.log.Warn("damage in the spool passed over", "file", d.File, "offset", d.Offset, "bytes", d.Bytes, "reason", d.Reason, "tail", d.Tail)
	if !d.Tail {
		l.spool.Damaged()
		l.s.trouble.note(errors.New(d.String()))
	}
}

// segmentJob is the sealing of one segment.
type segmentJob struct {
	l    *liveLane
	g    *spool.Segment
	r    *spool.Reader
	next spool.Next

	builder *chunk.Builder
	meta    chunk.Meta
	decoder *packet.Decoder
	snaplen int // largest captured length
	odd     uint64
	sealed  []spool.Sealed
	sums    []chunk.Summary
	keys    laneKeys
	begun   [][][keylog.RandomLen]byte // TLS connections of each chunk
}

func (j *segmentJob) run(ctx context.Context) error {
	l, h := j.l, &j.r.Header
	l.prepare(j.g, h.LinkType)
	var err error
	if j.builder, err = l.s.builders.get(); err != nil {
		return err
	}
	defer func() { l.s.builders.put(j.builder) }()
	j.decoder = packet.NewDecoder(h.LinkType, packet.Options{})
	j.meta = chunk.Meta{
		Sensor: l.s.cfg.Name, Lane: l.spool.Name(), Interface: h.Interface, LinkType: h.LinkType, Snaplen: h.Snaplen,
		Sequence: j.next.Sequence, KeyNanos: j.next.KeyNanos, Generator: l.s.opts.Generator,
	}
	var rec spool.Record
	var p packet.Packet
	for n := 0; ; n++ {
		if n&0xfff == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := j.r.Next(&rec)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		// What pcap cannot hold is kept with the nearest time that it can.
		if t := min(max(rec.TimeNanos, 0), chunk.MaxTimeNanos-1); t != rec.TimeNanos {
			rec.TimeNanos = t
			j.odd++
		}
		if l.dedup.duplicate(rec.TimeNanos, rec.WireLen, rec.Data) {
			continue
		}
		j.decoder.Decode(rec.Data, rec.TimeNanos, rec.WireLen, &p)
		data := rec.Data[:l.cutter.keep(&p, rec.Data)]
		err = j.builder.Add(&p, data)
		if errors.Is(err, chunk.ErrFull) {
			if err := j.part(spool.Losses{}); err != nil {
				return err
			}
			err = j.builder.Add(&p, data)
		}
		if err != nil {
			return fmt.Errorf("%s: offset %d: %w", l.spool.Name(), rec.Offset, err)
		}
		j.keys.note(&p)
		if rec.Comment != "" {
			j.builder.Comment(strings.ToValidUTF8(rec.Comment, "\uFFFD"))
		}
		j.snaplen = max(j.snaplen, len(data))
	}
	if j.builder.Len() == 0 {
		return nil
	}
	losses := j.r.Losses()
	losses.Kernel += j.next.Losses.Kernel
	losses.Quota += j.next.Losses.Quota
	losses.Disk += j.next.Losses.Disk
	return j.part(losses)
}

// prepare makes what the lane keeps from segment to segment.
func (l *liveLane) prepare(g *spool.Segment, linkType uint32) {
	rules := l.s.rules.Load()
	if l.cutter == nil {
		l.cutter = newCutter(rules)
		if rules != nil {
			l.loadFlows(g)
		}
	}
	l.cutter.use(rules)
	if l.dedup == nil || l.dedup.linkType != linkType {
		l.dedup = newDeduper(l.s.cfg.Dedup, linkType)
	}
	l.dedup.duplicates, l.cutter.packets, l.cutter.bytes = 0, 0, 0
}

// sealConfig is of builders that compress with one thread: as many segments are sealed
// at once as there may be workers.
func (s *Sensor) sealConfig() chunk.Config {
	cfg := chunk.DefaultConfig()
	cfg.MaxBytes, cfg.Pool, cfg.Workers = int(s.cfg.ChunkBytes), &s.pool, 1
	cfg.Level, _ = level(s.cfg.Compression)
	cfg.Worker = func(work func()) { background(s.cfg.SealNice, &s.counts.sealCPU, work) }
	return cfg
}

// part seals what the builder has into a file.
func (j *segmentJob) part(losses spool.Losses) error {
	l := j.l
	m := j.meta
	m.KeyNanos = max(m.KeyNanos, j.builder.EarliestNanos())
	m.KernelDrops, m.SpoolDrops = losses.Kernel, losses.Spool()
	m.Snaplen = max(m.Snaplen, uint32(j.snaplen)) //nolint:gosec // at most chunk.MaxCapturedBytes
	sealed, sum, err := l.writeChunk(j.builder, m)
	if err != nil {
		return err
	}
	j.sealed, j.sums, j.begun = append(j.sealed, sealed), append(j.sums, sum), append(j.begun, j.keys.end())
	j.meta.Sequence++
	j.meta.KeyNanos = m.KeyNanos
	j.builder.Reset()
	return nil
}

// writeChunk seals a builder's packets into a file of the spool, durably.
func (l *liveLane) writeChunk(b *chunk.Builder, m chunk.Meta) (s spool.Sealed, sum chunk.Summary, err error) {
	f, err := l.spool.TempFile()
	if err != nil {
		return s, sum, err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	sum, err = b.Seal(m, w)
	if err == nil {
		err = w.Flush()
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return s, sum, errors.Join(fmt.Errorf("write chunk: %w", err), os.Remove(f.Name()))
	}
	return spool.Sealed{Temp: f.Name(), Sequence: m.Sequence, KeyNanos: m.KeyNanos, Packets: sum.Meta.Packets,
		Kernel: m.KernelDrops, Dropped: m.SpoolDrops, Bytes: sum.SizeBytes}, sum, nil
}

// abandon removes what was written for a segment that could not be sealed.
func (j *segmentJob) abandon() {
	for _, s := range j.sealed {
		_ = os.Remove(s.Temp) // else the next start does
	}
	// Forget what was seen: the segment is read again from its beginning, with the flows that were kept behind the one before.
	j.l.dedup, j.l.cutter = nil, nil
}

func (j *segmentJob) count() {
	l, c := j.l, &j.l.s.counts
	for _, sum := range j.sums {
		c.sealedPackets.Add(sum.Meta.Packets)
		c.sealedRaw.Add(uint64(sum.RawBytes))    //nolint:gosec // positive
		c.sealedBytes.Add(uint64(sum.SizeBytes)) //nolint:gosec // positive
		l.log.Debug("chunk sealed", "key", sum.Key, "packets", sum.Meta.Packets, "bytes", sum.SizeBytes, "raw", sum.RawBytes)
	}
	c.duplicates.Add(l.dedup.duplicates)
	c.cutPackets.Add(l.cutter.packets)
	c.cutBytes.Add(l.cutter.bytes)
	c.oddTimes.Add(j.odd)
}
