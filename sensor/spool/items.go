package spool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"wirelake/sensor/capture"
)

// Segment is a segment of the log, under way to be sealed.
type Segment struct {
	Lane       *Lane
	Number     uint64
	Path       string
	Bytes      int64
	FirstNanos int64 // time of its first packet, 0 when it is not known
	Created    time.Time

	packets uint64           // as far as this process has written them
	lost    Losses           // of which records are in it, likewise
	next    capture.Position // of what comes behind it, likewise
	found   bool             // it was there at Open: packets and lost are not known
	writing bool             // records may still come
	syncing bool             // it is not durable yet
	busy    bool             // it is being sealed
}

// Chunk is a sealed chunk, under way to the store.
type Chunk struct {
	Lane     *Lane
	Segment  uint64 // it was made from
	Part     int    // of that segment's chunks
	Sequence uint64
	KeyNanos int64
	Packets  uint64
	Kernel   uint64 // packets lost before the sensor, of which the chunk tells
	Dropped  uint64 // packets that the sensor lost, likewise
	Path     string
	Bytes    int64

	busy bool // it is being uploaded
}

// NextSegment waits for a segment to seal, the oldest of the lane. It returns nil
// when ctx has ended, or when the spool has stopped and there is none left.
func (l *Lane) NextSegment(ctx context.Context) *Segment {
	for {
		done := closed(l.spool.drained)
		if g := l.firstSegment(); g != nil || done || ctx.Err() != nil {
			return g
		}
		select {
		case <-ctx.Done():
		case <-l.toSeal:
		case <-l.spool.drained:
		}
	}
}

