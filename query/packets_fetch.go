package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
)

// batch is runs that lie close in time and are fetched together.
type batch struct {
	runs   []run
	opened []*openRun // what was fetched of them
}

// firstBatchBytes is what the first batch fetches: its packets are on their way while the rest is fetched.
const firstBatchBytes = 1 << 20

// batches cuts runs, in order of time, so that each batch fetches about limit bytes, the first ones less. A range
// that several sessions share counts once.
func batches(runs []run, limit, piece int64) []*batch {
	type place struct {
		key    string
		offset int64
	}
	var out []*batch
	var size int64
	most := min(limit, firstBatchBytes)
	seen := map[place]bool{}
	start := 0
	for i, r := range runs {
		n := min(r.length, piece)
		if p := (place{r.key, r.offset}); seen[p] {
			n = int64(min(r.size, uint64(n))) //nolint:gosec // G115: at most n
		} else {
			seen[p] = true
		}
		if i > start && size+n > most {
			out = append(out, &batch{runs: runs[start:i]})
			start, size, most = i, 0, min(limit, 2*most)
			clear(seen)
			seen[place{r.key, r.offset}] = true
			n = min(r.length, piece)
		}
		size += n
	}
	return append(out, &batch{runs: runs[start:]})
}

// byteRange is a range of one object that is fetched with one request, and the runs in it.
type byteRange struct {
	key      string
	off, end int64
	runs     []run
}

// joinRanges returns the ranges that hold the runs: those of an object with no more than gap between them are
// one. Of runs longer than piece only the first piece is fetched.
func joinRanges(runs []run, gap, piece int64) []byteRange {
	sorted := slices.Clone(runs)
	slices.SortStableFunc(sorted, func(a, b run) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length), cmp.Compare(a.skip, b.skip))
	})
	var out []byteRange
	for _, r := range sorted {
		end := r.offset + min(r.length, piece)
		if n := len(out); n > 0 {
			last := &out[n-1]
			if last.key == r.key && r.offset-last.end <= gap && max(end, last.end)-last.off <= piece+gap {
				last.end = max(last.end, end)
				last.runs = append(last.runs, r)
				continue
			}
		}
		out = append(out, byteRange{r.key, r.offset, end, []run{r}})
	}
	return out
}

// heldPacket is a packet held in memory.
type heldPacket struct {
	timeNanos int64
	wireLen   int
	data      []byte
}

// openRun is a run whose packets are at hand, or come from its compressed frames.
type openRun struct {
	run
	order   int // of the run in the part, for packets of the same time
	packets []heldPacket
	stream  *runStream // nil when packets has them all
	lost    error      // why no packets come after those at hand; nil when they are all
	held    int64      // bytes of memory
	head    Packet
}

// isLost reports whether an error costs a run its packets and no other run any: the chunk is gone, is damaged or is another one.
func isLost(err error) bool {
	return errors.Is(err, objstore.ErrNotFound) || errors.Is(err, chunk.ErrCorrupt)
}

// next makes the run's next packet its head. It returns io.EOF at the end.
func (o *openRun) next(ctx context.Context) error {
	if o.stream != nil {
		return o.stream.next(ctx, &o.head)
	}
	if len(o.packets) == 0 {
		return cmp.Or(o.lost, io.EOF)
	}
	p := o.packets[0]
	o.packets = o.packets[1:]
	o.head = Packet{TimeNanos: p.timeNanos, LinkType: o.linkType, WireLen: p.wireLen, Data: p.data}
	return nil
}

// smallRun is up to how many raw bytes a run is decoded at once: its packets are then no larger
// than the frame that would have to be held instead.
const smallRun = chunk.FlowFrameBytes

