package sensor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"wirelake/internal/chunk"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
	"wirelake/sensor/spool"
)

// upload stores a chunk, the oldest of its lane, and lets go of the local copy. The
// bytes are those that were sealed, however often it is tried.
func (l *liveLane) upload(ctx context.Context, c *spool.Chunk) error {
	if err := l.learn(ctx); err != nil {
		return err
	}
	key := l.key(c)
	if !l.after(c.Sequence, c.KeyNanos) {
		// The store has it already, when we died before we knew; or it was sealed without
		// knowing the store, and must come behind what is there.
		if same, err := l.isStored(ctx, c, key); err != nil {
			return err
		} else if same {
			return l.uploaded(ctx, c, key, true)
		}
		return l.renumber(ctx, c)
	}
	if err := l.putKeys(ctx, c, key); err != nil {
		return err
	}
	err := l.put(ctx, c, key)
	if !errors.Is(err, objstore.ErrExists) {
		if err != nil {
			return err
		}
		return l.uploaded(ctx, c, key, false)
	}
	same, err := l.isStored(ctx, c, key)
	if err != nil {
		return err
	}
	if same {
		return l.uploaded(ctx, c, key, true)
	}
	l.s.counts.conflicts.Add(1)
	err = fmt.Errorf("the store has %q already with other content: is another sensor %s running? The chunk gets the next sequence", key, l.s.cfg.Name)
	l.log.ErrorContext(ctx, "key is taken", "error", err)
	l.s.trouble.note(err)
	if err := l.learnAgain(ctx); err != nil {
		return err
	}
	return l.renumber(ctx, c)
}

func (l *liveLane) key(c *spool.Chunk) string {
	return chunk.Key(chunk.Meta{Sensor: l.s.cfg.Name, Lane: l.spool.Name(), KeyNanos: c.KeyNanos, Sequence: c.Sequence})
}

// put sends the file, or what the store does not have of it.
func (l *liveLane) put(ctx context.Context, c *spool.Chunk, key string) (err error) {
	f, err := os.Open(c.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	opts := []objstore.PutOption{objstore.IfAbsent(), objstore.ContentType("application/zstd"), objstore.Resume(l.spool.UploadNote())}
	if l.s.throttle != nil {
		opts = append(opts, objstore.Pace(l.s.throttle.wait))
	}
	_, err = l.s.store.Put(ctx, key, f, c.Bytes, opts...)
	return err
}

// uploaded lets go of a chunk that is stored.
func (l *liveLane) uploaded(ctx context.Context, c *spool.Chunk, key string, existed bool) error {
	l.mu.Lock()
	if l.empty || c.Sequence >= l.last.Sequence {
		l.empty, l.last = false, chunk.Meta{Sequence: c.Sequence, KeyNanos: c.KeyNanos}
	}
	l.lastKey = key
	l.forgetKeys(c)
	l.mu.Unlock()
	if err := c.Uploaded(key); err != nil {
		return err // it is tried again, and then found stored
	}
	if existed {
		l.abandonUpload(ctx) // begun before another way was found that the chunk is stored
	}
	n := &l.s.counts
	n.uploads.Add(1)
	n.uploadBytes.Add(uint64(c.Bytes)) //nolint:gosec // positive
	if existed {
		n.existed.Add(1)
	}
	n.lastUpload.Store(time.Now().UnixNano())
	l.log.DebugContext(ctx, "chunk stored", "key", key, "packets", c.Packets, "bytes", c.Bytes, "existed", existed)
	return nil
}

// abandonUpload takes back what the store has of an upload that nobody goes on with.
func (l *liveLane) abandonUpload(ctx context.Context) {
	if err := objstore.Abandon(ctx, l.s.store, l.spool.UploadNote()); err != nil {
		l.log.WarnContext(ctx, "unfinished upload not aborted", "error", err)
	}
}

// isStored reports whether the store has the chunk under key, with the same content.
func (l *liveLane) isStored(ctx context.Context, c *spool.Chunk, key string) (bool, error) {
	theirs, err := chunk.Open(ctx, l.s.store, key)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return false, nil
	case errors.Is(err, chunk.ErrCorrupt), errors.Is(err, chunk.ErrVersion):
		return false, nil // ours is not
	case err != nil:
		return false, err
	}
	ours, err := chunk.Open(ctx, localFile{c.Path}, key)
	if err != nil {
		return false, fmt.Errorf("%s: %w", c.Path, err)
	}
	return ours.Meta() == theirs.Meta() && ours.ContentSum() == theirs.ContentSum() && ours.SizeBytes() == theirs.SizeBytes(), nil
}

// renumber gives the chunk the next place behind all that the store has of the lane.
// Its packets stay as they are; place and time of the key are in its index, which is
// written anew.
func (l *liveLane) renumber(ctx context.Context, c *spool.Chunk) error {
	l.mu.Lock()
	last, empty := l.last, l.empty
	l.mu.Unlock()
	r, err := chunk.Open(ctx, localFile{c.Path}, l.key(c))
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	m := r.Meta()
	m.KeyNanos = c.KeyNanos
	if !empty {
		m.Sequence, m.KeyNanos = max(m.Sequence, last.Sequence+1), max(m.KeyNanos, last.KeyNanos)
	}
	// It is sealing, and takes as much memory: many lanes may have to at once.
	if err := l.s.sealing.Acquire(ctx, 1); err != nil {
		return err
	}
	defer l.s.sealing.Release(1)
	b, err := l.s.builders.get()
	if err != nil {
		return err
	}
	defer l.s.builders.put(b)
	d := packet.NewDecoder(m.LinkType, packet.Options{})
	var p packet.Packet
	err = r.ReadFlows(ctx, func(e *chunk.FlowEntry, records *chunk.FlowRecords) error {
		var rec chunk.Record
		for {
			err := records.Next(&rec)
			if errors.Is(err, io.EOF) {
				return nil
			}
			if err != nil {
				return err
			}
			d.Decode(rec.Data, rec.TimeNanos, rec.WireLen, &p)
			p.Join(e.Key) // a later fragment's own key would be less
			if err := b.Add(&p, rec.Data); err != nil {
				return err
			}
		}
	})
	if err != nil {
		return fmt.Errorf("%s: %w", c.Path, err)
	}
	sealed, sum, err := l.writeChunk(b, m)
	if err != nil {
		return err
	}
	l.log.WarnContext(ctx, "chunk moved behind those that the store has", "from", l.key(c), "to", sum.Key)
	return c.Replace(sealed) // it is uploaded in the next round
}

// localFile reads a file as chunk.Open reads an object.
type localFile struct{ path string }

func (f localFile) GetRange(_ context.Context, key string, off, n int64) (b []byte, o objstore.Object, err error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, o, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, o, err
	}
	o = objstore.Object{Key: key, Size: info.Size(), ModTime: info.ModTime()}
	if off < 0 {
		off, n = max(0, o.Size+off), -off
	}
	if off > o.Size {
		return nil, o, objstore.ErrRange
	}
	b = make([]byte, min(n, o.Size-off))
	_, err = file.ReadAt(b, off)
	return b, o, err
}