func (l *Lane) firstSegment() *Segment {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	if len(l.segments) == 0 || l.segments[0].writing || l.segments[0].syncing {
		return nil
	}
	l.segments[0].busy = true
	return l.segments[0]
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// Open opens the segment for reading. damaged is told of what cannot be read.
func (g *Segment) Open(damaged func(Damage)) (*Reader, io.Closer, error) {
	f, err := os.Open(g.Path)
	if err != nil {
		return nil, nil, err
	}
	r, err := NewReader(f, g.Path, damaged)
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	r.From(g.Lane.begins(g))
	return r, f, nil
}

// begins returns where g begins, as far as is known without reading it.
func (l *Lane) begins(g *Segment) capture.Position {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	if g.Number < l.state.PositionBy {
		return capture.Position{}
	}
	return l.state.Position
}

// SetAside takes a segment that cannot be read at all out of the way, for people to look at.
func (g *Segment) SetAside() error {
	l, s := g.Lane, g.Lane.spool
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	if err := os.Rename(g.Path, g.Path+".unreadable"); err != nil {
		return err
	}
	l.counts.damaged.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetSegment(g)
	return nil
}

// Damaged counts a place of the lane's log that could not be read.
func (l *Lane) Damaged() { l.counts.damaged.Add(1) }

// Release gives back a segment that could not be sealed now.
func (g *Segment) Release() {
	g.Lane.spool.mu.Lock()
	defer g.Lane.spool.mu.Unlock()
	g.busy = false
}

// Next is what the next chunk of a lane must be told.
type Next struct {
	Sequence uint64
	KeyNanos int64  // its key time is at least this
	Losses   Losses // of packets before, which no chunk tells of yet
}

// NextChunk returns what the lane's next chunk begins from.
func (l *Lane) NextChunk() Next {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	return Next{Sequence: l.state.Sequence, KeyNanos: l.state.KeyNanos, Losses: l.state.Carried}
}

// Advance makes the lane's next chunk come after what the store has already.
func (l *Lane) Advance(sequence uint64, keyNanos int64) {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	l.state.Sequence = max(l.state.Sequence, sequence)
	l.state.KeyNanos = max(l.state.KeyNanos, keyNanos)
}

// TempFile makes a file for a chunk to be written to.
func (l *Lane) TempFile() (*os.File, error) { return os.CreateTemp(l.dir, "chunk-*"+tempExt) }

// Sealed is a chunk that was made of a segment: a synced file, made with TempFile.
type Sealed struct {
	Temp     string
	Sequence uint64
	KeyNanos int64
	Packets  uint64
	Kernel   uint64 // losses that it tells of
	Dropped  uint64
	Bytes    int64
}

// Finish replaces the segment by its chunks; none when it has no packets. taken is
// what of Next.Losses the chunks tell of, left what the segment lost and they do not;
// next is the reader's position at its end.
//
// As long as the segment is there its chunks do not count: so a crash at any point
// leaves either, and nothing is uploaded twice.
func (g *Segment) Finish(sealed []Sealed, taken, left Losses, next capture.Position) error {
	l, s := g.Lane, g.Lane.spool
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	chunks := make([]*Chunk, len(sealed))
	for i, f := range sealed {
		c := &Chunk{Lane: l, Segment: g.Number, Part: i, Sequence: f.Sequence, KeyNanos: f.KeyNanos, Packets: f.Packets, Kernel: f.Kernel, Dropped: f.Dropped, Bytes: f.Bytes}
		c.Path = filepath.Join(l.dir, c.fileName())
		if err := os.Rename(f.Temp, c.Path); err != nil {
			return err
		}
		chunks[i] = c
	}
	if len(sealed) > 0 {
		if err := syncDir(l.dir); err != nil {
			return err
		}
	}
	s.mu.Lock()
	st := l.state
	s.mu.Unlock()
	for _, c := range chunks {
		st.Sequence, st.KeyNanos = max(st.Sequence, c.Sequence+1), max(st.KeyNanos, c.KeyNanos)
	}
	st.Taken, st.TakenBy, st.Left = taken, g.Number, left
	st.Carried = st.Carried.less(taken)
	st.Carried.add(left)
	st.goTo(next, g.Number+1)
	if err := l.store(st); err != nil {
		return err
	}
	s.mu.Lock()
	l.state.Sequence, l.state.KeyNanos = max(l.state.Sequence, st.Sequence), max(l.state.KeyNanos, st.KeyNanos)
	l.state.Taken, l.state.TakenBy, l.state.Left = taken, g.Number, left
	l.state.Carried = l.state.Carried.less(taken)
	l.state.Carried.add(left)
	l.state.goTo(next, g.Number+1)
	s.mu.Unlock()
	if err := os.Remove(g.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := syncDir(l.dir); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetSegment(g)
	for _, c := range chunks {
		s.used += c.Bytes
		l.chunks = append(l.chunks, c)
	}
	notify(l.toUpload)
	return nil
}

// forgetSegment takes g out of the lists, under the lock.
func (s *Spool) forgetSegment(g *Segment) {
	if i := slices.Index(g.Lane.segments, g); i >= 0 {
		g.Lane.segments = slices.Delete(g.Lane.segments, i, i+1)
		s.used -= g.Bytes
	}
}

// fileName holds all that is known of the chunk, so that nothing need be read at a start.
func (c *Chunk) fileName() string {
	return fmt.Sprintf("%010d.%03d-%020d-%010d-%d-%d-%d%s", c.Segment, c.Part, c.KeyNanos, c.Sequence, c.Packets, c.Kernel, c.Dropped, chunkExt)
}

const chunkExt = ".pcap.zst"

// parseChunkName reads a file name that fileName made.
func parseChunkName(name string) (c Chunk, ok bool) {
	text, ok := strings.CutSuffix(name, chunkExt)
	if !ok {
		return c, false
	}
	f := strings.FieldsFunc(text, func(r rune) bool { return r == '.' || r == '-' })
	if len(f) != 7 {
		return c, false
	}
	var err [7]error
	c.Segment, err[0] = strconv.ParseUint(f[0], 10, 64)
	c.Part, err[1] = strconv.Atoi(f[1])
	c.KeyNanos, err[2] = strconv.ParseInt(f[2], 10, 64)
	c.Sequence, err[3] = strconv.ParseUint(f[3], 10, 64)
	c.Packets, err[4] = strconv.ParseUint(f[4], 10, 64)
	c.Kernel, err[5] = strconv.ParseUint(f[5], 10, 64)
	c.Dropped, err[6] = strconv.ParseUint(f[6], 10, 64)
	return c, errors.Join(err[:]...) == nil && c.fileName() == name
}

// NextUpload waits for the lane's oldest chunk. It returns nil when ctx has ended, or
// when sealed is closed and there is none left.
func (l *Lane) NextUpload(ctx context.Context, sealed <-chan struct{}) *Chunk {
	for {
		done := closed(sealed)
		if c := l.firstChunk(); c != nil || done || ctx.Err() != nil {
			return c
		}
		select {
		case <-ctx.Done():
		case <-l.toUpload:
		case <-sealed:
		}
	}
}

func (l *Lane) firstChunk() *Chunk {
	l.spool.mu.Lock()
	defer l.spool.mu.Unlock()
	if len(l.chunks) == 0 {
		return nil
	}
	l.chunks[0].busy = true
	return l.chunks[0]
}

// Release gives back a chunk that could not be uploaded now.
func (c *Chunk) Release() {
	c.Lane.spool.mu.Lock()
	defer c.Lane.spool.mu.Unlock()
	c.busy = false
}

// Uploaded forgets a chunk that the store has under key: its file is deleted, or
// kept in the cache.
func (c *Chunk) Uploaded(key string) error {
	l, s := c.Lane, c.Lane.spool
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	if err := s.toCache(c, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetChunk(c)
	return nil
}

// forgetChunk takes c out of the lists, under the lock.
func (s *Spool) forgetChunk(c *Chunk) {
	if i := slices.Index(c.Lane.chunks, c); i >= 0 {
		c.Lane.chunks = slices.Delete(c.Lane.chunks, i, i+1)
		s.used -= c.Bytes
	}
}

// Replace puts another file, with another place in the lane, where c's was. A crash
// may leave both: then the one of the higher sequence counts.
func (c *Chunk) Replace(with Sealed) error {
	l, s := c.Lane, c.Lane.spool
	l.fileMu.Lock()
	defer l.fileMu.Unlock()
	n := Chunk{Segment: c.Segment, Part: c.Part, Sequence: with.Sequence, KeyNanos: with.KeyNanos, Packets: with.Packets, Kernel: with.Kernel, Dropped: with.Dropped}
	path := filepath.Join(l.dir, n.fileName())
	if err := os.Rename(with.Temp, path); err != nil {
		return err
	}
	if err := syncDir(l.dir); err != nil {
		return err
	}
	if err := os.Remove(c.Path); err != nil {
		return err
	}
	s.mu.Lock()
	s.used += with.Bytes - c.Bytes
	c.Path, c.Bytes, c.Sequence, c.KeyNanos = path, with.Bytes, with.Sequence, with.KeyNanos
	l.state.Sequence, l.state.KeyNanos = max(l.state.Sequence, c.Sequence+1), max(l.state.KeyNanos, c.KeyNanos)
	st := l.state
	s.mu.Unlock()
	return l.store(st)
}
