package sensor

import (
	"context"
	"errors"

	"wirelake/internal/keylog"
	"wirelake/internal/objstore"
	"wirelake/sensor/spool"
)

// waitingKeys are the TLS connections that begin in the chunks of a lane that wait to be uploaded. They, and the secrets, are in
// memory only: nothing that decrypts packets lies on the disk of a sensor.
type waitingKeys struct {
	begun map[chunkID][][keylog.RandomLen]byte
	n     int // of all chunks
}

// chunkID names a chunk for as long as it is in the spool, also when it gets another place in the lane.
type chunkID struct {
	segment uint64
	part    int
}

// maxWaitingKeys bounds the connections of a lane, 1 MiB of memory, that wait while the store is away.
const maxWaitingKeys = 1 << 15

// expect notes the connections of the chunks that a segment becomes, before they are there to be uploaded.
func (l *liveLane) expect(ctx context.Context, segment uint64, parts [][][keylog.RandomLen]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &l.waiting
	for part, begun := range parts {
		id := chunkID{segment, part}
		w.forget(id) // of a sealing that failed
		if len(begun) == 0 {
			continue
		}
		if w.n+len(begun) > maxWaitingKeys {
			l.log.WarnContext(ctx, "a chunk gets no key log: too many connections wait for the store", "segment", segment, "connections", len(begun))
			continue
		}
		if w.begun == nil {
			w.begun = make(map[chunkID][][keylog.RandomLen]byte)
		}
		w.begun[id] = begun
		w.n += len(begun)
	}
}

func (w *waitingKeys) forget(id chunkID) {
	w.n -= len(w.begun[id])
	delete(w.begun, id)
}

// putKeys stores the key log of a chunk, in front of the chunk: who finds that has it. The log is asked as late as that, for
// secrets come behind the packets that begin a connection. It is stored when it is empty too: that a lane has key logs is seen
// by its first, and it replaces none: the key may turn out to be another's.
func (l *liveLane) putKeys(ctx context.Context, c *spool.Chunk, key string) error {
	if l.s.opts.Keys == nil {
		return nil
	}
	l.mu.Lock()
	begun := l.waiting.begun[chunkID{c.Segment, c.Part}]
	l.mu.Unlock()
	err := putKeyLog(ctx, l.s.store, key, keyLines(l.s.opts.Keys, begun), objstore.IfAbsent())
	if errors.Is(err, objstore.ErrExists) {
		return nil
	}
	return err
}

// forgetKeys forgets the connections of a chunk that is stored, and of those before it: they are uploaded in order, and
// some may have been dropped. The caller has l.mu.
func (l *liveLane) forgetKeys(c *spool.Chunk) {
	for id := range l.waiting.begun {
		if id.segment < c.Segment || id.segment == c.Segment && id.part <= c.Part {
			l.waiting.forget(id)
		}
	}
}