// load fetches and opens the runs of a batch.
func (f *Fetcher) load(ctx context.Context, b *batch, stats *rangeCount) error {
	ranges := joinRanges(b.runs, int64(f.cfg.JoinGap), int64(f.cfg.PieceBytes))
	opened := make([][]*openRun, len(ranges))
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(f.cfg.Fetches)
	for i, r := range ranges {
		group.Go(func() error {
			bytes, err := f.fetch(groupCtx, r.key, r.off, r.end-r.off, stats)
			if isLost(err) {
				for _, run := range r.runs {
					opened[i] = append(opened[i], &openRun{run: run, lost: err})
				}
				return nil
			}
			if err != nil {
				return err
			}
			opened[i], err = f.openRuns(r, bytes, stats)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for _, o := range opened {
		b.opened = append(b.opened, o...)
	}
	return nil
}

// rangeCount counts what was fetched.
type rangeCount struct{ ranges, bytes atomic.Int64 }

// fetch gets exactly n bytes of a chunk.
func (f *Fetcher) fetch(ctx context.Context, key string, off, n int64, stats *rangeCount) ([]byte, error) {
	b, _, err := f.store.GetRange(ctx, key, off, n)
	switch {
	case err == nil:
	case errors.Is(err, objstore.ErrRange):
		return nil, &chunk.CorruptError{Key: key, Offset: off, Reason: "the object ends before: it is not the one that was indexed"}
	case ctx.Err() != nil, errors.Is(err, objstore.ErrNotFound):
		return nil, err
	default:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	stats.ranges.Add(1)
	stats.bytes.Add(int64(len(b)))
	f.metrics.ranges.Inc()
	f.metrics.bytes.Add(float64(len(b)))
	if int64(len(b)) != n {
		return nil, &chunk.CorruptError{Key: key, Offset: off, Reason: fmt.Sprintf("the object ends %d bytes into a range of %d: it is not the one that was indexed", len(b), n)}
	}
	return b, nil
}

// openRuns opens the runs of a range that was fetched. Sessions whose packets share frames are decoded together.
func (f *Fetcher) openRuns(r byteRange, b []byte, stats *rangeCount) ([]*openRun, error) {
	var out []*openRun
	for i := 0; i < len(r.runs); {
		first := r.runs[i]
		j := i + 1
		for j < len(r.runs) && r.runs[j].offset == first.offset && r.runs[j].length == first.length {
			j++
		}
		shared := r.runs[i:j]
		i = j
		var small []*openRun
		for _, run := range shared {
			o := &openRun{run: run}
			out = append(out, o)
			if run.size <= smallRun {
				small = append(small, o)
				continue
			}
			have := min(run.length, int64(f.cfg.PieceBytes))
			bytes := b[run.offset-r.off:][:have:have]
			if have < int64(len(b))/2 {
				bytes = slices.Clone(bytes) // the range it came with holds many others, that end before it
			}
			o.stream = &runStream{f: f, run: run, bytes: bytes, fetched: have, skip: run.skip, left: run.size, stats: stats}
			o.held = have + chunk.FlowFrameBytes
		}
		if len(small) == 0 {
			continue
		}
		at := first.offset - r.off
		if err := f.decodeTogether(small, b[at:at+min(first.length, int64(len(b))-at)]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// decodeTogether decodes the packets of runs that lie in the same frames, b. The runs are ordered by skip.
func (f *Fetcher) decodeTogether(runs []*openRun, b []byte) error {
	for i := 0; i < len(runs); {
		// Runs that overlap are the same session asked for twice.
		begin, end := runs[i].skip, runs[i].skip+runs[i].size
		j := i + 1
		for j < len(runs) && runs[j].skip <= end+smallRun {
			end = max(end, runs[j].skip+runs[j].size)
			j++
		}
		err := f.decodeSpan(runs[i:j], b, begin, end)
		if errors.Is(err, chunk.ErrCorrupt) { // it is not in the way of all of them
			for _, o := range runs[i:j] {
				o.packets = nil
				o.lost = f.decodeSpan([]*openRun{o}, b, o.skip, o.skip+o.size)
				if o.lost != nil && !errors.Is(o.lost, chunk.ErrCorrupt) {
					return o.lost
				}
			}
			err = nil
		}
		if err != nil {
			return err
		}
		i = j
	}
	return nil
}

func (f *Fetcher) decodeSpan(runs []*openRun, b []byte, begin, end uint64) error {
	recs := f.dec.Range(runs[0].key, runs[0].offset, b, begin, end-begin)
	arenas := make([][]byte, len(runs))
	for i, o := range runs {
		arenas[i] = make([]byte, 0, o.size)
		o.held = int64(o.size) //nolint:gosec // G115: at most smallRun
	}
	first := 0
	var rec chunk.Record
	for at := begin; ; at += rec.RawLen() {
		switch err := recs.Next(&rec); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		for first < len(runs) && runs[first].skip+runs[first].size <= at {
			first++
		}
		for i := first; i < len(runs) && runs[i].skip <= at; i++ {
			o := runs[i]
			if at+rec.RawLen() > o.skip+o.size {
				continue
			}
			n := len(arenas[i])
			arenas[i] = append(arenas[i], rec.Data...)
			o.packets = append(o.packets, heldPacket{rec.TimeNanos, rec.WireLen, arenas[i][n:len(arenas[i]):len(arenas[i])]})
		}
	}
}

// runStream decodes a large run frame by frame, fetching it piece by piece.
type runStream struct {
	f       *Fetcher
	run     run
	bytes   []byte // fetched, not decoded yet
	fetched int64  // compressed bytes so far
	skip    uint64 // raw bytes before the records that are left
	left    uint64 // raw bytes of records
	records *chunk.Records
	stats   *rangeCount
}

func (s *runStream) next(ctx context.Context, head *Packet) error {
	for {
		if s.records == nil {
			if s.left == 0 {
				return io.EOF
			}
			if err := s.piece(ctx); err != nil {
				return err
			}
		}
		var rec chunk.Record
		err := s.records.Next(&rec)
		if errors.Is(err, io.EOF) {
			s.records = nil
			continue
		}
		if err != nil {
			return err
		}
		*head = Packet{TimeNanos: rec.TimeNanos, LinkType: s.run.linkType, WireLen: rec.WireLen, Data: rec.Data}
		return nil
	}
}

// piece readies the records of the whole frames at hand, after it fetched more where it must.
func (s *runStream) piece(ctx context.Context) error {
	whole, content := chunk.WholeFrames(s.bytes)
	if rest := s.run.length - s.fetched; rest > 0 && uint64(content) <= s.skip { //nolint:gosec // G115: not negative
		n := min(rest, int64(s.f.cfg.PieceBytes))
		more, err := s.f.fetch(ctx, s.run.key, s.run.offset+s.fetched, n, s.stats)
		if err != nil {
			return err
		}
		s.bytes = append(s.bytes, more...)
		s.fetched += n
		whole, content = chunk.WholeFrames(s.bytes)
	}
	offset := s.run.offset + s.fetched - int64(len(s.bytes))
	size := s.left
	if s.fetched < s.run.length {
		// Frames end between records, so what is whole can be read to its end.
		size = min(size, uint64(content)-min(uint64(content), s.skip)) //nolint:gosec // G115: not negative
		if size == 0 {
			return &chunk.CorruptError{Key: s.run.key, Offset: offset, Reason: fmt.Sprintf("no whole frame in %d bytes", len(s.bytes))}
		}
	} else {
		whole = len(s.bytes)
	}
	s.records = s.f.dec.Range(s.run.key, offset, s.bytes[:whole], s.skip, size)
	s.bytes = s.bytes[whole:]
	s.skip = 0
	s.left -= size
	return nil
}
