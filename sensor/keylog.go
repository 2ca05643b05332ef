package sensor

import (
	"context"
	"fmt"

	"wirelake/internal/chunk"
	"wirelake/internal/dissect"
	"wirelake/internal/keylog"
	"wirelake/internal/objstore"
	"wirelake/internal/packet"
)

// laneKeys gathers the TLS connections that begin in a chunk, for what a key log says of them.
type laneKeys struct {
	log    *keylog.Log // nil: key logs are not stored
	piped  bool        // the lane's packets can be read but once, and secrets may come behind them
	begun  [][keylog.RandomLen]byte
	seen   map[[keylog.RandomLen]byte]bool
	sealed []chunkKeys // of what is piped, what may have to be stored anew
	kept   int         // connections of sealed
}

// chunkKeys is the key log of a chunk as it was when the chunk was sealed.
type chunkKeys struct {
	key   string // of the chunk
	begun [][keylog.RandomLen]byte
	bytes int
}

// maxChunkKeys bounds the connections of a chunk whose keys are stored, about 100 MB of text, and those of a pipe whose keys
// may still come.
const maxChunkKeys = keylog.MaxConnections

// note looks for a ClientHello in the packet.
func (k *laneKeys) note(p *packet.Packet) {
	if k.log == nil {
		return
	}
	id, ok := clientRandom(p)
	if !ok || k.seen[id] || len(k.begun) >= maxChunkKeys {
		return
	}
	if k.seen == nil {
		k.seen = make(map[[keylog.RandomLen]byte]bool)
	}
	k.seen[id] = true
	k.begun = append(k.begun, id)
}

// clientRandom returns the random of a ClientHello: at the start of a segment, where TLS programs put it (RFC 8446 sections 4.1.2
// and 5.1), behind record header, message header and version; or in QUIC's.
func clientRandom(p *packet.Packet) (id [keylog.RandomLen]byte, ok bool) {
	const random = 11
	switch b := p.Payload; {
	case p.Key.Proto == packet.ProtoUDP:
		return dissect.QUICRandom(b)
	case p.Key.Proto != packet.ProtoTCP, len(b) < random+keylog.RandomLen, b[0] != 22, b[1] != 3, b[5] != 1:
		return id, false
	default:
		return [keylog.RandomLen]byte(b[random:]), true
	}
}

// take returns the text for the chunk that ends, not nil when key logs are stored. The log is asked now and not when the
// connections began, for those who write secrets into a stream write them once the handshake has made them. Of what
// is piped, those that come later still are looked for at its end.
func (k *laneKeys) take(m chunk.Meta) []byte {
	if k.log == nil {
		return nil
	}
	begun := k.end()
	lines := keyLines(k.log, begun)
	if k.piped && len(begun) > 0 && k.kept+len(begun) <= maxChunkKeys {
		k.sealed = append(k.sealed, chunkKeys{key: chunk.Key(m), begun: begun, bytes: len(lines)})
		k.kept += len(begun)
	}
	return lines
}

// end returns the connections that began in the chunk that ends.
func (k *laneKeys) end() [][keylog.RandomLen]byte {
	begun := k.begun
	k.begun, k.seen = nil, nil
	return begun
}

// keyLines returns what a log has of connections.
func keyLines(log *keylog.Log, begun [][keylog.RandomLen]byte) []byte {
	lines := []byte{}
	for i := range begun {
		lines = log.AppendLines(lines, begun[i][:])
	}
	return lines
}

// putLateKeys stores again the key logs of those chunks of a piped lane whose secrets came behind them, once the chunks are stored.
func (u *uploader) putLateKeys(l *lane) error {
	for _, c := range l.keys.sealed {
		lines := keyLines(l.keys.log, c.begun)
		if len(lines) <= c.bytes {
			continue
		}
		select {
		case <-l.stored: // the last one, and so all
		case <-u.ctx.Done():
			return context.Cause(u.ctx)
		}
		if err := putKeyLog(u.ctx, u.im.store, c.key, lines); err != nil {
			return err
		}
	}
	return nil
}

// putKeys stores the key log of a chunk. It is stored before the chunk, and also
// when it is empty: that a lane has key logs is seen by its first.
func (u *uploader) putKeys(ctx context.Context, j *sealJob) error {
	if j.keys == nil {
		return nil
	}
	return putKeyLog(ctx, u.im.store, chunk.Key(j.meta), j.keys)
}

func putKeyLog(ctx context.Context, store objstore.Store, chunkKey string, lines []byte, opts ...objstore.PutOption) error {
	key := chunk.KeyLogKey(chunkKey)
	if _, err := objstore.PutBytes(ctx, store, key, lines, opts...); err != nil {
		return fmt.Errorf("store key log %q: %w", key, err)
	}
	return nil
}
