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

// laneKeys gathers what a key log says of the TLS connections that begin in a chunk.
type laneKeys struct {
	log   *keylog.Log // nil: key logs are not stored
	lines []byte
	seen  map[[keylog.RandomLen]byte]bool
}

// maxChunkKeys bounds the connections of a chunk whose keys are stored, about 100 MB of text.
const maxChunkKeys = keylog.MaxConnections

// note looks for a ClientHello in the packet.
func (k *laneKeys) note(p *packet.Packet) {
	if k.log == nil {
		return
	}
	id, ok := clientRandom(p)
	if !ok {
		return
	}
	if k.seen[id] || len(k.seen) >= maxChunkKeys {
		return
	}
	n := len(k.lines)
	if k.lines = k.log.AppendLines(k.lines, id[:]); len(k.lines) > n {
		if k.seen == nil {
			k.seen = make(map[[keylog.RandomLen]byte]bool)
		}
		k.seen[id] = true
	}
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

// take returns the text for the chunk that ends, not nil when key logs are stored.
func (k *laneKeys) take() []byte {
	if k.log == nil {
		return nil
	}
	lines := append([]byte{}, k.lines...)
	k.lines, k.seen = k.lines[:0], nil
	return lines
}

// putKeys stores the key log of a chunk. It is stored before the chunk, and also
// when it is empty: that a lane has key logs is seen by its first.
func (u *uploader) putKeys(ctx context.Context, j *sealJob) error {
	if j.keys == nil {
		return nil
	}
	key := chunk.KeyLogKey(chunk.Key(j.meta))
	if _, err := objstore.PutBytes(ctx, u.im.store, key, j.keys); err != nil {
		return fmt.Errorf("store key log %q: %w", key, err)
	}
	return nil
}
