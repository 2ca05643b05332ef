package compactor

import (
	"context"
	"errors"
	"fmt"

	"wirelake/internal/chunk"
	"wirelake/internal/keylog"
	"wirelake/internal/objstore"
)

// laneKeys gives the session builder of a lane the key logs that were stored with its chunks.
type laneKeys struct {
	store objstore.Store
	log   *keylog.Log
	any   bool // the lane has key logs
}

// maxKeyLogBytes is the most of one key log that is read.
const maxKeyLogBytes = 256 << 20

// openLaneKeys looks whether the lane has key logs. They are read into the log
// given, that of the operator, or into a new one when that is nil.
func openLaneKeys(ctx context.Context, store objstore.Store, log *keylog.Log, sensor, lane string) (*laneKeys, error) {
	k := &laneKeys{store: store, log: log}
	for _, err := range store.List(ctx, chunk.KeyLogPrefix(sensor, lane), "") {
		if err != nil {
			return nil, fmt.Errorf("list the key logs of lane %s: %w", lane, err)
		}
		k.any = true
		break
	}
	if k.any && k.log == nil {
		k.log = keylog.New()
	}
	return k, nil
}

// load reads the key log of a chunk, if there is one.
func (k *laneKeys) load(ctx context.Context, chunkKey string) error {
	if k == nil || !k.any {
		return nil
	}
	key := chunk.KeyLogKey(chunkKey)
	b, o, err := k.store.GetRange(ctx, key, 0, maxKeyLogBytes)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		return nil
	case errors.Is(err, objstore.ErrRange) && o.Size == 0: // empty: no connection begins in the chunk
		return nil
	case err != nil:
		return fmt.Errorf("read key log %q: %w", key, err)
	}
	k.log.Add(b)
	return nil
}
