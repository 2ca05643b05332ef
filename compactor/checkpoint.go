package compactor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"wirelake/internal/objstore"
)

// checkpointVersion is written into every checkpoint. A newer one is refused:
// going on from it with older code could lose sessions.
const checkpointVersion = 1

// maxCheckpointBytes bounds a checkpoint once decompressed. An open flow takes
// about 150 bytes of it, so this is above three million of them.
const maxCheckpointBytes = 512 << 20

// checkpoint says how far a lane is done. It is stored as zstd-compressed JSON
// and changes by put-if-match only.
type checkpoint struct {
	Version int    `json:"version"`
	Epoch   uint64 `json:"epoch"` // of the lease it was written under
	Sensor  string `json:"sensor"`
	Lane    string `json:"lane"`

	Chunk   string `json:"chunk"`             // key of the last chunk whose packets are taken, "" for none
	Next    uint64 `json:"next"`              // sequence number after that chunk; names the next batch
	Nanos   int64  `json:"nanos"`             // latest capture time of the lane
	Clock   int64  `json:"clock,omitempty"`   // and that which it was advanced to, where its clock was set back
	Final   bool   `json:"final,omitempty"`   // the lane has ended, and all of it is saved
	Flushed bool   `json:"flushed,omitempty"` // the lane fell quiet and its open sessions were saved

	Open      []openFlow     `json:"open,omitempty"`      // flows whose sessions go on
	Unindexed []string       `json:"unindexed,omitempty"` // Parquet files that Elasticsearch has not taken
	Skipped   []skippedChunk `json:"skipped,omitempty"`   // chunks that could not be read, whole or in part

	etag string // of the stored object, "" when there is none yet
}

// skippedChunk is a chunk of which packets were lost.
type skippedChunk struct {
	Key    string `json:"key"`
	Reason string `json:"reason"`
}

func checkpointKey(sensor, lane string) string {
	return "state/compactor/lanes/" + sensor + "/" + lane + ".json.zst"
}

// loadCheckpoint returns a lane's checkpoint, or a new one when it has none.
func loadCheckpoint(ctx context.Context, store objstore.Store, sensor, lane string) (*checkpoint, error) {
	key := checkpointKey(sensor, lane)
	b, obj, err := objstore.GetAll(ctx, store, key)
	if errors.Is(err, objstore.ErrNotFound) {
		return &checkpoint{Version: checkpointVersion, Sensor: sensor, Lane: lane}, nil
	}
	if err != nil {
		return nil, err
	}
	c, err := decodeCheckpoint(b)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", key, err)
	}
	if c.Sensor != sensor || c.Lane != lane {
		return nil, fmt.Errorf("%q: it is of sensor %q lane %q", key, c.Sensor, c.Lane)
	}
	c.etag = obj.ETag
	return c, nil
}

func decodeCheckpoint(b []byte) (*checkpoint, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(maxCheckpointBytes))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	raw, err := dec.DecodeAll(b, nil)
	if err != nil {
		return nil, fmt.Errorf("corrupt checkpoint: %w", err)
	}
	var c checkpoint
	if err := json.Unmarshal(raw, &c); err != nil {
		return nil, fmt.Errorf("corrupt checkpoint: %w", err)
	}
	if c.Version < 1 || c.Version > checkpointVersion {
		return nil, fmt.Errorf("checkpoint version %d, this program knows up to %d", c.Version, checkpointVersion)
	}
	return &c, nil
}

func (c *checkpoint) encode() ([]byte, error) {
	raw, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return enc.EncodeAll(raw, nil), enc.Close()
}

// save stores c over the checkpoint it was loaded from. objstore.ErrMismatch or
// ErrExists mean that another process wrote meanwhile.
func (c *checkpoint) save(ctx context.Context, store objstore.Store) error {
	b, err := c.encode()
	if err != nil {
		return err
	}
	opt := objstore.IfAbsent()
	if c.etag != "" {
		opt = objstore.IfMatch(c.etag)
	}
	obj, err := objstore.PutBytes(ctx, store, checkpointKey(c.Sensor, c.Lane), b, opt)
	if err != nil {
		return err
	}
	c.etag = obj.ETag
	return nil
}
